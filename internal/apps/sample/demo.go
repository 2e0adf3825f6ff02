package sample

import (
	_ "embed"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	"golang.org/x/net/websocket"
)

//go:embed demo.html
var demoPage []byte

// maxNote bounds a file of the workbench.
const maxNote = 1 << 20

var noteName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$`)

// Demo is a workbench: text files in a folder, and a WebSocket that tells the time and answers what
// is typed.
func Demo(files *os.Root, base string, now func() time.Time) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(demoPage)
	})
	mux.HandleFunc("GET /files", func(w http.ResponseWriter, _ *http.Request) {
		names := []string{}
		entries, err := fs.ReadDir(files.FS(), ".")
		if err != nil {
			fail(w, err)
			return
		}
		for _, e := range entries {
			if e.Type().IsRegular() && noteName.MatchString(e.Name()) {
				names = append(names, e.Name())
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(names) // the client went away
	})
	mux.HandleFunc("GET /files/{name}", func(w http.ResponseWriter, r *http.Request) {
		f, err := files.Open(clean(r.PathValue("name")))
		if err != nil {
			fail(w, err)
			return
		}
		defer func() { _ = f.Close() }()
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.Copy(w, f) // the client went away
	})
	mux.HandleFunc("PUT /files/{name}", func(w http.ResponseWriter, r *http.Request) {
		f, err := files.Create(clean(r.PathValue("name")))
		if err != nil {
			fail(w, err)
			return
		}
		_, err = io.Copy(f, http.MaxBytesReader(w, r.Body, maxNote))
		if err = errors.Join(err, f.Close()); err != nil {
			fail(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.Handle("/live", websocket.Server{Handler: func(c *websocket.Conn) { live(c, now) }})
	return http.StripPrefix(strings.TrimSuffix(base, "/"), mux)
}

// clean gives a name that is refused as missing when it is none of ours.
func clean(name string) string {
	if !noteName.MatchString(name) {
		return "no such file"
	}
	return name
}

func fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		status = http.StatusNotFound
	case errors.As(err, &tooLarge):
		status = http.StatusRequestEntityTooLarge
	}
	w.WriteHeader(status)
}

// live tells the time each second and answers each line.
func live(c *websocket.Conn, now func() time.Time) {
	done := make(chan struct{})
	lines := make(chan string)
	go func() {
		defer close(done)
		for {
			var line string
			if websocket.Message.Receive(c, &line) != nil {
				return
			}
			lines <- line
		}
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	send := func(kind, text string) error {
		return websocket.JSON.Send(c, map[string]string{"kind": kind, "text": text})
	}
	_ = send("clock", now().UTC().Format(time.TimeOnly)) // an error is found below
	for {
		var err error
		select {
		case <-done:
			return
		case line := <-lines:
			err = send("line", strings.ToUpper(line))
		case <-tick.C:
			err = send("clock", now().UTC().Format(time.TimeOnly))
		}
		if err != nil {
			_ = c.Close()
			for {
				select { // so that whoever reads can end
				case <-lines:
				case <-done:
					return
				}
			}
		}
	}
}
