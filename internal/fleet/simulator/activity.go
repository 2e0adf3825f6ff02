package simulator

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// A description that asks for more than this is refused: nobody wants it, and it would
// hold a robot for days.
const (
	maxPhases = 500
	maxJobs   = 500
	maxDepth  = 16
)

type jobKind int

const (
	jobGo jobKind = iota
	jobServe
	jobSweep
	jobWait
)

// A job is one thing that a robot does; phases are lists of them, each told as one event.
type job struct {
	kind    jobKind
	name    string
	detail  string
	targets []int // jobGo: whichever is nearest
	cell    int   // jobServe
	zone    int   // jobSweep
	seconds float64
	action  string // the category of a perform_action
	parent  int    // index into groups, -1 for none
}

// A blueprint is a phase as the description asks for it.
type blueprint struct {
	category string
	detail   string
	groups   []group // sequences within sequences
	jobs     []job
	onCancel *blueprint
}

type group struct {
	name   string
	parent int
}

// plan turns a task's category and description into phases, as the adapter of this
// fleet would, or says why this fleet cannot.
func (b *building) plan(f *fleetPlan, category string, description json.RawMessage) ([]blueprint, *apiError) {
	if !slices.Contains(f.tasks, category) {
		return nil, &apiError{codeUnsupported, "Unsupported type", fmt.Sprintf("Fleet [%s] does not support task category [%s]", f.name, category)}
	}
	c := &compiler{b: b, fleet: f}
	var phases []blueprint
	switch category {
	case "patrol":
		phases = c.patrol(description)
	case "delivery":
		phases = c.delivery(description)
	case "clean":
		phases = c.clean(description)
	case "compose":
		phases = c.compose(description)
	default:
		c.fail("the task category [%s] is not known", category)
	}
	if c.wrong == nil && len(phases) == 0 {
		c.fail("the task has no phase")
	}
	return phases, c.wrong
}

// A compiler stops at the first thing that is wrong.
type compiler struct {
	b     *building
	fleet *fleetPlan
	wrong *apiError
	jobs  int
}

func (c *compiler) fail(format string, args ...any) {
	if c.wrong == nil {
		c.wrong = invalid(format, args...)
	}
}

func (c *compiler) decode(text json.RawMessage, into any, what string) bool {
	if len(text) == 0 || string(text) == "null" || json.Unmarshal(text, into) != nil {
		c.fail("%s: is missing or has the wrong type", what)
		return false
	}
	return true
}

func (c *compiler) patrol(text json.RawMessage) (phases []blueprint) {
	var d struct {
		Places []json.RawMessage `json:"places"`
		Rounds *int              `json:"rounds"`
	}
	if !c.decode(text, &d, "description") {
		return nil
	}
	rounds := 1
	if d.Rounds != nil {
		rounds = *d.Rounds
	}
	if len(d.Places) == 0 || rounds < 1 {
		c.fail("description: places needs one item and rounds must be at least 1")
		return nil
	}
	if rounds > maxPhases || rounds*len(d.Places) > maxPhases {
		c.fail("description: more than %d stops", maxPhases)
		return nil
	}
	var round []blueprint
	for _, place := range d.Places {
		round = append(round, single("Go to place", c.goTo(c.place(place))))
	}
	for range rounds {
		phases = append(phases, round...)
	}
	return phases
}

type transfer struct {
	Place   json.RawMessage `json:"place"`
	Handler string          `json:"handler"`
	Payload json.RawMessage `json:"payload"`
}

func (c *compiler) delivery(text json.RawMessage) []blueprint {
	var d struct{ Pickup, Dropoff json.RawMessage }
	if !c.decode(text, &d, "description") {
		return nil
	}
	var phases []blueprint
	for _, step := range []struct {
		name string
		text json.RawMessage
	}{{"pickup", d.Pickup}, {"dropoff", d.Dropoff}} {
		var t transfer
		if !c.decode(step.text, &t, step.name) {
			return nil
		}
		at := c.place(t.Place)
		category := "Pick up"
		if step.name == "dropoff" {
			category = "Drop off"
		}
		phases = append(phases, single("Go to place", c.goTo(at)), single(category, c.serve(step.name, at, t)))
	}
	return phases
}

func (c *compiler) clean(text json.RawMessage) []blueprint {
	var d struct {
		Zone string `json:"zone"`
	}
	if !c.decode(text, &d, "description") {
		return nil
	}
	zone := c.zone(d.Zone)
	if zone < 0 {
		return nil
	}
	start := c.b.zones[zone].start
	return []blueprint{
		single("Go to place", c.goTo(start)),
		single("Clean", job{kind: jobSweep, zone: zone, parent: -1, name: "Clean zone [" + d.Zone + "]", seconds: c.sweepSeconds(zone)}),
	}
}

