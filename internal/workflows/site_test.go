package workflows

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"lodge/internal/access"
	"lodge/internal/audit"
	"lodge/internal/bus"
	"lodge/internal/database"
	"lodge/internal/database/databasetest"
	"lodge/internal/httpapi"
	"lodge/internal/identity"
	"lodge/internal/objects"
	"lodge/internal/work"
	"lodge/internal/workflows/spec"
)

// site is this part as it runs: behind the edge and the gate, on a real database.
type site struct {
	t      testing.TB
	svc    *Service
	url    string
	db     *database.DB
	access *access.Service
	engine *fakeEngine
	stop   func()
}

// fakeEngine notes what it is asked for. Tests report in its place.
type fakeEngine struct {
	mu       sync.Mutex
	started  []Order
	stopped  []uuid.UUID
	forgot   []uuid.UUID
	findings spec.Findings
	failing  error
}

func (e *fakeEngine) Prepare(o Order) ([]byte, spec.Findings, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return []byte("manifest of " + o.Job.UID.String()), e.findings, nil
}

func (e *fakeEngine) Start(_ context.Context, o Order) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failing == nil {
		e.started = append(e.started, o)
	}
	return e.failing
}

func (e *fakeEngine) Stop(_ context.Context, job uuid.UUID) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = append(e.stopped, job)
	return nil
}

func (e *fakeEngine) Forget(_ context.Context, job uuid.UUID) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.forgot = append(e.forgot, job)
	return nil
}

func (e *fakeEngine) begun() []Order {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]Order(nil), e.started...)
}

// setup is what a test wants to be different.
type setup struct {
	cfg      Config
	db       *database.DB
	noEngine bool
	asleep   bool // nothing is started
}

var testRSA = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newSite(t testing.TB, change ...func(*setup)) *site {
	t.Helper()
	var set setup
	key, err := NewSecretKey(make([]byte, 32))
	noError(t, err)
	set.cfg.SecretKey, set.cfg.Commit = key, "abc"
	for _, c := range change {
		c(&set)
	}
	ctx, log := t.Context(), slog.New(slog.NewTextHandler(t.Output(), nil))
	s := &site{t: t, db: set.db, engine: &fakeEngine{}}
	if s.db == nil {
		s.db = databasetest.SQLite(t)
	}
	b, err := bus.Open(bus.Config{}, log)
	noError(t, err)
	t.Cleanup(func() { noError(t, b.Close()) })
	queue := work.NewQueue(s.db, b, time.Now, log)
	auditLog := audit.New(s.db, queue, ed25519.NewKeyFromSeed(make([]byte, 32)), time.Now, log)
	s.access = access.New(s.db, b, func(context.Context, *database.Tx, string, string, string) error { return nil }, Actions(), time.Now, log)
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		keys := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: testRSA().Public(), KeyID: "test", Use: "sig"}}}
		if err := json.NewEncoder(w).Encode(keys); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(provider.Close)
	gate, err := identity.New(identity.Config{
		PublicURL: "http://lodge.test", Issuers: []identity.Issuer{{Issuer: "sandbox", Audiences: []string{"flowify"}, JWKSURL: provider.URL, RoleClaim: "roles"}},
	}, s.db, b, s.access, auditLog, testRSA(), time.Now, log)
	noError(t, err)
	var engine Engine = s.engine
	if set.noEngine {
		engine = nil
	}
	bucket, err := objects.OpenFiles(t.TempDir(), log)
	noError(t, err)
	t.Cleanup(func() { noError(t, bucket.Close()) })
	s.svc, err = New(set.cfg, s.db, bucket, queue, b, s.access, auditLog, engine, time.Now, log)
	noError(t, err)
	edge := httpapi.New(httpapi.Config{}, gate, log, time.Now, nil)
	noError(t, edge.Mount(s.svc.Mount()))
	server := httptest.NewServer(edge.Handler())
	t.Cleanup(server.Close)
	t.Cleanup(edge.Drain)
	s.url = server.URL + set.cfg.Prefix

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
	for name, w := range map[string]Workspace{
		"ws1": {Roles: [][]string{{"sandbox-developer"}}}, "ws2": {Roles: [][]string{{"a", "b"}}, Hidden: true}, "ws3": {Roles: [][]string{{"c"}}},
		"ws4": {Roles: [][]string{{"flow@sand.box--$owner", "other@x--$collaborator"}}}, "ws5": {Roles: [][]string{{}}},
	} {
		w.Name, w.Description = name, "d-"+name
		noError(t, s.db.Tx(ctx, func(tx *database.Tx) error { return s.svc.store.insertWorkspace(ctx, tx, w, time.Now()) }))
	}
	return s
}

