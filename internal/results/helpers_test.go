package results

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"testing"
	"time"
)

var quiet = slog.New(slog.DiscardHandler)

// later is a clock by which everything stored today is old.
func later() time.Time { return time.Now().Add(48 * time.Hour) }

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t testing.TB, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// allocations is how many bytes the process allocated while f ran.
func allocations(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func marshalSEC1(key any) (string, error) {
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return "", fmt.Errorf("a %T", key)
	}
	der, err := x509.MarshalECPrivateKey(ec)
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})), err
}

// hubPatience is how long the hub's client waits where a test makes the hub hang.
const hubPatience = 500 * time.Millisecond

// entries lists what is in a folder.
func entries(t testing.TB, dir string) []os.DirEntry {
	t.Helper()
	list, err := os.ReadDir(dir)
	noError(t, err)
	return list
}
