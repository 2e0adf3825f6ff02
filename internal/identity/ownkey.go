package identity

import (
	"context"
	"crypto"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"

	"lodge/internal/database"
)

// keyName is where the site's key stands in site_values.
const keyName = "identity.key"

// LoadKey gives the site's own key, and makes it at the first start. All replicas share it.
func LoadKey(ctx context.Context, db *database.DB, now func() time.Time) (*rsa.PrivateKey, error) {
	stored, err := db.SiteValue(ctx, keyName)
	if err != nil {
		return nil, err
	}
	if stored == "" {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, fmt.Errorf("make the site's key: %w", err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, fmt.Errorf("make the site's key: %w", err)
		}
		fresh := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
		// Another replica may have been quicker: what stands there counts.
		if stored, err = db.EnsureSiteValue(ctx, keyName, fresh, now()); err != nil {
			return nil, err
		}
	}
	block, _ := pem.Decode([]byte(stored))
	if block == nil {
		return nil, errors.New("the site's key in the database cannot be read")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the site's key in the database cannot be read")
	}
	own, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("the site's key in the database is no RSA key")
	}
	return own, nil
}

// ownKey signs service tokens and seals what browsers keep for us.
type ownKey struct {
	public jose.JSONWebKey
	kid    string
	signer jose.Signer
	// vouching signs assertions for apps, by another type, so that none of them is a service token.
	vouching jose.Signer
	sealing  []byte
	// keeping seals what we keep for sessions.
	keeping []byte
}

func newOwnKey(key *rsa.PrivateKey) (*ownKey, error) {
	if key == nil || key.N.BitLen() < 2048 {
		return nil, errors.New("the site's key must be an RSA key of at least 2048 bits")
	}
	public := jose.JSONWebKey{Key: key.Public(), Algorithm: string(jose.RS256), Use: "sig"}
	public.KeyID = thumbprint(public)
	// RS256, because clients of the original result service accept nothing else.
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: public.KeyID}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, fmt.Errorf("the site's key: %w", err)
	}
	vouching, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: public.KeyID}},
		(&jose.SignerOptions{}).WithType(assertionType))
	if err != nil {
		return nil, fmt.Errorf("the site's key: %w", err)
	}
	// A key of its own for what is sealed, so that no use of the one helps against the other.
	sealing, err := hkdf.Key(sha256.New, key.D.Bytes(), nil, "lodge login attempt", 32)
	if err != nil {
		return nil, fmt.Errorf("the site's key: %w", err)
	}
	keeping, err := hkdf.Key(sha256.New, key.D.Bytes(), nil, "lodge session refresh", 32)
	if err != nil {
		return nil, fmt.Errorf("the site's key: %w", err)
	}
	return &ownKey{public: public, kid: public.KeyID, signer: signer, vouching: vouching, sealing: sealing, keeping: keeping}, nil
}

func thumbprint(k jose.JSONWebKey) string {
	sum, err := k.Thumbprint(crypto.SHA256)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// verify checks a service token. Its kid says that it is ours, and the key signs no other token of its
// type, so iss is not compared: a site that gets another public_url keeps its tokens.
func (o *ownKey) verify(token string, head tokenHeader, claims map[string]any, now time.Time) (*verified, error) {
	if head.alg != string(jose.RS256) {
		return nil, bad("algorithm %.20q is not accepted from ourselves", head.alg)
	}
	if err := checkSignature(token, head, []jose.JSONWebKey{o.public}); err != nil {
		return nil, bad("%w", err)
	}
	expires, err := checkTimes(claims, now, true)
	if err != nil {
		return nil, bad("%w", err)
	}
	id := text(claims, "jti")
	if id == "" {
		return nil, bad("a service token without jti")
	}
	return &verified{service: true, id: id, claims: claims, expires: expires}, nil
}
