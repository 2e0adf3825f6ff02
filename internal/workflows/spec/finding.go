package spec

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Finding is one thing that is wrong with a document.
type Finding struct {
	// Pointer is the place, as RFC 6901 writes it.
	Pointer  string   `json:"pointer"`
	Code     Code     `json:"code"`
	Severity Severity `json:"severity" enum:"error,unready,warning"`
	// Message says in plain words what is wrong and what would be right.
	Message string `json:"message"`
}

// Severity says what a finding stands in the way of.
type Severity string

// The severities: an error keeps a version from being published and run, what is unready only from
// being run, a warning from nothing.
const (
	Error   Severity = "error"
	Unready Severity = "unready"
	Warning Severity = "warning"
)

// Code is a stable word for a finding.
type Code string

// The codes.
const (
	CodeJSON        Code = "json"        // no JSON at all
	CodeSchema      Code = "schema"      // a wrong type, a bad form, something missing
	CodeUnknown     Code = "unknown"     // a member that there is not
	CodeReference   Code = "reference"   // a component that there is not, or that contains itself
	CodeCycle       Code = "cycle"       // nodes that wait for each other
	CodeUnreachable Code = "unreachable" // a node that never runs, or that nothing is connected with
	CodePort        Code = "port"        // an edge to nowhere
	CodeFed         Code = "fed"         // a port that is fed more than once
	CodeMissing     Code = "missing"     // a port that nothing feeds
	CodeType        Code = "type"        // ports whose types do not fit
	CodeName        Code = "name"        // names that clash
	CodeCondition   Code = "condition"   // a condition that cannot be decided
	CodeMap         Code = "map"         // a map without a list
	CodeContainer   Code = "container"   // a container that cannot run
	CodeValue       Code = "value"       // an input value that does not fit
	CodeSize        Code = "size"        // too large or too deep
)

// Findings are all that were found, in the order of the document.
type Findings []Finding

// KeepFromPublishing are those that stand in the way of publishing.
func (f Findings) KeepFromPublishing() Findings {
	return f.only(func(x Finding) bool { return x.Severity == Error })
}

// KeepFromRunning are those that stand in the way of a run.
func (f Findings) KeepFromRunning() Findings {
	return f.only(func(x Finding) bool { return x.Severity != Warning })
}

func (f Findings) only(is func(Finding) bool) Findings {
	var some Findings
	for _, x := range f {
		if is(x) {
			some = append(some, x)
		}
	}
	return some
}

// Under are the findings with a place in front of their pointers.
func (f Findings) Under(pointer string) Findings {
	moved := slices.Clone(f)
	for i := range moved {
		moved[i].Pointer = pointer + moved[i].Pointer
	}
	return moved
}

// String is one line a finding.
func (f Findings) String() string {
	lines := make([]string, len(f))
	for i, x := range f {
		lines[i] = x.String()
	}
	return strings.Join(lines, "\n")
}

// String is the finding on one line.
func (f Finding) String() string {
	return cmp.Or(f.Pointer, "/") + ": " + f.Message
}

// place is where one is in a document. It becomes text only when there is something to say.
type place struct {
	parent *place
	name   string
	index  int // -1 when there is a name
}

func (p *place) at(name string) *place { return &place{parent: p, name: name, index: -1} }
func (p *place) nth(i int) *place      { return &place{parent: p, index: i} }

var escapePointer = strings.NewReplacer("~", "~0", "/", "~1")

// String is the JSON pointer; that of the whole document is empty.
func (p *place) String() string {
	var steps []string
	for ; p != nil && p.parent != nil; p = p.parent {
		step := escapePointer.Replace(p.name)
		if p.index >= 0 {
			step = strconv.Itoa(p.index)
		}
		steps = append(steps, step)
	}
	slices.Reverse(steps)
	if len(steps) == 0 {
		return ""
	}
	return "/" + strings.Join(steps, "/")
}
