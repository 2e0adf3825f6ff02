package localidp

import (
	"context"
	"errors"
	"hash/maphash"
	"strings"
	"time"

	"github.com/dexidp/dex/storage"

	"lodge/internal/database"
)

// records is Dex's storage on our table: JSON bodies by kind and id. It passes Dex's own
// conformance suite on every database.
type records struct {
	db    *database.DB
	seed  maphash.Seed
	lines []chan struct{}
}

func newRecords(db *database.DB) records {
	s := records{db: db, seed: maphash.MakeSeed(), lines: make([]chan struct{}, 64)}
	for i := range s.lines {
		s.lines[i] = make(chan struct{}, 1)
	}
	return s
}

var _ storage.Storage = records{}

// Close does nothing: the database is not ours.
func (records) Close() error { return nil }

// account is a password with what Dex does not know of.
type account struct {
	storage.Password
	Disabled bool      `json:"disabled,omitempty"`
	Created  time.Time `json:"created,omitzero"`
}

func accountID(email string) string { return recordID(strings.ToLower(email)) }

func forever[T any](T) time.Time { return never }

func sessionEnd(s storage.AuthSession) time.Time {
	if s.IdleExpiry.Before(s.AbsoluteExpiry) {
		return s.IdleExpiry
	}
	return s.AbsoluteExpiry
}

func (s records) CreateAuthRequest(ctx context.Context, a storage.AuthRequest) error {
	return create(ctx, s.db, kindAuthRequest, recordID(a.ID), a.Expiry, a)
}

func (s records) CreateClient(ctx context.Context, c storage.Client) error {
	return create(ctx, s.db, kindClient, recordID(c.ID), never, c)
}

func (s records) CreateAuthCode(ctx context.Context, c storage.AuthCode) error {
	return create(ctx, s.db, kindAuthCode, recordID(c.ID), c.Expiry, c)
}

func (s records) CreateRefresh(ctx context.Context, r storage.RefreshToken) error {
	return create(ctx, s.db, kindRefresh, recordID(r.ID), never, r)
}

func (s records) CreatePassword(ctx context.Context, p storage.Password) error {
	return create(ctx, s.db, kindAccount, accountID(p.Email), never, account{Password: p})
}

func (s records) CreateOfflineSessions(ctx context.Context, o storage.OfflineSessions) error {
	return create(ctx, s.db, kindOffline, recordID(o.UserID, o.ConnID), never, o)
}

func (s records) CreateUserIdentity(ctx context.Context, u storage.UserIdentity) error {
	return create(ctx, s.db, kindIdentity, recordID(u.UserID, u.ConnectorID), never, u)
}

func (s records) CreateAuthSession(ctx context.Context, a storage.AuthSession) error {
	return create(ctx, s.db, kindSession, recordID(a.ID), sessionEnd(a), a)
}

func (s records) CreateConnector(ctx context.Context, c storage.Connector) error {
	return create(ctx, s.db, kindConnector, recordID(c.ID), never, c)
}

func (s records) CreateDeviceRequest(ctx context.Context, d storage.DeviceRequest) error {
	return create(ctx, s.db, kindDeviceRequest, recordID(d.UserCode), d.Expiry, d)
}

func (s records) CreateDeviceToken(ctx context.Context, d storage.DeviceToken) error {
	return create(ctx, s.db, kindDeviceToken, recordID(d.DeviceCode), d.Expiry, d)
}

func (s records) GetAuthRequest(ctx context.Context, id string) (storage.AuthRequest, error) {
	return get[storage.AuthRequest](ctx, s.db, kindAuthRequest, recordID(id))
}

func (s records) GetAuthCode(ctx context.Context, id string) (storage.AuthCode, error) {
	return get[storage.AuthCode](ctx, s.db, kindAuthCode, recordID(id))
}

func (s records) GetClient(ctx context.Context, id string) (storage.Client, error) {
	return get[storage.Client](ctx, s.db, kindClient, recordID(id))
}

func (s records) GetKeys(ctx context.Context) (storage.Keys, error) {
	return get[storage.Keys](ctx, s.db, kindKeys, kindKeys)
}

func (s records) GetRefresh(ctx context.Context, id string) (storage.RefreshToken, error) {
	return get[storage.RefreshToken](ctx, s.db, kindRefresh, recordID(id))
}

func (s records) GetPassword(ctx context.Context, email string) (storage.Password, error) {
	a, err := get[account](ctx, s.db, kindAccount, accountID(email))
	return a.Password, err
}

func (s records) GetOfflineSessions(ctx context.Context, userID, connID string) (storage.OfflineSessions, error) {
	return get[storage.OfflineSessions](ctx, s.db, kindOffline, recordID(userID, connID))
}

func (s records) GetUserIdentity(ctx context.Context, userID, connID string) (storage.UserIdentity, error) {
	return get[storage.UserIdentity](ctx, s.db, kindIdentity, recordID(userID, connID))
}

func (s records) GetAuthSession(ctx context.Context, id string) (storage.AuthSession, error) {
	return get[storage.AuthSession](ctx, s.db, kindSession, recordID(id))
}

func (s records) GetConnector(ctx context.Context, id string) (storage.Connector, error) {
	return get[storage.Connector](ctx, s.db, kindConnector, recordID(id))
}

func (s records) GetDeviceRequest(ctx context.Context, userCode string) (storage.DeviceRequest, error) {
	return get[storage.DeviceRequest](ctx, s.db, kindDeviceRequest, recordID(userCode))
}

func (s records) GetDeviceToken(ctx context.Context, deviceCode string) (storage.DeviceToken, error) {
	return get[storage.DeviceToken](ctx, s.db, kindDeviceToken, recordID(deviceCode))
}

