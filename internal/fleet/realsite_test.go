package fleet

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lodge/internal/database"
	"lodge/internal/database/databasetest"
	"lodge/internal/fleet/rosbridge"
	"lodge/internal/fleet/simulator"
	"lodge/internal/secret"
)

// building is the simulated deployment of Open-RMF, with the bridge in front of it.
type building struct {
	t      *testing.T
	site   *simulator.Site
	bridge string
	stop   func()
}

// newBuilding simulates a site whose adapters report to an address.
func newBuilding(t *testing.T, server, token string) *building {
	t.Helper()
	site, err := simulator.New(simulator.Options{Server: server, Token: secret.String(token), Speed: 60, Seed: 1}, time.Now, slog.New(slog.DiscardHandler))
	noError(t, err)
	web := httptest.NewServer(site.Handler())
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var group sync.WaitGroup
	group.Go(func() {
		if err := site.Run(ctx); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	})
	b := &building{t: t, site: site, bridge: "ws" + strings.TrimPrefix(web.URL, "http")}
	b.stop = sync.OnceFunc(func() { cancel(); group.Wait(); web.CloseClientConnections(); web.Close() })
	t.Cleanup(b.stop)
	return b
}

// connect is a real client of the bridge.
func (b *building) connect(svc *Service) Ros {
	topics := func(list []Topic) (out []rosbridge.Topic) {
		for _, t := range list {
			out = append(out, rosbridge.Topic{Name: t.Name, Type: t.Type, QoS: t.QoS, Latched: t.Latched, ThrottleMS: t.ThrottleMS, QueueLength: t.Queue})
		}
		return out
	}
	client := rosbridge.New(rosbridge.Config{URL: b.bridge, Topics: topics(svc.Subscriptions()), Adverts: topics(svc.Adverts()), MinBackoff: 10 * time.Millisecond},
		svc.FromROS, time.Now, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.t.Context()))
	done := make(chan error, 1)
	go func() { done <- client.Run(ctx) }()
	b.t.Cleanup(func() { cancel(); noError(b.t, <-done) })
	return client
}

// address is where the building reports to, whoever is there.
type address struct{ handler atomic.Pointer[http.Handler] }

// ServeHTTP passes on to whoever is there.
func (a *address) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := a.handler.Load(); h != nil {
		(*h).ServeHTTP(w, r)
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
}

func (a *address) leadsTo(s *site) {
	h := s.server.Handler()
	a.handler.Store(&h)
}

// realSite is the part with a simulated building on its wires.
func realSite(t *testing.T, db *database.DB) (*site, *building, *address) {
	t.Helper()
	at := new(address)
	front := httptest.NewServer(at)
	t.Cleanup(front.Close)
	b := newBuilding(t, front.URL, token(t, "adapter", "adapter"))
	s := newSite(t, func(set *setup) {
		set.db, set.ros = db, b.connect
		set.cfg.TaskAPITimeout = 5 * time.Second
	})
	s.permit("adapter", Report, "site")
	at.leadsTo(s)
	return s, b, at
}

// during waits a good while for something that takes its time.
func during(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
		wait := time.NewTimer(20 * time.Millisecond)
		<-wait.C
	}
}

func (s *site) status(id string) string {
	s.t.Helper()
	a := s.get("/tasks/" + id + "/state")
	if a.StatusCode != 200 {
		return ""
	}
	return deref(parse[TaskState](s.t, a.body).Status)
}

func (s *site) dispatch(category, description string) string {
	s.t.Helper()
	a := s.post("/tasks/dispatch_task", fmt.Sprintf(`{"type":"dispatch_task_request","request":{"category":"%s","description":%s,"requester":"admin","labels":["test=1"]}}`, category, description)).is(s.t, 200, "")
	return parse[struct{ State TaskState }](s.t, a.body).State.Booking.ID
}

