package apps

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// waiting is an app session in the queue.
type waiting struct {
	id, owner string
	app       AppID
	since     time.Time
}

// line puts the queue in order: by arrival, but everybody takes turns. Whoever has starts under way
// already has had as many turns.
func line(queue []waiting, starting map[string]int) []waiting {
	byArrival := func(a, b waiting) int { return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.id, b.id)) }
	queue = slices.Clone(queue)
	slices.SortFunc(queue, byArrival)
	turn, taken := make(map[string]int, len(queue)), make(map[string]int, len(starting))
	for owner, n := range starting {
		taken[owner] = n
	}
	for _, w := range queue {
		turn[w.id] = taken[w.owner]
		taken[w.owner]++
	}
	slices.SortStableFunc(queue, func(a, b waiting) int { return cmp.Or(cmp.Compare(turn[a.id], turn[b.id]), byArrival(a, b)) })
	return queue
}

// admit takes from the head of the line as many as may start now. Of an app that fails for
// everybody, one at a time.
func admit(queue []waiting, starting []waiting, atOnce int, failing map[AppID]bool) []waiting {
	owners, busy := map[string]int{}, map[AppID]int{}
	for _, w := range starting {
		owners[w.owner]++
		busy[w.app]++
	}
	free := atOnce - len(starting)
	var chosen []waiting
	for _, w := range line(queue, owners) {
		if len(chosen) >= free {
			break
		}
		if failing[w.app] && busy[w.app] > 0 {
			continue
		}
		busy[w.app]++
		chosen = append(chosen, w)
	}
	return chosen
}

// position is an app session's place in the queue, 1 for the next; 0 when it does not wait.
func (s *Service) position(ctx context.Context, id string) (int, error) {
	queue, err := s.store.waiting(ctx, s.store.db, Queued)
	if err != nil {
		return 0, err
	}
	starting, err := s.store.waiting(ctx, s.store.db, Starting)
	if err != nil {
		return 0, err
	}
	owners := map[string]int{}
	for _, w := range starting {
		owners[w.owner]++
	}
	return 1 + slices.IndexFunc(line(queue, owners), func(w waiting) bool { return w.id == id }), nil
}
