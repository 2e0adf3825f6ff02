package workflows

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/secret"
)

// SecretKey encrypts secrets with AES-256-GCM.
type SecretKey struct {
	id   string
	aead cipher.AEAD
}

const keySize = 32

// NewSecretKey makes a key of 32 bytes.
func NewSecretKey(key []byte) (*SecretKey, error) {
	if len(key) != keySize {
		return nil, fmt.Errorf("the key for secrets has %d bytes and needs %d", len(key), keySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append([]byte("lodge workflows key id\x00"), key...))
	return &SecretKey{hex.EncodeToString(sum[:4]), aead}, nil
}

// OpenSecretKey reads the key from a file as 64 hexadecimal digits, and makes the file if there is none.
func OpenSecretKey(path string) (*SecretKey, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return createSecretKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("the key for secrets: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("the key for secrets in %s must be 64 hexadecimal digits", path)
	}
	return NewSecretKey(key)
}

func createSecretKey(path string) (*SecretKey, error) {
	key := make([]byte, keySize)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	// A secret may be stored as soon as there is a key, so the key is on the disk before it is used.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return OpenSecretKey(path) // another process was quicker
	}
	if err != nil {
		return nil, fmt.Errorf("the key for secrets: %w", err)
	}
	_, err = f.WriteString(hex.EncodeToString(key) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close(), syncFolder(filepath.Dir(path))); err != nil {
		return nil, fmt.Errorf("the key for secrets: %w", err)
	}
	return NewSecretKey(key)
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// bound ties a sealed secret to its place, so that a row cannot stand for another one.
func bound(workspace, name string) []byte { return []byte(workspace + "\x00" + name) }

func (k *SecretKey) seal(workspace, name string, value secret.String) (string, error) {
	nonce := make([]byte, k.aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return "", err
	}
	sealed := k.aead.Seal(nonce, nonce, []byte(value.Reveal()), bound(workspace, name))
	return "v1:" + k.id + ":" + base64.StdEncoding.EncodeToString(sealed), nil
}

func (k *SecretKey) open(workspace, name, text string) (secret.String, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 || parts[0] != "v1" {
		return "", fmt.Errorf("the secret %s of %s is damaged", name, workspace)
	}
	if parts[1] != k.id {
		return "", fmt.Errorf("the secret %s of %s was sealed with another key (%s, not %s)", name, workspace, parts[1], k.id)
	}
	sealed, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(sealed) < k.aead.NonceSize() {
		return "", fmt.Errorf("the secret %s of %s is damaged", name, workspace)
	}
	n := k.aead.NonceSize()
	value, err := k.aead.Open(nil, sealed[:n], sealed[n:], bound(workspace, name))
	if err != nil {
		return "", fmt.Errorf("the secret %s of %s is damaged: %w", name, workspace, err)
	}
	return secret.String(value), nil
}

var secretName = regexp.MustCompile(`^[-._a-zA-Z0-9]{1,191}$`)

// SecretNames lists a workspace's secrets; nobody reads their values back.
func (s *Service) SecretNames(ctx context.Context, workspace string) ([]string, error) {
	ctx, err := s.require(ctx, ReadSecrets, workspace, "secrets")
	if err != nil {
		return nil, err
	}
	names, err := s.secretKeys(ctx, workspace)
	return append([]string{}, names...), err
}

// PutSecret sets a secret, and says whether it is new.
func (s *Service) PutSecret(ctx context.Context, workspace, name string, value secret.String) (isNew bool, err error) {
	ctx, err = s.require(ctx, WriteSecrets, workspace, "secret "+clip(name))
	if err != nil {
		return false, err
	}
	if !secretName.MatchString(name) {
		return false, fault.New(fault.Invalid, "%q is no name for a secret: use letters, digits, -, _ and .", clip(name))
	}
	if s.cfg.Places != nil {
		if isNew, err = s.cfg.Places.PutSecret(ctx, workspace, name, value); err != nil {
			return false, err
		}
		return isNew, s.db.Tx(ctx, func(tx *database.Tx) error {
			return s.record(ctx, tx, WriteSecrets, workspace, "secret "+name, "set")
		})
	}
	if s.cfg.SecretKey == nil {
		return false, fault.New(fault.Unavailable, "this server has no key for secrets")
	}
	sealed, err := s.cfg.SecretKey.seal(workspace, name, value)
	if err != nil {
		return false, err
	}
	return isNew, s.db.Tx(ctx, func(tx *database.Tx) error {
		var err error
		if isNew, err = s.store.putSecret(ctx, tx, workspace, name, sealed, s.now()); err != nil {
			return err
		}
		return s.record(ctx, tx, WriteSecrets, workspace, "secret "+name, "set")
	})
}

// DeleteSecret removes a secret.
func (s *Service) DeleteSecret(ctx context.Context, workspace, name string) error {
	ctx, err := s.require(ctx, WriteSecrets, workspace, "secret "+clip(name))
	if err != nil {
		return err
	}
	was := false
	if s.cfg.Places != nil {
		if was, err = s.cfg.Places.DeleteSecret(ctx, workspace, name); err != nil {
			return err
		}
	}
	return s.db.Tx(ctx, func(tx *database.Tx) error {
		there, err := s.store.deleteSecret(ctx, tx, workspace, name)
		there = there || was
		if err == nil && !there {
			err = fault.New(fault.Missing, "there is no secret %s", clip(name))
		}
		if err != nil {
			return err
		}
		return s.record(ctx, tx, WriteSecrets, workspace, "secret "+name, "deleted")
	})
}

// Secret is a secret's value, for engines: it asks no permission.
func (s *Service) Secret(ctx context.Context, workspace, name string) (secret.String, error) {
	sealed, err := s.store.sealedSecret(ctx, s.db, workspace, name)
	if errors.Is(err, errNoRow) {
		return "", fault.New(fault.Missing, "there is no secret %s in workspace %s", clip(name), clip(workspace))
	}
	if err != nil {
		return "", err
	}
	if s.cfg.SecretKey == nil {
		return "", fault.New(fault.Unavailable, "this server has no key for secrets")
	}
	return s.cfg.SecretKey.open(workspace, name, sealed)
}
