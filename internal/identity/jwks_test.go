package identity

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"lodge/internal/fault"
)

func remote(f *fakeIssuer) Config {
	return Config{Issuers: []Issuer{{Issuer: f.URL, Audiences: []string{"lodge"}}}}
}

func (s *site) from(t testing.TB, f *fakeIssuer, key *rsa.PrivateKey, kid string) error {
	t.Helper()
	token := sign(t, jose.RS256, key, map[string]any{"kid": kid}, s.claims(map[string]any{"iss": f.URL, "jti": rand.Text()}))
	_, err := s.ask(t, token)
	return err
}

func TestKeysAreFetchedOnceAndRotate(t *testing.T) {
	t.Parallel()
	k := testKeys()
	f := newFakeIssuer(t, public(k.rsa, "one"))
	s := newSite(t, remote(f))
	for range 5 {
		if err := s.from(t, f, k.rsa, "one"); err != nil {
			t.Fatal(err)
		}
	}
	if f.count() != 1 {
		t.Errorf("%d fetches", f.count())
	}
	// A new key appears: the first token by it makes us look, at a bounded rate.
	f.set(nil, public(k.rsa, "one"), public(k.other, "two"))
	if err := s.from(t, f, k.other, "two"); err == nil {
		t.Error("looked again within the pause")
	}
	s.move(keysPause)
	if err := s.from(t, f, k.other, "two"); err != nil {
		t.Error(err)
	}
}

// Strangers' key ids must not make us a tool against the provider.
func TestUnknownKeyIDsAskAtABoundedRate(t *testing.T) {
	t.Parallel()
	k := testKeys()
	f := newFakeIssuer(t, public(k.rsa, "one"))
	s := newSite(t, remote(f))
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { _ = s.from(t, f, k.other, rand.Text()) })
	}
	all.Wait()
	if n := f.count(); n != 1 {
		t.Errorf("50 strangers made %d fetches", n)
	}
	s.move(keysPause)
	for range 50 {
		all.Go(func() { _ = s.from(t, f, k.other, rand.Text()) })
	}
	all.Wait()
	if n := f.count(); n != 2 {
		t.Errorf("100 strangers made %d fetches", n)
	}
}

func TestProviderAway(t *testing.T) {
	t.Parallel()
	k := testKeys()
	f := newFakeIssuer(t, public(k.rsa, "one"))
	f.set(status(http.StatusServiceUnavailable))
	s := newSite(t, remote(f))
	// Never seen: nobody can be believed, and the error says whose fault it is.
	for range 20 {
		if err := s.from(t, f, k.rsa, "one"); !fault.Is(err, fault.Upstream) || !errors.Is(err, ErrProvider) {
			t.Fatalf("got %v", err)
		}
	}
	if f.count() != 1 {
		t.Errorf("asked %d times within a second", f.count())
	}
	f.set(nil, public(k.rsa, "one"))
	s.move(keysRetry)
	if err := s.from(t, f, k.rsa, "one"); err != nil {
		t.Fatal(err)
	}
	// Seen once: stale keys serve while it is away, however long.
	f.set(status(http.StatusInternalServerError))
	s.move(24 * time.Hour)
	s.issuers[0].set.refresh(t.Context())
	if err := s.from(t, f, k.rsa, "one"); err != nil {
		t.Error(err)
	}
}

