package spec

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// inspect reads a text as what its name says.
func inspect(name, text string) (any, Findings) {
	switch name {
	case "component":
		return ReadComponent([]byte(text))
	case "workflow":
		return ReadWorkflow([]byte(text))
	case "job":
		return ReadJob([]byte(text))
	case "volume":
		return ReadVolume([]byte(text))
	case "component request":
		return ComponentRequest([]byte(text))
	case "workflow request":
		return WorkflowRequest([]byte(text))
	case "job request":
		job, _, findings := JobRequest([]byte(text))
		return job, findings
	default:
		panic(name)
	}
}

const (
	someUID = "44763f88-7f51-11ec-a8a3-0242ac120002"
	zeroUID = "00000000-0000-0000-0000-000000000000"
	// zeroMeta is what every answer has, also where nothing is set.
	zeroMeta = `"modifiedBy":{"oid":""},"uid":"` + zeroUID + `","version":{"current":0,"previous":{"uid":"` + zeroUID + `"}},"timestamp":"0001-01-01T00:00:00Z"`
	meta     = `"name":"x","description":"what & <why>","modifiedBy":{"oid":"8048","email":"flow@sand.box"},"uid":"` + someUID +
		`","version":{"current":2,"tags":["a","latest"],"previous":{"version":1,"uid":"` + zeroUID + `"}},"timestamp":"2023-04-14T08:22:33.966Z"`
	anyBody = `{` + zeroMeta + `,"type":"component","implementation":{"type":"any"}}`
)

// TestRoundTrip reads documents and writes them again: what is in its final form stays byte for byte.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	graph := func(node string) string {
		return `{` + meta + `,"type":"component","implementation":{"type":"graph","nodes":[{"id":"n1","node":` + node + `,"userdata":{"a":[1.0,2e3]}}]}}`
	}
	for name, test := range map[string]struct{ kind, in, out string }{
		"the smallest": {"component", `{"type":"component","implementation":{"type":"any"}}`, anyBody},
		"metadata":     {"component", `{` + meta + `,"type":"component","implementation":{"type":"any"}}`, ""},
		"members of metadata that are open are dropped": {
			"component", `{"modifiedBy":{"oid":"1","phone":2},"version":{"current":1,"x":1},"type":"component","implementation":{"type":"any"}}`,
			strings.Replace(strings.Replace(anyBody, `"oid":""`, `"oid":"1"`, 1), `"current":0`, `"current":1`, 1),
		},
		"no fraction": {"component", strings.Replace(anyBody, "0001-01-01T00:00:00Z", "2023-04-14T10:22:33.500+02:00", 1), strings.Replace(anyBody, "0001-01-01T00:00:00Z", "2023-04-14T08:22:33.5Z", 1)},
		"an empty graph": {
			"component", `{"type":"component","inputs":[],"implementation":{"type":"graph","nodes":[],"edges":[]}}`,
			strings.Replace(anyBody, `"any"`, `"graph"`, 1),
		},
		"ports": {"component", `{` + meta + `,"type":"component","inputs":[{"name":"a-1_b","type":"parameter","mediatype":["number"],"userdata":{"value":"<&>"}},` +
			`{"name":"b","type":"parameter_array"}],"outputs":[{"name":"c","type":"artifact"},{"name":"d","type":"env_secret"},{"name":"e","type":"volume"}],"implementation":{"type":"any"}}`, ""},
		"a node by uid":        {"component", graph(`"` + someUID + `"`), ""},
		"a node by version":    {"component", graph(`{"uid":"` + someUID + `","version":3}`), ""},
		"a node by newest":     {"component", graph(`{"uid":"` + someUID + `","version":0}`), graph(`{"uid":"` + someUID + `"}`)},
		"a node that is there": {"component", graph(anyBody), ""},
		"edges": {"component", `{` + meta + `,"type":"component","implementation":{"type":"graph","edges":[{"source":{"port":"p","node":"n"},"target":{"port":"q","node":"m"}}],` +
			`"inputMappings":[{"source":{"port":"p"},"target":{"port":"q","node":"m"}}],"outputMappings":[{"source":{"port":"p","node":"n"},"target":{"port":"q"}}]}}`, ""},
		"a brick": {"component", `{` + meta + `,"type":"component","implementation":{"type":"brick","container":{"name":"c","image":"i","resources":{"limits":{"cpu":"1"}},"madeUp":{"x":null}},` +
			`"args":[{"source":"text","target":{"type":""}},{"source":{"port":"p"},"target":{"type":"parameter","prefix":"-p","suffix":";"},"description":"d"}],` +
			`"results":[{"source":{"file":"/tmp/x"},"target":{"port":"o"}},{"source":{"volume":"v"},"target":{"port":"w"},"description":"d"},{"source":"text","target":{"port":"o"}}]}}`, ""},
		"a map": {"component", `{` + meta + `,"type":"component","implementation":{"type":"map","node":"` + someUID + `","inputMappings":[{"source":{"port":"a"},"target":{"port":"b"}}]}}`, ""},
		"a conditional": {"component", `{` + meta + `,"type":"component","implementation":{"type":"conditional","nodeTrue":"` + someUID + `","nodeFalse":` + anyBody +
			`,"expression":{"left":{"name":"v","type":"parameter"},"right":"5","operator":">="}}}`, ""},
		"half a conditional": {"component", `{` + meta + `,"type":"component","implementation":{"type":"conditional","nodeTrue":"` + someUID + `","expression":{"left":"a","right":"b","operator":"!="}}}`, ""},
		"a workflow":         {"workflow", `{` + meta + `,"type":"workflow","component":` + anyBody + `,"workspace":"ws1"}`, ""},
		"a job": {"job", `{` + meta + `,"type":"job","workflow":{` + zeroMeta + `,"type":"workflow","component":` + anyBody + `,"workspace":"ws1"},` +
			`"inputValues":[{"target":"a","value":"\"<1>\""},{"target":"b","value":["x","y"]}],"events":[{"kind":"Workflow"}]}`, ""},
		"a volume":  {"volume", `{"uid":"` + someUID + `","workspace":"w","volume":{"name":"v","emptyDir":{"sizeLimit":"1Gi"}}}`, ""},
		"a request": {"component request", `{"options":{"x":1},"component":` + anyBody + `}`, anyBody},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc, findings := inspect(test.kind, test.in)
			if len(findings) > 0 {
				t.Fatalf("findings:\n%s", findings)
			}
			out, err := Encode(doc)
			if err != nil {
				t.Fatal(err)
			}
			want := test.out
			if want == "" {
				want = test.in
			}
			if string(out) != want {
				t.Errorf("\n got %s\nwant %s", out, want)
			}
		})
	}
}

