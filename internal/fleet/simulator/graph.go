package simulator

import (
	"container/heap"
	"math"
)

// A building is a map file resolved: everything refers to everything else by index.
type building struct {
	name    string
	levels  []level
	graph   graph
	doors   []doorway
	lifts   []shaft
	cells   []workcell
	beacons []beaconFile
	zones   []zone
	fleets  []fleetPlan
}

type level struct {
	name      string
	elevation float64
	rooms     []roomFile
	walls     [][]point
}

type doorway struct {
	name     string
	level    int
	from, to point
	kind     uint8
}

type shaft struct {
	name         string
	at           point
	width, depth float64
	stops        []stop
}

type stop struct{ level, cabin int }

// stopAt is the position of a level among the lift's stops, or -1.
func (s *shaft) stopAt(level int) int {
	for i := range s.stops {
		if s.stops[i].level == level {
			return i
		}
	}
	return -1
}

type workcell struct {
	guid     string
	at       int
	ingestor bool
	seconds  float64
}

type zone struct {
	name  string
	start int
	path  []point
}

type fleetPlan struct {
	name                               string
	speed, turn                        float64
	tasks, actions                     []string
	idleHours, driveHours, chargeHours float64
	robots                             []robotPlan
}

type robotPlan struct {
	name    string
	charger int
}

// A graph is where robots may drive.
type graph struct {
	vertices []vertex
	edges    []edge
	out, in  [][]int
	names    map[string]int
}

type vertex struct {
	id, name string
	level    int
	at       point
	charger  bool
	mutex    string
	lift     int
}

// An edge is one lane in one direction. Ride is the lift that it is travelled in, or -1.
type edge struct {
	from, to      int
	door, ride    int
	length, limit float64
}

// What crossing a door and taking a lift cost a robot, in seconds; a plan weighs them
// against a longer way round.
const (
	doorSeconds = 6
	liftSeconds = 25
	// A lane's cost is reckoned at this speed, whatever the fleet's is.
	planSpeed = 0.8
)

func (g *graph) index() {
	g.out, g.in = make([][]int, len(g.vertices)), make([][]int, len(g.vertices))
	for i, e := range g.edges {
		g.out[e.from] = append(g.out[e.from], i)
		g.in[e.to] = append(g.in[e.to], i)
	}
	g.names = make(map[string]int, len(g.vertices))
	for i, v := range g.vertices {
		if v.name != "" {
			g.names[v.name] = i
		}
	}
}

// seconds is what an edge costs.
func (g *graph) seconds(e *edge) float64 {
	switch {
	case e.ride >= 0:
		return liftSeconds + e.length
	case e.door >= 0:
		return doorSeconds + e.length/speedOn(e, planSpeed)
	default:
		return e.length / speedOn(e, planSpeed)
	}
}

func speedOn(e *edge, speed float64) float64 {
	if e.limit > 0 {
		return min(e.limit, speed)
	}
	return speed
}

// route is the cheapest way from one vertex to another as edges, empty when they are the same.
// Extra, when not nil, adds to the cost of entering a vertex; it lets a robot plan around others.
func (g *graph) route(from, to int, extra func(vertex int) float64) ([]int, bool) {
	if from == to {
		return nil, true
	}
	cost, via := g.search(from, to, true, extra)
	if math.IsInf(cost[to], 1) {
		return nil, false
	}
	n := 0
	for v := to; v != from; v = g.edges[via[v]].from {
		n++
	}
	path := make([]int, n)
	for v := to; v != from; v = g.edges[via[v]].from {
		n--
		path[n] = via[v]
	}
	return path, true
}

// distances are the seconds from one vertex to all, or with forward false from all to it.
func (g *graph) distances(at int, forward bool) []float64 {
	cost, _ := g.search(at, -1, forward, nil)
	return cost
}

func (g *graph) search(from, to int, forward bool, extra func(int) float64) (cost []float64, via []int) {
	cost, via = make([]float64, len(g.vertices)), make([]int, len(g.vertices))
	for i := range cost {
		cost[i], via[i] = math.Inf(1), -1
	}
	cost[from] = 0
	edges := g.out
	if !forward {
		edges = g.in
	}
	open := frontier{{from, 0}}
	for len(open) > 0 {
		here := heap.Pop(&open).(reached)
		if here.vertex == to {
			break
		}
		if here.cost > cost[here.vertex] {
			continue
		}
		for _, i := range edges[here.vertex] {
			next := g.edges[i].to
			if !forward {
				next = g.edges[i].from
			}
			c := here.cost + g.seconds(&g.edges[i])
			if extra != nil {
				c += extra(next)
			}
			if c < cost[next] {
				cost[next], via[next] = c, i
				heap.Push(&open, reached{next, c})
			}
		}
	}
	return cost, via
}

type reached struct {
	vertex int
	cost   float64
}

// A frontier orders by cost and then by vertex, so that equal ways are always decided alike.
type frontier []reached

func (f frontier) Len() int { return len(f) }
func (f frontier) Less(i, j int) bool {
	if f[i].cost != f[j].cost {
		return f[i].cost < f[j].cost
	}
	return f[i].vertex < f[j].vertex
}
func (f frontier) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *frontier) Push(x any)   { *f = append(*f, x.(reached)) }
func (f *frontier) Pop() any {
	last := len(*f) - 1
	x := (*f)[last]
	*f = (*f)[:last]
	return x
}
