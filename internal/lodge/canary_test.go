package lodge

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lodge/internal/config"
	"lodge/internal/httpapi"
	"lodge/internal/identity"
	"lodge/internal/secret"
)

// record keeps everything that a server tells anybody, with where it was told.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) add(where string, text string) {
	_, _ = fmt.Fprintf(r, "\n[%s]\n%s\n", where, text)
}

// TestCanary gives a site secrets that are easy to find, has it answer at every route, fail and log
// at its most talkative, and looks for them in all that it says. The class "secret leaked in an answer or a log".
func TestCanary(t *testing.T) {
	t.Parallel()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	nodeKey := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	canaries := map[string]string{
		"the hub's secret":      "canary-hub-" + rand.Text(),
		"the hub's proxy":       "canary-proxy-" + rand.Text(),
		"a bad token":           "canary-token-" + rand.Text(),
		"an account's password": "canary-password-" + rand.Text(),
		"the node's key":        strings.Split(nodeKey, "\n")[1],
		"a workspace's secret":  "canary-secret-" + rand.Text(),
	}
	said := &record{}
	cfg, err := config.Load(config.Input{File: os.DevNull, Environ: []string{
		"LODGE_DATA=" + filepath.Join(t.TempDir(), "data"), "LODGE_LISTEN=127.0.0.1:0", "LODGE_LOG_LEVEL=debug",
		// Nothing listens at these: every call to the hub fails, and is told of.
		"LODGE_RESULTS_HUB_URL=http://127.0.0.1:1", "LODGE_RESULTS_HUB_ID=node-7", "LODGE_RESULTS_HUB_SECRET=" + canaries["the hub's secret"],
		"LODGE_RESULTS_HUB_PROXY_HTTP=http://user:" + canaries["the hub's proxy"] + "@127.0.0.1:1", "LODGE_RESULTS_HUB_SYNC_TIMEOUT=1s",
		"LODGE_RESULTS_CRYPTO_PRIVATE_KEY=" + nodeKey,
	}})
	must(t, err)
	l, err := Open(t.Context(), cfg, Options{Version: "test", Out: io.Discard, Now: time.Now, Log: slog.New(slog.NewTextHandler(said, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	must(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- l.Serve(ctx) }()
	defer func() { must(t, l.Close()) }()
	s := &site{Lodge: l, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}

	office := &Office{l.platform}
	must(t, office.AddPerson(t.Context(), "test", NewPerson{Name: "alice", Password: secret.String(canaries["an account's password"]), Admin: true}))
	admin, _ := s.service(t, true)
	canaries["a service token"] = admin
	analysis, err := office.CreateToken(t.Context(), "test", identity.TokenRequest{Name: "analysis", Claims: map[string]any{"client_id": "0192f3a1-0000-7000-8000-000000000001"}})
	must(t, err)
	canaries["an analysis's token"] = analysis.Reveal()

	s.final(t, said, analysis.Reveal())
	s.putSecret(t, said, admin, canaries["a workspace's secret"])
	for _, r := range l.Routes() {
		at := r.Method + " " + r.Pattern
		for _, token := range []string{admin, canaries["a bad token"], analysis.Reveal()} {
			s.tell(t, said, r, token)
		}
		_, body := s.call(t, r, nil)
		said.add(at+" as nobody", body)
	}
	for _, path := range []string{"/metrics", "/api/v1/audit?format=ndjson", "/results/uploads", "/api/v1/site/config", "/workflows/api/v1/secrets/sandbox/", "/auth/login?token=" + canaries["a bad token"]} {
		s.tell(t, said, httpapi.RegisteredRoute{Route: httpapi.Route{Method: http.MethodGet}, Pattern: path}, admin)
	}
	for _, item := range cfg.Items() {
		said.add("config show", item.Value)
	}
	for _, f := range Examine(t.Context(), cfg, time.Now, slog.New(slog.NewTextHandler(said, nil))) {
		said.add("doctor", f.Text)
	}
	stop()
	must(t, <-ended)

	text := said.text.String()
	for _, want := range []string{"level=DEBUG", "hub", "lodge_build_info", "analysis"} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing was said of %s: the canaries were not where they could have sung", want)
		}
	}
	for name, canary := range canaries {
		if at := strings.Index(text, canary); at >= 0 {
			t.Errorf("%s was told: …%s…", name, text[max(0, at-300):at])
		}
	}
}

// final sends a final result, which waits for a hub that never comes.
func (s *site) final(t *testing.T, said *record, token string) {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	file, err := form.CreateFormFile("file", "f.txt")
	must(t, err)
	_, err = io.WriteString(file, "x")
	must(t, err)
	must(t, form.Close())
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.Address()+"/results/final", &body)
	must(t, err)
	req.Header = bearer(token)
	req.Header.Set("Content-Type", form.FormDataContentType())
	resp, err := s.client.Do(req)
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	must(t, err)
	said.add("PUT /results/final", fmt.Sprint(resp.Status, resp.Header, string(answer)))
}

// putSecret gives a workspace a secret.
func (s *site) putSecret(t *testing.T, said *record, token, value string) {
	t.Helper()
	at := "/workflows/api/v1/secrets/sandbox/KEY"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.Address()+at, strings.NewReader(`{"key":"KEY","value":"`+value+`"}`))
	must(t, err)
	req.Header = bearer(token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("the secret was not taken: %s %s", resp.Status, answer)
	}
	said.add("PUT "+at, fmt.Sprint(resp.Status, resp.Header, string(answer)))
}

// tell has a route answer and keeps the whole answer.
func (s *site) tell(t *testing.T, said *record, r httpapi.RegisteredRoute, token string) {
	t.Helper()
	if r.Method == http.MethodPost && r.Pattern == "/api/v1/tokens" {
		return // it exists to tell a secret, once
	}
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	path := wildcard.ReplaceAllString(r.Pattern, "0192f3a1-0000-7000-8000-000000000001")
	req, err := http.NewRequestWithContext(ctx, r.Method, s.Address()+path, strings.NewReader(`{"name": 7}`))
	must(t, err)
	req.Header = bearer(token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	var body []byte
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		body, err = io.ReadAll(resp.Body)
		must(t, err)
	}
	where, _, _ := strings.Cut(path, "?") // what we sent is no answer
	said.add(r.Method+" "+where, fmt.Sprint(resp.Status, resp.Header, string(body)))
}
