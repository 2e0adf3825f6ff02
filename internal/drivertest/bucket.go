// Package drivertest holds the suites that every driver of a kind must pass.
package drivertest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"lodge/internal/fault"
	"lodge/internal/objects"
)

// Bucket is the suite for object stores. Each call of open gives an empty one. It counts
// what the process allocates, so the test that calls it must not be parallel; most of the suite is.
func Bucket(t *testing.T, open func(t *testing.T) objects.Bucket) {
	for name, test := range map[string]func(*testing.T, objects.Bucket){
		"RoundTrip":    testRoundTrip,
		"Ranges":       testRanges,
		"Replace":      testReplace,
		"Delete":       testDelete,
		"List":         testList,
		"Missing":      testMissing,
		"HostileKeys":  testHostileKeys,
		"FailingBody":  testFailingBody,
		"Cancelled":    testCancelled,
		"OddReaders":   testOddReaders,
		"Concurrent":   testConcurrent,
		"ReplaceRaces": testReplaceRaces,
		"BoundedSpace": testBoundedSpace,
		"Check":        func(t *testing.T, b objects.Bucket) { must(t, b.Check(t.Context())) },
	} {
		t.Run(name, func(t *testing.T) {
			if name != "BoundedSpace" { // which nothing may disturb
				t.Parallel()
			}
			test(t, open(t))
		})
	}
}

func testRoundTrip(t *testing.T, b objects.Bucket) {
	for _, size := range []int{0, 1, 64 << 10, 256 << 10, 256<<10 + 1, 5<<20 + 1, 8 << 20, 8<<20 + 256<<10, 40 << 20, 40<<20 + 13} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			body := random(size)
			key := fmt.Sprintf("local/p/%d", size)
			info, err := b.Put(t.Context(), key, bytes.NewReader(body))
			must(t, err)
			if info.Key != key || info.Size != int64(size) || info.SHA256 != sum(body) {
				t.Errorf("Put = %+v, want size %d and sum %s", info, size, sum(body))
			}
			r, got, err := b.Get(t.Context(), key, 0, -1)
			must(t, err)
			if got.Key != key || got.Size != int64(size) || got.Modified.IsZero() {
				t.Errorf("Get = %+v, want size %d", got, size)
			}
			read, err := io.ReadAll(objects.Verify(r, info.SHA256))
			must(t, err)
			must(t, r.Close())
			if !bytes.Equal(read, body) {
				t.Error("the object is not what was put")
			}
		})
	}
}

