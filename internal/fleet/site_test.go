package fleet

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"lodge/internal/access"
	"lodge/internal/audit"
	"lodge/internal/bus"
	"lodge/internal/database"
	"lodge/internal/database/databasetest"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
	"lodge/internal/identity"
	"lodge/internal/objects"
	"lodge/internal/secret"
	"lodge/internal/work"
)

// site is this part as it runs: behind the edge and the gate, on a real database and real files, with
// a ROS and a live server that only remember.
type site struct {
	t      testing.TB
	svc    *Service
	db     *database.DB
	access *access.Service
	ros    *fakeRos
	live   *fakeLive
	server *httpapi.Server
	url    string
	prefix string
	clock  *clock
	stop   func()
}

// setup is what a test wants to be different.
type setup struct {
	cfg    Config
	db     *database.DB
	bus    *bus.Bus
	asleep bool
	// at stops the clock.
	at time.Time
	// ros is the way to ROS, if it is to be real.
	ros func(*Service) Ros
}

// clock is the machine's until a test sets it.
type clock struct {
	mu    sync.Mutex
	fixed time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fixed.IsZero() {
		return time.Now()
	}
	return c.fixed
}

func (c *clock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fixed = at
}

// legacySecret is the original's, by which the stub tokens of its dashboard are signed.
const legacySecret = "rmfisawesome"

var testRSA = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func newSite(t testing.TB, change ...func(*setup)) *site {
	t.Helper()
	var set setup
	for _, c := range change {
		c(&set)
	}
	ctx, log := t.Context(), slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	s := &site{t: t, db: set.db, clock: &clock{fixed: set.at}, ros: &fakeRos{}, live: newFakeLive()}
	if s.db == nil {
		s.db = databasetest.SQLite(t)
	}
	files, err := objects.OpenFiles(t.TempDir(), log)
	noError(t, err)
	t.Cleanup(func() { noError(t, files.Close()) })
	b := set.bus
	if b == nil {
		b, err = bus.Open(bus.Config{}, log)
		noError(t, err)
		t.Cleanup(func() { noError(t, b.Close()) })
	}
	queue := work.NewQueue(s.db, b, s.clock.now, log)
	auditLog := audit.New(s.db, queue, ed25519.NewKeyFromSeed(make([]byte, 32)), time.Now, log)
	s.access = access.New(s.db, b, func(context.Context, *database.Tx, string, string, string) error { return nil }, Actions(), time.Now, log)
	gate, err := identity.New(identity.Config{
		PublicURL: "http://lodge.test",
		Issuers:   []identity.Issuer{{Issuer: "stub", HS256Secret: secret.String(legacySecret + strings.Repeat("!", 32)), Audiences: []string{"rmf_api_server"}, RoleClaim: "roles"}},
	}, s.db, b, s.access, auditLog, testRSA(), time.Now, log)
	noError(t, err)
	if set.cfg.TaskAPITimeout == 0 {
		set.cfg.TaskAPITimeout = 300 * time.Millisecond
	}
	set.cfg.UserIssuer = "stub"
	s.svc, err = New(set.cfg, Deps{
		DB: s.db, Bucket: files, Queue: queue, Bus: b, Access: s.access, Audit: auditLog, Gate: gate, Recheck: gate.Recheck, Now: s.clock.now, Log: log,
	})
	noError(t, err)
	s.ros.service, s.live.service = s.svc, s.svc
	s.svc.Attach(s.ros, s.live)
	if set.ros != nil {
		s.svc.Attach(set.ros(s.svc), nil)
	}

	s.server = httpapi.New(httpapi.Config{}, gate, log, time.Now, nil)
	noError(t, s.server.Mount(s.svc.Mount()))
	server := httptest.NewServer(s.server.Handler())
	t.Cleanup(server.Close)
	s.prefix, s.url = set.cfg.Prefix, server.URL+set.cfg.Prefix

	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var group sync.WaitGroup
	if !set.asleep {
		group.Go(func() {
			if err := s.svc.Run(running); err != nil {
				t.Error(err)
			}
		})
	}
	s.stop = sync.OnceFunc(func() { cancel(); group.Wait() })
	t.Cleanup(s.stop)

	admin, err := s.access.CreateUser(root(ctx), access.NewUser{Issuer: "stub", Subject: "admin", Name: "admin", Admin: true})
	if err == nil && !admin.Admin {
		t.Fatal("no administrator")
	}
	return s
}

func root(ctx context.Context) context.Context {
	return access.WithCaller(ctx, &access.Caller{Issuer: "lodge", Subject: "operator", Name: "root", Admin: true})
}

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// token is a token of the original's kind.
func token(t testing.TB, name string, roles ...string) string {
	t.Helper()
	payload, err := json.Marshal(map[string]any{
		"iss": "stub", "aud": "rmf_api_server", "sub": name, "preferred_username": name, "roles": roles,
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	})
	noError(t, err)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(legacySecret + strings.Repeat("!", 32))}, nil)
	noError(t, err)
	signed, err := signer.Sign(payload)
	noError(t, err)
	text, err := signed.CompactSerialize()
	noError(t, err)
	return text
}

// answer is a response with its body.
type response struct {
	*http.Response
	body string
}

