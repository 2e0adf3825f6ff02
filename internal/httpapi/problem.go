package httpapi

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strconv"
	"time"

	"lodge/internal/fault"
)

// What the chain itself has to say. A part's Problem may tell them apart with errors.Is and
// print the words that its clients expect.
var (
	// ErrNoRoute is the answer to an address that nothing is served at.
	ErrNoRoute = fault.New(fault.Missing, "there is nothing at this address")
	// ErrMethod is the answer to a method that an address does not serve; the error at hand is a *MethodError.
	ErrMethod = fault.New(fault.Unsupported, "this method is not served here")
	// ErrStalled is the answer to a body that stopped coming.
	ErrStalled = fault.New(fault.Invalid, "the body stopped coming")
	// ErrPanic stands for a panic in a handler; the log has its stack.
	ErrPanic = errors.New("panic in a handler")
)

// MethodError is ErrMethod with the methods that the address does serve.
type MethodError struct{ Allow string }

// Error names what would be allowed.
func (e *MethodError) Error() string { return ErrMethod.Error() + "; allowed: " + e.Allow }

// Unwrap makes it ErrMethod.
func (e *MethodError) Unwrap() error { return ErrMethod }

// statuses is the one table from kinds to statuses.
var statuses = map[fault.Kind]int{
	fault.Internal:        http.StatusInternalServerError,
	fault.Invalid:         http.StatusBadRequest,
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.Denied:          http.StatusForbidden,
	fault.Missing:         http.StatusNotFound,
	fault.Conflict:        http.StatusConflict,
	fault.TooLarge:        http.StatusRequestEntityTooLarge,
	fault.Exhausted:       http.StatusTooManyRequests,
	fault.Full:            http.StatusInsufficientStorage,
	fault.Upstream:        http.StatusBadGateway,
	fault.Unavailable:     http.StatusServiceUnavailable,
	fault.Timeout:         http.StatusGatewayTimeout,
	fault.Unsupported:     http.StatusUnsupportedMediaType,
}

// Status is the HTTP status of an error, by its kind. A part whose clients expect another one
// for some kind decides that in its own Problem and leaves the rest to this.
func Status(err error) int {
	switch {
	case errors.Is(err, ErrMethod):
		return http.StatusMethodNotAllowed
	case errors.Is(err, ErrStalled):
		return http.StatusRequestTimeout
	}
	return statuses[fault.KindOf(err)]
}

// retryAfter is what clients are told when an error does not say better by a method RetryAfter.
const retryAfter = 5 * time.Second

// refine gives a kind to the errors of the standard library that a handler passed on as they were.
func refine(err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return fault.Wrap(err, fault.TooLarge, "the body is larger than the limit of %d bytes", tooLarge.Limit)
	case errors.Is(err, ErrStalled):
		return err
	case fault.KindOf(err) != fault.Internal:
		return err
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return fault.Wrap(err, fault.Timeout, "this took too long")
	}
	return err
}

// Problem is the platform's JSON shape of an error.
type Problem struct {
	Error ProblemDetail `json:"error"`
}

// ProblemDetail says what went wrong, for machines and for people.
type ProblemDetail struct {
	Kind       string         `json:"kind" doc:"What a caller can do about it" example:"denied"`
	Message    string         `json:"message" doc:"One sentence for people"`
	Permission string         `json:"permission,omitempty" doc:"What was missing" example:"audit.read on site"`
	RequestID  string         `json:"request_id,omitempty" doc:"What to quote when asking for help; it stands in the log"`
	Fields     []ProblemField `json:"fields,omitempty" nullable:"false" doc:"Every finding about the input"`
}

// ProblemField is one finding about the input.
type ProblemField struct {
	Loc     []string `json:"loc" nullable:"false" doc:"Where: body, path, query or header, then names and indexes"`
	Type    string   `json:"type,omitempty" example:"missing"`
	Message string   `json:"message"`
}

// WriteProblem answers with an error in the platform's shape.
func WriteProblem(w http.ResponseWriter, r *http.Request, err error) {
	err = refine(err)
	WriteProblemAs(w, r, Status(err), err)
}

// WriteProblemAs is WriteProblem for a part whose clients expect another status for some kind.
func WriteProblemAs(w http.ResponseWriter, r *http.Request, status int, err error) {
	err = refine(err)
	x := exchangeFrom(r.Context())
	x.report(r, err)
	problemHeaders(w.Header(), err)

	detail := ProblemDetail{Kind: fault.KindOf(err).String(), RequestID: RequestID(r.Context())}
	var f *fault.Error
	var method *MethodError
	switch {
	case errors.As(err, &method):
		detail.Message = method.Error()
	case errors.As(err, &f) && f.Kind != fault.Internal:
		detail.Message, detail.Permission = f.Detail, f.Permission
		for _, field := range f.Fields {
			detail.Fields = append(detail.Fields, ProblemField{append([]string{}, field.Loc...), field.Type, field.Message})
		}
	default:
		detail.Message = "something went wrong on our side; the log has more under this request id"
	}
	_ = JSON(w, status, Problem{detail}) // the client went away: there is nobody left to tell
}

// problemHeaders sets what HTTP asks for beside a status, whatever the shape of the body.
func problemHeaders(h http.Header, err error) {
	var method *MethodError
	if errors.As(err, &method) {
		h.Set("Allow", method.Allow)
	}
	switch fault.KindOf(err) {
	case fault.Unauthenticated:
		h.Set("WWW-Authenticate", "Bearer")
	case fault.Unavailable, fault.Exhausted:
		wait := retryAfter
		var hint interface{ RetryAfter() time.Duration }
		if errors.As(err, &hint) {
			wait = hint.RetryAfter()
		}
		h.Set("Retry-After", strconv.Itoa(max(1, int((wait+time.Second-1)/time.Second))))
	default:
	}
	// What a failed handler meant to say about its body is not about this one.
	for _, name := range []string{"Content-Length", "Content-Disposition", "Etag", "Last-Modified", "Cache-Control", "Content-Encoding", "Accept-Ranges"} {
		h.Del(name)
	}
	h.Set("Cache-Control", "no-store")
}
