package localidp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/dexidp/dex/connector"
	"github.com/dexidp/dex/storage"
	"golang.org/x/crypto/bcrypt"

	"lodge/internal/database"
)

// accounts checks passwords for Dex. A disabled account is none, for logins and for refreshes, and
// one that is not there takes as long to refuse as one that is.
type accounts struct {
	store records
	// cost is bcrypt's. Every hash has the same, so that time tells nothing about an account.
	cost int

	nobody     sync.Once
	nobodyHash []byte
}

var (
	_ connector.PasswordConnector = (*accounts)(nil)
	_ connector.RefreshConnector  = (*accounts)(nil)
)

// Prompt names what is asked for.
func (*accounts) Prompt() string { return "User name" }

// Login checks a user name, or e-mail address, and a password.
func (c *accounts) Login(ctx context.Context, _ connector.Scopes, login, password string) (connector.Identity, bool, error) {
	a, err := c.find(ctx, login)
	known := err == nil && !a.Disabled
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return connector.Identity{}, false, fmt.Errorf("find account: %w", err)
	}
	hashed := a.Hash
	if !known {
		hashed = c.hashOfNobody()
	}
	right := bcrypt.CompareHashAndPassword(hashed, []byte(password)) == nil
	if !right || !known {
		return connector.Identity{}, false, nil
	}
	return connector.Identity{
		UserID: a.UserID, Username: a.Name, PreferredUsername: a.PreferredUsername, Email: a.Email, EmailVerified: true,
	}, true, nil
}

// Refresh lets a refresh token go on while its account is there and not disabled.
func (c *accounts) Refresh(ctx context.Context, _ connector.Scopes, who connector.Identity) (connector.Identity, error) {
	a, err := c.find(ctx, who.Email)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return connector.Identity{}, fmt.Errorf("find account: %w", err)
	}
	if err != nil || a.Disabled || a.UserID != who.UserID {
		return connector.Identity{}, errors.New("there is no such account any more")
	}
	who.Username, who.PreferredUsername = a.Name, a.PreferredUsername
	return who, nil
}

func (c *accounts) find(ctx context.Context, login string) (account, error) {
	email, err := emailOf(ctx, c.store.db, login)
	if err != nil {
		return account{}, err
	}
	return get[account](ctx, c.store.db, kindAccount, accountID(email))
}

// emailOf gives the address that a login stands for: itself, or that of a user name.
func emailOf(ctx context.Context, q database.Querier, login string) (string, error) {
	login = strings.ToLower(strings.TrimSpace(login))
	if strings.Contains(login, "@") {
		return login, nil
	}
	n, err := get[nameRecord](ctx, q, kindName, recordID(login))
	if errors.Is(err, storage.ErrNotFound) {
		return login + localDomain, nil
	}
	return n.Email, err
}

func (c *accounts) hash(password string) ([]byte, error) {
	return bcrypt.GenerateFromPassword([]byte(password), c.cost)
}

// hashOfNobody is one that no password fits.
func (c *accounts) hashOfNobody() []byte {
	c.nobody.Do(func() {
		if hashed, err := c.hash(generatePassword()); err == nil {
			c.nobodyHash = hashed
		}
	})
	return c.nobodyHash
}