type activity struct {
	Category    string          `json:"category"`
	Description json.RawMessage `json:"description"`
}

func (c *compiler) compose(text json.RawMessage) (phases []blueprint) {
	var d struct {
		Detail string `json:"detail"`
		Phases []struct {
			Activity activity   `json:"activity"`
			OnCancel []activity `json:"on_cancel"`
		} `json:"phases"`
	}
	if !c.decode(text, &d, "description") {
		return nil
	}
	if len(d.Phases) > maxPhases {
		c.fail("description: more than %d phases", maxPhases)
		return nil
	}
	for i, p := range d.Phases {
		bp := blueprint{category: titleOf(p.Activity.Category), detail: d.Detail}
		c.activity(&bp, p.Activity, -1, 0)
		if len(p.OnCancel) > 0 {
			undo := &blueprint{category: "Cancellation", detail: "What " + bp.category + " asks for when it is canceled"}
			me := undo.group("Sequence", -1)
			for _, a := range p.OnCancel {
				c.activity(undo, a, me, 0)
			}
			bp.onCancel = undo
		}
		if c.wrong == nil && len(bp.jobs) == 0 {
			c.fail("phases/%d: has nothing to do", i)
		}
		phases = append(phases, bp)
	}
	return phases
}

// titleOf makes the words of an activity's name: "go_to_place" is told as "Go to place".
func titleOf(category string) string {
	words := strings.ReplaceAll(category, "_", " ")
	if words == "" {
		return ""
	}
	return strings.ToUpper(words[:1]) + words[1:]
}

func (c *compiler) activity(bp *blueprint, a activity, parent, depth int) {
	if c.jobs++; depth > maxDepth || c.jobs > maxJobs {
		c.fail("description: too many activities, or too deep")
	}
	if c.wrong != nil {
		return
	}
	switch a.Category {
	case "sequence":
		c.sequence(bp, a.Description, parent, depth)
	case "go_to_place":
		c.goSomewhere(bp, a.Description, parent)
	case "pickup", "dropoff":
		var t transfer
		if c.decode(a.Description, &t, a.Category) {
			at := c.place(t.Place)
			me := bp.group(titleOf(a.Category), parent)
			bp.add(c.goTo(at), me)
			bp.add(c.serve(a.Category, at, t), me)
		}
	case "perform_action":
		c.action(bp, a.Description, parent)
	default:
		c.wrong = &apiError{codeUnsupported, "Unsupported type", fmt.Sprintf("Fleet [%s] does not support activity [%s]", c.fleet.name, a.Category)}
	}
}

func (c *compiler) sequence(bp *blueprint, text json.RawMessage, parent, depth int) {
	var list []activity
	name := "Sequence"
	if json.Unmarshal(text, &list) != nil {
		var d struct {
			Activities []activity `json:"activities"`
			Category   string     `json:"category"`
		}
		if !c.decode(text, &d, "sequence") {
			return
		}
		list = d.Activities
		if d.Category != "" {
			name = d.Category
		}
	}
	me := bp.group(name, parent)
	for _, a := range list {
		c.activity(bp, a, me, depth+1)
	}
}

// goSomewhere reads a place, a place with more around it, or several to choose from.
func (c *compiler) goSomewhere(bp *blueprint, text json.RawMessage, parent int) {
	var d struct {
		Place json.RawMessage   `json:"place"`
		OneOf []json.RawMessage `json:"one_of"`
	}
	if json.Unmarshal(text, &d) != nil || d.Place == nil && len(d.OneOf) == 0 {
		bp.add(c.goTo(c.place(text)), parent)
		return
	}
	places := d.OneOf
	if d.Place != nil {
		places = []json.RawMessage{d.Place}
	}
	var targets []int
	for _, p := range places {
		targets = append(targets, c.place(p))
	}
	bp.add(c.goTo(targets...), parent)
}

