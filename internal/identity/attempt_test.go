package identity

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func (s *site) begin(t testing.TB, a attempt) *http.Cookie {
	t.Helper()
	w := httptest.NewRecorder()
	if err := s.saveAttempt(w, httptest.NewRequest(http.MethodGet, loginPath, http.NoBody), a); err != nil {
		t.Fatal(err)
	}
	return w.Result().Cookies()[0]
}

func (s *site) take(state string, cookies ...*http.Cookie) (attempt, error) {
	r := httptest.NewRequest(http.MethodGet, callbackPath, http.NoBody)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return s.takeAttempt(httptest.NewRecorder(), r, state)
}

func TestAttempt(t *testing.T) {
	t.Parallel()
	s := newSite(t, Config{PublicURL: "https://lodge.test"})
	now := s.now()
	made := attempt{State: "s1", Nonce: "n", Verifier: "the-verifier", Next: "/ui/", Until: now.Add(attemptTTL).Unix()}
	c := s.begin(t, made)
	if !c.HttpOnly || !c.Secure || !strings.HasPrefix(c.Name, "__Host-lodge_login_") || strings.Contains(c.Value, "verifier") {
		t.Errorf("the cookie: %+v", c)
	}
	with := func(value string) *http.Cookie { return &http.Cookie{Name: c.Name, Value: value} }
	other := s.begin(t, attempt{State: "s2", Until: made.Until})
	for name, try := range map[string]struct {
		state   string
		cookies []*http.Cookie
	}{
		"no cookie":             {"s1", nil},
		"no state":              {"", []*http.Cookie{c}},
		"another state":         {"s9", []*http.Cookie{c}},
		"another's cookie":      {"s1", []*http.Cookie{with(other.Value)}},
		"two cookies":           {"s1", []*http.Cookie{c, c}},
		"changed":               {"s1", []*http.Cookie{with(c.Value[:len(c.Value)-2] + "AA")}},
		"cut":                   {"s1", []*http.Cookie{with(c.Value[:20])}},
		"rubbish":               {"s1", []*http.Cookie{with("%%%")}},
		"made by somebody else": {"s1", []*http.Cookie{with("eyJzIjoiczEifQ")}},
	} {
		if a, err := s.take(try.state, try.cookies...); err == nil {
			t.Errorf("%s: took %+v", name, a)
		}
	}
	if a, err := s.take("s1", c, other); err != nil || a != made {
		t.Errorf("got %+v, %v", a, err)
	}
	if _, err := s.take("s1", c); err == nil {
		t.Error("taken twice")
	}
	s.move(attemptTTL)
	if _, err := s.take("s2", other); err == nil {
		t.Error("taken too late")
	}
}

func TestCache(t *testing.T) {
	t.Parallel()
	at := newClock()
	c := newCache[int, string](160)
	for i := range 10_000 {
		c.put(i, "x", at.now().Add(time.Second), c.mark(i))
	}
	held := 0
	for i := range c.shards {
		held += c.shards[i].order.Len()
		if len(c.shards[i].items) != c.shards[i].order.Len() {
			t.Error("index and order differ")
		}
	}
	if held > 160 {
		t.Errorf("%d are held", held)
	}
	if v, ok := c.get(9_999, at.now()); !ok || v != "x" {
		t.Error("the last is gone")
	}
	at.move(time.Second)
	if _, ok := c.get(9_999, at.now()); ok {
		t.Error("still good after its time")
	}
	// An answer that was read before a revocation must not be remembered after it.
	mark := c.mark(1)
	c.forget(1)
	c.put(1, "old", at.now().Add(time.Hour), mark)
	if _, ok := c.get(1, at.now()); ok {
		t.Error("an old answer is remembered")
	}
	c.put(1, "new", at.now().Add(time.Hour), c.mark(1))
	if v, _ := c.get(1, at.now()); v != "new" {
		t.Error("a new answer is not")
	}
}
