package spec

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	plus := func(in, out string) *Component { return brickOf(2, in, out) }
	five := when(param("v"), ">=", Literal("5"))
	for name, test := range map[string]struct {
		c     *Component
		shelf []*Component
		want  []string
	}{
		"a brick": {c: brickOf(1, "a:P b:PA c:A d:S e:V", "o:P p:PA q:A")},
		"a graph": {c: graphOf(1, "x:P s:S", "y:A", nodes("a", plus("p:P s:S", "o:P"), "b", brickOf(3, "p:P", "o:A")), "a.o>b.p", "x>a.p s>a.s", "b.o>y")},
		"no image, no uid, a placeholder": {
			c: graphOf(1, "", "", nodes("a", comp(0, "", "", &Brick{}), "b", comp(2, "", "", &Any{})), "", "", ""),
			want: []string{
				"/implementation/nodes/0/node/implementation/container/image: no image", "/implementation/nodes/1/node/implementation: placeholder",
				"/implementation/nodes/0: nothing is connected", "/implementation/nodes/1: nothing is connected",
			},
		},
		"a zero uid": {
			c:    &Component{Implementation: &Brick{Container: Container{Image: "i"}}},
			want: []string{"/uid: component () uid (00000000-0000-0000-0000-000000000000) is required to be unique and non-zero"},
		},
		"two ports of a name": {c: comp(1, "a:P a:A", "", &Brick{Container: Container{Image: "i"}}), want: []string{
			`/inputs/1/name: two inputs named "a"`, `/inputs/0: no argument uses`, `/inputs/1: no argument names`,
		}},
		"a secret comes out": {c: graphOf(1, "", "s:S", nodes("a", plus("", "o:P")), "", "", "a.o>s"), want: []string{
			"/outputs/0: handed in, never out", "/implementation/outputMappings/0: does not fit",
		}},
		"edges to nowhere": {
			c: graphOf(1, "x:P", "y:P", nodes("a", plus("p:P", "o:P")), "a.o>b.p c.o>a.p a.none>a.none o>a.p", "nix>a.p x>b.p x>p", "a.none>y a.o>z b.o>y"),
			want: []string{
				`/implementation/edges/0/target/node: there is no node "b"`, `/implementation/edges/1/source/node: there is no node "c"`,
				`/implementation/edges/2/source/port: has no output "none"`, `/implementation/edges/2/target/port: has no input "none"`,
				`/implementation/edges/3/source/node: name the node`, `/implementation/inputMappings/0/source/port: no input "nix"`,
				`/implementation/inputMappings/1/target/node: there is no node "b"`, `/implementation/inputMappings/2/target/node: name the node`,
				`/implementation/edges/1: is fed twice`, `/implementation/edges/3: is fed twice`,
				`/implementation/outputMappings/0/source/port: has no output "none"`, `/implementation/outputMappings/1/target/port: there is no output "z"`,
				`/implementation/outputMappings/2/source/node: there is no node "b"`, `/implementation/outputMappings/2: the output "y" is fed twice`,
				`/inputs/0: connected with nothing`,
				`/implementation/nodes/0: a → a`,
			},
		},
		"fed twice": {
			c:    graphOf(1, "x:P", "", nodes("a", plus("", "o:P"), "b", brickOf(3, "p:P", "")), "a.o>b.p a.o>b.p", "x>b.p", ""),
			want: []string{`/implementation/edges/0: is fed twice: by the input "x" and by the output "o"`, "/implementation/edges/1: is fed twice"},
		},
		"not fed": {c: graphOf(1, "", "y:P", nodes("a", plus("p:P s:S", "o:P")), "", "", ""), want: []string{
			`/implementation/nodes/0: nothing feeds the input "p" (parameter) of node "a"`, `/implementation/nodes/0: nothing feeds the input "s"`, `/outputs/0: nothing feeds the output "y"`,
		}},
		"types": {
			c: graphOf(1, "s:S", "", nodes("a", plus("", "o:P q:A"), "b", brickOf(3, "p:A s:S t:P", "")), "a.o>b.p a.q>b.s", "s>b.t", ""),
			want: []string{
				`/implementation/edges/0: of type parameter and does not fit into the input "p" of node "b" of type artifact`, "/implementation/edges/1: type artifact", "/implementation/inputMappings/0: type env_secret",
			},
		},
		"a text as list": {
			c:    graphOf(1, "x:P", "", nodes("m", mapOf(2, "l:PA", "", brickOf(3, "p:P", ""), "l>p", "")), "", "x>m.l", ""),
			want: []string{"/implementation/inputMappings/0: must hold a JSON list"},
		},
		"a cycle, and what waits for it": {
			c: graphOf(1, "", "", nodes("a", plus("p:P", "o:P"), "b", brickOf(3, "p:P", "o:P"), "c", brickOf(4, "p:P", ""), "d", brickOf(5, "", "o:P"), "e", brickOf(6, "p:P q:P", "o:P")),
				"a.o>b.p b.o>a.p b.o>c.p e.o>e.p d.o>e.q", "", ""),
			want: []string{
				"/implementation/nodes/0: wait for each other for ever: a → b → a", `/implementation/nodes/2: the node "c" can never run`, "/implementation/nodes/4: e → e",
			},
		},
		"two nodes of an id": {c: graphOf(1, "", "", nodes("a", plus("", "o:P"), "a", brickOf(3, "p:P", "")), "", "", ""), want: []string{
			`/implementation/nodes/1/id: two nodes with the id "a"`, "/implementation/nodes/0: nothing is connected", "/implementation/nodes/1: nothing is connected",
		}},
		"a long id": {c: graphOf(1, "", "", nodes(strings.Repeat("a", 129), plus("", "")), "", "", ""), want: []string{"/implementation/nodes/0/id: longer than 128"}},
		"no nodes":  {c: graphOf(1, "", "", nil, "", "", ""), want: []string{"/implementation/nodes: no nodes"}},
		"once per element": {
			c: graphOf(1, "l:PA", "y:PA", nodes("a", plus("p:P", "o:P"), "b", brickOf(3, "v:PA", "o:P"), "c", brickOf(4, "v:P", "")), "a.o>b.v a.o>c.v", "l>a.p", "b.o>y"),
		},
		"once per element of two lists": {
			c:    graphOf(1, "l:PA m:PA", "", nodes("a", plus("p:P q:P", "")), "", "l>a.p m>a.q", ""),
			want: []string{`/implementation/inputMappings/1: two lists, the input "l" and the input "m"`},
		},
		"artifacts of many": {
			c:    graphOf(1, "l:PA", "y:A", nodes("a", plus("p:P", "o:A")), "", "l>a.p", "a.o>y"),
			want: []string{"/implementation/outputMappings/0/source: artifacts cannot be collected"},
		},
		"a map":                {c: mapOf(1, "k:P l:PA s:S", "all:PA", plus("k:P it:P s:S", "o:P"), "k>k l>it s>s", "o>all")},
		"a map without a list": {c: mapOf(1, "k:P", "", plus("p:P", ""), "k>p", ""), want: []string{"/implementation/inputMappings: no list to go over"}},
		"a map over two lists": {c: mapOf(1, "k:PA l:PA", "", plus("p:P q:P", ""), "k>p l>q", ""), want: []string{`/implementation/inputMappings/1: two lists, "k" and "l"`}},
		"a map that is wrong": {
			c: mapOf(1, "l:PA", "a:A p:P q:PA", plus("x:P y:P", "o:A p:P"), "l>x nix>y l>nix", "o>a p>p nix>q"),
			want: []string{
				`/implementation/inputMappings/1/source/port: there is no input "nix"`, `/implementation/inputMappings/2/target/port: has no input "nix"`,
				"/implementation/outputMappings/0: collects parameters only", `/implementation/outputMappings/2/source/port: has no output "nix"`,
			},
		},
		"an inner input not fed": {c: mapOf(1, "l:PA", "", plus("x:P y:P", ""), "l>x", ""), want: []string{`/implementation/inputMappings: nothing feeds the inner input "y"`}},
		"a conditional":          {c: ifOf(1, "v:P s:S", "o:P a:A", plus("p:P s:S", "x:P y:A"), brickOf(3, "s:S p:P", "y:A x:P"), five, "v>p s>s", "x>o y>a")},
		"half a conditional": {c: ifOf(1, "v:P", "o:P a:A", plus("p:P", "x:P y:A"), nil, five, "v>p", "x>o y>a"), want: []string{
			"/implementation/outputMappings/0: an empty text", "/implementation/outputMappings/1: there is no artifact",
		}},
		"nodes that differ": {c: ifOf(1, "v:P", "", plus("p:P q:P", "x:P"), brickOf(3, "p:A", "x:P z:P"), five, "v>p v>q", ""), want: []string{
			`/implementation/nodeFalse: "p" is of type parameter in nodeTrue and artifact in nodeFalse`, `/implementation/nodeFalse: nodeFalse has no input "q"`, `/implementation/nodeFalse: nodeTrue has no output "z"`,
		}},
		"conditions": {c: ifOf(1, "v:A l:PA", "", plus("", ""), nil, when(param("v"), "=", param("w")), "", ""), want: []string{
			`/implementation/expression/operator: is no operator`, `/implementation/expression/left: type artifact, and only parameters`, `/implementation/expression/right: no input "w"`, `/inputs/1: connected with nothing`,
		}},
		"a constant condition":      {c: ifOf(1, "", "", plus("", ""), nil, when(Literal("1"), "<", Literal("2")), "", ""), want: []string{"/implementation/expression: never runs"}},
		"letters in order":          {c: ifOf(1, "v:P", "", plus("", ""), nil, when(param("v"), "<", Literal("b")), "", ""), want: []string{"/implementation/expression/right: compared by their letters"}},
		"a list into a conditional": {c: ifOf(1, "v:P l:PA", "", plus("p:P", ""), nil, five, "l>p", ""), want: []string{"/implementation/inputMappings/0: does not go over lists"}},
		"arguments": {
			c: comp(1, "p:P a:A v:V w:V", "", &Brick{Container: Container{Image: "i", Mounts: []Mount{{"x", "/m/v/"}}}, Args: []Arg{
				{Source: Port{Port: "nix"}, Target: ArgTarget{Type: Parameter}},
				{Source: Port{Port: "p", Node: "n"}, Target: ArgTarget{Type: "file"}},
				{Source: Port{Port: "a"}, Target: ArgTarget{Type: Parameter}},
				{Source: Port{Port: "v"}, Target: ArgTarget{Type: VolumeType, Prefix: "m"}},
				{Source: Port{Port: "w"}, Target: ArgTarget{Type: VolumeType, Prefix: "/m/", Suffix: "../v"}},
			}}),
			want: []string{
				`/implementation/args/0/source/port: no input "nix"`, "/implementation/args/1/source/node: leave node out", `/implementation/args/1/target/type: unrecognized argument target type "file"`,
				"/implementation/args/2/target/type: of type artifact", "/implementation/args/3: /m/v is mounted twice, by the container itself", "/implementation/args/4: /m/v is mounted twice",
			},
		},
		"results": {
			c: comp(1, "v:V p:P", "o:P q:V r:A s:P", &Brick{Container: Container{Image: "i"}, Results: []Result{
				{Source: FileResult{"tmp"}, Target: Port{Port: "o"}},
				{Source: FileResult{"/tmp"}, Target: Port{Port: "o", Node: "x"}},
				{Source: VolumeResult{"p"}, Target: Port{Port: "r"}},
				{Source: FileResult{"/f"}, Target: Port{Port: "q"}},
				{Source: Literal("x"), Target: Port{Port: "s"}},
				{Source: FileResult{"/f"}, Target: Port{Port: "nix"}},
			}}),
			want: []string{
				"/implementation/results/0/source/file: no absolute path", "/implementation/results/1: fed twice", "/implementation/results/1/target/node: leave node out",
				`/implementation/results/2/source/volume: no input "p" of type volume`, "/implementation/results/2: a volume cannot be", "/implementation/results/3: a file cannot be",
				"/implementation/results/4/source: no effect", `/implementation/results/5/target/port: no output "nix"`, `/outputs/3: nothing feeds the output "s"`,
				"/inputs/0: no argument uses", "/inputs/1: no argument uses",
			},
		},
		"a secret that the container has": {c: comp(1, "T:S", "", &Brick{Container: Container{Image: "i", Env: []string{"T"}}}), want: []string{"/inputs/0/name: environment variable"}},
		"a volume through a map": {
			c:    graphOf(1, "l:PA v:V", "", nodes("m", mapOf(2, "l:PA v:V", "w:V", brickOf(3, "v:V p:P", "w:V"), "l>p v>v", "w>w"), "b", brickOf(4, "v:V", "")), "m.w>b.v", "l>m.l v>m.v", ""),
			want: []string{"/implementation/edges/0/source: is a map, which cannot hand on a volume", "/implementation/nodes/0/node/implementation/outputMappings/0: collects parameters only"},
		},
		"references": {
			c: graphOf(1, "", "", nodes("a", CRef(uidOf(7)), "b", CRefVersion{uidOf(7), 1}, "c", CRefVersion{uidOf(7), 9}, "d", CRef(uidOf(8))),
				"a.o>b.p b.o>a.p c.o>d.p", "", ""),
			shelf: []*Component{brickOf(7, "p:P", "o:P"), version(brickOf(7, "p:P", "o:P"), 2)},
			want: []string{
				"/implementation/nodes/2/node: there is no component 00000000-0000-4000-8000-000000000007 version 9", "/implementation/nodes/3/node: there is no component 00000000-0000-4000-8000-000000000008",
				"/implementation/nodes/0: a → b → a",
			},
		},
		"inside a reference": {
			c:     graphOf(1, "", "", nodes("a", CRef(uidOf(7)), "b", CRef(uidOf(7)), "c", CRefVersion{uidOf(7), 1}), "", "", ""),
			shelf: []*Component{graphOf(7, "", "o:P", nodes("x", comp(8, "", "", &Any{})), "", "", "")},
			want: []string{
				`/implementation/nodes/0/node: in the component "c7" (00000000-0000-4000-8000-000000000007 version 1), at /outputs/0: nothing feeds`,
				`/implementation/nodes/0/node: at /implementation/nodes/0/node/implementation: the component "c8" is a placeholder`,
				"/implementation/nodes/0: nothing is connected", "/implementation/nodes/1: nothing is connected", "/implementation/nodes/2: nothing is connected",
			},
		},
		"in itself": {
			c: graphOf(1, "", "", nodes("a", CRef(uidOf(7))), "", "", ""),
			shelf: []*Component{
				graphOf(7, "", "", nodes("x", mapOf(70, "", "", CRef(uidOf(8)), "", "")), "", "", ""),
				ifOf(8, "v:P", "", CRef(uidOf(7)), nil, five, "", ""),
			},
			want: []string{
				`/implementation/nodes/0/node: the component "c7" contains itself: "c7" → "c8" → "c7"`, "/implementation/nodes/0/node: no list to go over", `/implementation/nodes/0/node: inner input "v"`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lib, err := Gather(test.c, shelf(test.shelf...))
			if err != nil {
				t.Fatal(err)
			}
			same(t, Check(test.c, lib), test.want)
		})
	}
}

