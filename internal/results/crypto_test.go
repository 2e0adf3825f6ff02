package results

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

// vectors are those of the contract, made with Python's cryptography.
var vectors = []struct {
	curve, shared, blob, empty, long, longTag string
}{
	{
		curve:   "p384",
		shared:  "0b2844cc61de6dbd5d1fa0b1dc9e932e1c622bcb2fed9d18d3d6bc20e36e9288",
		blob:    "000102030405060708090a0becffd8f1e3c2c1a9d4e54a467648f111af621e44c3a53110c5c5c6224937babceeecd4534737930fea496239a0102c7357e3a5ab9584",
		empty:   "000102030405060708090a0b720499b5bb8c7ea9586713c773b6fcdb",
		long:    "35bbe5e2796e65b4414a3070b39f63f39df14c6d1f26ae8ac5bd90fa594c8ed5",
		longTag: "c467aa0c0c932afa7823b6c4513fdc81",
	}, {
		curve:   "p256",
		shared:  "23f5ff181eb6f493aa9463da83bae7d4a455814b7bf9ecc6837dc2172633d370",
		blob:    "000102030405060708090a0b0a41a6eb28c5518c61508781346418cca28e5b3de49902466dca7a31d626995be4ae6ff7895de7d994b553c9dc9e3e1a4208e692a7c8",
		empty:   "000102030405060708090a0b6ae1810d8bb15caef3e645ca5f99cea8",
		long:    "bccdf21f14ae22d6afe0c1459e5a71d2ea65dac91a23c0f6d0b687201cb84c05",
		longTag: "9fafb568def95ef6309170edca178f76",
	},
}

const vectorText = "FLAME intermediate result test vector\n"

var vectorIV = [ivSize]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}

func TestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		t.Run(v.curve, func(t *testing.T) {
			t.Parallel()
			for _, side := range [][2]string{{"a", "b"}, {"b", "a"}} {
				key := testKey(t, v.curve+"_"+side[0], v.curve+"_"+side[1])
				equal(t, hex.EncodeToString(key[:]), v.shared)
				equal(t, hex.EncodeToString(sealed(t, key, []byte(vectorText))), v.blob)
				equal(t, hex.EncodeToString(sealed(t, key, nil)), v.empty)

				long := make([]byte, 5000)
				for i := range long {
					long[i] = byte(i % 251)
				}
				blob := sealed(t, key, long)
				sum := sha256.Sum256(blob)
				equal(t, hex.EncodeToString(sum[:]), v.long)
				equal(t, hex.EncodeToString(blob[len(blob)-tagSize:]), v.longTag)
				equal(t, string(opened(t, key, blob)), string(long))
			}
		})
	}
}

// TestGCMAgreesWithTheLibrary compares the streaming GCM with the one-shot one, at sizes around
// every boundary and at random ones.
func TestGCMAgreesWithTheLibrary(t *testing.T) {
	t.Parallel()
	random := rand.NewChaCha8([32]byte{1})
	sizes := []int{0, 1, 15, 16, 17, gcmChunk - 1, gcmChunk, gcmChunk + 1, 2 * gcmChunk, segmentSize - 28, segmentSize - 27, 3*segmentSize + 5}
	for range 40 {
		sizes = append(sizes, int(random.Uint64()%200_000))
	}
	for _, size := range sizes {
		var key [32]byte
		var iv [ivSize]byte
		plain := make([]byte, size)
		for _, b := range [][]byte{key[:], iv[:], plain} {
			_, _ = random.Read(b)
		}
		src, err := newSealReader(key, iv, iotest.HalfReader(bytes.NewReader(plain)))
		noError(t, err)
		got, err := io.ReadAll(src)
		noError(t, err)
		if want := libraryGCM(t, key).Seal(iv[:], iv[:], plain, nil); !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: the blob differs from the library's", size)
		}
		if sealedSize(int64(size)) != int64(len(got)) {
			t.Fatalf("%d bytes: sealedSize says %d, it is %d", size, sealedSize(int64(size)), len(got))
		}
		if !bytes.Equal(opened(t, key, got), plain) {
			t.Fatalf("%d bytes: not the same after opening", size)
		}
	}
}

