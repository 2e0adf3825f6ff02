package simulator

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"

	"go.yaml.in/yaml/v3"
)

// A map file names everything by strings; parseMap resolves them once, so that the
// world works with indexes and cannot meet a name that does not exist.
type mapFile struct {
	Name       string       `yaml:"name"`
	Levels     []levelFile  `yaml:"levels"`
	Doors      []doorFile   `yaml:"doors"`
	Lifts      []liftFile   `yaml:"lifts"`
	Dispensers []cellFile   `yaml:"dispensers"`
	Ingestors  []cellFile   `yaml:"ingestors"`
	Beacons    []beaconFile `yaml:"beacons"`
	Zones      []zoneFile   `yaml:"zones"`
	Fleets     []fleetFile  `yaml:"fleets"`
}

type point [2]float64

func (p point) sub(q point) point        { return point{p[0] - q[0], p[1] - q[1]} }
func (p point) distance(q point) float64 { return math.Hypot(p[0]-q[0], p[1]-q[1]) }
func (p point) towards(q point) float64  { return math.Atan2(q[1]-p[1], q[0]-p[0]) }
func (p point) along(q point, t float64) point {
	return point{p[0] + (q[0]-p[0])*t, p[1] + (q[1]-p[1])*t}
}

type levelFile struct {
	Name      string       `yaml:"name"`
	Elevation float64      `yaml:"elevation"`
	Rooms     []roomFile   `yaml:"rooms"`
	Walls     [][]point    `yaml:"walls"`
	Vertices  []vertexFile `yaml:"vertices"`
	Lanes     []laneFile   `yaml:"lanes"`
}

type roomFile struct {
	Name string `yaml:"name"`
	Min  point  `yaml:"min"`
	Max  point  `yaml:"max"`
}

type vertexFile struct {
	ID      string `yaml:"id"`
	Name    string `yaml:"name"`
	At      point  `yaml:"at"`
	Charger bool   `yaml:"charger"`
	Lift    string `yaml:"lift"`
	Mutex   string `yaml:"mutex"`
}

type laneFile struct {
	Along  []string `yaml:"along"`
	OneWay bool     `yaml:"one_way"`
	Speed  float64  `yaml:"speed"`
}

type doorFile struct {
	Name  string `yaml:"name"`
	Level string `yaml:"level"`
	From  point  `yaml:"from"`
	To    point  `yaml:"to"`
	Type  string `yaml:"type"`
}

type liftFile struct {
	Name   string   `yaml:"name"`
	At     point    `yaml:"at"`
	Width  float64  `yaml:"width"`
	Depth  float64  `yaml:"depth"`
	Levels []string `yaml:"levels"`
}

type cellFile struct {
	GUID    string  `yaml:"guid"`
	At      string  `yaml:"at"`
	Seconds float64 `yaml:"seconds"`
}

type beaconFile struct {
	ID       string `yaml:"id"`
	Level    string `yaml:"level"`
	Category string `yaml:"category"`
}

type zoneFile struct {
	Name  string  `yaml:"name"`
	Start string  `yaml:"start"`
	Path  []point `yaml:"path"`
}

type fleetFile struct {
	Name    string      `yaml:"name"`
	Speed   float64     `yaml:"speed"`
	Turn    float64     `yaml:"turn"`
	Tasks   []string    `yaml:"tasks"`
	Actions []string    `yaml:"actions"`
	Battery batteryFile `yaml:"battery"`
	Robots  []robotFile `yaml:"robots"`
}

type batteryFile struct {
	IdleHours   float64 `yaml:"idle_hours"`
	DriveHours  float64 `yaml:"drive_hours"`
	ChargeHours float64 `yaml:"charge_hours"`
}

type robotFile struct {
	Name    string `yaml:"name"`
	Charger string `yaml:"charger"`
}

// Limits of a map file. A real site is far below; a broken file should say so at once.
const (
	maxMapBytes = 8 << 20
	maxVertices = 20_000
	maxMetres   = 100_000
)

