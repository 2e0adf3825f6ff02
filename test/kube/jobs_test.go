//go:build kube

package kube

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// double is a brick that says its input and gives it twice.
func double() map[string]any {
	return brick("x", "o", `echo "given $1"; echo "$1$1" >/tmp/o`)
}

func TestStandInJobSucceeds(t *testing.T) {
	t.Parallel()
	l := startJobSite(t)
	ws := l.workspace()
	c := graph("x", "o", "x>a.x", "b.o>o", "a.o>b.x", double(), double())
	j := l.root.run(ws, c, map[string]any{"x": "ab"})
	j.ends("Succeeded")
	equal(t, "output", j.output("o"), "abababab")
	contains(t, "log of a", j.log("a"), "given ab\n")
	contains(t, "log of b", j.log("b"), "given abab\n")
	s := j.object()
	equal(t, "nodes", s.phases(), " Succeeded, .a Succeeded, .b Succeeded")
	events := j.get("/jobs/" + j.id + "/events/")
	if n := strings.Count(events, "data: "); n < 1 {
		t.Errorf("the events of a job that has ended are:\n%s", events)
	}
	// What is kept needs the cluster no more.
	j.workflow().do(http.MethodDelete, j.workflow().path(), nil, nil)
	equal(t, "status", j.status(), "Succeeded")
	equal(t, "output", j.output("o"), "abababab")
	contains(t, "log of a", j.log("a"), "given ab\n")
}

func TestStandInJobFails(t *testing.T) {
	t.Parallel()
	l := startJobSite(t)
	ws := l.workspace()
	c := graph("x", "", "x>a.x", "", "a.o>b.x", brick("x", "o", `echo bad >&2; exit 3`), double())
	j := l.root.run(ws, c, map[string]any{"x": "ab"})
	j.ends("Failed")
	equal(t, "nodes", j.object().phases(), " Failed, .a Failed, .b Omitted")
	equal(t, "message", j.object().Status.Message, "main: Error (exit code 3)")
	contains(t, "log of a", j.log("a"), "bad\n")
}

func TestStandInJobMapsAndChooses(t *testing.T) {
	t.Parallel()
	l := startJobSite(t)
	ws := l.workspace()
	each := component("xs[]", "os[]", map[string]any{"type": "map", "node": double(), "inputMappings": wires("xs>x"), "outputMappings": wires("o>os")})
	j := l.root.run(ws, each, map[string]any{"xs": []string{"a", "b", "c"}})
	choice := component("x", "o", map[string]any{
		"type": "conditional", "nodeTrue": double(), "nodeFalse": brick("x", "o", `echo "small $1" >/tmp/o`),
		"expression":    map[string]any{"left": map[string]any{"name": "x", "type": "parameter"}, "operator": ">=", "right": "5"},
		"inputMappings": wires("x>x"), "outputMappings": wires("o>o"),
	})
	large, small := l.root.run(ws, choice, map[string]any{"x": "7"}), l.root.run(ws, choice, map[string]any{"x": "4"})
	j.ends("Succeeded")
	equal(t, "output", j.output("os"), `["aa","bb","cc"]`)
	large.ends("Succeeded")
	equal(t, "the output of one side", large.output("o"), "77")
	small.ends("Succeeded")
	equal(t, "the output of the other side", small.output("o"), "small 4")
}

// The log of a step is read while it runs.
func TestStandInJobIsTerminated(t *testing.T) {
	t.Parallel()
	l := startJobSite(t)
	ws := l.workspace()
	j := l.root.run(ws, graph("x", "", "x>a.x", "", "", brick("x", "", `echo begun; trap 'exit 143' TERM; while true; do sleep 0.2; done`)), map[string]any{"x": "1"})
	j.begun("a")
	eventually(t, "its log", func() bool {
		status, text := j.try(http.MethodGet, "/jobs/"+j.id+"/logs/"+j.node("a")+"/text", nil)
		return status == http.StatusOK && strings.Contains(text, "begun\n")
	})
	j.do(http.MethodPost, "/jobs/"+j.id+"/terminate", nil, http.StatusAccepted)
	j.ends("Failed")
	equal(t, "message", j.object().Status.Message, "Stopped with strategy 'Terminate'")
	contains(t, "log", j.log("a"), "begun\n")
}

// What succeeded is kept, what failed runs again: in place while the Workflow is there, anew when it
// is gone.
func TestStandInJobIsRetried(t *testing.T) {
	t.Parallel()
	l := startJobSite(t)
	ws := l.workspace()
	l.root.do(http.MethodPut, "/secrets/"+ws+"/WORD", map[string]any{"key": "WORD", "value": "no"}, http.StatusCreated)
	second := component("x WORD!", "o", map[string]any{
		"type": "brick", "args": []any{map[string]any{"source": map[string]any{"port": "x"}, "target": map[string]any{"type": "parameter"}}},
		"results":   []any{map[string]any{"source": map[string]any{"file": "/tmp/o"}, "target": map[string]any{"port": "o"}}},
		"container": map[string]any{"name": "c", "image": busybox, "command": []string{"sh", "-ec", `echo "word $WORD"; test "$WORD" = yes; echo "$1!" >/tmp/o`, "step"}},
	})
	c := graph("x WORD!", "o", "x>a.x WORD>b.WORD", "b.o>o", "a.o>b.x", brick("x", "o", `cat /proc/sys/kernel/random/uuid >/tmp/o; echo "given $1"`), second)
	for _, gone := range []bool{false, true} {
		l.root.do(http.MethodPut, "/secrets/"+ws+"/WORD", map[string]any{"key": "WORD", "value": "no"}, anyStatus)
		j := l.root.run(ws, c, map[string]any{"x": "1", "WORD": "WORD"})
		j.ends("Failed")
		first := j.object().find("a").Outputs.parameter("o")
		if gone {
			j.workflow().do(http.MethodDelete, j.workflow().path(), nil, nil)
			eventually(t, "the end of the Workflow", func() bool { _, ok := j.workflow().state(); return !ok })
		}
		l.root.do(http.MethodPut, "/secrets/"+ws+"/WORD", map[string]any{"key": "WORD", "value": "yes"}, anyStatus)
		j.do(http.MethodPost, "/jobs/"+j.id+"/retry", nil, http.StatusAccepted)
		j.ends("Succeeded")
		equal(t, "the output", strings.TrimSpace(j.output("o")), first+"!")
		log := j.log("b")
		if !strings.Contains(log, "word no\n") || strings.Index(log, "word yes\n") < strings.Index(log, "word no\n") {
			t.Errorf("the log of both rounds is:\n%s", log)
		}
		equal(t, "how often a ran", strings.Count(j.log("a"), "given 1\n"), 1)
	}
}