func TestCheckJob(t *testing.T) {
	t.Parallel()
	c := comp(1, "p:P l:PA s:S v:V", "", brickOf(1, "p:P l:PA s:S v:V", "").Implementation)
	text := func(s string) InputText { return InputText{Text: s} }
	good := []Value{{"p", text("")}, {"l", InputText{List: []string{"a"}}}, {"s", text("KEY")}, {"v", text(`{"name":"v","emptyDir":{}}`)}}
	for name, test := range map[string]struct {
		c      *Component
		values []Value
		want   []string
	}{
		"good":    {c, good, nil},
		"nothing": {c, nil, []string{`/inputValues: the input "p" (parameter) has no value`, `/inputValues: "l"`, `/inputValues: "s"`, `/inputValues: "v"`}},
		"too much": {c, append(slices.Clone(good), Value{"nix", text("")}, Value{"p", text("2")}), []string{
			`/inputValues/4/target: no input "nix"`, `/inputValues/5/target: given twice`,
		}},
		"wrong": {c, []Value{{"p", InputText{List: []string{"a"}}}, {"l", text("a")}, {"s", text("")}, {"v", text("pvc1")}}, []string{
			"/inputValues/0/value: wants one text", "/inputValues/1/value: wants a list", "/inputValues/2/value: name the secret", "/inputValues/3/value: as JSON text",
		}},
		"a bad volume":      {brickOf(1, "v:V", ""), []Value{{"v", text(`{"nfs":{}}`)}}, []string{"/inputValues/0/value: /name: is required", "/inputValues/0/value: /nfs/server: is required", "/inputValues/0/value: /nfs/path: is required"}},
		"an empty volume":   {brickOf(1, "v:V", ""), []Value{{"v", text(`{"name":"v"}`)}}, []string{"/inputValues/0/value: no source"}},
		"volumes of a name": {brickOf(1, "v:V w:V", ""), []Value{{"v", text(`{"name":"v","emptyDir":{}}`)}, {"w", text(`{"name":"v","nfs":{"server":"s","path":"/"}}`)}}, []string{"/inputValues/1/value: two different volumes"}},
		"a volume's name":   {brickOf(1, "v:V", ""), []Value{{"v", text(`{"name":"A_b","emptyDir":{}}`)}}, []string{"/inputValues/0/value: no name for a volume"}},
		"an artifact":       {brickOf(1, "a:A", ""), nil, []string{"/workflow/component/inputs/0: nothing can feed an artifact"}},
		"not fit to run":    {comp(1, "", "", &Any{}), nil, []string{"/workflow/component/implementation: placeholder"}},
		"from the library":  {graphOf(1, "", "", nodes("a", CRef(uidOf(9))), "", "", ""), nil, []string{"/workflow/component/implementation/nodes/0/node: there is no component"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lib, err := Gather(test.c, shelf())
			if err != nil {
				t.Fatal(err)
			}
			same(t, CheckJob(&Job{Workflow: &Workflow{Workspace: "w", Component: test.c}, InputValues: test.values}, lib), test.want)
		})
	}
}