// parseMap reads a map file and checks all of it. The error lists everything that is wrong.
func parseMap(text []byte) (*building, error) {
	if len(text) > maxMapBytes {
		return nil, fmt.Errorf("the map is larger than %d MiB", maxMapBytes>>20)
	}
	var file mapFile
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil {
		return nil, fmt.Errorf("read the map: %w", err)
	}
	r := &resolver{
		file: &file, b: &building{name: file.Name},
		levels: map[string]int{}, vertices: map[string]int{}, taken: map[string]bool{},
	}
	r.resolve()
	if len(r.wrong) > 0 {
		return nil, fmt.Errorf("the map is not valid: %w", errors.Join(r.wrong...))
	}
	return r.b, nil
}

// A resolver turns names into indexes and collects what is wrong on the way.
type resolver struct {
	file     *mapFile
	b        *building
	levels   map[string]int
	vertices map[string]int
	taken    map[string]bool
	wrong    []error
}

func (r *resolver) complain(format string, args ...any) {
	if len(r.wrong) < 50 {
		r.wrong = append(r.wrong, fmt.Errorf(format, args...))
	}
}

func (r *resolver) resolve() {
	if r.file.Name == "" {
		r.complain("name: the building needs one")
	}
	if len(r.file.Levels) == 0 {
		r.complain("levels: at least one is needed")
	}
	for i := range r.file.Levels {
		r.level(&r.file.Levels[i])
	}
	r.doors()
	r.lifts()
	for i := range r.file.Levels {
		r.lanes(i)
	}
	r.cells()
	r.zones()
	r.fleets()
	if len(r.wrong) == 0 {
		r.b.graph.index()
		r.reachable()
	}
}

// fresh says whether a name of this kind is given for the first time.
func (r *resolver) fresh(kind, name string) bool {
	key := kind + "\x00" + name
	switch {
	case name == "":
		r.complain("%s: one has no name", kind)
	case r.taken[key]:
		r.complain("%s: %q is there twice", kind, name)
	default:
		r.taken[key] = true
		return true
	}
	return false
}

func (r *resolver) metres(where string, points ...point) bool {
	for _, p := range points {
		for _, v := range p {
			if math.IsNaN(v) || math.Abs(v) > maxMetres {
				r.complain("%s: %v is no place in a building", where, p)
				return false
			}
		}
	}
	return true
}

func (r *resolver) level(f *levelFile) {
	if !r.fresh("level", f.Name) {
		return
	}
	r.metres("level "+f.Name, point{f.Elevation, 0})
	index := len(r.b.levels)
	r.levels[f.Name] = index
	l := level{name: f.Name, elevation: f.Elevation, walls: f.Walls}
	for _, wall := range f.Walls {
		r.metres("walls of "+f.Name, wall...)
	}
	for _, room := range f.Rooms {
		if r.metres("room "+room.Name, room.Min, room.Max) {
			l.rooms = append(l.rooms, room)
		}
	}
	r.b.levels = append(r.b.levels, l)
	for _, v := range f.Vertices {
		id := v.ID
		if id == "" {
			id = v.Name
		}
		if len(r.b.graph.vertices) >= maxVertices {
			r.complain("vertices: more than %d", maxVertices)
			return
		}
		if !r.fresh("vertex", id) || !r.metres("vertex "+id, v.At) {
			continue
		}
		r.vertices[id] = len(r.b.graph.vertices)
		r.b.graph.vertices = append(r.b.graph.vertices, vertex{
			id: id, name: v.Name, level: index, at: v.At, charger: v.Charger, mutex: v.Mutex, lift: -1,
		})
	}
}

func (r *resolver) doors() {
	types := map[string]uint8{
		"": doorSingleSwing, "single_sliding": 1, "double_sliding": 2, "single_telescope": 3,
		"double_telescope": 4, "single_swing": doorSingleSwing, "double_swing": 6,
	}
	for _, f := range r.file.Doors {
		level, known := r.levels[f.Level]
		if !known {
			r.complain("door %s: no level %q", f.Name, f.Level)
			continue
		}
		kind, known := types[f.Type]
		if !known {
			r.complain("door %s: type %q is not one of single_sliding, double_sliding, single_telescope, double_telescope, single_swing, double_swing", f.Name, f.Type)
		}
		if r.fresh("door", f.Name) && r.metres("door "+f.Name, f.From, f.To) {
			r.b.doors = append(r.b.doors, doorway{name: f.Name, level: level, from: f.From, to: f.To, kind: kind})
		}
	}
}

