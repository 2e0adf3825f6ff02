package lodge_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// level says how high a package stands: it imports only what stands lower. A new package needs a
// line here. Parts (results and its like) stand on the same level, so they never import one another.
var level = map[string]int{
	"internal/fault": 0, "internal/secret": 0, "internal/spelling": 0, "console": 0, "examples/building": 0,
	"internal/httpapi": 1, "internal/database": 1, "internal/bus": 1, "internal/objects": 1, "internal/client": 1, "internal/cluster": 1,
	"internal/results/hub": 2, "internal/results/hubsim": 2, "internal/objects/s3": 2,
	"internal/fleet/fastapi": 2, "internal/fleet/live": 2, "internal/fleet/rosbridge": 2, "internal/fleet/simulator": 2, "internal/fleet/adapter": 2,
	"internal/work":           2,
	"internal/workflows/spec": 1, "internal/workflows/argo": 2,
	"internal/access":   3,
	"internal/audit":    4,
	"internal/identity": 5, "internal/identity/clilogin": 5,
	"internal/identity/localidp": 6, "internal/results": 6, "internal/fleet": 6, "internal/workflows": 6,
	"internal/apps/sample": 1, "examples/apps/demo": 2, "examples/apps/echo": 2,
	"internal/apps": 6, "internal/apps/process": 7, "internal/apps/docker": 7, "internal/apps/kubernetes": 7,
	"internal/workflows/local": 7, "internal/workflows/kubernetes": 7,
	"internal/config": 8, "internal/workflows/local/process": 8, "internal/workflows/local/docker": 8,
	"internal/lodge": 9,
	"cmd/lodge":      10,
}

// elsewhere are packages that no released code imports.
var elsewhere = []string{"internal/drivertest", "internal/database/databasetest", "test/"}

func TestImportsGoDown(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "lodge/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	seen := 0
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, "lodge/")
		if isElsewhere(name) {
			continue
		}
		seen++
		own, ok := level[name]
		if !ok {
			t.Errorf("%s has no level", name)
		}
		for _, imported := range p.Imports {
			below, ours := strings.CutPrefix(imported, "lodge/")
			if !ours {
				continue
			}
			if other, ok := level[below]; !ok || other >= own {
				t.Errorf("%s (level %d) imports %s (level %d)", name, own, below, other)
			}
		}
	}
	if seen != len(level) {
		t.Errorf("%d packages are there, %d have a level", seen, len(level))
	}
}

func isElsewhere(name string) bool {
	for _, prefix := range elsewhere {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
