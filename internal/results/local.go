package results

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"lodge/internal/access"
	"lodge/internal/audit"
	"lodge/internal/database"
	"lodge/internal/fault"
)

// draft is a stored object that no row speaks of yet.
type draft struct {
	storedFile
	key string // of the object, "" when there is none
}

// receive keeps the file of a form under the key that the id gives. Of several files the last stays.
// check may refuse the form as soon as the file begins.
func (s *Service) receive(ctx context.Context, kind string, key func(id string) string, check func(form, part) error) (*draft, func(form, part) error) {
	d := &draft{}
	return d, func(f form, p part) error {
		if err := check(f, p); err != nil {
			return err
		}
		id, err := newID()
		if err != nil {
			return err
		}
		s.discard(ctx, d.key)
		d.key = ""
		info, err := s.keep(ctx, key(id), p.body)
		if err != nil {
			return err
		}
		d.key = info.Key
		d.storedFile = storedFile{
			ID: id, Kind: kind, Key: info.Key, Filename: p.filename, ContentType: p.contentType, Size: info.Size, SHA256: info.SHA256,
			Created: s.now(),
		}
		return nil
	}
}

// checkName refuses file names that do not fit into the tables, before the file is stored.
func checkName(filename string, limit int) error {
	if n := utf8.RuneCountInString(filename); n > limit {
		return fault.New(fault.Invalid, "The file name has %d characters, %d is the most", n, limit)
	}
	if strings.ContainsRune(filename, 0) {
		return fault.New(fault.Invalid, "The file name contains a zero byte")
	}
	return nil
}

const (
	maxFilename   = 1000
	maxTaggedName = 255 // the column is the original's
	unnamed       = "data.bin"
)

// storeLocal makes a stored object a local result of the actor's project: its rows in one transaction.
func (s *Service) storeLocal(ctx context.Context, who actor, d *draft, tag *string) error {
	d.Project, d.Client = who.project, who.name
	err := s.store.db.Tx(ctx, func(tx *database.Tx) error {
		if err := s.store.insertFile(ctx, tx, d.storedFile); err != nil {
			return err
		}
		if tag != nil {
			if err := s.store.tagObject(ctx, tx, *tag, who.project, who.name, d.ID, nameOr(d.Filename, unnamed)); err != nil {
				return err
			}
		}
		return s.audit.Record(ctx, tx, audit.Entry{
			Action: string(Write), Group: who.project, Object: "local/" + d.ID, Outcome: audit.Allowed, Rule: who.rule, Detail: detail(d.storedFile, tag),
		})
	})
	if err != nil {
		return fmt.Errorf("store local result: %w", err)
	}
	d.key = "" // the rows speak of it
	s.cfg.Changed("files", who.project, d.ID)
	return nil
}

func detail(f storedFile, tag *string) string {
	text := fmt.Sprintf("file %q, %d bytes, sha256 %s", f.Filename, f.Size, f.SHA256)
	if tag != nil {
		text += ", tag " + *tag
	}
	return text
}

func nameOr(name, otherwise string) string {
	if name == "" {
		return otherwise
	}
	return name
}

// findLocal finds a local result that the caller may read. What they may not see does not exist.
func (s *Service) findLocal(ctx context.Context, action access.Action, id, project string) (storedFile, actor, error) {
	missing := fault.New(fault.Missing, "Object with ID %s does not exist", id)
	who, err := s.identify(ctx)
	if err != nil {
		return storedFile{}, actor{}, err
	}
	var unknown error
	if who.isAnalysis {
		var own string
		if own, unknown = s.projectOf(ctx, who.analysis); unknown == nil {
			ctx = asAnalysis(ctx, own)
			if project == "" {
				project = own
			}
		}
	}
	f, err := s.store.file(ctx, s.store.db, kindLocal, id)
	switch {
	case err == nil:
		rule, err := s.require(ctx, action, f.Project, "local/"+id)
		if unknown != nil && fault.Is(err, fault.Denied) {
			return storedFile{}, actor{}, unknown
		}
		return f, actor{who, f.Project, rule}, hide(err, "Object with ID %s does not exist", id)
	case !errors.Is(err, errNoRow):
		return storedFile{}, actor{}, err
	case unknown != nil && project == "":
		return storedFile{}, actor{}, unknown
	case project == "":
		return storedFile{}, actor{}, missing
	}
	rule, err := s.require(ctx, action, project, "local/"+id)
	if err != nil {
		return storedFile{}, actor{}, hide(err, "Object with ID %s does not exist", id)
	}
	f, err = s.findOlder(ctx, who, project, id)
	return f, actor{who, project, rule}, err
}

