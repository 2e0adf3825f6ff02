package identity

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	// attemptTTL is how long somebody may take to log in.
	attemptTTL = 15 * time.Minute
	// maxAttempts bounds the logins that one browser may have under way, in as many tabs.
	maxAttempts = 5
	// attemptPrefix begins the names of their cookies.
	attemptPrefix = "lodge_login_"
)

// attempt is a login under way. The browser keeps it, sealed, until it comes back from the
// provider, so that it can end on any replica and costs us nothing while it does not.
type attempt struct {
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"`
	Next     string `json:"x"`
	Provider int    `json:"p"`
	Until    int64  `json:"u"`
}

func randomText() string { return base64.RawURLEncoding.EncodeToString(randomBytes(32)) }

// attemptCookie names the cookie of the attempt with this state.
func (s *Service) attemptCookie(state string) string {
	sum := sha256.Sum256([]byte(state))
	return s.prefixed(attemptPrefix + hex.EncodeToString(sum[:8]))
}

// saveAttempt hands an attempt to the browser, and takes back the oldest when it has too many.
func (s *Service) saveAttempt(w http.ResponseWriter, r *http.Request, a attempt) error {
	body, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("save login attempt: %w", err)
	}
	sealed, err := seal(s.own.sealing, body)
	if err != nil {
		return fmt.Errorf("save login attempt: %w", err)
	}
	type old struct {
		name  string
		until int64
	}
	var others []old
	for _, c := range r.Cookies() {
		if strings.HasPrefix(c.Name, s.prefixed(attemptPrefix)) {
			o, err := s.openAttempt(c.Value)
			if err != nil {
				o.Until = 0 // not ours, or over: goes first
			}
			others = append(others, old{c.Name, o.Until})
		}
	}
	slices.SortFunc(others, func(a, b old) int { return int(b.until - a.until) })
	for i, o := range others {
		if i >= maxAttempts-1 || o.until == 0 {
			s.setCookie(w, o.name, "", 0)
		}
	}
	s.setCookie(w, s.attemptCookie(a.State), base64.RawURLEncoding.EncodeToString(sealed), attemptTTL)
	return nil
}

func (s *Service) openAttempt(value string) (attempt, error) {
	var a attempt
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil || len(value) > 8<<10 {
		return a, errors.New("unreadable")
	}
	body, err := open(s.own.sealing, sealed)
	if err != nil {
		return a, errors.New("not sealed by us")
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return a, errors.New("unreadable")
	}
	if s.now().Unix() >= a.Until {
		return attempt{}, errors.New("took too long")
	}
	return a, nil
}

// takeAttempt finds the attempt that a provider's answer belongs to, this once.
func (s *Service) takeAttempt(w http.ResponseWriter, r *http.Request, state string) (attempt, error) {
	name := s.attemptCookie(state)
	cookies := r.CookiesNamed(name)
	if state == "" || len(cookies) != 1 {
		return attempt{}, errors.New("this browser did not begin the login, or it took too long")
	}
	s.setCookie(w, name, "", 0)
	a, err := s.openAttempt(cookies[0].Value)
	if err != nil {
		return attempt{}, err
	}
	if subtle.ConstantTimeCompare([]byte(a.State), []byte(state)) != 1 {
		return attempt{}, errors.New("the state is another")
	}
	now := s.now()
	if !s.attempts.add("attempt "+state, struct{}{}, now, now.Add(attemptTTL)) {
		return attempt{}, errors.New("it has been used already")
	}
	return a, nil
}
