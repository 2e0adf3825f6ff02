package lodge

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestRevokedListenersAreCutOff ends a stream of news when the token that opened it is revoked. The
// class "what was revoked still opens".
func TestRevokedListenersAreCutOff(t *testing.T) {
	t.Parallel()
	s := startSite(t)
	token, id := s.service(t, false)
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Address()+"/api/v1/events", http.NoBody)
	must(t, err)
	req.Header = bearer(token)
	resp, err := s.client.Do(req)
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		t.Fatalf("got %d, %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	lines := bufio.NewReader(resp.Body)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	// It hears of what changes, as long as it may listen.
	for heard := ""; !strings.Contains(heard, `"results.files"`); {
		s.publish("results.files")
		if heard, err = lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	must(t, s.identity.RevokeToken((&Office{s.platform}).as(t.Context(), "test"), id))
	if _, err := io.Copy(io.Discard, lines); err != nil {
		t.Errorf("the stream was not ended by the server: %v", err)
	}
}
