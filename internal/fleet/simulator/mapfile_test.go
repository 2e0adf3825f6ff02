package simulator

import (
	"bytes"
	"encoding/json"
	"image/png"
	"strings"
	"testing"

	example "lodge/examples/building"
)

// small is the least that a map needs.
const small = `
name: hut
levels:
  - name: L1
    walls: [[[0, 0], [4, 0], [4, 4]]]
    vertices:
      - {name: home, at: [1, 1], charger: true}
      - {name: away, at: [3, 1]}
    lanes: [{along: [home, away]}]
doors: [{name: gate, level: L1, from: [2, 0], to: [2, 2]}]
fleets: [{name: ants, tasks: [patrol], robots: [{name: ant, charger: home}]}]
`

func TestTheExampleBuilding(t *testing.T) {
	t.Parallel()
	b, err := parseMap(example.Site())
	if err != nil {
		t.Fatal(err)
	}
	dispensers, robots, used := 0, 0, map[int]bool{}
	for _, c := range b.cells {
		if !c.ingestor {
			dispensers++
		}
	}
	for _, f := range b.fleets {
		robots += len(f.robots)
	}
	for _, e := range b.graph.edges {
		if e.door >= 0 {
			used[e.door] = true
		}
	}
	if len(b.levels) != 2 || len(b.lifts) != 1 || len(b.doors) != 5 || dispensers != 2 || len(b.cells)-dispensers != 2 || len(b.fleets) != 2 || robots != 8 {
		t.Errorf("%d levels, %d lifts, %d doors, %d dispensers, %d cells, %d fleets, %d robots", len(b.levels), len(b.lifts), len(b.doors), dispensers, len(b.cells), len(b.fleets), robots)
	}
	if len(used) != 5 {
		t.Errorf("only %d doors are crossed by lanes", len(used))
	}
}

func TestTheMapMessage(t *testing.T) {
	t.Parallel()
	b, err := parseMap(example.Site())
	if err != nil {
		t.Fatal(err)
	}
	m, err := b.message()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "null") {
		t.Error("the message has a null, which no ROS array is")
	}
	if len(m.Levels) != 2 || len(m.Lifts) != 1 || len(m.Lifts[0].Levels) != 2 || len(m.Lifts[0].Doors) != 1 {
		t.Fatalf("%d levels, lifts %+v", len(m.Levels), m.Lifts)
	}
	for _, l := range m.Levels {
		if len(l.WallGraph.Edges) == 0 || len(l.Places) == 0 || len(l.Images) != 1 || len(l.NavGraphs) != 1 {
			t.Fatalf("level %s: %d walls, %d places, %d images", l.Name, len(l.WallGraph.Edges), len(l.Places), len(l.Images))
		}
		img, err := png.Decode(bytes.NewReader(l.Images[0].Data))
		if err != nil {
			t.Fatal(err)
		}
		// The picture covers the building: 34 by 20 metres and a margin.
		w, h := float64(img.Bounds().Dx())*l.Images[0].Scale, float64(img.Bounds().Dy())*l.Images[0].Scale
		if w < 34.9 || w > 35.2 || h < 20.9 || h > 21.2 || l.Images[0].XOffset != -0.5 || l.Images[0].YOffset != 20.5 {
			t.Errorf("the plan of %s is %v by %v at %v, %v", l.Name, w, h, l.Images[0].XOffset, l.Images[0].YOffset)
		}
		g := l.NavGraphs[0]
		oneWay := 0
		for _, e := range g.Edges {
			if int(e.V1) >= len(g.Vertices) || int(e.V2) >= len(g.Vertices) {
				t.Fatalf("an edge of %s leads out of the graph", l.Name)
			}
			oneWay += int(e.EdgeType)
		}
		if oneWay == 0 || oneWay == len(g.Edges) {
			t.Errorf("%d of %d edges of %s are one way", oneWay, len(g.Edges), l.Name)
		}
	}
}

func TestWrongMapsAreRefused(t *testing.T) {
	t.Parallel()
	if _, err := parseMap([]byte(small)); err != nil {
		t.Fatalf("the small map: %v", err)
	}
	for _, c := range []struct{ old, new, want string }{
		{"name: hut", "name: ''", "the building needs one"},
		{"name: hut", "nome: hut", "field nome not found"},
		{"name: hut", "\tname", "read the map"},
		{"{along: [home, away]}", "{along: [home, away], one_way: true}", "vertex away: no way back to home"},
		{"{along: [home, away]}", "{along: [home, moon]}", "home to moon is no lane"},
		{"{along: [home, away]}", "{along: [home]}", "needs two vertices"},
		{"{along: [home, away]}", "{along: [home, away], speed: -1}", "a speed of -1"},
		{"at: [3, 1]", "at: [.nan, 1]", "is no place in a building"},
		{"at: [3, 1]", "at: [1e30, 1]", "is no place in a building"},
		{"name: away", "name: home", `"home" is there twice`},
		{"charger: true", "charger: false", `"home" is no charger`},
		{"level: L1, from", "level: L9, from", `no level "L9"`},
		{"to: [2, 2]", "to: [2, 2], type: portal", `type "portal" is not one of`},
		{"robots: [{name: ant, charger: home}]", "robots: []", "it has no robot"},
		{"robots: [{name: ant, charger: home}]", "robots: [{name: ant, charger: home}, {name: bee, charger: home}]", "is there twice"},
		{"fleets:", "lifts: [{name: up, levels: [L1]}]\nfleets:", "no vertex with this lift on level L1"},
		{"fleets:", "lifts: [{name: up, levels: [L2]}]\nfleets:", `level "L2" is unknown`},
		{"fleets:", "dispensers: [{guid: d, at: moon}]\nfleets:", `no vertex "moon"`},
		{"fleets:", "zones: [{name: z, start: moon}]\nfleets:", `no vertex "moon" to start at`},
		{"fleets:", "beacons: [{id: z, level: moon}]\nfleets:", `no level "moon"`},
		{"at: [3, 1]", "at: [3, 1], lift: up", `no lift "up" stops here`},
	} {
		text := strings.Replace(small, c.old, c.new, 1)
		if text == small {
			t.Fatalf("%q is not in the map", c.old)
		}
		_, err := parseMap([]byte(text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n got %v\nwant %s", c.new, err, c.want)
		}
	}
}

// A map that is accepted can be drawn, written, and lived in.
func FuzzMaps(f *testing.F) {
	f.Add([]byte(small))
	f.Add(example.Site())
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := parseMap(text)
		if err != nil {
			return
		}
		if _, err := b.message(); err != nil {
			t.Fatal(err)
		}
		opts := Options{}
		if err := opts.complete(); err != nil {
			t.Fatal(err)
		}
		w := newWorld(b, opts, start(), output{ros: func(string, any) {}, api: func(int, string, string, any) {}})
		for range 50 {
			w.step()
		}
	})
}
