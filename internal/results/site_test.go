package results

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
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
	"lodge/internal/results/hub"
	"lodge/internal/results/hubsim"
	"lodge/internal/secret"
	"lodge/internal/work"
)

// site is this part as it runs: behind the edge and the gate, on real SQLite and real files, with a
// hub that speaks HTTP.
type site struct {
	t      testing.TB
	svc    *Service
	url    string
	db     *database.DB
	bucket objects.Bucket
	access *access.Service
	sim    *hubsim.Sim
	hubURL string
	stop   func() // ends the background work
}

// setup is what a test wants to be different.
type setup struct {
	cfg    Config
	noHub  bool
	sim    *hubsim.Sim
	hub    hub.Config
	db     *database.DB
	bucket objects.Bucket
	// provider serves the issuer's JWKS; nil gives the test key.
	provider http.HandlerFunc
	asleep   bool // no background work
}

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
	ctx, log := t.Context(), slog.New(slog.NewTextHandler(t.Output(), nil))
	s := &site{t: t, sim: set.sim, db: set.db, bucket: set.bucket}
	if s.db == nil {
		s.db = databasetest.SQLite(t)
	}
	if s.bucket == nil {
		files, err := objects.OpenFiles(t.TempDir(), log)
		noError(t, err)
		t.Cleanup(func() { noError(t, files.Close()) })
		s.bucket = files
	}
	b, err := bus.Open(bus.Config{}, log)
	noError(t, err)
	t.Cleanup(func() { noError(t, b.Close()) })

	queue := work.NewQueue(s.db, b, time.Now, log)
	auditLog := audit.New(s.db, queue, ed25519.NewKeyFromSeed(make([]byte, 32)), time.Now, log)
	s.access = access.New(s.db, b, func(context.Context, *database.Tx, string, string, string) error { return nil }, Actions(), time.Now, log)
	if set.provider == nil {
		set.provider = func(w http.ResponseWriter, _ *http.Request) {
			keys := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: testRSA().Public(), KeyID: "test", Use: "sig"}}}
			noErrorLater(t, json.NewEncoder(w).Encode(keys))
		}
	}
	provider := httptest.NewServer(set.provider)
	t.Cleanup(provider.Close)
	gate, err := identity.New(identity.Config{
		PublicURL:     "http://lodge.test",
		Issuers:       []identity.Issuer{{JWKSURL: provider.URL, RoleClaim: "roles"}},
		TrustedHeader: identity.TrustedHeader{Name: "userid", Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	}, s.db, b, s.access, auditLog, testRSA(), time.Now, log)
	noError(t, err)

	var client *hub.Client
	if !set.noHub {
		if s.sim == nil {
			s.sim = hubsim.New(hubsim.Options{Dir: t.TempDir()})
			t.Cleanup(func() { noError(t, s.sim.Close()) })
		}
		at := httptest.NewServer(s.sim.Handler())
		t.Cleanup(at.Close)
		s.hubURL = at.URL
		t.Cleanup(func() { s.sim.SetMode(hubsim.Mode{Mode: "ok"}) }) // lets go of what hangs
		set.hub.CoreURL, set.hub.StorageURL, set.hub.AuthURL = at.URL+"/core", at.URL+"/storage", at.URL+"/auth"
		set.hub.Flow, set.hub.ID, set.hub.Secret = cmp.Or(set.hub.Flow, "robot"), uuid.NewString(), secret.String("s3cret")
		client, err = hub.New(set.hub, time.Now, log)
		noError(t, err)
		t.Cleanup(client.Close)
	}
	if set.cfg.TempDir == "" {
		set.cfg.TempDir = t.TempDir()
	}
	s.svc, err = New(set.cfg, s.db, s.bucket, queue, s.access, auditLog, client, time.Now, log)
	noError(t, err)

	edge := httpapi.New(httpapi.Config{}, gate, log, time.Now, nil)
	noError(t, edge.Mount(s.svc.Mount()))
	server := httptest.NewServer(edge.Handler())
	t.Cleanup(server.Close)
	s.url = server.URL + set.cfg.Prefix

	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var group sync.WaitGroup
	if !set.asleep {
		group.Go(func() { noErrorLater(t, s.svc.Run(running)) })
	}
	s.stop = sync.OnceFunc(func() { cancel(); group.Wait() })
	t.Cleanup(s.stop)
	return s
}

