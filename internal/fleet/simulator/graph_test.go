package simulator

import (
	"math"
	"strings"
	"testing"

	example "lodge/examples/building"
)

func TestRoutesAreTheCheapest(t *testing.T) {
	t.Parallel()
	b, err := parseMap(example.Site())
	if err != nil {
		t.Fatal(err)
	}
	at := func(id string) int {
		for i, v := range b.graph.vertices {
			if v.id == id {
				return i
			}
		}
		t.Fatalf("no vertex %s", id)
		return 0
	}
	for _, c := range []struct {
		from, to string
		avoid    string
		want     string
	}{
		{"lobby", "lobby", "", ""},
		{"lobby", "reception", "", "lobby_hall reception"},
		{"s1", "s3", "", "s2 s3"},
		{"s3", "s1", "", "s4 s5 s6 s7 s8 n8 n7 n6 n5 n4 n3 n2 n1 s1"}, // the ring is one way
		{"lab_bench", "supply", "", "lab_hall n4 n3 n2 supply_hall supply"},
		{"n6", "s7", "", "s6 s7"},
		{"n6", "s7", "s6", "s6 s7"}, // every way leads through s6
		{"n3", "s4", "", "s3 s4"},
		{"n3", "s4", "s3", "s3 s4"}, // the way round is longer than waiting
		{"s4", "day_room", "", "lift_wait_1 cabin_1 cabin_2 lift_exit_2 t5 t6 t7 t8 m8 m6 m4 m2 m1 t1 t2 day_hall day_room"},
	} {
		extra := func(v int) float64 {
			if b.graph.vertices[v].id == c.avoid {
				return 45
			}
			return 0
		}
		path, ok := b.graph.route(at(c.from), at(c.to), extra)
		var ids []string
		for _, e := range path {
			ids = append(ids, b.graph.vertices[b.graph.edges[e].to].id)
		}
		if got := strings.Join(ids, " "); !ok || got != c.want {
			t.Errorf("%s to %s: %s, want %s", c.from, c.to, got, c.want)
		}
	}
}

// A route costs what distances says, from and to every vertex, and each edge follows the other.
func TestRoutesAgreeWithDistances(t *testing.T) {
	t.Parallel()
	b, err := parseMap(example.Site())
	if err != nil {
		t.Fatal(err)
	}
	g := &b.graph
	for from := range g.vertices {
		ahead := g.distances(from, true)
		for to := range g.vertices {
			path, ok := g.route(from, to, nil)
			cost, here := 0.0, from
			for _, i := range path {
				if g.edges[i].from != here {
					t.Fatalf("the way from %s to %s is broken at %s", g.vertices[from].id, g.vertices[to].id, g.vertices[here].id)
				}
				cost, here = cost+g.seconds(&g.edges[i]), g.edges[i].to
			}
			if !ok || here != to || math.Abs(cost-ahead[to]) > 1e-6 {
				t.Fatalf("%s to %s: %v, want %v", g.vertices[from].id, g.vertices[to].id, cost, ahead[to])
			}
			if from < 3 {
				if back := g.distances(to, false)[from]; math.Abs(back-cost) > 1e-6 {
					t.Fatalf("backwards from %s to %s: %v, want %v", g.vertices[to].id, g.vertices[from].id, back, cost)
				}
			}
		}
	}
}

func TestCrossingADoor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b, c, d point
		want       bool
	}{
		{point{0, 0}, point{0, 2}, point{-1, 1}, point{1, 1}, true},
		{point{0, 0}, point{0, 2}, point{1, 1}, point{2, 1}, false},
		{point{0, 0}, point{0, 0.5}, point{-1, 1}, point{1, 1}, false},
		{point{0, 0}, point{0, 1}, point{-1, 1}, point{1, 1}, false}, // it only reaches the door
		{point{0, 0}, point{2, 0}, point{0, 1}, point{2, 1}, false},
	} {
		if got := crosses(c.a, c.b, c.c, c.d); got != c.want {
			t.Errorf("%v: %t", c, got)
		}
	}
}
