package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lodge/internal/client"
)

// jobServer answers as the workflows part does, about one job.
type jobServer struct {
	*httptest.Server
	posted chan string
	events []string
}

const jobUID = "8a4e2b9c-5f0f-4c7e-9b64-3a1f0c6d2eff"

func newJobServer(t *testing.T, events ...string) *jobServer {
	t.Helper()
	s := &jobServer{posted: make(chan string, 1), events: events}
	mux := http.NewServeMux()
	answer := func(pattern, text string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
	}
	const api = "/workflows/api/v1"
	answer("GET /workflows/livez", "alive")
	answer("GET "+api+"/workspaces/", `{"items":[{"name":"sandbox","roles":["ws-collaborator"]},{"name":"other","roles":[]}]}`)
	mux.HandleFunc("POST "+api+"/jobs/", func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("%v %v", err, r.Header)
		}
		s.posted <- string(text)
		w.Header().Set("Location", api+"/jobs/"+jobUID)
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "null")
	})
	tells := 0
	mux.HandleFunc("GET "+api+"/jobs/"+jobUID+"/events/", func(w http.ResponseWriter, r *http.Request) {
		// The connection breaks after each event.
		if tells > 0 && r.Header.Get("Last-Event-ID") == "" {
			t.Error("the stream is not resumed")
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, ": hello\n\nid: 7\ndata: "+s.events[tells]+"\n\n")
		tells++
	})
	answer("GET "+api+"/jobs/"+jobUID+"/outputs/", `{"items":[{"name":"text","type":"parameter","value":"v"},{"name":"plot","type":"artifact","file":"../x.png","size":3}]}`)
	answer("GET "+api+"/jobs/"+jobUID+"/outputs/text", "v")
	answer("GET "+api+"/jobs/"+jobUID+"/outputs/plot", "PNG")
	answer("GET "+api+"/jobs/"+jobUID+"/logs/n1/text", "said \x1b[31mred\n")
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func jobEvent(phase, finished string) string {
	return `{"metadata":{"name":"` + jobUID + `"},"status":{"phase":"` + phase + `","progress":"1/1","message":"m","startedAt":"2026-01-01T00:00:00Z","finishedAt":` + finished +
		`,"nodes":{"n1":{"id":"n1","name":"` + jobUID + `.a","displayName":"a","type":"Pod","phase":"` + phase + `","startedAt":"2026-01-01T00:00:00Z","finishedAt":` + finished + `}}}}`
}

func TestRun(t *testing.T) {
	t.Parallel()
	const at = `"2026-01-01T00:00:02Z"`
	for name, x := range map[string]struct {
		args   []string
		events []string
		posted []string
		out    string // what is printed
		errs   string
		err    string
		files  map[string]string
	}{
		"submitted alone": {nil, nil, []string{`"workspace":"sandbox"`, `"value":"Ada"`}, jobUID + "\n", "", "", nil},
		"watched":         {[]string{"--watch", "-p", "name=Eve"}, []string{jobEvent("Running", "null"), jobEvent("Succeeded", at)}, []string{`"value":"Eve"`}, "text.txt\n", "✔ a  succeeded  2s", "", map[string]string{"text.txt": "v", "plot.png": "PNG"}},
		"failed":          {[]string{"--watch"}, []string{jobEvent("Failed", at)}, nil, "", "── a\nsaid [31mred", "the job ended as Failed: m", nil},
		"with logs":       {[]string{"--logs", "-q"}, []string{jobEvent("Succeeded", at)}, nil, "", "── a\nsaid", "", nil},
		"options":         {[]string{"--timeout", "5", "--retries", "2", "--workspace", "other"}, nil, []string{`"options":{"timeout":5,"retries":2}`, `"workspace":"other"`}, "", "", "", nil},
		"no such input":   {[]string{"-p", "nam=Eve"}, nil, nil, "", "", `there is no input "nam"; there are name`, nil},
		"no value":        {[]string{"-p", "name"}, nil, nil, "", "", "write NAME=VALUE", nil},
		"no such file":    {[]string{"-p", "name=@/nothing"}, nil, nil, "", "", "no such file", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newJobServer(t, x.events...)
			dir := t.TempDir()
			args := append([]string{"run", "../../examples/workflows/hello.json", "--server", s.URL}, x.args...)
			if x.events != nil {
				args = append(args, "--output", dir)
			}
			var out, errs bytes.Buffer
			term := &terminal{out: &out, errors: &errs, now: time.Now, getenv: func(name string) string { return map[string]string{"LODGE_TOKEN": "secret"}[name] }}
			err := run(t.Context(), args, term)
			if (err != nil) != (x.err != "") || err != nil && !strings.Contains(err.Error(), x.err) {
				t.Fatalf("error %v, want %q; %s", err, x.err, errs.String())
			}
			if !strings.Contains(out.String(), x.out) || !strings.Contains(errs.String(), x.errs) || strings.Contains(errs.String(), "\x1b") {
				t.Errorf("printed %q and %q", out.String(), errs.String())
			}
			for _, want := range x.posted {
				select {
				case posted := <-s.posted:
					if s.posted <- posted; !strings.Contains(posted, want) || !json.Valid([]byte(posted)) {
						t.Errorf("posted %s, want %s", posted, want)
					}
				default:
					t.Error("nothing was posted")
				}
			}
			for file, want := range x.files {
				if text, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(text) != want {
					t.Errorf("%s: %q, %v", file, text, err)
				}
			}
		})
	}
}

// TestTree draws a job over itself, in the room that there is.
func TestTree(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	started := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	v := &tree{out: &out, now: func() time.Time { return started.Add(3 * time.Second) }, live: true, size: func() (int, int) { return 40, 10 }, seen: map[string]string{}}
	var j client.Job
	j.Metadata.Name = "job"
	j.Status.Phase, j.Status.Progress, j.Status.StartedAt = "Running", "1/30", started
	j.Status.Nodes = map[string]client.JobNode{"job": {ID: "job", Name: "job", DisplayName: "job", Type: "DAG", Phase: "Running", StartedAt: started}}
	for i := range 30 {
		id, phase := string(rune('a'+i%26))+string(rune('a'+i/26)), "Succeeded"
		if i == 7 {
			phase = "Failed"
		}
		j.Status.Nodes[id] = client.JobNode{ID: id, Name: "job." + id, DisplayName: id + strings.Repeat("x", 60), Type: "Pod", Phase: phase, BoundaryID: "job", StartedAt: started.Add(time.Duration(i) * time.Millisecond)}
	}
	v.draw(j)
	first := out.String()
	if v.drawn > 10 || !strings.Contains(first, "✖ ha") || !strings.Contains(first, "● running  1/30  3s") || strings.Contains(first, "✔") {
		t.Errorf("%d lines: %s", v.drawn, first)
	}
	for _, line := range strings.Split(strings.TrimSuffix(first, "\n"), "\n") {
		if len([]rune(strings.ReplaceAll(strings.ReplaceAll(line, "\x1b[2K", ""), "\x1b[J", ""))) >= 40 {
			t.Errorf("too wide: %q", line)
		}
	}
	out.Reset()
	if v.draw(j); !strings.HasPrefix(out.String(), "\x1b[2A") {
		t.Errorf("it is not drawn over: %q", out.String())
	}
}
