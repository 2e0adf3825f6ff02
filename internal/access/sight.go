package access

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"lodge/internal/database"
	"lodge/internal/fault"
)

const (
	// sightingsPause is how often it is written down who was seen.
	sightingsPause = 5 * time.Second
	// sightedFor is how long one sighting lasts: seen_at is right to the minute.
	sightedFor = time.Minute
	// maxSightings bounds those not written yet; beyond it they are forgotten, since the next request repeats them.
	maxSightings = 10_000
)

// FirstSight gives the user that an issuer's subject is, and enters them, with no
// rights, when they were never seen. It costs no query for a user seen before. A
// disabled user is fault.Denied; an identity that cannot be kept is fault.Unauthenticated.
func (s *Service) FirstSight(ctx context.Context, issuer, subject, name, email string) (User, error) {
	if err := checkIdentity(issuer, subject); err != nil {
		return User{}, fault.Wrap(err, fault.Unauthenticated, "the token names nobody that could be a user")
	}
	snap, err := s.current(ctx)
	if err != nil {
		return User{}, err
	}
	u := snap.people.identity(issuer, subject)
	if u == nil {
		if u, err = s.meet(ctx, issuer, subject, clean(name, maxText), clean(email, maxText)); err != nil {
			return User{}, err
		}
		snap.people.keep(u)
	}
	return s.sight(ctx, snap, u, name, email)
}

// Known gives a user by id without a query when they were seen before, and marks
// them as seen: for sessions, which know who it is. Nobody by this id is
// fault.Unauthenticated, a disabled user fault.Denied.
func (s *Service) Known(ctx context.Context, id string) (User, error) {
	snap, err := s.current(ctx)
	if err != nil {
		return User{}, err
	}
	u := snap.people.id(id)
	if u == nil {
		row, found, err := findUser(ctx, s.db, "u.id = ?", clean(id, 36))
		if err != nil {
			return User{}, err
		}
		if !found {
			return User{}, fault.New(fault.Unauthenticated, "this user is not known any more")
		}
		u = &row
		snap.people.keep(u)
	}
	return s.sight(ctx, snap, u, "", "")
}

// RolesOf gives the roles that a user has by Lodge.
func (s *Service) RolesOf(ctx context.Context, id string) ([]Role, error) {
	u, err := s.Known(ctx, id)
	return u.Roles, err
}

// meet finds the user or enters them. Many first requests at the same time are fine:
// one enters, the others find.
func (s *Service) meet(ctx context.Context, issuer, subject, name, email string) (*User, error) {
	const attempts = 5
	for n := 1; ; n++ {
		u, found, err := lookUp(ctx, s.db, issuer, subject)
		if err == nil && !found {
			u, err = s.enter(ctx, issuer, subject, name, email)
		}
		if err == nil {
			return &u, nil
		}
		if n == attempts || !database.IsDuplicate(err) {
			return nil, fmt.Errorf("find or enter a user: %w", err)
		}
	}
}

func lookUp(ctx context.Context, q database.Querier, issuer, subject string) (User, bool, error) {
	u, found, err := findUser(ctx, q, "u.issuer = ? AND u.subject = ?", issuer, subject)
	if found && (u.Issuer != issuer || u.Subject != subject) {
		// A database that compares loosely must not make two people one.
		return User{}, false, fault.New(fault.Unauthenticated, "another user differs from this one in spelling alone")
	}
	return u, found, err
}

// enter adds somebody seen for the first time, unless somebody else just did.
func (s *Service) enter(ctx context.Context, issuer, subject, name, email string) (User, error) {
	now := s.now().UTC()
	fresh := User{
		ID: uuid.NewString(), Issuer: issuer, Subject: subject, Name: cmp.Or(name, email, subject), Email: email,
		Roles: []Role{}, Created: now, Seen: now,
	}
	ctx = WithCaller(ctx, &Caller{UserID: fresh.ID, Issuer: issuer, Subject: subject, Name: fresh.Name, Credential: Credential{Kind: "first sight"}})
	how := s.configuredAdmin(issuer, subject, fresh.Name)
	var u User
	insert := func(tx *database.Tx) (err error) {
		var found bool
		if u, found, err = lookUp(ctx, tx, issuer, subject); found || err != nil {
			return err
		}
		u = fresh
		if how != notConfigured {
			same, err := count(ctx, tx, "SELECT COUNT(*) FROM users WHERE name = ?", u.Name)
			if err != nil {
				return err
			}
			u.Admin = how == configuredExactly || same == 0
		}
		if err := insertUser(ctx, tx, u); err != nil {
			return err
		}
		return s.record(ctx, tx, "users.write", object(u), "seen for the first time: "+describe(u))
	}
	if how == notConfigured {
		err := s.db.Tx(ctx, insert)
		return u, err
	}
	// Of two with the same name, one may become administrator by it: one at a time.
	err := s.write(ctx, insert)
	return u, err
}