func TestSeverities(t *testing.T) {
	t.Parallel()
	all := Check(graphOf(1, "x:P", "o:P", nodes("a", comp(2, "", "", &Any{})), "", "", ""), nil)
	if p, r := len(all.KeepFromPublishing()), len(all.KeepFromRunning()); p != 1 || r != 2 || len(all) != 3 {
		t.Errorf("%d, %d of %d:\n%s", p, r, len(all), all)
	}
}

func TestNumeric(t *testing.T) {
	t.Parallel()
	number := Data{Name: "n", Type: Parameter, Mediatype: []string{"number"}}
	for _, test := range []struct {
		e    Expression
		want bool
	}{
		{when(param("v"), ">=", Literal("5")), true},
		{when(param("v"), "==", Literal("-5.5e3")), true},
		{when(Literal("5"), "<", param("v")), true},
		{when(param("v"), "==", Literal("five")), false},
		{when(param("v"), "==", Literal("NaN")), false},
		{when(param("v"), "==", Literal("0x10")), false},
		{when(param("v"), "==", Literal("")), false},
		{when(param("v"), "<", param("w")), true},
		{when(param("v"), "==", param("w")), false},
		{when(number, "==", param("w")), true},
		{when(number, "==", Literal("five")), false},
	} {
		if got := test.e.Numeric(); got != test.want {
			t.Errorf("%v: %v", test.e, got)
		}
	}
}

