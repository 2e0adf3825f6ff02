package results

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

// segmentSize is the length of each message but the last in the later format, in which a file is a
// row of messages. The reference reads up to one segment; Lodge writes one message and reads both.
const segmentSize = 1 << 20

// errNotSealed says that a blob is not authentic under the key: another key, cut off, or altered.
var errNotSealed = errors.New("the message does not authenticate")

// nodeKey is the private key of this node.
type nodeKey struct{ private *ecdh.PrivateKey }

// ParsePrivateKey reads an unencrypted EC key in PEM, PKCS#8 or SEC1. The text may have literal \n
// in place of its line feeds, and its base64 may be one long line.
func ParsePrivateKey(text string) (*ecdh.PrivateKey, error) {
	label, der, err := decodePEM(text)
	if err != nil {
		return nil, err
	}
	switch label {
	case "PRIVATE KEY":
		parsed, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			return nil, fmt.Errorf("read PKCS#8 key: %w", err)
		}
		if key, ok := parsed.(*ecdsa.PrivateKey); ok {
			return key.ECDH()
		}
		return nil, fmt.Errorf("the key is no elliptic curve key but a %T", parsed)
	case "EC PRIVATE KEY":
		key, err := x509.ParseECPrivateKey(der)
		if err != nil {
			return nil, fmt.Errorf("read SEC1 key: %w", err)
		}
		return key.ECDH()
	}
	return nil, fmt.Errorf("PEM block %q is no private key; PRIVATE KEY or EC PRIVATE KEY is needed", label)
}

// parsePublicKey reads what the hub keeps of a node: the hexadecimal of the bytes of a PEM text. The
// PEM itself is understood as well.
func parsePublicKey(text string) (*ecdh.PublicKey, error) {
	pemText := text
	if decoded, err := hex.DecodeString(strings.TrimSpace(text)); err == nil {
		pemText = string(decoded)
	}
	label, der, err := decodePEM(pemText)
	if err != nil {
		return nil, err
	}
	if label != "PUBLIC KEY" {
		return nil, fmt.Errorf("PEM block %q is no public key", label)
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("read public key: %w", err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("the key is no elliptic curve key but a %T", parsed)
	}
	return key.ECDH()
}

// decodePEM finds the first PEM block that is a key. encoding/pem is not used because it gives up on
// the forms seen in the field: literal \n, spaces in place of line feeds, one endless line. An "EC
// PARAMETERS" block, which OpenSSL writes before a SEC1 key, is passed over.
func decodePEM(text string) (label string, der []byte, err error) {
	text = strings.ReplaceAll(text, `\n`, "\n")
	for {
		_, rest, ok := strings.Cut(text, "-----BEGIN ")
		if !ok {
			return "", nil, errors.New("no PEM block found")
		}
		label, rest, ok = strings.Cut(rest, "-----")
		if !ok {
			return "", nil, errors.New("the PEM block has no proper first line")
		}
		body, rest, ok := strings.Cut(rest, "-----END "+label+"-----")
		if !ok {
			return "", nil, fmt.Errorf("the PEM block %q has no end", label)
		}
		if label == "EC PARAMETERS" {
			text = rest
			continue
		}
		der, err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(body), ""))
		if err != nil {
			return "", nil, fmt.Errorf("the PEM block %q is not base64: %w", label, err)
		}
		// Trailing bytes after the ASN.1 value would be dropped in silence by some parsers.
		var value asn1.RawValue
		if extra, err := asn1.Unmarshal(der, &value); err != nil || len(extra) > 0 {
			return "", nil, fmt.Errorf("the PEM block %q is not one ASN.1 value", label)
		}
		return label, der, nil
	}
}

// sharedKey is the AES-256 key of this node and another: the first 32 bytes of the x coordinate of
// the shared point. The format has no key derivation; compatibility fixes it.
func (k nodeKey) sharedKey(remote *ecdh.PublicKey) (key [32]byte, err error) {
	if k.private.Curve() != remote.Curve() {
		return key, fmt.Errorf("its curve is %v, this node's is %v", remote.Curve(), k.private.Curve())
	}
	shared, err := k.private.ECDH(remote)
	if err != nil {
		return key, err
	}
	if len(shared) < len(key) {
		return key, errors.New("its curve is too small for AES-256")
	}
	copy(key[:], shared)
	return key, nil
}

