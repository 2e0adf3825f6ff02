package simulator

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
)

// The building map as rmf_building_map_msgs/msg/BuildingMap has it.
type rosMap struct {
	Name   string     `json:"name"`
	Levels []rosLevel `json:"levels"`
	Lifts  []rosLift  `json:"lifts"`
}

type rosLevel struct {
	Name      string     `json:"name"`
	Elevation float64    `json:"elevation"`
	Images    []rosImage `json:"images"`
	Places    []rosPlace `json:"places"`
	Doors     []rosDoor  `json:"doors"`
	NavGraphs []rosGraph `json:"nav_graphs"`
	WallGraph rosGraph   `json:"wall_graph"`
}

type rosImage struct {
	Name     string  `json:"name"`
	XOffset  float64 `json:"x_offset"`
	YOffset  float64 `json:"y_offset"`
	Yaw      float64 `json:"yaw"`
	Scale    float64 `json:"scale"`
	Encoding string  `json:"encoding"`
	Data     []byte  `json:"data"` // base64, as rosbridge writes uint8[]
}

type rosPlace struct {
	Name              string  `json:"name"`
	X                 float64 `json:"x"`
	Y                 float64 `json:"y"`
	Yaw               float64 `json:"yaw"`
	PositionTolerance float64 `json:"position_tolerance"`
	YawTolerance      float64 `json:"yaw_tolerance"`
}

type rosDoor struct {
	Name            string  `json:"name"`
	V1X             float64 `json:"v1_x"`
	V1Y             float64 `json:"v1_y"`
	V2X             float64 `json:"v2_x"`
	V2Y             float64 `json:"v2_y"`
	DoorType        uint8   `json:"door_type"`
	MotionRange     float64 `json:"motion_range"`
	MotionDirection int32   `json:"motion_direction"`
}

type rosGraph struct {
	Name     string     `json:"name"`
	Vertices []rosNode  `json:"vertices"`
	Edges    []rosEdge  `json:"edges"`
	Params   []rosParam `json:"params"`
}

type rosNode struct {
	X      float64    `json:"x"`
	Y      float64    `json:"y"`
	Name   string     `json:"name"`
	Params []rosParam `json:"params"`
}

type rosEdge struct {
	V1       uint32     `json:"v1_idx"`
	V2       uint32     `json:"v2_idx"`
	Params   []rosParam `json:"params"`
	EdgeType uint8      `json:"edge_type"`
}

type rosParam struct {
	Name        string  `json:"name"`
	Type        uint32  `json:"type"`
	ValueInt    int32   `json:"value_int"`
	ValueFloat  float64 `json:"value_float"`
	ValueString string  `json:"value_string"`
	ValueBool   bool    `json:"value_bool"`
}

type rosLift struct {
	Name      string    `json:"name"`
	Levels    []string  `json:"levels"`
	Doors     []rosDoor `json:"doors"`
	WallGraph rosGraph  `json:"wall_graph"`
	RefX      float64   `json:"ref_x"`
	RefY      float64   `json:"ref_y"`
	RefYaw    float64   `json:"ref_yaw"`
	Width     float64   `json:"width"`
	Depth     float64   `json:"depth"`
}

func text(name, value string) rosParam {
	return rosParam{Name: name, Type: 1, ValueString: value}
}

func flag(name string) rosParam { return rosParam{Name: name, Type: 4, ValueBool: true} }

// message writes the building as ROS sees it, floor plans included.
func (b *building) message() (*rosMap, error) {
	m := &rosMap{Name: b.name, Levels: []rosLevel{}, Lifts: []rosLift{}}
	for i := range b.levels {
		l, err := b.levelMessage(i)
		if err != nil {
			return nil, err
		}
		m.Levels = append(m.Levels, l)
	}
	for i := range b.lifts {
		m.Lifts = append(m.Lifts, b.liftMessage(&b.lifts[i]))
	}
	return m, nil
}

