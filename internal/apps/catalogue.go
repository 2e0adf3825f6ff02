package apps

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"lodge/internal/access"
	"lodge/internal/audit"
	"lodge/internal/database"
	"lodge/internal/fault"
)

// Entry is an app with where it stands.
type Entry struct {
	App
	// Version is 0 for entries of the configuration, which the API cannot change.
	Version int64
}

// entries is the catalogue: the configuration's, and those of the database where the configuration
// has none of the name. It is at most a second old.
type entries struct {
	service *Service
	mu      sync.Mutex
	read    time.Time
	stored  map[AppID]Entry
	fixed   map[AppID]Entry
}

const entriesAge = time.Second

func newEntries(s *Service) *entries {
	e := &entries{service: s, fixed: map[AppID]Entry{}}
	for _, a := range s.cfg.Catalogue {
		e.fixed[a.ID] = Entry{App: a}
	}
	return e
}

func (e *entries) all(ctx context.Context) (map[AppID]Entry, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.service.now()
	if e.stored == nil || now.Sub(e.read) > entriesAge {
		stored, err := e.service.store.entries(ctx)
		if err != nil {
			return nil, err
		}
		for id, one := range e.fixed {
			stored[id] = one
		}
		e.stored, e.read = stored, now
	}
	return e.stored, nil
}

func (e *entries) stale() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stored = nil
}

// entry gives an app of the catalogue, or something missing.
func (s *Service) entry(ctx context.Context, id AppID) (App, error) {
	all, err := s.entries.all(ctx)
	if err != nil {
		return App{}, err
	}
	one, ok := all[id]
	if !ok {
		return App{}, errHidden
	}
	return one.App, nil
}

// Apps lists the entries that the caller may see, by id.
func (s *Service) Apps(ctx context.Context) ([]Entry, error) {
	all, err := s.entries.all(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]Entry, 0, len(all))
	for _, one := range all {
		if s.mayList(ctx, one.App) {
			list = append(list, one)
		}
	}
	slices.SortFunc(list, func(a, b Entry) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return list, nil
}

func (s *Service) mayList(ctx context.Context, a App) bool {
	if _, err := s.may(ctx, List, a); err == nil {
		return true
	}
	_, err := s.access.Require(ctx, Admin, a.Group)
	return err == nil
}

// mayPutApp says whether the caller may write this entry, and gives what it would replace: Version 0
// says that there is none yet.
func (s *Service) mayPutApp(ctx context.Context, a App) (known Entry, err error) {
	if _, fixed := s.entries.fixed[a.ID]; fixed {
		return Entry{}, fault.New(fault.Conflict, "this app stands in the configuration and is changed there")
	}
	if _, err := s.access.Require(ctx, Admin, a.Group); err != nil {
		return Entry{}, err
	}
	if _, err := s.driver(a.Driver); err != nil {
		return Entry{}, entryFault(&specError{[]finding{{"driver", err.Error()}}})
	}
	if c := access.CallerFrom(ctx); !c.Admin {
		if why := s.needsAdministrator(a); why != "" {
			return Entry{}, &fault.Error{Kind: fault.Denied, Permission: "administrator", Detail: "only an administrator of the site may make an app with " + why}
		}
	}
	known, err = s.store.entry(ctx, s.store.db, a.ID)
	if errors.Is(err, errNoRow) {
		return Entry{}, nil
	}
	if err != nil {
		return Entry{}, err
	}
	// Whoever looks after one group must not take an app from another.
	if _, err := s.access.Require(ctx, Admin, known.Group); err != nil {
		return Entry{}, hidden(err)
	}
	return known, nil
}

