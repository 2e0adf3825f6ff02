package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
)

// site is as much of the fleet part as the load program needs.
type site struct {
	mu    sync.Mutex
	rooms map[string][]*websocket.Conn
	tasks map[string][]byte
	// refuse makes it refuse every message.
	refuse bool
}

func newFleetSite(t *testing.T, refuse bool) *httptest.Server {
	t.Helper()
	s := &site{rooms: map[string][]*websocket.Conn{}, tasks: map[string][]byte{}, refuse: refuse}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /results/healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /fleet/_internal", s.adapter)
	mux.HandleFunc("GET /fleet/socket.io/", s.subscriber)
	mux.HandleFunc("GET /fleet/tasks", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 200)) })
	mux.HandleFunc("GET /fleet/user", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	mux.HandleFunc("GET /fleet/tasks/{id}/state", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		_, _ = w.Write(s.tasks[r.PathValue("id")])
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func (s *site) adapter(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	for {
		_, text, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		var m struct {
			Type string `json:"type"`
			Data struct {
				Name    string `json:"name"`
				Booking struct {
					ID string `json:"id"`
				} `json:"booking"`
			} `json:"data"`
		}
		if s.refuse || json.Unmarshal(text, &m) != nil {
			_ = conn.Write(r.Context(), websocket.MessageText, []byte(`{"type":"error","error":"no"}`))
			continue
		}
		room := fleetRoom(m.Data.Name)
		s.mu.Lock()
		if m.Type == "task_state_update" {
			room = taskRoom(m.Data.Booking.ID)
			s.tasks[m.Data.Booking.ID] = text
		}
		for _, to := range s.rooms[room] {
			_ = to.Write(r.Context(), websocket.MessageText, []byte(`42["`+room+`",`+string(text)+`]`))
		}
		s.mu.Unlock()
	}
}

func (s *site) subscriber(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	say := func(text string) { _ = conn.Write(r.Context(), websocket.MessageText, []byte(text)) }
	say(`0{"sid":"x"}`)
	for {
		_, text, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		if _, room, found := strings.Cut(string(text), `{"room":"`); found {
			room, _, _ = strings.Cut(room, `"`)
			s.mu.Lock()
			s.rooms[room] = append(s.rooms[room], conn)
			s.mu.Unlock()
			say(`430[{"success":true}]`)
		} else {
			say(`40{"sid":"y"}`)
		}
	}
}

func fleetArgs(server string) []string {
	return []string{
		"--server", server, "--token", "t", "--pid", strconv.Itoa(os.Getpid()), "--scenarios", "ingest,robots,site,cheap,tasks", "--count", "5",
		"--subscribers", "3", "--moving", "20", "--rooms", "2", "--rate", "100", "--limit", "1us", "--fleet-duration", "200ms", "--site-time", "300ms", "--tasks", "50",
	}
}

func TestTheFleetsScenariosPrintTheirTables(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	// The first rate is too much for so strict a limit.
	if err := run(t.Context(), fleetArgs(newFleetSite(t, false).URL), &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"3 subscribers in 2 of 20 rooms each", "| 100 |", "The first rate was too much", "### One fleet of 100 robots", "| Lodge | 10 | 2 |",
		"### 1000 robots at 2 Hz and 3 dashboards", "| 0.0 % | 0 | 0 |", "### GET /user", "### GET /tasks over 50 tasks", "| by label | oldest first | 100 |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, out.String())
		}
	}
}

func TestTheKneeIsFound(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	args := append(fleetArgs(newFleetSite(t, false).URL), "--scenarios", "ingest", "--limit", "1h", "--most", "220")
	if err := run(t.Context(), args, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| 150 |", "| Lodge | 150 |", "| 75 |", "as published"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, out.String())
		}
	}
}

func TestARefusedMessageEndsTheRun(t *testing.T) {
	t.Parallel()
	err := run(t.Context(), fleetArgs(newFleetSite(t, true).URL), io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "refuses a message") {
		t.Error(err)
	}
}
