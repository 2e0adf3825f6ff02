package simulator

import "encoding/json"

// runErrands gives the site a task of its own now and then, but no more than its robots
// can keep up with.
func (w *world) runErrands() {
	if w.errandRate <= 0 || w.rng.Float64() >= w.errandRate*w.dt/3600 || len(w.live) >= len(w.robots) {
		return
	}
	category, description, labels := w.errand()
	text, err := json.Marshal(description)
	if err != nil {
		return // names and lists of them can always be written
	}
	w.dispatch(taskRequest{Category: category, Description: text, Labels: append(labels, "task_definition_id="+category), Requester: "simulated_site"})
}

// errand makes up a task that a fleet can do: a delivery or a round of cleaning where
// the building has what it takes, and a patrol otherwise.
func (w *world) errand() (category string, description any, labels []string) {
	var from, to []*workcell
	for i := range w.b.cells {
		if w.b.cells[i].ingestor {
			to = append(to, &w.b.cells[i])
		} else {
			from = append(from, &w.b.cells[i])
		}
	}
	choice := w.rng.IntN(4)
	if choice == 0 && len(from) > 0 && len(to) > 0 {
		a, b := from[w.rng.IntN(len(from))], to[w.rng.IntN(len(to))]
		stop := func(c *workcell) map[string]any {
			return map[string]any{"place": w.b.place(c.at), "handler": c.guid, "payload": []any{}}
		}
		return "delivery", map[string]any{"pickup": stop(a), "dropoff": stop(b)},
			[]string{"pickup=" + w.b.graph.vertices[a.at].id, "destination=" + w.b.graph.vertices[b.at].id}
	}
	if choice == 1 && len(w.b.zones) > 0 {
		z := w.b.zones[w.rng.IntN(len(w.b.zones))].name
		return "clean", map[string]any{"zone": z}, []string{"destination=" + z}
	}
	places := []int{0}
	for i, v := range w.b.graph.vertices {
		if v.name != "" && !v.charger {
			places = append(places, i)
		}
	}
	if len(places) > 1 {
		places = places[1:]
	}
	a, b := places[w.rng.IntN(len(places))], places[w.rng.IntN(len(places))]
	return "patrol", map[string]any{"places": []any{w.b.place(a), w.b.place(b)}}, []string{"destination=" + w.b.graph.vertices[b].id}
}

// place is how a task speaks of a vertex: by its name, or without one by its index.
func (b *building) place(vertex int) any {
	if name := b.graph.vertices[vertex].name; name != "" {
		return name
	}
	return vertex
}
