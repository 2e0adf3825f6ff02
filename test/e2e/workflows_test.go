package e2e

import (
	"encoding/json"
	"fmt"
	"image/png"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// jobs is the workflows part's API.
const jobs = "/workflows/api/v1/jobs/"

// asProcesses has steps run as plain processes, also where a container engine would answer.
func asProcesses(l *lodge) { with("LODGE_WORKFLOWS_LOCAL_DRIVER", "process")(l) }

// brick writes a component that runs a script. Its inputs are $1, $2 and so on; its outputs are
// written to /out/NAME.
func brick(in, out, script string) map[string]any {
	args, results := []any{}, []any{}
	for _, name := range strings.Fields(in) {
		args = append(args, map[string]any{"source": map[string]any{"port": name}, "target": map[string]any{"type": "parameter"}})
	}
	for _, name := range strings.Fields(out) {
		results = append(results, map[string]any{"source": map[string]any{"file": "/out/" + name}, "target": map[string]any{"port": name}})
	}
	return component(in, out, map[string]any{
		"type": "brick", "args": args, "results": results,
		"container": map[string]any{"name": "c", "image": "busybox", "command": []string{"sh", "-ec", script, "step"}},
	})
}

// component writes a component; inputs that end in [] are lists.
func component(in, out string, implementation map[string]any) map[string]any {
	ports := func(names string) []any {
		list := []any{}
		for _, name := range strings.Fields(names) {
			kind := "parameter"
			if strings.HasSuffix(name, "[]") {
				kind = "parameter_array"
			}
			list = append(list, map[string]any{"name": strings.TrimSuffix(name, "[]"), "type": kind})
		}
		return list
	}
	uid := fmt.Sprintf("%08x-0000-4000-8000-%012x", rand.Uint32(), rand.Uint64N(1<<48))
	return map[string]any{"type": "component", "uid": uid, "inputs": ports(in), "outputs": ports(out), "implementation": implementation}
}

// wires writes "a.x>b.y x>c.z" as edges or mappings.
func wires(text string) []any {
	list := []any{}
	end := func(p string) map[string]any {
		if node, port, ok := strings.Cut(p, "."); ok {
			return map[string]any{"node": node, "port": port}
		}
		return map[string]any{"port": p}
	}
	for _, one := range strings.Fields(text) {
		from, to, _ := strings.Cut(one, ">")
		list = append(list, map[string]any{"source": end(from), "target": end(to)})
	}
	return list
}

// jobOf writes a job in the workspace that a new site has.
func jobOf(c map[string]any, values map[string]any) map[string]any {
	list := []any{}
	for name, value := range values {
		list = append(list, map[string]any{"target": name, "value": value})
	}
	workflow := map[string]any{"type": "workflow", "name": "story", "workspace": "sandbox", "component": c}
	return map[string]any{"job": map[string]any{"type": "job", "workflow": workflow, "inputValues": list}}
}

// submitJob submits a job and gives its uid.
func (c caller) submitJob(job map[string]any) string {
	c.t.Helper()
	return last(c.send(http.MethodPost, jobs, job).is(http.StatusCreated).header.Get("Location"))
}

func (c caller) jobStatus(id string) string {
	c.t.Helper()
	return parse[struct{ Status string }](c.get(jobs + id + "/status").is(http.StatusOK)).Status
}

// ends waits for a job's end.
func (c caller) ends(id, as string) {
	c.t.Helper()
	eventually(c.t, "the job ends", func() bool { return slices.Contains([]string{"Succeeded", "Failed", "Error"}, c.jobStatus(id)) })
	if got := c.jobStatus(id); got != as {
		c.t.Fatalf("the job ended as %s, not %s: %s", got, as, c.get("/workflows/api/v1/workflows/sandbox/"+id).body)
	}
}

// TestWorkflowExample fits a curve from the command line, as the README shows it.
func TestWorkflowExample(t *testing.T) {
	t.Parallel()
	l := startLodge(t, asProcesses)
	root := l.administrator()
	dir := t.TempDir()
	example, err := filepath.Abs("../../examples/workflows/fit-curve.json")
	noError(t, err)
	said := root.cli("run", example, "--watch", "--output", dir).ok()
	if !strings.Contains(said, "plot.png") {
		t.Errorf("it said %s", said)
	}
	f, err := os.Open(filepath.Join(dir, "plot.png"))
	noError(t, err)
	defer func() { noError(t, f.Close()) }()
	picture, err := png.Decode(f)
	noError(t, err)
	equal(t, "width", picture.Bounds().Dx(), 480)
	text, err := os.ReadFile(filepath.Join(dir, "coefficients.txt"))
	noError(t, err)
	equal(t, "coefficients", string(text), "3.0012 -1.7215 -1.0618 0.3948")
	if out := root.cli("run", example, "--watch", "-p", "degree=99", "--output", dir); out.code == 0 || !strings.Contains(out.stderr, "needs more than 99 points") {
		t.Errorf("it ended with %d and said %s", out.code, out.stderr)
	}
}

// TestWorkflowCrash kills the server again and again in a job of two hundred nodes. Each of them
// happens, and none twice: what had ended is known, and what ran is found.
func TestWorkflowCrash(t *testing.T) {
	t.Parallel()
	rounds := 5
	if *full {
		rounds = 20
	}
	l := startLodge(t, asProcesses, with("LODGE_WORKFLOWS_LOCAL_PARALLELISM", "6"))
	root := l.administrator()
	dir := t.TempDir()
	step := brick("x d before", "o", `echo "$3$1" >>"$2/begun"; sleep 0.15; echo "$3$1" >>"$2/ended"; echo "$3$1." >/out/o`)
	first := brick("x d", "o", `echo "$1" >>"$2/begun"; sleep 0.15; echo "$1" >>"$2/ended"; echo "$1." >/out/o`)
	chain := component("x d", "o", map[string]any{
		"type": "graph", "nodes": []any{map[string]any{"id": "a", "node": first}, map[string]any{"id": "b", "node": step}, map[string]any{"id": "c", "node": step}},
		"edges":         wires("a.o>b.before b.o>c.before"),
		"inputMappings": wires("x>a.x x>b.x x>c.x d>a.d d>b.d d>c.d"), "outputMappings": wires("c.o>o"),
	})
	var elements []string
	for i := range 67 {
		elements = append(elements, fmt.Sprint(i))
	}
	whole := component("xs[] d", "os[]", map[string]any{"type": "map", "node": chain, "inputMappings": wires("xs>x d>d"), "outputMappings": wires("o>os")})
	id := root.submitJob(jobOf(whole, map[string]any{"xs": elements, "d": dir}))
	lines := func(name string) []string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if os.IsNotExist(err) {
			return nil
		}
		noError(t, err)
		return strings.Fields(string(text))
	}
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for round := range rounds {
		// The moments lie all over the job.
		wanted := 1 + round*190/rounds
		eventually(t, "the job goes on", func() bool { return len(lines("ended")) >= wanted || root.jobStatus(id) == "Succeeded" })
		<-time.After(time.Duration(random.Int64N(int64(150 * time.Millisecond))))
		l.kill()
		t.Logf("round %d: killed when %d had begun and %d had ended", round, len(lines("begun")), len(lines("ended")))
		<-time.After(time.Duration(random.Int64N(int64(300 * time.Millisecond))))
		l.start()
	}
	root.ends(id, "Succeeded")
	for _, name := range []string{"begun", "ended"} {
		all := lines(name)
		slices.Sort(all)
		equal(t, "steps that have "+name, len(all), 3*len(elements))
		equal(t, "different steps that have "+name, len(slices.Compact(all)), 3*len(elements))
	}
	var outputs []string
	noError(t, json.Unmarshal([]byte(root.get(jobs+id+"/outputs/os").is(http.StatusOK).body), &outputs))
	equal(t, "outputs", len(outputs), len(elements))
	equal(t, "the output of an element", outputs[5], "5.5.5.")
}

