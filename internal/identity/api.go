package identity

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"lodge/internal/access"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
)

// Me is the caller as they see themselves.
type Me struct {
	ID         string        `json:"id" doc:"Empty for service tokens, which are no users"`
	Issuer     string        `json:"issuer"`
	Subject    string        `json:"subject"`
	Name       string        `json:"name"`
	Email      string        `json:"email"`
	Admin      bool          `json:"admin"`
	Roles      []access.Role `json:"roles" nullable:"false" doc:"Those given in Lodge and those of the token"`
	Credential Credential    `json:"credential"`
	// Actions lets the console show what the caller may use, and nothing else.
	Actions map[string][]access.Group `json:"actions" nullable:"false" doc:"What the caller may do, and on which groups; * is all of them"`
}

// Credential says how the caller was recognised.
type Credential struct {
	Kind string `json:"kind" enum:"bearer,session,token,header"`
	ID   string `json:"id"`
}

type pageRequest struct {
	httpapi.PageQuery
	All bool `query:"all" doc:"Everybody's instead of one's own"`
}

type sessionsRequest struct {
	pageRequest
	User string `query:"user" maxLength:"36" doc:"One person's, by id"`
}

type idRequest struct {
	ID string `path:"id" maxLength:"36"`
}

type tokenBody struct {
	Body struct {
		TokenRequest
		TTL string `json:"ttl,omitempty" example:"720h" doc:"How long it lasts; a year when empty, ten at most"`
	}
}

// NewToken is a service token with its secret, which is shown this once.
type NewToken struct {
	Token
	Secret string `json:"token" doc:"The token itself. It is shown this once and kept nowhere."`
}

type loginRequest struct {
	Next     string `query:"next" doc:"Where to go afterwards: a path of this site" example:"/ui/"`
	Provider string `query:"provider" doc:"Which of several providers, counted from 0"`
}

type callbackRequest struct {
	Code  string `query:"code"`
	State string `query:"state"`
	Error string `query:"error"`
	Iss   string `query:"iss"`
}

type pageFileRequest struct {
	File string `path:"file" enum:"styles.css,logo.svg"`
}

type keySetAnswer struct {
	Keys []map[string]any `json:"keys" nullable:"false" doc:"Public keys as JWK"`
}

// Routes lists everything that identity serves.
func (s *Service) Routes() []httpapi.Route {
	me, login := []string{"me"}, []string{"login"}
	return []httpapi.Route{
		{Method: "GET", Path: "/api/v1/me", Action: string(access.Self), Handle: s.handleMe, Doc: httpapi.Doc{
			ID: "getMe", Summary: "Who am I?", Description: "The caller, how they were recognised, and what they may do.", Tags: me, Response: Me{}, Errors: []int{401},
		}},
		{Method: "GET", Path: "/api/v1/tokens", Action: string(access.Self), Handle: s.handleTokens, Doc: httpapi.Doc{
			ID: "listTokens", Summary: "List service tokens", Description: "One's own; with all=true everybody's, which needs tokens.read on site.",
			Tags: me, Request: pageRequest{}, Response: httpapi.Page[Token]{}, Errors: []int{401, 403},
		}},
		{Method: "POST", Path: "/api/v1/tokens", Action: string(access.Self), Handle: s.handleCreateToken, Doc: httpapi.Doc{
			ID: "createToken", Summary: "Create a service token",
			Description: "A token never exceeds whoever creates it: its roles may carry only rights that the creator has; administration, claims and a client_id are for administrators. The answer holds the token, this once.",
			Tags:        me, Request: tokenBody{}, Response: NewToken{}, Status: http.StatusCreated, Errors: []int{400, 401, 403},
		}},
		{Method: "DELETE", Path: "/api/v1/tokens/{id}", Action: string(access.Self), Handle: s.handleRevokeToken, Doc: httpapi.Doc{
			ID: "revokeToken", Summary: "Revoke a service token", Description: "One's own, or any with tokens.write on site. It is refused from then on.",
			Tags: me, Request: idRequest{}, Status: http.StatusNoContent, Errors: []int{401, 404},
		}},
		{Method: "GET", Path: "/api/v1/sessions", Action: string(access.Self), Handle: s.handleSessions, Doc: httpapi.Doc{
			ID: "listSessions", Summary: "List browser sessions", Description: "One's own that are alive; with all=true everybody's, with user=ID that person's, which needs sessions.read on site.",
			Tags: me, Request: sessionsRequest{}, Response: httpapi.Page[Session]{}, Errors: []int{401, 403},
		}},
		{Method: "DELETE", Path: "/api/v1/sessions/{id}", Action: string(access.Self), Handle: s.handleRevokeSession, Doc: httpapi.Doc{
			ID: "revokeSession", Summary: "End a browser session", Description: "One's own, or any with sessions.write on site. Every tab is logged out at once.",
			Tags: me, Request: idRequest{}, Status: http.StatusNoContent, Errors: []int{401, 404},
		}},
		{Method: "GET", Path: loginPath, Action: httpapi.Public, Handle: s.handleLogin, Doc: httpapi.Doc{
			ID: "login", Summary: "Log in with a browser", Description: "Sends the browser to the provider and, when it comes back, to next.",
			Tags: login, Request: loginRequest{}, Stream: "text/html", Status: http.StatusSeeOther, Errors: []int{502},
		}},
		{Method: "GET", Path: callbackPath, Action: httpapi.Public, Handle: s.handleCallback, Doc: httpapi.Doc{
			ID: "loginCallback", Summary: "Come back from the provider", Description: "Where the provider sends the browser to. Each login can end once, in the browser that began it.",
			Tags: login, Request: callbackRequest{}, Stream: "text/html", Status: http.StatusSeeOther, Errors: []int{400, 403, 502},
		}},
		{Method: "GET", Path: servicehubPath, Action: httpapi.Public, Handle: s.handleCallback, Doc: httpapi.Doc{
			ID: "loginCallbackAlias", Summary: "Come back from the provider, where ServiceHub's client is registered", Tags: login,
			Request: callbackRequest{}, Stream: "text/html", Status: http.StatusSeeOther, Errors: []int{400, 403, 502},
		}},
		{Method: "POST", Path: backchannelPath, Action: httpapi.Public, Handle: s.handleBackchannel, Limits: httpapi.Limits{Body: 2 * maxToken}, Doc: httpapi.Doc{
			ID: "backchannelLogout", Summary: "Hear from a provider that somebody has logged out there", Description: "Ends the login that the token names, or all of its subject's, as OpenID Connect Back-Channel Logout says.",
			Tags: login, Form: backchannelForm{}, Stream: "text/plain", Status: http.StatusOK, Errors: []int{400},
		}},
		{Method: "POST", Path: "/auth/logout", Action: httpapi.Public, Handle: s.handleLogout, Doc: httpapi.Doc{
			ID: "logout", Summary: "Log out", Description: "Ends the session in every tab, and says where it ends at the provider.",
			Tags: login, Response: LogoutAnswer{}, Errors: []int{403},
		}},
		{Method: "GET", Path: "/auth/page/{file}", Action: httpapi.Public, Handle: s.handlePageFile, Doc: httpapi.Doc{
			ID: "getPageFile", Summary: "The style and the logo of the login's pages", Tags: login, Request: pageFileRequest{}, Stream: "text/css", Errors: []int{404},
		}},
		{Method: "GET", Path: "/.well-known/jwks.json", Action: httpapi.Public, Handle: s.handleKeys, Doc: httpapi.Doc{
			ID: "getKeys", Summary: "Public keys of service tokens", Description: "For whoever else wants to verify them.", Tags: login, Response: keySetAnswer{},
		}},
	}
}

