package access

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lodge/internal/bus"
	"lodge/internal/database/databasetest"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
)

// gate lets the subject in that the header X-Test names.
type gate struct{ h *house }

func (g gate) Authenticate(r *http.Request) (context.Context, error) {
	subject := r.Header.Get("X-Test")
	if subject == "" {
		return r.Context(), nil
	}
	u, err := g.h.FirstSight(r.Context(), "https://issuer", subject, subject, "")
	if err != nil {
		return nil, err
	}
	return WithCaller(r.Context(), &Caller{UserID: u.ID, Issuer: u.Issuer, Subject: u.Subject, Name: u.Name, Roles: u.Roles, Admin: u.Admin}), nil
}

func (g gate) Authorize(ctx context.Context, action, group string, _ bool) error {
	_, err := g.h.Require(ctx, Action(action), Group(group))
	return err
}

func newAPI(t *testing.T, h *house) http.Handler {
	t.Helper()
	s := httpapi.New(httpapi.Config{}, gate{h}, slog.New(slog.DiscardHandler), time.Now, nil)
	if err := s.Mount(httpapi.Mount{Name: "platform", Title: "Lodge", Version: "1", Routes: h.Routes()}); err != nil {
		t.Fatal(err)
	}
	return s.Handler()
}

func TestAPI(t *testing.T) {
	t.Parallel()
	h := newHouse(t, databasetest.SQLite(t))
	ann := h.user(t, "ann").ID
	if _, err := h.ChangeUser(root(t.Context()), h.user(t, "boss").ID, UserChange{Admin: yes()}); err != nil {
		t.Fatal(err)
	}
	h.role(t, "people", "users.read site", "users.write site")
	api := newAPI(t, h)
	for _, c := range []struct {
		who, method, path, body string
		status                  int
		says                    string
	}{
		{"", "GET", "/api/v1/users", "", 401, "log in"},
		{"ann", "GET", "/api/v1/users", "", 403, `"permission":"users.read on site"`},
		{"ann", "GET", "/api/v1/actions", "", 200, `{"action":"results.read","help":"Read files","part":"results"}`},
		{"boss", "GET", "/api/v1/users?limit=1&offset=1&q=", "", 200, `"name":"boss"`},
		{"boss", "GET", "/api/v1/users?limit=1", "", 200, `"total":2,"limit":1,"offset":0}`},
		{"boss", "GET", "/api/v1/users?disabled=true", "", 200, `{"items":[],"total":0,`},
		{"boss", "GET", "/api/v1/users?limit=0", "", 400, "limit"},
		{"boss", "GET", "/api/v1/users?limit=1001", "", 400, "limit"},
		{"boss", "GET", "/api/v1/users?offset=-1", "", 400, "offset"},
		{"boss", "GET", "/api/v1/users/" + ann, "", 200, `"subject":"ann"`},
		{"boss", "GET", "/api/v1/users/nobody", "", 404, "no user"},
		{"boss", "POST", "/api/v1/users", `{"issuer":"i","subject":"s","name":"New","roles":["people"]}`, 201, `"roles":["people"]`},
		{"boss", "POST", "/api/v1/users", `{"issuer":"i","subject":"s"}`, 409, "known already"},
		{"boss", "POST", "/api/v1/users", `{"issuer":"i","subject":"s2","root":true}`, 400, "root"},
		{"boss", "POST", "/api/v1/users", `{"issuer":""}`, 400, "subject"},
		{"boss", "PUT", "/api/v1/users/" + ann + "/roles/people", "", 204, ""},
		{"boss", "PUT", "/api/v1/users/" + ann + "/roles/people", "", 204, ""},
		{"boss", "PUT", "/api/v1/users/" + ann + "/roles/ghost", "", 404, "no role"},
		{"ann", "PATCH", "/api/v1/users/" + ann, `{"admin":true}`, 403, `"permission":"administrator"`},
		{"ann", "PATCH", "/api/v1/users/" + ann, `{}`, 200, `"admin":false`},
		{"ann", "GET", "/api/v1/users?q=BOSS", "", 200, `"total":1`},
		{"boss", "POST", "/api/v1/roles", `{"name":"lab readers%","description":"Read"}`, 201, `"members":0`},
		{"boss", "POST", "/api/v1/roles", `{"name":"lab readers%"}`, 409, "already"},
		{"boss", "POST", "/api/v1/roles", `{"name":" x"}`, 400, "space"},
		{"boss", "POST", "/api/v1/roles", `{"name":"a/b"}`, 400, "must not contain '/'"},
		{"boss", "POST", "/api/v1/roles", `{"name":".."}`, 400, "dots"},
		{"boss", "GET", "/api/v1/roles/lab%20readers%25", "", 200, `"description":"Read"`},
		{"boss", "PATCH", "/api/v1/roles/lab%20readers%25", `{"description":"Reads files"}`, 200, `"description":"Reads files"`},
		{"boss", "GET", "/api/v1/roles?q=lab", "", 200, `"total":1`},
		{"boss", "POST", "/api/v1/permissions", `{"role":"lab readers%","group":"lab","action":"results.read"}`, 201, `"group":"lab"`},
		{"boss", "POST", "/api/v1/permissions", `{"role":"lab readers%","group":"lab","action":"results.reed"}`, 400, "did you mean results.read"},
		{"boss", "GET", "/api/v1/permissions?role=lab%20readers%25&group=lab&action=results.read", "", 200, `"total":1`},
		{"boss", "PUT", "/api/v1/users/" + ann + "/roles/lab%20readers%25", "", 204, ""},
		{"boss", "GET", "/api/v1/access/explain?user=ann&action=results.read&group=lab", "", 200, `{"allowed":true,"rule":"role lab readers% on lab"`},
		{"boss", "GET", "/api/v1/access/explain?action=results.read&group=lab", "", 200, `"rule":"role lab readers% on lab"`},
		{"boss", "GET", "/api/v1/access/explain?user=ann", "", 200, `"rights":{"items":[{"action":`},
		{"boss", "GET", "/api/v1/access/explain", "", 400, "name a user"},
		{"ann", "GET", "/api/v1/access/explain?user=ann", "", 403, "access.explain on site"},
		{"boss", "DELETE", "/api/v1/permissions?role=lab%20readers%25&group=lab&action=results.read", "", 204, ""},
		{"boss", "DELETE", "/api/v1/permissions?role=lab%20readers%25&group=lab", "", 400, "action"},
		{"boss", "DELETE", "/api/v1/users/" + ann + "/roles/lab%20readers%25", "", 204, ""},
		{"boss", "DELETE", "/api/v1/roles/lab%20readers%25", "", 204, ""},
		{"boss", "DELETE", "/api/v1/roles/lab%20readers%25", "", 404, "no role"},
		{"boss", "PATCH", "/api/v1/users/" + ann, `{"disabled":true}`, 200, `"disabled":true`},
		{"ann", "GET", "/api/v1/users", "", 403, "disabled"},
		{"ann", "GET", "/api/v1/actions", "", 403, "disabled"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), c.method, c.path, strings.NewReader(c.body))
		r.Header.Set("Content-Type", "application/json")
		if c.who != "" {
			r.Header.Set("X-Test", c.who)
		}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		body, _ := io.ReadAll(w.Result().Body)
		if w.Code != c.status || !strings.Contains(string(body), c.says) {
			t.Errorf("%s %s %s %s: got %d %s, want %d with %s", c.who, c.method, c.path, c.body, w.Code, body, c.status, c.says)
		}
		if len(body) > 0 && !json.Valid(body) {
			t.Errorf("%s %s: no JSON: %s", c.method, c.path, body)
		}
	}
}

// The news of a change travels by the bus; without it the mark alone would do, a second later.
func TestNewsOfAChange(t *testing.T) {
	t.Parallel()
	b, err := bus.Open(bus.Config{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	db := databasetest.SQLite(t)
	here, there := newHouse(t, db), newHouse(t, db)
	here.bus, there.bus = b, b
	here.role(t, "auditor", "audit.read site")
	here.give(t, "ann", "auditor")
	ann := here.as(t, "ann")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- there.Run(ctx) }()
	if _, err := there.Require(ann, "audit.read", Site); err != nil {
		t.Fatal(err)
	}
	if err := here.Forbid(root(t.Context()), Grant{"auditor", Site, "audit.read"}); err != nil {
		t.Fatal(err)
	}
	// The clock of the other replica stands still: it has no reason of its own to look.
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err := there.Require(ann, "audit.read", Site); fault.Is(err, fault.Denied) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the other replica did not learn of the change")
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