// TestReadFinds tells what is wrong, where, and all of it at once.
func TestReadFinds(t *testing.T) {
	t.Parallel()
	component := func(rest string) string { return `{"type":"component","implementation":{"type":"any"}` + rest + `}` }
	impl := func(body string) string { return `{"type":"component","implementation":{` + body + `}}` }
	for name, test := range map[string]struct {
		kind, in string
		want     []string // pointer, then words of the message
	}{
		"no JSON":             {"component", `{"type":"component",}`, []string{": line 1, column 21"}},
		"nothing":             {"component", ` `, []string{": it is empty"}},
		"not UTF-8":           {"component", "{\"name\":\"\xff\"}", []string{": it is not UTF-8"}},
		"another kind":        {"component", `[]`, []string{": expected an object, but got an array"}},
		"nothing required":    {"component", `{}`, []string{"/type: is required", "/implementation: is required"}},
		"a member too many":   {"component request", `{"component":` + component(`,"bogus":1`) + `}`, []string{`/component/bogus: does not validate: the member "bogus" is not allowed here`}},
		"a slip":              {"component", component(`,"input":[]`), []string{`/input: did you mean "inputs"?`}},
		"a name with a slash": {"component", component(`,"a/b~c":[]`), []string{`/a~1b~0c: not allowed`}},
		"twice":               {"component", component(`,"name":"a","name":"b"`), []string{"/name: is given more than once"}},
		"null":                {"component", component(`,"inputs":null,"uid":null`), []string{"/uid: leave the member out", "/inputs: leave the member out"}},
		"another discriminator": {"component", `{"type":"workflow","implementation":{"type":"brik"}}`, []string{
			`/type: "workflow" is none of component`, `/implementation/type: "brik" is none of any, brick, graph, map, conditional`,
		}},
		"uids":         {"component", component(`,"uid":"urn:uuid:` + someUID + `"`), []string{"/uid: no uuid of 36 characters"}},
		"an empty uid": {"volume", `{"uid":"","workspace":"w","volume":{"name":"v"}}`, []string{"/uid: no uuid"}},
		"versions":     {"component", component(`,"version":{"current":1.5,"previous":{"version":-1}}`), []string{"/version/current: integer", "/version/previous/version: integer"}},
		"a time":       {"component", component(`,"timestamp":"yesterday"`), []string{"/timestamp: no time such as"}},
		"ports": {"component", component(`,"inputs":[{"name":"1a","type":"parameter"},{"type":"file"},{"name":"a","type":"artifact","userdata":"x"},{"name":"","type":"artifact"}]`), []string{
			`/inputs/0/name: "1a" is no good name`, "/inputs/1/name: is required", `/inputs/1/type: "file" is none of`, "/inputs/2/userdata: expected an object", `/inputs/3/name: no good name`,
		}},
		"equal ports": {"component", component(`,"outputs":[{"name":"a","type":"artifact"},{"name":"a","type":"artifact"}]`), []string{"/outputs/1: is the same as number 0"}},
		"a node's id": {"component", impl(`"type":"graph","nodes":[{"id":"a_b","node":"x"}]`), []string{`/implementation/nodes/0/id: "a_b" is no good name`, "/implementation/nodes/0/node: no uuid"}},
		"a node's member": {"component", impl(`"type":"graph","nodes":[{"id":"a","node":{"uid":"` + someUID + `","name":"x"}}],"args":[]`), []string{
			"/implementation/args: not allowed", "/implementation/nodes/0/node/name: not allowed",
		}},
		"an inner component": {"component", impl(`"type":"map","node":{"type":"component","implementation":{"type":"any","x":1}}`), []string{"/implementation/node/implementation/x: not allowed"}},
		"a map without node": {"component", impl(`"type":"map"`), []string{"/implementation/node: is required"}},
		"an if without much": {"component", impl(`"type":"conditional"`), []string{"/implementation/nodeTrue: is required", "/implementation/expression: is required"}},
		"a number": {"component", impl(`"type":"conditional","nodeTrue":"` + someUID + `","expression":{"left":5,"right":"5","operator":"="}`), []string{
			`/implementation/expression/left: numbers are written as strings here: "5"`, `/implementation/expression/operator: "=" is none of`,
		}},
		"an edge": {"component", impl(`"type":"graph","edges":[{"source":{"node":"a"},"target":{"port":"b"},"x":1}]`), []string{
			"/implementation/edges/0/x: not allowed", "/implementation/edges/0/source/port: is required",
		}},
		"a file as argument": {"component", impl(`"type":"brick","container":{"name":"c"},"args":[{"source":{"file":"/x"}}]`), []string{"/implementation/args/0/source/port: is required"}},
		"two sources":        {"component", impl(`"type":"brick","container":{"name":"c"},"results":[{"source":{"file":"/x","volume":"y"},"target":{"port":"a"}}]`), []string{"/implementation/results/0/source/file: not allowed"}},
		"a container": {"component", impl(`"type":"brick","container":{"image":1,"command":"run","env":[{"value":"x"}],"resources":{"limits":{"cpu":true}},"ports":[{"containerPort":1.5}]}`), []string{
			"/implementation/container/name: is required", "/implementation/container/image: expected a string", "/implementation/container/command: expected an array",
			"/implementation/container/env/0/name: is required", "/implementation/container/resources/limits/cpu: expected a string", "/implementation/container/ports/0/containerPort: expected an integer",
		}},
		"no container": {"component", impl(`"type":"brick"`), []string{"/implementation/container: is required"}},
		"input values": {"job", `{"type":"job","workflow":{"type":"workflow","workspace":"w","component":` + anyBody + `},"inputValues":[{"target":"a","value":[]},{"value":1},{"target":"b","value":[1]}]}`, []string{
			"/inputValues/0/value: at least one element", "/inputValues/1/target: is required", "/inputValues/1/value: a string or a list of strings", "/inputValues/2/value/0: expected a string",
		}},
		"a reference as workflow": {"workflow", `{"type":"workflow","workspace":"w","component":"` + someUID + `"}`, []string{"/component: expected an object"}},
		"two volumes":             {"volume", `{"workspace":"w","volume":{"name":"v","emptyDir":{},"nfs":{"server":"s","path":"/"}}}`, []string{"/volume/nfs: has emptyDir already"}},
		"options":                 {"job request", `{"job":{"type":"job","workflow":{"type":"workflow","workspace":"w","component":` + anyBody + `}},"options":{"tags":"a"}}`, []string{"/options/tags: expected an array"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, findings := inspect(test.kind, test.in)
			same(t, findings, test.want)
		})
	}
}