func noErrorLater(t testing.TB, err error) {
	if err != nil {
		t.Error(err)
	}
}

// claims of a token, beside iat and exp.
type claims map[string]any

func sign(t testing.TB, alg jose.SignatureAlgorithm, key any, c claims) string {
	t.Helper()
	all := claims{"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	for k, v := range c {
		if v == nil {
			delete(all, k)
			continue
		}
		all[k] = v
	}
	payload, err := json.Marshal(all)
	noError(t, err)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
	noError(t, err)
	signed, err := signer.Sign(payload)
	noError(t, err)
	token, err := signed.CompactSerialize()
	noError(t, err)
	return token
}

// analysis is the Authorization of an analysis.
func analysis(t testing.TB, id string) string {
	return "Bearer " + sign(t, jose.RS256, testRSA(), claims{"client_id": id})
}

// answer is a response with its body.
type answer struct {
	*http.Response
	body string
}

// do sends a request. auth is the Authorization header; "userid: NAME" is a person behind the proxy.
func (s *site) do(method, path, auth string, head http.Header, body io.Reader) answer {
	s.t.Helper()
	target := path
	if !strings.HasPrefix(path, "http") {
		target = s.url + path
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, target, body)
	noError(s.t, err)
	for k, v := range head {
		req.Header[k] = v
	}
	if name, ok := strings.CutPrefix(auth, "userid: "); ok {
		req.Header.Set("userid", name)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	} else if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	noError(s.t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	noError(s.t, err)
	return answer{resp, string(text)}
}

func (s *site) get(path, auth string) answer { return s.do(http.MethodGet, path, auth, nil, nil) }

func (s *site) put(path, auth string, parts ...sentPart) answer {
	s.t.Helper()
	kind, body := buildForm(parts...)
	return s.do(http.MethodPut, path, auth, http.Header{"Content-Type": {kind}}, strings.NewReader(body))
}

// is checks status and, unless it is "", the detail or the whole body.
func (a answer) is(t testing.TB, status int, body string) answer {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s: status %d, want %d: %s", a.Request.Method, a.Request.URL.Path, a.StatusCode, status, a.body)
	}
	if body == "" {
		return a
	}
	if detail := a.detail(t); detail != body && a.body != body {
		t.Fatalf("%s %s:\n got %s\nwant %s", a.Request.Method, a.Request.URL.Path, a.body, body)
	}
	return a
}

func (a answer) detail(t testing.TB) string {
	t.Helper()
	var problem struct{ Detail any }
	if json.Unmarshal([]byte(a.body), &problem) != nil {
		return ""
	}
	text, _ := problem.Detail.(string)
	return text
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

// person is the Authorization of a person by token, with roles.
func person(t testing.TB, name string, roles ...string) string {
	return "Bearer " + sign(t, jose.RS256, testRSA(), claims{"sub": name, "roles": roles})
}

// projectOf is the project that the simulated hub gives an analysis.
func (s *site) projectOf(analysis string) string {
	s.t.Helper()
	a, err := s.svc.hub.Analysis(s.t.Context(), analysis)
	noError(s.t, err)
	return a.ProjectID
}

// keys lists the stored objects below a prefix.
func (s *site) keys(prefix string) []string {
	s.t.Helper()
	var keys []string
	for info, err := range s.bucket.List(s.t.Context(), prefix) {
		noError(s.t, err)
		keys = append(keys, info.Key)
	}
	return keys
}

// count counts a table's rows.
func (s *site) count(table string) int64 {
	s.t.Helper()
	n, err := number(s.t.Context(), s.db, "SELECT COUNT(*) FROM "+table)
	noError(s.t, err)
	return n
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

// waitFor waits until an upload is in the state.
func (s *site) waitFor(path, auth, state string) UploadInfo {
	s.t.Helper()
	var u UploadInfo
	eventually(s.t, "upload is "+state, func() bool {
		u = parse[UploadInfo](s.t, s.get(path, auth).is(s.t, 200, ""))
		return u.State == state
	})
	return u
}

// withHub changes how the hub is called.
func withHub(change func(*hub.Config)) func(*setup) { return func(set *setup) { change(&set.hub) } }

func withConfig(change func(*Config)) func(*setup) { return func(set *setup) { change(&set.cfg) } }

func withoutHub(set *setup) { set.noHub = true }

func asleep(set *setup) { set.asleep = true }
