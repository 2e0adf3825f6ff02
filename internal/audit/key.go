package audit

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"lodge/internal/database"
)

// keyName is where the key stands in the site's values, when no file has it.
const keyName = "audit.key"

// LoadKey gives the key that signs checkpoints. A path names a PEM file that only the operator
// reads, the same on every replica. Without one, the key is in the database and is made at the
// first start: that shows tampering by whoever does not know of it, and no more.
func LoadKey(ctx context.Context, db *database.DB, path string, now func() time.Time) (ed25519.PrivateKey, error) {
	if path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("the audit log's key: %w", err)
		}
		return parseKey(text)
	}
	stored, err := db.SiteValue(ctx, keyName)
	if err != nil {
		return nil, err
	}
	if stored == "" {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("make the audit log's key: %w", err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, fmt.Errorf("make the audit log's key: %w", err)
		}
		fresh := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
		if stored, err = db.EnsureSiteValue(ctx, keyName, fresh, now()); err != nil {
			return nil, err
		}
	}
	return parseKey([]byte(stored))
}

func parseKey(text []byte) (ed25519.PrivateKey, error) {
	wrong := errors.New("the audit log's key must be an Ed25519 key in PEM (PKCS#8), as `openssl genpkey -algorithm ed25519` makes it")
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, wrong
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, wrong
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, wrong
	}
	return key, nil
}
