package identity

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"

	"lodge/internal/access"
	"lodge/internal/audit"
	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/secret"
)

const (
	// tokenTTL is how long a service token lasts when nobody says, maxTTL at most.
	tokenTTL = 365 * 24 * time.Hour
	maxTTL   = 10 * 365 * 24 * time.Hour
	// fresh is how old an answer of the database about a token or session may be.
	fresh = time.Second
	// maxClaims bounds the JSON of a token's own claims, so that the token stays far below maxToken.
	maxClaims = 4 << 10
)

// Token is a service token as people see it; the JWT itself is shown once and kept nowhere.
type Token struct {
	ID        string         `json:"id"`
	Name      string         `json:"name" example:"analysis-7"`
	Roles     []access.Role  `json:"roles" nullable:"false"`
	Admin     bool           `json:"admin" doc:"Whether it may do everything"`
	Claims    map[string]any `json:"claims" nullable:"false" doc:"What else the token says, such as client_id"`
	CreatedBy string         `json:"created_by"`
	Created   time.Time      `json:"created_at"`
	Expires   *time.Time     `json:"expires_at"`
	Used      *time.Time     `json:"used_at" doc:"The last use, to the minute"`
	Revoked   *time.Time     `json:"revoked_at"`
}

// TokenRequest asks for a service token.
type TokenRequest struct {
	Name   string         `json:"name" minLength:"1" maxLength:"100" example:"analysis-7" doc:"For people, and the client_id unless claims says otherwise"`
	Roles  []access.Role  `json:"roles,omitempty" maxItems:"100" doc:"What it may do: only roles whose every right you have"`
	Admin  bool           `json:"admin,omitempty" doc:"Let it do everything; for administrators"`
	Claims map[string]any `json:"claims,omitempty" doc:"Further claims, such as client_id or project_id; for administrators"`
	TTL    time.Duration  `json:"-"`
}

// reserved claims say who the token is; nobody chooses them.
var reserved = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "name", "roles", "nonce", "azp", "sid", "scope", "typ", "act"}

// CreateToken issues a service token for the context's caller and gives its JWT, this once. A token
// never exceeds its creator: roles need every right that they carry, and administration and claims
// an administrator, because a part may make a claim into a right (results: client_id). Without
// those, a token carries no client_id at all.
func (s *Service) CreateToken(ctx context.Context, req TokenRequest) (Token, secret.String, error) {
	c := access.CallerFrom(ctx)
	switch {
	case c == nil:
		return Token{}, "", fault.Wrap(ErrNobody, fault.Unauthenticated, "log in first")
	case !c.Admin && c.UserID == "":
		return Token{}, "", &fault.Error{Kind: fault.Denied, Permission: "administrator", Detail: "only people, and service tokens of administrators, can create service tokens"}
	case !c.Admin && len(req.Claims) > 0:
		return Token{}, "", &fault.Error{Kind: fault.Denied, Permission: "administrator", Detail: "only an administrator can put claims into a token: they may stand for rights"}
	}
	if err := req.validate(); err != nil {
		return Token{}, "", err
	}
	now := s.now().UTC().Truncate(time.Microsecond)
	expires := now.Add(req.TTL)
	if req.TTL == 0 {
		expires = now.Add(tokenTTL)
	}
	t := Token{
		ID: uuid.NewString(), Name: req.Name, Roles: slices.Compact(slices.Sorted(slices.Values(req.Roles))), Admin: req.Admin,
		Claims: maps.Clone(req.Claims), CreatedBy: c.Name, Created: now, Expires: &expires,
	}
	if t.Roles == nil {
		t.Roles = []access.Role{}
	}
	if t.Claims == nil {
		t.Claims = map[string]any{}
	}
	if client, given := t.Claims["client_id"]; given && client == "" {
		delete(t.Claims, "client_id") // asked for none
	} else if !given && c.Admin {
		t.Claims["client_id"] = t.Name
	}
	signed, err := s.sign(t)
	if err != nil {
		return Token{}, "", err
	}
	err = s.db.Tx(ctx, func(tx *database.Tx) error {
		if err := s.access.MayGive(ctx, tx, t.Roles, t.Admin); err != nil {
			return err
		}
		if err := insertToken(ctx, tx, t, creator(c)); err != nil {
			return err
		}
		return s.audit.Record(ctx, tx, audit.Entry{
			Action: "tokens.write", Group: string(access.Site), Object: "token " + t.ID, Outcome: "allowed",
			Rule: access.DecisionFrom(ctx).Rule, Detail: describeToken(t),
		})
	})
	if err != nil {
		return Token{}, "", fmt.Errorf("create token: %w", err)
	}
	return t, signed, nil
}

// creator is whose token it is: a user's id, or who else by their subject, which has no such form.
func creator(c *access.Caller) string {
	return cmp.Or(c.UserID, c.Subject, c.Name)
}

func describeToken(t Token) string {
	words := []string{fmt.Sprintf("token %q until %s", t.Name, t.Expires.Format(time.RFC3339))}
	if t.Admin {
		words = append(words, "administrator")
	}
	for _, r := range t.Roles {
		words = append(words, "role "+string(r))
	}
	for _, name := range slices.Sorted(maps.Keys(t.Claims)) {
		words = append(words, "claim "+name)
	}
	return strings.Join(words, ", ")
}

