package fleet

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestAPoisonedBatch has one message that the database refuses among many.
func TestAPoisonedBatch(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.asleep = true })
	for i := range 5 {
		s.report("task_state_update", taskJSON(fmt.Sprint("t", i), "")+"}")
	}
	_, err := s.db.Exec(t.Context(), "CREATE TRIGGER poison BEFORE INSERT ON fleet_tasks WHEN NEW.id = 't3' BEGIN SELECT RAISE(ABORT, 'poison'); END")
	noError(t, err)
	s.report("fleet_state_update", `{"name":"f"}`)
	s.report("task_log_update", sampleLog)
	b := s.svc.writer.gathering
	s.svc.writer.flush(t.Context())
	if b.err == nil {
		t.Error("nobody knows that something was lost")
	}
	if got := ids(t, s.get("/tasks")); got != "t0 t1 t2 t4" {
		t.Errorf("stored: %s", got)
	}
	s.get("/fleets/f/state").is(t, 200, "")
	s.get("/tasks/t1/log?between=0,100").is(t, 200, sampleLog)
}

// TestManyAdapters has several senders at once; of each task the newest state stays.
func TestManyAdapters(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var senders sync.WaitGroup
	for sender := range 8 {
		senders.Go(func() {
			for i := range 100 {
				for task := range 5 {
					id := fmt.Sprintf("t%d-%d", sender, task)
					if err := s.internal("task_state_update", taskJSON(id, "")+fmt.Sprintf(`,"unix_millis_start_time":%d}`, i+1)); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	senders.Wait()
	list := parse[[]TaskState](t, s.get("/tasks?limit=1000").is(t, 200, "").body)
	if len(list) != 40 {
		t.Errorf("%d tasks", len(list))
	}
	for _, task := range list {
		if *task.UnixMillisStartTime != 100 {
			t.Errorf("%s stays at %d", task.Booking.ID, *task.UnixMillisStartTime)
		}
	}
}

// TestFullLogsHoldTheirSenderUp says that entries wait rather than get lost, and states never do.
func TestFullLogsHoldTheirSenderUp(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.asleep = true })
	entries := strings.Repeat(`{"seq":1,"tier":"info","unix_millis_time":1,"text":"x"},`, maxWaitingLogs/10)
	full := `{"task_id":"t","log":[` + strings.TrimSuffix(entries, ",") + `]}`
	for range 10 {
		s.report("task_log_update", full)
	}
	held := make(chan error, 1)
	go func() { held <- s.internal("task_log_update", sampleLog) }()
	select {
	case err := <-held:
		t.Fatalf("it was taken: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	s.svc.writer.flush(t.Context())
	noError(t, <-held)
}

func TestStopWritesWhatIsLeft(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i := range 100 {
		s.report("task_state_update", taskJSON(fmt.Sprint("t", i), "")+"}")
	}
	s.stop()
	var n int
	noError(t, s.db.QueryRow(t.Context(), "SELECT COUNT(*) FROM fleet_tasks").Scan(&n))
	if n != 100 {
		t.Errorf("%d tasks are stored", n)
	}
}
