package spec

import (
	"fmt"

	"github.com/google/uuid"
)

// maxLibrary bounds how many components one workflow may refer to, directly or not.
const maxLibrary = 2000

// Library holds the components that a document refers to, and those that these refer to.
type Library struct {
	byRef map[CRefVersion]*Component
	// order is as they were first met, each version once.
	order []*Component
	// Newest are the versions that references without a version meant.
	newest map[uuid.UUID]int
}

// A Loader finds one version of a component, or the newest for version 0. Of what is not there it
// returns nil.
type Loader func(CRefVersion) (*Component, error)

// Gather loads everything that c refers to. What is missing is simply not in the library: Check
// says where it is wanted.
func Gather(c *Component, load Loader) (*Library, error) {
	lib := &Library{byRef: map[CRefVersion]*Component{}, newest: map[uuid.UUID]int{}}
	for wanted := References(c); len(wanted) > 0; {
		ref := wanted[0]
		wanted = wanted[1:]
		if _, known := lib.byRef[ref]; known {
			continue
		}
		found, err := load(ref)
		if err != nil {
			return nil, fmt.Errorf("load component %s: %w", ref, err)
		}
		if found == nil {
			lib.byRef[ref] = nil
			continue
		}
		found = lib.keep(ref, found)
		if len(lib.order) > maxLibrary {
			return nil, ErrLibraryTooLarge
		}
		wanted = append(wanted, References(found)...)
	}
	return lib, nil
}

// ErrLibraryTooLarge says that a document refers to more components than can be.
var ErrLibraryTooLarge = fmt.Errorf("a workflow refers to %d components at most", maxLibrary)

// keep remembers a component under its reference. A version is one component, however it was named.
func (l *Library) keep(ref CRefVersion, c *Component) *Component {
	exact := CRefVersion{c.UID, c.Version.Current}
	if known := l.byRef[exact]; known != nil {
		c = known
	} else {
		l.order = append(l.order, c)
		l.byRef[exact] = c
	}
	l.byRef[ref] = c
	if ref.Version == 0 {
		l.newest[ref.UID] = c.Version.Current
	}
	return c
}

// Of is the component that a reference names, or nil.
func (l *Library) Of(r Ref) *Component {
	switch r := r.(type) {
	case *Component:
		return r
	case CRef:
		return l.find(CRefVersion{UID: uuid.UUID(r)})
	case CRefVersion:
		return l.find(r)
	default:
		return nil
	}
}

func (l *Library) find(r CRefVersion) *Component {
	if l == nil {
		return nil
	}
	return l.byRef[r]
}

// Bundle is a library as it is kept with a job, so that the run can be repeated.
type Bundle struct {
	// Components are all versions that the workflow refers to, directly or not.
	Components []*Component `json:"components,omitempty"`
	// Newest says which version references without one meant.
	Newest map[uuid.UUID]int `json:"newest,omitempty"`
}

// Bundle is the library's content.
func (l *Library) Bundle() Bundle { return Bundle{l.order, l.newest} }

// ReadBundle reads what Bundle wrote.
func ReadBundle(text []byte) (*Library, Findings) {
	return read(text, func(r *reader, at *place, v *value) *Library {
		lib := &Library{byRef: map[CRefVersion]*Component{}, newest: map[uuid.UUID]int{}}
		o := r.object(at, v, true, "components", "newest")
		for _, c := range list(o, "components", (*reader).outer) {
			lib.keep(CRefVersion{c.UID, c.Version.Current}, c)
		}
		if at, v := o.member("newest", false); v != nil {
			newest := r.object(at, v, false)
			for _, m := range v.members {
				id, version := r.parseUID(at.at(m.name), m.name), newest.count(m.name)
				if c := lib.byRef[CRefVersion{id, version}]; c != nil {
					lib.keep(CRefVersion{UID: id}, c)
				}
			}
		}
		return lib
	})
}

// String is the uid, with the version if there is one.
func (r CRefVersion) String() string {
	if r.Version == 0 {
		return r.UID.String()
	}
	return fmt.Sprintf("%s version %d", r.UID, r.Version)
}

// References lists the components that c names, in order and each once: not those that stand in it,
// but those named by them as well.
func References(c *Component) []CRefVersion {
	var all []CRefVersion
	seen := map[CRefVersion]bool{}
	var walk func(Ref)
	add := func(r CRefVersion) {
		if !seen[r] {
			seen[r] = true
			all = append(all, r)
		}
	}
	walk = func(r Ref) {
		switch r := r.(type) {
		case CRef:
			add(CRefVersion{UID: uuid.UUID(r)})
		case CRefVersion:
			add(r)
		case *Component:
			for _, child := range Children(r) {
				walk(child.Ref)
			}
		}
	}
	walk(c)
	return all
}

// Child is a component in another one.
type Child struct {
	// Node is the node's id: "mapnode", "nodeTrue" and "nodeFalse" in maps and conditionals.
	Node string
	Ref  Ref
}

// The names of the nodes that maps and conditionals have.
const (
	MapNode   = "mapnode"
	TrueNode  = "nodeTrue"
	FalseNode = "nodeFalse"
)

// Children lists what stands in a component, in order.
func Children(c *Component) []Child {
	switch i := c.Implementation.(type) {
	case *Graph:
		all := make([]Child, len(i.Nodes))
		for n := range i.Nodes {
			all[n] = Child{i.Nodes[n].ID, i.Nodes[n].Node}
		}
		return all
	case *Map:
		return []Child{{MapNode, i.Node}}
	case *Conditional:
		all := []Child{{TrueNode, i.NodeTrue}}
		if i.NodeFalse != nil {
			all = append(all, Child{FalseNode, i.NodeFalse})
		}
		return all
	default:
		return nil
	}
}
