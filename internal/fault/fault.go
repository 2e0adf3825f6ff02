// Package fault holds the few kinds of failure that Lodge tells apart. Whoever
// knows what went wrong creates the error with its kind; httpapi alone turns
// kinds into HTTP statuses, each part in the shape that its clients expect.
package fault

import (
	"errors"
	"fmt"
)

// Kind says what a caller can do about an error.
type Kind int

// The kinds. An error without a kind is Internal: its text never reaches a client.
const (
	Internal        Kind = iota
	Invalid              // the request is wrong; sending it again will not help
	Unauthenticated      // nobody, or not who they say
	Denied               // known, but not permitted
	Missing              // no such thing, or not theirs to see
	Conflict             // the present state does not allow it
	TooLarge             // over a limit of size
	Exhausted            // over a limit of rate or number
	Full                 // no room left to store it
	Upstream             // a system behind us answered wrongly
	Unavailable          // a system that we need is away; try again later
	Timeout              // a system behind us did not answer in time
	Unsupported          // this method or media type is not served
)

var names = map[Kind]string{
	Internal: "internal", Invalid: "invalid", Unauthenticated: "unauthenticated", Denied: "denied",
	Missing: "missing", Conflict: "conflict", TooLarge: "too_large", Exhausted: "exhausted", Full: "full",
	Upstream: "upstream", Unavailable: "unavailable", Timeout: "timeout", Unsupported: "unsupported",
}

// String is the kind's name as it stands in JSON errors and metrics.
func (k Kind) String() string { return names[k] }

// Field is one finding about one place in the input.
type Field struct {
	// Loc leads to the place: "body", "path", "query" or "header", then names and indexes.
	Loc []string
	// Type is a stable word for the finding, such as "missing".
	Type string
	// Message says what is wrong and what would be right.
	Message string
	// Input is what was sent, or nil.
	Input any
}

// Error is a failure with a kind and a sentence that the client may read.
type Error struct {
	Kind   Kind
	Detail string
	// Fields lists every finding when the input as a whole was invalid.
	Fields []Field
	// Permission names what was missing when Kind is Denied, such as "audit.read on site".
	Permission string
	// Err is the cause, for the log only.
	Err error
}

// Error is for logs and the command line: the sentence, then the cause.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Detail
	}
	return e.Detail + ": " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// New makes an error of a kind with a sentence for the client.
func New(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

// Wrap gives err a kind and a sentence for the client; the text of err stays in the log.
// A nil err stays nil.
func Wrap(err error, kind Kind, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...), Err: err}
}

// InvalidFields reports every finding about the input at once.
func InvalidFields(fields ...Field) error {
	return &Error{Kind: Invalid, Detail: "the request is not valid", Fields: fields}
}

// KindOf is the kind of the outermost *Error in err's chain, or Internal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Is reports whether err is of the kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }
