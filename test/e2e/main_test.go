package e2e

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// full makes the stories tell everything. Flags of a test program have no better place.
var full = flag.Bool("full", false, "tell the long stories too: twenty crashes, gigabytes")

func TestMain(m *testing.M) {
	if asApp(os.Args[1:]) {
		os.Exit(wildApp(os.Args[2]))
	}
	flag.Parse()
	if testing.Short() {
		fmt.Println("end-to-end stories are not short: none was told")
		return
	}
	code := m.Run()
	removeStockClient()
	os.Exit(code)
}

// built is the file to drive.
var built = sync.OnceValues(func() (string, error) {
	path := os.Getenv("LODGE_BIN")
	if path == "" {
		path = filepath.Join("..", "..", "bin", "lodge")
	}
	// Looked at, so that `go test` tells the stories again when it has changed.
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("these stories drive the built binary: run `make build` first, or set LODGE_BIN (%w)", err)
	}
	return filepath.Abs(path)
})

func theBinary(t testing.TB) string {
	t.Helper()
	path, err := built()
	noError(t, err)
	return path
}

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// patience is how long a story waits for what must happen.
const patience = 60 * time.Second

// eventually waits for a condition.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	within(t, patience, what, is)
}

func within(t testing.TB, limit time.Duration, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for pause := 2 * time.Millisecond; !is(); pause = min(2*pause, 200*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, what)
		}
		<-time.After(pause)
	}
}
