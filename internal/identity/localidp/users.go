package localidp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dexidp/dex/server/connectors"
	"github.com/dexidp/dex/server/tokens"
	"github.com/dexidp/dex/storage"
	"github.com/google/uuid"

	"lodge/internal/database"
	"lodge/internal/fault"
)

// AdminName is the account of the first start.
const AdminName = "admin"

// UserIssuer is the issuer that people with an account here are kept under. The address of the
// provider is part of public_url, which may change; who they are does not.
const UserIssuer = "lodge"

// User is somebody with an account here.
type User struct {
	Name  string `json:"name"`
	Email string `json:"email"`
	// Subject is the sub of their tokens; with UserIssuer it is their identity in access.
	Subject  string    `json:"subject"`
	Disabled bool      `json:"disabled"`
	Created  time.Time `json:"created_at"`
}

// localDomain completes a user name to the e-mail address that Dex knows an account by.
const localDomain = "@local"

var (
	nameForm  = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	emailForm = regexp.MustCompile(`^[^@\s[:cntrl:]]{1,64}@[^@\s[:cntrl:]]{1,180}$`)
)

// IssuerURL is the iss of the provider's tokens.
func (p *Provider) IssuerURL() string { return p.issuer }

// nameRecord points from a user name to the account.
type nameRecord struct {
	Email string `json:"email"`
}

// AddUser makes an account. Without an e-mail address it gets one that nobody can send to. A name
// or address that is taken is fault.Conflict.
func (p *Provider) AddUser(ctx context.Context, name, email, password string) (User, error) {
	name, email = strings.ToLower(strings.TrimSpace(name)), strings.ToLower(strings.TrimSpace(email))
	if email == "" {
		email = name + localDomain
	}
	var found []fault.Field
	if !nameForm.MatchString(name) {
		found = append(found, fault.Field{Loc: []string{"body", "name"}, Type: "value", Message: "must be 1 to 64 small letters, digits, dots, dashes or underscores, beginning with a letter or digit"})
	}
	if !utf8.ValidString(email) || !emailForm.MatchString(email) || strings.HasSuffix(email, localDomain) && email != name+localDomain {
		found = append(found, fault.Field{Loc: []string{"body", "email"}, Type: "value", Message: "must be an e-mail address"})
	}
	if problem := weak(password, name); problem != "" {
		found = append(found, fault.Field{Loc: []string{"body", "password"}, Type: "value", Message: problem})
	}
	if len(found) > 0 {
		return User{}, fault.InvalidFields(found...)
	}
	hashed, err := p.accounts.hash(password)
	if err != nil {
		return User{}, fmt.Errorf("add user: %w", err)
	}
	a := account{Created: p.now().UTC(), Password: storage.Password{
		Email: email, Hash: hashed, Username: name, PreferredUsername: name, Name: name, UserID: uuid.NewString(),
	}}
	err = p.db.Tx(ctx, func(tx *database.Tx) error {
		if err := insert(ctx, tx, kindName, recordID(name), never, nameRecord{email}); err != nil {
			return err
		}
		return insert(ctx, tx, kindAccount, accountID(email), never, a)
	})
	if database.IsDuplicate(err) {
		return User{}, fault.New(fault.Conflict, "there is a user with this name or e-mail address already")
	}
	if err != nil {
		return User{}, fmt.Errorf("add user: %w", err)
	}
	return a.user()
}

// weak says what is wrong with a password, or nothing.
func weak(password, name string) string {
	switch {
	case utf8.RuneCountInString(password) < 12:
		return "must have at least 12 characters"
	case len(password) > 72:
		return "must have at most 72 bytes: the rest would not count"
	case strings.ContainsRune(password, 0):
		return "must not hold a zero byte"
	case name != "" && strings.Contains(strings.ToLower(password), name) && len(name) > 2:
		return "must not contain the user name"
	case strings.Count(password, password[:1]) == len(password):
		return "must not be one character over and over"
	}
	return ""
}