// PutApp makes or changes an entry. expect is the version that it must have: 0 for a new one, -1 for any.
func (s *Service) PutApp(ctx context.Context, a App, expect int64) (one Entry, created bool, err error) {
	known, err := s.mayPutApp(ctx, a)
	if err != nil {
		return Entry{}, false, err
	}
	d, err := s.access.Require(ctx, Admin, a.Group)
	if err != nil {
		return Entry{}, false, err
	}
	ctx = access.WithDecision(ctx, d)
	created = known.Version == 0
	err = s.store.db.Tx(ctx, func(tx *database.Tx) error {
		was, err := s.store.entry(ctx, tx, a.ID)
		if err != nil && !errors.Is(err, errNoRow) {
			return err
		}
		if was.Version != known.Version {
			return errChanged // since the permission was looked at
		}
		if expect >= 0 && expect != was.Version {
			return errChanged
		}
		one = Entry{App: a, Version: was.Version + 1}
		if err := s.store.putEntry(ctx, tx, one, s.now()); err != nil {
			return err
		}
		return s.audit.Record(ctx, tx, audit.Entry{Action: string(Admin), Group: string(a.Group), Object: "app " + string(a.ID), Detail: "entry " + a.hash() + " written"})
	})
	s.entries.stale()
	if err == nil {
		s.cfg.Changed("catalogue")
	}
	return one, created, err
}

// errChanged is the answer to a change of something that is not any more what was read.
var errChanged = fault.New(fault.Conflict, "the entry has changed since you read it")

// needsAdministrator names what gives an entry power over the machine, not only over the group.
func (s *Service) needsAdministrator(a App) string {
	switch {
	case cmp.Or(a.Driver, s.cfg.Driver) == "process":
		return "the process driver: it runs commands as Lodge's own user"
	case a.Trusted:
		return "trusted: it would share an origin with Lodge"
	case a.Security.AllowRoot || a.Security.RunAs == "image" || len(a.Security.CapAdd) > 0 || a.Security.Runtime != "":
		return "further rights in its container"
	case a.Security.Egress == "all":
		return "egress to private networks"
	case len(a.SecretEnv) > 0:
		return "secrets from files"
	case slices.ContainsFunc(a.Volumes, func(v Volume) bool { return v.Source != "" }):
		return "folders of the machine"
	}
	return ""
}

// DeleteApp takes an entry out. What runs of it goes on.
func (s *Service) DeleteApp(ctx context.Context, id AppID) error {
	if _, fixed := s.entries.fixed[id]; fixed {
		return fault.New(fault.Conflict, "this app stands in the configuration and is changed there")
	}
	was, err := s.store.entry(ctx, s.store.db, id)
	if err != nil {
		return missing(err)
	}
	d, err := s.access.Require(ctx, Admin, was.Group)
	if err != nil {
		return hidden(err)
	}
	err = s.store.db.Tx(ctx, func(tx *database.Tx) error {
		result, err := tx.Exec(ctx, "DELETE FROM app_entries WHERE id = ? AND version = ?", string(id), was.Version)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, errChanged)
		}
		return s.audit.Record(access.WithDecision(ctx, d), tx, audit.Entry{Action: string(Admin), Group: string(was.Group), Object: "app " + string(id), Detail: "entry deleted"})
	})
	s.entries.stale()
	if err == nil {
		s.cfg.Changed("catalogue")
	}
	return err
}

func (st *store) entries(ctx context.Context) (map[AppID]Entry, error) {
	rows, err := st.db.Query(ctx, "SELECT entry, version FROM app_entries")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	all := map[AppID]Entry{}
	for rows.Next() {
		var text string
		var one Entry
		if err := rows.Scan(&text, &one.Version); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(text), &one.App); err != nil {
			continue // one poisoned row must not take the catalogue away
		}
		all[one.ID] = one
	}
	return all, rows.Err()
}

func (st *store) entry(ctx context.Context, q database.Querier, id AppID) (Entry, error) {
	var text string
	var one Entry
	err := q.QueryRow(ctx, "SELECT entry, version FROM app_entries WHERE id = ?", string(id)).Scan(&text, &one.Version)
	if errors.Is(err, sql.ErrNoRows) {
		return Entry{}, errNoRow
	}
	if err != nil {
		return Entry{}, err
	}
	if err := json.Unmarshal([]byte(text), &one.App); err != nil {
		return Entry{}, fmt.Errorf("app %s: %w", id, err)
	}
	return one, nil
}

func (st *store) putEntry(ctx context.Context, tx *database.Tx, one Entry, now time.Time) error {
	text, err := json.Marshal(one.App)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, database.Upsert(st.db.Dialect(), "app_entries", []string{"id"}, []string{"entry", "version", "updated_at"}),
		string(one.ID), string(text), one.Version, micros(now))
	return err
}
