package fleet

import (
	"context"
	"time"

	"lodge/internal/database"
)

// putMap replaces the building map and the list of its images, and gives the objects of images that
// are used no more.
func (s *store) putMap(ctx context.Context, tx *database.Tx, name string, data []byte, images map[string]string, now time.Time) ([]string, error) {
	rows, err := tx.Query(ctx, "SELECT object_key FROM fleet_map_images")
	before, err := collect(rows, err, scanText)
	if err != nil {
		return nil, err
	}
	for _, statement := range []string{"DELETE FROM fleet_map_images", "DELETE FROM fleet_states WHERE kind = 'map'"} {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return nil, err
		}
	}
	if err := s.putState(ctx, tx, thing{kindMap, name}, "", data, now); err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for path, key := range images {
		used[key] = true
		statement := database.InsertAbsent(s.db.Dialect(), "fleet_map_images", []string{"path"}, []string{"object_key", "created_at"})
		if _, err := tx.Exec(ctx, statement, path, key, database.Micros(now)); err != nil {
			return nil, err
		}
	}
	var unused []string
	for _, key := range before {
		if !used[key] {
			unused = append(unused, key)
			used[key] = true
		}
	}
	return unused, nil
}

// mapImage gives the object of an image.
func (s *store) mapImage(ctx context.Context, path string) (string, error) {
	rows, err := s.db.Query(ctx, "SELECT object_key FROM fleet_map_images WHERE path = ?", path)
	return one(rows, err, scanText)
}

// mapVersion tells one stored map from another.
func (s *store) mapVersion(ctx context.Context) (int64, error) {
	rows, err := s.db.Query(ctx, "SELECT updated_at FROM fleet_states WHERE kind = 'map'")
	return one(rows, err, scanNumber)
}
