package fleet

import (
	"errors"
	"net/http"
	"strings"

	"lodge/internal/fault"
	"lodge/internal/fleet/fastapi"
	"lodge/internal/httpapi"
	"lodge/internal/identity"
)

// HTTPValidationError is the shape of every error here: a sentence, or a list of findings.
type HTTPValidationError struct {
	Detail []fastapi.Finding `json:"detail" nullable:"false" doc:"One sentence instead of the list, for every status but 422"`
}

// answerError is an error whose status and detail clients depend on.
type answerError struct {
	status int
	detail any
	kind   fault.Kind
}

func (e *answerError) Error() string {
	text, _ := e.detail.(string)
	if text == "" {
		text = "the request was refused"
	}
	return text
}

// Unwrap gives the kind, by which the edge logs and counts.
func (e *answerError) Unwrap() error { return fault.New(e.kind, "%s", e.Error()) }

// unprocessable is a 422 with a sentence.
func unprocessable(sentence string) error {
	return &answerError{http.StatusUnprocessableEntity, sentence, fault.Invalid}
}

// errTimedOut says that RMF did not answer, in the words that clients know.
var errTimedOut = &answerError{http.StatusInternalServerError, "rmf service timed out", fault.Timeout}

// errNotFound is what does not exist, or is not the caller's to see.
var errNotFound = fault.New(fault.Missing, "Not Found")

// writeProblem answers with an error as the original does.
func writeProblem(w http.ResponseWriter, r *http.Request, err error) {
	status, detail := problem(r, err)
	permission := ""
	if status == http.StatusForbidden {
		permission = permissionOf(err)
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	_ = httpapi.JSON(w, status, struct { // the client went away: there is nobody left to tell
		Detail     any    `json:"detail"`
		Permission string `json:"permission,omitempty"`
	}{detail, permission})
}

// permissionOf is the permission that an error says is missing, or "".
func permissionOf(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Permission
	}
	return ""
}

func problem(r *http.Request, err error) (status int, detail any) {
	var answer *answerError
	var found fastapi.Findings
	var f *fault.Error
	switch {
	case errors.As(err, &answer):
		return answer.status, answer.detail
	case errors.As(err, &found):
		return http.StatusUnprocessableEntity, found
	case fault.Is(err, fault.Unauthenticated):
		return http.StatusUnauthorized, unauthenticated(r, err)
	case fault.Is(err, fault.Denied):
		return http.StatusForbidden, "Forbidden"
	case errors.Is(err, httpapi.ErrNoRoute):
		return http.StatusNotFound, "Not Found"
	case errors.Is(err, httpapi.ErrMethod):
		return http.StatusMethodNotAllowed, "Method Not Allowed"
	case !errors.As(err, &f) || f.Kind == fault.Internal:
		return http.StatusInternalServerError, "Internal Server Error"
	case len(f.Fields) > 0:
		return http.StatusUnprocessableEntity, sentences(f.Fields)
	default:
		return httpapi.Status(err), f.Detail
	}
}

// sentences is the platform's findings as one sentence.
func sentences(fields []fault.Field) string {
	var list []string
	for _, f := range fields {
		list = append(list, f.Message)
	}
	return strings.Join(list, "; ")
}

func unauthenticated(r *http.Request, err error) string {
	switch {
	case errors.Is(err, identity.ErrScheme):
		return "invalid bearer format"
	case r == nil || strings.TrimSpace(r.Header.Get("Authorization")) == "":
		return "Not authenticated"
	}
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Detail
	}
	return "Not authenticated"
}
