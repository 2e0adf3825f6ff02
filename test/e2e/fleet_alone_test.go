package e2e

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// TestFleetAlone puts the fleet part where the original stood: at the root, behind a proxy that strips a
// prefix, and does what the dashboard does and other clients rely on.
func TestFleetAlone(t *testing.T) {
	t.Parallel()
	const prefix = "/rmf/api"
	proxy := newEntrance(t, prefix)
	l := newLodge(t, simulated, serving("fleet"), behind(t, proxy.front+prefix))
	noError(t, os.WriteFile(filepath.Join(l.workDir(), "lodge.yaml"), []byte(stubIssuer), 0o600))
	l.start()
	proxy.leadsTo(l)
	root, user := l.as(stubToken(t, "admin")), l.as(stubToken(t, "user"))
	eventually(t, "both fleets report at /_internal", func() bool { return len(parse[[]fleetState](root.get("/fleets").is(200))) == 2 })
	eventually(t, "the building map is there", func() bool { return root.get("/building_map").status == 200 })

	root.get("/user").is(200, `{"username":"admin","is_admin":true,"roles":[]}`)
	root.get("/permissions").is(200, "[]")
	user.get("/user").is(200, `{"username":"user","is_admin":false,"roles":[]}`)
	user.get("/tasks").is(403, `"detail":"Forbidden"`, "fleet.tasks.read")
	someRole(t, root, user)
	l.nobody().get("/time").is(200)
	l.nobody().get("/socket.io").is(200, "null")
	l.nobody().get("/docs").is(200, "/tasks/dispatch_task")
	root.get("/nothing").is(404, `{"detail":"Not Found"}`)
	root.send("PUT", "/tasks", nil).is(405, `{"detail":"Method Not Allowed"}`)
	l.nobody().get("/tasks").is(401, `{"detail":"Not authenticated"}`)
	slashes(t, root, proxy.front+prefix)
	anyOrigin(t, root)
	described(t, l.nobody())
	floorPlans(t, root, proxy.front+prefix)

	board := root.dashboard("/socket.io")
	task := root.dispatchThis("", patrol(1, "lab_bench", "lobby"))
	board.enters("/tasks/"+task+"/state", "/fleets/carriers/state", "/building_map", "/doors/lab_door/state")
	board.hears("/fleets/carriers/state", "carrier_1")
	board.hears("/building_map", "lab_door")
	board.hears("/doors/lab_door/state", `"current_mode"`)
	board.hears("/tasks/"+task+"/state", `"status":"completed"`)

	// Through the proxy the client uses the prefix, as the dashboard does.
	through := root.dashboardAt(proxy.front, prefix+"/socket.io")
	through.enters("/tasks/" + task + "/state")
	through.hears("/tasks/"+task+"/state", `"status":"completed"`)
}

// stubIssuer is how the original is set up for the dashboard's stub of a login, with a longer secret.
const stubIssuer = `
identity:
  admins: [admin]
  issuers:
    - issuer: stub
      audiences: [rmf_api_server]
      subject_claims: [preferred_username]
      hs256_secret: ` + stubSecret + `
`

const stubSecret = "rmfisawesome-and-longer-than-it-was"

// stubToken is one as the dashboard's stub has it.
func stubToken(t testing.TB, name string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(stubSecret)}, nil)
	noError(t, err)
	signed, err := signer.Sign([]byte(`{"sub":"stub","preferred_username":"` + name + `","iat":1516239022,"aud":"rmf_api_server","iss":"stub","exp":2051222400}`))
	noError(t, err)
	token, err := signed.CompactSerialize()
	noError(t, err)
	return token
}

// someRole gives the user a role, by the calls and names of the original.
func someRole(t *testing.T, root, user caller) {
	root.send("POST", "/admin/roles", map[string]string{"name": "watch"}).is(200, "null")
	root.send("POST", "/admin/roles/watch/permissions", map[string]string{"authz_grp": "", "action": "task_read"}).is(200, "null")
	root.send("POST", "/admin/users/user/roles", map[string]string{"name": "watch"}).is(200, "null")
	eventually(t, "the user sees tasks", func() bool { return user.get("/tasks").status == 200 })
	user.get("/permissions").is(200, `[{"authz_grp":"","action":"task_read"}]`)
	root.get("/admin/users").is(200, "admin", "user")
	user.get("/admin/users").is(403)
}

// slashes are one too many: the answer leads to the public address without, with method and body kept.
func slashes(t *testing.T, root caller, public string) {
	equal(t, "where /tasks/ leads", root.get("/tasks/?limit=1").is(307).header.Get("Location"), public+"/tasks?limit=1")
	equal(t, "where a POST leads", root.send("POST", "/doors/lab_door/request/", map[string]int{"mode": 2}).is(307).header.Get("Location"),
		public+"/doors/lab_door/request")
	if a := root.get("/_internal/"); a.status/100 == 2 {
		t.Errorf("/_internal/ is answered with %d", a.status)
	}
}

// anyOrigin is where pages may come from.
func anyOrigin(t *testing.T, root caller) {
	page := http.Header{"Origin": {"https://dashboard.example"}}
	for path, status := range map[string]int{
		"/time": 200, "/tasks": 200, "/doors/none/state": 404, "/nothing": 404, "/tasks?limit=0": 422, "/socket.io/?EIO=4&transport=polling": 200,
	} {
		equal(t, "CORS of "+path, root.do("GET", path, page, "").is(status).header.Get("Access-Control-Allow-Origin"), "*")
	}
	preflight := root.nobody().do("OPTIONS", "/tasks/dispatch_task", http.Header{
		"Origin": {"https://dashboard.example"}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"authorization,content-type"},
	}, "").is(200, "OK")
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT",
		"Access-Control-Max-Age": "600", "Access-Control-Allow-Headers": "authorization,content-type", "Access-Control-Allow-Credentials": "",
	} {
		equal(t, name, preflight.header.Get(name), want)
	}
	root.get("/socket.io/?EIO=3&transport=polling").is(400, "unsupported version of the Socket.IO or Engine.IO protocols")
}

// described looks for every operation of the original in the document that clients are generated from.
func described(t *testing.T, nobody caller) {
	doc := parse[struct {
		OpenAPI string `json:"openapi"`
		Info    struct {
			Title string `json:"title"`
		} `json:"info"`
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
		} `json:"paths"`
	}](nobody.get("/openapi.json").is(200))
	equal(t, "title", doc.Info.Title, "RMF API Server")
	equal(t, "version", doc.OpenAPI, "3.1.0")
	var got []string
	for path, methods := range doc.Paths {
		for method, operation := range methods {
			got = append(got, strings.ToUpper(method)+" "+path+" "+operation.OperationID)
		}
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "internal", "fleet", "testdata", "operations.txt"))
	noError(t, err)
	want := strings.Split(strings.TrimSpace(string(text)), "\n")
	equal(t, "operations of the original", len(want), 74)
	for _, operation := range want {
		if !slices.Contains(got, operation) {
			t.Errorf("not in the document: %s", operation)
		}
	}
}

// floorPlans are textures that the dashboard loads from the address that the map gives, with no token.
func floorPlans(t *testing.T, root caller, public string) {
	levels := parse[struct {
		Levels []struct {
			Images []struct {
				Data string `json:"data"`
			} `json:"images"`
		} `json:"levels"`
	}](root.get("/building_map").is(200)).Levels
	equal(t, "levels", len(levels), 2)
	for _, level := range levels {
		equal(t, "floor plans of a level", len(level.Images), 1)
		at := level.Images[0].Data
		if !strings.HasPrefix(at, public+"/cache/") {
			t.Fatalf("a floor plan is said to be at %s, not at %s/cache/…", at, public)
		}
		plan := root.nobody().do("GET", at, http.Header{"Origin": {"https://dashboard.example"}}, "").is(200, "\x89PNG")
		equal(t, "CORS of a floor plan", plan.header.Get("Access-Control-Allow-Origin"), "*")
		equal(t, "type of a floor plan", plan.header.Get("Content-Type"), "image/png")
		u, err := url.Parse(at)
		noError(t, err)
		root.nobody().do("GET", root.url()+strings.TrimPrefix(u.Path, "/rmf/api"), http.Header{"If-None-Match": {plan.header.Get("ETag")}}, "").is(304)
	}
}
