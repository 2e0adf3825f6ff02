package apps

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lodge/internal/access"
	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
)

// An app's host never sees Lodge's own cookie. It has one of its own, which is tied to the login, the
// person and this very host, and is worth nothing once the login is over. It is handed over so:
//
//	app host:  no cookie → a state in a cookie, 302 to the main host
//	main host: permission → a code for this host and this state, once, for half a minute
//	app host:  code and state cookie → the cookie, 303 to the address asked for
const (
	codeTTL   = 30 * time.Second
	stateTTL  = 10 * time.Minute
	cookieTTL = 12 * time.Hour
)

// pass is what an app host's cookie holds, sealed.
type appPass struct {
	Login string `json:"l"`
	User  string `json:"u"`
	Host  string `json:"h"`
	Until int64  `json:"t"`
}

// code is what a one-time code stands for.
type code struct {
	Login string `json:"login"`
	User  string `json:"user"`
	Host  string `json:"host"`
	State string `json:"state"`
	To    string `json:"to"`
}

func (s *Service) cookieName(name string) string {
	if s.public.Scheme == "https" {
		return "__Host-" + name
	}
	return name
}

const (
	passCookie  = "lodge-app"
	stateCookie = "lodge-app-state"
)

func (s *Service) setCookie(w http.ResponseWriter, name, value string, lasts time.Duration) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // G124: Secure wherever people reach us by TLS
		Name: s.cookieName(name), Value: value, Path: "/", MaxAge: int(lasts.Seconds()), HttpOnly: true,
		Secure: s.public.Scheme == "https", SameSite: http.SameSiteLaxMode,
	})
}

// seal encrypts and signs what only we may write.
func (s *Service) seal(v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(s.sealing.Seal(nil, nil, text, []byte("lodge app pass"))), nil //nolint:gosec // G407: this AEAD makes its own nonce
}

func (s *Service) unseal(sealed string, v any) error {
	text, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return err
	}
	if text, err = s.sealing.Open(nil, nil, text, []byte("lodge app pass")); err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}

// aeadOf makes the cipher of a key, once: it is used at every request.
func aeadOf(key string) (cipher.AEAD, error) {
	secret, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// whoAtHost finds who asks at an app's host: by its cookie, else by a token or the trusted header.
func (f *front) whoAtHost(r *http.Request) (ctx context.Context, consumed bool, err error) {
	ctx = r.Context()
	if c := f.passCaller(r); c != nil {
		return access.WithCaller(ctx, c), false, nil
	}
	// Lodge's own cookie has no business here, whoever sent it.
	alike := r.WithContext(ctx)
	alike.Header = r.Header.Clone()
	cleanCookies(alike.Header)
	leaveForeignScheme(alike)
	if ctx, err = f.identity.Authenticate(alike); err != nil {
		return nil, false, err
	}
	consumed = access.CallerFrom(ctx) != nil && alike.Header.Get("Authorization") != ""
	f.dropTrusted(r, alike)
	return ctx, consumed, nil
}

// leaveForeignScheme hides from the gate what is no token: an app may have a login of its own.
func leaveForeignScheme(r *http.Request) {
	values := r.Header["Authorization"]
	if len(values) != 1 {
		return // several are refused
	}
	if scheme, _, _ := strings.Cut(strings.TrimSpace(values[0]), " "); !strings.EqualFold(scheme, "bearer") {
		delete(r.Header, "Authorization")
	}
}

// dropTrusted takes out of r what the gate took out of its copy: the trusted header in all spellings.
func (f *front) dropTrusted(r, checked *http.Request) {
	for name := range r.Header {
		if _, kept := checked.Header[name]; !kept && name != "Cookie" && name != "Authorization" {
			delete(r.Header, name)
		}
	}
}

// passCaller is who the app host's cookie stands for; nil if nobody.
func (f *front) passCaller(r *http.Request) *access.Caller {
	cookies := r.CookiesNamed(f.cookieName(passCookie))
	if len(cookies) != 1 || len(cookies[0].Value) > 1000 {
		return nil
	}
	var p appPass
	label, _ := f.label(httpapi.Host(r))
	if f.unseal(cookies[0].Value, &p) != nil || p.Host != label || f.now().Unix() >= p.Until {
		return nil
	}
	c, err := f.identity.SessionCaller(r.Context(), p.Login)
	if err != nil || c.UserID != p.User {
		return nil
	}
	return c
}

// whoAtHome finds who asks on Lodge's own host, and leads browsers without a login to it.
func (f *front) whoAtHome(w http.ResponseWriter, r *http.Request) (ctx context.Context, consumed, ok bool) {
	alike := r.Clone(r.Context())
	leaveForeignScheme(alike)
	ctx, err := f.identity.Authenticate(alike)
	f.dropTrusted(r, alike)
	if err != nil {
		f.refuse(w, r, err)
		return nil, false, false
	}
	if access.CallerFrom(ctx) != nil {
		return ctx, alike.Header.Get("Authorization") != "", true
	}
	if navigation(r) && f.cfg.Routing != Alone {
		toLogin(w, r.URL.RequestURI())
		return nil, false, false
	}
	f.refuse(w, r, fault.New(fault.Unauthenticated, "log in first"))
	return nil, false, false
}

func toLogin(w http.ResponseWriter, next string) {
	w.Header().Set("Location", "/auth/login?"+url.Values{"next": {next}}.Encode())
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusFound)
}

