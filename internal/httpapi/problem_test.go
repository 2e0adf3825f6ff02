package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"lodge/internal/fault"
)

type patient struct{ error }

func (patient) RetryAfter() time.Duration { return 1500 * time.Millisecond }

// TestProblems is the table of what each error looks like to clients.
func TestProblems(t *testing.T) {
	t.Parallel()
	cause := errors.New("dial tcp 10.0.0.5: password=hunter2")
	tests := []struct {
		name   string
		err    error
		status int
		body   string
		header string // Name: value
		logged bool
	}{
		{"no kind", cause, 500, `{"kind":"internal","message":"something went wrong on our side; the log has more under this request id","request_id":"ID"}`, "", true},
		{"internal", fault.Wrap(cause, fault.Internal, "details of ours"), 500, `{"kind":"internal","message":"something went wrong on our side; the log has more under this request id","request_id":"ID"}`, "", true},
		{"invalid", fault.New(fault.Invalid, "no <b> & c"), 400, `{"kind":"invalid","message":"no <b> & c","request_id":"ID"}`, "", false},
		{
			"fields", fault.InvalidFields(fault.Field{Loc: []string{"body", "name"}, Type: "missing", Message: "is required", Input: "hunter2"}), 400,
			`{"kind":"invalid","message":"the request is not valid","request_id":"ID","fields":[{"loc":["body","name"],"type":"missing","message":"is required"}]}`, "", false,
		},
		{"unauthenticated", fault.New(fault.Unauthenticated, "please log in"), 401, `{"kind":"unauthenticated","message":"please log in","request_id":"ID"}`, "Www-Authenticate: Bearer", false},
		{"denied", &fault.Error{Kind: fault.Denied, Detail: "you may not", Permission: "audit.read on site"}, 403, `{"kind":"denied","message":"you may not","permission":"audit.read on site","request_id":"ID"}`, "", false},
		{"missing", fmt.Errorf("get: %w", fault.New(fault.Missing, "no such thing")), 404, `{"kind":"missing","message":"no such thing","request_id":"ID"}`, "", false},
		{"conflict", fault.New(fault.Conflict, "taken"), 409, `{"kind":"conflict","message":"taken","request_id":"ID"}`, "", false},
		{"too large", fault.Wrap(&http.MaxBytesError{Limit: 5}, fault.Invalid, "cannot read"), 413, `{"kind":"too_large","message":"the body is larger than the limit of 5 bytes","request_id":"ID"}`, "", false},
		{"exhausted", fault.New(fault.Exhausted, "slower"), 429, `{"kind":"exhausted","message":"slower","request_id":"ID"}`, "Retry-After: 5", false},
		{"exhausted with a hint", fault.Wrap(patient{cause}, fault.Exhausted, "slower"), 429, `{"kind":"exhausted","message":"slower","request_id":"ID"}`, "Retry-After: 2", false},
		{"full", fault.New(fault.Full, "no room"), 507, `{"kind":"full","message":"no room","request_id":"ID"}`, "", true},
		{"upstream", fault.Wrap(cause, fault.Upstream, "the hub said no"), 502, `{"kind":"upstream","message":"the hub said no","request_id":"ID"}`, "", true},
		{"unavailable", fault.Wrap(cause, fault.Unavailable, "the database is away"), 503, `{"kind":"unavailable","message":"the database is away","request_id":"ID"}`, "Retry-After: 5", true},
		{"timeout", fault.New(fault.Timeout, "too slow"), 504, `{"kind":"timeout","message":"too slow","request_id":"ID"}`, "", true},
		{"deadline", fmt.Errorf("query: %w", context.DeadlineExceeded), 504, `{"kind":"timeout","message":"this took too long","request_id":"ID"}`, "", true},
		{"I/O deadline", fmt.Errorf("read: %w", os.ErrDeadlineExceeded), 504, `{"kind":"timeout","message":"this took too long","request_id":"ID"}`, "", true},
		{"unsupported", fault.New(fault.Unsupported, "only JSON"), 415, `{"kind":"unsupported","message":"only JSON","request_id":"ID"}`, "", false},
		{"method", &MethodError{Allow: "GET, HEAD"}, 405, `{"kind":"unsupported","message":"this method is not served here; allowed: GET, HEAD","request_id":"ID"}`, "Allow: GET, HEAD", false},
		{"no route", ErrNoRoute, 404, `{"kind":"missing","message":"there is nothing at this address","request_id":"ID"}`, "", false},
		{"stalled", fmt.Errorf("read: %w", ErrStalled), 408, `{"kind":"invalid","message":"the body stopped coming","request_id":"ID"}`, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			log, lines := newLog()
			s := New(Config{}, nil, log, time.Now, nil)
			mustMount(t, s, Mount{Name: "x", Routes: []Route{get("/", func(w http.ResponseWriter, _ *http.Request) error {
				w.Header().Set("Content-Disposition", "attachment")
				w.Header().Set("Content-Length", "5000")
				return tt.err
			})}})
			w := do(s.Handler(), "GET", "/")
			want := `{"error":` + strings.ReplaceAll(tt.body, "ID", w.Header().Get("X-Request-Id")) + `}`
			if w.Code != tt.status || w.Body.String() != want {
				t.Errorf("got %d %s\nwant %d %s", w.Code, w.Body, tt.status, want)
			}
			if name, value, ok := strings.Cut(tt.header, ": "); ok && w.Header().Get(name) != value {
				t.Errorf("%s: %q, want %q", name, w.Header().Get(name), value)
			}
			if w.Header().Get("Content-Disposition") != "" {
				t.Error("the error would be saved as a file")
			}
			logged := lines.lines(t, "request failed")
			if (len(logged) == 1) != tt.logged {
				t.Errorf("logged %d times: %v", len(logged), logged)
			}
			if tt.logged && !strings.Contains(fmt.Sprint(logged[0]["error"]), tt.err.Error()) {
				t.Errorf("the log lacks the cause: %v", logged[0])
			}
		})
	}
}

func TestEveryKindHasAStatus(t *testing.T) {
	t.Parallel()
	for kind := fault.Internal; kind.String() != ""; kind++ {
		if statuses[kind] == 0 {
			t.Errorf("%s has no status", kind)
		}
	}
}