func (req *TokenRequest) validate() error {
	var found []fault.Field
	wrong := func(message string, loc ...string) {
		found = append(found, fault.Field{Loc: append([]string{"body"}, loc...), Type: "value", Message: message})
	}
	if !plain(req.Name) || utf8.RuneCountInString(req.Name) > 100 {
		wrong("must be 1 to 100 characters on one line", "name")
	}
	if req.TTL < 0 || req.TTL > maxTTL {
		wrong("must be positive and at most ten years", "ttl")
	}
	for _, name := range slices.Sorted(maps.Keys(req.Claims)) {
		if slices.Contains(reserved, name) || !plain(name) {
			wrong("this claim cannot be chosen", "claims", name)
		}
	}
	if body, err := json.Marshal(req.Claims); err != nil || len(body) > maxClaims {
		wrong("must be JSON of at most 4 KiB", "claims")
	}
	if len(found) > 0 {
		return fault.InvalidFields(found...)
	}
	return nil
}

// sign makes the JWT.
func (s *Service) sign(t Token) (secret.String, error) {
	claims := maps.Clone(t.Claims)
	maps.Copy(claims, map[string]any{
		"iss": s.cfg.PublicURL, "sub": "token:" + t.ID, "jti": t.ID, "name": t.Name, "roles": t.Roles,
		"iat": t.Created.Unix(), "exp": t.Expires.Unix(),
	})
	signed, err := jwt.Signed(s.own.signer).Claims(claims).Serialize()
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return secret.String(signed), nil
}

// good says whether a token still lets somebody in.
func (t *tokenRow) good(now time.Time) error {
	switch {
	case t.Revoked != nil:
		return bad("token %s is revoked", t.ID)
	case t.orphaned:
		return bad("token %s was created by %q, who is disabled", t.ID, t.CreatedBy)
	case t.Expires != nil && now.After(t.Expires.Add(leeway)):
		return bad("token %s has expired", t.ID)
	}
	return nil
}

// tokenByID gives the row, at most a second old.
func (s *Service) tokenByID(ctx context.Context, id string) (*tokenRow, error) {
	now := s.now()
	if row, ok := s.tokens.get(id, now); ok {
		return row, nil
	}
	mark := s.tokens.mark(id)
	row, err := readToken(ctx, s.db, id)
	if fault.Is(err, fault.Missing) {
		return nil, bad("token %s is unknown", id)
	}
	if err != nil {
		return nil, err
	}
	s.tokens.put(id, row, now.Add(fresh), mark)
	return row, nil
}

// ownIssuer stands for us where callers are told apart. What a token's holder owns stays theirs when the
// public address, which tokens name as their issuer, changes.
const ownIssuer = "lodge"

// serviceCaller makes the caller of a service token. Its rights are those of its row.
func (s *Service) serviceCaller(ctx context.Context, v *verified) (*access.Caller, error) {
	row, err := s.tokenByID(ctx, v.id)
	if err != nil {
		return nil, err
	}
	now := s.now()
	if err := row.good(now); err != nil {
		return nil, err
	}
	if row.Used == nil || now.Sub(*row.Used) >= time.Minute {
		s.touch("tokens", row.ID, now)
	}
	return &access.Caller{
		Issuer: ownIssuer, Subject: "token:" + row.ID, Name: row.Name,
		Credential: access.Credential{Kind: "token", ID: row.ID}, Roles: slices.Clip(row.Roles), Admin: row.Admin, Claims: v.claims,
	}, nil
}

// RevokeToken ends a token of the caller's own, or any for whoever has tokens.write on the site.
func (s *Service) RevokeToken(ctx context.Context, id string) error {
	row, err := readToken(ctx, s.db, id)
	if err != nil {
		return err
	}
	if row.Revoked != nil {
		return nil
	}
	if ctx, err = s.mine(ctx, row.createdBy, "tokens.write"); err != nil {
		return err
	}
	err = s.db.Tx(ctx, func(tx *database.Tx) error {
		ended, err := revoke(ctx, tx, "tokens", id, s.now())
		if err != nil || !ended {
			return err
		}
		return s.audit.Record(ctx, tx, audit.Entry{
			Action: "tokens.write", Group: string(access.Site), Object: "token " + id, Outcome: "allowed",
			Rule: access.DecisionFrom(ctx).Rule, Detail: fmt.Sprintf("token %q revoked", row.Name),
		})
	})
	if err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	s.announce("token", id)
	return nil
}

// mine lets the owner do it, and others with the action on the site. To them alone it is known
// that the thing exists.
func (s *Service) mine(ctx context.Context, owner string, action access.Action) (context.Context, error) {
	c := access.CallerFrom(ctx)
	if c != nil && c.UserID != "" && c.UserID == owner {
		return access.WithDecision(ctx, access.Decision{Allowed: true, Rule: "oneself"}), nil
	}
	d, err := s.access.Require(ctx, action, access.Site)
	if fault.Is(err, fault.Denied) {
		s.refused(access.WithDecision(ctx, d), action, access.Site, err)
		return ctx, fault.Wrap(err, fault.Missing, "no such thing, or not yours to see")
	}
	return access.WithDecision(ctx, d), err
}

// Tokens lists the caller's own tokens, or all when asked for by whoever has tokens.read on the site.
func (s *Service) Tokens(ctx context.Context, all bool, limit, offset int) ([]Token, int64, error) {
	by, err := s.whose(ctx, all, "tokens.read")
	if err != nil {
		return nil, 0, err
	}
	return listTokens(ctx, s.db, by, limit, offset)
}

// whose is the user whose things are listed; empty for everybody's.
func (s *Service) whose(ctx context.Context, all bool, action access.Action) (string, error) {
	c := access.CallerFrom(ctx)
	if c == nil {
		return "", fault.Wrap(ErrNobody, fault.Unauthenticated, "log in first")
	}
	if all {
		d, err := s.access.Require(ctx, action, access.Site)
		if fault.Is(err, fault.Denied) {
			s.refused(access.WithDecision(ctx, d), action, access.Site, err)
		}
		return "", err
	}
	return creator(c), nil
}