func TestGather(t *testing.T) {
	t.Parallel()
	inner := brickOf(3, "", "")
	outer := graphOf(2, "", "", nodes("a", CRef(uidOf(3)), "b", CRefVersion{uidOf(3), 1}), "", "", "")
	top := graphOf(1, "", "", nodes("x", CRef(uidOf(2)), "y", mapOf(9, "", "", CRefVersion{uidOf(3), 0}, "", ""), "z", ifOf(9, "", "", CRef(uidOf(3)), CRef(uidOf(4)), Expression{}, "", "")), "", "", "")
	lib, err := Gather(top, shelf(inner, outer))
	if err != nil {
		t.Fatal(err)
	}
	if got := lib.Of(CRef(uidOf(3))); got != inner || lib.Of(CRefVersion{uidOf(3), 1}) != inner || lib.Of(CRef(uidOf(4))) != nil {
		t.Error("one version must be one component, and what is missing nil")
	}
	text, err := Encode(lib.Bundle())
	if err != nil {
		t.Fatal(err)
	}
	again, findings := ReadBundle(text)
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	if got := again.Of(CRef(uidOf(3))); got == nil || got != again.Of(CRefVersion{uidOf(3), 1}) {
		t.Errorf("the bundle lost something: %s", text)
	}
	away := errors.New("away")
	if _, err := Gather(top, func(CRefVersion) (*Component, error) { return nil, away }); !errors.Is(err, away) {
		t.Errorf("error %v", err)
	}
	endless := func(r CRefVersion) (*Component, error) {
		var n int
		if _, err := fmt.Sscanf(r.UID.String()[24:], "%012d", &n); err != nil {
			return nil, err
		}
		return graphOf(n, "", "", nodes("a", CRef(uidOf(n+1))), "", "", ""), nil
	}
	if _, err := Gather(top, endless); !errors.Is(err, ErrLibraryTooLarge) {
		t.Errorf("an endless library: %v", err)
	}
}