// same compares findings with "pointer: words of the message", in any order.
func same(t *testing.T, findings Findings, want []string) {
	t.Helper()
	left := append(Findings(nil), findings...)
	for _, w := range want {
		pointer, words, _ := strings.Cut(w, ": ")
		found := false
		for i, f := range left {
			if f.Pointer == pointer && strings.Contains(f.Message, words) {
				left = append(left[:i], left[i+1:]...)
				found = true
				break
			}
		}
		if !found {
			t.Errorf("not found: %s", w)
		}
	}
	if len(left) > 0 {
		t.Errorf("not wanted:\n%s", left)
	}
	if t.Failed() {
		t.Logf("all:\n%s", findings)
	}
}

func TestDepthIsBounded(t *testing.T) {
	t.Parallel()
	nested := func(levels int) string {
		open := `{"type":"component","implementation":{"type":"graph","nodes":[{"id":"a","node":`
		return strings.Repeat(open, levels) + `"` + someUID + `"` + strings.Repeat(`}]}}`, levels)
	}
	if _, findings := ReadComponent([]byte(nested(200))); len(findings) > 0 {
		t.Errorf("depth 200: %s", findings)
	}
	for _, text := range []string{nested(600), nested(1500), strings.Repeat("[", 9000) + strings.Repeat("]", 9000)} {
		if _, findings := ReadComponent([]byte(text)); len(findings) != 1 || !strings.Contains(findings[0].Message, "deeper") {
			t.Errorf("%d bytes: %v", len(text), findings)
		}
	}
}