func (r *resolver) lifts() {
	for _, f := range r.file.Lifts {
		if !r.fresh("lift", f.Name) || !r.metres("lift "+f.Name, f.At, point{f.Width, f.Depth}) {
			continue
		}
		shaft := shaft{name: f.Name, at: f.At, width: orElse(f.Width, 2), depth: orElse(f.Depth, 2)}
		for _, name := range f.Levels {
			level, known := r.levels[name]
			if !known || slices.ContainsFunc(shaft.stops, func(s stop) bool { return s.level == level }) {
				r.complain("lift %s: level %q is unknown or there twice", f.Name, name)
				continue
			}
			shaft.stops = append(shaft.stops, stop{level: level, cabin: -1})
		}
		r.b.lifts = append(r.b.lifts, shaft)
	}
	for _, l := range r.file.Levels {
		for _, v := range l.Vertices {
			if v.Lift != "" {
				r.cabin(v)
			}
		}
	}
	for i, s := range r.b.lifts {
		for a := range s.stops {
			if s.stops[a].cabin < 0 {
				r.complain("lift %s: no vertex with this lift on level %s", s.name, r.b.levels[s.stops[a].level].name)
				continue
			}
			for b := range s.stops {
				if b != a && s.stops[b].cabin >= 0 {
					r.b.graph.edges = append(r.b.graph.edges, edge{from: s.stops[a].cabin, to: s.stops[b].cabin, door: -1, ride: i, length: math.Abs(
						r.b.levels[s.stops[a].level].elevation - r.b.levels[s.stops[b].level].elevation)})
				}
			}
		}
	}
}

// cabin ties a vertex to the stop of a lift on its level.
func (r *resolver) cabin(f vertexFile) {
	id := f.ID
	if id == "" {
		id = f.Name
	}
	index, known := r.vertices[id]
	if !known {
		return
	}
	for i := range r.b.lifts {
		if r.b.lifts[i].name != f.Lift {
			continue
		}
		for j := range r.b.lifts[i].stops {
			stop := &r.b.lifts[i].stops[j]
			if stop.level == r.b.graph.vertices[index].level && stop.cabin < 0 {
				stop.cabin = index
				r.b.graph.vertices[index].lift = i
				return
			}
		}
	}
	r.complain("vertex %s: no lift %q stops here, or it has a vertex already", id, f.Lift)
}

func (r *resolver) lanes(level int) {
	for _, f := range r.file.Levels[level].Lanes {
		if len(f.Along) < 2 {
			r.complain("lanes of %s: %v needs two vertices", r.file.Levels[level].Name, f.Along)
		}
		if f.Speed < 0 || math.IsNaN(f.Speed) {
			r.complain("lanes of %s: a speed of %v", r.file.Levels[level].Name, f.Speed)
		}
		for i := 1; i < len(f.Along); i++ {
			a, known := r.vertices[f.Along[i-1]]
			b, also := r.vertices[f.Along[i]]
			if !known || !also || a == b || r.b.graph.vertices[a].level != level || r.b.graph.vertices[b].level != level {
				r.complain("lanes of %s: %s to %s is no lane on this level", r.file.Levels[level].Name, f.Along[i-1], f.Along[i])
				continue
			}
			r.lane(a, b, f.Speed)
			if !f.OneWay {
				r.lane(b, a, f.Speed)
			}
		}
	}
}

func (r *resolver) lane(a, b int, limit float64) {
	from, to := r.b.graph.vertices[a], r.b.graph.vertices[b]
	e := edge{from: a, to: b, door: -1, ride: -1, length: max(from.at.distance(to.at), 0.01), limit: limit}
	for i, d := range r.b.doors {
		if d.level == from.level && crosses(from.at, to.at, d.from, d.to) {
			e.door = i
		}
	}
	r.b.graph.edges = append(r.b.graph.edges, e)
}