func testRanges(t *testing.T, b objects.Bucket) {
	const size = 100_000
	body := random(size)
	put(t, b, "k", body)
	put(t, b, "empty", nil)
	for _, c := range []struct {
		key            string
		offset, length int64
		want           []byte // nil: refused
	}{
		{"k", 0, -1, body},
		{"k", 0, 1, body[:1]},
		{"k", 0, 0, []byte{}},
		{"k", 5, 0, []byte{}},
		{"k", 70_000, -1, body[70_000:]},
		{"k", 10, 20, body[10:30]},
		{"k", size - 1, 1, body[size-1:]},
		{"k", size - 1, 1 << 40, body[size-1:]},
		{"k", 1, 1<<63 - 1, body[1:]},
		{"k", 0, size, body},
		{"k", size, -1, nil},
		{"k", size, 0, nil},
		{"k", size + 1, 5, nil},
		{"k", 1 << 60, -1, nil},
		{"k", -1, 5, nil},
		{"k", 0, -2, nil},
		{"empty", 0, -1, []byte{}},
		{"empty", 0, 10, []byte{}},
		{"empty", 1, -1, nil},
	} {
		r, info, err := b.Get(t.Context(), c.key, c.offset, c.length)
		if c.want == nil {
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("%d bytes from %d of %s: %v, want fault.Invalid", c.length, c.offset, c.key, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%d bytes from %d of %s: %v", c.length, c.offset, c.key, err)
			continue
		}
		got, err := io.ReadAll(r)
		must(t, err)
		must(t, r.Close())
		if !bytes.Equal(got, c.want) {
			t.Errorf("%d bytes from %d of %s are wrong: got %d, want %d", c.length, c.offset, c.key, len(got), len(c.want))
		}
		if c.key == "k" && info.Size != size {
			t.Errorf("%d bytes from %d: size %d, want that of the whole object", c.length, c.offset, info.Size)
		}
	}
}

func testReplace(t *testing.T, b objects.Bucket) {
	for _, size := range []int{10 << 20, 100, 0, 9 << 20} {
		body := random(size)
		put(t, b, "a/k", body)
		expect(t, b, "a/k", body)
	}
	// A reader of the old object is not given the new one.
	old := random(64 << 10)
	put(t, b, "a/k", old)
	r, _, err := b.Get(t.Context(), "a/k", 0, -1)
	must(t, err)
	put(t, b, "a/k", random(64<<10))
	got, err := io.ReadAll(r)
	must(t, err)
	must(t, r.Close())
	if !bytes.Equal(got, old) {
		t.Error("an object changed while it was read")
	}
}

func testDelete(t *testing.T, b objects.Bucket) {
	put(t, b, "a/b/c", random(10))
	put(t, b, "a/b/d", random(10))
	for range 2 {
		must(t, b.Delete(t.Context(), "a/b/c"))
		expectMissing(t, b, "a/b/c")
	}
	must(t, b.Delete(t.Context(), "never/was"))
	must(t, b.Delete(t.Context(), "a/b")) // a folder is no object
	expect(t, b, "a/b/d", nil)
	put(t, b, "a/b/c", []byte("again"))
	expect(t, b, "a/b/c", []byte("again"))
}

func testList(t *testing.T, b objects.Bucket) {
	want := map[string]int64{}
	for i, key := range []string{"local/p1/a", "local/p1/b", "local/p10/a", "local/p2/deep/er/x", "final/z", "localhost"} {
		put(t, b, key, random(i))
		want[key] = int64(i)
	}
	for _, prefix := range []string{"", "l", "local", "local/", "local/p1", "local/p1/", "local/p1/a", "local/p2/deep", "final/z", "final/z/", "none/", "."} {
		var got, expected []string
		for info, err := range b.List(t.Context(), prefix) {
			must(t, err)
			got = append(got, info.Key)
			if info.Size != want[info.Key] || info.Modified.IsZero() {
				t.Errorf("List(%q): %+v, want size %d", prefix, info, want[info.Key])
			}
		}
		for key := range want {
			if strings.HasPrefix(key, prefix) {
				expected = append(expected, key)
			}
		}
		slices.Sort(got)
		slices.Sort(expected)
		if !slices.Equal(got, expected) {
			t.Errorf("List(%q) = %q, want %q", prefix, got, expected)
		}
	}
	for _, err := range b.List(t.Context(), "") {
		must(t, err)
		break // must not hang or panic
	}
	for _, prefix := range []string{"/", "../", "a/../", "a//", "a b", "local/p1/\x00"} {
		if _, err := first(b.List(t.Context(), prefix)); !fault.Is(err, fault.Invalid) {
			t.Errorf("List(%q): %v, want fault.Invalid", prefix, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := first(b.List(ended, "")); !errors.Is(err, context.Canceled) {
		t.Errorf("List with an ended context: %v", err)
	}
}

func testMissing(t *testing.T, b objects.Bucket) {
	put(t, b, "a/b", random(1))
	for _, key := range []string{"none", "a", "a/c", "a/b/c", "x/y/z"} {
		expectMissing(t, b, key)
		if _, _, err := b.Get(t.Context(), key, 3, 0); !fault.Is(err, fault.Missing) {
			t.Errorf("Get nothing of %s: %v, want fault.Missing", key, err)
		}
	}
}

func testHostileKeys(t *testing.T, b objects.Bucket) {
	for _, key := range []string{
		"", "/", "/etc/passwd", "..", ".", "../x", "a/../../x", "a/..", "a/./b", "a//b", "a/", "./a",
		"a\x00b", "a b", "a\\..\\b", "ä", "a%2f..", "a\nb", "a?b", "~", "*", "-/..",
		strings.Repeat("a/", 600) + "a", strings.Repeat("a", 256), strings.Repeat("a", 1025),
	} {
		_, put := b.Put(t.Context(), key, strings.NewReader("x"))
		_, _, get := b.Get(t.Context(), key, 0, -1)
		for op, err := range map[string]error{"Put": put, "Get": get, "Delete": b.Delete(t.Context(), key)} {
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("%s(%.40q): %v, want fault.Invalid", op, key, err)
			}
		}
	}
	for _, key := range []string{"..a", "a..", "...", "-rf", ".hidden", "A-Z_0.9/x", strings.Repeat("a", 255)} {
		put(t, b, key, []byte(key))
		expect(t, b, key, []byte(key))
	}
	expectOnly(t, b, 7)
}

func testFailingBody(t *testing.T, b objects.Bucket) {
	old := []byte("what stood there before")
	put(t, b, "k", old)
	errBroken := errors.New("broken")
	// io.ErrUnexpectedEOF is what a cut-off upload reads as: it must not pass for an end.
	for _, failure := range []error{errBroken, io.ErrUnexpectedEOF} {
		for _, size := range []int{0, 1, 64 << 10, 256 << 10, 8 << 20, 20<<20 + 7} {
			for _, key := range []string{"k", "new/one"} {
				_, err := b.Put(t.Context(), key, io.MultiReader(bytes.NewReader(random(size)), iotest.ErrReader(failure)))
				if !errors.Is(err, failure) {
					t.Errorf("Put of %d bytes that end with %v: %v", size, failure, err)
				}
			}
		}
	}
	expect(t, b, "k", old)
	expectMissing(t, b, "new/one")
	expectOnly(t, b, 1)
}

func testCancelled(t *testing.T, b objects.Bucket) {
	put(t, b, "k", []byte("x"))
	for _, size := range []int{0, 100, 20 << 20} {
		ctx, cancel := context.WithCancel(t.Context())
		body := io.MultiReader(bytes.NewReader(random(size)), readerFunc(func([]byte) (int, error) {
			cancel()
			return 0, nil
		}), bytes.NewReader(random(100)))
		if _, err := b.Put(ctx, "new", body); !errors.Is(err, context.Canceled) {
			t.Errorf("Put of %d bytes, cancelled: %v", size, err)
		}
		_, _, get := b.Get(ctx, "k", 0, -1)
		for op, err := range map[string]error{"Get": get, "Delete": b.Delete(ctx, "k")} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s with an ended context: %v", op, err)
			}
		}
	}
	expectMissing(t, b, "new")
	expect(t, b, "k", []byte("x"))
	expectOnly(t, b, 1)
}

func testOddReaders(t *testing.T, b objects.Bucket) {
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"one-byte": iotest.OneByteReader, "half": iotest.HalfReader, "data-with-end": iotest.DataErrReader,
	} {
		for _, size := range []int{0, 1, 300_000} {
			body := random(size)
			key := fmt.Sprintf("%s/%d", name, size)
			info, err := b.Put(t.Context(), key, wrap(bytes.NewReader(body)))
			must(t, err)
			if info.SHA256 != sum(body) {
				t.Errorf("%s of %d bytes: wrong sum", name, size)
			}
			expect(t, b, key, body)
		}
	}
	idle := readerFunc(func([]byte) (int, error) { return 0, nil })
	if _, err := b.Put(t.Context(), "idle", idle); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("Put of a reader that never gives anything: %v", err)
	}
	expectMissing(t, b, "idle")
}

