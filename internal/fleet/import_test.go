package fleet

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"lodge/internal/access"
	"lodge/internal/database"
	"lodge/internal/database/databasetest"
)

// likeTheOriginal makes the original's tables.
func likeTheOriginal(t *testing.T, db *database.DB) {
	t.Helper()
	quotes := []string{"[user]", (&importer{from: db}).name("user"), "[role]", (&importer{from: db}).name("role")}
	types := map[database.Dialect][]string{
		database.SQLite:   {"SERIAL", "INTEGER PRIMARY KEY AUTOINCREMENT"},
		database.Postgres: {"SERIAL", "SERIAL PRIMARY KEY", "TIMESTAMP", "TIMESTAMPTZ", " JSON", " JSONB"},
		database.MySQL:    {"SERIAL", "INT AUTO_INCREMENT PRIMARY KEY", "TIMESTAMP", "DATETIME(6)"},
	}[db.Dialect()]
	text, err := os.ReadFile("testdata/original.sql")
	noError(t, err)
	_, script, _ := strings.Cut(string(text), "wants it.\n")
	for _, statement := range strings.Split(strings.NewReplacer(append(types, quotes...)...).Replace(script), ";\n") {
		if strings.TrimSpace(statement) != "" {
			_, err := db.Exec(t.Context(), statement)
			if err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
}

// TestImport takes over a database of the original's, twice, on every kind of database.
func TestImport(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		likeTheOriginal(t, db) // its tables stand beside ours
		s := newSite(t, func(set *setup) { set.db = db })
		cfg := Config{UserIssuer: "stub"}
		for range 2 {
			done, err := Import(root(t.Context()), cfg, db, db, s.access, time.Now, slog.New(slog.DiscardHandler))
			noError(t, err)
			if len(done) != 13 {
				t.Errorf("%v", done)
			}
		}
		imported(t, s)
	})
}

func imported(t *testing.T, s *site) {
	t.Helper()
	s.get("/admin/users").is(t, 200, `["admin","anna","boss"]`)
	s.get("/admin/users/anna").is(t, 200, `{"username":"anna","is_admin":false,"roles":["operator"]}`)
	s.get("/admin/users/boss").is(t, 200, `{"username":"boss","is_admin":true,"roles":[]}`)
	s.get("/admin/roles/operator/permissions").is(t, 200, `[{"authz_grp":"","action":"task_read"}]`)
	if got := ids(t, s.as("anna", "GET", "/tasks?label=k%3Dv", "")); got != "patrol.1" {
		t.Errorf("tasks by label: %s", got)
	}
	if got := ids(t, s.get("/tasks")); got != "patrol.1" {
		t.Errorf("tasks: %s", got)
	}
	s.get("/tasks/patrol.1/request").is(t, 200, "")
	const want = `{"task_id":"patrol.1","log":[{"seq":0,"tier":"info","unix_millis_time":10,"text":"begun"}],"phases":{"1":{` +
		`"log":[{"seq":0,"tier":"info","unix_millis_time":20,"text":"phase"}],"events":{"0":[{"seq":0,"tier":"warning","unix_millis_time":30,"text":"event"}],"1":[]}}}}`
	s.get("/tasks/patrol.1/log?between=0,9007199254740991").is(t, 200, want)
	s.get("/fleets/f1/log?between=0,100").is(t, 200, `{"name":"f1","log":[{"seq":0,"tier":"info","unix_millis_time":10,"text":"hello"}],"robots":{}}`)
	s.get("/fleets/f1/state").is(t, 200, "")
	s.get("/doors/d1/state").is(t, 200, "")
	s.get("/lifts/l1/state").is(t, 200, "")
	s.get("/dispensers").is(t, 200, `[{"guid":"w1"}]`)
	s.get("/ingestors").is(t, 200, `[{"guid":"w2"}]`)
	s.get("/beacons").is(t, 200, `[{"id":"b1","online":true,"category":"","activated":false,"level":"L1"}]`)
	s.get("/rios").is(t, 200, `[{"id":"r1","type":"lamp","data":{"on":true}}]`)
	s.get("/alerts/request/a1/response").is(t, 200, `{"id":"a1","unix_millis_response_time":9,"response":"ok"}`)
	if waiting := parse[[]AlertRequest](t, s.get("/alerts/unresponded_requests").body); len(waiting) != 1 || waiting[0].ID != "a2" {
		t.Errorf("waiting: %+v", waiting)
	}
	mine := parse[[]TaskFavorite](t, s.as("anna", "GET", "/favorite_tasks", "").is(t, 200, "").body)
	if len(mine) != 2 || mine[0].Name != "mine" || mine[1].Priority == nil {
		t.Errorf("favorites: %+v", mine)
	}
	scheduled := parse[[]ScheduledTask](t, s.get("/scheduled_tasks?start_before=2999-01-01&until_after=1999-01-01").is(t, 200, "").body)
	if len(scheduled) != 2 || scheduled[0].CreatedBy != "anna" || len(scheduled[0].Schedules) != 2 || fmt.Sprint(scheduled[0].ExceptDates) != "[2024-01-02 2024-05-06]" ||
		!scheduled[0].LastRan.Equal(time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)) || !scheduled[1].Until.Equal(time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)) {
		text, _ := json.Marshal(scheduled)
		t.Errorf("schedules: %s", text)
	}
	var due int
	noError(t, s.db.QueryRow(t.Context(), "SELECT COUNT(*) FROM fleet_schedule_entries WHERE next_at IS NOT NULL").Scan(&due))
	if due != 2 {
		t.Errorf("%d schedules go on", due)
	}
	noError(t, s.access.Forbid(root(t.Context()), access.Grant{Role: "operator", Group: access.Site, Action: ReadTasks}))
}
