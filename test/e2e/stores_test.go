package e2e

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats-server/v2/server"

	"lodge/internal/database"
	"lodge/internal/drivertest/services"
)

// TestStores tells the same stories on every kind of store.
func TestStores(t *testing.T) {
	t.Parallel()
	for name, on := range map[string]func(t testing.TB) setting{
		"SQLite and files":  func(testing.TB) setting { return all() },
		"PostgreSQL and S3": func(t testing.TB) setting { return all(onPostgres(t), onS3(t)) },
		"MariaDB and files": onMariaDB,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := startHub(t)
			l := startLodge(t, at(h), on(t))
			tour(t, l, h)
			rights(t, l, h)
			revocation(t, l)
			survivesARestart(t, l)
			journal(t, l)
		})
	}
}

func onPostgres(t testing.TB) setting { return with("LODGE_DATABASE_URL", services.Postgres(t)) }

func onMariaDB(t testing.TB) setting { return with("LODGE_DATABASE_URL", services.MariaDB(t)) }

func onS3(t testing.TB) setting { return onBucket(services.S3(t)) }

func onBucket(b services.Bucket) setting {
	return all(
		with("LODGE_OBJECTS_DRIVER", "s3"), with("LODGE_OBJECTS_S3_ENDPOINT", b.Endpoint), with("LODGE_OBJECTS_S3_BUCKET", b.Name),
		with("LODGE_OBJECTS_S3_REGION", b.Region), with("LODGE_OBJECTS_S3_ACCESS_KEY", b.AccessKey),
		with("LODGE_OBJECTS_S3_SECRET_KEY", b.SecretKey), with("LODGE_OBJECTS_S3_USE_TLS", "false"),
	)
}

const password = "correct horse battery staple"

// rights is the story of Rita, who may nothing, then something, then nothing any more.
func rights(t *testing.T, l *lodge, h *hub) {
	id := uuid.NewString()
	project := h.projectOf(id)
	paper := parse[stored](l.analysis(id).put("/results/local", bytesFile("paper.txt", []byte("read me"))).is(200))
	l.admin("user add", "rita", "--password", password).ok()
	rita, status := l.login("rita", password)
	equal(t, "Rita's login", status, 200)
	if _, status := l.login("rita", "wrong"); status == 200 {
		t.Fatal("a wrong password is good enough")
	}
	rita.get("/api/v1/me").is(200, `"name":"rita"`, `"admin":false`)

	// Whoever has no right is told which one it would take.
	rita.get("/results/files").is(403, "results.read on a project")
	rita.get("/api/v1/users").is(403, `"permission":"users.read on site"`)
	rita.get(paper.URL).is(403, "results.read on a project")

	root := l.administrator()
	root.send("POST", "/api/v1/roles", map[string]string{"name": "reader"}).is(201)
	root.send("POST", "/api/v1/permissions", map[string]string{"role": "reader", "group": project, "action": "results.read"}).is(201)
	person := personCalled(root, "rita")
	root.send("PUT", "/api/v1/users/"+person+"/roles/reader", nil).is(204)
	eventually(t, "Rita sees the file", func() bool { return rita.get(paper.URL).status == 200 })
	rita.get(paper.URL).is(200, "read me")
	equal(t, "files that Rita sees", len(list[fileInfo](rita, "/results/files")), 1)
	root.get("/api/v1/access/explain?user="+person+"&action=results.read&group="+project).is(200, `"allowed":true`, "reader")

	// That is all: she cannot write, sees no other project, and cannot give herself more.
	rita.put("/results/local?project_id="+project, bytesFile("x", []byte("x"))).is(403, "results.write on")
	other := parse[stored](l.analysis(uuid.NewString()).put("/results/local", bytesFile("secret", []byte("not hers"))).is(200))
	rita.get(other.URL).is(404)
	rita.send("POST", "/api/v1/permissions", map[string]string{"role": "reader", "group": "*", "action": "results.read"}).is(403, "permissions.write on site")
	rita.send("PUT", "/api/v1/users/"+person+"/roles/reader", nil).is(403)
	// Even who keeps the permissions gives away only what they have.
	for _, action := range []string{"permissions.write", "roles.write", "users.write"} {
		root.send("POST", "/api/v1/permissions", map[string]string{"role": "reader", "group": "site", "action": action}).is(201)
	}
	eventually(t, "Rita keeps the permissions", func() bool {
		return rita.send("POST", "/api/v1/roles", map[string]string{"name": "friends"}).status != 403
	})
	rita.send("POST", "/api/v1/permissions", map[string]string{"role": "friends", "group": project, "action": "results.read"}).is(201)
	rita.send("POST", "/api/v1/permissions", map[string]string{"role": "friends", "group": project, "action": "results.delete"}).is(403)
	rita.send("POST", "/api/v1/permissions", map[string]string{"role": "friends", "group": "site", "action": "audit.read"}).is(403)
	rita.send("PATCH", "/api/v1/users/"+person, map[string]bool{"admin": true}).is(403)

	// A page of another site cannot use her login.
	foreign := rita
	foreign.head = http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}}
	foreign.send("POST", "/api/v1/roles", map[string]string{"name": "evil"}).is(403)

	// Disabled, she is out, wherever she is logged in, and cannot come back.
	root.send("PATCH", "/api/v1/users/"+person, map[string]bool{"disabled": true}).is(200, `"disabled":true`)
	within(t, 3*time.Second, "Rita is out", func() bool { return rita.get(paper.URL).status >= 400 })
	rita.get("/api/v1/roles").is(rita.get("/api/v1/me").status)
	if status := rita.get("/api/v1/me").status; status != 401 && status != 403 {
		t.Fatalf("who is disabled gets %d", status)
	}
	if _, status := l.login("rita", password); status == 200 {
		t.Fatal("who is disabled can log in")
	}
}