func TestRubbishFromTheProvider(t *testing.T) {
	t.Parallel()
	k := testKeys()
	small, _ := rsa.GenerateKey(rand.Reader, 1024)
	set := func(keys ...any) string {
		body, _ := json.Marshal(map[string]any{"keys": keys})
		return string(body)
	}
	for name, answer := range map[string]func(http.ResponseWriter){
		"not found": status(http.StatusNotFound),
		"html":      says("<html>"),
		"empty":     says(""),
		"no keys":   says(`{"keys":[]}`),
		"null":      says("null"),
		"a redirect": func(w http.ResponseWriter) {
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(http.StatusFound)
		},
		"too much":         says(`{"keys":[],"x":"` + strings.Repeat("x", fetchSize) + `"}`),
		"too many":         says(set(make([]any, maxKeys+1)...)),
		"a short key":      says(set(public(small, "one"))),
		"an encryption":    says(set(jose.JSONWebKey{Key: k.rsa.Public(), KeyID: "one", Use: "enc"})),
		"a private key":    says(set(jose.JSONWebKey{Key: k.rsa, KeyID: "one"})),
		"a shared secret":  says(set(jose.JSONWebKey{Key: []byte("secret"), KeyID: "one"})),
		"cut off":          func(w http.ResponseWriter) { w.Header().Set("Content-Length", "100"); says("{")(w) },
		"another type key": says(`{"keys":[{"kty":"what","kid":"one"}]}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeIssuer(t)
			f.set(answer)
			s := newSite(t, remote(f))
			if err := s.from(t, f, k.rsa, "one"); !fault.Is(err, fault.Upstream) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// One key of a kind that we do not know must not make the others unusable.
func TestStrangeKeyBesideAGoodOne(t *testing.T) {
	t.Parallel()
	k := testKeys()
	f := newFakeIssuer(t)
	good, _ := public(k.rsa, "one").MarshalJSON()
	f.set(says(`{"keys":[{"kty":"PQ","kid":"x"},{"kty":"RSA"},` + string(good) + `]}`))
	s := newSite(t, remote(f))
	if err := s.from(t, f, k.rsa, "one"); err != nil {
		t.Error(err)
	}
}

// A document for another issuer must not make its keys ours.
func TestDiscoveryForAnotherIssuer(t *testing.T) {
	t.Parallel()
	k := testKeys()
	f := newFakeIssuer(t, public(k.rsa, "one"))
	server := httptest.NewServer(http.HandlerFunc(f.serve)) // says that it is f
	t.Cleanup(server.Close)
	s := newSite(t, Config{Issuers: []Issuer{{Issuer: server.URL}}})
	_, err := s.ask(t, sign(t, jose.RS256, k.rsa, map[string]any{"kid": "one"}, s.claims(map[string]any{"iss": server.URL})))
	if !fault.Is(err, fault.Upstream) {
		t.Errorf("got %v", err)
	}
}

// Old keys are fetched again before anybody needs them, and a hanging provider holds nobody up.
func TestKeysAreRefreshedInTheBackground(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var fetches atomic.Int32
		var hang atomic.Bool
		set := &keySet{name: "x", now: time.Now, log: newLog(), fetch: func(ctx context.Context) ([]jose.JSONWebKey, error) {
			fetches.Add(1)
			if hang.Load() {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return []jose.JSONWebKey{{KeyID: "a"}}, nil
		}}
		s := &Service{issuers: []*issuer{{set: set}}}
		go func() { _ = s.runKeys(ctx) }()
		if keys, err := set.find(ctx, "a"); err != nil || len(keys) != 1 {
			t.Fatal(keys, err)
		}
		time.Sleep(10*time.Minute + time.Second) // of the bubble's clock
		if n := fetches.Load(); n < 3 {
			t.Errorf("%d fetches in ten minutes", n)
		}
		hang.Store(true)
		time.Sleep(5 * time.Minute)
		began := time.Now()
		if keys, err := set.find(ctx, "a"); err != nil || len(keys) != 1 || time.Since(began) != 0 {
			t.Errorf("stale keys: %v, %v after %v", keys, err, time.Since(began))
		}
		cancel()
		time.Sleep(fetchTimeout)
		synctest.Wait()
	})
}

func FuzzKeys(f *testing.F) {
	k := testKeys()
	for _, key := range []jose.JSONWebKey{public(k.rsa, "a"), public(k.ec, "b"), public(k.ed, "c"), {Key: k.rsa}, {Key: []byte("x")}} {
		body, _ := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}})
		f.Add(body)
	}
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"))
	f.Fuzz(func(t *testing.T, body []byte) {
		keys, err := parseKeyFile(body)
		if err == nil && len(keys) == 0 {
			t.Error("no error and no key")
		}
		for _, key := range keys {
			if !usable(key) || fits(key, jose.HS256) || fits(key, "none") {
				t.Errorf("took %v", key)
			}
		}
	})
}
