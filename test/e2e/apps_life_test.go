package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// A hundred first requests at once: one app, and a hundred good answers. What is sent while it starts
// arrives, once and whole.
func TestAHundredFirstRequests(t *testing.T) {
	t.Parallel()
	l := startLodge(t, withApps("["+everyone("wild", "slow", `, env: {WAIT: 700ms}`)+"]"), with("LODGE_APPS_LIMITS_LAUNCHES_PER_MINUTE", "1000"))
	ana := l.person("ana")
	var group sync.WaitGroup
	answers := make([]string, 100)
	for i := range answers {
		group.Go(func() {
			launched, err := ana.try(t.Context(), "POST", "/api/v1/apps/wild/sessions", nil, http.NoBody, 0)
			if err != nil || launched.status != 202 && launched.status != 200 {
				t.Errorf("launch: %d %s %v", launched.status, launched.body, err)
				return
			}
			at := parse[appSession](launched).host()
			for range 3 { // thirty-two requests are held for an app that starts; the others come back
				got, err := ana.try(t.Context(), "GET", at+"/pid", nil, http.NoBody, 0)
				if err != nil {
					t.Error(err)
					return
				}
				if answers[i] = got.body; got.status == 200 {
					return
				}
				if got.status != 503 || got.header.Get("Retry-After") == "" {
					t.Errorf("the app: %d %s", got.status, got.body)
				}
				<-time.After(time.Second)
			}
			t.Errorf("no answer but %s", answers[i])
		})
	}
	group.Wait()
	for _, pid := range answers {
		equal(t, "the process that answers", pid, answers[0])
	}
	equal(t, "processes", len(appProcesses(t, l.data)), 1)
	equal(t, "starts on record", l.records("apps.launch"), 1)

	// Another person's first request, with a body.
	ben := l.person("ben")
	at := ben.launch("wild").host()
	ben.do("POST", at+"/post", nil, "precious").is(200)
	equal(t, "what arrived", ben.get(at+"/posts").body, "POST precious")
}

// Fifty people at once: all come to their app, never more start than may, and whoever waits is told
// their place, which only falls.
func TestFiftyPeople(t *testing.T) {
	t.Parallel()
	l := startLodge(t, withApps("["+everyone("wild", "slow", `, env: {WAIT: 100ms}`)+"]"), with("LODGE_APPS_LIMITS_STARTS_AT_ONCE", "4"))
	people := 50
	if !*full {
		people = 20
	}
	var group sync.WaitGroup
	for i := range people {
		group.Go(func() {
			c := l.person(fmt.Sprintf("user%d", i))
			launched, err := c.try(t.Context(), "POST", "/api/v1/apps/wild/sessions", nil, http.NoBody, 0)
			if err != nil || launched.status != 202 {
				t.Errorf("launch: %d %s %v", launched.status, launched.body, err)
				return
			}
			last := people + 1
			for _, e := range c.events(parse[appSession](launched).ID, "") {
				if e.Position > 0 {
					if e.Position > last {
						t.Errorf("a place went from %d to %d", last, e.Position)
					}
					last = e.Position
				}
				if e.Failed {
					t.Errorf("failed: %+v", e)
				}
			}
		})
	}
	most := 0
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	root := l.administrator()
	for watching := true; watching; {
		select {
		case <-done:
			watching = false
		case <-time.After(20 * time.Millisecond):
			capacity := parse[struct{ Starting int }](root.get("/api/v1/app-capacity").is(200))
			most = max(most, capacity.Starting)
		}
	}
	if most > 4 || most == 0 {
		t.Errorf("%d started at a time, want 4 at most", most)
	}
	equal(t, "processes", len(appProcesses(t, l.data)), people)
}

// progress is one event of a start.
type progress struct {
	Progress int    `json:"progress"`
	Step     string `json:"step"`
	Message  string `json:"message"`
	Position int    `json:"position"`
	Ready    bool   `json:"ready"`
	Failed   bool   `json:"failed"`
	URL      string `json:"url"`
	Cause    string `json:"cause"`
	id       string
}

