package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"lodge/internal/access"
	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/fleet/fastapi"
	"lodge/internal/httpapi"
)

// TaskFavorite is a task that somebody dispatches often.
type TaskFavorite struct {
	ID                          string          `json:"id"`
	Name                        string          `json:"name"`
	UnixMillisEarliestStartTime int64           `json:"unix_millis_earliest_start_time"`
	Priority                    *fastapi.Object `json:"priority"`
	Category                    string          `json:"category"`
	Description                 *fastapi.Object `json:"description"`
	User                        string          `json:"user"`
	TaskDefinitionID            string          `json:"task_definition_id"`
}

func (s *Service) favoriteRoutes() []httpapi.Route {
	const tag = "Tasks"
	return []httpapi.Route{
		s.route("POST", "/favorite_tasks", access.Self, onSite, s.handlePutFavorite, operation{
			fn: "post_favorite_task", tag: tag, summary: "Save a favorite task", request: struct{ Body TaskFavorite }{}, errors: []int{404},
		}),
		s.route("GET", "/favorite_tasks", access.Self, onSite, s.handleFavorites, operation{
			fn: "get_favorites_tasks", tag: tag, summary: "List your favorite tasks", response: []TaskFavorite{},
		}),
		s.route("DELETE", "/favorite_tasks/{favorite_task_id}", access.Self, onSite, s.handleDeleteFavorite, operation{
			fn: "delete_favorite_task", tag: tag, summary: "Delete a favorite task", request: struct {
				ID string `path:"favorite_task_id"`
			}{}, errors: []int{404},
		}),
	}
}

func noFavorite(id string) error {
	return fault.New(fault.Missing, "Favorite task with id %s does not exists", id)
}

func (s *Service) handlePutFavorite(w http.ResponseWriter, r *http.Request) error {
	q, err := read[struct{ Body TaskFavorite }](r)
	if err != nil {
		return err
	}
	f, ctx := q.Body, r.Context()
	f.User = callerName(ctx)
	if f.Priority != nil && isEmptyObject(*f.Priority) {
		f.Priority = nil
	}
	if f.Description == nil {
		empty := fastapi.Object("{}")
		f.Description = &empty
	}
	if f.ID == "" {
		f.ID = uuid.NewString()
	}
	if !keyable(f.ID) {
		return unprocessable("the id must be a text of at most 255 characters")
	}
	err = s.store.db.Tx(ctx, func(tx *database.Tx) error {
		owner, err := s.store.favoriteOwner(ctx, tx, f.ID)
		if err == nil && owner != callerKey(ctx) {
			return noFavorite(f.ID) // that it exists is its owner's affair
		}
		if err != nil && !errors.Is(err, errNotFound) {
			return err
		}
		if err := s.store.putFavorite(ctx, tx, f, callerKey(ctx), s.now()); err != nil {
			return err
		}
		return s.record(ctx, tx, access.Self, access.Site, "favorite_tasks/"+f.ID, "saved")
	})
	if err != nil {
		return err
	}
	return null(w)
}

func isEmptyObject(o fastapi.Object) bool {
	var fields map[string]json.RawMessage
	return json.Unmarshal(o, &fields) == nil && len(fields) == 0
}

func (s *Service) handleFavorites(w http.ResponseWriter, r *http.Request) error {
	list, err := s.store.favorites(r.Context(), callerKey(r.Context()))
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, list)
}

func (s *Service) handleDeleteFavorite(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("favorite_task_id")
	ctx := r.Context()
	err := s.store.db.Tx(ctx, func(tx *database.Tx) error {
		gone, err := s.store.deleteFavorite(ctx, tx, id, callerKey(ctx))
		if err == nil && !gone {
			err = noFavorite(id)
		}
		if err != nil {
			return err
		}
		return s.record(ctx, tx, access.Self, access.Site, "favorite_tasks/"+id, "deleted")
	})
	if err != nil {
		return err
	}
	return null(w)
}

func (s *store) favoriteOwner(ctx context.Context, q database.Querier, id string) (string, error) {
	rows, err := q.Query(ctx, "SELECT owner FROM fleet_favorites WHERE id = ?", id)
	return one(rows, err, scanText)
}

func (s *store) putFavorite(ctx context.Context, tx *database.Tx, f TaskFavorite, owner string, now time.Time) error {
	_, err := tx.Exec(ctx, database.Upsert(s.db.Dialect(), "fleet_favorites", []string{"id"}, []string{"owner", "data", "created_at"}),
		f.ID, owner, string(document(f)), database.Micros(now))
	return err
}

func (s *store) favorites(ctx context.Context, owner string) ([]json.RawMessage, error) {
	rows, err := s.db.Query(ctx, "SELECT data FROM fleet_favorites WHERE owner = ? ORDER BY created_at, id", owner)
	return collect(rows, err, scanDocument)
}

func (s *store) deleteFavorite(ctx context.Context, tx *database.Tx, id, owner string) (bool, error) {
	done, err := tx.Exec(ctx, "DELETE FROM fleet_favorites WHERE id = ? AND owner = ?", id, owner)
	if err != nil {
		return false, err
	}
	n, err := done.RowsAffected()
	return n > 0, err
}