func (b *building) levelMessage(index int) (rosLevel, error) {
	l := &b.levels[index]
	plan, err := l.floorPlan()
	if err != nil {
		return rosLevel{}, fmt.Errorf("draw the floor plan of %s: %w", l.name, err)
	}
	out := rosLevel{
		Name: l.name, Elevation: l.elevation, Images: []rosImage{}, Places: []rosPlace{}, Doors: []rosDoor{},
		NavGraphs: []rosGraph{b.navGraph(index)}, WallGraph: l.wallGraph(),
	}
	if plan != nil {
		out.Images = append(out.Images, *plan)
	}
	for _, v := range b.graph.vertices {
		if v.level == index && v.name != "" {
			out.Places = append(out.Places, rosPlace{Name: v.name, X: v.at[0], Y: v.at[1], PositionTolerance: 0.3, YawTolerance: 0.2})
		}
	}
	for _, d := range b.doors {
		if d.level == index {
			out.Doors = append(out.Doors, d.message())
		}
	}
	return out, nil
}

func (d *doorway) message() rosDoor {
	motion := 1.0 // sliding doors move along themselves, swinging ones by an angle
	if d.kind == 5 || d.kind == 6 {
		motion = math.Pi / 2
	}
	return rosDoor{
		Name: d.name, V1X: d.from[0], V1Y: d.from[1], V2X: d.to[0], V2Y: d.to[1],
		DoorType: d.kind, MotionRange: motion, MotionDirection: 1,
	}
}

// navGraph is one level's part of the lanes. Two lanes back and forth become one edge for both ways.
func (b *building) navGraph(index int) rosGraph {
	g := rosGraph{Name: "lanes", Vertices: []rosNode{}, Edges: []rosEdge{}, Params: []rosParam{}}
	at := map[int]uint32{}
	for i, v := range b.graph.vertices {
		if v.level == index {
			at[i] = uint32(len(g.Vertices))
			g.Vertices = append(g.Vertices, rosNode{X: v.at[0], Y: v.at[1], Name: v.name, Params: b.nodeParams(i)})
		}
	}
	both := map[[2]int]int{}
	for _, e := range b.graph.edges {
		if e.ride >= 0 || b.graph.vertices[e.from].level != index {
			continue
		}
		if back, there := both[[2]int{e.to, e.from}]; there {
			g.Edges[back].EdgeType = 0
			continue
		}
		both[[2]int{e.from, e.to}] = len(g.Edges)
		lane := rosEdge{V1: at[e.from], V2: at[e.to], EdgeType: 1, Params: []rosParam{}}
		if e.limit > 0 {
			lane.Params = append(lane.Params, rosParam{Name: "speed_limit", Type: 3, ValueFloat: e.limit})
		}
		if e.door >= 0 {
			lane.Params = append(lane.Params, text("door_name", b.doors[e.door].name))
		}
		g.Edges = append(g.Edges, lane)
	}
	return g
}

func (b *building) nodeParams(index int) []rosParam {
	v, params := &b.graph.vertices[index], []rosParam{}
	if v.charger {
		params = append(params, flag("is_charger"), flag("is_parking_spot"))
	}
	if v.lift >= 0 {
		params = append(params, text("lift_cabin", b.lifts[v.lift].name))
	}
	if v.mutex != "" {
		params = append(params, text("mutex", v.mutex))
	}
	for _, c := range b.cells {
		switch {
		case c.at == index && c.ingestor:
			params = append(params, text("dropoff_ingestor", c.guid))
		case c.at == index:
			params = append(params, text("pickup_dispenser", c.guid))
		}
	}
	return params
}

func (l *level) wallGraph() rosGraph {
	g := rosGraph{Name: "walls", Vertices: []rosNode{}, Edges: []rosEdge{}, Params: []rosParam{}}
	at := map[point]uint32{}
	corner := func(p point) uint32 {
		i, there := at[p]
		if !there {
			i = uint32(len(g.Vertices))
			at[p] = i
			g.Vertices = append(g.Vertices, rosNode{X: p[0], Y: p[1], Params: []rosParam{}})
		}
		return i
	}
	for _, wall := range l.walls {
		for i := 1; i < len(wall); i++ {
			g.Edges = append(g.Edges, rosEdge{V1: corner(wall[i-1]), V2: corner(wall[i]), Params: []rosParam{}})
		}
	}
	return g
}

