package audit

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"

	"lodge/internal/database"
)

// genesis is the hash before the first record.
var genesis = strings.Repeat("0", 2*sha256.Size)

// digest is the hash of a record at its place in the chain. Every field goes in
// with its length before it, so that no two different records look alike.
func digest(r *Record, seq int64, prev string) string {
	b := make([]byte, 0, 1024)
	b = appendText(b, "lodge audit record 1")
	b = appendNumber(b, seq)
	b = appendText(b, prev)
	b = appendText(b, r.ID)
	b = appendNumber(b, database.Micros(r.At))
	for _, field := range [...]string{
		r.Caller, r.CallerID, r.Credential, r.Action, r.Group, r.Object, r.Outcome, r.Rule, r.Detail, r.RequestID, r.Address,
	} {
		b = appendText(b, field)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func appendNumber(b []byte, n int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(n)) }

// Checkpoint is the signed end of the chain as it was at some time.
type Checkpoint struct {
	Seq       int64     `json:"seq"`
	At        time.Time `json:"at"`
	Hash      string    `json:"hash"`
	KeyID     string    `json:"key_id"`
	Signature string    `json:"signature"`
}

func (c *Checkpoint) message() []byte {
	b := appendText(nil, "lodge audit checkpoint 1")
	b = appendNumber(b, c.Seq)
	b = appendNumber(b, database.Micros(c.At))
	b = appendText(b, c.Hash)
	return appendText(b, c.KeyID)
}

func sign(key ed25519.PrivateKey, seq int64, hash string, at time.Time) Checkpoint {
	c := Checkpoint{Seq: seq, At: at, Hash: hash, KeyID: KeyID(key.Public().(ed25519.PublicKey))}
	c.Signature = base64.StdEncoding.EncodeToString(ed25519.Sign(key, c.message()))
	return c
}

func (c *Checkpoint) signedBy(pub ed25519.PublicKey) bool {
	signature, err := base64.StdEncoding.Strict().DecodeString(c.Signature)
	return err == nil && ed25519.Verify(pub, c.message(), signature)
}

// KeyID names a public key in checkpoints.
func KeyID(pub ed25519.PublicKey) string {
	sum := sha256.Sum256(pub)
	return hex.EncodeToString(sum[:8])
}