// sight notes that the user is here, at most once a minute.
func (s *Service) sight(ctx context.Context, snap *snapshot, u *User, name, email string) (User, error) {
	if u.Disabled {
		return *u, disabledFault()
	}
	now := s.now()
	if now.Sub(u.Seen) < sightedFor {
		return *u, nil
	}
	next := *u
	next.Seen = now.UTC()
	if name = clean(name, maxText); name != "" {
		next.Name = name
	}
	if email = clean(email, maxText); email != "" {
		next.Email = email
	}
	if next.Name != u.Name || next.Email != u.Email {
		if _, err := s.db.Exec(ctx, "UPDATE users SET name = ?, email = ? WHERE id = ?", next.Name, next.Email, u.ID); err != nil {
			return *u, fmt.Errorf("keep the new name of a user: %w", err)
		}
	}
	snap.people.keep(&next)
	s.seen.note(u.ID)
	return next, nil
}

// sightings are the users seen since it was last written down.
type sightings struct {
	mu  sync.Mutex
	ids map[string]struct{}
}

func (n *sightings) note(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ids == nil {
		n.ids = make(map[string]struct{})
	}
	if len(n.ids) < maxSightings {
		n.ids[id] = struct{}{}
	}
}

// take gives all, and forgets them.
func (n *sightings) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make([]string, 0, len(n.ids))
	for id := range n.ids {
		list = append(list, id)
	}
	clear(n.ids)
	// In order, so that replicas that write the same rows do not wait for each other in a circle.
	slices.Sort(list)
	return list
}

func (s *Service) writeSightings(ctx context.Context) {
	now := database.Micros(s.now())
	for ids := range slices.Chunk(s.seen.take(), 500) {
		list, args := in(ids)
		_, err := s.db.Exec(ctx, "UPDATE users SET seen_at = ? WHERE seen_at < ? AND id IN "+list, append([]any{now, now}, args...)...)
		if err != nil && ctx.Err() == nil {
			s.log.Warn("could not write down who was seen", "users", len(ids), "error", err)
		}
	}
}

// configured says how the configuration names an administrator.
type configured int

const (
	notConfigured configured = iota
	configuredExactly
	configuredByName
)

// configuredAdmin looks a user up in identity.admins: as issuer|subject, which is
// exact, or by name. An entry with a bar in it is never a name, so that nobody
// can call themselves like somebody's identity.
func (s *Service) configuredAdmin(issuer, subject, name string) configured {
	how := notConfigured
	for _, entry := range *s.admins.Load() {
		if entry == issuer+"|"+subject {
			return configuredExactly
		}
		if entry == name && !strings.Contains(entry, "|") {
			how = configuredByName
		}
	}
	return how
}

// EnsureAdmins makes the users that the configuration names administrators:
// those known now, and the others when they are first seen. An entry is
// issuer|subject, or a user name. A name counts only while a single user has it,
// since another issuer may know somebody of the same name; prefer issuer|subject.
func (s *Service) EnsureAdmins(ctx context.Context, identities []string) error {
	list := slices.DeleteFunc(slices.Clone(identities), func(e string) bool { return e == "" })
	s.admins.Store(&list)
	if len(list) == 0 {
		return nil
	}
	ctx = WithDecision(WithCaller(ctx, &Caller{
		Issuer: "lodge", Subject: "configuration", Name: "configuration", Credential: Credential{Kind: "config"}, Admin: true,
	}), Decision{true, "identity.admins"})
	if found, err := s.configuredUsers(ctx, s.db, list); err != nil || len(found) == 0 {
		return err
	}
	return s.write(ctx, func(tx *database.Tx) error {
		users, err := s.configuredUsers(ctx, tx, list)
		if err != nil || len(users) == 0 {
			return err
		}
		ids := make([]string, len(users))
		for i, u := range users {
			ids[i] = u.ID
		}
		in, args := in(ids)
		if _, err := tx.Exec(ctx, "UPDATE users SET admin = 1 WHERE id IN "+in, args...); err != nil {
			return fmt.Errorf("make administrators: %w", err)
		}
		for _, u := range users {
			if err := s.record(ctx, tx, "users.write", object(u), u.Name+": made administrator by the configuration"); err != nil {
				return err
			}
		}
		return nil
	})
}

// configuredUsers gives those whom the list names and who are no administrators yet.
func (s *Service) configuredUsers(ctx context.Context, q database.Querier, list []string) ([]User, error) {
	names, args := in(list)
	var found []User
	err := each(ctx, q, func(rows database.Rows) error {
		u, err := scanUser(rows)
		if err != nil {
			return err
		}
		found = append(found, u)
		return nil
	}, "SELECT "+userColumns+" FROM users u WHERE (u.issuer || '|' || u.subject) IN "+names+" OR u.name IN "+names+" ORDER BY u.id", append(args, args...)...)
	if err != nil {
		return nil, fmt.Errorf("look up the configured administrators: %w", err)
	}
	namesakes := make(map[string]int)
	for _, u := range found {
		namesakes[u.Name]++
	}
	var users []User
	for _, u := range found {
		switch how := s.configuredAdmin(u.Issuer, u.Subject, u.Name); {
		case how == notConfigured, u.Admin:
		case how == configuredByName && namesakes[u.Name] > 1:
			s.log.Warn("several users have the name of a configured administrator; none became one by it", "name", u.Name)
		default:
			users = append(users, u)
		}
	}
	return users, nil
}