// personCalled finds the id of a person.
func personCalled(root caller, name string) string {
	root.t.Helper()
	type user struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	for _, u := range list[user](root, "/api/v1/users?q="+name) {
		if u.Name == name {
			return u.ID
		}
	}
	root.t.Fatalf("nobody is called %s", name)
	return ""
}

// revocation is the story of a token that got into the wrong hands. It is ended by a command beside the
// server.
func revocation(t *testing.T, l *lodge) {
	ci := l.token("ci", "--ttl", "1h")
	ci.get("/api/v1/me").is(200, `"name":"ci"`)
	id := claims(t, ci.secret)["jti"].(string)
	if out := l.admin("token list").ok(); !strings.Contains(out, id) || !strings.Contains(out, "ci") || strings.Contains(out, ci.secret) {
		t.Fatalf("the list of tokens has no %s, or the token itself:\n%s", id, out)
	}
	l.admin("token revoke", id).ok()
	within(t, 5*time.Second, "the token is refused", func() bool { return ci.get("/api/v1/me").status == 401 })
	ci.get("/results/files").is(403, "JWT is malformed")
	l.admin("token revoke", uuid.NewString()).fails()

	// A token for a role has what the role has, and no client id of an analysis.
	root := l.administrator()
	root.send("POST", "/api/v1/roles", map[string]string{"name": "auditor"}).is(201)
	root.send("POST", "/api/v1/permissions", map[string]string{"role": "auditor", "group": "site", "action": "audit.read"}).is(201)
	auditor := l.token("auditor", "--role", "auditor")
	eventually(t, "the auditor may read", func() bool { return auditor.get("/api/v1/audit").status == 200 })
	auditor.get("/api/v1/users").is(403, "users.read on site")
}

// claims are those of a token.
func claims(t testing.TB, token string) (all map[string]any) {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	noError(t, err)
	noError(t, json.Unmarshal(payload, &all))
	return all
}

// survivesARestart is the story of a power cut in a quiet moment.
func survivesARestart(t *testing.T, l *lodge) {
	analysis := l.analysis(uuid.NewString())
	f := randomFile("f", 99, 300_000)
	object := parse[stored](analysis.put("/results/local", f, "tag", "before").is(200)).ObjectID
	l.kill()
	l.start()
	equal(t, "SHA-256 after the power cut", shaOf(analysis.get("/results/local/"+object).is(200).body), f.sha256())
	analysis.get("/results/local/tags/before").is(200, object)
	if out := l.admin("migrate status").ok(); strings.Contains(strings.ToLower(out), "pending") {
		t.Errorf("after a start migrations are pending:\n%s", out)
	}
	l.admin("migrate up").ok()
}

