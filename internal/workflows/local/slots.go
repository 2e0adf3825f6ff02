package local

import (
	"context"
	"sync"
)

// slots bounds how many steps run at once, and shares the places among jobs: the next free one goes
// to the job with the fewest running steps, and among those to the one that has waited longest.
type slots struct {
	mu    sync.Mutex
	free  int
	jobs  map[string]*queue
	turns uint64
}

type queue struct {
	running int
	waiting []chan struct{}
	served  uint64
}

func newSlots(n int) *slots { return &slots{free: n, jobs: map[string]*queue{}} }

// wait gives a place, to be given back by release.
func (s *slots) wait(ctx context.Context, job string) (release func(), err error) {
	s.mu.Lock()
	q := s.jobs[job]
	if q == nil {
		q = &queue{}
		s.jobs[job] = q
	}
	turn := make(chan struct{})
	q.waiting = append(q.waiting, turn)
	s.serve()
	s.mu.Unlock()
	select {
	case <-turn:
		return sync.OnceFunc(func() { s.release(job) }), nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, w := range q.waiting {
		if w == turn {
			q.waiting = append(q.waiting[:i], q.waiting[i+1:]...)
			s.drop(job, q)
			return nil, ctx.Err()
		}
	}
	// The place came at the same moment: it goes to the next.
	s.back(job, q)
	return nil, ctx.Err()
}

func (s *slots) release(job string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.back(job, s.jobs[job])
}

func (s *slots) back(job string, q *queue) {
	q.running--
	s.free++
	s.drop(job, q)
	s.serve()
}

func (s *slots) drop(job string, q *queue) {
	if q.running == 0 && len(q.waiting) == 0 {
		delete(s.jobs, job)
	}
}

// serve gives free places away.
func (s *slots) serve() {
	for s.free > 0 {
		var next *queue
		for _, q := range s.jobs {
			if len(q.waiting) > 0 && (next == nil || q.running < next.running || q.running == next.running && q.served < next.served) {
				next = q
			}
		}
		if next == nil {
			return
		}
		s.turns++
		next.served = s.turns
		next.running++
		s.free--
		close(next.waiting[0])
		next.waiting = next.waiting[1:]
	}
}
