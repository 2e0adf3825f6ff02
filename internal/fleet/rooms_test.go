package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"lodge/internal/access"
	"lodge/internal/bus"
	"lodge/internal/database/databasetest"
	"lodge/internal/fault"
)

// admin is the context of a connection by an administrator.
func admin(t testing.TB) context.Context {
	return access.WithCaller(t.Context(), &access.Caller{Issuer: "stub", Subject: "admin", Name: "admin", Admin: true})
}

func TestRooms(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.svc.FromROS("/map", mapMessage("m", "L1", []byte("x")))
	s.hears("/building_map")
	s.svc.FromROS("/fire_alarm_trigger", []byte(`{"data":true}`))
	s.svc.FromROS("/door_states", []byte(`{"door_time":{"sec":0,"nanosec":0},"door_name":"d","current_mode":{"value":0}}`))
	s.svc.FromROS("/lift_states", []byte(`{"lift_name":"l"}`))
	s.svc.FromROS("/dispenser_states", []byte(`{"guid":"w"}`))
	s.svc.FromROS("/ingestor_states", []byte(`{"guid":"w"}`))
	s.report("task_state_update", taskJSON("t", "")+"}")
	s.report("task_log_update", sampleLog)
	s.report("fleet_state_update", `{"name":"f"}`)
	s.report("fleet_log_update", `{"name":"f"}`)
	check := func() {
		t.Helper()
		for _, tt := range []struct {
			room   string
			kind   Kind
			replay int
		}{
			{"/alerts/requests", State, 0},
			{"/alerts/responses", State, 0},
			{"/beacons", State, 0},
			{"/building_map", State, 1},
			{"/building_map/fire_alarm_trigger", State, 1},
			{"/delivery_alerts", State, 0},
			{"/doors/d/state", State, 1},
			{"/lifts/l/state", State, 1},
			{"/dispensers/w/state", State, 1},
			{"/ingestors/w/state", State, 1},
			{"/tasks/t/state", State, 1},
			{"/tasks/t1/log", Log, 0},
			{"/fleets/f/state", State, 1},
			{"/fleets/f/log", Log, 0},
			{"/rios", State, 0},
			{"/doors/unknown/state", State, 0},
			{"/tasks/unknown/state", State, 0},
		} {
			kind, replay, err := s.svc.Subscribe(admin(t), tt.room)
			if err != nil || kind != tt.kind || len(replay) != tt.replay {
				t.Errorf("%s: %v, %d to begin with, %v", tt.room, kind, len(replay), err)
			}
		}
	}
	check()
	// From the database as well, as after a restart.
	s.svc.feed.mu.Lock()
	clear(s.svc.feed.recent)
	s.svc.feed.mu.Unlock()
	check()
	for _, room := range []string{"", "/", "/doors", "/doors//state", "/doors/a/b/state", "/tasks/t/", "doors/d/state", "/alerts", "/fleets/f/state/"} {
		if _, _, err := s.svc.Subscribe(admin(t), room); err == nil || err.Error() != "no events in path" {
			t.Errorf("%q: %v", room, err)
		}
	}
	for _, r := range rooms {
		name := strings.Replace(r.path, "{}", "x", 1)
		mallory := access.WithCaller(t.Context(), &access.Caller{Issuer: "stub", Subject: "mallory", Name: "mallory"})
		if _, _, err := s.svc.Subscribe(mallory, name); !fault.Is(err, fault.Denied) || sentence(err) != "403 Forbidden: needs "+string(r.action)+" on site" {
			t.Errorf("%s without any right: %v", name, err)
		}
		if _, _, err := s.svc.Subscribe(t.Context(), name); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%s by nobody: %v", name, err)
		}
	}
}