// events follows a start to its end.
func (c caller) events(id, after string) (list []progress) {
	head := http.Header{}
	if after != "" {
		head.Set("Last-Event-ID", after)
	}
	resp, err := c.open(c.t.Context(), "GET", "/api/v1/app-sessions/"+id+"/events", head, http.NoBody, 0)
	if err != nil {
		c.t.Error(err)
		return nil
	}
	defer func() { _ = resp.Body.Close() }()
	at := ""
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			at = text
		}
		if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			var p progress
			if err := json.Unmarshal([]byte(text), &p); err != nil {
				c.t.Error(err)
			}
			p.id = at
			list = append(list, p)
		}
	}
	return list
}

// Whatever goes wrong with an app, its person is told what, in the page and in the answer, and
// nothing of it stays.
func TestWhatGoesWrong(t *testing.T) {
	t.Parallel()
	l := startLodge(t, withApps("["+strings.Join([]string{
		everyone("exits", "exits", ""),
		everyone("deaf", "deaf", ", ready: {timeout: 1s}"),
		everyone("silent", "silent", ", ready: {timeout: 1500ms}, start_timeout: 1500ms"),
		`{id: nowhere, command: [/no/such/program], allow: {users: ["*"]}}`,
		everyone("wild", "serve", ""),
	}, ", ")+"]"))
	ana := l.person("ana")
	for app, want := range map[string]struct{ cause, words string }{
		"exits":   {"exited_early", "last words"},
		"deaf":    {"not_answering", "hello from deaf"},
		"silent":  {"start_timeout", "hello from silent"},
		"nowhere": {"image_missing", "/no/such/program"},
	} {
		session := ana.launch(app)
		events := ana.events(session.ID, "")
		end := events[len(events)-1]
		if !end.Failed || end.Cause != want.cause {
			t.Errorf("%s: the start ended with %+v", app, end)
		}
		got := ana.look(session.ID)
		equal(t, app+"'s cause", got.Cause, want.cause)
		page := ana.page(session.URL)
		if page.status != 200 || !strings.Contains(page.body, want.words) || !strings.Contains(page.body, "Try again") {
			t.Errorf("%s: the page does not say why: %d %s", app, page.status, page.body)
		}
		ana.get(session.URL).is(503, "app_failed", want.cause)
	}
	// It ends while it is used: the next page says so, and starts it again.
	wild := ana.up("wild")
	if _, err := ana.try(t.Context(), "GET", wild.host()+"/exit", nil, http.NoBody, 0); err != nil {
		t.Error(err)
	}
	within(t, 10*time.Second, "the page tells of the crash", func() bool {
		page := ana.page(wild.URL)
		return strings.Contains(page.body, "exit code 7") && strings.Contains(page.body, "last words") && strings.Contains(page.body, "Try again")
	})
	ana.do("POST", wild.host()+"/.lodge/start", http.Header{"Origin": {wild.host()}}, "").is(303)
	ana.until(wild.ID, "ready")
	equal(t, "processes", len(appProcesses(t, l.data)), 1)

	// The fourth start of something that keeps failing is refused for a moment.
	ben := l.person("ben")
	id := ""
	for range 3 {
		id = ben.launch("exits").ID
		ben.events(id, "")
	}
	refused := ben.send("POST", "/api/v1/apps/exits/sessions", nil).is(429, "keeps failing")
	if refused.header.Get("Retry-After") == "" {
		t.Error("nobody says when to come back")
	}
	if page := ben.page(ben.look(id).URL); !strings.Contains(page.body, "last words") {
		t.Errorf("the page does not say why: %s", page.body)
	}
	if n := l.records("apps.launch"); n < 8 {
		t.Errorf("%d starts are on record", n)
	}
}

// What an app keeps secret it is told, and whoever reads its log is not; nor are its settings. The class
// "secret leaked in an answer or a log".
func TestSecretsOfApps(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "key")
	const canary = "canary-of-the-app"
	noError(t, os.WriteFile(file, []byte(canary+"\n"), 0o600))
	more := ", secret_env: {API_KEY: {file: " + file + "}}, env: {PLAIN: shown}"
	l := startLodge(t, withApps("["+everyone("tells", "tells", more)+", "+everyone("wild", "serve", more)+"]"), with("LODGE_LOG_LEVEL", "debug"))
	ana, root := l.person("ana"), l.administrator()
	failed := ana.launch("tells")
	ana.events(failed.ID, "")
	running := ana.up("wild")
	ana.get(running.host() + "/env").is(200)
	var said strings.Builder
	for _, who := range []caller{ana, root} {
		for _, path := range []string{"/api/v1/apps", "/api/v1/apps/wild", "/api/v1/app-sessions?user=*", "/api/v1/app-drivers", "/api/v1/site/config", "/api/v1/audit?limit=500"} {
			said.WriteString(who.get(path).body)
		}
		for _, s := range []appSession{failed, running} {
			for _, path := range []string{"", "/events", "/logs"} {
				said.WriteString(who.get("/api/v1/app-sessions/" + s.ID + path).body)
			}
		}
	}
	said.WriteString(ana.page(failed.URL).body)
	l.stop()
	text, err := os.ReadFile(l.server.log)
	noError(t, err)
	said.Write(text)
	if !strings.Contains(said.String(), "PLAIN=shown") || !strings.Contains(said.String(), "API_KEY=***") {
		t.Error("the apps did not tell what they were told: the canary could not have sung")
	}
	if at := strings.Index(said.String(), canary); at >= 0 {
		t.Errorf("the secret was told: …%s…", said.String()[max(0, at-300):at])
	}
}