// slow is a graph whose steps take so long that something can happen meanwhile.
func slow() map[string]any {
	step := func() map[string]any {
		return brick("x", "o", `for i in 1 2 3 4 5 6; do echo "line $i of $1"; sleep 0.5; done; echo "$1." >/tmp/o`)
	}
	return graph("x", "o", "x>a.x", "b.o>o", "a.o>b.x", step(), step())
}

// whole checks that a slow job has run once, and that its logs have every line once.
func (j running) whole() {
	j.l.t.Helper()
	j.ends("Succeeded")
	equal(j.l.t, "output", j.output("o"), "x..")
	equal(j.l.t, "pods", len(j.workflow().pods()), 2)
	for node, given := range map[string]string{"a": "x", "b": "x."} {
		var lines []string
		for line := range strings.Lines(j.log(node)) {
			if strings.HasPrefix(line, "line ") {
				lines = append(lines, strings.TrimSpace(line[:len("line N")]))
			}
		}
		if want := []string{"line 1", "line 2", "line 3", "line 4", "line 5", "line 6"}; !slices.Equal(lines, want) {
			j.l.t.Errorf("the log of %s, given %s, has the lines %v", node, given, lines)
		}
	}
}

func TestStandInJobOutlivesLodge(t *testing.T) {
	t.Parallel()
	l := startJobSite(t)
	j := l.root.run(l.workspace(), slow(), map[string]any{"x": "x"})
	l.kill() // perhaps before the Workflow is there
	j.begun("a")
	l.kill()
	j.begun("b")
	l.kill()
	j.whole()
}

// The Workflow of a job that has ended goes, the job stays.
func TestStandInWorkflowGoes(t *testing.T) {
	t.Parallel()
	l := startJobSite(t, "LODGE_WORKFLOWS_ARGO_KEEP=2s")
	j := l.root.run(l.workspace(), double(), map[string]any{"x": "a"})
	j.ends("Succeeded")
	eventually(t, "the end of the Workflow and its pods", func() bool {
		_, there := j.workflow().state()
		return !there && len(j.workflow().pods()) == 0
	})
	equal(t, "output", j.output("o"), "aa")
	contains(t, "log", j.get("/jobs/"+j.id+"/logs/"+j.id+"/text"), "given a\n")
	j.do(http.MethodDelete, "/jobs/"+j.id, nil, http.StatusOK)
	if status, _ := j.try(http.MethodGet, "/jobs/"+j.id, nil); status != http.StatusNotFound {
		t.Errorf("a deleted job answers with %d", status)
	}
}

// Somebody deletes the Workflow of a job that runs.
func TestStandInWorkflowIsDeleted(t *testing.T) {
	t.Parallel()
	l := startJobSite(t)
	j := l.root.run(l.workspace(), slow(), map[string]any{"x": "x"})
	j.begun("a")
	j.workflow().do(http.MethodDelete, j.workflow().path(), nil, nil)
	j.ends("Error")
}

// What the cluster refuses ends the job with what the cluster said.
func TestClusterRefusesAJob(t *testing.T) {
	t.Parallel()
	l := startJobSite(t)
	ws := l.workspace()
	c := admin(t)
	c.do(http.MethodPost, "/api/v1/namespaces/"+ws+"/resourcequotas",
		"{metadata: {name: none}, spec: {hard: {count/workflows.argoproj.io: '0'}}}", nil)
	eventually(t, "the quota", func() bool {
		var q struct {
			Status struct{ Hard map[string]string }
		}
		_, err := c.try(http.MethodGet, "/api/v1/namespaces/"+ws+"/resourcequotas/none", nil, &q)
		return err == nil && len(q.Status.Hard) > 0
	})
	j := l.root.run(ws, double(), map[string]any{"x": "a"})
	j.ends("Error")
	contains(t, "why", j.object().Status.Message, "exceeded quota")
}

// anyStatus of those that say that it was done.
const anyStatus = 0

func TestOthersSeeNothing(t *testing.T) {
	t.Parallel()
	l := startJobSite(t)
	ws := l.workspace("members")
	j := l.root.run(ws, double(), map[string]any{"x": "a"})
	other := l.person("other")
	for _, path := range []string{"/jobs/" + j.id, "/jobs/" + j.id + "/status", "/jobs/" + j.id + "/events/", "/jobs/" + j.id + "/logs/" + j.id + "/text", "/jobs/" + j.id + "/outputs/"} {
		if status, _ := other.try(http.MethodGet, path, nil); status != http.StatusNotFound {
			t.Errorf("%s: somebody else gets %d", path, status)
		}
	}
	if status, _ := other.try(http.MethodPost, "/jobs/"+j.id+"/terminate", nil); status != http.StatusNotFound {
		t.Errorf("somebody else ends it with %d", status)
	}
}