func (s records) ListClients(ctx context.Context) ([]storage.Client, error) {
	return list[storage.Client](ctx, s.db, kindClient)
}

func (s records) ListRefreshTokens(ctx context.Context) ([]storage.RefreshToken, error) {
	return list[storage.RefreshToken](ctx, s.db, kindRefresh)
}

func (s records) ListPasswords(ctx context.Context) ([]storage.Password, error) {
	accounts, err := list[account](ctx, s.db, kindAccount)
	passwords := make([]storage.Password, len(accounts))
	for i, a := range accounts {
		passwords[i] = a.Password
	}
	return passwords, err
}

func (s records) ListConnectors(ctx context.Context) ([]storage.Connector, error) {
	return list[storage.Connector](ctx, s.db, kindConnector)
}

func (s records) ListUserIdentities(ctx context.Context) ([]storage.UserIdentity, error) {
	return list[storage.UserIdentity](ctx, s.db, kindIdentity)
}

func (s records) ListAuthSessions(ctx context.Context) ([]storage.AuthSession, error) {
	return list[storage.AuthSession](ctx, s.db, kindSession)
}

func (s records) DeleteAuthRequest(ctx context.Context, id string) error {
	return remove(ctx, s.db, kindAuthRequest, recordID(id))
}

func (s records) DeleteAuthCode(ctx context.Context, id string) error {
	return remove(ctx, s.db, kindAuthCode, recordID(id))
}

func (s records) DeleteClient(ctx context.Context, id string) error {
	return remove(ctx, s.db, kindClient, recordID(id))
}

func (s records) DeleteRefresh(ctx context.Context, id string) error {
	return remove(ctx, s.db, kindRefresh, recordID(id))
}

func (s records) DeletePassword(ctx context.Context, email string) error {
	return remove(ctx, s.db, kindAccount, accountID(email))
}

func (s records) DeleteOfflineSessions(ctx context.Context, userID, connID string) error {
	return remove(ctx, s.db, kindOffline, recordID(userID, connID))
}

func (s records) DeleteUserIdentity(ctx context.Context, userID, connID string) error {
	return remove(ctx, s.db, kindIdentity, recordID(userID, connID))
}

func (s records) DeleteAuthSession(ctx context.Context, id string) error {
	return remove(ctx, s.db, kindSession, recordID(id))
}

func (s records) DeleteConnector(ctx context.Context, id string) error {
	return remove(ctx, s.db, kindConnector, recordID(id))
}

func (s records) UpdateClient(ctx context.Context, id string, change func(storage.Client) (storage.Client, error)) error {
	return update(ctx, s, kindClient, recordID(id), forever, change)
}

// UpdateKeys makes the keys when there are none yet.
func (s records) UpdateKeys(ctx context.Context, change func(storage.Keys) (storage.Keys, error)) error {
	for {
		err := update(ctx, s, kindKeys, kindKeys, forever, change)
		if !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		keys, err := change(storage.Keys{})
		if err != nil {
			return err
		}
		if err = create(ctx, s.db, kindKeys, kindKeys, never, keys); !errors.Is(err, storage.ErrAlreadyExists) {
			return err
		}
	}
}

func (s records) UpdateAuthRequest(ctx context.Context, id string, change func(storage.AuthRequest) (storage.AuthRequest, error)) error {
	return update(ctx, s, kindAuthRequest, recordID(id), func(a storage.AuthRequest) time.Time { return a.Expiry }, change)
}

func (s records) UpdateRefreshToken(ctx context.Context, id string, change func(storage.RefreshToken) (storage.RefreshToken, error)) error {
	return update(ctx, s, kindRefresh, recordID(id), forever, change)
}

func (s records) UpdatePassword(ctx context.Context, email string, change func(storage.Password) (storage.Password, error)) error {
	return update(ctx, s, kindAccount, accountID(email), forever, func(a account) (account, error) {
		p, err := change(a.Password)
		a.Password = p
		return a, err
	})
}

func (s records) UpdateOfflineSessions(ctx context.Context, userID, connID string, change func(storage.OfflineSessions) (storage.OfflineSessions, error)) error {
	return update(ctx, s, kindOffline, recordID(userID, connID), forever, change)
}

func (s records) UpdateUserIdentity(ctx context.Context, userID, connID string, change func(storage.UserIdentity) (storage.UserIdentity, error)) error {
	return update(ctx, s, kindIdentity, recordID(userID, connID), forever, change)
}

func (s records) UpdateAuthSession(ctx context.Context, id string, change func(storage.AuthSession) (storage.AuthSession, error)) error {
	return update(ctx, s, kindSession, recordID(id), sessionEnd, change)
}

func (s records) UpdateConnector(ctx context.Context, id string, change func(storage.Connector) (storage.Connector, error)) error {
	return update(ctx, s, kindConnector, recordID(id), forever, change)
}

func (s records) UpdateDeviceToken(ctx context.Context, deviceCode string, change func(storage.DeviceToken) (storage.DeviceToken, error)) error {
	return update(ctx, s, kindDeviceToken, recordID(deviceCode), func(t storage.DeviceToken) time.Time { return t.Expiry }, change)
}

// GarbageCollect removes what has expired.
func (s records) GarbageCollect(ctx context.Context, now time.Time) (storage.GCResult, error) {
	var result storage.GCResult
	for _, kind := range []struct {
		name  string
		count *int64
	}{
		{kindAuthRequest, &result.AuthRequests},
		{kindAuthCode, &result.AuthCodes},
		{kindDeviceRequest, &result.DeviceRequests},
		{kindDeviceToken, &result.DeviceTokens},
		{kindSession, &result.AuthSessions},
	} {
		n, err := expire(ctx, s.db, kind.name, now)
		if err != nil {
			return result, err
		}
		*kind.count = n
	}
	return result, nil
}