// TestSimulatedSite goes through what people do at a site, over the real wires.
func TestSimulatedSite(t *testing.T) {
	t.Parallel()
	s, _, _ := realSite(t, nil)
	during(t, "the map, the fleets and the devices are known", func() bool {
		return s.get("/building_map").StatusCode == 200 && len(parse[[]FleetState](t, s.get("/fleets").body)) == 2 &&
			s.get("/doors/lab_door/state").StatusCode == 200 && s.get("/lifts/lift_1/state").StatusCode == 200
	})
	if doors := parse[[]Door](t, s.get("/doors").body); len(doors) != 5 {
		t.Errorf("%d doors", len(doors))
	}
	m := parse[BuildingMap](t, s.get("/building_map").body)
	for _, level := range m.Levels {
		for _, image := range level.Images {
			path := strings.TrimPrefix(image.Data, "http://localhost:8000")
			if a := s.as("", "GET", path, "").is(t, 200, ""); !strings.HasPrefix(a.body, "\x89PNG") {
				t.Errorf("%s is no image", path)
			}
		}
	}

	s.post("/doors/lab_door/request", `{"mode":2}`).is(t, 200, "null")
	during(t, "the door is open", func() bool {
		return parse[DoorState](t, s.get("/doors/lab_door/state").body).CurrentMode.Value == 2
	})
	s.post("/doors/lab_door/request", `{"mode":0}`).is(t, 200, "null")
	s.post("/lifts/lift_1/request", `{"request_type":1,"door_mode":2,"destination":"L2"}`).is(t, 200, "null")
	during(t, "the lift is there", func() bool {
		l := parse[LiftState](t, s.get("/lifts/lift_1/state").body)
		return l.CurrentFloor == "L2" && l.DoorState == 2
	})
	s.post("/lifts/lift_1/request", `{"request_type":0,"door_mode":0,"destination":"L2"}`).is(t, 200, "null")

	patrol := s.dispatch("patrol", `{"places":["lab_bench","lobby"],"rounds":1}`)
	canceled := s.dispatch("patrol", `{"places":["ward_desk","kitchen"],"rounds":9}`)
	during(t, "the second task is underway", func() bool { return s.status(canceled) == "underway" })
	s.post("/tasks/cancel_task", `{"type":"cancel_task_request","task_id":"`+canceled+`","labels":["admin"]}`).is(t, 200, "")
	during(t, "it is canceled", func() bool { return s.status(canceled) == "canceled" })
	during(t, "the first is completed", func() bool { return s.status(patrol) == "completed" })
	l := parse[TaskEventLog](t, s.get("/tasks/"+patrol+"/log?between=0,9007199254740991").is(t, 200, "").body)
	if len(l.Phases) == 0 {
		t.Errorf("log %+v", l)
	}
	alerts := parse[[]AlertRequest](t, s.get("/alerts/requests/task/"+patrol).body)
	if len(alerts) != 1 || alerts[0].Title != "Task completed" {
		t.Errorf("alerts %+v", alerts)
	}
	s.post("/alerts/request/"+alerts[0].ID+"/respond?response=Acknowledge", "").is(t, 201, "")
	if got := ids(t, s.get("/tasks?label=test%3D1&order_by=id_")); len(strings.Fields(got)) != 2 {
		t.Errorf("by label: %s", got)
	}
	s.post("/fleets/carriers/decommission?robot_name=carrier_1&reassign_tasks=true&allow_idle_behavior=false", "").is(t, 200, "")
	during(t, "the robot is out of service", func() bool {
		f := parse[FleetState](t, s.get("/fleets/carriers/state").body)
		c := f.Robots["carrier_1"].Commission
		return c != nil && c.DispatchTasks != nil && !*c.DispatchTasks
	})
	s.post("/fleets/carriers/recommission?robot_name=carrier_1", "").is(t, 200, "")
	dance := s.dispatch("dance", `{}`)
	during(t, "nobody dances", func() bool { return s.status(dance) == "failed" })
	if failed := parse[[]AlertRequest](t, s.get("/alerts/requests/task/"+dance).body); len(failed) != 1 || !strings.HasPrefix(failed[0].Message, "Failed to assign\n{") {
		t.Errorf("alerts %+v", failed)
	}
}

// TestRestartAmongTasks stops the part while tasks run, and starts it again on the same database.
func TestRestartAmongTasks(t *testing.T) {
	t.Parallel()
	db := databasetest.SQLite(t)
	s, b, at := realSite(t, db)
	during(t, "the fleets are known", func() bool { return len(parse[[]FleetState](t, s.get("/fleets").body)) == 2 })
	var tasks []string
	for i := range 50 {
		places := []string{`"lab_bench","lobby"`, `"reception","goods_out"`, `"ward_desk","pantry"`}[i%3]
		tasks = append(tasks, s.dispatch("patrol", `{"places":[`+places+`],"rounds":1}`))
	}
	during(t, "some are underway", func() bool { return len(ids(t, s.get("/tasks?status=underway"))) > 0 })
	s.stop()
	again := newSite(t, func(set *setup) { set.db, set.ros = db, b.connect })
	for _, id := range tasks {
		again.get("/tasks/"+id+"/state").is(t, 200, "") // none is lost
	}
	at.leadsTo(again)
	during(t, "the tasks go on", func() bool {
		done := again.get("/tasks?status=completed&limit=1&total=true").Header.Get("X-Total-Count")
		return done == "50"
	})
	if got := strings.Fields(ids(t, again.get("/tasks?limit=1000"))); len(got) != 50 {
		t.Errorf("%d tasks", len(got))
	}
	if alerts := parse[[]AlertRequest](t, again.get("/alerts/unresponded_requests").body); len(alerts) != 50 {
		t.Errorf("%d alerts about 50 tasks", len(alerts))
	}
}
