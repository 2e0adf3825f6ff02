package identity

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"golang.org/x/oauth2"

	"lodge/internal/access"
	"lodge/internal/audit"
	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
)

// Session is a browser's login as people see it.
type Session struct {
	ID        string     `json:"id"`
	UserID    string     `json:"user_id"`
	UserName  string     `json:"user_name"`
	UserAgent string     `json:"user_agent"`
	Address   string     `json:"address"`
	Created   time.Time  `json:"created_at"`
	Seen      time.Time  `json:"seen_at" doc:"The last request, to the minute"`
	Expires   time.Time  `json:"expires_at"`
	Revoked   *time.Time `json:"revoked_at"`
	Current   bool       `json:"current" doc:"Whether this very request came by it"`
}

// cookieName is the session cookie's. Behind TLS the prefix keeps other hosts from setting it.
func (s *Service) cookieName() string { return s.prefixed("lodge_session") }

func (s *Service) prefixed(name string) string {
	if s.secure() {
		return "__Host-" + name
	}
	return name
}

// sessionCookie gives the cookie's value. Two of them mean that somebody else set one: neither counts.
func (s *Service) sessionCookie(r *http.Request) string {
	cookies := r.CookiesNamed(s.cookieName())
	if len(cookies) != 1 || len(cookies[0].Value) > 100 {
		return ""
	}
	return cookies[0].Value
}

// setCookie sets one of our cookies; an empty value removes it.
func (s *Service) setCookie(w http.ResponseWriter, name, value string, lasts time.Duration) {
	age := int(lasts.Seconds())
	if value == "" {
		age = -1
	}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // G124: Secure wherever people reach us by TLS
		Name: name, Value: value, Path: "/", MaxAge: age, HttpOnly: true, Secure: s.secure(), SameSite: http.SameSiteLaxMode,
	})
}

// sessionKeys derives from a cookie's value the session's id and what is stored of the secret.
// The id is a part of the hash, so it gives nothing away.
func sessionKeys(value string) (id, hash string) {
	sum := sha256.Sum256([]byte(value))
	return uuid.UUID(sum[:16]).String(), hex.EncodeToString(sum[:])
}

// sessionCaller makes the caller of a session; nil when the cookie is not good, or no longer.
func (s *Service) sessionCaller(ctx context.Context, value string) (*access.Caller, error) {
	id, hash := sessionKeys(value)
	row, err := s.sessionByID(ctx, id)
	if fault.Is(err, fault.Unauthenticated) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(hash), []byte(row.hash)) != 1 {
		return nil, nil
	}
	return s.callerOf(ctx, row)
}

// callerOf makes the caller of a session's row; nil when the session is over.
func (s *Service) callerOf(ctx context.Context, row *sessionRow) (*access.Caller, error) {
	if !s.live(row) {
		return nil, nil
	}
	u, err := s.access.Known(ctx, row.UserID)
	if fault.Is(err, fault.Denied) || fault.Is(err, fault.Unauthenticated) {
		return nil, nil // disabled or removed since
	}
	if err != nil {
		return nil, err
	}
	if now := s.now(); now.Sub(row.Seen) >= time.Minute {
		s.touch("sessions", row.ID, now)
	}
	return &access.Caller{
		UserID: u.ID, Issuer: u.Issuer, Subject: u.Subject, Name: u.Name, Email: u.Email,
		Credential: access.Credential{Kind: "session", ID: row.ID}, Roles: union(u.Roles, row.claims.Roles), Admin: u.Admin, Claims: row.claims.Claims,
	}, nil
}

// live says whether a session still lets somebody in.
func (s *Service) live(row *sessionRow) bool {
	now := s.now()
	return row.Revoked == nil && now.Before(row.Expires) && now.Sub(row.Seen) <= s.cfg.SessionIdle
}

// sessionByID gives the row, at most a second old.
func (s *Service) sessionByID(ctx context.Context, id string) (*sessionRow, error) {
	now := s.now()
	if row, ok := s.sessions.get(id, now); ok {
		return row, nil
	}
	mark := s.sessions.mark(id)
	row, err := readSession(ctx, s.db, id)
	if fault.Is(err, fault.Missing) {
		return nil, bad("session %s is unknown", id)
	}
	if err != nil {
		return nil, err
	}
	s.sessions.put(id, row, now.Add(fresh), mark)
	return row, nil
}

// sameOrigin refuses writes that another site may have made the browser send, and the opening of
// WebSockets, which browsers let every site do. With proof, a request that does not say where it
// comes from needs a header that forms and images cannot have.
func (s *Service) sameOrigin(r *http.Request, proof bool) error {
	socket := strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		if !socket {
			return nil
		}
		alike := *r
		alike.Method = http.MethodPost
		r = &alike
	}
	refuse := func(err error) error {
		return fault.Wrap(err, fault.Denied, "this request came from another site, or does not say where from; send it from Lodge's own pages, with the header X-Lodge-CSRF: 1, or with a token")
	}
	if err := s.origins.Check(r); err != nil {
		return refuse(err)
	}
	if proof && r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "" && r.Header.Get("X-Lodge-CSRF") != "1" {
		return refuse(errors.New("no sign of where it came from"))
	}
	return nil
}

