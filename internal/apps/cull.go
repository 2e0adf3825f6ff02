package apps

import (
	"context"
	"database/sql"
	"time"

	"lodge/internal/database"
)

// clock is what decides when an app session ends by itself.
type clock struct {
	id                           string
	run                          int64
	ready, active, grace, warned time.Time
	extended, idle, life, warn   time.Duration
	// probes says that more is asked than what the row knows: the app itself, whether it is busy, or
	// whether its owner is still logged in.
	probes bool
}

func (s *Session) clock() clock {
	return clock{
		id: s.ID, run: s.Run, ready: s.Ready, active: s.Active, grace: s.GraceUntil, warned: s.Warned, extended: s.Extended,
		idle: s.Entry.idleTimeout(), life: time.Duration(s.Entry.MaxLifetime), warn: time.Duration(s.Entry.WarnBefore),
		probes: s.Entry.Activity.Probe != "" || s.Entry.Activity.CPU > 0 || s.Entry.StopOnLogout,
	}
}

// expiry says when an app session will be ended, and why; the zero time is never.
func (c clock) expiry() (end time.Time, why Cause) {
	if c.ready.IsZero() {
		return time.Time{}, ""
	}
	if c.idle > 0 {
		last := c.ready
		if c.active.After(last) {
			last = c.active
		}
		end, why = last.Add(c.idle+c.extended), CauseIdle
		if c.grace.After(end) {
			end = c.grace
		}
	}
	if c.life > 0 {
		if at := c.ready.Add(c.life + c.extended); end.IsZero() || !at.After(end) {
			end, why = at, CauseLifetime
		}
	}
	return end, why
}

func expiry(row Session) (time.Time, Cause) { return row.clock().expiry() }

// verdict says what the culler does with an app session now: nothing, warn, or end it for a cause.
func (c clock) verdict(now time.Time) (end Cause, warn bool) {
	at, why := c.expiry()
	switch {
	case at.IsZero():
		return "", false
	case !now.Before(at):
		return why, false
	case c.warn > 0 && !now.Before(at.Add(-c.warn)) && c.warned.Before(at.Add(-c.warn)):
		return "", true
	}
	return "", false
}

// clocks reads what the culler needs of everything that runs, and no more.
func (st *store) clocks(ctx context.Context) ([]clock, error) {
	rows, err := st.db.Query(ctx, `SELECT id, run, ready_at, active_at, grace_until, warned_at, extended, idle_us, life_us, warn_us, probes
		FROM app_sessions WHERE state = 'ready'`)
	return database.Collect(rows, err, func(rows *sql.Rows) (c clock, err error) {
		var n [9]int64
		err = rows.Scan(&c.id, &c.run, &n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6], &n[7], &n[8])
		c.ready, c.active, c.grace, c.warned = moment(n[0]), moment(n[1]), moment(n[2]), moment(n[3])
		c.extended, c.idle, c.life, c.warn = time.Duration(n[4])*time.Microsecond, time.Duration(n[5])*time.Microsecond, time.Duration(n[6])*time.Microsecond, time.Duration(n[7])*time.Microsecond
		c.probes = n[8] != 0
		return c, err
	})
}

// cull ends what nobody uses and warns of what is about to end.
func (s *Service) cull(ctx context.Context) error {
	list, err := s.store.clocks(ctx)
	if err != nil {
		return err
	}
	now := s.now()
	due := list[:0]
	for _, c := range list {
		if end, warn := c.verdict(now); end != "" || warn || c.probes {
			due = append(due, c)
		}
	}
	if len(due) == 0 {
		return nil
	}
	// What other replicas have seen, and not written yet, counts.
	s.gatherActivity(ctx)
	for _, c := range due {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.cullOne(ctx, c)
	}
	return nil
}

func (s *Service) cullOne(ctx context.Context, c clock) {
	row, err := s.store.session(ctx, s.store.db, c.id)
	if err != nil || row.State != Running || row.Run != c.run {
		return
	}
	if c.probes && s.askApp(ctx, row) {
		if row, err = s.store.session(ctx, s.store.db, c.id); err != nil {
			return
		}
	}
	end, warn := row.clock().verdict(s.now())
	if end == "" && s.hasLoggedOut(ctx, row) {
		end = CauseLogout
	}
	if end != "" && end != CauseLifetime && !s.driverAnswers(ctx, row.Driver) {
		return // activity may have been missed, and the app could not be stopped anyway
	}
	switch {
	case end != "":
		if _, err = s.stop(ctx, row, end); err == nil {
			s.log.InfoContext(ctx, "app session culled", "session", row.ID, "app", row.App, "cause", end)
		}
	case warn:
		at, why := expiry(row)
		_, err = s.edit(ctx, row, func(r *Session) {
			r.Warned = s.now()
			r.Message = "It will be closed at " + at.UTC().Format(time.RFC3339) + ": " + why.advice()
		})
	}
	if err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "an app session could not be culled", "session", row.ID, "error", err)
	}
}

// hasLoggedOut reports whether an app session is to end with its owner's login, and that is over: in
// every browser, since people have more than one. What a program has started has no login to end.
func (s *Service) hasLoggedOut(ctx context.Context, row Session) bool {
	if !row.Entry.StopOnLogout || !row.By.Browser {
		return false
	}
	still, err := s.identity.LoggedIn(ctx, row.OwnerID)
	return err == nil && !still
}
