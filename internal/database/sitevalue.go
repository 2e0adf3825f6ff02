package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// SiteValue gives a value that every replica shares, such as the site's key; empty when there is none.
func (db *DB) SiteValue(ctx context.Context, name string) (value string, err error) {
	err = db.QueryRow(ctx, "SELECT value FROM site_values WHERE name = ?", name).Scan(&value)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read the site value %s: %w", name, err)
	}
	return value, nil
}

// EnsureSiteValue stores a value that is not there yet, and gives the one that is: another replica
// may have been quicker.
func (db *DB) EnsureSiteValue(ctx context.Context, name, value string, now time.Time) (string, error) {
	_, err := db.Exec(ctx, "INSERT INTO site_values (name, value, created_at) VALUES (?, ?, ?)", name, value, Micros(now))
	if err != nil && !IsDuplicate(err) {
		return "", fmt.Errorf("store the site value %s: %w", name, err)
	}
	return db.SiteValue(ctx, name)
}
