package results

import (
	"errors"
	"net/http"
	"strings"

	"lodge/internal/fault"
	"lodge/internal/httpapi"
	"lodge/internal/identity"
)

// HTTPValidationError is the shape of every error here: a sentence, or a list of findings.
type HTTPValidationError struct {
	Detail []ValidationError `json:"detail" nullable:"false" doc:"One sentence instead of the list, for every status but 422"`
}

// ValidationError is one finding about the input, as FastAPI reports it.
type ValidationError struct {
	Type  string         `json:"type" example:"missing"`
	Loc   []string       `json:"loc" nullable:"false"`
	Msg   string         `json:"msg"`
	Input any            `json:"input"`
	Ctx   map[string]any `json:"ctx,omitempty"`
}

// The sentences that callers know for what the chain decides.
const (
	notAuthenticated   = "Not authenticated"
	invalidCredentials = "Invalid authentication credentials"
	malformedToken     = "JWT is malformed" //nolint:gosec // it is no credential
	providerAway       = "Auth provider is unavailable"
)

// writeProblem answers with an error as the original does.
func (s *Service) writeProblem(w http.ResponseWriter, r *http.Request, err error) {
	status, detail := s.problem(r, err)
	if status == http.StatusForbidden {
		w.Header().Del("WWW-Authenticate")
	}
	_ = httpapi.JSON(w, status, struct { // the client went away: there is nobody left to tell
		Detail any `json:"detail"`
	}{detail})
}

func (s *Service) problem(r *http.Request, err error) (status int, detail any) {
	var f *fault.Error
	switch {
	case errors.Is(err, identity.ErrProvider):
		return http.StatusBadGateway, providerAway
	case fault.Is(err, fault.Unauthenticated):
		return s.unauthenticated(r)
	case errors.Is(err, httpapi.ErrNoRoute):
		return http.StatusNotFound, "Not Found"
	case errors.Is(err, httpapi.ErrMethod):
		return http.StatusMethodNotAllowed, "Method Not Allowed"
	case !errors.As(err, &f) || f.Kind == fault.Internal:
		return http.StatusInternalServerError, "Internal Server Error"
	case len(f.Fields) > 0:
		return http.StatusUnprocessableEntity, findings(f.Fields)
	default:
		return httpapi.Status(err), f.Detail
	}
}

// unauthenticated tells callers without a login from those with a bad one. The original answers 403
// to both; its successor answers 401 to the first.
func (s *Service) unauthenticated(r *http.Request) (int, string) {
	scheme, token, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	switch {
	case strings.TrimSpace(token) == "":
		return s.cfg.UnauthenticatedStatus, notAuthenticated
	case !strings.EqualFold(scheme, "Bearer"):
		return s.cfg.UnauthenticatedStatus, invalidCredentials
	default:
		return http.StatusForbidden, malformedToken
	}
}

func findings(fields []fault.Field) []ValidationError {
	list := make([]ValidationError, 0, len(fields))
	for _, f := range fields {
		finding := ValidationError{Type: f.Type, Loc: f.Loc, Msg: f.Message, Input: f.Input}
		switch f.Type {
		case "value_error":
			finding.Ctx = map[string]any{"error": map[string]any{}}
		case "uuid_parsing":
			_, flaw, _ := strings.Cut(f.Message, ", ")
			finding.Ctx = map[string]any{"error": flaw}
		}
		list = append(list, finding)
	}
	return list
}

// missingField is the finding about something that was not sent.
func missingField(in, name string) fault.Field {
	return fault.Field{Loc: []string{in, name}, Type: "missing", Message: "Field required"}
}

// hubFault is the hub's error as callers know it: a hub that cannot be reached is a bad gateway, not
// a service of ours that is away. One that is still making a bucket is there, and asks for patience.
func hubFault(err error) error {
	var f *fault.Error
	if errors.As(err, &f) && f.Kind == fault.Unavailable && !errors.Is(err, errNotProvisioned) {
		return fault.Wrap(err, fault.Upstream, "%s", f.Detail)
	}
	return err
}

// storeFault is an error of the object store as callers know it.
func storeFault(err error) error {
	var f *fault.Error
	switch {
	case err == nil, errors.As(err, &f) && f.Kind != fault.Unavailable && f.Kind != fault.Internal && f.Kind != fault.Upstream:
		return err
	default:
		return fault.Wrap(err, fault.Upstream, "Unexpected error from object store")
	}
}
