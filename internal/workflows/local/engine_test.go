package local_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lodge/internal/workflows/local"
)

// TestMeaning runs one job of each kind to its outputs.
func TestMeaning(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	hello := brick("name", "text", `echo "Hello, $1" >/out/text; echo said`)
	add := brick("a b", "sum", `echo $(($1+$2)) >/out/sum`)
	double := brick("x", "y", `echo $((2*$1)) >/out/y`)
	list := brick("n", "all[]", `i=0; r=; while [ $i -lt $1 ]; do r="$r,$i"; i=$((i+1)); done; echo "[${r#,}]" >/out/all`)
	write, count := brick("text", "f@", `printf %s "$1" >/out/f`), brick("f@", "n", `wc -c <$1 >/out/n`)
	choice := func(left, operator, right, otherwise string) string {
		return component("v", "o", fmt.Sprintf(`{"type":"conditional","nodeTrue":%s%s,"expression":{"left":%s,"operator":%q,"right":%s},"inputMappings":%s,"outputMappings":%s}`,
			brick("v", "o", `echo "yes $1" >/out/o`), otherwise, left, operator, right, edges("v>v"), edges("o>o")))
	}
	otherwise := `,"nodeFalse":` + brick("v", "o", `echo "no $1" >/out/o`)
	v := `{"name":"v","type":"parameter"}`
	for name, x := range map[string]struct {
		job string
		out map[string]string
	}{
		"a brick":        {job(hello, "name", "Ada"), map[string]string{"text": "Hello, Ada"}},
		"odd texts":      {job(hello, "name", "$(id) {{inputs.parameters.name}} \"'\n\\ é"), map[string]string{"text": "Hello, $(id) {{inputs.parameters.name}} \"'\n\\ é"}},
		"a graph":        {job(graph("x", "r", "x>A.x x>S.a", "S.sum>r", "A.y>S.b", "A", double, "S", add), "x", "5"), map[string]string{"r": "15"}},
		"a map":          {job(mapping("xs[]", "ys[]", "xs>x", "y>ys", double), "xs", `["1","2","3"]`), map[string]string{"ys": `["2","4","6"]`}},
		"an empty list":  {job(graph("l", "r[]", "l>E.l", "M.ys>r", "E.all>M.xs", "E", brick("l", "all[]", `echo [] >/out/all`), "M", mapping("xs[]", "ys[]", "xs>x", "y>ys", double)), "l", `x`), map[string]string{"r": `[]`}},
		"lists of lists": {job(mapping("xs[]", "ys[]", "xs>n", "all>ys", list), "xs", `["1","2"]`), map[string]string{"ys": `[[0],[0,1]]`}},
		"a list from a file": {
			job(graph("n", "r[]", "n>L.n", "M.ys>r", "L.all>M.xs", "L", list, "M", mapping("xs[]", "ys[]", "xs>x", "y>ys", double)), "n", "3"),
			map[string]string{"r": `["0","2","4"]`},
		},
		"files":                {job(graph("t", "n", "t>W.text", "C.n>n", "W.f>C.f", "W", write, "C", count), "t", "12345"), map[string]string{"n": "5"}},
		"a condition, true":    {job(choice(v, ">=", `"5"`, otherwise), "v", "10"), map[string]string{"o": "yes 10"}},
		"a condition, false":   {job(choice(v, ">=", `"5"`, otherwise), "v", "4.9"), map[string]string{"o": "no 4.9"}},
		"texts compared":       {job(choice(v, "==", `"it's \"x\""`, otherwise), "v", `it's "x"`), map[string]string{"o": `yes it's "x"`}},
		"no other node":        {job(choice(v, "<", `"5"`, ""), "v", "7"), map[string]string{"o": ""}},
		"graphs in graphs":     {job(graph("x", "r", "x>I.x", "I.r>r", "", "I", graph("x", "r", "x>J.x", "J.r>r", "", "J", graph("x", "r", "x>D.x", "D.y>r", "", "D", double))), "x", "21"), map[string]string{"r": "42"}},
		"a condition in a map": {job(mapping("vs[]", "os[]", "vs>v", "o>os", choice(v, "<", `"2"`, otherwise)), "vs", `["1","2"]`), map[string]string{"os": `["yes 1","no 2"]`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := *s
			s.t = t
			o := s.run(x.job)
			for name, want := range x.out {
				if got := o.output(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if o.Status.Progress == "" {
				t.Errorf("no progress: %+v", o.Status)
			}
		})
	}
}

// TestSteps looks at what single steps get, and what becomes of them.
func TestSteps(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) {
		set.cfg = local.Config{MaxFile: 1000, MaxLog: 40 << 10}
	})
	_, err := s.svc.PutSecret(s.ctx, "w", "KEY", "s3cr3t")
	must(t, err)
	for name, x := range map[string]struct {
		job, more, phase, message, log string
	}{
		"a secret":         {job(brick("TOKEN!", "", `echo "it is $TOKEN"`), "TOKEN", "KEY"), "", "Succeeded", "", "it is s3cr3t"},
		"a failure":        {job(brick("", "", `echo no >&2; exit 3`)), "", "Failed", "exit code 3", "no"},
		"no such command":  {job(brick("", "", `exec nothing-like-it`)), "", "Failed", "exit code 127: the command cannot be run", "not found"},
		"a signal":         {job(brick("", "", `kill -9 $$`)), "", "Failed", "killed", ""},
		"no result":        {job(brick("", "o", `true`)), "", "Error", "the output o: the step wrote no file /out/o", ""},
		"a result outside": {job(brick("", "o@", `ln -s /etc/passwd /out/o`)), "", "Error", "the output o", ""},
		"a folder":         {job(brick("", "o@", `mkdir /out/o`)), "", "Error", "is no plain file", ""},
		"a long parameter": {job(brick("", "o", `head -c 300000 /dev/zero | tr '\0' x >/out/o`)), "", "Error", "too much for a parameter", ""},
		"a large file":     {job(brick("", "o@", `head -c 2000 /dev/zero >/out/o`)), "", "Error", "larger than 1000 bytes", ""},
		"a long log":       {job(brick("", "", `i=0; while [ $i -lt 3000 ]; do echo "this is line $i of a long log"; i=$((i+1)); done`)), "", "Succeeded", "", "the rest is not kept"},
		"retries":          {job(brick("f", "", `echo try >>"$1"; test $(wc -l <"$1") = 3`), "f", filepath.Join(t.TempDir(), "tries")), `,"options":{"retries":2}`, "Succeeded", "", ""},
		"too few retries":  {job(brick("f", "", `echo try >>"$1"; test $(wc -l <"$1") = 3`), "f", filepath.Join(t.TempDir(), "tries2")), `,"options":{"retries":1}`, "Failed", "exit code 1", ""},
		"variables":        {job(brick("", "", `echo "$A in $PWD"`, `,"env":[{"name":"A","value":"a"}],"workingDir":"/work"`)), "", "Succeeded", "", "root/work"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := *s
			s.t = t
			id := s.submit(x.job, x.more)
			o := s.wait(id)
			if o.Status.Phase != x.phase || !strings.Contains(o.Status.Message, x.message) {
				t.Errorf("%s: %s, want %s: %s", o.Status.Phase, o.Status.Message, x.phase, x.message)
			}
			if text := s.log(id, id.String()); !strings.Contains(text, x.log) {
				t.Errorf("the log is %q, want %q in it", text, x.log)
			} else if len(text) > 80<<10 {
				t.Errorf("%d bytes of log are kept", len(text))
			}
		})
	}
}

