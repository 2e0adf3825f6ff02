package lodge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"lodge/internal/access"
	"lodge/internal/audit"
	"lodge/internal/config"
	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/fleet"
	"lodge/internal/identity"
	"lodge/internal/identity/localidp"
	"lodge/internal/secret"
)

// Office is where whoever owns the data folder and the configuration administers the site, without
// a login and beside a server that runs: it speaks to the database. Its changes are audited like
// all others, and hold in every server within a second.
type Office struct{ platform *platform }

// OpenOffice opens it for the operator of that name.
func OpenOffice(ctx context.Context, cfg *config.Loaded, now func() time.Time, log *slog.Logger) (*Office, error) {
	home := folder(cfg.Data)
	if err := home.make(); err != nil {
		return nil, err
	}
	// Tokens name the public address; a server that runs or ran has written down which.
	public := cmp.Or(cfg.PublicURL, home.read(addressFile))
	if public == "" {
		listening, err := net.ResolveTCPAddr("tcp", cfg.Listen)
		if err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}
		public = publicAddress(cfg, listening)
	}
	p, err := openPlatform(ctx, cfg, public, false, now, log)
	if err != nil {
		return nil, err
	}
	return &Office{p}, nil
}

// Exists says whether there is a site to look at. The embedded database is made by its first use,
// which must not happen by looking into a folder whose name was mistyped.
func Exists(cfg *config.Loaded) error {
	if cfg.DatabaseURL != "" {
		return nil
	}
	if _, err := os.Stat(folder(cfg.Data).path(databaseFile)); err != nil {
		return fault.New(fault.Missing, "there is no site in %s: --data names the folder of another", cfg.Data)
	}
	return nil
}

// Close lets go of the database.
func (o *Office) Close() error { return o.platform.release() }

// as makes the operator the caller: who can read the data folder can do everything anyway.
func (o *Office) as(ctx context.Context, operator string) context.Context {
	ctx = access.WithCaller(ctx, &access.Caller{
		Issuer: localidp.UserIssuer, Subject: "command-line", Name: operator, Admin: true, Credential: access.Credential{Kind: "command line"},
	})
	return access.WithDecision(ctx, access.Decision{Allowed: true, Rule: "owner of the data folder"})
}

// CreateToken issues a service token and gives its JWT, this once.
func (o *Office) CreateToken(ctx context.Context, operator string, req identity.TokenRequest) (secret.String, error) {
	_, jwt, err := o.platform.identity.CreateToken(o.as(ctx, operator), req)
	return jwt, err
}

// Tokens lists all service tokens, the newest first, up to a thousand.
func (o *Office) Tokens(ctx context.Context, operator string) ([]identity.Token, error) {
	tokens, _, err := o.platform.identity.Tokens(o.as(ctx, operator), true, 1000, 0)
	return tokens, err
}

// RevokeToken ends a service token by its id.
func (o *Office) RevokeToken(ctx context.Context, operator, id string) error {
	return o.platform.identity.RevokeToken(o.as(ctx, operator), id)
}

// VerifyAudit reads the audit log's whole chain.
func (o *Office) VerifyAudit(ctx context.Context) (audit.Report, error) {
	return o.platform.audit.Verify(ctx)
}

// NewPerson is an account at the embedded identity provider, and what it may do.
type NewPerson struct {
	Name, Email string
	Password    secret.String
	Admin       bool
	Roles       []access.Role
}

// AddPerson makes an account.
func (o *Office) AddPerson(ctx context.Context, operator string, n NewPerson) error {
	provider, err := o.provider()
	if err != nil {
		return err
	}
	ctx = o.as(ctx, operator)
	account, err := provider.AddUser(ctx, n.Name, n.Email, n.Password.Reveal())
	if err != nil {
		return err
	}
	user := access.NewUser{Issuer: localidp.UserIssuer, Subject: account.Subject, Name: account.Name, Email: account.Email, Admin: n.Admin, Roles: n.Roles}
	_, err = o.platform.access.CreateUser(ctx, user)
	return err
}

// SetPassword gives an account another password and ends what the old one opened.
func (o *Office) SetPassword(ctx context.Context, operator, name string, password secret.String) error {
	provider, err := o.provider()
	if err != nil {
		return err
	}
	ctx = o.as(ctx, operator)
	account, err := provider.SetPassword(ctx, name, password.Reveal())
	if err != nil {
		return err
	}
	user, err := o.user(ctx, account.Subject)
	if fault.Is(err, fault.Missing) {
		err = nil // they never came
	} else if err == nil {
		err = o.platform.identity.EndSessions(ctx, user.ID, "new password")
	}
	if err != nil {
		return err
	}
	return o.platform.db.Tx(ctx, func(tx *database.Tx) error {
		return o.platform.recordChange(ctx, tx, "users.write", "account "+name, "new password")
	})
}