// SetPassword gives an account another password, and ends what the old one opened here: whoever
// knew it has refresh tokens of no use. A name that is unknown is fault.Missing.
func (p *Provider) SetPassword(ctx context.Context, name, password string) (User, error) {
	if problem := weak(password, strings.ToLower(strings.TrimSpace(name))); problem != "" {
		return User{}, fault.InvalidFields(fault.Field{Loc: []string{"body", "password"}, Type: "value", Message: problem})
	}
	hashed, err := p.accounts.hash(password)
	if err != nil {
		return User{}, fmt.Errorf("set password: %w", err)
	}
	return p.change(ctx, name, func(a *account) { a.Hash = hashed })
}

// DisableUser keeps somebody from logging in here, or lets them again. Sessions and tokens that
// they have are access's to refuse: disable the user there as well.
func (p *Provider) DisableUser(ctx context.Context, name string, disabled bool) (User, error) {
	return p.change(ctx, name, func(a *account) { a.Disabled = disabled })
}

// change changes an account and ends its refresh tokens.
func (p *Provider) change(ctx context.Context, name string, fn func(*account)) (User, error) {
	email, err := emailOf(ctx, p.db, name)
	if err != nil {
		return User{}, err
	}
	var changed account
	err = update(ctx, p.store, kindAccount, accountID(email), forever, func(a account) (account, error) {
		fn(&a)
		changed = a
		return a, nil
	})
	if errors.Is(err, storage.ErrNotFound) {
		return User{}, fault.New(fault.Missing, "there is no user %q", name)
	}
	if err != nil {
		return User{}, fmt.Errorf("change user: %w", err)
	}
	if err := p.endRefresh(ctx, changed.UserID); err != nil {
		return User{}, err
	}
	return changed.user()
}

// endRefresh removes everything that could give somebody new tokens without a login.
func (p *Provider) endRefresh(ctx context.Context, userID string) error {
	held, err := p.store.ListRefreshTokens(ctx)
	if err != nil {
		return err
	}
	for _, t := range held {
		if t.Claims.UserID != userID {
			continue
		}
		if err := p.store.DeleteRefresh(ctx, t.ID); err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
	}
	err = p.store.DeleteOfflineSessions(ctx, userID, connectors.LocalConnector)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}

// ListUsers lists all accounts by name.
func (p *Provider) ListUsers(ctx context.Context) ([]User, error) {
	accounts, err := list[account](ctx, p.db, kindAccount)
	if err != nil {
		return nil, err
	}
	users := make([]User, 0, len(accounts))
	for _, a := range accounts {
		u, err := a.user()
		if err != nil {
			return nil, err
		}
		users = append(users, u)
	}
	slices.SortFunc(users, func(a, b User) int { return strings.Compare(a.Name, b.Name) })
	return users, nil
}

// EnsureAdmin makes the account "admin" with a generated password when there is no account at all,
// and gives the password, this once.
func (p *Provider) EnsureAdmin(ctx context.Context) (password string, created bool, err error) {
	var there int
	if err := p.db.QueryRow(ctx, "SELECT COUNT(*) FROM idp_records WHERE kind = ?", kindAccount).Scan(&there); err != nil {
		return "", false, fmt.Errorf("count users: %w", err)
	}
	if there > 0 {
		return "", false, nil
	}
	password = generatePassword()
	_, err = p.AddUser(ctx, AdminName, "", password)
	if fault.Is(err, fault.Conflict) {
		return "", false, nil // another replica was quicker
	}
	if err != nil {
		return "", false, err
	}
	return password, true, nil
}

// AdminIdentity is "issuer|subject" of the account "admin", for access.EnsureAdmins; empty when
// there is none.
func (p *Provider) AdminIdentity(ctx context.Context) (string, error) {
	a, err := get[account](ctx, p.db, kindAccount, accountID(AdminName+localDomain))
	if errors.Is(err, storage.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	u, err := a.user()
	return UserIssuer + "|" + u.Subject, err
}

// generatePassword has 130 bits, in letters and digits that are hard to confuse.
func generatePassword() string { return strings.ToLower(rand.Text()) }

func (a account) user() (User, error) {
	subject, err := tokens.GenSubject(a.UserID, connectors.LocalConnector)
	if err != nil {
		return User{}, fmt.Errorf("name the subject of %s: %w", a.Username, err)
	}
	return User{Name: a.Username, Email: a.Email, Subject: subject, Disabled: a.Disabled, Created: a.Created}, nil
}