// as sends a request by somebody; "" is nobody. A body is sent as JSON.
func (s *site) as(who, method, path, body string) response {
	s.t.Helper()
	return s.with(method, path, body, func(r *http.Request) {
		if name, roles, _ := strings.Cut(who, " "); name != "" {
			r.Header.Set("Authorization", "Bearer "+token(s.t, name, strings.Fields(roles)...))
		}
	})
}

func (s *site) with(method, path, body string, change func(*http.Request)) response {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	noError(s.t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	change(req)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	noError(s.t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	noError(s.t, err)
	return response{resp, string(text)}
}

// get, post and the others are by the administrator.
func (s *site) get(path string) response { s.t.Helper(); return s.as("admin", "GET", path, "") }

func (s *site) post(path, body string) response {
	s.t.Helper()
	return s.as("admin", "POST", path, body)
}

// is checks the status and, unless it is "", the body as JSON.
func (a response) is(t testing.TB, status int, body string) response {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s: status %d, want %d: %s", a.Request.Method, a.Request.URL, a.StatusCode, status, a.body)
	}
	if body != "" && !sameJSON(a.body, body) {
		t.Fatalf("%s %s:\n got %s\nwant %s", a.Request.Method, a.Request.URL, a.body, body)
	}
	return a
}

// says checks the status and the detail.
func (a response) says(t testing.TB, status int, detail string) {
	t.Helper()
	text, _ := json.Marshal(detail)
	a.is(t, status, `{"detail":`+string(text)+`}`)
}

func sameJSON(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return a == b
	}
	return reflect.DeepEqual(x, y)
}

func parse[T any](t testing.TB, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// permit gives everybody with the role an action on a group.
func (s *site) permit(role string, action access.Action, group access.Group) {
	s.t.Helper()
	ctx := root(s.t.Context())
	_, _ = s.access.CreateRole(ctx, access.Role(role), "") // there may be one already
	_, err := s.access.Permit(ctx, access.Grant{Role: access.Role(role), Group: group, Action: action})
	noError(s.t, err)
}

// internal takes a message as from an adapter.
func (s *site) internal(kind, data string) error {
	return s.svc.TakeMessage(s.t.Context(), []byte(`{"type":"`+kind+`","data":`+data+`}`))
}

// report takes a message that is right.
func (s *site) report(kind, data string) {
	s.t.Helper()
	noError(s.t, s.internal(kind, data))
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for pause := time.Millisecond; !is(); pause = min(2*pause, 50*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
		wait := time.NewTimer(pause)
		<-wait.C
	}
}

// fakeRos remembers what is published, and answers task requests as it is told.
type fakeRos struct {
	service *Service

	mu     sync.Mutex
	away   bool
	sent   []published
	answer func(request string) string
}

type published struct {
	topic string
	msg   string
}

func (f *fakeRos) Publish(_ context.Context, topic string, msg any) error {
	text, err := json.Marshal(msg)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return fault.New(fault.Unavailable, "connection refused")
	}
	f.sent = append(f.sent, published{topic, string(text)})
	if topic == topicTaskRequests && f.answer != nil {
		var request apiRequest
		if err := json.Unmarshal(text, &request); err != nil {
			return err
		}
		if reply := f.answer(request.JSONMsg); reply != "" {
			msg, _ := json.Marshal(map[string]any{"type": 2, "json_msg": reply, "request_id": request.RequestID})
			f.service.FromROS("/task_api_responses", msg)
		}
	}
	return nil
}

// on has task requests answered.
func (f *fakeRos) on(answer func(request string) string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

func (f *fakeRos) setAway(away bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away = away
}

// took gives what was published on a topic.
func (f *fakeRos) took(topic string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := []string{}
	for _, p := range f.sent {
		if p.topic == topic {
			list = append(list, p.msg)
		}
	}
	return list
}

// requests gives the task requests.
func (f *fakeRos) requests(t testing.TB) []string {
	t.Helper()
	list := []string{}
	for _, msg := range f.took(topicTaskRequests) {
		list = append(list, parse[apiRequest](t, msg).JSONMsg)
	}
	return list
}

// fakeLive remembers events by room.
type fakeLive struct {
	service *Service

	mu       sync.Mutex
	events   map[string][]string
	listener map[string][]chan json.RawMessage
}

func newFakeLive() *fakeLive {
	return &fakeLive{events: map[string][]string{}, listener: map[string][]chan json.RawMessage{}}
}

func (f *fakeLive) Publish(room, _ string, data json.RawMessage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events[room] = append(f.events[room], string(bytes.Clone(data)))
	for _, ch := range f.listener[room] {
		ch <- data
	}
}

func (f *fakeLive) Listen(ctx context.Context, room string) (<-chan json.RawMessage, func(), error) {
	ch := make(chan json.RawMessage, 100)
	f.mu.Lock()
	f.listener[room] = append(f.listener[room], ch)
	f.mu.Unlock()
	_, replay, err := f.service.Subscribe(ctx, room)
	for _, data := range replay {
		ch <- data
	}
	return ch, func() {}, err
}

// heard gives the events of a room.
func (f *fakeLive) heard(room string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string{}, f.events[room]...)
}

// hears waits for the first event of a room.
func (s *site) hears(room string) string {
	s.t.Helper()
	eventually(s.t, "an event in "+room, func() bool { return len(s.live.heard(room)) > 0 })
	list := s.live.heard(room)
	return list[len(list)-1]
}

func withConfig(change func(*Config)) func(*setup) { return func(set *setup) { change(&set.cfg) } }
