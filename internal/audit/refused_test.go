package audit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"lodge/internal/database"
	"lodge/internal/database/databasetest"
	"lodge/internal/fault"
)

func TestRefusalsShareTransactionsAndAreDurableBeforeTheAnswer(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		l := newLog(t, db)
		var mu sync.Mutex
		groups := 0
		l.refusals = newRefusals(func(ctx context.Context, list []Record) error {
			mu.Lock()
			groups++
			mu.Unlock()
			return l.writeAll(ctx, list)
		})
		const n = 400
		var wait sync.WaitGroup
		for i := range n {
			wait.Go(func() {
				object := fmt.Sprint("object ", i)
				if err := l.Refused(someone(t.Context()), Entry{Action: "a", Object: object}); err != nil {
					t.Error(err)
					return
				}
				if list, _, err := l.List(t.Context(), Filter{Object: object}, Cursor{}, 2); err != nil || len(list) != 1 {
					t.Errorf("after the answer there are %d records, %v", len(list), err)
				}
			})
		}
		wait.Wait()
		if groups > n/2 {
			t.Errorf("%d refusals took %d transactions", n, groups)
		}
	})
}

// A flood waits in line and holds no more memory than the line has places; each
// waits only as long as its context; nothing that got a place is lost.
func TestAFloodOfRefusals(t *testing.T) {
	t.Parallel()
	open := make(chan struct{})
	var mu sync.Mutex
	written := map[string]bool{}
	q := newRefusals(func(_ context.Context, list []Record) error {
		<-open
		mu.Lock()
		defer mu.Unlock()
		for _, r := range list {
			written[r.ID] = true
		}
		return nil
	})
	patient, leave := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	for i := range maxWaiting {
		wait.Go(func() {
			if err := q.add(patient, Record{ID: fmt.Sprint(i)}); !fault.Is(err, fault.Unavailable) || !errors.Is(err, context.Canceled) {
				t.Errorf("whoever left got %v", err)
			}
		})
	}
	for len(q.places) < maxWaiting {
		time.Sleep(time.Millisecond) // nothing tells from outside that a place was taken
	}
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := q.add(short, Record{ID: "one too many"}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("beyond the line: %v", err)
	}
	leave()
	wait.Wait()
	close(open)
	if err := q.add(t.Context(), Record{ID: "afterwards"}); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(written) != maxWaiting+1 || written["one too many"] {
		t.Errorf("%d were written", len(written))
	}
}

func TestARefusalThatCannotBeWrittenIsSaid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		kind fault.Kind
	}{
		{errors.New("broken"), fault.Unavailable},
		{fault.New(fault.Full, "the database is full"), fault.Full},
	} {
		q := newRefusals(func(context.Context, []Record) error { return c.err })
		for range 2 {
			if err := q.add(t.Context(), Record{}); fault.KindOf(err) != c.kind || !errors.Is(err, c.err) {
				t.Errorf("got %v", err)
			}
		}
		if len(q.places) != 0 {
			t.Errorf("%d places are lost", len(q.places))
		}
	}
}