type claims map[string]any

// token is the Authorization of a person: by default the sandbox's.
func token(t testing.TB, change claims) string {
	t.Helper()
	all := claims{
		"iss": "sandbox", "aud": "flowify", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "sub": "flow",
		"oid": "8048", "name": "F. Lowe", "email": "flow@sand.box", "roles": []string{"sandbox-developer"},
	}
	for k, v := range change {
		if v == nil {
			delete(all, k)
			continue
		}
		all[k] = v
	}
	payload, err := json.Marshal(all)
	noError(t, err)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: testRSA()}, nil)
	noError(t, err)
	signed, err := signer.Sign(payload)
	noError(t, err)
	text, err := signed.CompactSerialize()
	noError(t, err)
	return "Bearer " + text
}

func personToken(t testing.TB, name string, roles ...string) string {
	return token(t, claims{"sub": name, "oid": name, "name": name, "email": name + "@x", "roles": roles})
}

type answer struct {
	*http.Response
	body string
}

func (s *site) do(method, path, auth, body string, head ...string) answer {
	s.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	target := s.url + "/api/v1" + path
	if strings.HasPrefix(path, "http") {
		target = path
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, target, reader)
	noError(s.t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(head); i += 2 {
		req.Header.Set(head[i], head[i+1])
	}
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	resp, err := http.DefaultClient.Do(req)
	noError(s.t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	noError(s.t, err)
	return answer{resp, string(text)}
}

// is checks status and, unless it is "", that the body contains the text.
func (a answer) is(t testing.TB, status int, body string) answer {
	t.Helper()
	if a.StatusCode != status || !strings.Contains(a.body, body) {
		t.Fatalf("%s %s: got %d, want %d with %q: %s", a.Request.Method, a.Request.URL, a.StatusCode, status, body, a.body)
	}
	if a.StatusCode != http.StatusNoContent && !json.Valid([]byte(a.body)) && a.Header.Get("Content-Type") == "application/json" {
		t.Fatalf("no JSON: %s", a.body)
	}
	return a
}

// exactly checks the whole body.
func (a answer) exactly(t testing.TB, status int, body string) answer {
	t.Helper()
	if a.is(t, status, ""); a.body != body {
		t.Fatalf("%s %s:\n got %s\nwant %s", a.Request.Method, a.Request.URL, a.body, body)
	}
	return a
}

func parse[T any](t testing.TB, a answer) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	return v
}

// permit gives everybody with the role the action on the group.
func (s *site) permit(role, action, group string) {
	s.t.Helper()
	admin := access.WithCaller(s.t.Context(), &access.Caller{Name: "test", Admin: true})
	_, _ = s.access.CreateRole(admin, access.Role(role), "") // there may be one already
	_, err := s.access.Permit(admin, access.Grant{Role: access.Role(role), Group: access.Group(group), Action: access.Action(action)})
	noError(s.t, err)
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for pause := time.Millisecond; !is(); pause = min(2*pause, 50*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
		wait := time.NewTimer(pause)
		<-wait.C
	}
}

// doc is what answers say of a document.
type doc struct {
	UID       uuid.UUID
	Name      string
	Timestamp string
	Version   struct {
		Current  int
		Tags     []string
		Previous struct{ Version int }
	}
	ModifiedBy struct{ OID, Email string }
	Workspace  string
}

// page is what lists answer.
type page struct {
	Items    []doc
	PageInfo PageInfo
}

const (
	anyImpl   = `"implementation":{"type":"any"}`
	brickImpl = `"implementation":{"type":"brick","container":{"name":"c","image":"i"}}`
	otherUID  = "44763f88-7f51-11ec-a8a3-0242ac120002"
)

// component is a component's request; more members begin with a comma.
func component(more string) string {
	return `{"component":{"type":"component"` + more + `}}`
}

func (s *site) newComponent(auth, more string) doc {
	s.t.Helper()
	return parse[doc](s.t, s.do("POST", "/components/", auth, component(more)).is(s.t, 201, ""))
}

// uses is a graph of one node that refers to a component.
func uses(ref string) string {
	return `,"implementation":{"type":"graph","nodes":[{"id":"a","node":` + ref + `}]}`
}

func workflow(workspace, more string) string {
	return `{"workflow":{"type":"workflow","workspace":"` + workspace + `","component":{"type":"component","uid":"` + otherUID + `",` + brickImpl + `}` + more + `}}`
}

func job(workspace, more string) string {
	return `{"job":{"type":"job","workflow":{"type":"workflow","workspace":"` + workspace + `","component":{"type":"component","uid":"` + otherUID + `",` + brickImpl + `}}` + more + `},"options":{"tags":["a","b"]}}`
}
