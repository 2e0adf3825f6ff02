//go:build kube

package kube

import (
	"strings"
	"testing"
)

// These are not parallel to anything: what they end, others need.

// uids are those of pods, which show that none was run again.
func uids(all map[string]pod) string {
	var text []string
	for _, name := range []string{".A", ".B"} {
		text = append(text, name+" "+all[name].Metadata.UID)
	}
	return strings.Join(text, ", ")
}

func TestStandInIsKilled(t *testing.T) {
	w := submit(t, admin(t).namespace(), "b-graph", map[string]string{"seed": "pause=3"})
	w.begun("A")
	restart(t, "wfstub")
	w.begun("B")
	before := w.pods()
	restart(t, "wfstub")
	s := w.end()
	w.ended(s, "Succeeded", "")
	equal(t, "output", s.Status.Nodes[w.name].Outputs.parameter("res"), "pause=3,pause=3\n")
	equal(t, "pods", uids(w.pods()), uids(before))
}

func TestStandInOutlivesTheAPIServer(t *testing.T) {
	w := submit(t, admin(t).namespace(), "b-graph", map[string]string{"seed": "pause=3"})
	w.begun("A")
	restart(t, "kube-apiserver")
	s := w.end()
	w.ended(s, "Succeeded", "")
	equal(t, "nodes", s.phases(), " Succeeded, .A Succeeded, .B Succeeded")
	equal(t, "pods", len(w.pods()), 2)
}

// What Lodge watches is lost with the API server, and what it follows, too.
func TestStandInJobOutlivesTheAPIServer(t *testing.T) {
	l := startJobSite(t)
	j := l.root.run(l.workspace(), slow(), map[string]any{"x": "x"})
	j.begun("a")
	restart(t, "kube-apiserver")
	j.begun("b")
	j.whole()
}

func TestStandInJobOutlivesTheController(t *testing.T) {
	l := startJobSite(t)
	j := l.root.run(l.workspace(), slow(), map[string]any{"x": "x"})
	j.begun("a")
	restart(t, "wfstub")
	j.begun("b")
	restart(t, "wfstub")
	j.whole()
}
