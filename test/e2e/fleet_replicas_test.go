package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// TestFleetReplicas are two servers of one building: who looks at the one sees what adapters tell the
// other, and when the other dies, robots, doors and schedules go on.
func TestFleetReplicas(t *testing.T) {
	t.Parallel()
	events := natsCluster(t)
	b := reservedBuilding(t, 20)
	shared := all(of(b), onPostgres(t), onS3(t))
	// Each at a node of its own, so that what it tells has to cross the cluster.
	one := startLodge(t, shared, with("LODGE_NATS_URL", events.urls(0, 2)))
	two := startLodge(t, shared, with("LODGE_NATS_URL", events.urls(1, 2)))
	root := one.administrator()
	there := root
	there.lodge = two
	b.belongsTo(root)
	b.start()
	b.isKnownTo(there)

	// The adapters speak to the one; the dashboard and the stream are at the other.
	board := there.dashboard("/fleet/socket.io")
	board.enters("/fleets/carriers/state", "/doors/lab_door/state", "/alerts/requests", "/rios")
	board.hears("/fleets/carriers/state", "carrier_1")
	board.forgets()
	board.hears("/fleets/carriers/state", "carrier_1") // and goes on to
	task := there.dispatch(1, "lab_bench", "lobby")
	state, log := "/tasks/"+task+"/state", "/tasks/"+task+"/log"
	board.enters(state, log)
	states, logs := there.listenTo("/fleet/events"+state), there.listenTo("/fleet/events"+log)
	board.hears(state, `"status":"completed"`)
	board.hears(log, "phases", task)
	board.hears("/alerts/requests", "Task completed", task)
	eventually(t, "the stream tells the same", func() bool { return states.mentions(`"status":"completed"`) && logs.mentions("phases", task) })
	equal(t, "state at the other", there.task(task).Status, "completed")

	// Both hear ROS, whoever asked.
	here := root.listenTo("/fleet/events/doors/lab_door/state")
	root.send("POST", "/fleet/doors/lab_door/request", map[string]int{"mode": 2}).is(200)
	board.hears("/doors/lab_door/state", `"current_mode":{"value":2}`)
	eventually(t, "the one hears of the door too", func() bool { return here.mentions(`"current_mode":{"value":2}`) })
	root.send("POST", "/fleet/doors/lab_door/request", map[string]int{"mode": 0}).is(200)

	// A node of the cluster goes, and its replica finds another one.
	lamp := func(on bool) bool {
		return root.send("PUT", "/fleet/rios", map[string]any{"id": "lamp", "type": "lamp", "data": map[string]bool{"on": on}}).status/100 == 2
	}
	eventually(t, "the other hears of a lamp", func() bool { return lamp(true) && board.heard("/rios", "lamp", "true") })
	events.nodes[0].Shutdown()
	eventually(t, "the other hears of it still", func() bool { return lamp(false) && board.heard("/rios", "lamp", "false") })

	routine := there.everyFiveSeconds(25 * time.Second)
	eventually(t, "the first run", func() bool { return routine.ran(there) > 0 })

	// The one dies while tasks run; the adapters find the other, as through any balancer.
	tasks := make([]string, 4)
	for i := range tasks {
		tasks[i] = root.dispatch(1, "reception", "goods_out")
	}
	quiet(t)
	if *full { // with a run that it began and could not finish
		b.control("link", `{"bridge":false}`)
		due := time.Now().Truncate(step).Add(step + 1500*time.Millisecond)
		eventually(t, "a run fails", func() bool { return time.Now().After(due) })
	}
	one.kill()
	if *full {
		b.control("link", `{"bridge":true}`)
		eventually(t, "the other is connected with ROS", func() bool {
			return strings.Contains(two.nobody().get("/readyz").body, `"name":"ros","state":"ok"`)
		})
	}
	if ran := routine.ran(there); ran >= routine.runs {
		t.Errorf("%d runs are over before a server died", ran)
	}
	b.leadsTo(two)
	board.forgets()
	there.send("POST", "/fleet/doors/kitchen_door/request", map[string]int{"mode": 2}).is(200)
	eventually(t, "a door opens for the other", func() bool { return there.doorIs("kitchen_door", 2) })
	board.hears("/fleets/carriers/state", "carrier_1")
	for _, id := range tasks {
		there.becomes(id, "completed")
	}
	routine.ranOnce(t, there)
}

// schedule is a task that is dispatched at every fifth second.
type schedule struct {
	until time.Time
	runs  int
}

const (
	step  = 5 * time.Second
	label = "routine=yes"
)

// everyFiveSeconds schedules a task for a while: twelve times a minute, each minute.
func (c caller) everyFiveSeconds(long time.Duration) schedule {
	c.t.Helper()
	var times []map[string]any
	for second := 0; second < 60; second += int(step.Seconds()) {
		times = append(times, map[string]any{"period": "minute", "at": fmt.Sprintf(":%02d", second)})
	}
	quiet(c.t)
	now := time.Now()
	s := schedule{until: now.Add(long).Truncate(step)}
	s.runs = int(s.until.Sub(now.Truncate(step)) / step) // the last one is at the end itself
	c.send("POST", "/fleet/scheduled_tasks", map[string]any{
		"schedules": times, "until": s.until.UTC().Format(time.RFC3339), "task_request": map[string]any{
			"category": "patrol", "labels": []string{label}, "description": map[string]any{"places": []string{"workshop"}, "rounds": 1},
		},
	}).is(201)
	return s
}

// quiet waits for a moment at which no schedule is due soon, or was just now.
func quiet(t testing.TB) {
	t.Helper()
	eventually(t, "a moment of quiet", func() bool {
		past := time.Since(time.Now().Truncate(step))
		return past > time.Second && past < 3*time.Second
	})
}

// ranOnce demands that the task was dispatched every time, and no time twice.
func (s schedule) ranOnce(t testing.TB, c caller) {
	t.Helper()
	within(t, 2*patience, "the last run is over", func() bool { return time.Now().After(s.until.Add(step)) && s.ran(c) >= s.runs })
	equal(t, "runs of the schedule", s.ran(c), s.runs)
}

// ran is how many times it was dispatched by now.
func (s schedule) ran(c caller) int {
	c.t.Helper()
	return len(c.tasks("label=" + label))
}

// nodes are a NATS cluster of three.
type nodes struct{ nodes []*server.Server }

func natsCluster(t testing.TB) nodes {
	t.Helper()
	var c nodes
	for i := range 3 {
		options := &server.Options{
			ServerName: fmt.Sprintf("nats-%d", i), Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
			Cluster: server.ClusterOpts{Name: "lodge", Host: "127.0.0.1", Port: server.RANDOM_PORT, PoolSize: -1},
		}
		if i > 0 {
			options.Routes = server.RoutesFromStr("nats://" + c.nodes[0].ClusterAddr().String())
		}
		s, err := server.NewServer(options)
		noError(t, err)
		s.Start()
		t.Cleanup(func() {
			s.Shutdown()
			s.WaitForShutdown()
		})
		if !s.ReadyForConnections(startTime) {
			t.Fatal("a NATS server is not ready")
		}
		c.nodes = append(c.nodes, s)
	}
	eventually(t, "the nodes know one another", func() bool {
		return !slices.ContainsFunc(c.nodes, func(s *server.Server) bool { return s.NumRoutes() < 2 })
	})
	return c
}

// urls are the addresses of some nodes.
func (c nodes) urls(which ...int) string {
	var list []string
	for _, i := range which {
		list = append(list, c.nodes[i].ClientURL())
	}
	return strings.Join(list, ",")
}
