package workflows

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"lodge/internal/access"
	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/workflows/spec"
)

// author is the caller as documents name them.
func author(ctx context.Context) spec.ModifiedBy {
	c := access.CallerFrom(ctx)
	if c == nil {
		return spec.ModifiedBy{}
	}
	by := spec.ModifiedBy{OID: c.UserID, Email: emailOf(c)}
	if oid, ok := c.Claims["oid"].(string); ok && oid != "" {
		by.OID = oid
	}
	if by.OID == "" {
		by.OID = c.Subject
	}
	by.OID, by.Email = clipTo(by.OID, 255), clipTo(by.Email, 255)
	return by
}

func clipTo(text string, limit int) string {
	if r := []rune(text); len(r) > limit {
		return string(r[:limit])
	}
	return text
}

// InvalidError is a document with findings.
type InvalidError struct{ Findings spec.Findings }

// Error is every finding, one a line.
func (e *InvalidError) Error() string { return e.Findings.String() }

// invalid makes findings an error of the kind; nil for none.
func invalid(f spec.Findings) error {
	if len(f) == 0 {
		return nil
	}
	return fault.Wrap(&InvalidError{f}, fault.Invalid, "%s", f)
}

// gather loads what a document refers to.
func (s *Service) gather(ctx context.Context, q database.Querier, c *spec.Component) (*spec.Library, error) {
	lib, err := spec.Gather(c, func(r spec.CRefVersion) (*spec.Component, error) {
		d, err := s.store.version(ctx, q, kindComponent, r.UID, r.Version)
		if errors.Is(err, errNoRow) {
			return nil, nil //nolint:nilnil // what is missing is a finding, and no failure
		}
		return d.component, err
	})
	if errors.Is(err, spec.ErrLibraryTooLarge) {
		return nil, fault.Wrap(err, fault.Invalid, "%s", spec.ErrLibraryTooLarge)
	}
	return lib, err
}

// check finds what is wrong with a document.
func (s *Service) check(ctx context.Context, d document) (spec.Findings, error) {
	lib, err := s.gather(ctx, s.db, d.root())
	if err != nil {
		return nil, err
	}
	if d.workflow != nil {
		return spec.CheckWorkflow(d.workflow, lib), nil
	}
	return spec.Check(d.component, lib), nil
}

// allowed asks whether the caller may do this with a document. Components belong to everybody who
// is known, as the original has it; only deleting is for their authors and for those permitted.
func (s *Service) allowed(ctx context.Context, action access.Action, d document) (context.Context, error) {
	if d.kind == kindWorkflow {
		return s.requireObject(ctx, action, d.workspace(), d.kind+" "+d.meta().UID.String())
	}
	if access.CallerFrom(ctx) == nil {
		return ctx, fault.New(fault.Unauthenticated, "log in first")
	}
	if by := author(ctx); action != Delete || by.OID != "" && d.meta().ModifiedBy.OID == by.OID {
		return access.WithDecision(ctx, access.Decision{Allowed: true, Rule: "components are everybody's, and their authors may delete them"}), nil
	}
	return s.require(ctx, DeleteComponents, "", "component "+d.meta().UID.String())
}

// create stores a document's first version, which gets its uid here.
func (s *Service) create(ctx context.Context, d document) (document, error) {
	m := d.meta()
	if m.UID != uuid.Nil {
		return d, fault.New(fault.Invalid, "a new %s gets its uid from the server: leave it out", d.kind)
	}
	if m.Version.Current > 1 {
		return d, fault.New(fault.Invalid, "a new %s begins with version 1", d.kind)
	}
	if d.kind == kindWorkflow {
		if d.workspace() == "" {
			return d, fault.New(fault.Invalid, "name the workspace that the workflow belongs to")
		}
		var err error
		if ctx, err = s.require(ctx, Write, d.workspace(), "workflow"); err != nil {
			return d, err
		}
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return d, err
	}
	m.UID, m.ModifiedBy, m.Timestamp = id, author(ctx), spec.At(s.now())
	m.Version = spec.Version{Current: 1, Tags: withLatest(m.Version.Tags)}
	return d, s.db.Tx(ctx, func(tx *database.Tx) error {
		if err := s.store.firstNumber(ctx, tx, d.kind, id); err != nil {
			return err
		}
		if err := s.store.insertVersion(ctx, tx, d); err != nil {
			return err
		}
		return s.recordDocument(ctx, tx, Write, d, "created")
	})
}

