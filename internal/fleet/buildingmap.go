package fleet

import "lodge/internal/fleet/fastapi"

// Time is a time as ROS has it.
type Time struct {
	Sec     int32  `json:"sec"`
	Nanosec uint32 `json:"nanosec"`
}

// BuildingMap is a site: its floors, and the lifts between them.
type BuildingMap struct {
	Name   string  `json:"name"`
	Levels []Level `json:"levels" nullable:"false"`
	Lifts  []Lift  `json:"lifts" nullable:"false"`
}

// Level is a floor.
type Level struct {
	Name      string        `json:"name"`
	Elevation fastapi.Float `json:"elevation"`
	Images    []AffineImage `json:"images" nullable:"false"`
	Places    []Place       `json:"places" nullable:"false"`
	Doors     []Door        `json:"doors" nullable:"false"`
	NavGraphs []Graph       `json:"nav_graphs" nullable:"false"`
	WallGraph Graph         `json:"wall_graph"`
}

// AffineImage is a floor plan and where it lies. Data is its address.
type AffineImage struct {
	Name     string        `json:"name"`
	XOffset  fastapi.Float `json:"x_offset"`
	YOffset  fastapi.Float `json:"y_offset"`
	Yaw      fastapi.Float `json:"yaw"`
	Scale    fastapi.Float `json:"scale"`
	Encoding string        `json:"encoding"`
	Data     string        `json:"data"`
}

// Place is a named spot.
type Place struct {
	Name              string        `json:"name"`
	X                 fastapi.Float `json:"x"`
	Y                 fastapi.Float `json:"y"`
	Yaw               fastapi.Float `json:"yaw"`
	PositionTolerance fastapi.Float `json:"position_tolerance"`
	YawTolerance      fastapi.Float `json:"yaw_tolerance"`
}

// Door is where a door stands and how it moves.
type Door struct {
	Name            string        `json:"name"`
	V1X             fastapi.Float `json:"v1_x"`
	V1Y             fastapi.Float `json:"v1_y"`
	V2X             fastapi.Float `json:"v2_x"`
	V2Y             fastapi.Float `json:"v2_y"`
	DoorType        uint8         `json:"door_type"`
	MotionRange     fastapi.Float `json:"motion_range"`
	MotionDirection int32         `json:"motion_direction"`
}

// Graph is points and lines between them: lanes or walls.
type Graph struct {
	Name     string      `json:"name"`
	Vertices []GraphNode `json:"vertices" nullable:"false"`
	Edges    []GraphEdge `json:"edges" nullable:"false"`
	Params   []Param     `json:"params" nullable:"false"`
}

// GraphNode is a point.
type GraphNode struct {
	X      fastapi.Float `json:"x"`
	Y      fastapi.Float `json:"y"`
	Name   string        `json:"name"`
	Params []Param       `json:"params" nullable:"false"`
}

// GraphEdge is a line.
type GraphEdge struct {
	V1Idx    uint32  `json:"v1_idx"`
	V2Idx    uint32  `json:"v2_idx"`
	Params   []Param `json:"params" nullable:"false"`
	EdgeType uint8   `json:"edge_type"`
}

// Param is a property of a point, a line or a graph.
type Param struct {
	Name        string        `json:"name"`
	Type        uint32        `json:"type"`
	ValueInt    int32         `json:"value_int"`
	ValueFloat  fastapi.Float `json:"value_float"`
	ValueString string        `json:"value_string"`
	ValueBool   bool          `json:"value_bool"`
}

// Lift is where a lift stands and which floors it serves.
type Lift struct {
	Name      string        `json:"name"`
	Levels    []string      `json:"levels" nullable:"false"`
	Doors     []Door        `json:"doors" nullable:"false"`
	WallGraph Graph         `json:"wall_graph"`
	RefX      fastapi.Float `json:"ref_x"`
	RefY      fastapi.Float `json:"ref_y"`
	RefYaw    fastapi.Float `json:"ref_yaw"`
	Width     fastapi.Float `json:"width"`
	Depth     fastapi.Float `json:"depth"`
}