// TestStepTimeout ends a step that runs too long, and keeps what it wrote.
func TestStepTimeout(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.cfg = local.Config{StepTimeout: time.Second} })
	id := s.submit(job(brick("", "", `echo begun; sleep 600`)))
	if o := s.wait(id); o.Status.Phase != "Failed" || o.Status.Message != "it ran longer than 1s" || s.log(id, id.String()) != "begun\n" {
		t.Errorf("%s: %s, %q", o.Status.Phase, o.Status.Message, s.log(id, id.String()))
	}
}

// TestFiles hands a file through graphs to the job's outputs, and from the one of two nodes that ran.
func TestFiles(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	data := strings.Repeat("binary \\000 data ", 5000)
	make := brick("t", "f@", `i=0; while [ $i -lt 5000 ]; do printf 'binary \000 data '; i=$((i+1)); done >/out/f`)
	same := brick("f@", "g@", `cat "$1" >/out/g`)
	inner := graph("t", "h@", "t>M.t", "S.g>h", "M.f>S.f", "M", make, "S", same)
	o := s.run(job(graph("t", "file@", "t>I.t", "I.h>file", "", "I", inner), "t", "x"))
	if got := s.artifact(o, "file"); got != strings.ReplaceAll(data, `\000`, "\x00") {
		t.Errorf("%d bytes: %.50q", len(got), got)
	}
	v := `{"name":"v","type":"parameter"}`
	maybe := component("v", "f@", fmt.Sprintf(`{"type":"conditional","nodeTrue":%s,"nodeFalse":%s,"expression":{"left":%s,"operator":"==","right":"yes"},"inputMappings":%s,"outputMappings":%s}`,
		brick("t", "f@", `echo true >/out/f`), brick("t", "f@", `echo false >/out/f`), v, edges("v>t"), edges("f>f")))
	for value, want := range map[string]string{"yes": "true\n", "no": "false\n"} {
		if got := s.artifact(s.run(job(maybe, "v", value)), "f"); got != want {
			t.Errorf("%s: %q", value, got)
		}
	}
}