func (s *Service) recordDocument(ctx context.Context, tx *database.Tx, action access.Action, d document, what string) error {
	group := d.workspace()
	if group == "" {
		group = string(access.Site)
	}
	return s.record(ctx, tx, action, group, d.kind+" "+d.meta().UID.String(), fmt.Sprintf("%s version %d", what, d.meta().Version.Current))
}

// withLatest are the client's tags with latest at their end: that one is the server's.
func withLatest(tags []string) []string {
	var all []string
	seen := map[string]bool{spec.Latest: true}
	for _, t := range tags {
		if !seen[t] {
			seen[t] = true
			all = append(all, t)
		}
	}
	return append(all, spec.Latest)
}

// find reads a version that the caller may do this with. Version 0 is the newest.
func (s *Service) find(ctx context.Context, action access.Action, kind string, id uuid.UUID, version int) (context.Context, document, error) {
	d, err := s.store.version(ctx, s.db, kind, id, version)
	if errors.Is(err, errNoRow) {
		return ctx, d, fault.New(fault.Missing, "not found")
	}
	if err != nil {
		return ctx, d, err
	}
	ctx, err = s.allowed(ctx, action, d)
	return ctx, d, err
}

// publish stores a new version. It must be fit to be published; see spec.Findings.
func (s *Service) publish(ctx context.Context, d document) (document, error) {
	m := d.meta()
	ctx, stored, err := s.find(ctx, Write, d.kind, m.UID, 0)
	if err != nil {
		return d, err
	}
	if err := sameWorkspace(stored, d); err != nil {
		return d, err
	}
	findings, err := s.check(ctx, d)
	if err != nil {
		return d, err
	}
	if err := invalid(findings.KeepFromPublishing().Under("/" + d.kind)); err != nil {
		return d, err
	}
	tags := withLatest(m.Version.Tags)
	return d, s.db.Tx(ctx, func(tx *database.Tx) error {
		next, err := s.store.nextNumber(ctx, tx, d.kind, m.UID)
		if err != nil {
			return err
		}
		previous, err := s.store.newest(ctx, tx, d.kind, m.UID)
		if err != nil {
			return err
		}
		if next == 0 || previous == 0 {
			return fault.New(fault.Missing, "not found")
		}
		m.ModifiedBy, m.Timestamp = author(ctx), spec.At(s.now())
		m.Version = spec.Version{Current: next, Tags: tags, Previous: spec.Previous{Version: previous}}
		if err := s.store.insertVersion(ctx, tx, d); err != nil {
			return err
		}
		if ref, gone, err := s.store.dangling(ctx, tx, d); err != nil {
			return err
		} else if gone {
			return fault.New(fault.Conflict, "the component %s was deleted a moment ago", ref)
		}
		if err := s.store.moveLatest(ctx, tx, d.kind, m.UID, next); err != nil {
			return err
		}
		return s.recordDocument(ctx, tx, Write, d, "published")
	})
}

func sameWorkspace(stored, d document) error {
	if stored.workspace() != d.workspace() {
		return fault.New(fault.Invalid, "a workflow stays in its workspace (%s): create it anew in %s", stored.workspace(), clip(d.workspace()))
	}
	return nil
}

