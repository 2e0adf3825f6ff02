package identity

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// keysOld is when keys are fetched again in the background; keysLook how often Run looks.
	keysOld  = 4 * time.Minute
	keysLook = 30 * time.Second
	// keysPause bounds how often strangers' key ids make us ask an issuer, keysRetry how often
	// requests do while we have no keys of it at all.
	keysPause = 10 * time.Second
	keysRetry = time.Second
	// maxKeys bounds the keys of one set.
	maxKeys = 100
)

// keySource gives the keys that may have signed a token with this key id, or without one.
type keySource func(ctx context.Context, kid string) ([]jose.JSONWebKey, error)

// keySet is the keys of one issuer, fetched from where they are published. While the issuer is
// away the old ones stay in use.
type keySet struct {
	name  string
	fetch func(ctx context.Context) ([]jose.JSONWebKey, error)
	now   func() time.Time
	log   *slog.Logger

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetched time.Time // the last success
	tried   time.Time
	err     error         // of the last try
	flight  chan struct{} // closed when the try under way is over
}

// find gives the keys for the id. An unknown id asks the issuer again, at a bounded rate.
func (k *keySet) find(ctx context.Context, kid string) ([]jose.JSONWebKey, error) {
	k.mu.Lock()
	if k.fetched.IsZero() {
		if k.flight == nil && (k.tried.IsZero() || k.now().Sub(k.tried) >= keysRetry) {
			k.start(ctx)
		}
		if err := k.wait(ctx); err != nil {
			return nil, err
		}
		k.mu.Lock()
		if k.fetched.IsZero() {
			defer k.mu.Unlock()
			return nil, k.err
		}
	}
	keys := choose(k.keys, kid)
	if len(keys) == 0 && (k.flight != nil || k.now().Sub(k.tried) >= keysPause) {
		if k.flight == nil {
			k.start(ctx)
		}
		if err := k.wait(ctx); err != nil {
			return nil, err
		}
		k.mu.Lock()
		keys = choose(k.keys, kid)
	}
	k.mu.Unlock()
	return keys, nil
}

// wait unlocks, and returns when the fetch under way, if any, is over.
func (k *keySet) wait(ctx context.Context) error {
	flight := k.flight
	k.mu.Unlock()
	if flight == nil {
		return nil
	}
	select {
	case <-flight:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// start fetches in the background, for everybody who waits and also when the first of them
// leaves. The lock is held.
func (k *keySet) start(ctx context.Context) {
	flight := make(chan struct{})
	k.flight, k.tried = flight, k.now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	go func() {
		defer cancel()
		keys, err := k.fetch(ctx)
		k.mu.Lock()
		defer k.mu.Unlock()
		if err != nil {
			k.err = err
			k.log.Warn("an issuer's keys could not be fetched", "issuer", k.name, "stale", !k.fetched.IsZero(), "err", err)
		} else {
			k.keys, k.fetched, k.err = keys, k.now(), nil
		}
		k.flight = nil
		close(flight)
	}()
}

// refresh fetches keys that are in use and grow old.
func (k *keySet) refresh(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if !k.fetched.IsZero() && now.Sub(k.fetched) >= keysOld && now.Sub(k.tried) >= keysPause && k.flight == nil {
		k.start(ctx)
	}
}

// runKeys refreshes every set before it is old.
func (s *Service) runKeys(ctx context.Context) error {
	tick := time.NewTicker(keysLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			for _, is := range s.issuers {
				if is.set != nil {
					is.set.refresh(ctx)
				}
			}
		}
	}
}

// choose gives the keys with the id, or all for a token that names none.
func choose(keys []jose.JSONWebKey, kid string) []jose.JSONWebKey {
	if kid == "" {
		return keys
	}
	var found []jose.JSONWebKey
	for _, k := range keys {
		if k.KeyID == kid {
			found = append(found, k)
		}
	}
	return found
}

// parseKeys reads a JWKS and leaves out what is of no use to us: one strange key must not make
// the others unusable.
func parseKeys(body []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, errors.New("the answer is no key set")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("the key set has more than %d keys", maxKeys)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(raw) == nil && usable(k) {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set has no key that could verify a signature")
	}
	return keys, nil
}

// usable says whether a published key may verify signatures at all.
func usable(k jose.JSONWebKey) bool {
	if k.Use != "" && k.Use != "sig" || !k.Valid() || !k.IsPublic() {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() >= 2048 && key.N.BitLen() <= 16384 && key.E >= 3
	case *ecdsa.PublicKey:
		return true
	case ed25519.PublicKey:
		return len(key) == ed25519.PublicKeySize
	}
	return false
}

// fits says whether the algorithm is one for this key: the key decides what it is used for, not
// the token.
func fits(k jose.JSONWebKey, alg jose.SignatureAlgorithm) bool {
	if k.Algorithm != "" && k.Algorithm != string(alg) {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return slices.Contains(rsaAlgorithms, alg)
	case *ecdsa.PublicKey:
		return alg == curveAlgorithm[key.Curve.Params().BitSize]
	case ed25519.PublicKey:
		return alg == jose.EdDSA
	case []byte:
		return alg == jose.HS256
	}
	return false
}

var (
	rsaAlgorithms  = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512}
	curveAlgorithm = map[int]jose.SignatureAlgorithm{256: jose.ES256, 384: jose.ES384, 521: jose.ES512}
)

// readKeyFile reads the public keys in a PEM file or a JWKS file.
func readKeyFile(path string) ([]jose.JSONWebKey, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read public key: %w", err)
	}
	return parseKeyFile(body)
}

func parseKeyFile(body []byte) ([]jose.JSONWebKey, error) {
	var keys []jose.JSONWebKey
	for rest := body; len(keys) < maxKeys; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		key, err := parsePublicKey(block)
		if err != nil {
			return nil, err
		}
		k := jose.JSONWebKey{Key: key}
		if !usable(k) {
			return nil, errors.New("the public key is of a kind or size that is not accepted")
		}
		keys = append(keys, k)
	}
	if len(keys) > 0 {
		return keys, nil
	}
	keys, err := parseKeys(body)
	if err != nil {
		return nil, errors.New("the file holds neither a public key as PEM nor a key set as JSON")
	}
	return keys, nil
}

func parsePublicKey(block *pem.Block) (crypto.PublicKey, error) {
	switch block.Type {
	case "PUBLIC KEY":
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, errors.New("the public key cannot be read")
		}
		return key, nil
	case "RSA PUBLIC KEY":
		key, err := x509.ParsePKCS1PublicKey(block.Bytes)
		if err != nil {
			return nil, errors.New("the public key cannot be read")
		}
		return key, nil
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errors.New("the certificate cannot be read")
		}
		return cert.PublicKey, nil
	}
	return nil, fmt.Errorf("a PEM block %q is no public key", block.Type)
}