// journal is the story of what was written down, and of somebody who alters it.
func journal(t *testing.T, l *lodge) {
	root := l.administrator()
	denied := root.get("/api/v1/audit?outcome=denied&limit=200").is(200).body
	for _, what := range []string{"results.read", "users.read", "permissions.write"} {
		if !strings.Contains(denied, `"action":"`+what+`"`) {
			t.Errorf("that %s was refused is not written down: %s", what, denied)
		}
	}
	root.get("/api/v1/audit?action=users.write&outcome=allowed").is(200, "disabled")
	csv := root.get("/api/v1/audit?format=csv&action=results.write").is(200)
	if kind := csv.header.Get("Content-Type"); !strings.HasPrefix(kind, "text/csv") || strings.Count(csv.body, "\n") < 3 {
		t.Errorf("as CSV: %s\n%s", kind, csv.body)
	}
	eventually(t, "the records are sealed", func() bool {
		return strings.Contains(l.admin("audit verify").ok(), ", 0 records wait")
	})
	root.get("/api/v1/audit/verify").is(200, `"ok":true`)

	db := l.database()
	var id string
	noError(t, db.QueryRow(t.Context(), "SELECT id FROM audit_records WHERE outcome = ? AND seq IS NOT NULL ORDER BY seq LIMIT 1", "denied").Scan(&id))
	_, err := db.Exec(t.Context(), "UPDATE audit_records SET outcome = ? WHERE id = ?", "allowed", id)
	noError(t, err)
	found := l.admin("audit verify").fails("the audit log was changed")
	if !strings.Contains(found.stdout, "is not what was sealed") {
		t.Errorf("what is wrong is not said: %s", found.stdout)
	}
}

// database opens the site's database, as somebody does who has its password.
func (l *lodge) database() *database.DB {
	l.t.Helper()
	url := "sqlite:" + filepath.Join(l.data, "lodge.db")
	for _, pair := range l.env {
		if value, ok := strings.CutPrefix(pair, "LODGE_DATABASE_URL="); ok {
			url = value
		}
	}
	db, err := database.Open(l.t.Context(), url, time.Now, slog.New(slog.DiscardHandler))
	noError(l.t, err)
	l.t.Cleanup(func() { _ = db.Close() })
	return db
}

// TestReplicas are two servers of one site: equal in all, and one carries on where the other ends.
func TestReplicas(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	shared := all(at(h), onPostgres(t), onS3(t), with("LODGE_NATS_URL", natsServer(t)))
	one := startLodge(t, shared)
	two := startLodge(t, shared)
	there := func(c caller) caller {
		c.lodge = two
		return c
	}
	id := uuid.NewString()
	analysis, root := one.analysis(id), one.administrator()

	// News of what happens at one are heard at the other.
	news := there(root).listen()
	f := randomFile("shared.bin", 5, 400_000)
	object := parse[stored](analysis.put("/results/local", f, "tag", "shared").is(200)).ObjectID
	within(t, 10*time.Second, "the other replica tells of the file", func() bool { return news.mentions("files") })
	equal(t, "SHA-256 at the other replica", shaOf(there(analysis).get("/results/local/"+object).is(200).body), f.sha256())
	there(analysis).get("/results/local/tags/shared").is(200, object)

	// Rights and their end hold everywhere.
	ci := two.token("ci")
	ci.get("/api/v1/me").is(200)
	ci.lodge = one
	ci.get("/api/v1/me").is(200)
	root.send("DELETE", "/api/v1/tokens/"+claims(t, ci.secret)["jti"].(string), nil).is(204)
	ci.lodge = two
	within(t, 3*time.Second, "the token is refused at the other replica", func() bool { return ci.get("/api/v1/me").status == 401 })

	// Twenty results wait at the one for a hub that is away. The one dies; the other delivers. If the one
	// dies in the middle of deliveries, the other must wait until it is sure of that.
	h.behave(mode{Mode: "down"})
	for i := range 20 {
		analysis.put("/results/final", finalResult(i)).is(202)
	}
	if *full {
		h.behave(mode{Mode: "hang", Path: "/upload"})
		for _, u := range list[uploadInfo](root, "/results/uploads") {
			root.send("POST", "/results/uploads/"+u.ID+"/retry", nil)
		}
		eventually(t, "deliveries are under way", func() bool {
			return parse[page[uploadInfo]](analysis.get("/results/uploads?limit=1&state=sending").is(200)).Total > 0
		})
	}
	one.kill()
	h.behave(mode{Mode: "ok"})
	within(t, 3*time.Minute, "the other replica delivers", func() bool {
		return parse[page[uploadInfo]](there(analysis).get("/results/uploads?limit=1&state=delivered").is(200)).Total == 20
	})
	sent := h.received(id)
	equal(t, "files at the hub", len(sent), 20)
	for _, r := range sent {
		r.once(t, r.SHA256)
	}
	two.admin("audit verify").ok()
}

