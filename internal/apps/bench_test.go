package apps

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"testing"

	"github.com/google/uuid"

	"lodge/internal/access"
	"lodge/internal/database"
)

// BenchmarkProxy compares a small request through everything with a bare proxy before the same app.
func BenchmarkProxy(b *testing.B) {
	s := newSite(b)
	row, at := s.up("ana", "demo")
	main, _ := s.login("ana")
	pass, err := s.seal(appPass{Login: sessionID(main), User: access.CallerFrom(s.as("ana")).UserID, Host: "demo--ana", Until: s.now().Unix() + 3600})
	noError(b, err)
	backend, err := url.Parse("http://" + row.Address)
	noError(b, err)
	transport := newTransport()
	defer transport.CloseIdleConnections()
	bare := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(backend) }, Transport: transport, BufferPool: &buffers{}})
	defer bare.Close()
	for name, target := range map[string]string{"lodge": at, "bare": bare.URL} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			client := s.client()
			if name == "bare" {
				client = &http.Client{}
			}
			defer client.CloseIdleConnections()
			for b.Loop() {
				req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, target+"/", nil)
				noError(b, err)
				req.Header.Set("Cookie", "lodge-app="+pass)
				resp, err := client.Do(req)
				noError(b, err)
				if resp.StatusCode != 200 {
					b.Fatal(resp.StatusCode)
				}
				_, err = io.Copy(io.Discard, resp.Body)
				noError(b, err)
				_ = resp.Body.Close()
			}
		})
	}
}

// BenchmarkNote is what is kept of a request.
func BenchmarkNote(b *testing.B) {
	s := newSite(b, func(set *setup) { set.asleep = true })
	l := s.tracker.of("x")
	for b.Loop() {
		l.note(&byRequest, s.now())
	}
}

// manySessions are as many as a large site has.
const manySessions = 10_000

// BenchmarkCull looks through many app sessions of which none is due.
func BenchmarkCull(b *testing.B) {
	s := newSite(b, func(set *setup) { set.asleep = true })
	noError(b, s.db.Tx(b.Context(), func(tx *database.Tx) error {
		for range manySessions {
			id := uuid.NewString()
			row := Session{
				ID: id, OwnerID: id, App: "demo", Host: "demo--" + id[:8], State: Running, Run: 1, Driver: "fake", Entry: demo(),
				Created: s.now(), Queued: s.now(), Started: s.now(), Ready: s.now(), Active: s.now(),
			}
			if err := s.store.insertSession(b.Context(), tx, &row); err != nil {
				return err
			}
		}
		return nil
	}))
	for b.Loop() {
		noError(b, s.cull(b.Context()))
	}
	b.ReportMetric(float64(s.count("SELECT COUNT(*) FROM app_sessions WHERE state = 'ready'")), "sessions")
}

// BenchmarkIdle is what a server keeps in memory of app sessions that nobody uses just now.
func BenchmarkIdle(b *testing.B) {
	s := newSite(b, func(set *setup) { set.asleep = true })
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for b.Loop() {
		t, before := newTracker(s.now), heap()
		for range manySessions {
			t.of(uuid.NewString()).note(&byRequest, s.now())
		}
		b.ReportMetric(float64(heap()-before)/manySessions, "B/session")
		runtime.KeepAlive(t)
	}
}
