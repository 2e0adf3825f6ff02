package access

import (
	"context"
	"sync"
	"time"

	"lodge/internal/bus"
	"lodge/internal/fault"
)

const (
	// subject is where replicas tell each other of a change.
	subject = "access.changed"
	// maxAge is how long a snapshot decides without a look at the mark.
	maxAge = time.Second
	// reloadAge bounds how long a change by other hands than Lodge's stays unseen.
	reloadAge = time.Minute
	// maxPeople bounds the users kept in a snapshot.
	maxPeople = 10_000
)

// snapshot is what decisions are made from: the permissions, who is disabled,
// and the users seen since it was made. All but the users never changes.
type snapshot struct {
	mark   string
	wanted uint64
	// checked is when the mark was last compared, loaded when all was read.
	checked, loaded time.Time
	grants          *Grants
	disabled        map[string]bool
	people          *people
}

func (s *Service) fresh(snap *snapshot) bool {
	return snap != nil && snap.wanted == s.wanted.Load() && s.now().Sub(snap.checked) <= maxAge
}

// current gives a snapshot that is fresh, and reads one only when it must.
func (s *Service) current(ctx context.Context) (*snapshot, error) {
	if snap := s.snap.Load(); s.fresh(snap) {
		return snap, nil
	}
	return s.refresh(ctx, false)
}

// refresh compares the mark, and reads everything when it has changed. Calls at
// the same time wait for one of them; with force none is spared by another's.
func (s *Service) refresh(ctx context.Context, force bool) (*snapshot, error) {
	s.loading.Lock()
	defer s.loading.Unlock()
	old := s.snap.Load()
	if !force && s.fresh(old) {
		return old, nil
	}
	// In this order, so that whatever changes meanwhile makes the result stale and not wrong.
	now, wanted := s.now(), s.wanted.Load()
	mark, err := readMark(ctx, s.db)
	if err != nil {
		return nil, unreadable(err)
	}
	if old != nil && old.mark == mark && now.Sub(old.loaded) <= reloadAge {
		next := *old
		next.checked, next.wanted = now, wanted
		s.snap.Store(&next)
		return &next, nil
	}
	next := &snapshot{mark: mark, wanted: wanted, checked: now, loaded: now, people: newPeople()}
	if next.grants, err = readGrants(ctx, s.db); err != nil {
		return nil, unreadable(err)
	}
	if next.disabled, err = readDisabled(ctx, s.db); err != nil {
		return nil, unreadable(err)
	}
	s.snap.Store(next)
	return next, nil
}

// unreadable refuses whoever asks while the permissions cannot be read: what was
// true a second ago is not enough to let somebody in.
func unreadable(err error) error {
	return fault.Wrap(err, fault.Unavailable, "the permissions cannot be read now")
}

// changed makes the change just committed hold in this process and tells the others.
func (s *Service) changed(mark string) {
	s.wanted.Add(1)
	if s.bus == nil {
		return
	}
	if err := s.bus.Publish(subject, []byte(mark)); err != nil {
		s.log.Warn("other replicas learn of the access change a second later", "error", err)
	}
}

// Run keeps the snapshot fresh, so that no request has to, and writes down who
// was seen when. It ends with the context.
func (s *Service) Run(ctx context.Context) error {
	var news <-chan bus.Message
	if s.bus != nil {
		var err error
		if news, err = s.bus.Subscribe(ctx, subject, 16); err != nil {
			return err
		}
	}
	check := time.NewTicker(maxAge / 3)
	defer check.Stop()
	write := time.NewTicker(sightingsPause)
	defer write.Stop()
	well := true
	for {
		var err error
		select {
		case <-ctx.Done():
			s.writeSightings(context.WithoutCancel(ctx))
			return nil
		case m, open := <-news:
			if !open {
				news = nil
				continue
			}
			if snap := s.snap.Load(); snap == nil || snap.mark != string(m.Data) {
				s.wanted.Add(1)
				_, err = s.refresh(ctx, false)
			}
		case <-check.C:
			_, err = s.refresh(ctx, true)
		case <-write.C:
			s.writeSightings(ctx)
			continue
		}
		if (err == nil) != well && ctx.Err() == nil {
			well = err == nil
			if well {
				s.log.Info("permissions can be read again")
			} else {
				s.log.Warn("permissions cannot be read; everyone is refused until they can", "error", err)
			}
		}
	}
}

// people are the users that a snapshot has met.
type people struct {
	mu         sync.RWMutex
	byID       map[string]*User
	byIdentity map[identity]*User
}

type identity struct{ issuer, subject string }

func newPeople() *people {
	return &people{byID: make(map[string]*User), byIdentity: make(map[identity]*User)}
}

func (p *people) id(id string) *User {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.byID[id]
}

func (p *people) identity(issuer, subject string) *User {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.byIdentity[identity{issuer, subject}]
}

func (p *people) keep(u *User) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.byID) >= maxPeople {
		// Beginning anew is simpler than knowing who is needed least, and costs one read each.
		clear(p.byID)
		clear(p.byIdentity)
	}
	p.byID[u.ID] = u
	p.byIdentity[identity{u.Issuer, u.Subject}] = u
}