// chain is a graph of n bricks in a row; with deep each in a graph of its own, nested.
func chain(n int, deep bool) *Component {
	if deep {
		c := brickOf(1, "p:P", "o:P")
		for i := range n {
			c = graphOf(i+2, "p:P", "o:P", nodes("a", c), "", "p>a.p", "a.o>o")
		}
		return c
	}
	g := &Graph{InputMappings: conn("p>n0.p"), OutputMappings: conn(fmt.Sprintf("n%d.o>o", n-1))}
	for i := range n {
		g.Nodes = append(g.Nodes, Node{ID: fmt.Sprintf("n%d", i), Node: brickOf(i+2, "p:P", "o:P")})
		if i > 0 {
			g.Edges = append(g.Edges, conn(fmt.Sprintf("n%d.o>n%d.p", i-1, i))...)
		}
	}
	return comp(1, "p:P", "o:P", g)
}

// TestLarge holds reading and checking to a time that only a wrong growth would miss.
func TestLarge(t *testing.T) {
	t.Parallel()
	for _, c := range []*Component{chain(5000, false), chain(200, true)} {
		text, err := Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		runtime.LockOSThread()
		start := worked(t)
		read, findings := ReadComponent(text)
		if findings = append(findings, Check(read, nil)...); len(findings) > 0 {
			t.Error(findings[0])
		}
		if took := worked(t) - start; took > 10*time.Second {
			t.Errorf("%d bytes took %s", len(text), took)
		}
		runtime.UnlockOSThread()
	}
}

func BenchmarkReadAndCheck(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 5000} {
		b.Run(fmt.Sprint("wide", n), func(b *testing.B) { benchmark(b, chain(n, false)) })
	}
	b.Run("deep200", func(b *testing.B) { benchmark(b, chain(200, true)) })
}

func benchmark(b *testing.B, c *Component) {
	text, err := Encode(c)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		read, _ := ReadComponent(text)
		Check(read, nil)
	}
}