// TestFailures follows a failure through a graph: what waits for it is omitted, what runs goes on.
func TestFailures(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	gate := filepath.Join(t.TempDir(), "gate")
	slow := brick("f", "", `while ! test -e "$1"; do sleep 0.02; done`)
	bad, after := brick("", "o", `exit 1`), brick("o", "", `true`)
	id := s.submit(job(graph("f", "", "f>slow.f f>other.f", "", "bad.o>after.o", "bad", bad, "after", after, "slow", slow, "other", slow), "f", gate))
	eventually(t, "it failed", func() bool { return s.told(id).phases()["bad"] == "Failed" })
	if phase, err := s.svc.JobStatus(s.ctx, id); err != nil || phase.Final() {
		t.Errorf("%s, %v", phase, err)
	}
	write(t, gate, "")
	o := s.wait(id)
	if p := o.phases(); p["after"] != "Omitted" || p["slow"] != "Succeeded" || o.Status.Phase != "Failed" || o.Status.Message != "bad: exit code 1" {
		t.Errorf("%v: %s", p, o.Status.Message)
	}
}

// TestTerminate stops what runs and lets nothing more begin.
func TestTerminate(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.cfg.Parallelism = 2 })
	marks := t.TempDir()
	sleeper := brick("x m", "", `trap '' TERM; echo begun >"$2/$1"; sleep 60 & wait; wait`)
	id := s.submit(job(mapping("xs[] m", "", "xs>x m>m", "", sleeper), "xs", `["1","2","3","4"]`, "m", marks))
	eventually(t, "two have begun", func() bool {
		list, err := filepath.Glob(marks + "/*")
		must(t, err)
		return len(list) == 2
	})
	must(t, s.svc.Terminate(s.ctx, id))
	o := s.wait(id)
	if o.Status.Phase != "Failed" || o.Status.Message != "Stopped with strategy 'Terminate'" {
		t.Errorf("%s: %s", o.Status.Phase, o.Status.Message)
	}
	if list, _ := filepath.Glob(marks + "/*"); len(list) != 2 {
		t.Errorf("%v have begun", list)
	}
	if list, _ := filepath.Glob(s.folder + "/jobs/*"); len(list) != 0 {
		t.Errorf("%v is left", list)
	}
}

// TestTimeLimit ends a job that takes longer than it may.
func TestTimeLimit(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	o := s.wait(s.submit(job(brick("", "", `sleep 60`)), `,"options":{"timeout":1}`))
	if o.Status.Phase != "Failed" || o.Status.Message != "Max duration limit exceeded" {
		t.Errorf("%s: %s", o.Status.Phase, o.Status.Message)
	}
}

