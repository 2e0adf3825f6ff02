package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// stockClient is a folder with the stock socket.io client and the script that drives it, which the
// conformance tests use as well.
var stockClient = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "lodge-socketio-")
	if err != nil {
		return "", err
	}
	removeStockClient = func() { _ = os.RemoveAll(dir) }
	for _, name := range []string{"client.mjs", "package.json", "package-lock.json"} {
		text, err := os.ReadFile(filepath.Join("..", "conformance", "socketio", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
			return dir, err
		}
	}
	npm := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return dir, nil
})

// removeStockClient removes the folder at the end of all tests.
var removeStockClient = func() {}

// dashboard is a stock socket.io client in a process of its own.
type dashboard struct {
	t  testing.TB
	in io.Writer

	mu    sync.Mutex
	lines []happening
}

// happening is something that the client says.
type happening struct {
	Event, Name, Message string
	Data                 json.RawMessage
}

// dashboard connects one for the caller, by polling first, as browsers do.
func (c caller) dashboard(path string) *dashboard {
	c.t.Helper()
	return c.dashboardAt(c.url(), path)
}

// dashboardAt connects one that knows the server by another address.
func (c caller) dashboardAt(server, path string) *dashboard {
	c.t.Helper()
	d := c.openDashboard(server, path)
	eventually(c.t, "the dashboard is connected", func() bool {
		return d.happened(func(h happening) bool { return h.Event == "connect" })
	})
	return d
}

func (c caller) openDashboard(server, path string) *dashboard {
	c.t.Helper()
	dir, err := stockClient()
	noError(c.t, err)
	cmd := exec.CommandContext(c.t.Context(), "node", "client.mjs", server, path, "polling,websocket")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	in, err := cmd.StdinPipe()
	noError(c.t, err)
	out, err := cmd.StdoutPipe()
	noError(c.t, err)
	noError(c.t, cmd.Start())
	d := &dashboard{t: c.t, in: in}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(out)
		for lines.Buffer(nil, 8<<20); lines.Scan(); {
			var h happening
			if json.Unmarshal(lines.Bytes(), &h) != nil {
				h = happening{Event: "garbage", Message: lines.Text()}
			}
			d.mu.Lock()
			d.lines = append(d.lines, h)
			d.mu.Unlock()
		}
	}()
	c.t.Cleanup(func() {
		_ = in.Close()
		<-ended
		_ = cmd.Wait() // it may have been ended by the end of the test
	})
	d.do(map[string]any{"do": "connect", "auth": map[string]string{"token": c.secret}})
	return d
}

func (d *dashboard) do(command any) {
	d.t.Helper()
	text, err := json.Marshal(command)
	noError(d.t, err)
	_, err = d.in.Write(append(text, '\n'))
	noError(d.t, err)
}

// happened finds something among what happened by now.
func (d *dashboard) happened(is func(happening) bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.lines, is)
}

// subscribe enters a room and gives the acknowledgement.
func (d *dashboard) subscribe(room string) string {
	d.t.Helper()
	d.do(map[string]any{"do": "emit", "name": "subscribe", "args": []any{map[string]string{"room": room}}, "ack": true})
	var answer string
	eventually(d.t, "the answer about "+room, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		i := slices.IndexFunc(d.lines, func(h happening) bool { return h.Event == "ack" })
		if i >= 0 {
			answer = string(d.lines[i].Data)
			d.lines = slices.Delete(d.lines, i, i+1)
		}
		return i >= 0
	})
	return answer
}

// enters is subscribe for somebody who may.
func (d *dashboard) enters(rooms ...string) {
	d.t.Helper()
	for _, room := range rooms {
		equal(d.t, "the answer about "+room, d.subscribe(room), `{"success":true}`)
	}
}

// heard says whether words were heard in a room by now, all in one event.
func (d *dashboard) heard(room string, words ...string) bool {
	return d.happened(func(h happening) bool {
		return h.Event == "received" && h.Name == room &&
			!slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(string(h.Data), word) })
	})
}

// hears waits until they are heard.
func (d *dashboard) hears(room string, words ...string) {
	d.t.Helper()
	eventually(d.t, fmt.Sprintf("%v is heard in %s", words, room), func() bool { return d.heard(room, words...) })
}

// forgets drops what was heard.
func (d *dashboard) forgets() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = nil
}
