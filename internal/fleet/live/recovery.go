package live

import (
	"sync"
	"time"
)

// recoverFor is how long the rooms of a client that lost its connection are remembered.
const recoverFor = 2 * time.Minute

// recovery remembers by pid what clients listened to.
type recovery struct {
	mu   sync.Mutex
	kept map[string]memory
	max  int
	now  func() time.Time
}

// memory is a session that is there, or the rooms of one that was.
type memory struct {
	session *session
	rooms   []string
	until   time.Time
}

// enter notes that a session has the pid.
func (r *recovery) enter(pid string, x *session) {
	r.mu.Lock()
	r.kept[pid] = memory{session: x}
	r.mu.Unlock()
	if x.isOver() { // it left before it was noted
		r.leave(pid, x, nil, reasonClient)
	}
}

// leave turns a session into its memory, unless another one has the pid by now.
func (r *recovery) leave(pid string, x *session, rooms []string, why reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kept[pid].session != x {
		return
	}
	delete(r.kept, pid)
	if !why.recovers() || len(rooms) == 0 {
		return
	}
	// Sessions are bounded, so at most as many memories again are kept.
	if len(r.kept) < 2*r.max {
		r.kept[pid] = memory{rooms: rooms, until: r.now().Add(recoverFor)}
	}
}

// comeBack finds the session that has the pid, which its client gave up before we noticed, or the
// rooms that it had. Whoever comes next with the same pid finds nothing.
func (r *recovery) comeBack(pid string) (old *session, rooms []string, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, known := r.kept[pid]
	if !known || m.session == nil && r.now().After(m.until) {
		return nil, nil, false
	}
	delete(r.kept, pid)
	return m.session, m.rooms, true
}

// forget drops what is too old.
func (r *recovery) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	for pid, m := range r.kept {
		if m.session == nil && now.After(m.until) {
			delete(r.kept, pid)
		}
	}
}