func (c *compiler) action(bp *blueprint, text json.RawMessage, parent int) {
	var d struct {
		Category    string          `json:"category"`
		Description json.RawMessage `json:"description"`
		Millis      *float64        `json:"unix_millis_action_duration_estimate"`
	}
	if !c.decode(text, &d, "perform_action") {
		return
	}
	if !slices.Contains(c.fleet.actions, d.Category) {
		c.wrong = &apiError{codeUnsupported, "Unsupported type", fmt.Sprintf("Fleet [%s] does not support action [%s]", c.fleet.name, d.Category)}
		return
	}
	j := job{kind: jobWait, action: d.Category, name: "Perform action [" + d.Category + "]", seconds: 10, parent: -1}
	if d.Millis != nil && *d.Millis >= 0 {
		j.seconds = min(*d.Millis/1000, 24*3600)
	}
	var where struct {
		Zone string `json:"zone"`
	}
	if d.Category == "clean" && json.Unmarshal(d.Description, &where) == nil && where.Zone != "" {
		zone := c.zone(where.Zone)
		if zone < 0 {
			return
		}
		parent = bp.group("Clean", parent)
		bp.add(c.goTo(c.b.zones[zone].start), parent)
		j.kind, j.zone, j.seconds = jobSweep, zone, c.sweepSeconds(zone)
	}
	bp.add(j, parent)
}

// group begins a sequence; what follows can name it as its parent.
func (bp *blueprint) group(name string, parent int) int {
	bp.groups = append(bp.groups, group{name, parent})
	return len(bp.groups) - 1
}

func (bp *blueprint) add(j job, parent int) {
	j.parent = parent
	bp.jobs = append(bp.jobs, j)
}

func single(category string, j job) blueprint {
	j.parent = -1
	return blueprint{category: category, detail: j.name, jobs: []job{j}}
}

// place is a waypoint's name or index, alone or with an orientation. A wrong one is noted
// and stands for the first vertex.
func (c *compiler) place(text json.RawMessage) int {
	var with struct {
		Waypoint json.RawMessage `json:"waypoint"`
	}
	if json.Unmarshal(text, &with) == nil && with.Waypoint != nil {
		text = with.Waypoint
	}
	var name *string
	if json.Unmarshal(text, &name) == nil && name != nil {
		if at, known := c.b.graph.names[*name]; known {
			return at
		}
		c.fail("waypoint name [%s] cannot be found in the navigation graph", *name)
		return 0
	}
	var index *int
	if json.Unmarshal(text, &index) == nil && index != nil && *index >= 0 && *index < len(c.b.graph.vertices) {
		return *index
	}
	c.fail("place: must be the name or the index of a waypoint")
	return 0
}

func (c *compiler) goTo(targets ...int) job {
	j := job{kind: jobGo, targets: targets, parent: -1}
	var names []string
	for _, t := range targets {
		names = append(names, "[place:"+c.b.graph.vertices[t].id+"]")
	}
	j.name = "Go to " + strings.Join(names, " or ")
	return j
}

// serve is loading or unloading. Without a handler it is the cell at the place, and
// where there is none somebody does it by hand.
func (c *compiler) serve(step string, at int, t transfer) job {
	verb, ingestor := "Pick up from", false
	if step == "dropoff" {
		verb, ingestor = "Drop off at", true
	}
	for i, cell := range c.b.cells {
		if cell.ingestor == ingestor && (cell.guid == t.Handler || t.Handler == "" && cell.at == at) {
			return job{kind: jobServe, cell: i, name: fmt.Sprintf("%s [%s]", verb, cell.guid), detail: items(t.Payload), seconds: cell.seconds, parent: -1}
		}
	}
	if t.Handler != "" {
		c.fail("%s: there is no handler [%s]", step, t.Handler)
	}
	return job{kind: jobWait, name: fmt.Sprintf("%s [%s] by hand", verb, c.b.graph.vertices[at].id), detail: items(t.Payload), seconds: 5, parent: -1}
}

// items tells a payload in words. What cannot be read is left out: the payload is for people.
func items(payload json.RawMessage) string {
	type item struct {
		SKU      string  `json:"sku"`
		Quantity float64 `json:"quantity"`
	}
	var list []item
	if json.Unmarshal(payload, &list) != nil {
		var one item
		if json.Unmarshal(payload, &one) != nil {
			return ""
		}
		list = []item{one}
	}
	var words []string
	for _, i := range list {
		if i.SKU != "" {
			words = append(words, fmt.Sprintf("%g × %s", i.Quantity, i.SKU))
		}
	}
	return strings.Join(words, ", ")
}

func (c *compiler) zone(name string) int {
	for i, z := range c.b.zones {
		if z.name == name {
			return i
		}
	}
	c.fail("zone [%s] is not known", name)
	return -1
}

func (c *compiler) sweepSeconds(zone int) float64 {
	z, total := &c.b.zones[zone], 0.0
	here := c.b.graph.vertices[z.start].at
	for _, p := range z.path {
		total += here.distance(p)
		here = p
	}
	return total / (c.fleet.speed * sweepPace)
}
