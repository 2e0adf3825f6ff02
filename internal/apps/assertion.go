package apps

import (
	"log/slog"
	"net/http"
	"sync"
	"time"

	"lodge/internal/access"
)

const (
	assertionHeader = "X-Lodge-Assertion"
	assertionTTL    = time.Minute
	// maxAssertions bounds how many are remembered at a time.
	maxAssertions = 10_000
)

// assertions are those that were signed a moment ago: a signature costs more than all else that is
// done for a request.
type assertions struct {
	mu   sync.Mutex
	kept map[string]keptAssertion
}

type keptAssertion struct {
	text string
	at   time.Time
}

// assert tells the app by a signed token who calls, if its entry asks for that, so that it need not
// trust the network.
func (f *front) assert(h http.Header, r *http.Request, p *passage) {
	if !p.row.Entry.Identity.Assertion {
		return
	}
	text, err := f.assertions.of(p.caller, string(p.app.ID), f.now(), f.identity.Assert)
	if err != nil {
		f.log.ErrorContext(r.Context(), "an app could not be told who calls", slog.Any("error", err))
		return
	}
	h[assertionHeader] = []string{text}
}

// of gives an assertion that holds for half of its time at least.
func (a *assertions) of(c *access.Caller, app string, now time.Time, sign func(*access.Caller, string, time.Duration) (string, error)) (string, error) {
	// Roles may change meanwhile: whoever has others is told of anew.
	key := c.Issuer + "\x00" + c.Subject + "\x00" + app
	for _, r := range c.Roles {
		key += "\x00" + string(r)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if k, ok := a.kept[key]; ok && now.Sub(k.at) < assertionTTL/2 && !now.Before(k.at) {
		return k.text, nil
	}
	text, err := sign(c, app, assertionTTL)
	if err != nil {
		return "", err
	}
	if a.kept == nil || len(a.kept) >= maxAssertions {
		a.kept = map[string]keptAssertion{}
	}
	a.kept[key] = keptAssertion{text, now}
	return text, nil
}