func (s *Service) handleMe(w http.ResponseWriter, r *http.Request) error {
	c := access.CallerFrom(r.Context())
	me := Me{
		ID: c.UserID, Issuer: c.Issuer, Subject: c.Subject, Name: c.Name, Email: c.Email, Admin: c.Admin,
		Roles: slices.Sorted(slices.Values(c.Roles)), Credential: Credential{c.Credential.Kind, c.Credential.ID}, Actions: map[string][]access.Group{},
	}
	if me.Roles == nil {
		me.Roles = []access.Role{}
	}
	for _, info := range s.access.Catalogue() {
		groups, all, err := s.access.Groups(r.Context(), info.Action)
		if err != nil {
			return err
		}
		if all {
			groups = []access.Group{access.Everywhere}
		}
		if len(groups) > 0 {
			me.Actions[string(info.Action)] = groups
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	return httpapi.JSON(w, http.StatusOK, me)
}

func (s *Service) handleTokens(w http.ResponseWriter, r *http.Request) error {
	req, err := httpapi.Decode[pageRequest](r)
	if err != nil {
		return err
	}
	list, total, err := s.Tokens(r.Context(), req.All, req.Limit, req.Offset)
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, httpapi.Page[Token]{Items: list, Total: total, Limit: req.Limit, Offset: req.Offset})
}

func (s *Service) handleCreateToken(w http.ResponseWriter, r *http.Request) error {
	req, err := httpapi.Decode[tokenBody](r)
	if err != nil {
		return err
	}
	asked := req.Body.TokenRequest
	if asked.TTL, err = parseTTL(req.Body.TTL); err != nil {
		return err
	}
	t, jwt, err := s.CreateToken(r.Context(), asked)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return httpapi.JSON(w, http.StatusCreated, NewToken{t, jwt.Reveal()})
}

func parseTTL(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	ttl, err := time.ParseDuration(text)
	if err != nil || ttl <= 0 {
		return 0, fault.InvalidFields(fault.Field{Loc: []string{"body", "ttl"}, Type: "value", Message: fmt.Sprintf("%q is not a duration: write a number with a unit, such as 90m or 720h", clip(text, 50))})
	}
	return ttl, nil
}

func (s *Service) handleRevokeToken(w http.ResponseWriter, r *http.Request) error {
	if err := s.RevokeToken(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	return httpapi.NoContent(w)
}

func (s *Service) handleSessions(w http.ResponseWriter, r *http.Request) error {
	req, err := httpapi.Decode[sessionsRequest](r)
	if err != nil {
		return err
	}
	list, total, err := s.Sessions(r.Context(), req.All, req.User, req.Limit, req.Offset)
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, httpapi.Page[Session]{Items: list, Total: total, Limit: req.Limit, Offset: req.Offset})
}

func (s *Service) handleRevokeSession(w http.ResponseWriter, r *http.Request) error {
	if err := s.RevokeSession(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	return httpapi.NoContent(w)
}

func (s *Service) handleKeys(w http.ResponseWriter, _ *http.Request) error {
	raw, err := s.own.public.MarshalJSON()
	if err != nil {
		return fmt.Errorf("write keys: %w", err)
	}
	w.Header().Set("Cache-Control", "public, max-age=300")
	return httpapi.JSON(w, http.StatusOK, map[string]any{"keys": []json.RawMessage{raw}})
}
