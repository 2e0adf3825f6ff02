package identity

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/sync/errgroup"

	"lodge/internal/access"
	"lodge/internal/audit"
	"lodge/internal/database"
	"lodge/internal/fault"
)

// What a provider says of a person holds for the whole login, unless it gave a refresh token: by that
// it is asked again every so often, so that a role that is gone there is gone here, and so is whoever
// it does not know any more. A provider that does not answer ends nobody's login.
const (
	// renewPause is how long a login that one replica asks about is left alone by the others, and
	// how soon a provider that gave no answer is asked again.
	renewPause = 2 * time.Minute
	// renewBatch is how many logins are looked up at a time, renewParallel how many asked about at once.
	renewBatch, renewParallel = 100, 8
)

// keepRefresh puts a refresh token into a session's row, if there is one.
func (s *Service) keepRefresh(row *sessionRow, refresh string) error {
	if refresh == "" {
		return nil
	}
	sealed, err := seal(s.own.keeping, []byte(row.ID+" "+refresh))
	if err != nil {
		return err
	}
	row.claims.Refresh = sealed
	row.renewAt = sql.NullInt64{Int64: database.Micros(s.now().Add(s.cfg.RenewEvery)), Valid: true}
	return nil
}

// refreshOf gives a session's refresh token. It is sealed together with the session's id, so that in
// another row it is worth nothing.
func (s *Service) refreshOf(row *sessionRow) (string, error) {
	text, err := open(s.own.keeping, row.claims.Refresh)
	if err != nil || len(text) <= len(row.ID) || string(text[:len(row.ID)+1]) != row.ID+" " {
		return "", errors.New("its refresh token cannot be read")
	}
	return string(text[len(row.ID)+1:]), nil
}

func (s *Service) runRenewals(ctx context.Context) error {
	tick := time.NewTicker(max(time.Second, min(s.cfg.RenewEvery, time.Minute)))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.renewDue(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "the logins to renew could not be found", slog.Any("err", err))
		}
	}
}

// renewDue asks about every login whose time has come.
func (s *Service) renewDue(ctx context.Context) error {
	for {
		now := s.now()
		live, args := liveSessions(now, s.cfg.SessionIdle)
		rows, err := s.db.Query(ctx, "SELECT "+sessionColumns+" WHERE "+live+" AND s.renew_at <= ? ORDER BY s.renew_at LIMIT ?", append(args, database.Micros(now), renewBatch)...)
		due, err := database.Collect(rows, err, func(rows database.Rows) (*sessionRow, error) { return scanSession(rows) })
		if err != nil || len(due) == 0 {
			return err
		}
		var g errgroup.Group
		g.SetLimit(renewParallel)
		for _, row := range due {
			g.Go(func() error {
				if err := s.renew(ctx, row); err != nil && ctx.Err() == nil {
					s.log.WarnContext(ctx, "a login could not be renewed", slog.String("session", row.ID), slog.String("issuer", row.claims.Issuer), slog.Any("err", err))
				}
				return nil
			})
		}
		_ = g.Wait() // each said its own
		if len(due) < renewBatch {
			return nil
		}
	}
}

// renew asks the provider about one login, unless another replica does.
func (s *Service) renew(ctx context.Context, row *sessionRow) error {
	now := s.now()
	taken, err := s.db.Exec(ctx, "UPDATE sessions SET renew_at = ? WHERE id = ? AND revoked_at IS NULL AND renew_at <= ?",
		database.Micros(now.Add(renewPause)), row.ID, database.Micros(now))
	if err != nil {
		return err
	}
	if n, err := taken.RowsAffected(); err != nil || n == 0 {
		return err
	}
	// It may have been renewed elsewhere since it was looked up.
	if row, err = readSession(ctx, s.db, row.ID); err != nil {
		return err
	}
	ctx = access.WithCaller(ctx, &access.Caller{Issuer: row.claims.Issuer, Subject: row.claims.Subject, Name: "the identity provider", Credential: access.Credential{Kind: "refresh token"}})
	token, v, err := s.askAgain(ctx, row)
	if fault.Is(err, fault.Denied) {
		ctx = access.WithDecision(ctx, access.Decision{Allowed: true, Rule: "refused by " + row.claims.Issuer})
		return s.endSession(ctx, row.ID, "logout", row.UserName+" may not stay logged in, says the provider")
	}
	if err != nil {
		return err
	}
	return s.writeRenewal(ctx, row, token, v)
}

// askAgain exchanges a session's refresh token. v is nil where the provider gives no new ID token. It
// fails as fault.Denied if the provider has ended the login.
func (s *Service) askAgain(ctx context.Context, row *sessionRow) (token *oauth2.Token, v *verified, err error) {
	refresh, err := s.refreshOf(row)
	if err != nil {
		return nil, nil, err
	}
	providers := s.providers()
	at := slices.IndexFunc(providers, func(is *issuer) bool { return is.id == row.claims.Issuer })
	if at < 0 {
		return nil, nil, errors.New("nobody logs in at its issuer any more")
	}
	is := providers[at]
	oauth, _, err := s.client(ctx, is)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*fetchTimeout)
	defer cancel()
	token, err = oauth.TokenSource(oidc.ClientContext(ctx, is.client), &oauth2.Token{RefreshToken: refresh}).Token()
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.ErrorCode == "invalid_grant" {
		return nil, nil, fault.New(fault.Denied, "the provider has ended the login")
	}
	if errors.As(err, &refused) && refused.Response.StatusCode < http.StatusInternalServerError {
		return nil, nil, fmt.Errorf("the provider refused to answer: %s", clip(refused.ErrorCode, 100)) // its text may quote what we sent
	}
	if err != nil {
		return nil, nil, away(errors.New("no answer to a refresh token"))
	}
	if idToken(token) == "" {
		return token, nil, nil
	}
	if v, err = s.believeLogin(ctx, is, idToken(token)); err != nil {
		return nil, nil, err
	}
	if v.subject != row.claims.Subject {
		return nil, nil, bad("the ID token of another person")
	}
	return token, v, nil
}

// writeRenewal stores what the provider said.
func (s *Service) writeRenewal(ctx context.Context, row *sessionRow, token *oauth2.Token, v *verified) error {
	before := row.claims
	if v != nil {
		row.claims.Roles, row.claims.Claims = v.roles, v.claims
		// A renewed ID token need not say again which login it is of, which a logout there may name.
		if sid, there := before.Claims["sid"]; there {
			row.claims.Claims["sid"] = sid
		}
	}
	if err := s.keepRefresh(row, token.RefreshToken); err != nil {
		return err
	}
	claims, err := json.Marshal(row.claims)
	if err != nil {
		return err
	}
	err = s.db.Tx(ctx, func(tx *database.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE sessions SET claims = ?, renew_at = ? WHERE id = ? AND revoked_at IS NULL", string(claims), row.renewAt, row.ID)
		if err != nil || sameRoles(before.Roles, row.claims.Roles) {
			return err
		}
		return s.audit.Record(ctx, tx, audit.Entry{
			Action: "sessions.write", Group: string(access.Site), Object: "session " + row.ID, Outcome: "allowed", Rule: "renewed at " + row.claims.Issuer,
			Detail: fmt.Sprintf("the roles of %s were %v and are %v", row.UserName, before.Roles, row.claims.Roles),
		})
	})
	if err != nil {
		return fmt.Errorf("renew session: %w", err)
	}
	s.announce("session", row.ID)
	return nil
}

func sameRoles(a, b []access.Role) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}