// startSession begins a session for whoever has just logged in, ends the one the browser had, and
// sets the cookie.
func (s *Service) startSession(w http.ResponseWriter, r *http.Request, u access.User, v *verified, token *oauth2.Token) error {
	value := base64.RawURLEncoding.EncodeToString(randomBytes(32))
	id, hash := sessionKeys(value)
	hint, err := seal(hintKey(value), []byte(idToken(token)))
	if err != nil {
		return err
	}
	now := s.now().UTC().Truncate(time.Microsecond)
	row := &sessionRow{hash: hash, claims: sessionClaims{Issuer: v.issuer, Subject: v.subject, Roles: v.roles, Claims: v.claims, Hint: hint}}
	row.Session = Session{
		ID: id, UserID: u.ID, UserName: u.Name, UserAgent: clip(r.UserAgent(), 255), Address: clip(httpapi.ClientAddress(r.Context()), 64),
		Created: now, Seen: now, Expires: now.Add(s.cfg.SessionTTL),
	}
	if err := s.keepRefresh(row, token.RefreshToken); err != nil {
		return err
	}
	ctx := access.WithCaller(r.Context(), &access.Caller{
		UserID: u.ID, Issuer: v.issuer, Subject: v.subject, Name: u.Name, Credential: access.Credential{Kind: "session", ID: id},
	})
	old, _ := sessionKeys(s.sessionCookie(r))
	err = s.db.Tx(ctx, func(tx *database.Tx) error {
		if _, err := revoke(ctx, tx, "sessions", old, now); err != nil {
			return err
		}
		if err := insertSession(ctx, tx, row); err != nil {
			return err
		}
		return s.audit.Record(ctx, tx, audit.Entry{
			Action: "login", Group: string(access.Site), Object: "session " + id, Outcome: "allowed", Rule: "login at " + v.issuer, Detail: u.Name + " logged in",
		})
	})
	if err != nil {
		return fmt.Errorf("start session: %w", err)
	}
	s.announce("session", old)
	s.setCookie(w, s.cookieName(), value, s.cfg.SessionTTL)
	return nil
}

// endSession revokes a session and writes it down.
func (s *Service) endSession(ctx context.Context, id, action, detail string) error {
	err := s.db.Tx(ctx, func(tx *database.Tx) error {
		ended, err := revoke(ctx, tx, "sessions", id, s.now())
		if err != nil || !ended {
			return err
		}
		return s.audit.Record(ctx, tx, audit.Entry{
			Action: action, Group: string(access.Site), Object: "session " + id, Outcome: "allowed",
			Rule: access.DecisionFrom(ctx).Rule, Detail: detail,
		})
	})
	if err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	s.announce("session", id)
	return nil
}

// RevokeSession ends a session of the caller's own, or any for whoever has sessions.write on the site.
func (s *Service) RevokeSession(ctx context.Context, id string) error {
	row, err := readSession(ctx, s.db, id)
	if err != nil {
		return err
	}
	if ctx, err = s.mine(ctx, row.UserID, "sessions.write"); err != nil {
		return err
	}
	return s.endSession(ctx, id, "sessions.write", fmt.Sprintf("session of %s ended", row.UserName))
}

// Sessions lists the caller's own live sessions; for whoever has sessions.read on the site also all,
// or those of one user.
func (s *Service) Sessions(ctx context.Context, all bool, user string, limit, offset int) ([]Session, int64, error) {
	own, err := s.whose(ctx, all || user != "", "sessions.read")
	if err != nil {
		return nil, 0, err
	}
	if user == "" {
		user = own
	}
	live, args := liveSessions(s.now(), s.cfg.SessionIdle)
	list, total, err := listSessions(ctx, s.db, user, live, args, limit, offset)
	for i := range list {
		list[i].Current = list[i].ID == access.CallerFrom(ctx).Credential.ID
	}
	return list, total, err
}

// EndSessions ends every session of a user: when they are disabled, or have a new password.
func (s *Service) EndSessions(ctx context.Context, userID, why string) error {
	live, args := liveSessions(s.now(), s.cfg.SessionIdle)
	for {
		list, _, err := listSessions(ctx, s.db, userID, live, args, 100, 0)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, one := range list {
			if err := s.endSession(ctx, one.ID, "sessions.write", why); err != nil {
				return err
			}
		}
	}
}

// clip makes a text of a stranger's fit for a column.
func clip(t string, limit int) string {
	t = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(t, "?"))
	for i := range t {
		if i > limit-4 {
			return t[:i]
		}
	}
	return t
}

// randomBytes never fails: crypto/rand ends the program instead.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// hintKey seals what only whoever has the cookie may read.
func hintKey(value string) []byte {
	key, err := hkdf.Key(sha256.New, []byte(value), nil, "lodge session hint", 32)
	if err != nil {
		return nil // which no cipher takes
	}
	return key
}

// seal encrypts and signs.
func seal(key, plaintext []byte) ([]byte, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, plaintext, nil), nil //nolint:gosec // G407: this AEAD makes a random nonce itself
}

// open undoes seal, or fails for whatever seal did not make.
func open(key, sealed []byte) ([]byte, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, nil, sealed, nil)
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}
