package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// store is as much of a Lodge as the load program needs.
func store(t *testing.T) *httptest.Server {
	t.Helper()
	var mu sync.Mutex
	files := map[string][]byte{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /results/healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("PUT /results/local/", func(w http.ResponseWriter, r *http.Request) {
		f, _, err := r.FormFile("file")
		if err != nil || r.Header.Get("Authorization") != "Bearer t" {
			w.WriteHeader(400)
			return
		}
		body, _ := io.ReadAll(f)
		mu.Lock()
		defer mu.Unlock()
		id := strconv.Itoa(len(files))
		files[id] = body
		_, _ = fmt.Fprintf(w, `{"url":"http://x/local/%s"}`, id)
	})
	mux.HandleFunc("GET /results/local/{id}", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		body := files[r.PathValue("id")]
		mu.Unlock()
		_, _ = w.Write(body)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func TestEveryScenarioPrintsItsTable(t *testing.T) {
	t.Parallel()
	server := store(t)
	var out bytes.Buffer
	err := run(t.Context(), []string{
		"--server", server.URL, "--token", "t", "--pid", strconv.Itoa(os.Getpid()), "--folder", t.TempDir(), "--data", t.TempDir(),
		"--connections", "1,4", "--count", "40", "--large", "3145728", "--medium", "1000000", "--objects", "50,200",
	}, &out, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"### Objects of 64 KiB", "| put | 1 | 40 |", "| get | 4 | 40 |", "### One object of 3 MiB", "| dd conv=fsync |", "| cat |",
		"### Downloads of 1 MB", "| no line feed |", "### With more stored objects", "| 200 |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, out.String())
		}
	}
}

func TestOnlyLoopbackIsDriven(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--server", "http://lodge.example"}, {"--server", "http://192.0.2.1:80"}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestAFailureEndsTheRun(t *testing.T) {
	t.Parallel()
	err := run(t.Context(), []string{"--server", store(t).URL, "--token", "wrong", "--scenarios", "small"}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "put answered 400") {
		t.Error(err)
	}
}

func TestThePatternHasLineFeedsOrNot(t *testing.T) {
	t.Parallel()
	for _, with := range []bool{true, false} {
		block := make([]byte, 100_000)
		if _, err := io.ReadFull(newPattern(with), block); err != nil || bytes.Contains(block, []byte("\n")) != with {
			t.Errorf("line feeds %v: %v", with, err)
		}
	}
}
