package httpapi

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// discard is a response that costs nothing, so that the figures are the chain's.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

// BenchmarkChain is what the edge adds to a request: all of it, with and without the access log.
func BenchmarkChain(b *testing.B) {
	nothing := func(w http.ResponseWriter, _ *http.Request) error { return NoContent(w) }
	for name, access := range map[string]bool{"quiet": false, "logged": true} {
		b.Run(name, func(b *testing.B) {
			log := slog.New(slog.NewJSONHandler(io.Discard, nil)) //nolint:sloglint // what formatting costs is part of the figure
			s := New(Config{AccessLog: access, Caller: callerName}, openGate{}, log, time.Now, prometheus.NewRegistry())
			mustMount(b, s, Mount{Name: "things", Prefix: "/things", Routes: []Route{
				{Method: "GET", Path: "/{project}/local/{id}", Action: "things.read", Group: func(r *http.Request) string { return r.PathValue("project") }, Handle: nothing},
			}})
			h := s.Handler()
			r := httptest.NewRequest("GET", "/things/red/local/0b0e7a3c", nil)
			w := &discard{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.h)
				h.ServeHTTP(w, r)
			}
		})
	}
}

// openGate lets everybody pass without a cost of its own.
type openGate struct{}

func (openGate) Authorize(_ context.Context, _, _ string, _ bool) error { return nil }
func (openGate) Authenticate(r *http.Request) (context.Context, error)  { return r.Context(), nil }

func BenchmarkDecode(b *testing.B) {
	type request struct {
		PageQuery
		Body sampleBody
	}
	log, _ := newLog()
	s := New(Config{}, nil, log, time.Now, nil)
	mustMount(b, s, Mount{Name: "x", Routes: []Route{{Method: "POST", Path: "/", Action: Public, Doc: Doc{Request: request{}}, Handle: func(_ http.ResponseWriter, r *http.Request) error {
		_, err := Decode[request](r)
		return err
	}}}})
	h := s.Handler()
	const body = `{"title":"a","items":[{"name":"x","count":3},{"name":"y"}],"extra":{"k":"v"},"big":12}`
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("POST", "/?limit=7", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		h.ServeHTTP(&discard{http.Header{}}, r)
	}
}