// Events of a start that are asked for again go on where they stopped.
func TestEventsGoOn(t *testing.T) {
	t.Parallel()
	l := startLodge(t, withApps(wildOnly))
	ana := l.person("ana")
	session := ana.launch("wild")
	all := ana.events(session.ID, "")
	if len(all) < 3 || !all[len(all)-1].Ready || all[len(all)-1].URL != session.URL {
		t.Fatalf("the start was told as %+v", all)
	}
	for i, e := range all {
		if i > 0 && e.Progress < all[i-1].Progress {
			t.Errorf("the bar went back from %d to %d", all[i-1].Progress, e.Progress)
		}
		if i < len(all)-1 && e.id != "" {
			rest := ana.events(session.ID, e.id)
			equal(t, "events that were missed", len(rest), len(all)-1-i)
		}
	}
}

// With an idle time-out of three seconds: used, it stays; with a socket that only receives or pings,
// or without anybody, it goes.
func TestIdle(t *testing.T) {
	t.Parallel()
	l := startLodge(t, withApps("["+everyone("wild", "serve", ", idle_timeout: 3s, warn_before: 1s")+"]"),
		with("LODGE_APPS_CULL_EVERY", "300ms"), with("LODGE_APPS_CULL_FLUSH", "200ms"))
	socket := func(name string, s appSession, query string) *websocket.Conn {
		c, _, err := websocket.Dial(t.Context(), s.host()+"/ws"+query, &websocket.DialOptions{ //nolint:bodyclose // what follows is no body
			HTTPClient: l.nobody().http, HTTPHeader: http.Header{"userid": {name}, "Origin": {s.host()}},
		})
		noError(t, err)
		return c
	}
	stopped := func(c caller, id string) bool {
		s := c.look(id)
		return s.State == "stopped" && s.Cause == "idle" || s.State == "stopping"
	}
	var people sync.WaitGroup
	for name, use := range map[string]func(ctx context.Context, s appSession){
		"nobody": func(context.Context, appSession) {},
		"listener": func(ctx context.Context, s appSession) { // the app talks, nobody types
			c := socket("listener", s, "?chatter=100ms")
			for {
				if _, _, err := c.Read(ctx); err != nil {
					return
				}
			}
		},
		"pinger": func(ctx context.Context, s appSession) {
			c := socket("pinger", s, "")
			ctx = c.CloseRead(ctx)
			for c.Ping(ctx) == nil {
				<-time.After(100 * time.Millisecond)
			}
		},
		"heart": func(ctx context.Context, s appSession) { // what socket.io sends by itself
			c := socket("heart", s, "")
			for c.Write(ctx, websocket.MessageText, []byte("2")) == nil {
				if _, _, err := c.Read(ctx); err != nil {
					return
				}
				<-time.After(100 * time.Millisecond)
			}
		},
		"poller": func(ctx context.Context, s appSession) { // a forgotten tab
			for ctx.Err() == nil {
				if a, err := l.person("poller").try(ctx, "GET", s.host()+"/pid", http.Header{"Sec-Fetch-Mode": {"cors"}}, http.NoBody, 0); err != nil || a.status != 200 {
					return
				}
				<-time.After(200 * time.Millisecond)
			}
		},
		"failing": func(ctx context.Context, s appSession) {
			for ctx.Err() == nil {
				if a, err := l.person("failing").try(ctx, "POST", s.host()+"/fail", nil, http.NoBody, 0); err != nil || a.status != 502 {
					return
				}
				<-time.After(200 * time.Millisecond)
			}
		},
	} {
		people.Go(func() {
			c := l.person(name)
			s := c.up("wild")
			ctx, end := context.WithCancel(t.Context())
			defer end()
			began := time.Now()
			go use(ctx, s)
			within(t, 15*time.Second, name+"'s app is closed", func() bool { return stopped(c, s.ID) })
			if lasted := time.Since(began); lasted < 2*time.Second {
				t.Errorf("%s's app was closed after %s", name, lasted)
			}
		})
	}
	for name, use := range map[string]func(s appSession, c caller, sock *websocket.Conn) error{
		"typist": func(_ appSession, _ caller, sock *websocket.Conn) error {
			return sock.Write(t.Context(), websocket.MessageText, []byte("typed"))
		},
		"reader": func(s appSession, c caller, _ *websocket.Conn) error {
			_, err := c.try(t.Context(), "GET", s.host()+"/x", http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}}, http.NoBody, 0)
			return err
		},
		"caller": func(s appSession, c caller, _ *websocket.Conn) error {
			_, err := c.try(t.Context(), "POST", "/api/v1/app-sessions/"+s.ID+"/activity", http.Header{"Content-Type": {"application/json"}},
				strings.NewReader(fmt.Sprintf(`{"last_activity": %q}`, time.Now().Format(time.RFC3339Nano))), -1)
			return err
		},
	} {
		people.Go(func() {
			c := l.person(name)
			s := c.up("wild")
			var sock *websocket.Conn
			if name == "typist" {
				sock = socket(name, s, "")
				go func() {
					for {
						if _, _, err := sock.Read(t.Context()); err != nil {
							return
						}
					}
				}()
			}
			for range 16 { // twice the time-out and more
				if err := use(s, c, sock); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				<-time.After(500 * time.Millisecond)
			}
			if got := c.look(s.ID); got.State != "ready" {
				t.Errorf("%s's app is %s (%s) though it was used", name, got.State, got.Cause)
			}
			within(t, 15*time.Second, name+"'s app is closed at last", func() bool { return stopped(c, s.ID) })
		})
	}
	people.Wait()
	eventually(t, "no process is left", func() bool { return len(appProcesses(t, l.data)) == 0 })
}