// seal encrypts src under a random IV, as a stream.
func seal(key [32]byte, src io.Reader) (io.Reader, error) {
	var iv [ivSize]byte
	if _, err := rand.Read(iv[:]); err != nil {
		return nil, err
	}
	return newSealReader(key, iv, src)
}

// sealedSize is the length of what seal makes of size bytes.
func sealedSize(size int64) int64 { return size + ivSize + tagSize }

// open authenticates all of a blob and only then gives a reader of its plaintext, with the
// plaintext's length. It fails as errNotSealed if the blob is not what the key's owners made.
func open(key [32]byte, blob *spool) (io.Reader, int64, error) {
	if blob.size < ivSize+tagSize {
		return nil, 0, errNotSealed
	}
	if blob.size <= segmentSize {
		return openSegments(key, blob)
	}
	// Whether a large blob is one message or a row of segments shows in the first segment: only a
	// segment authenticates alone.
	plain, size, err := openSegments(key, blob)
	if !errors.Is(err, errNotSealed) {
		return plain, size, err
	}
	return openWhole(key, blob)
}

// openWhole opens one message of any length: one pass for the tag, the next for the plaintext.
func openWhole(key [32]byte, blob *spool) (io.Reader, int64, error) {
	var iv [ivSize]byte
	src := blob.reader()
	if _, err := io.ReadFull(src, iv[:]); err != nil {
		return nil, 0, err
	}
	m, err := newMessage(key, iv)
	if err != nil {
		return nil, 0, err
	}
	size := blob.size - ivSize - tagSize
	for left := size; left > 0; {
		chunk := m.buf[:min(left, int64(len(m.buf)))]
		if _, err := io.ReadFull(src, chunk); err != nil {
			return nil, 0, err
		}
		m.hash.update(chunk)
		left -= int64(len(chunk))
	}
	var tag [tagSize]byte
	if _, err := io.ReadFull(src, tag[:]); err != nil {
		return nil, 0, err
	}
	if sum := m.hash.sum(m.first); subtle.ConstantTimeCompare(sum[:], tag[:]) != 1 {
		return nil, 0, errNotSealed
	}
	again := blob.reader()
	if _, err := io.CopyN(io.Discard, again, ivSize); err != nil {
		return nil, 0, err
	}
	return cipher.StreamReader{S: m.stream, R: io.LimitReader(again, size)}, size, nil
}

// openSegments opens a row of messages: one pass to authenticate each of them, the next for the
// plaintext. The format cannot tell that segments were swapped or cut off at the end.
func openSegments(key [32]byte, blob *spool) (io.Reader, int64, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, 0, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, 0, err
	}
	buf := make([]byte, min(blob.size, segmentSize))
	check := segmentReader{src: blob.reader(), aead: aead, buf: buf}
	size, err := io.Copy(io.Discard, &check)
	if err != nil {
		return nil, 0, err
	}
	return &segmentReader{src: blob.reader(), aead: aead, buf: buf}, size, nil
}

// segmentReader reads the plaintext of a row of messages.
type segmentReader struct {
	src   io.Reader
	aead  cipher.AEAD
	buf   []byte
	ready bytes.Reader
	err   error
}

func (s *segmentReader) Read(p []byte) (int, error) {
	for s.ready.Len() == 0 {
		if s.err != nil {
			return 0, s.err
		}
		n, err := io.ReadFull(s.src, s.buf)
		switch {
		case err == io.EOF: //nolint:errorlint // io.ReadFull promises this value
			return 0, io.EOF
		case err != nil && err != io.ErrUnexpectedEOF: //nolint:errorlint // as above
			return 0, err
		case n < ivSize+tagSize:
			return 0, errNotSealed
		}
		plain, err := s.aead.Open(s.buf[ivSize:ivSize], s.buf[:ivSize], s.buf[ivSize:n], nil)
		if err != nil {
			return 0, errNotSealed
		}
		s.ready.Reset(plain)
		if n < len(s.buf) {
			s.err = io.EOF
		}
	}
	return s.ready.Read(p)
}
