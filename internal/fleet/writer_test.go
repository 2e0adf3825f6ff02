package fleet

import (
	"context"
	"errors"
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

// TestALargeBatchIsWrittenInPieces has more of everything than one transaction takes; nothing is left out.
func TestALargeBatchIsWrittenInPieces(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.asleep = true })
	const tasks = 2*maxPiece + 1
	for i := range tasks {
		s.report("task_state_update", taskJSON(fmt.Sprint("t", i), "")+`,"status":"completed"}`)
		s.report("task_log_update", fmt.Sprintf(`{"task_id":"t%d","log":[{"seq":1,"tier":"info","unix_millis_time":1,"text":"x"}]}`, i))
		s.report("fleet_log_update", fmt.Sprintf(`{"name":"f","log":[{"seq":%d,"tier":"info","unix_millis_time":1,"text":"x"}]}`, i))
	}
	w := s.svc.writer
	if pieces := w.gathering.pieces(maxPiece); len(pieces) < 3 {
		t.Errorf("%d pieces", len(pieces))
	}
	w.flush(t.Context())
	for _, table := range []string{"fleet_tasks", "fleet_task_logs", "fleet_task_log_places", "fleet_logs", "fleet_alerts"} {
		var n int
		noError(t, s.db.QueryRow(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n))
		if n != tasks {
			t.Errorf("%s has %d rows, not %d", table, n, tasks)
		}
	}
}

// TestManyNewTasksHoldTheirSenderUp says that tasks which nobody heard of wait, and known ones never do.
func TestManyNewTasksHoldTheirSenderUp(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.asleep = true })
	for i := range maxWaitingTasks {
		s.report("task_state_update", taskJSON(fmt.Sprint("t", i), "")+"}")
	}
	s.report("task_state_update", taskJSON("t7", "")+`,"status":"underway"}`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.svc.TakeMessage(ctx, []byte(`{"type":"task_state_update","data":`+taskJSON("new", "")+`}}`))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("it was taken: %v", err)
	}
}

// TestWhatChangesIsFound changes what tasks are found by, and what they are not, in turns.
func TestWhatChangesIsFound(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i, status := range []string{"queued", "queued", "underway", "underway", "queued", "completed"} {
		s.report("task_state_update", taskJSON("t", "")+fmt.Sprintf(`,"status":%q,"unix_millis_finish_time":%d}`, status, i+1))
		noError(t, s.svc.writer.durable(t.Context()))
		found := parse[[]TaskState](t, s.get("/tasks?status="+status+fmt.Sprintf("&finish_time_between=%d,%d", i+1, i+1)).is(t, 200, "").body)
		if len(found) != 1 || *found[0].UnixMillisFinishTime != int64(i+1) {
			t.Errorf("after %d changes: %v", i, found)
		}
	}
}