func TestAuthenticateLive(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	request := func() *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "/socket.io/?EIO=4", nil)
		noError(t, err)
		return r
	}
	s.as("_anna", "GET", "/user", "").says(t, 401, "Usernames cannot begin with _")
	for auth, good := range map[string]bool{
		`{"token":"` + token(t, "_anna") + `"}`: false,
		`{"token":"` + token(t, "anna") + `"}`:  true, `{"token":"bogus"}`: false, `{"token":""}`: false, `{}`: false, ``: false, `[]`: false, `7`: false, `{"token":7}`: false,
	} {
		ctx, err := s.svc.Authenticate(request(), json.RawMessage(auth))
		if (err == nil) != good || good && access.CallerFrom(ctx).Name != "anna" {
			t.Errorf("%.20s: %v", auth, err)
		}
	}
	r := request()
	r.Header.Set("Authorization", "Bearer "+token(t, "anna"))
	if _, err := s.svc.Authenticate(r, nil); err != nil {
		t.Errorf("by header: %v", err)
	}
}

// TestReplicas is two processes on one database and one bus.
func TestReplicas(t *testing.T) {
	t.Parallel()
	b, err := bus.Open(bus.Config{}, slog.New(slog.DiscardHandler))
	noError(t, err)
	t.Cleanup(func() { noError(t, b.Close()) })
	db := databasetest.SQLite(t)
	one := newSite(t, func(set *setup) { set.db, set.bus = db, b })
	two := newSite(t, func(set *setup) { set.db, set.bus = db, b })
	heard := func() bool { return len(two.live.heard("/tasks/t/state")) > 0 }
	eventually(t, "the other replica hears", func() bool {
		one.report("task_state_update", taskJSON("t", "")+`,"unix_millis_start_time":1}`)
		return heard()
	})
	// What the other replica has not read from the database yet it replays all the same.
	for i := 2; i < 50; i++ {
		one.report("task_state_update", taskJSON("t", "")+fmt.Sprintf(`,"unix_millis_start_time":%d}`, i))
		want := fmt.Sprintf(`"unix_millis_start_time":%d,`, i)
		eventually(t, "the newest state", func() bool {
			list := two.live.heard("/tasks/t/state")
			return strings.Contains(list[len(list)-1], want)
		})
		_, replay, err := two.svc.Subscribe(admin(t), "/tasks/t/state")
		if err != nil || len(replay) != 1 || !strings.Contains(string(replay[0]), want) {
			t.Fatalf("replay %s %v", replay, err)
		}
	}
	// Nobody hears anything twice.
	before := len(one.live.heard("/tasks/t/state"))
	one.report("task_state_update", taskJSON("t", "")+`,"unix_millis_start_time":99}`)
	eventually(t, "it is passed on", func() bool {
		list := two.live.heard("/tasks/t/state")
		return strings.Contains(list[len(list)-1], ":99,")
	})
	if after := len(one.live.heard("/tasks/t/state")); after != before+1 {
		t.Errorf("heard %d times", after-before)
	}
	// A schedule runs once.
	for _, s := range []*site{one, two} {
		s.ros.on(func(string) string { return `{"success":true,"state":{"booking":{"id":"scheduled"}}}` })
	}
	one.post("/scheduled_tasks", `{"task_request":{"category":"c","description":{}},"schedules":[{"period":"hour","at":":30"}]}`).is(t, 201, "")
	_, err = db.Exec(t.Context(), "UPDATE fleet_schedule_entries SET next_at = ?", time.Now().Add(-time.Second).UnixMicro())
	noError(t, err)
	asked := func() int { return len(one.ros.requests(t)) + len(two.ros.requests(t)) }
	eventually(t, "the schedule runs", func() bool { return asked() > 0 })
	var done int
	eventually(t, "the run is over", func() bool {
		noError(t, db.QueryRow(t.Context(), "SELECT COUNT(*) FROM work WHERE kind = ? AND state = 'done'", scheduleKind).Scan(&done))
		return done == 1
	})
	if n := asked(); n != 1 {
		t.Errorf("it ran %d times", n)
	}
}

// sentence is what a client of the room reads of an error.
func sentence(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Detail
	}
	return ""
}