// Lodge is killed with twenty apps running and comes back: all answer as before, none twice.
func TestKilledWithTwenty(t *testing.T) {
	t.Parallel()
	l := startLodge(t, withApps(wildOnly), behindNothing(t), with("LODGE_APPS_CULL_ORPHAN_AFTER", "1s"))
	const people = 20
	pids := map[string]string{}
	sessions := map[string]appSession{}
	for i := range people {
		name := fmt.Sprintf("user%d", i)
		c := l.person(name)
		sessions[name] = c.up("wild")
		pids[name] = c.get(sessions[name].host() + "/pid").is(200).body
	}
	l.kill()
	equal(t, "processes while nobody serves", len(appProcesses(t, l.data)), people)
	l.start()
	began := time.Now()
	for name, pid := range pids {
		c := l.person(name)
		equal(t, name+"'s process", c.get(sessions[name].host()+"/pid").is(200).body, pid)
		equal(t, name+"'s app session", c.launch("wild").ID, sessions[name].ID)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s until all were reached again", took)
	}
	l.administrator().send("POST", "/api/v1/apps/-/reconcile", nil).is(204)
	equal(t, "processes", len(appProcesses(t, l.data)), people)

	// A death while nobody looked is seen, and one that comes later too.
	l.kill()
	var victim int
	_, err := fmt.Sscan(pids["user0"], &victim)
	noError(t, err)
	noError(t, syscall.Kill(victim, syscall.SIGKILL))
	l.start()
	zero := l.person("user0")
	within(t, 15*time.Second, "it is seen that the app has ended", func() bool {
		return zero.get(sessions["user0"].host()+"/pid").status == 503
	})
	_, err = fmt.Sscan(pids["user1"], &victim)
	noError(t, err)
	noError(t, syscall.Kill(victim, syscall.SIGKILL))
	one := l.person("user1")
	within(t, 5*time.Second, "the death is told", func() bool { return one.look(sessions["user1"].ID).State == "failed" })
	equal(t, "processes", len(appProcesses(t, l.data)), people-2)
}

