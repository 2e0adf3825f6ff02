package apps

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lodge/internal/access"
	"lodge/internal/audit"
	"lodge/internal/bus"
	"lodge/internal/database"
	"lodge/internal/database/databasetest"
	"lodge/internal/httpapi"
	"lodge/internal/identity"
	"lodge/internal/work"
)

var testRSA = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// site is this part as it runs: behind the edge and the gate, on real SQLite.
type site struct {
	*Service
	t      testing.TB
	db     *database.DB
	driver *fakeDriver
	server *httptest.Server
	// ahead is how far the clock of the part is before the machine's.
	ahead *atomic.Int64
	stop  func()
}

type setup struct {
	cfg     Config
	db      *database.DB
	driver  *fakeDriver
	asleep  bool
	proxies []netip.Prefix
}

func request(method, target string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// demo is an app that everybody may use.
func demo(change ...func(*App)) App {
	a := App{ID: "demo", Image: "demo", Allow: Allow{Users: []string{"*"}}, Ready: Ready{Timeout: Duration(20 * time.Second)}}
	for _, c := range change {
		c(&a)
	}
	return a.withDefaults()
}

func newSite(t testing.TB, change ...func(*setup)) *site {
	t.Helper()
	set := setup{}
	for _, c := range change {
		c(&set)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	s := &site{t: t, db: set.db, driver: set.driver, ahead: new(atomic.Int64)}
	if s.db == nil {
		s.db = databasetest.SQLite(t)
	}
	if s.driver == nil {
		s.driver = newFakeDriver()
	}
	if set.cfg.Catalogue == nil {
		set.cfg.Catalogue = []App{demo()}
	}
	now := func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }
	b, err := bus.Open(bus.Config{}, log)
	noError(t, err)
	t.Cleanup(func() { noError(t, b.Close()) })
	queue := work.NewQueue(s.db, b, now, log)
	auditLog := audit.New(s.db, queue, ed25519.NewKeyFromSeed(make([]byte, 32)), time.Now, log)
	acc := access.New(s.db, b, func(context.Context, *database.Tx, string, string, string) error { return nil }, Actions(), time.Now, log)

	var handler atomic.Pointer[http.Handler]
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*handler.Load()).ServeHTTP(w, r) }))
	t.Cleanup(s.server.Close)
	public := strings.Replace(s.server.URL, "127.0.0.1", "localhost", 1)
	gate, err := identity.New(identity.Config{
		PublicURL: public, TrustedHeader: identity.TrustedHeader{Name: "userid", Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	}, s.db, b, acc, auditLog, testRSA(), time.Now, log)
	noError(t, err)
	set.cfg.PublicURL = public
	s.Service, err = New(t.Context(), set.cfg, Deps{
		DB: s.db, Bus: b, Queue: queue, Access: acc, Audit: auditLog, Identity: gate, Registry: prometheus.NewRegistry(), Now: now, Log: log,
	}, s.driver)
	noError(t, err)
	edge := httpapi.New(httpapi.Config{PublicURL: public, TrustedProxies: set.proxies}, gate, log, time.Now, nil)
	noError(t, edge.Mount(s.Mount()))
	noError(t, s.Connect(edge))
	h := edge.Handler()
	handler.Store(&h)

	running, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var group sync.WaitGroup
	if !set.asleep {
		group.Go(func() {
			if err := s.Run(running); err != nil {
				t.Error(err)
			}
		})
	}
	s.stop = sync.OnceFunc(func() { cancel(); group.Wait() })
	t.Cleanup(s.stop)
	return s
}

// as is a context with a person in it, who is entered at first sight.
func (s *site) as(name string, roles ...access.Role) context.Context {
	s.t.Helper()
	u, err := s.access.FirstSight(s.t.Context(), "header:userid", name, name, "")
	noError(s.t, err)
	return access.WithCaller(s.t.Context(), &access.Caller{
		UserID: u.ID, Issuer: u.Issuer, Subject: u.Subject, Name: name, Credential: access.Credential{Kind: "header"}, Roles: roles,
	})
}

func (s *site) admin() context.Context {
	ctx := s.as("root")
	c := *access.CallerFrom(ctx)
	c.Admin = true
	return access.WithCaller(ctx, &c)
}

func (s *site) launch(ctx context.Context, app AppID) Session {
	s.t.Helper()
	row, _, err := s.Launch(ctx, Request{App: app})
	noError(s.t, err)
	return row
}

// until waits until an app session is in a state.
func (s *site) until(id string, state State) Session {
	s.t.Helper()
	row, err := s.waitFor(s.t.Context(), id, 20*time.Second, func(r Session) bool { return r.State == state })
	noError(s.t, err)
	if row.State != state {
		s.t.Fatalf("app session is %s (%s: %s), want %s", row.State, row.Cause, row.Message, state)
	}
	return row
}

func (s *site) count(query string, args ...any) (n int) {
	s.t.Helper()
	noError(s.t, s.db.QueryRow(s.t.Context(), query, args...).Scan(&n))
	return n
}

// AccessRole is access.Role, for tables.
type AccessRole = access.Role

// permit gives everybody with the role the action on the group.
func (s *site) permit(role access.Role, action access.Action, group access.Group) {
	s.t.Helper()
	admin := access.WithCaller(s.t.Context(), &access.Caller{Name: "test", Admin: true})
	_, err := s.access.CreateRole(admin, role, "")
	noError(s.t, err)
	_, err = s.access.Permit(admin, access.Grant{Role: role, Group: group, Action: action})
	noError(s.t, err)
}

// setDisabled disables somebody as an administrator would.
func (s *site) setDisabled(id string) {
	s.t.Helper()
	_, err := s.db.Exec(s.t.Context(), "UPDATE users SET disabled = 1 WHERE id = ?", id)
	noError(s.t, err)
	s.permit("unused", OpenAny, "nowhere") // any change makes the others be read again
}