// TestRefusedHere says before a job is stored what this engine cannot run.
func TestRefusedHere(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.offer(`{"name":"v","hostPath":{"path":"/srv"}}`)
	host := job(brick("v/", "", "true"), "v", `{"name":"v","hostPath":{"path":"/srv"}}`)
	if findings := s.refused(host); !strings.Contains(findings, "the folder /srv of the machine, which is not offered") {
		t.Error(findings)
	}
	for folder, ok := range map[string]bool{"/": true, "/srv/": true, "/srv": true, "/sr": false, "/srv/x": false} {
		s := newSite(t, func(set *setup) { set.cfg.HostPaths = []string{folder} })
		s.offer(`{"name":"v","hostPath":{"path":"/srv"}}`)
		if findings := s.refused(host); (findings == "") != ok {
			t.Errorf("%s: %s", folder, findings)
		}
	}
	for want, c := range map[string]string{
		"names no command":                 component("", "", `{"type":"brick","container":{"name":"c","image":"i"}}`),
		"takes its value from the cluster": brick("", "", "true", `,"env":[{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}]`),
		"it asks for privileges":           brick("", "", "true", `,"securityContext":{"privileged":true}`),
		"the limit of memory":              brick("", "", "true", `,"resources":{"limits":{"memory":"lots"}}`),
		"envFrom takes variables":          brick("", "", "true", `,"envFrom":[{"configMapRef":{"name":"x"}}]`),
	} {
		if findings := s.refused(job(c)); !strings.Contains(findings, want) {
			t.Errorf("%s; want %s", findings, want)
		}
	}
}

// TestVolumes keeps a claim's files for the next job, and an empty volume for the steps of one.
func TestVolumes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.offer(`{"name":"v","persistentVolumeClaim":{"claimName":"data"}}`)
	s.offer(`{"name":"e","emptyDir":{}}`)
	put := brick("v/", "", `echo kept >>/vol/v/f; cat /vol/v/f`)
	volume := `{"name":"v","persistentVolumeClaim":{"claimName":"data"}}`
	for i := 1; i <= 2; i++ {
		id := s.submit(job(put, "v", volume))
		s.wait(id)
		if got := s.log(id, id.String()); got != strings.Repeat("kept\n", i) {
			t.Errorf("got %q", got)
		}
	}
	read := brick("v/ x", "o", `cat /vol/v/f >/out/o`)
	both := graph("v/", "o", "v>A.v v>B.v", "B.o>o", "A.done>B.x", "A", brick("v/ ", "done", `echo shared >/vol/v/f; echo yes >/out/done`), "B", read)
	if got := s.run(job(both, "v", `{"name":"e","emptyDir":{}}`)).output("o"); got != "shared" {
		t.Errorf("got %q", got)
	}
}

// TestLogs reads a log while it is written, and that of each element.
func TestLogs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	gate := filepath.Join(t.TempDir(), "gate")
	id := s.submit(job(graph("f", "", "f>a.f", "", "", "a", brick("f", "", `echo first; while ! test -e "$1"; do sleep 0.02; done; printf second`)), "f", gate))
	eventually(t, "the first line is there", func() bool {
		o := s.told(id)
		for _, n := range o.Status.Nodes {
			if n.DisplayName == "a" && s.log(id, n.ID) == "first\n" {
				return true
			}
		}
		return false
	})
	write(t, gate, "")
	o := s.wait(id)
	for _, n := range o.Status.Nodes {
		if n.DisplayName == "a" && s.log(id, n.ID) != "first\nsecond\n" {
			t.Errorf("got %q", s.log(id, n.ID))
		}
	}
}

// TestTooManyNodes ends a job that goes through lists of lists, before it is all that there is.
func TestTooManyNodes(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.cfg.MaxNodes = 50 })
	inner := mapping("xs[]", "", "xs>x", "", brick("x", "", "true"))
	list := brick("x", "xs[]", `echo '["1","2","3","4","5","6","7","8"]' >/out/xs`)
	each := graph("x", "", "x>L.x", "", "L.xs>M.xs", "L", list, "M", inner)
	o := s.wait(s.submit(job(mapping("xs[]", "", "xs>x", "", each), "xs", `["1","2","3","4","5","6","7","8"]`)))
	if o.Status.Phase != "Error" || !strings.Contains(o.Status.Message, "more than 50 nodes") {
		t.Errorf("%s: %s", o.Status.Phase, o.Status.Message)
	}
}

// TestPanics ends a job with a step that nobody foresaw; the server lives.
func TestPanics(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) {
		set.wrap = func(d local.Driver) local.Driver { return &thrower{d} }
	})
	id := s.submit(job(brick("", "", "true")))
	if o := s.wait(id); o.Status.Phase != "Error" || !strings.Contains(o.Status.Message, "something went wrong on our side") {
		t.Errorf("%s: %s", o.Status.Phase, o.Status.Message)
	}
}

// thrower is a driver with a fault.
type thrower struct{ local.Driver }

func (*thrower) Begin(context.Context, local.Step) error { panic("a fault") }
