// Package fastapi reads requests as FastAPI and pydantic read them, and says what is wrong with
// them in their words: clients of the original depend on both. It knows nothing of fleets.
//
// A request is a struct whose fields carry the tags path or query, and one field named Body for
// JSON, as for httpapi.Decode, which documents the same structs. In bodies a field is required
// unless its tag says required:"false"; then null means absent as well. A pointer that is required
// must be there but may be null. Unknown fields are dropped.
//
// Tags that are checked: enum (with one value it is a literal), minimum, exclusiveMinimum, maximum,
// minItems, default (parameters only).
package fastapi

import (
	"encoding/json"
	"strings"

	"lodge/internal/fault"
)

// Finding is one thing that is wrong with a request.
type Finding struct {
	Type string `json:"type" example:"missing"`
	// Loc leads there: body, query or path, then names and indexes.
	Loc   []any           `json:"loc" nullable:"false"`
	Msg   string          `json:"msg"`
	Input json.RawMessage `json:"input"`
	Ctx   map[string]any  `json:"ctx,omitempty"`
}

// Findings is everything that is wrong with a request, as an error of the kind fault.Invalid.
type Findings []Finding

// Error names the first findings.
func (f Findings) Error() string {
	var b strings.Builder
	for i, one := range f {
		if i == 3 {
			b.WriteString("; …")
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		for j, step := range one.Loc {
			if j > 0 {
				b.WriteByte('.')
			}
			text, _ := json.Marshal(step)
			b.WriteString(strings.Trim(string(text), `"`))
		}
		b.WriteString(": " + one.Msg)
	}
	return b.String()
}

// Unwrap gives the kind.
func (f Findings) Unwrap() error { return fault.New(fault.Invalid, "%s", f.Error()) }

// Err is the findings as an error, nil when there are none.
func (f Findings) Err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// Missing is the finding about something that was not sent.
func Missing(loc ...any) Finding {
	return Finding{Type: "missing", Loc: loc, Msg: "Field required", Input: json.RawMessage("null")}
}