// save writes over the newest version, if the caller has seen it as it is now.
func (s *Service) save(ctx context.Context, d document) (document, error) {
	m := d.meta()
	ctx, stored, err := s.find(ctx, Write, d.kind, m.UID, 0)
	if err != nil {
		return d, err
	}
	if err := sameWorkspace(stored, d); err != nil {
		return d, err
	}
	seen, sent := m.Timestamp, m.Version
	if newest := stored.meta().Version.Current; sent.Current != newest {
		return d, fault.New(fault.Conflict, "newer document exists: version %d is the newest, and %d cannot be changed any more", newest, sent.Current)
	}
	return d, s.db.Tx(ctx, func(tx *database.Tx) error {
		if err := s.store.lockNumber(ctx, tx, d.kind, m.UID); err != nil {
			return err
		}
		now, err := s.store.version(ctx, tx, d.kind, m.UID, 0)
		if errors.Is(err, errNoRow) {
			return fault.New(fault.Missing, "not found")
		}
		if err != nil {
			return err
		}
		old := now.meta()
		if !old.Timestamp.Equal(seen.Time) || old.Version.Current != sent.Current {
			return fault.New(fault.Conflict, "newer document exists: %s wrote version %d at %s; it differs from yours in %s",
				whoOf(old.ModifiedBy), old.Version.Current, old.Timestamp.Format("2006-01-02T15:04:05.000Z07:00"), strings.Join(differences(now, d), ", "))
		}
		m.ModifiedBy, m.Timestamp = author(ctx), spec.At(s.now())
		if !m.Timestamp.After(old.Timestamp.Time) {
			// Two saves within a millisecond, or a clock that went back: the time is what tells them apart.
			m.Timestamp = spec.At(old.Timestamp.Add(1_000_000))
		}
		m.Version = old.Version
		m.Version.Tags = withLatest(sent.Tags)
		done, err := s.store.updateVersion(ctx, tx, d, old.Timestamp)
		if err != nil {
			return err
		}
		if !done {
			return fault.New(fault.Conflict, "newer document exists")
		}
		return s.recordDocument(ctx, tx, Write, d, "saved")
	})
}

func whoOf(by spec.ModifiedBy) string {
	if by.Email != "" {
		return by.Email
	}
	return by.OID
}

// remove deletes one version, unless something refers to it.
func (s *Service) remove(ctx context.Context, kind string, id uuid.UUID, version int) error {
	ctx, d, err := s.find(ctx, Delete, kind, id, version)
	if err != nil {
		return err
	}
	version = d.meta().Version.Current
	return s.db.Tx(ctx, func(tx *database.Tx) error {
		if err := s.store.lockNumber(ctx, tx, kind, id); err != nil {
			return err
		}
		others, err := number(ctx, tx, "SELECT COUNT(*) FROM wf_versions WHERE kind = ? AND uid = ? AND version <> ?", kind, id.String(), version)
		if err != nil {
			return err
		}
		if kind == kindComponent {
			if err := s.unused(ctx, tx, id, version, others == 0); err != nil {
				return err
			}
		}
		if err := s.store.deleteVersion(ctx, tx, kind, id, version); err != nil {
			return err
		}
		newest, err := s.store.newest(ctx, tx, kind, id)
		if err != nil {
			return err
		}
		if newest > 0 {
			if err := s.store.moveLatest(ctx, tx, kind, id, newest); err != nil {
				return err
			}
		}
		return s.recordDocument(ctx, tx, Delete, d, "deleted")
	})
}

// maxUsers is how many documents a refusal names.
const maxUsers = 10

// unused refuses to delete what is in use, and says by whom, as far as the caller may know.
func (s *Service) unused(ctx context.Context, q database.Querier, id uuid.UUID, version int, last bool) error {
	users, err := s.store.users(ctx, q, id, version, last, maxUsers+1)
	if err != nil || len(users) == 0 {
		return err
	}
	var names []string
	for _, u := range users[:min(len(users), maxUsers)] {
		if u.kind == kindWorkflow {
			if _, err := s.access.Require(ctx, Read, access.Group(u.workspace)); err != nil {
				names = append(names, "a workflow of another workspace")
				continue
			}
		}
		names = append(names, fmt.Sprintf("%s %q (%s version %d)", u.kind, clip(u.name), u.uid, u.version))
	}
	if len(users) > maxUsers {
		names = append(names, "and others")
	}
	return fault.New(fault.Conflict, "version %d of the component is in use by %s", version, strings.Join(names, "; "))
}