// crosses says whether two line segments meet.
func crosses(a, b, c, d point) bool {
	side := func(p, q, r point) float64 {
		u, v := q.sub(p), r.sub(p)
		return u[0]*v[1] - u[1]*v[0]
	}
	return side(a, b, c)*side(a, b, d) <= 0 && side(c, d, a)*side(c, d, b) < 0
}

func (r *resolver) cells() {
	add := func(kind string, files []cellFile, ingestor bool) {
		for _, f := range files {
			at, known := r.vertices[f.At]
			if !known {
				r.complain("%s %s: no vertex %q", kind, f.GUID, f.At)
				continue
			}
			if r.fresh(kind, f.GUID) {
				r.b.cells = append(r.b.cells, workcell{guid: f.GUID, at: at, ingestor: ingestor, seconds: orElse(f.Seconds, 5)})
			}
		}
	}
	add("dispenser", r.file.Dispensers, false)
	add("ingestor", r.file.Ingestors, true)
	for _, f := range r.file.Beacons {
		if _, known := r.levels[f.Level]; !known {
			r.complain("beacon %s: no level %q", f.ID, f.Level)
		} else if r.fresh("beacon", f.ID) {
			r.b.beacons = append(r.b.beacons, f)
		}
	}
}

func (r *resolver) zones() {
	for _, f := range r.file.Zones {
		start, known := r.vertices[f.Start]
		if !known {
			r.complain("zone %s: no vertex %q to start at", f.Name, f.Start)
			continue
		}
		if r.fresh("zone", f.Name) && r.metres("zone "+f.Name, f.Path...) {
			r.b.zones = append(r.b.zones, zone{name: f.Name, start: start, path: f.Path})
		}
	}
}

func (r *resolver) fleets() {
	if len(r.file.Fleets) == 0 {
		r.complain("fleets: at least one is needed")
	}
	for _, f := range r.file.Fleets {
		if !r.fresh("fleet", f.Name) {
			continue
		}
		bat := f.Battery
		for _, v := range []float64{f.Speed, f.Turn, bat.IdleHours, bat.DriveHours, bat.ChargeHours} {
			if v < 0 || math.IsNaN(v) || v > maxMetres {
				r.complain("fleet %s: speed, turn and battery must be positive", f.Name)
			}
		}
		p := fleetPlan{
			name: f.Name, speed: orElse(f.Speed, 0.8), turn: orElse(f.Turn, 1), tasks: f.Tasks, actions: f.Actions,
			idleHours: orElse(bat.IdleHours, 10), driveHours: orElse(bat.DriveHours, 3), chargeHours: orElse(bat.ChargeHours, 1),
		}
		for _, robot := range f.Robots {
			at, known := r.vertices[robot.Charger]
			if !known || !r.b.graph.vertices[at].charger {
				r.complain("robot %s: %q is no charger", robot.Name, robot.Charger)
				continue
			}
			if r.fresh("robot of "+f.Name, robot.Name) && r.fresh("robot at", robot.Charger) {
				p.robots = append(p.robots, robotPlan{name: robot.Name, charger: at})
			}
		}
		if len(p.robots) == 0 {
			r.complain("fleet %s: it has no robot", f.Name)
		}
		r.b.fleets = append(r.b.fleets, p)
	}
}

// reachable checks that a robot can get from anywhere to anywhere: a place without a way
// back would swallow one robot after another.
func (r *resolver) reachable() {
	g := &r.b.graph
	home := r.b.fleets[0].robots[0].charger
	for _, forward := range []bool{true, false} {
		cost := g.distances(home, forward)
		for i, v := range g.vertices {
			if math.IsInf(cost[i], 1) {
				way := "from " + g.vertices[home].id
				if !forward {
					way = "back to " + g.vertices[home].id
				}
				r.complain("vertex %s: no way %s", v.id, way)
			}
		}
	}
}

func orElse(v, fallback float64) float64 {
	if v == 0 {
		return fallback
	}
	return v
}