// behindNothing keeps the server at one address over its restarts.
func behindNothing(t testing.TB) setting {
	address := reservedHub(t).address
	return func(l *lodge) { l.listen = address }
}

// Killed at random moments during launches and stops: in the end every row is as what runs, and
// nothing is left over.
func TestKilledAtRandom(t *testing.T) {
	t.Parallel()
	times, people := 3, 8
	if *full {
		times, people = 10, 50
	}
	l := newLodge(t, withApps(wildOnly), behindNothing(t), with("LODGE_APPS_CULL_ORPHAN_AFTER", "1s"), with("LODGE_APPS_CULL_RECONCILE", "1s"),
		with("LODGE_APPS_LIMITS_LAUNCHES_PER_MINUTE", "1000"))
	for range times {
		l.start()
		var group sync.WaitGroup
		for i := range people {
			group.Go(func() {
				c := l.person(fmt.Sprintf("user%d", i))
				launched, err := c.try(t.Context(), "POST", "/api/v1/apps/wild/sessions", nil, http.NoBody, 0)
				if err != nil || launched.status >= 300 || i%2 == 0 {
					return // it was killed meanwhile
				}
				_, _ = c.try(t.Context(), "DELETE", "/api/v1/app-sessions/"+parse[appSession](launched).ID, nil, http.NoBody, 0)
			})
		}
		<-time.After(time.Duration(rand.IntN(400)) * time.Millisecond)
		l.kill()
		group.Wait()
	}
	l.start()
	root := l.administrator()
	matches := func() bool {
		ready := 0
		for _, s := range list[appSession](root, "/api/v1/app-sessions?user=*") {
			switch s.State {
			case "ready":
				ready++
			case "stopped", "failed":
			default:
				return false
			}
		}
		return ready == len(appProcesses(t, l.data))
	}
	eventually(t, "rows and processes agree", matches)
	// Whoever is ready is reached.
	for i := range people {
		c := l.person(fmt.Sprintf("user%d", i))
		for _, s := range list[appSession](c, "/api/v1/app-sessions") {
			if s.State == "ready" {
				c.get(s.host() + "/pid").is(200)
			}
		}
	}
}

// Told to end, the server lets requests finish, takes no launches, and leaves apps running or not, as
// it is set.
func TestTheServerEnds(t *testing.T) {
	t.Parallel()
	for _, also := range []bool{false, true} {
		t.Run(fmt.Sprint("apps end too: ", also), func(t *testing.T) {
			t.Parallel()
			l := startLodge(t, withApps(wildOnly), with("LODGE_APPS_STOP_APPS_ON_EXIT", fmt.Sprint(also)))
			ana, ben := l.person("ana"), l.person("ben")
			at := ana.up("wild").host()
			ben.up("wild")
			slow, err := ana.open(t.Context(), "GET", at+"/big?n=200000000", nil, http.NoBody, 0)
			noError(t, err)
			defer func() { _ = slow.Body.Close() }()
			l.server.signal(syscall.SIGTERM)
			buf := make([]byte, 1<<20)
			var got int64
			for {
				n, err := slow.Body.Read(buf)
				if got += int64(n); err != nil {
					break
				}
			}
			equal(t, "bytes of a request that was running", got, 200000000)
			equal(t, "exit status", l.server.wait(), 0)
			want := 2
			if also {
				want = 0
			}
			equal(t, "processes that are left", len(appProcesses(t, l.data)), want)
		})
	}
}

// A number that another program has by now is not taken for the app's.
func TestAnothersNumber(t *testing.T) {
	t.Parallel()
	l := startLodge(t, withApps(wildOnly), behindNothing(t))
	ana := l.person("ana")
	s := ana.up("wild")
	l.kill()
	endApps(t, l.data)
	// The record now names this very program, which runs.
	record := l.data + "/apps/" + s.ID + "/instance.json"
	text, err := os.ReadFile(record)
	noError(t, err)
	var fields map[string]any
	noError(t, json.Unmarshal(text, &fields))
	fields["pid"] = os.Getpid()
	text, err = json.Marshal(fields)
	noError(t, err)
	noError(t, os.WriteFile(record, text, 0o600))
	l.start()
	within(t, 20*time.Second, "it is seen that the app is gone", func() bool { return ana.look(s.ID).State == "failed" })
	ana.send("DELETE", "/api/v1/app-sessions/"+s.ID, nil)
	again := ana.up("wild")
	ana.get(again.host() + "/pid").is(200)
}
