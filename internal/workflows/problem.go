package workflows

import (
	"errors"
	"net/http"
	"strings"

	"lodge/internal/fault"
	"lodge/internal/httpapi"
	"lodge/internal/identity"
	"lodge/internal/workflows/spec"
)

// Failure is the shape of every error here.
type Failure struct {
	Code    int    `json:"code" doc:"The HTTP status"`
	Summary string `json:"summary"`
	Detail  string `json:"detail"`
	// Findings is beyond the original.
	Findings spec.Findings `json:"findings,omitempty" nullable:"false" doc:"Everything that is wrong with a document"`
}

// summarised gives an error the short text that clients know.
type summarised struct {
	summary string
	err     error
}

func (e *summarised) Error() string { return e.summary + ": " + e.err.Error() }
func (e *summarised) Unwrap() error { return e.err }

// workspaceFailure is an error of a route that has a shape of its own.
type workspaceFailure struct {
	doing string
	err   error
}

func (e *workspaceFailure) Error() string { return e.doing + ": " + e.err.Error() }
func (e *workspaceFailure) Unwrap() error { return e.err }

// errNotAcceptable is an answer that the client does not take.
var errNotAcceptable = errors.New("not acceptable")

// writeProblem answers with an error as the original does, with a status that says what is wrong.
func (s *Service) writeProblem(w http.ResponseWriter, r *http.Request, err error) {
	s.headers(w.Header())
	f := failure(r, err)
	if f.Code < http.StatusInternalServerError && f.Code != http.StatusUnauthorized {
		w.Header().Del("WWW-Authenticate")
	}
	var workspace *workspaceFailure
	if errors.As(err, &workspace) && f.Code != http.StatusUnauthorized {
		_ = httpapi.JSON(w, f.Code, map[string]string{"Error": "error " + workspace.doing + " workspace: " + f.Detail + "\n"}) // nobody is left to tell
		return
	}
	_ = httpapi.JSON(w, f.Code, f) // the client went away: there is nobody left to tell
}

// failure is what a client reads of an error.
func failure(r *http.Request, err error) Failure {
	f := Failure{Code: httpapi.Status(err), Detail: detail(err)}
	var known *summarised
	if errors.As(err, &known) {
		f.Summary = known.summary
	}
	var invalid *InvalidError
	if errors.As(err, &invalid) {
		f.Findings = invalid.Findings
		if f.Summary == "" {
			f.Summary = "cannot read request"
		}
	}
	switch {
	case errors.Is(err, identity.ErrProvider):
		return Failure{Code: http.StatusServiceUnavailable, Summary: "could not authenticate", Detail: "the issuer's keys cannot be had now"}
	case fault.Is(err, fault.Unauthenticated):
		return Failure{Code: http.StatusBadRequest, Summary: "could not authenticate", Detail: unauthenticated(r, err)}
	case errors.Is(err, httpapi.ErrNoRoute):
		f.Summary = "404 page not found"
	case errors.Is(err, httpapi.ErrMethod):
		f.Summary = "method not allowed"
	case errors.Is(err, errNotAcceptable):
		f.Code, f.Summary = http.StatusNotAcceptable, "Accept media type not acceptable"
	case errors.Is(err, errInProgress):
		f.Code, f.Summary = http.StatusLocked, "job in progress"
	case fault.Is(err, fault.Denied) && claims401(r):
		return Failure{Code: http.StatusUnauthorized, Summary: "Authorization Denied", Detail: "not authorized"}
	}
	if f.Summary == "" {
		f.Summary = strings.ToLower(http.StatusText(f.Code))
	}
	return f
}

// claims401 are the routes whose clients know 401 for what is not permitted.
func claims401(r *http.Request) bool {
	return strings.Contains(r.URL.Path, "/api/v1/secrets/") || strings.Contains(r.URL.Path, "/api/v1/volumes/") ||
		strings.TrimSuffix(r.URL.Path, "/") != "" && strings.HasSuffix(strings.TrimSuffix(r.URL.Path, "/"), "/api/v1/workspaces") && r.Method == http.MethodPost
}

// maxDetail bounds the text of an error; the findings are whole.
const maxDetail = 4000

func detail(err error) string {
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind == fault.Internal {
		return "something went wrong on our side; the log has more under this request id"
	}
	text := f.Detail
	for _, field := range f.Fields {
		text += "; " + strings.Join(field.Loc, ".") + ": " + field.Message
	}
	if len(text) > maxDetail {
		text = strings.ToValidUTF8(text[:maxDetail], "") + "…"
	}
	return text
}

// unauthenticated says why a caller is not believed, in the words that clients know.
func unauthenticated(r *http.Request, err error) string {
	switch {
	case r.Header.Get("Authorization") == "":
		return "no Authorization header given"
	case errors.Is(err, identity.ErrScheme):
		return "bad Authorization header"
	case strings.Contains(err.Error(), "expired"):
		return "authentication error: token expired"
	case strings.Contains(err.Error(), "audience"):
		return "authentication error: invalid token `aud`"
	case strings.Contains(err.Error(), "issuer"):
		return "authentication error: invalid token `iss`"
	default:
		return "authentication error: token not valid"
	}
}