// handOver sends a browser that has no cookie here to the main host for one.
func (f *front) handOver(w http.ResponseWriter, r *http.Request) {
	label, _ := f.label(httpapi.Host(r))
	if !navigation(r) {
		f.refuse(w, r, fault.New(fault.Unauthenticated, "log in first"))
		return
	}
	state := rand.Text()
	f.setCookie(w, stateCookie, state, stateTTL)
	to := f.public.Scheme + "://" + f.public.Host + "/auth/app?" + url.Values{"host": {label}, "state": {hashed(state)}, "to": {r.URL.RequestURI()}}.Encode()
	w.Header().Set("Location", to)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusFound)
}

func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// handleAuthApp is the main host's part: whoever is logged in and may open the app gets a code.
func (s *Service) handleAuthApp(w http.ResponseWriter, r *http.Request) error {
	ctx, q := r.Context(), r.URL.Query()
	host, state, to := strings.ToLower(q.Get("host")), q.Get("state"), q.Get("to")
	c := access.CallerFrom(ctx)
	if c == nil {
		toLogin(w, r.URL.RequestURI())
		return nil
	}
	if c.Credential.Kind != "session" {
		return fault.New(fault.Invalid, "only a browser's login can be handed over")
	}
	if len(state) != sha256.Size*2 || strings.Trim(state, "0123456789abcdef") != "" {
		return fault.New(fault.Invalid, "this address was not made by Lodge")
	}
	t, err := s.locateHost(ctx, host+"."+s.cfg.HostSuffix)
	if err != nil {
		return err
	}
	p := &passage{target: t, caller: c}
	if err := s.front.mayPass(ctx, p); err != nil {
		return err
	}
	if p.foreign && q.Get("visit") != "yes" {
		q.Set("visit", "yes")
		s.front.show(w, r, http.StatusOK, page{
			Title: "This app session is " + t.owner.Name + "'s", Lead: "You may use it, as somebody who helps. That is recorded, and " + t.owner.Name + " is told.",
			Onward: r.URL.Path + "?" + q.Encode(),
		})
		return nil
	}
	if !localPath(to) {
		to = "/"
	}
	secret := rand.Text() + rand.Text()
	body, err := json.Marshal(code{Login: c.Credential.ID, User: c.UserID, Host: host, State: state, To: to})
	if err != nil {
		return err
	}
	if _, err := s.store.db.Exec(ctx, "INSERT INTO app_codes (code_hash, body, expires_at) VALUES (?, ?, ?)", hashed(secret), string(body), micros(s.now().Add(codeTTL))); err != nil {
		return err
	}
	w.Header().Set("Location", s.public.Scheme+"://"+t.host+ownPath+"enter?code="+secret)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusFound)
	return nil
}

// enter is the app host's part: the code, once, in the browser that asked for it.
func (f *front) enter(w http.ResponseWriter, r *http.Request) {
	c, err := f.takeCode(r.Context(), r.URL.Query().Get("code"))
	label, _ := f.label(httpapi.Host(r))
	states := r.CookiesNamed(f.cookieName(stateCookie))
	if err != nil || c.Host != label || len(states) != 1 || hashed(states[0].Value) != c.State {
		f.refuse(w, r, fault.Wrap(errors.Join(err, errors.New("code, host or state do not fit")), fault.Denied, "this login was not begun in this browser, or took too long; open the app again"))
		return
	}
	sealed, err := f.seal(appPass{Login: c.Login, User: c.User, Host: c.Host, Until: f.now().Add(cookieTTL).Unix()})
	if err != nil {
		f.refuse(w, r, err)
		return
	}
	f.setCookie(w, stateCookie, "", -time.Second)
	f.setCookie(w, passCookie, sealed, cookieTTL)
	w.Header().Set("Location", c.To)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusSeeOther)
}

// takeCode uses a code up. Of several who bring the same one gets it.
func (f *front) takeCode(ctx context.Context, secret string) (code, error) {
	var c code
	if len(secret) > 200 || secret == "" {
		return c, errors.New("no code")
	}
	err := f.store.db.Tx(ctx, func(tx *database.Tx) error {
		var body string
		var expires int64
		err := tx.QueryRow(ctx, "SELECT body, expires_at FROM app_codes WHERE code_hash = ?", hashed(secret)).Scan(&body, &expires)
		if errors.Is(err, sql.ErrNoRows) {
			return errNoRow
		}
		if err != nil {
			return err
		}
		result, err := tx.Exec(ctx, "DELETE FROM app_codes WHERE code_hash = ?", hashed(secret))
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, errNoRow)
		}
		if f.now().After(moment(expires)) {
			c = code{}
			return nil
		}
		return json.Unmarshal([]byte(body), &c)
	})
	if err == nil && c.Host == "" {
		err = errors.New("the code has expired")
	}
	return c, err
}

// handleOpen sends everybody to their own copy of an app.
func (s *Service) handleOpen(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	c := access.CallerFrom(ctx)
	if c == nil {
		toLogin(w, r.URL.RequestURI())
		return nil
	}
	a, err := s.entry(ctx, AppID(r.PathValue("app")))
	if err != nil {
		return err
	}
	if ctx, err = s.may(ctx, Open, a); err != nil {
		return err
	}
	name := r.URL.Query().Get("name")
	if !validName(name) {
		return fault.New(fault.Invalid, "this is no name of an app session")
	}
	owner, _ := ownerOf(c)
	if owner, err = s.store.ensureOwner(ctx, owner, s.now()); err != nil {
		return err
	}
	path := r.URL.Query().Get("path")
	if !localPath(path) {
		path = "/"
	}
	base := s.url(Session{App: a.ID, Name: name, Host: hostLabel(a.ID, owner.Slug, name)})
	w.Header().Set("Location", strings.TrimSuffix(base, "/")+path)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusSeeOther)
	return nil
}