func testConcurrent(t *testing.T, b objects.Bucket) {
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			body := random(i * 1000)
			if i%16 == 0 {
				body = random(9<<20 + i)
			}
			key := fmt.Sprintf("p%d/%d", i%3, i)
			info, err := b.Put(t.Context(), key, bytes.NewReader(body))
			if err != nil || info.SHA256 != sum(body) {
				t.Errorf("Put(%s) = %+v, %v", key, info, err)
				return
			}
			expect(t, b, key, body)
			if i%2 == 0 {
				if err := b.Delete(t.Context(), key); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	expectOnly(t, b, 32)
}

// testReplaceRaces looks at one key while it is replaced: each look sees one of the bodies, whole.
func testReplaceRaces(t *testing.T, b objects.Bucket) {
	sums := map[string]bool{}
	var bodies [][]byte
	for i := range 4 {
		bodies = append(bodies, random(200_000+i))
		sums[sum(bodies[i])] = true
	}
	put(t, b, "k", bodies[0])
	var all sync.WaitGroup
	for _, body := range bodies {
		all.Go(func() {
			for range 8 {
				if _, err := b.Put(t.Context(), "k", bytes.NewReader(body)); err != nil {
					t.Error(err)
				}
			}
		})
		all.Go(func() {
			for range 8 {
				r, _, err := b.Get(t.Context(), "k", 0, -1)
				if err != nil {
					t.Error(err)
					continue
				}
				got, err := io.ReadAll(r)
				_ = r.Close()
				if err != nil || !sums[sum(got)] {
					t.Errorf("read %d bytes that nobody put: %v", len(got), err)
				}
			}
		})
	}
	all.Wait()
}

// testBoundedSpace streams a body much larger than what may be allocated for it.
func testBoundedSpace(t *testing.T, b objects.Bucket) {
	const size, allowed = 256 << 20, 64 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	hash := sha256.New()
	info, err := b.Put(t.Context(), "large", io.TeeReader(io.LimitReader(&endless{chunk: random(1 << 20)}, size), hash))
	must(t, err)
	r, _, err := b.Get(t.Context(), "large", 0, -1)
	must(t, err)
	n, err := io.Copy(struct{ io.Writer }{io.Discard}, objects.Verify(r, hex.EncodeToString(hash.Sum(nil))))
	must(t, err)
	must(t, r.Close())
	runtime.ReadMemStats(&after)
	if n != size || info.Size != size {
		t.Errorf("put %d and read %d bytes, want %d", info.Size, n, size)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > allowed {
		t.Errorf("allocated %d MiB for %d MiB there and back, want at most %d", got>>20, size>>20, allowed>>20)
	}
}

func put(t *testing.T, b objects.Bucket, key string, body []byte) {
	t.Helper()
	_, err := b.Put(t.Context(), key, bytes.NewReader(body))
	must(t, err)
}

// expect reads key; a nil body only has to be there.
func expect(t *testing.T, b objects.Bucket, key string, body []byte) {
	t.Helper()
	r, _, err := b.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Errorf("Get(%s): %v", key, err)
		return
	}
	defer func() { _ = r.Close() }()
	got, err := io.ReadAll(r)
	if err != nil || body != nil && !bytes.Equal(got, body) {
		t.Errorf("Get(%s) gave %d bytes that are not the %d put: %v", key, len(got), len(body), err)
	}
}

func expectMissing(t *testing.T, b objects.Bucket, key string) {
	t.Helper()
	if _, _, err := b.Get(t.Context(), key, 0, -1); !fault.Is(err, fault.Missing) {
		t.Errorf("Get(%s): %v, want fault.Missing", key, err)
	}
}

func expectOnly(t *testing.T, b objects.Bucket, want int) {
	t.Helper()
	var keys []string
	for info, err := range b.List(t.Context(), "") {
		must(t, err)
		keys = append(keys, info.Key)
	}
	if len(keys) != want {
		t.Errorf("%d objects are stored, want %d: %.200q", len(keys), want, keys)
	}
}

func first(list func(func(objects.Info, error) bool)) (info objects.Info, err error) {
	for info, err = range list {
		break
	}
	return info, err
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(rand.IntN(256))}).Read(b)
	return b
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// endless repeats a chunk.
type endless struct {
	chunk []byte
	at    int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.chunk[e.at:])
	e.at = (e.at + n) % len(e.chunk)
	return n, nil
}
