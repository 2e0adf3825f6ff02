package workflows

import (
	"context"

	"github.com/google/uuid"

	"lodge/internal/access"
	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/workflows/spec"
)

// writeVolumes asks whether the caller may change a workspace's volumes: an administrator of it who
// is a member too.
func (s *Service) writeVolumes(ctx context.Context, workspace, object string) (context.Context, error) {
	ctx, err := s.require(ctx, WriteVolumes, workspace, object)
	if err != nil {
		return ctx, err
	}
	if c := access.CallerFrom(ctx); c != nil && c.Admin {
		return ctx, nil
	}
	return s.require(ctx, Read, workspace, object)
}

// Volumes lists a page of a workspace's volumes.
func (s *Service) Volumes(ctx context.Context, workspace string, limit, offset int) ([]*spec.Volume, int64, error) {
	ctx, err := s.require(ctx, ReadVolumes, workspace, "volumes")
	if err != nil {
		return nil, 0, err
	}
	total, err := number(ctx, s.db, "SELECT COUNT(*) FROM wf_volumes WHERE workspace = ?", workspace)
	if err != nil {
		return nil, 0, err
	}
	list, err := s.store.volumes(ctx, s.db, workspace, limit, offset)
	return list, total, err
}

// Volume finds one volume of a workspace.
func (s *Service) Volume(ctx context.Context, workspace string, id uuid.UUID) (*spec.Volume, error) {
	ctx, err := s.require(ctx, ReadVolumes, workspace, "volume "+id.String())
	if err != nil {
		return nil, err
	}
	return s.store.volume(ctx, s.db, workspace, id)
}

// CreateVolume registers a volume, which gets its uid here.
func (s *Service) CreateVolume(ctx context.Context, v *spec.Volume) error {
	if v.UID != uuid.Nil {
		return fault.New(fault.Invalid, "a new volume gets its uid from the server: leave it out")
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return err
	}
	v.UID = id
	ctx, err = s.writeVolumes(ctx, v.Workspace, "volume")
	if err != nil {
		return err
	}
	return s.db.Tx(ctx, func(tx *database.Tx) error {
		if err := s.store.insertVolume(ctx, tx, v, s.now()); err != nil {
			return err
		}
		return s.record(ctx, tx, WriteVolumes, v.Workspace, "volume "+v.UID.String(), "created")
	})
}

// PutVolume replaces a volume of the workspace, or registers one under the client's uid. One that
// another workspace has is neither.
func (s *Service) PutVolume(ctx context.Context, v *spec.Volume) error {
	if v.UID == uuid.Nil {
		return fault.New(fault.Invalid, "name the volume by its uid")
	}
	ctx, err := s.writeVolumes(ctx, v.Workspace, "volume "+v.UID.String())
	if err != nil {
		return err
	}
	err = s.db.Tx(ctx, func(tx *database.Tx) error {
		there, err := s.store.updateVolume(ctx, tx, v)
		if err == nil && !there {
			err = s.store.insertVolume(ctx, tx, v, s.now())
		}
		if err != nil {
			return err
		}
		return s.record(ctx, tx, WriteVolumes, v.Workspace, "volume "+v.UID.String(), "set")
	})
	if database.IsDuplicate(err) {
		return fault.New(fault.Missing, "there is no volume %s in workspace %s", v.UID, v.Workspace)
	}
	return err
}

// DeleteVolume removes a volume of the workspace.
func (s *Service) DeleteVolume(ctx context.Context, workspace string, id uuid.UUID) error {
	ctx, err := s.writeVolumes(ctx, workspace, "volume "+id.String())
	if err != nil {
		return err
	}
	return s.db.Tx(ctx, func(tx *database.Tx) error {
		there, err := s.store.deleteVolume(ctx, tx, workspace, id)
		if err == nil && !there {
			err = fault.New(fault.Missing, "there is no volume %s in workspace %s", id, clip(workspace))
		}
		if err != nil {
			return err
		}
		return s.record(ctx, tx, WriteVolumes, workspace, "volume "+id.String(), "deleted")
	})
}