// SetDisabled keeps somebody out, with all that they have open, or lets them in again. They are
// known by the name of their account, or by their id or name in Lodge.
func (o *Office) SetDisabled(ctx context.Context, operator, name string, disabled bool) error {
	ctx = o.as(ctx, operator)
	subject := ""
	if o.platform.provider != nil {
		account, err := o.platform.provider.DisableUser(ctx, name, disabled)
		if err != nil && !fault.Is(err, fault.Missing) {
			return err
		}
		subject = account.Subject
	}
	user, err := o.user(ctx, cmp.Or(subject, name))
	if fault.Is(err, fault.Missing) && subject != "" {
		return nil // the account is closed, and nobody has come by it yet
	}
	if err != nil {
		return err
	}
	if _, err = o.platform.access.ChangeUser(ctx, user.ID, access.UserChange{Disabled: &disabled}); err != nil {
		return err
	}
	if disabled {
		return o.platform.identity.EndSessions(ctx, user.ID, "disabled")
	}
	return nil
}

// ImportRMF takes over what an Open-RMF API server has in a database, the site's own when the URL is empty.
func (o *Office) ImportRMF(ctx context.Context, operator string, address secret.String) (done []fleet.Imported, err error) {
	p := o.platform
	zone, err := time.LoadLocation(p.cfg.Fleet.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("fleet.time_zone: %w", err)
	}
	from := p.db
	if address != "" {
		// Its library writes sqlite:///PATH.
		text := strings.Replace(strings.Replace(address.Reveal(), "sqlite://", "sqlite:", 1), "asyncpg:", "postgres:", 1)
		if file, is := strings.CutPrefix(text, "sqlite:"); is {
			if _, err := os.Stat(file); err != nil {
				return nil, fault.New(fault.Missing, "there is no database %s", file)
			}
		}
		if from, err = database.Open(ctx, text, p.now, p.log); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, from.Close()) }()
	}
	cfg := fleet.Config{TimeZone: zone, UserIssuer: fleetPeople(p.cfg)}
	return fleet.Import(o.as(ctx, operator), cfg, p.db, from, p.access, p.now, p.log)
}

// People lists everybody with an account or seen here, by name.
func (o *Office) People(ctx context.Context, operator string) ([]access.User, error) {
	ctx = o.as(ctx, operator)
	users, _, err := o.platform.access.Users(ctx, access.UserFilter{Limit: 1000})
	if err != nil || o.platform.provider == nil {
		return users, err
	}
	accounts, err := o.platform.provider.ListUsers(ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range accounts {
		if !slices.ContainsFunc(users, func(u access.User) bool { return u.Issuer == localidp.UserIssuer && u.Subject == a.Subject }) {
			users = append(users, access.User{Issuer: localidp.UserIssuer, Subject: a.Subject, Name: a.Name, Email: a.Email, Disabled: a.Disabled, Created: a.Created})
		}
	}
	slices.SortFunc(users, func(a, b access.User) int { return strings.Compare(a.Name, b.Name) })
	return users, nil
}

// user finds somebody by subject, id or name.
func (o *Office) user(ctx context.Context, who string) (access.User, error) {
	users, _, err := o.platform.access.Users(ctx, access.UserFilter{Text: who, Limit: 100})
	if err != nil {
		return access.User{}, err
	}
	if at := slices.IndexFunc(users, func(u access.User) bool { return u.Subject == who }); at >= 0 {
		return users[at], nil
	}
	named := slices.DeleteFunc(users, func(u access.User) bool { return u.Name != who })
	switch len(named) {
	case 0:
		return o.platform.access.User(ctx, who)
	case 1:
		return named[0], nil
	}
	return access.User{}, fault.New(fault.Conflict, "several people are called %s: give the id, see `lodge user list`", who)
}

func (o *Office) provider() (*localidp.Provider, error) {
	if o.platform.provider == nil {
		return nil, fault.New(fault.Conflict, "people of this site have their accounts at the configured identity provider, not here")
	}
	return o.platform.provider, nil
}

// Migrations lists the steps of the schema.
func Migrations(ctx context.Context, cfg *config.Loaded, now func() time.Time, log *slog.Logger) ([]database.Migration, error) {
	if err := folder(cfg.Data).make(); err != nil {
		return nil, err
	}
	db, err := openDatabase(ctx, cfg, now, log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	return db.Status(ctx)
}

// Migrate brings the schema up to date.
func Migrate(ctx context.Context, cfg *config.Loaded, now func() time.Time, log *slog.Logger) error {
	if err := folder(cfg.Data).make(); err != nil {
		return err
	}
	db, err := openDatabase(ctx, cfg, now, log)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return db.Migrate(ctx)
}