// findOlder finds an object without a row, as the service stored them that this part replaces: under
// the project, or until its 0.1.3 under the analysis.
func (s *Service) findOlder(ctx context.Context, who caller, project, id string) (storedFile, error) {
	keys := []string{localKey(project, id)}
	if client, ok := parseUUID(who.analysis); ok {
		keys = append(keys, localKey(client, id))
	}
	for _, key := range keys {
		if isOwnID(id) {
			break // one of our own without a row was deleted, or never finished
		}
		body, info, err := s.bucket.Get(ctx, key, 0, 0)
		if fault.Is(err, fault.Missing) {
			continue
		}
		if err == nil {
			err = body.Close()
		}
		if err != nil {
			return storedFile{}, storeFault(err)
		}
		return storedFile{ID: id, Kind: kindLocal, Project: project, Client: who.name, Key: key, Size: info.Size}, nil
	}
	return storedFile{}, fault.New(fault.Missing, "Object with ID %s does not exist", id)
}

// deleteProject removes all local results of a project that the hub no longer has: first the rows, in
// one transaction, then the objects. Doing it again finishes what was interrupted.
func (s *Service) deleteProject(ctx context.Context, project string) error {
	who, err := s.identify(ctx)
	if err != nil {
		return err
	}
	id := canonicalOr(project)
	rule := "hub adapter"
	if !who.isAnalysis || who.analysis != s.cfg.HubAdapterClientID {
		if rule, err = s.require(ctx, Delete, id, "local/"+id); err != nil {
			if fault.Is(err, fault.Denied) {
				err = fault.Wrap(err, fault.Denied, "Only the Hub Adapter client is allowed to delete local results, got client ID '%s'.", who.name)
			}
			return err
		}
	}
	if s.hub != nil {
		_, err := s.hub.Project(ctx, id)
		if err == nil {
			return fault.New(fault.Invalid, "Project '%s' will not be deleted because it is still available on the Hub.", project)
		}
		if !fault.Is(err, fault.Missing) {
			return hubFault(err)
		}
	}
	err = s.store.db.Tx(ctx, func(tx *database.Tx) error {
		files, err := s.store.deleteProject(ctx, tx, id)
		if err != nil {
			return err
		}
		return s.audit.Record(ctx, tx, audit.Entry{
			Action: string(Delete), Group: id, Object: "local/" + id, Outcome: audit.Allowed, Rule: rule, Detail: fmt.Sprintf("%d files", files),
		})
	})
	if err != nil {
		return fmt.Errorf("delete project: %w", err)
	}
	s.cfg.Changed("files", id, "")
	for info, err := range s.bucket.List(ctx, localPrefix(id)) {
		if err == nil {
			err = s.bucket.Delete(ctx, info.Key)
		}
		if err != nil {
			return storeFault(err)
		}
	}
	return nil
}

// deleteLocal removes one local result.
func (s *Service) deleteLocal(ctx context.Context, id string) error {
	f, who, err := s.findLocal(ctx, Read, id, "")
	if err != nil {
		return err
	}
	if who.rule, err = s.require(ctx, Delete, f.Project, "local/"+id); err != nil {
		return err
	}
	err = s.store.db.Tx(ctx, func(tx *database.Tx) error {
		if err := s.store.deleteLocal(ctx, tx, f); err != nil {
			return err
		}
		return s.audit.Record(ctx, tx, audit.Entry{
			Action: string(Delete), Group: f.Project, Object: "local/" + id, Outcome: audit.Allowed, Rule: who.rule, Detail: detail(f, nil),
		})
	})
	if err != nil {
		return fmt.Errorf("delete local result: %w", err)
	}
	s.discard(ctx, f.Key)
	s.cfg.Changed("files", f.Project, id)
	return nil
}