// TestStoresGoAway cuts the way to the database and to the objects, and opens it again: nobody is told that
// something is stored which is not, and nothing needs a restart.
func TestStoresGoAway(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(services.Postgres(t))
	noError(t, err)
	rows := newCable(t, u.Host)
	u.Host = rows.address
	b := services.S3(t)
	objects := newCable(t, b.Endpoint)
	b.Endpoint = objects.address
	l := startLodge(t, with("LODGE_DATABASE_URL", u.String()), onBucket(b))
	analysis := l.analysis("patient")
	f := randomFile("f", 4, 100_000)
	object := parse[stored](analysis.put("/results/local", f).is(200)).ObjectID

	for name, cable := range map[string]*cable{"database": rows, "objects": objects} {
		cable.cut()
		eventually(t, "the server knows that the "+name+" is away", func() bool {
			a := l.nobody().get("/readyz")
			return a.status == 503 && strings.Contains(a.body, `"name":"`+name+`","state":"failed"`)
		})
		l.nobody().get("/healthz").is(200)
		if a := analysis.put("/results/local", f); a.status < 500 || !strings.HasPrefix(a.body, `{"detail":"`) {
			t.Errorf("without the %s: %d %s", name, a.status, a.body)
		}
		if a := analysis.get("/results/local/" + object); a.status < 500 {
			t.Errorf("without the %s: %d", name, a.status)
		}
		cable.mend()
		eventually(t, "the "+name+" is back", func() bool { return l.nobody().get("/readyz").status == 200 })
		equal(t, "SHA-256", shaOf(analysis.get("/results/local/"+object).is(200).body), f.sha256())
		analysis.put("/results/local", f).is(200)
	}
	equal(t, "files", len(list[fileInfo](l.administrator(), "/results/files")), 3)
	l.admin("audit verify").ok()
}

// natsServer is a NATS server that both replicas use.
func natsServer(t testing.TB) string {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true})
	noError(t, err)
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(startTime) {
		t.Fatal("the NATS server is not ready")
	}
	return s.ClientURL()
}

// news is what a live view hears.
type news struct {
	lines chan string
	heard []string
	ended chan struct{}
}

// listen begins to hear what happens.
func (c caller) listen() *news {
	c.t.Helper()
	return c.listenTo("/api/v1/events")
}

// listenTo begins to hear what an address tells.
func (c caller) listenTo(path string) *news {
	c.t.Helper()
	ctx := c.t.Context()
	n := &news{lines: make(chan string, 1000), ended: make(chan struct{})}
	opened := make(chan error, 1)
	go func() {
		defer close(n.ended)
		resp, err := c.open(ctx, http.MethodGet, path, http.Header{"Accept": {"text/event-stream"}}, nil, 0)
		if err != nil {
			opened <- err
			return
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			err = errors.New(resp.Status)
		}
		opened <- err
		lines := bufio.NewScanner(resp.Body)
		for lines.Buffer(nil, 8<<20); lines.Scan(); { // a building map is one line
			select {
			case n.lines <- lines.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	noError(c.t, <-opened)
	return n
}

// over says whether the server has ended it.
func (n *news) over() bool {
	select {
	case <-n.ended:
		return true
	default:
		return false
	}
}

// mentions says whether words were heard by now, all in one line.
func (n *news) mentions(words ...string) bool {
	for {
		select {
		case line := <-n.lines:
			n.heard = append(n.heard, line)
		default:
			return slices.ContainsFunc(n.heard, func(line string) bool {
				return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) })
			})
		}
	}
}
