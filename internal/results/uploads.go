package results

import (
	"context"
	"errors"
	"fmt"

	"lodge/internal/access"
	"lodge/internal/audit"
	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/work"
)

// visible is which projects the caller may do the action on, an analysis's own included.
func (s *Service) visible(ctx context.Context, action access.Action) (caller, scope, error) {
	who, err := s.identify(ctx)
	if err != nil {
		return who, scope{}, err
	}
	if who.isAnalysis {
		project, err := s.projectFor(ctx, action, who.analysis)
		if err != nil && !fault.Is(err, fault.Missing) {
			return who, scope{}, err
		}
		if project != "" {
			ctx = asAnalysis(ctx, project)
		}
	}
	groups, all, err := s.access.Groups(ctx, action)
	return who, scope{groups, all}, err
}

// projectFor is the project whose lists an analysis sees. Those of uploads do not wait for the hub: what
// they wait for must be seen while it is away, and an analysis sees its own uploads in any case.
func (s *Service) projectFor(ctx context.Context, action access.Action, analysis string) (string, error) {
	if action == ReadUploads {
		return s.projectNow(ctx, analysis)
	}
	return s.projectOf(ctx, analysis)
}

// findUpload finds an upload that the caller may see: its own analysis's, or one of a project that it
// may see uploads of.
func (s *Service) findUpload(ctx context.Context, id string) (upload, error) {
	missing := fault.New(fault.Missing, "Upload with ID %s does not exist", id)
	who, err := s.identify(ctx)
	if err != nil {
		return upload{}, err
	}
	u, err := s.store.upload(ctx, s.store.db, id)
	if errors.Is(err, errNoRow) {
		return upload{}, missing
	}
	if err != nil {
		return upload{}, err
	}
	if who.isAnalysis && canonicalOr(who.analysis) == u.Analysis {
		return u, nil
	}
	_, err = s.require(ctx, ReadUploads, u.Project, "uploads/"+id)
	return u, hide(err, "Upload with ID %s does not exist", id)
}

// retryUpload makes the next attempt due now, also of an upload that was set aside.
func (s *Service) retryUpload(ctx context.Context, id string) (upload, error) {
	u, err := s.findUpload(ctx, id)
	if err != nil {
		return upload{}, err
	}
	rule, err := s.require(ctx, WriteUploads, u.Project, "uploads/"+id)
	if err != nil {
		return upload{}, err
	}
	if u.State() == stateDelivered {
		return upload{}, fault.New(fault.Conflict, "The upload has been delivered already")
	}
	if u.State() == stateSending {
		return upload{}, fault.New(fault.Conflict, "The upload is being sent right now")
	}
	err = s.store.db.Tx(ctx, func(tx *database.Tx) error {
		retry := s.queue.Retry
		if u.WorkState == "" {
			retry = func(ctx context.Context, tx *database.Tx, kind, id string) error {
				return s.queue.Add(ctx, tx, kind, id, s.now())
			}
		}
		if err := retry(ctx, tx, uploadKind, id); err != nil {
			return err
		}
		return s.audit.Record(ctx, tx, audit.Entry{
			Action: string(WriteUploads), Group: nameOr(u.Project, string(access.Site)), Object: "uploads/" + id,
			Outcome: audit.Allowed, Rule: rule, Detail: "retry",
		})
	})
	if err != nil {
		return upload{}, fmt.Errorf("retry upload: %w", err)
	}
	s.queue.Wake(uploadKind)
	s.cfg.Changed("uploads", u.Project, id)
	return s.store.upload(ctx, s.store.db, id)
}

// deleteUpload takes an upload out of the queue, with its file.
func (s *Service) deleteUpload(ctx context.Context, id string) error {
	u, err := s.findUpload(ctx, id)
	if err != nil {
		return err
	}
	rule, err := s.require(ctx, WriteUploads, u.Project, "uploads/"+id)
	if err != nil {
		return err
	}
	if u.WorkState == work.Running && u.Delivered == nil {
		return fault.New(fault.Conflict, "The upload is being sent right now; try again in a moment")
	}
	return s.removeUpload(ctx, id, rule, "removed in state "+string(u.State()))
}

// removeUpload removes an upload with its work, its file and its object. One that is gone is no error.
func (s *Service) removeUpload(ctx context.Context, id, rule, why string) error {
	var u upload
	var file storedFile
	found := false
	err := s.store.db.Tx(ctx, func(tx *database.Tx) error {
		found = false
		var err error
		if u, err = s.store.upload(ctx, tx, id); errors.Is(err, errNoRow) {
			return nil
		} else if err != nil {
			return err
		}
		found = true
		if file, err = s.store.file(ctx, tx, kindFinal, u.FileID); err != nil && !errors.Is(err, errNoRow) {
			return err
		}
		if err := s.queue.Remove(ctx, tx, uploadKind, id); err != nil {
			return err
		}
		if err := s.store.deleteUpload(ctx, tx, id); err != nil {
			return err
		}
		if err := s.store.deleteFile(ctx, tx, u.FileID); err != nil {
			return err
		}
		return s.audit.Record(ctx, tx, audit.Entry{
			Action: string(WriteUploads), Group: nameOr(u.Project, string(access.Site)), Object: "uploads/" + id,
			Outcome: audit.Allowed, Rule: rule, Detail: why,
		})
	})
	if err != nil {
		return fmt.Errorf("remove upload: %w", err)
	}
	if found {
		s.discard(ctx, file.Key)
		s.cfg.Changed("uploads", u.Project, id)
	}
	return nil
}