// TestWorkflowStores tells a day of workflows on every kind of database.
func TestWorkflowStores(t *testing.T) {
	t.Parallel()
	for name, on := range map[string]func(t testing.TB) setting{
		"SQLite":            func(testing.TB) setting { return all() },
		"PostgreSQL and S3": func(t testing.TB) setting { return all(onPostgres(t), onS3(t)) },
		"MariaDB":           onMariaDB,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := startLodge(t, on(t), asProcesses)
			workflowDay(t, l)
		})
	}
}

func workflowDay(t *testing.T, l *lodge) {
	root := l.administrator()
	member := l.token("member", "--role", "sandbox-developer", "--claim", "email=ada@example.org")
	stranger := l.token("stranger", "--role", "nobody")

	// A component is kept, fetched and published anew.
	c := brick("name", "text", `echo "Hello, $1" | tee /out/text`)
	file := filepath.Join(t.TempDir(), "hello.json")
	text, err := json.Marshal(c)
	noError(t, err)
	noError(t, os.WriteFile(file, text, 0o600))
	said := member.cli("workflow", "push", file, "--save").ok()
	uid := strings.Fields(said)[1]
	equal(t, "what push said", strings.TrimSpace(said), "component "+uid+" version 1")
	equal(t, "what push said again", strings.TrimSpace(member.cli("workflow", "push", file, "--save").ok()), "component "+uid+" version 2")
	if pulled := member.cli("workflow", "pull", uid+"@1").ok(); !strings.Contains(pulled, `"uid": "`+uid+`"`) {
		t.Errorf("pull said %s", pulled)
	}

	// A job gives a text, a log and an end; others see none of it.
	id := member.submitJob(jobOf(c, map[string]any{"name": "Ada"}))
	member.ends(id, "Succeeded")
	equal(t, "the output", member.get(jobs+id+"/outputs/text").is(http.StatusOK).body, "Hello, Ada")
	equal(t, "the log", member.get(jobs+id+"/logs/"+id+"/text").is(http.StatusOK).body, "Hello, Ada\n")
	for _, path := range []string{"", "/status", "/events/", "/outputs/text", "/logs/" + id, "/logs/" + id + "/text", "/artifacts/" + id + "/main-logs"} {
		stranger.get(jobs + id + path).is(http.StatusNotFound)
	}
	stranger.send(http.MethodPost, jobs+id+"/resubmit", struct{}{}).is(http.StatusNotFound)
	stranger.send(http.MethodPost, jobs, jobOf(c, map[string]any{"name": "Eve"})).is(http.StatusForbidden)

	// One that fails is retried when what it lacked is there, after a power cut.
	dir := t.TempDir()
	id = member.submitJob(jobOf(brick("d", "o", `echo ran >>"$1/ran"; cat "$1/wanted" >/out/o`), map[string]any{"d": dir}))
	member.ends(id, "Failed")
	l.kill()
	noError(t, os.WriteFile(filepath.Join(dir, "wanted"), []byte("found"), 0o600))
	l.start()
	member.send(http.MethodPost, jobs+id+"/retry", struct{}{}).is(http.StatusAccepted)
	member.ends(id, "Succeeded")
	equal(t, "the output", member.get(jobs+id+"/outputs/o").is(http.StatusOK).body, "found")
	again := last(member.send(http.MethodPost, jobs+id+"/resubmit", struct{}{}).is(http.StatusCreated).header.Get("Location"))
	member.ends(again, "Succeeded")

	// A secret reaches the step alone; a step that would never end is ended.
	root.send(http.MethodPut, "/workflows/api/v1/secrets/sandbox/KEY", map[string]any{"key": "KEY", "value": "s3cr3t"}).is(http.StatusCreated)
	secret := brick("", "o", `echo "${#TOKEN} letters" >/out/o`)
	secret["inputs"] = []any{map[string]any{"name": "TOKEN", "type": "env_secret"}}
	id = member.submitJob(jobOf(secret, map[string]any{"TOKEN": "KEY"}))
	member.ends(id, "Succeeded")
	equal(t, "the output", member.get(jobs+id+"/outputs/o").is(http.StatusOK).body, "6 letters")
	id = member.submitJob(jobOf(brick("", "", `sleep 600`), nil))
	eventually(t, "it runs", func() bool { return member.jobStatus(id) == "Running" })
	member.send(http.MethodPost, jobs+id+"/terminate", struct{}{}).is(http.StatusAccepted)
	member.ends(id, "Failed")
	member.do(http.MethodDelete, jobs+id, nil, "").is(http.StatusOK)
	member.get(jobs + id).is(http.StatusNotFound)
	l.admin("audit verify").ok()
}
