package workflows

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"

	"lodge/internal/access"
	"lodge/internal/database"
	"lodge/internal/fault"
)

// ReadRoles reads the roles of a workspace: a flat list is one alternative.
func ReadRoles(text string) ([][]string, error) {
	roles, err := readRoles(json.RawMessage(text))
	if err != nil {
		return nil, err
	}
	return cleanRoles(roles)
}

// followed is the site's value that says that its workspaces are where the places are.
const followed = "workflows.followed"

// follower is in whose name the database follows.
const follower = "cluster"

// FollowWorkspaces makes the database's workspaces those of the places. What is in a workspace that
// vanishes stays, out of everybody's reach, until it comes back. The first time, workspaces that the
// database has get places.
func (s *Service) FollowWorkspaces(ctx context.Context, there []Workspace) error {
	have, err := s.store.workspaces(ctx, s.db)
	if err != nil {
		return err
	}
	want := map[string]Workspace{}
	for _, w := range there {
		if !workspaceName.MatchString(w.Name) || slices.Contains(reserved, w.Name) {
			s.log.WarnContext(ctx, "a place makes no workspace: its name has another meaning here", "name", w.Name)
			continue
		}
		want[w.Name] = w
	}
	done, err := s.db.SiteValue(ctx, followed)
	if err != nil {
		return err
	}
	if done == "" {
		if err := s.settle(ctx, have, want); err != nil {
			return err
		}
	}
	ctx = access.WithCaller(ctx, &access.Caller{Name: follower})
	var failures []error
	for _, w := range have {
		next, stays := want[w.Name]
		delete(want, w.Name)
		if !stays {
			failures = append(failures, s.followed(ctx, w.Name, "it has no place any more", func(tx *database.Tx) error {
				_, err := tx.Exec(ctx, "DELETE FROM wf_workspaces WHERE name = ?", w.Name)
				return err
			}))
		} else if next.Labels = w.Labels; !w.same(next) {
			failures = append(failures, s.followed(ctx, w.Name, "edited in its place", func(tx *database.Tx) error {
				return s.store.putWorkspace(ctx, tx, next, s.now())
			}))
		}
	}
	for name, w := range want {
		failures = append(failures, s.followed(ctx, name, "found in its place", func(tx *database.Tx) error {
			return s.store.putWorkspace(ctx, tx, w, s.now())
		}))
	}
	return errors.Join(failures...)
}

func (w Workspace) same(other Workspace) bool {
	return w.Description == other.Description && w.Hidden == other.Hidden && reflect.DeepEqual(w.Roles, other.Roles)
}

func (s *Service) followed(ctx context.Context, name, how string, change func(tx *database.Tx) error) error {
	err := s.db.Tx(ctx, func(tx *database.Tx) error {
		if err := change(tx); err != nil {
			return err
		}
		return s.record(ctx, tx, WriteWorkspace, name, name, how)
	})
	if err == nil {
		s.cfg.Changed("workspaces")
	}
	return err
}

// settle gives workspaces places that have none yet.
func (s *Service) settle(ctx context.Context, have []Workspace, want map[string]Workspace) error {
	for _, w := range have {
		if _, there := want[w.Name]; there {
			continue
		}
		err := s.cfg.Places.CreateWorkspace(ctx, w)
		if fault.Is(err, fault.Conflict) || fault.Is(err, fault.Invalid) {
			s.log.WarnContext(ctx, "a workspace is out of reach: it got no place", "workspace", w.Name, "error", err)
			continue
		}
		if err != nil {
			return err
		}
		want[w.Name] = w
	}
	_, err := s.db.EnsureSiteValue(ctx, followed, "yes", s.now())
	return err
}

// secretKeys lists a workspace's secrets by name.
func (s *Service) secretKeys(ctx context.Context, workspace string) ([]string, error) {
	if s.cfg.Places != nil {
		return s.cfg.Places.SecretNames(ctx, workspace)
	}
	return s.store.secretNames(ctx, s.db, workspace)
}
