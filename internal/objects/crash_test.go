package objects_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lodge/internal/objects"
)

// helperVariable makes the test binary run one of helpers instead of the tests, as a process
// that can be killed or limited.
const helperVariable = "LODGE_OBJECTS_HELPER"

func TestMain(m *testing.M) {
	if name := os.Getenv(helperVariable); name != "" {
		if err := helpers()[name](os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// helper prepares the test binary to run a helper on a folder.
func helper(t *testing.T, name, dir string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, dir)
	cmd.Env = append(os.Environ(), helperVariable+"="+name)
	return cmd
}

// putForever puts objects until it is killed, and prints the key of each that Put confirmed.
func putForever(dir string) error {
	files, err := objects.OpenFiles(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	failed := make(chan error)
	for worker := range 8 {
		go func() {
			for n := 0; ; n++ {
				key := fmt.Sprintf("w%d/%d", worker, n)
				if n%3 == 0 {
					key = "replaced"
				}
				if _, err := files.Put(context.Background(), key, bytes.NewReader(selfDescribing(rand.Uint64()))); err != nil {
					failed <- err
				}
				fmt.Println(key)
			}
		}()
	}
	return <-failed
}

// TestKill kills a process in the middle of its puts, over and over on the same folder.
func TestKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	confirmed := map[string]bool{}
	for range 5 {
		cmd := helper(t, "put", dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 1; lines.Scan(); n++ {
			confirmed[lines.Text()] = true
			if n == 40 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // killed
		if stderr.Len() > 0 {
			t.Fatalf("the helper failed: %s", stderr.String())
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "tmp", "*"))
	if err != nil || len(left) != 1 {
		t.Fatalf("the last process left %q (%v): this test kills nobody in time", left, err)
	}

	files := openFiles(t, dir)
	for info, err := range files.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		delete(confirmed, info.Key)
		r, _, err := files.Get(t.Context(), info.Key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		_ = r.Close()
		if err != nil || len(body) < 8 || !bytes.Equal(body, selfDescribing(binary.BigEndian.Uint64(body))) {
			t.Errorf("%s has %d bytes that nobody put: %v", info.Key, len(body), err)
		}
	}
	if len(confirmed) > 0 {
		t.Errorf("%d objects were confirmed and are gone: %v", len(confirmed), confirmed)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "tmp", "*", "*", "*")); len(left) > 0 {
		t.Errorf("temporary files are left: %q", left)
	}
}

// selfDescribing is a body whose first bytes tell all the others, and how many there are.
func selfDescribing(seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, 0))
	size := 64<<10 + random.IntN(1000)
	if random.IntN(8) == 0 {
		size = 12<<20 + random.IntN(1000)
	}
	body := make([]byte, 8, size)
	binary.BigEndian.PutUint64(body, seed)
	for len(body) < size {
		body = binary.BigEndian.AppendUint64(body, random.Uint64())
	}
	return body[:size]
}

// TestSweep opens a store while another has it open, and one has died in it.
func TestSweep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	alive := openFiles(t, dir)
	dead := filepath.Join(dir, "tmp", "dead")
	if err := os.Mkdir(dead, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dead, "1"), []byte("half an obj"), 0o600); err != nil {
		t.Fatal(err)
	}
	body := func(yield func()) io.Reader {
		return io.MultiReader(strings.NewReader("begun before, "), readerFunc(func([]byte) (int, error) {
			yield()
			return 0, io.EOF
		}), strings.NewReader("ended after"))
	}
	_, err := alive.Put(t.Context(), "k", body(func() { openFiles(t, dir) }))
	if err != nil {
		t.Errorf("opening the store again broke a put: %v", err)
	}
	if _, err := os.Stat(dead); !os.IsNotExist(err) {
		t.Errorf("what a dead process left is still there: %v", err)
	}
	r, _, err := alive.Get(t.Context(), "k", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if got, err := io.ReadAll(r); err != nil || string(got) != "begun before, ended after" {
		t.Errorf("read %q, %v", got, err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
