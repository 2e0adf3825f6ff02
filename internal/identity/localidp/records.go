package localidp

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"net/url"
	"strings"
	"time"

	"github.com/dexidp/dex/storage"

	"lodge/internal/database"
)

// The kinds of records in the table idp_records.
const (
	kindAuthRequest   = "auth_request"
	kindAuthCode      = "auth_code"
	kindClient        = "client"
	kindRefresh       = "refresh_token"
	kindAccount       = "account"
	kindName          = "name" // a user name, pointing at its account
	kindOffline       = "offline_session"
	kindIdentity      = "user_identity"
	kindSession       = "auth_session"
	kindConnector     = "connector"
	kindDeviceRequest = "device_request"
	kindDeviceToken   = "device_token"
	kindKeys          = "keys"
)

// updateTries bounds how often an update that lost against others, on other replicas too, is tried.
const updateTries = 100

// recordID makes one id of several parts, without two lists of parts ever having the same.
func recordID(parts ...string) string {
	for i, p := range parts {
		parts[i] = url.QueryEscape(p)
	}
	id := strings.Join(parts, "|")
	if len(id) > 200 {
		sum := sha256.Sum256([]byte(id))
		return "sha256:" + hex.EncodeToString(sum[:])
	}
	return id
}

// never is the expiry of what does not expire.
var never time.Time

func optionalMicros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return database.Micros(t)
}

// create adds a record. One that is there is storage.ErrAlreadyExists.
func create(ctx context.Context, db *database.DB, kind, id string, expires time.Time, v any) error {
	err := db.Tx(ctx, func(tx *database.Tx) error { return insert(ctx, tx, kind, id, expires, v) })
	if database.IsDuplicate(err) {
		return storage.ErrAlreadyExists
	}
	return err
}

func insert(ctx context.Context, tx *database.Tx, kind, id string, expires time.Time, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", kind, err)
	}
	_, err = tx.Exec(ctx, "INSERT INTO idp_records (kind, id, version, expires_at, body) VALUES (?, ?, 1, ?, ?)", kind, id, optionalMicros(expires), string(body))
	return err
}

// get reads a record. None is storage.ErrNotFound, bare: the provider compares it by ==.
func get[T any](ctx context.Context, q database.Querier, kind, id string) (T, error) {
	v, _, err := getVersion[T](ctx, q, kind, id)
	return v, err
}

func getVersion[T any](ctx context.Context, q database.Querier, kind, id string) (v T, version int64, err error) {
	var body string
	err = q.QueryRow(ctx, "SELECT version, body FROM idp_records WHERE kind = ? AND id = ?", kind, id).Scan(&version, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return v, 0, storage.ErrNotFound
	}
	if err != nil {
		return v, 0, fmt.Errorf("read %s: %w", kind, err)
	}
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		return v, 0, fmt.Errorf("decode %s: %w", kind, err)
	}
	return v, version, nil
}

func list[T any](ctx context.Context, q database.Querier, kind string) ([]T, error) {
	rows, err := q.Query(ctx, "SELECT body FROM idp_records WHERE kind = ? ORDER BY id", kind)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", kind, err)
	}
	defer func() { _ = rows.Close() }()
	var all []T
	for rows.Next() {
		var body string
		var v T
		if err := rows.Scan(&body); err != nil {
			return nil, fmt.Errorf("list %s: %w", kind, err)
		}
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			return nil, fmt.Errorf("decode %s: %w", kind, err)
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// remove deletes a record, this once: of two at the same time, one finds nothing. An
// authorization code is good for one exchange because of this.
func remove(ctx context.Context, db *database.DB, kind, id string) error {
	result, err := db.Exec(ctx, "DELETE FROM idp_records WHERE kind = ? AND id = ?", kind, id)
	if err != nil {
		return fmt.Errorf("delete %s: %w", kind, err)
	}
	n, err := result.RowsAffected()
	if err == nil && n == 0 {
		return storage.ErrNotFound
	}
	return err
}

// update changes a record by compare-and-set on its version. change runs outside any transaction,
// since the provider may update other records in it, and again when another update was quicker.
// Those who lost once line up: of many at the same time, each gets its turn.
func update[T any](ctx context.Context, s records, kind, id string, expires func(T) time.Time, change func(T) (T, error)) error {
	for try := range updateTries {
		old, version, err := getVersion[T](ctx, s.db, kind, id)
		if err != nil {
			return err
		}
		v, err := change(old)
		if err != nil {
			return err
		}
		done, err := replace(ctx, s.db, kind, id, version, expires(v), v)
		if err != nil || done {
			return err
		}
		if try > 0 {
			continue
		}
		line := s.lines[maphash.String(s.seed, kind+id)%uint64(len(s.lines))]
		select {
		case line <- struct{}{}:
			defer func() { <-line }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("update %s: others are always quicker", kind)
}

func replace(ctx context.Context, db *database.DB, kind, id string, version int64, expires time.Time, v any) (bool, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return false, fmt.Errorf("encode %s: %w", kind, err)
	}
	result, err := db.Exec(ctx, "UPDATE idp_records SET version = ?, expires_at = ?, body = ? WHERE kind = ? AND id = ? AND version = ?",
		version+1, optionalMicros(expires), string(body), kind, id, version)
	if err != nil {
		return false, fmt.Errorf("update %s: %w", kind, err)
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// expire removes the records of a kind whose time is over, and counts them.
func expire(ctx context.Context, db *database.DB, kind string, now time.Time) (int64, error) {
	result, err := db.Exec(ctx, "DELETE FROM idp_records WHERE kind = ? AND expires_at < ?", kind, database.Micros(now))
	if err != nil {
		return 0, fmt.Errorf("remove expired %s: %w", kind, err)
	}
	return result.RowsAffected()
}
