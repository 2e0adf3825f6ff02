package clilogin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/oauth2"

	"lodge/internal/fault"
)

// errNoBrowser says that no browser could be opened.
var errNoBrowser = errors.New("no browser could be opened")

// donePath is where the provider sends the browser on this machine back to.
const donePath = "/done"

// byBrowser opens a browser and waits on a loopback address for it to come back.
func byBrowser(ctx context.Context, opts Options, oauth *oauth2.Config) (*oauth2.Token, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "no loopback address can be listened on; use the device flow")
	}
	oauth.RedirectURL = "http://" + listener.Addr().String() + donePath
	verifier, state := oauth2.GenerateVerifier(), rand.Text()
	result := make(chan answer, 1)
	server := &http.Server{Handler: receive(state, result), ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10}
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Close() }()

	address := oauth.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier))
	if opts.Open == nil {
		opts.Show("Open " + clean(address))
	} else if err := opts.Open(address); err != nil {
		if opts.Flow == Auto {
			return nil, errNoBrowser
		}
		opts.Show("No browser could be opened. Open " + clean(address))
	} else {
		opts.Show("Go on in the browser. If none opened: " + clean(address))
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case a := <-result:
		if a.failed != "" {
			return nil, fault.New(fault.Denied, "the provider did not let you in (%s)", clean(a.failed))
		}
		token, err := oauth.Exchange(ctx, a.code, oauth2.VerifierOption(verifier))
		if err != nil {
			return nil, refused(err)
		}
		return token, nil
	}
}

// answer is what the browser brought back.
type answer struct{ code, failed string }

// receive takes the first answer to our question, and no other: any page can make a browser send
// something here.
func receive(state string, result chan<- answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		if r.Method != http.MethodGet || r.URL.Path != donePath || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(state)) != 1 {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		select {
		case result <- answer{code: q.Get("code"), failed: q.Get("error")}:
		default: // there was one already
		}
		_, _ = io.WriteString(w, `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark"><title>Lodge</title><h1>Back to the command line</h1><p>You can close this page.</p></html>`)
	})
}
