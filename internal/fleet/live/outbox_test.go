package live

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
)

func roomy() limits { return limits{entries: 1 << 20, logs: 1 << 20, bytes: 1 << 30} }

func TestOutboxKeepsTheNewestValue(t *testing.T) {
	t.Parallel()
	var o outbox
	put := func(room, key string, v int) {
		o.put(newEvent(room, key, json.RawMessage(fmt.Sprint(v))), roomy())
	}
	put("/a", "", 1)
	put("/b", "x", 1)
	put("/b", "y", 1)
	put("/a", "", 2)
	put("/b", "y", 2)
	got := []string{}
	for _, e := range o.take(1 << 20) {
		got = append(got, string(e.packet))
	}
	want := `[42["/a",2] 42["/b",1] 42["/b",2]]`
	if fmt.Sprint(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if !o.empty() || o.bytes != 0 || len(o.states) != 0 {
		t.Errorf("something is left: %+v", o)
	}
}

// After a replay nothing newer may overtake it.
func TestOutboxSettles(t *testing.T) {
	t.Parallel()
	var o outbox
	o.put(newEvent("/a", "", json.RawMessage("1")), roomy())
	o.settle("/a")
	o.push(newEvent("/a", "", json.RawMessage("2")), false, roomy())
	o.put(newEvent("/a", "", json.RawMessage("3")), roomy())
	list := o.take(1 << 20)
	if len(list) != 3 || string(list[2].data) != "3" {
		t.Errorf("got %d entries, the last is not the newest", len(list))
	}
}

func TestOutboxLimits(t *testing.T) {
	t.Parallel()
	event := func(room string, size int) *message { return newEvent(room, "", json.RawMessage(make([]byte, size))) }
	max := limits{entries: 4, logs: 2, bytes: 1000}
	for _, c := range []struct {
		name string
		fill func(o *outbox) bool
		want bool
	}{
		{"two records", func(o *outbox) bool { o.push(event("/l", 1), true, max); return o.push(event("/l", 1), true, max) }, true},
		{"three records", func(o *outbox) bool {
			o.push(event("/l", 1), true, max)
			o.push(event("/l", 1), true, max)
			return o.push(event("/l", 1), true, max)
		}, false},
		{"the same value often", func(o *outbox) bool {
			ok := true
			for range 100 {
				_, fine := o.put(event("/s", 1), max)
				ok = ok && fine
			}
			return ok
		}, true},
		{"too many values", func(o *outbox) bool {
			ok := true
			for i := range 5 {
				_, ok = o.put(event(fmt.Sprint("/", i), 1), max)
			}
			return ok
		}, false},
		{"one large value", func(o *outbox) bool { _, ok := o.put(event("/s", 5000), max); return ok }, true},
		{"a large one behind another", func(o *outbox) bool {
			o.put(event("/s", 1), max)
			_, ok := o.put(event("/t", 5000), max)
			return ok
		}, false},
	} {
		var o outbox
		if got := c.fill(&o); got != c.want {
			t.Errorf("%s: within is %v, want %v", c.name, got, c.want)
		}
	}
}

// Whatever is put and taken in whatever order, each key's values arrive in order and end with the newest.
func TestOutboxNeverGoesBack(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		var o outbox
		newest, seen := map[slot]int{}, map[slot]int{}
		take := func(bytes int) {
			for _, e := range o.take(bytes) {
				var v int
				if err := json.Unmarshal(e.data, &v); err != nil {
					t.Fatal(err)
				}
				if v <= seen[e.slot] {
					t.Fatalf("seed %d: %v went from %d to %d", seed, e.slot, seen[e.slot], v)
				}
				seen[e.slot] = v
			}
		}
		for range 300 {
			if random.IntN(4) == 0 {
				take(random.IntN(120))
				continue
			}
			s := slot{fmt.Sprint("/r", random.IntN(3)), fmt.Sprint(random.IntN(3))}
			newest[s]++
			o.put(newEvent(s.room, s.key, json.RawMessage(fmt.Sprint(newest[s]))), roomy())
			if random.IntN(10) == 0 {
				o.settle(s.room)
			}
		}
		take(1 << 30)
		for s, v := range newest {
			if seen[s] != v {
				t.Fatalf("seed %d: %v ended at %d, want %d", seed, s, seen[s], v)
			}
		}
	}
}
