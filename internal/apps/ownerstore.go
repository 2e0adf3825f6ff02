package apps

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lodge/internal/database"
)

const ownerColumns = "user_id, slug, issuer, subject, name, email"

func scanOwner(row interface{ Scan(...any) error }) (Owner, error) {
	var o Owner
	err := row.Scan(&o.ID, &o.Slug, &o.Issuer, &o.Subject, &o.Name, &o.Email)
	if errors.Is(err, sql.ErrNoRows) {
		return Owner{}, errNoRow
	}
	return o, err
}

func (st *store) owner(ctx context.Context, q database.Querier, id string) (Owner, error) {
	return scanOwner(q.QueryRow(ctx, "SELECT "+ownerColumns+" FROM app_owners WHERE user_id = ?", id))
}

// owners finds those of the ids who are known.
func (st *store) owners(ctx context.Context, q database.Querier, ids []string) (map[string]Owner, error) {
	found := make(map[string]Owner, len(ids))
	for some := range slices.Chunk(ids, 500) {
		args := make([]any, len(some))
		for i, id := range some {
			args[i] = id
		}
		rows, err := q.Query(ctx, "SELECT "+ownerColumns+" FROM app_owners WHERE user_id IN (?"+strings.Repeat(", ?", len(some)-1)+")", args...)
		list, err := database.Collect(rows, err, func(rows *sql.Rows) (Owner, error) { return scanOwner(rows) })
		if err != nil {
			return nil, err
		}
		for _, o := range list {
			found[o.ID] = o
		}
	}
	return found, nil
}

func (st *store) ownerBySlug(ctx context.Context, q database.Querier, slug string) (Owner, error) {
	return scanOwner(q.QueryRow(ctx, "SELECT "+ownerColumns+" FROM app_owners WHERE slug = ?", slug))
}

// ensureOwner gives somebody their slug at the first sight, and keeps their name up to date.
func (st *store) ensureOwner(ctx context.Context, o Owner, now time.Time) (Owner, error) {
	for range 10 {
		known, err := st.owner(ctx, st.db, o.ID)
		if err == nil {
			o.Slug = known.Slug
			if known != o {
				_, err = st.db.Exec(ctx, "UPDATE app_owners SET issuer = ?, subject = ?, name = ?, email = ? WHERE user_id = ?", o.Issuer, o.Subject, clip(o.Name, 255), clip(o.Email, 255), o.ID)
			}
			return o, err
		}
		if !errors.Is(err, errNoRow) {
			return Owner{}, err
		}
		for _, slug := range slugs(o.Name, o.Issuer, o.Subject) {
			_, err = st.db.Exec(ctx, "INSERT INTO app_owners ("+ownerColumns+", created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
				o.ID, slug, o.Issuer, o.Subject, clip(o.Name, 255), clip(o.Email, 255), micros(now))
			if err == nil {
				o.Slug = slug
				return o, nil
			}
			if !database.IsDuplicate(err) {
				return Owner{}, err
			}
			// Either the slug is taken, or another request entered this person just now.
			if known, err := st.owner(ctx, st.db, o.ID); err == nil {
				o.Slug = known.Slug
				return o, nil
			}
		}
	}
	return Owner{}, fmt.Errorf("no slug is free for %s", o.ID)
}