// examples are documents of every form, for fuzzing and for reading them again.
func examples(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	var all []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(text))
	}
	return all
}

// FuzzReadDocument reads anything: it never panics, and what it takes it writes and takes again.
func FuzzReadDocument(f *testing.F) {
	for _, text := range examples(f) {
		f.Add([]byte(text))
	}
	f.Add([]byte(`{"component":{"type":"component","implementation":{"type":"conditional"}}}`))
	f.Add([]byte(`{"type":"component","name":"\u0000\ud800","implementation":{"type":"any"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		doc, findings := ReadDocument(text)
		if len(findings) > 0 {
			return
		}
		once, err := Encode(doc.only())
		if err != nil {
			t.Fatal(err)
		}
		again, findings := ReadDocument(once)
		if len(findings) > 0 {
			t.Fatalf("%s\n%s", once, findings)
		}
		twice, err := Encode(again.only())
		if err != nil {
			t.Fatal(err)
		}
		if string(once) != string(twice) {
			t.Fatalf("\n%s\n%s", once, twice)
		}
		switch {
		case doc.Component != nil:
			Check(doc.Component, nil)
		case doc.Workflow != nil:
			CheckWorkflow(doc.Workflow, nil)
		default:
			CheckJob(doc.Job, nil)
		}
	})
}

func (d Document) only() any {
	switch {
	case d.Component != nil:
		return d.Component
	case d.Workflow != nil:
		return d.Workflow
	default:
		return d.Job
	}
}

// TestParseLikeTheStandardLibrary compares the tree with what encoding/json reads.
func TestParseLikeTheStandardLibrary(t *testing.T) {
	t.Parallel()
	for _, text := range append(examples(t), `{"a":[1,-2.5e3,true,false,null,"x\n\"\u00e4\\"],"":{},"b":[]}`, ` [ ] `, `"x"`, `0`) {
		v, err := parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var want any
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		if got := v.plain(t); !reflect.DeepEqual(got, want) {
			t.Errorf("%s\n got %v\nwant %v", text, got, want)
		}
	}
}

func (v *value) plain(t *testing.T) any {
	switch v.kind {
	case isObject:
		m := map[string]any{}
		for i := range v.members {
			m[v.members[i].name] = v.members[i].value.plain(t)
		}
		return m
	case isArray:
		a := []any{}
		for i := range v.items {
			a = append(a, v.items[i].plain(t))
		}
		return a
	case isString:
		return v.text
	default:
		var x any
		if err := json.Unmarshal(v.raw, &x); err != nil {
			t.Fatal(err)
		}
		return x
	}
}