func (b *building) liftMessage(s *shaft) rosLift {
	w, d := s.width/2, s.depth/2
	corners := []point{{-w, -d}, {w, -d}, {w, d}, {-w, d}}
	g := rosGraph{Name: s.name, Vertices: []rosNode{}, Edges: []rosEdge{}, Params: []rosParam{}}
	for i, c := range corners {
		g.Vertices = append(g.Vertices, rosNode{X: s.at[0] + c[0], Y: s.at[1] + c[1], Params: []rosParam{}})
		g.Edges = append(g.Edges, rosEdge{V1: uint32(i), V2: uint32((i + 1) % 4), Params: []rosParam{}})
	}
	door := doorway{name: s.name + "_door", from: point{s.at[0] - w/1.5, s.at[1] + d}, to: point{s.at[0] + w/1.5, s.at[1] + d}, kind: 2}
	l := rosLift{
		Name: s.name, Levels: []string{}, Doors: []rosDoor{door.message()}, WallGraph: g,
		RefX: s.at[0], RefY: s.at[1], Width: s.width, Depth: s.depth,
	}
	for _, stop := range s.stops {
		l.Levels = append(l.Levels, b.levels[stop.level].name)
	}
	return l
}

// Floor plans are drawn at 5 cm a pixel, coarser for a building too large for that.
const (
	metresPerPixel = 0.05
	maxPixels      = 2000
	margin         = 0.5 // metres around the outermost wall
)

// floorPlan draws rooms and walls as a small PNG. A level without either has none.
func (l *level) floorPlan() (*rosImage, error) {
	low, high := point{math.Inf(1), math.Inf(1)}, point{math.Inf(-1), math.Inf(-1)}
	for _, wall := range l.walls {
		for _, p := range wall {
			low = point{min(low[0], p[0]), min(low[1], p[1])}
			high = point{max(high[0], p[0]), max(high[1], p[1])}
		}
	}
	if math.IsInf(low[0], 1) {
		return nil, nil //nolint:nilnil // a level without walls has no picture, and that is no failure
	}
	low, high = point{low[0] - margin, low[1] - margin}, point{high[0] + margin, high[1] + margin}
	size := high.sub(low)
	scale := max(metresPerPixel, max(size[0], size[1])/maxPixels)
	canvas := &sheet{
		Paletted: image.NewPaletted(image.Rect(0, 0, int(size[0]/scale)+1, int(size[1]/scale)+1), color.Palette{
			color.RGBA{0xff, 0xff, 0xff, 0xff},
			color.RGBA{0x33, 0x3d, 0x47, 0xff},
			color.RGBA{0xe8, 0xee, 0xf4, 0xff},
			color.RGBA{0xee, 0xf3, 0xe9, 0xff},
			color.RGBA{0xf6, 0xf0, 0xe4, 0xff},
			color.RGBA{0xf1, 0xea, 0xf3, 0xff},
		}),
		origin: point{low[0], high[1]}, scale: scale,
	}
	for i, room := range l.rooms {
		canvas.fill(room.Min, room.Max, uint8(2+i%4))
	}
	for _, wall := range l.walls {
		for i := 1; i < len(wall); i++ {
			canvas.line(wall[i-1], wall[i])
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, canvas.Paletted); err != nil {
		return nil, err
	}
	return &rosImage{Name: "floor_plan", XOffset: low[0], YOffset: high[1], Scale: scale, Encoding: "png", Data: out.Bytes()}, nil
}

// A sheet is a picture with its place in the building: y goes up there and down here.
type sheet struct {
	*image.Paletted
	origin point
	scale  float64
}

func (s *sheet) pixel(p point) (x, y int) {
	return int((p[0] - s.origin[0]) / s.scale), int((s.origin[1] - p[1]) / s.scale)
}

func (s *sheet) fill(low, high point, tint uint8) {
	x0, y1 := s.pixel(low)
	x1, y0 := s.pixel(high)
	area := image.Rect(x0, y0, x1, y1).Intersect(s.Rect)
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			s.SetColorIndex(x, y, tint)
		}
	}
}

// line draws a wall of three pixels.
func (s *sheet) line(a, b point) {
	steps := int(a.distance(b)/s.scale) + 1
	for i := 0; i <= steps; i++ {
		x, y := s.pixel(a.along(b, float64(i)/float64(steps)))
		for dx := -1; dx <= 1; dx++ {
			for dy := -1; dy <= 1; dy++ {
				if p := image.Pt(x+dx, y+dy); p.In(s.Rect) {
					s.SetColorIndex(p.X, p.Y, 1)
				}
			}
		}
	}
}
