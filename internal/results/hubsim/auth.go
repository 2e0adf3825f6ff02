package hubsim

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// token makes a token that proves itself, so that none needs to be remembered.
func (s *Sim) token(kind string, ttl time.Duration) string {
	body := fmt.Sprintf("sim.%s.%d.%d", kind, s.now().Add(ttl).UnixMilli(), s.epoch)
	return body + "." + s.sign(body)
}

func (s *Sim) sign(body string) string {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

func (s *Sim) valid(kind, token string) bool {
	i := strings.LastIndexByte(token, '.')
	if i < 0 || !hmac.Equal([]byte(s.sign(token[:i])), []byte(token[i+1:])) {
		return false
	}
	parts := strings.Split(token[:i], ".")
	var expires, epoch int64
	if _, err := fmt.Sscan(parts[2]+" "+parts[3], &expires, &epoch); err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return parts[1] == kind && epoch == s.epoch && s.now().UnixMilli() < expires
}

func (s *Sim) handleToken(w http.ResponseWriter, r *http.Request) {
	var in map[string]string
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&in); err != nil {
		s.refuse(w, http.StatusBadRequest, "BAD_REQUEST", "The request is not valid.")
		return
	}
	given := ""
	switch grant := in["grant_type"]; {
	case grant == "robot_credentials" && s.opts.Generation != "c":
		given = in["secret"]
	case grant == "client_credentials" && s.opts.Generation != "a":
		given = in["client_secret"]
	case grant == "password":
		given = in["password"]
	case grant == "refresh_token" && s.valid("refresh", in["refresh_token"]):
		s.mu.Lock()
		given = s.secret
		s.mu.Unlock()
	default:
		s.refuse(w, http.StatusBadRequest, "OAUTH_GRANT_INVALID", "The grant is not valid.")
		return
	}
	s.mu.Lock()
	s.logins++
	good := s.secret == "" || s.secret == given
	answer := map[string]any{
		"access_token": s.token("access", s.opts.TokenTTL), "expires_in": int(s.opts.TokenTTL.Seconds()),
		"token_type": "Bearer", "scope": "global",
	}
	if strings.Contains("password refresh_token", in["grant_type"]) {
		answer["refresh_token"] = s.token("refresh", 24*s.opts.TokenTTL)
	}
	s.mu.Unlock()
	if !good {
		s.refuse(w, http.StatusBadRequest, "CREDENTIALS_INVALID", "The credentials are invalid.")
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

func (s *Sim) authorised(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") || !s.valid("access", token) {
			s.refuse(w, http.StatusUnauthorized, "TOKEN_INVALID", "The token is not valid.")
			return
		}
		next(w, r)
	}
}
