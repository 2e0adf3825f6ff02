package fleet

import (
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"
)

// benchTask is a state of the size that adapters send, 3.3 kB.
func benchTask(id string, start int64) string {
	var phases []string
	for p := range 4 {
		var events []string
		for e := range 4 {
			events = append(events, fmt.Sprintf(`"%d":{"id":%d,"status":"underway","name":"Go to [place:waypoint_%d]","detail":"Moving the robot to the place","deps":[]}`, e, e, e))
		}
		phases = append(phases, fmt.Sprintf(`"%d":{"id":%d,"category":"Go to","detail":"Going to waypoint_%d on level L1","unix_millis_start_time":%d,"original_estimate_millis":60000,"estimate_millis":50000,"final_event_id":0,"events":{%s},"skip_requests":{}}`,
			p+1, p+1, p, start, strings.Join(events, ",")))
	}
	return fmt.Sprintf(`{"type":"task_state_update","data":{"booking":{"id":"%s","unix_millis_earliest_start_time":0,"priority":{"type":"binary","value":0},"labels":["task_definition_id=patrol","destination=d%d"],"requester":"admin"},`+
		`"category":"patrol","detail":"patrol","unix_millis_start_time":%d,"unix_millis_finish_time":%d,"original_estimate_millis":600000,"estimate_millis":500000,"assigned_to":{"group":"fleet_1","name":"robot_%d"},"status":"underway",`+
		`"phases":{%s},"completed":[1,2],"active":3,"pending":[4],"interruptions":{}}}`, id, start%5, start, start+1, start%50, strings.Join(phases, ","))
}

// BenchmarkTakeTask is the way of a message from the socket to the subscribers and into SQLite.
func BenchmarkTakeTask(b *testing.B) {
	s := newSite(b)
	s.svc.log = slog.New(slog.DiscardHandler)
	s.svc.Attach(nil, noLive{})
	messages := make([][]byte, 100)
	for i := range messages {
		messages[i] = []byte(benchTask(fmt.Sprint("task", i), int64(1_700_000_000_000+i)))
	}
	b.SetBytes(int64(len(messages[0])))
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if err := s.svc.TakeMessage(b.Context(), messages[i%len(messages)]); err != nil {
			b.Fatal(err)
		}
	}
	noError(b, s.svc.writer.durable(b.Context()))
}

// BenchmarkTakeFleet is a fleet of 100 robots.
func BenchmarkTakeFleet(b *testing.B) {
	s := newSite(b)
	s.svc.Attach(nil, noLive{})
	var robots []string
	for i := range 100 {
		robots = append(robots, fmt.Sprintf(`"r%d":{"name":"r%d","status":"working","task_id":"t%d","unix_millis_time":1700000000000,"location":{"map":"L1","x":%d.25,"y":12.125,"yaw":0.5},"battery":0.75,"issues":[],"commission":{"dispatch_tasks":true,"direct_tasks":true,"idle_behavior":true},"mutex_groups":{"locked":[],"requesting":[]}}`, i, i, i, i))
	}
	message := []byte(`{"type":"fleet_state_update","data":{"name":"f","robots":{` + strings.Join(robots, ",") + `}}}`)
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	for b.Loop() {
		if err := s.svc.TakeMessage(b.Context(), message); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkQueryTasks reads pages of 100,000 tasks.
func BenchmarkQueryTasks(b *testing.B) {
	s := newSite(b)
	s.svc.Attach(nil, noLive{})
	statuses := []string{"completed", "failed", "canceled", "underway", "queued"}
	for i := range 100_000 {
		message := strings.Replace(benchTask(fmt.Sprintf("task%06d", i), int64(1_700_000_000_000+i*977%100_000)), `"status":"underway","phases"`, `"status":"`+statuses[i%50*i%5]+`","phases"`, 1)
		if err := s.svc.TakeMessage(b.Context(), []byte(message)); err != nil {
			b.Fatal(err)
		}
	}
	noError(b, s.svc.writer.durable(b.Context()))
	noError(b, s.svc.prune(b.Context()))
	for _, query := range []string{
		"limit=10&order_by=-unix_millis_start_time", "", "limit=10&order_by=unix_millis_start_time", "status=underway&order_by=-unix_millis_start_time&limit=10",
		"status=completed,failed&order_by=-unix_millis_start_time&limit=10", "label=destination%3Dd1&order_by=-unix_millis_start_time&limit=10",
		"label=destination%3Dd1,task_definition_id%3Dpatrol&limit=10", "start_time_between=1700000010000,1700000020000&order_by=-unix_millis_start_time&limit=10",
		"start_time_between=1700000010000,1700000020000&limit=10", "order_by=status&limit=10", "order_by=-category&limit=10", "order_by=-unix_millis_finish_time&limit=10", "order_by=label%3Ddestination&limit=10",
		"assigned_to=robot_7&order_by=-unix_millis_start_time&limit=10", "order_by=-unix_millis_start_time&limit=10&offset=90000", "task_id=task000001,task050000",
		"status=underway,delayed&order_by=-unix_millis_start_time&limit=10", "category=patrol&order_by=-unix_millis_start_time&limit=10",
		"status=underway&category=patrol&order_by=-unix_millis_start_time&limit=10",
	} {
		text, _ := url.QueryUnescape(query)
		b.Run(text, func(b *testing.B) {
			var worst time.Duration
			for b.Loop() {
				began := time.Now()
				s.get("/tasks?"+query).is(b, 200, "")
				worst = max(worst, time.Since(began))
			}
			b.ReportMetric(float64(worst.Microseconds())/1000, "worst-ms")
		})
	}
}

// BenchmarkUser is the cheapest authenticated call.
func BenchmarkUser(b *testing.B) {
	s := newSite(b)
	for b.Loop() {
		s.get("/user").is(b, 200, "")
	}
}