func TestOpenSegments(t *testing.T) {
	t.Parallel()
	const piece = segmentSize - ivSize - tagSize
	for _, size := range []int{piece, piece + 1, 2 * piece, 2*piece + 100, 5*piece - 1} {
		key := [32]byte{7}
		plain := make([]byte, size)
		_, _ = rand.NewChaCha8([32]byte{2}).Read(plain)
		var blob []byte
		for i, rest := byte(0), plain; len(rest) > 0; i++ {
			n := min(piece, len(rest))
			iv := []byte{i, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
			blob = append(blob, libraryGCM(t, key).Seal(iv, iv, rest[:n], nil)...)
			rest = rest[n:]
		}
		if !bytes.Equal(opened(t, key, blob), plain) {
			t.Fatalf("%d bytes in segments: not the same after opening", size)
		}
		for _, at := range []int{0, len(blob) / 2, len(blob) - 1} {
			bad := bytes.Clone(blob)
			bad[at] ^= 1
			refuses(t, key, bad)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	key := [32]byte{9}
	for _, size := range []int{0, 100, 5000, segmentSize + 1, 2*segmentSize + 77} {
		blob := sealed(t, key, make([]byte, size))
		refuses(t, [32]byte{8}, blob)
		refuses(t, key, blob[:len(blob)-1])
		refuses(t, key, append(bytes.Clone(blob), 0))
		for _, at := range []int{0, len(blob) / 2, len(blob) - 1} {
			bad := bytes.Clone(blob)
			bad[at] ^= 0x80
			refuses(t, key, bad)
		}
	}
	for size := range ivSize + tagSize {
		refuses(t, key, make([]byte, size))
	}
}

func TestKeyForms(t *testing.T) {
	t.Parallel()
	pkcs8 := fixture(t, "p384_a.pem")
	want, err := ParsePrivateKey(pkcs8)
	noError(t, err)
	lines := strings.Split(strings.TrimSpace(pkcs8), "\n")
	oneLine := lines[0] + "\n" + strings.Join(lines[1:len(lines)-1], "") + "\n" + lines[len(lines)-1]
	block, _ := pem.Decode([]byte(pkcs8))
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	noError(t, err)
	sec1, err := marshalSEC1(parsed)
	noError(t, err)

	for name, text := range map[string]string{
		"PKCS#8":                  pkcs8,
		"SEC1":                    sec1,
		"SEC1 after parameters":   "-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n" + sec1,
		"escaped line feeds":      strings.ReplaceAll(pkcs8, "\n", `\n`),
		"one long line":           oneLine,
		"carriage returns":        strings.ReplaceAll(pkcs8, "\n", "\r\n"),
		"surrounding text":        "comment\n" + pkcs8 + "more",
		"spaces for line feeds":   strings.ReplaceAll(pkcs8, "\n", " "),
		"no line feed at end":     strings.TrimSpace(pkcs8),
		"escaped, quoted, spaced": ` ` + strings.ReplaceAll(pkcs8, "\n", `\n`) + ` `,
	} {
		got, err := ParsePrivateKey(text)
		if err != nil || !got.Equal(want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"empty":      "",
		"no end":     lines[0],
		"public":     fixturePublicPEM(t, "p384_a"),
		"not base64": "-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----",
		"not a key":  "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
		"encrypted":  "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----",
		"RSA":        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIFH3bK0pBBzm8YWIt0g2Yp7rNnPpE2zL4gJVx9uC0p0K\n-----END PRIVATE KEY-----",
	} {
		if _, err := ParsePrivateKey(text); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestPublicKeyForms(t *testing.T) {
	t.Parallel()
	text := strings.TrimSpace(fixture(t, "p256_a.pub.hex"))
	want, err := ParsePrivateKey(fixture(t, "p256_a.pem"))
	noError(t, err)
	for _, form := range []string{text, strings.ToUpper(text), text + "\n", fixturePublicPEM(t, "p256_a")} {
		got, err := parsePublicKey(form)
		if err != nil || !got.Equal(want.PublicKey()) {
			t.Errorf("%.20q: %v", form, err)
		}
	}
	for _, form := range []string{"", "zz", text[:40], "00", hex.EncodeToString([]byte(fixture(t, "p256_a.pem")))} {
		if _, err := parsePublicKey(form); err == nil {
			t.Errorf("%.20q: accepted", form)
		}
	}
}

func TestSharedKeyNeedsOneCurve(t *testing.T) {
	t.Parallel()
	own, err := ParsePrivateKey(fixture(t, "p384_a.pem"))
	noError(t, err)
	other, err := parsePublicKey(fixture(t, "p256_b.pub.hex"))
	noError(t, err)
	if _, err := (nodeKey{own}).sharedKey(other); err == nil || !strings.Contains(err.Error(), "curve") {
		t.Errorf("got %v", err)
	}
}

// TestSealingIsFlat seals and opens far more than it may hold in memory.
func TestSealingIsFlat(t *testing.T) {
	const size = 64 << 20
	key := [32]byte{3}
	src, err := seal(key, io.LimitReader(zeros{}, size))
	noError(t, err)
	s := newSpool(t.TempDir())
	defer func() { _ = s.Close() }()
	allocated := allocations(func() {
		noError(t, s.fill(src))
		plain, n, err := open(key, s)
		noError(t, err)
		copied, err := io.Copy(io.Discard, plain)
		noError(t, err)
		if n != size || copied != size {
			t.Errorf("opened %d of %d bytes", copied, n)
		}
	})
	if allocated > 16<<20 {
		t.Errorf("%d MiB allocated for a body of %d MiB", allocated>>20, size>>20)
	}
}

func FuzzParseKeys(f *testing.F) {
	for _, name := range []string{"p384_a.pem", "p256_b.pem", "p384_a.pub.hex", "p256_b.pub.hex"} {
		text, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		private, err := ParsePrivateKey(text)
		if (private == nil) == (err == nil) {
			t.Errorf("key %v with error %v", private, err)
		}
		public, err := parsePublicKey(text)
		if (public == nil) == (err == nil) {
			t.Errorf("key %v with error %v", public, err)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	src, err := seal([32]byte{1}, zeros{})
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 1<<20)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if _, err := io.ReadFull(src, buf); err != nil {
			b.Fatal(err)
		}
	}
}

func libraryGCM(t *testing.T, key [32]byte) cipher.AEAD {
	t.Helper()
	block, err := aes.NewCipher(key[:])
	noError(t, err)
	aead, err := cipher.NewGCM(block)
	noError(t, err)
	return aead
}

// sealed is plain under the vectors' IV.
func sealed(t *testing.T, key [32]byte, plain []byte) []byte {
	t.Helper()
	src, err := newSealReader(key, vectorIV, bytes.NewReader(plain))
	noError(t, err)
	blob, err := io.ReadAll(src)
	noError(t, err)
	return blob
}

func opened(t *testing.T, key [32]byte, blob []byte) []byte {
	t.Helper()
	s := newSpool(t.TempDir())
	defer func() { _ = s.Close() }()
	noError(t, s.fill(bytes.NewReader(blob)))
	plain, size, err := open(key, s)
	noError(t, err)
	got, err := io.ReadAll(plain)
	noError(t, err)
	if int64(len(got)) != size {
		t.Fatalf("%d bytes announced, %d given", size, len(got))
	}
	return got
}

func refuses(t *testing.T, key [32]byte, blob []byte) {
	t.Helper()
	s := newSpool(t.TempDir())
	defer func() { _ = s.Close() }()
	noError(t, s.fill(bytes.NewReader(blob)))
	if _, _, err := open(key, s); !errors.Is(err, errNotSealed) {
		t.Fatalf("a blob of %d bytes that is not authentic: %v", len(blob), err)
	}
}

func testKey(t *testing.T, own, other string) [32]byte {
	t.Helper()
	private, err := ParsePrivateKey(fixture(t, own+".pem"))
	noError(t, err)
	public, err := parsePublicKey(fixture(t, other+".pub.hex"))
	noError(t, err)
	key, err := nodeKey{private}.sharedKey(public)
	noError(t, err)
	return key
}

func fixture(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	noError(t, err)
	return string(text)
}

func fixturePublicPEM(t *testing.T, name string) string {
	t.Helper()
	text, err := hex.DecodeString(strings.TrimSpace(fixture(t, name+".pub.hex")))
	noError(t, err)
	return string(text)
}
