package apps

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lodge/internal/database"
	"lodge/internal/fault"
)

// keep is the duty of one replica at a time: it moves the queue on, ends what nobody uses, compares
// rows with what runs, and tidies.
func (s *Service) keep(ctx context.Context) error {
	if err := s.graceAfterOutage(ctx); err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "it could not be found out how long nobody looked after the apps", "error", err)
	}
	tick := time.NewTicker(min(time.Second, s.cfg.Cull.Every))
	defer tick.Stop()
	var culled, reconciled time.Time
	well := true
	for {
		now := s.now()
		err := s.moveQueue(ctx)
		if now.Sub(reconciled) >= s.cfg.Cull.Reconcile {
			reconciled = now
			err = errors.Join(err, s.Reconcile(ctx))
		}
		if now.Sub(culled) >= s.cfg.Cull.Every {
			culled = now
			err = errors.Join(err, s.store.beat(ctx, now), s.cull(ctx), s.sweep(ctx))
		}
		if (err == nil) != well && ctx.Err() == nil {
			if well = err == nil; well {
				s.log.InfoContext(ctx, "apps are looked after again")
			} else {
				s.log.WarnContext(ctx, "apps cannot be looked after", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// moveQueue gives free places away, and ends the waiting of those who have waited too long.
func (s *Service) moveQueue(ctx context.Context) error {
	queue, err := s.store.waiting(ctx, s.store.db, Queued)
	if err != nil || len(queue) == 0 {
		return err
	}
	for _, w := range queue {
		if s.now().Sub(w.since) < s.cfg.Limits.QueueTimeout {
			continue
		}
		_, err := s.move(ctx, w.id, 0, evFail, func(r *Session) {
			r.Cause, r.Message = CauseNoRoom, fmt.Sprintf("No place was free within %s.", s.cfg.Limits.QueueTimeout)
		})
		if err != nil && !errors.Is(err, errMoved) {
			return err
		}
	}
	return s.store.db.Tx(ctx, func(tx *database.Tx) error { return s.promote(ctx, tx) })
}

// beatRow is the row of app_gate with when somebody last looked after the apps.
const beatRow = 2

func (st *store) beat(ctx context.Context, now time.Time) error {
	return st.db.Tx(ctx, func(tx *database.Tx) error {
		_, err := tx.Exec(ctx, database.Upsert(st.db.Dialect(), "app_gate", []string{"id"}, []string{"counter"}), beatRow, micros(now))
		return err
	})
}

// graceAfterOutage gives what runs time to be used again when nobody could see that it was.
func (s *Service) graceAfterOutage(ctx context.Context) error {
	var last int64
	rows, err := s.store.db.Query(ctx, "SELECT counter FROM app_gate WHERE id = ?", beatRow)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	if rows.Next() {
		if err := rows.Scan(&last); err != nil {
			return err
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	now := s.now()
	if last == 0 || now.Sub(moment(last)) < 2*s.cfg.Cull.Every {
		return nil
	}
	until := now.Add(s.cfg.Cull.RestartGrace)
	_, err = s.store.db.Exec(ctx, "UPDATE app_sessions SET grace_until = ?, version = version + 1 WHERE state = 'ready' AND grace_until < ?", micros(until), micros(until))
	return err
}

// sweep forgets codes that are over, and details of failures after a while.
func (s *Service) sweep(ctx context.Context) error {
	now := s.now()
	if _, err := s.store.db.Exec(ctx, "DELETE FROM app_codes WHERE expires_at < ?", micros(now)); err != nil {
		return err
	}
	_, err := s.store.db.Exec(ctx, "UPDATE app_sessions SET log_tail = '', version = version + 1 WHERE state IN ('failed', 'stopped') AND ended_at < ? AND log_tail <> ''",
		micros(now.Add(-s.cfg.Cull.KeepFailed)))
	return err
}

// driverAnswers asks a driver how it is.
func (s *Service) driverAnswers(ctx context.Context, name string) bool {
	d, err := s.driver(name)
	if err != nil {
		return false
	}
	_, err = d.Health(ctx)
	up := 1.0
	if err != nil {
		up = 0
	}
	s.metrics.up.WithLabelValues(d.Name()).Set(up)
	return err == nil
}

// act is what reconciliation does.
type act string

const (
	actNothing act = ""
	actAdopt   act = "adopt"   // it runs: take its address over
	actEnded   act = "ended"   // it ended while nobody looked
	actLost    act = "lost"    // it is gone without a trace
	actOrphan  act = "orphan"  // it runs for no row
	actRemains act = "remains" // an earlier run's
)

// compare says what to do about a row and what runs for it; either may be nil.
func compare(row *Session, inst *Instance) act {
	switch {
	case inst == nil && row != nil && row.State == Running:
		return actLost
	case inst == nil:
		return actNothing
	case row == nil || row.State == Stopped || row.State == Failed:
		return actOrphan
	case inst.Run < row.Run && row.State != Stopping:
		if row.State == Running {
			return actLost // what runs is an earlier run's, so ours is gone
		}
		return actRemains
	case row.State != Running:
		return actNothing // a worker is at it
	case inst.Exit != nil:
		return actEnded
	case inst.Address != row.Address:
		return actAdopt
	}
	return actNothing
}

// Reconcile compares the rows with what the drivers run.
func (s *Service) Reconcile(ctx context.Context) error {
	began := s.now()
	defer func() { s.metrics.sweep.Observe(s.now().Sub(began).Seconds()) }()
	var failures []error
	for name, d := range s.drivers {
		if err := s.reconcile(ctx, name, d); err != nil {
			failures = append(failures, fmt.Errorf("reconcile %s: %w", name, err))
		}
	}
	return errors.Join(failures...)
}

func (s *Service) reconcile(ctx context.Context, name string, d Driver) error {
	// In this order: what is ready now has an instance, and every instance has a row before it.
	ready, err := s.store.sessions(ctx, s.store.db, filter{driver: name, states: []State{Running}})
	if err != nil {
		return err
	}
	instances, err := d.List(ctx)
	if err != nil {
		return err
	}
	running := map[string]*Instance{}
	for i := range instances {
		running[instances[i].ID] = &instances[i]
	}
	for i := range ready {
		if row := &ready[i]; running[row.ID] == nil {
			if _, err := d.Look(ctx, row.ID); fault.Is(err, fault.Missing) {
				s.reconcileOne(ctx, d, row, nil)
			}
		}
	}
	for _, inst := range instances {
		row, err := s.store.session(ctx, s.store.db, inst.ID)
		switch {
		case errors.Is(err, errNoRow):
			s.reconcileOne(ctx, d, nil, &inst)
		case err != nil:
			return err
		case row.Driver == name:
			s.reconcileOne(ctx, d, &row, &inst)
		}
	}
	return nil
}

func (s *Service) reconcileOne(ctx context.Context, d Driver, row *Session, inst *Instance) {
	var err error
	switch compare(row, inst) {
	case actNothing:
	case actAdopt:
		_, err = s.edit(ctx, *row, func(r *Session) { r.Address = inst.Address })
	case actEnded:
		err = s.ended(ctx, *row, inst.Exit)
	case actLost:
		err = s.bury(ctx, *row, CauseLost, CauseLost.advice())
	case actOrphan:
		if s.now().Sub(inst.Created) < s.cfg.Cull.OrphanAfter {
			return
		}
		s.log.WarnContext(ctx, "an app runs that nobody started; it is removed", "session", inst.ID, "ref", inst.Ref)
		err = d.Stop(ctx, inst.ID, inst.Run, s.cfg.Grace)
	case actRemains:
		err = d.Stop(ctx, inst.ID, inst.Run, s.cfg.Grace)
	}
	if err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "an app session could not be reconciled", "error", err)
	}
}

// ended marks an app session that ran and ended by itself.
func (s *Service) ended(ctx context.Context, row Session, exit *Exit) error {
	cause, message := CauseCrashed, "The app ended "+exit.String()
	if exit.OOM {
		cause, message = CauseOutOfMemory, CauseOutOfMemory.advice()
	}
	return s.bury(ctx, row, cause, message)
}

// runWatch hears of deaths from a driver.
func (s *Service) runWatch(ctx context.Context, d Driver) error {
	told := false
	for ctx.Err() == nil {
		began := s.now()
		err := d.Watch(ctx, func(id string) { s.died(ctx, d, id) })
		if long := s.now().Sub(began) > time.Minute; err != nil && ctx.Err() == nil && (!told || long) {
			told = true // once for as long as a driver is away
			s.log.WarnContext(ctx, "deaths of app sessions are not heard of", "driver", d.Name(), "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	return nil
}

// died looks what became of an app session that is said to have ended.
func (s *Service) died(ctx context.Context, d Driver, id string) {
	row, err := s.store.session(ctx, s.store.db, id)
	if err != nil || row.State != Running {
		return // a start looks by itself, a stop expects it
	}
	inst, err := d.Look(ctx, id)
	switch {
	case fault.Is(err, fault.Missing):
		err = s.bury(ctx, row, CauseLost, CauseLost.advice())
	case err == nil && inst.Run == row.Run && inst.Exit != nil:
		err = s.ended(ctx, row, inst.Exit)
	}
	if err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "an app session ended, which could not be written down", "session", id, "error", err)
	}
}
