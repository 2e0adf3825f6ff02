package clilogin_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"lodge/internal/database/databasetest"
	"lodge/internal/fault"
	"lodge/internal/identity"
	"lodge/internal/identity/clilogin"
	"lodge/internal/identity/localidp"
)

const password = "correct horse battery"

// site is a server with nothing but the provider.
type site struct {
	url      string
	provider *localidp.Provider
	mu       sync.Mutex
	at       time.Time
}

func (s *site) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

func (s *site) move(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = s.at.Add(d)
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{at: time.Now()}
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	s.url = server.URL
	var err error
	s.provider, err = localidp.New(t.Context(), localidp.Config{PublicURL: s.url, HashCost: bcrypt.MinCost}, databasetest.SQLite(t), identity.NewLimiter(s.now), s.now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	handler = s.provider.Handler()
	if _, err := s.provider.AddUser(t.Context(), "alice", "", password); err != nil {
		t.Fatal(err)
	}
	return s
}

var (
	formAction = regexp.MustCompile(`<form method="post"(?: action="([^"]*)")?>`)
	hidden     = regexp.MustCompile(`<input (?:type="hidden" name="([^"]*)"|class="code" id="[^"]*" name="([^"]*)" type="text") value="([^"]*)"`)
)

// person goes through the pages from an address on, and says yes or no at the end.
func (s *site) person(ctx context.Context, address, yes string) (string, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	client := &http.Client{Jar: jar}
	resp, err := client.Get(address)
	for range 5 {
		if err != nil {
			return "", err
		}
		raw, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		body := string(raw)
		m := formAction.FindStringSubmatch(body)
		if m == nil {
			return body, ctx.Err()
		}
		target := resp.Request.URL
		if m[1] != "" {
			if target, err = target.Parse(html.UnescapeString(m[1])); err != nil {
				return "", err
			}
		}
		form := url.Values{"login": {"alice"}, "password": {password}, "approval": {yes}}
		for _, h := range hidden.FindAllStringSubmatch(body, -1) {
			form.Set(h[1]+h[2], html.UnescapeString(h[3]))
		}
		resp, err = client.PostForm(target.String(), form)
	}
	return "", errors.New("round in a circle")
}

func claims(t *testing.T, token string) map[string]any {
	t.Helper()
	var c map[string]any
	body, err := io.ReadAll(base64.NewDecoder(base64.RawURLEncoding, strings.NewReader(strings.Split(token, ".")[1])))
	if err == nil {
		err = json.Unmarshal(body, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBrowserFlow(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var said []string
	var visit sync.WaitGroup
	defer visit.Wait()
	got, err := clilogin.Login(t.Context(), clilogin.Options{
		Server: s.url + "/", Show: func(text string) { said = append(said, text) },
		Open: func(address string) error {
			at, _ := url.Parse(address)
			back, _ := url.Parse(at.Query().Get("redirect_uri"))
			// Other pages in the same browser try to answer first.
			for _, forged := range []string{"?code=x", "?code=x&state=y", "?error=x&state="} {
				resp, err := http.Get(back.String() + forged)
				if err != nil || resp.StatusCode != http.StatusNotFound {
					t.Errorf("a forged answer: %v, %v", resp, err)
				} else {
					_ = resp.Body.Close()
				}
			}
			visit.Go(func() {
				if page, err := s.person(context.Background(), address, "approve"); err != nil || !strings.Contains(page, "Back to the command line") {
					t.Errorf("the person sees %q, %v", page, err)
				}
			})
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := claims(t, got.Token.Reveal())
	if c["preferred_username"] != "alice" || c["aud"] != "lodge-cli" || got.Server != s.url || got.Refresh == "" || got.Expires.Before(s.now()) {
		t.Errorf("got %+v, claims %v", got, c)
	}
	if strings.Contains(fmt.Sprintf("%v %+v %#v", got, got, got)+strings.Join(said, ""), got.Token.Reveal()) {
		t.Error("the token is shown")
	}
}

func TestDeviceFlow(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for yes, want := range map[string]bool{"approve": true, "rejected": false} {
		var address string
		waits := 0
		ctx, cancel := context.WithCancel(t.Context())
		got, err := clilogin.Login(ctx, clilogin.Options{
			Server: s.url, Show: func(text string) {
				if rest, ok := strings.CutPrefix(text, "or open "); ok {
					address = rest
				}
			},
			Wait: func(_ context.Context, d time.Duration) error {
				s.move(d)
				if waits++; waits == 3 { // the person takes their time
					page, err := s.person(ctx, address, yes)
					if err != nil || want != strings.Contains(page, "You are logged in") {
						t.Errorf("the person sees %q, %v", page, err)
					}
				}
				if waits > 6 && !want {
					cancel()
				}
				return ctx.Err()
			},
		})
		if want {
			if err != nil || claims(t, got.Token.Reveal())["preferred_username"] != "alice" {
				t.Errorf("got %+v, %v", got, err)
			}
		} else if err == nil {
			t.Error("logged in though the person said no")
		}
		cancel()
	}
	// Nobody comes: it ends when the code does.
	_, err := clilogin.Login(t.Context(), clilogin.Options{Server: s.url, Flow: clilogin.Device, Wait: func(_ context.Context, d time.Duration) error { s.move(d); return nil }})
	if !fault.Is(err, fault.Timeout) && !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("nobody came: %v", err)
	}
}

func TestWithoutABrowserTheDeviceFlowIsTaken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	enough := errors.New("enough")
	var said string
	_, err := clilogin.Login(t.Context(), clilogin.Options{
		Server: s.url, Open: func(string) error { return errors.New("no display") },
		Show: func(text string) { said += text }, Wait: func(context.Context, time.Duration) error { return enough },
	})
	if !errors.Is(err, enough) || !strings.Contains(said, "enter the code") {
		t.Errorf("said %q, %v", said, err)
	}
}

func (s *site) login(t *testing.T) clilogin.Credentials {
	t.Helper()
	var visit sync.WaitGroup
	defer visit.Wait()
	got, err := clilogin.Login(t.Context(), clilogin.Options{Server: s.url, Open: func(address string) error {
		visit.Go(func() { _, _ = s.person(context.Background(), address, "approve") })
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestStoreRenews(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	store := &clilogin.Store{Dir: filepath.Join(t.TempDir(), "lodge"), Now: s.now}
	if _, err := store.Token(t.Context(), ""); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("before the login: %v", err)
	}
	first := s.login(t)
	if err := store.Save(first); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(store.Dir, "credentials.json")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(store.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder is %v, %v", info.Mode(), err)
	}
	if got, err := store.Token(t.Context(), s.url+"/"); err != nil || got != first {
		t.Errorf("got %+v, %v", got, err)
	}
	s.move(2 * time.Hour)
	second, err := store.Token(t.Context(), "")
	if err != nil || second.Token == first.Token || !second.Expires.After(s.now()) {
		t.Fatalf("renewed: %+v, %v", second, err)
	}
	if kept, err := store.Load(""); err != nil || kept != second {
		t.Errorf("kept %+v, %v", kept, err)
	}
	// A stolen refresh token that was used already is worth nothing.
	s.move(time.Minute)
	if _, err := clilogin.Renew(t.Context(), first, nil); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("an old refresh token: %v", err)
	}
	// A disabled account gets no more tokens.
	if _, err := s.provider.DisableUser(t.Context(), "alice", true); err != nil {
		t.Fatal(err)
	}
	s.move(2 * time.Hour)
	if _, err := store.Token(t.Context(), ""); !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), "lodge login") {
		t.Errorf("disabled: %v", err)
	}
	if err := store.Forget(""); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Load(s.url); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("forgotten: %v", err)
	}
	// A file that others can read, or nobody.
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Load(""); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("readable by others: %v", err)
	}
	if err := errors.Join(os.WriteFile(path, []byte("{"), 0o600), os.Chmod(path, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Load(""); !fault.Is(err, fault.Invalid) {
		t.Errorf("broken: %v", err)
	}
}

func TestTwoServers(t *testing.T) {
	t.Parallel()
	store := &clilogin.Store{Dir: t.TempDir(), Now: time.Now}
	one := clilogin.Credentials{Server: "https://one.test", Token: "1", Expires: time.Now().Add(time.Hour).UTC().Truncate(time.Second)}
	two := one
	two.Server, two.Token = "https://two.test", "2"
	if err := errors.Join(store.Save(one), store.Save(two)); err != nil {
		t.Fatal(err)
	}
	for server, want := range map[string]clilogin.Credentials{"": two, "https://one.test": one, "https://two.test/": two} {
		if got, err := store.Token(t.Context(), server); err != nil || got.Token != want.Token {
			t.Errorf("%q: %+v, %v", server, got, err)
		}
	}
}

func TestBadServers(t *testing.T) {
	t.Parallel()
	away := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(away.Close)
	for server, want := range map[string]fault.Kind{"": fault.Invalid, "lodge": fault.Invalid, "file:///etc": fault.Invalid, away.URL: fault.Unavailable} {
		if _, err := clilogin.Login(t.Context(), clilogin.Options{Server: server}); !fault.Is(err, want) {
			t.Errorf("%q: %v", server, err)
		}
	}
}
