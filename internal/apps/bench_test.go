package apps

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"lodge/internal/access"
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
