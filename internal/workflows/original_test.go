package workflows

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// What the original's own tests check and no other test here does; README.md has the map of all.

// TestOriginalHandlers is not reached without a login, and is told who calls with one.
func TestOriginalHandlers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	me := token(t, claims{"aud": []string{"other", "flowify"}})
	for name, auth := range map[string]string{
		"nothing": "", "another issuer": token(t, claims{"iss": "elsewhere"}), "no issuer": token(t, claims{"iss": nil}),
		"another audience": token(t, claims{"aud": "other"}), "no audience": token(t, claims{"aud": nil}),
		"not valid yet": token(t, claims{"nbf": 2610445747}), "issued in the future": token(t, claims{"iat": 2610445747}),
	} {
		if a := s.do("POST", "/components/", auth, component(","+anyImpl)); a.StatusCode != 400 || !strings.Contains(a.body, `"summary":"could not authenticate"`) {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	if list := parse[page](t, s.do("GET", "/components/", me, "").is(t, 200, "")); len(list.Items) != 0 {
		t.Errorf("made without a login: %+v", list)
	}
	s.do("GET", "/userinfo/", me, "").is(t, 200, `"email":"flow@sand.box","oid":"8048","roles":["sandbox-developer"]`)
}

// TestOriginalWorkspaceRoles shows a workspace's own roles to those who may make workspaces.
func TestOriginalWorkspaceRoles(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for roles, want := range map[string]string{
		"sandbox-developer":                         `{"name":"ws1","description":"d-ws1","roles":["ws-collaborator"]}`,
		"sandbox-developer-admin":                   `{"name":"ws1","description":"d-ws1","roles":["ws-owner"]}`,
		"sandbox-developer sandbox-developer-admin": `{"name":"ws1","description":"d-ws1","roles":["ws-collaborator","ws-owner"]}`,
		"developer-admin":                           `{"name":"ws4","description":"d-ws4","roles":["flow@sand.box--$owner","other@x--$collaborator"]}`,
		"user":                                      `{"name":"ws1","description":"d-ws1","roles":[]}`,
		"developer-admin a":                         `{"name":"ws1","description":"d-ws1","roles":[`,
	} {
		s.do("GET", "/workspaces/", token(t, claims{"sub": "x", "oid": "x", "email": "x@x", "roles": strings.Fields(roles)}), "").is(t, 200, want)
	}
	for roles, sees := range map[string]bool{"a": false, "b": false, "a b": true, "user": false} {
		a := s.do("GET", "/workspaces/", personToken(t, "y", strings.Fields(roles)...), "").is(t, 200, "")
		if strings.Contains(a.body, `"ws2"`) != sees {
			t.Errorf("%s: %s", roles, a.body)
		}
	}
}

func TestOriginalSecrets(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	boss, stranger := personToken(t, "boss", "c", "c-admin"), personToken(t, "stranger", "nothing")
	at := func(key string) string { return "/secrets/ws3/" + key }
	pair := func(key string) string { return fmt.Sprintf(`{"key":%q,"value":"v"}`, key) }
	s.do("GET", at(""), stranger, "").is(t, 401, "not authorized")
	s.do("PUT", at("a"), stranger, pair("a")).is(t, 401, "")
	s.do("DELETE", at("a"), stranger, "").is(t, 401, "")
	s.do("DELETE", at("a"), boss, "").is(t, 404, "")
	s.do("PUT", at("a"), boss, "", "Content-Type", "application/json").is(t, 400, "")
	s.do("PUT", at("a"), boss, "{").is(t, 400, "")
	for _, key := range []string{"a", "b", "c"} {
		s.do("PUT", at(key), boss, pair(key)).is(t, 201, "")
		s.do("PUT", at(key), boss, pair(key)).is(t, 204, "")
	}
	both := personToken(t, "both", "c", "c-admin", "sandbox-developer", "sandbox-developer-admin")
	s.do("PUT", "/secrets/ws1/z", both, pair("z")).is(t, 201, "")
	s.do("DELETE", at("b"), boss, "").is(t, 204, "")
	s.do("DELETE", at("b"), boss, "").is(t, 404, "")
	s.do("GET", at(""), boss, "").exactly(t, 200, `{"items":["a","c"]}`)
	s.do("GET", "/secrets/ws1/", both, "").exactly(t, 200, `{"items":["z"]}`)
}

func TestOriginalVolumes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	boss, member, stranger := personToken(t, "boss", "c", "c-admin"), personToken(t, "member", "c"), personToken(t, "stranger", "nothing")
	body := func(workspace, more string) string {
		return `{"workspace":"` + workspace + `","volume":{"name":"v","emptyDir":{}}` + more + `}`
	}
	at := s.do("POST", "/volumes/ws3/", boss, body("ws3", "")).is(t, 201, "").Header.Get("Location")[len("/api/v1"):]
	id := at[strings.LastIndexByte(at, '/')+1:]
	same := body("ws3", `,"uid":"`+id+`"`)
	for _, x := range []struct {
		method, path, body string
		boss, member       int
	}{
		{"GET", "/volumes/ws3/", "", 200, 200},
		{"GET", at, "", 200, 200},
		{"GET", "/volumes/ws3/" + otherUID, "", 404, 404},
		{"GET", "/volumes/ws3/nix", "", 400, 400},
		{"POST", "/volumes/ws3/", body("ws3", ""), 201, 401},
		{"POST", "/volumes/ws3/", body("ws1", ""), 400, 401},
		{"POST", "/volumes/ws3/", same, 400, 401},
		{"POST", "/volumes/ws3/", "{}", 400, 401},
		{"PUT", at, same, 204, 401},
		{"PUT", at, strings.Replace(same, "ws3", "ws1", 1), 400, 401},
		{"PUT", "/volumes/ws3/nix", same, 400, 400},
		{"DELETE", "/volumes/ws3/nix", "", 400, 400},
		{"DELETE", at, "", 200, 401},
	} {
		if got := s.do(x.method, x.path, stranger, x.body).StatusCode; got != 401 && !strings.HasSuffix(x.path, "nix") {
			t.Errorf("a stranger's %s %s: %d", x.method, x.path, got)
		}
		if got := s.do(x.method, x.path, member, x.body).StatusCode; got != x.member {
			t.Errorf("a member's %s %s: %d, want %d", x.method, x.path, got, x.member)
		}
		if got := s.do(x.method, x.path, boss, x.body).StatusCode; got != x.boss {
			t.Errorf("an administrator's %s %s %s: %d, want %d", x.method, x.path, x.body, got, x.boss)
		}
	}
	if list := s.do("GET", "/volumes/ws3/", boss, "").is(t, 200, `"totalNumber":1`); strings.Contains(list.body, id) {
		t.Errorf("deleted and listed: %s", list.body)
	}
}

// TestOriginalNames opens a workspace by its name alone, not by one that is like it.
func TestOriginalNames(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.do("POST", "/workspaces/", token(t, nil), `{"name":"test","roles":["r"]}`).is(t, 201, "")
	s.do("GET", "/volumes/test/", personToken(t, "x", "r"), "").is(t, 200, "")
	for _, role := range []string{"", "R", "r ", "rr", "test"} {
		s.do("GET", "/volumes/test/", personToken(t, "x", role), "").is(t, 401, "")
	}
	for _, name := range []string{"tes", "test%20", "testt", "TEST", "%20test"} {
		s.do("GET", "/volumes/"+name+"/", personToken(t, "x", "r"), "").is(t, 401, "")
	}
}

func TestOriginalStorage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	me := token(t, nil)
	c := s.newComponent(me, `,"name":"kept",`+anyImpl)
	at := "/components/" + c.UID.String()
	s.do("PUT", at, me, component(`,"uid":"`+c.UID.String()+`","name":"kept",`+brickImpl)).is(t, 204, "")
	s.do("DELETE", "/components/"+uuid.Nil.String()+"/1", me, "").is(t, 404, "")
	s.do("DELETE", at+"/2", personToken(t, "stranger"), "").is(t, 403, "")
	s.do("DELETE", at+"/1", me, "").is(t, 204, "")
	for _, path := range []string{at, at + "/2"} {
		if d := parse[doc](t, s.do("GET", path, me, "").is(t, 200, "")); d.Version.Current != 2 || fmt.Sprint(d.Version.Tags) != "[latest]" {
			t.Errorf("%s: %+v", path, d)
		}
	}
	list := parse[page](t, s.do("GET", at+"/versions/", me, "").is(t, 200, ""))
	if len(list.Items) != 1 || list.PageInfo.TotalNumber != 1 {
		t.Errorf("%+v", list)
	}
	// Filters that contradict each other find nothing, which is no error.
	none := parse[page](t, s.do("GET", "/components/?filter=name[==]=kept,name[==]=lost", me, "").is(t, 200, `"items":[]`))
	if none.PageInfo.TotalNumber != 0 {
		t.Errorf("%+v", none)
	}
	s.do("POST", "/jobs/", me, job("ws1", "")).is(t, 201, "")
	s.do("POST", "/jobs/", me, job("ws4", "")).is(t, 201, "")
	jobs := parse[page](t, s.do("GET", "/jobs/?filter=workflow.workspace[==]=ws4&offset=0", me, "").is(t, 200, ""))
	if len(jobs.Items) != 1 || jobs.Items[0].Workspace != "ws4" {
		t.Errorf("%+v", jobs)
	}
	if past := parse[page](t, s.do("GET", "/jobs/?offset=2", me, "").is(t, 200, "")); len(past.Items) != 0 || past.PageInfo.TotalNumber != 2 {
		t.Errorf("%+v", past)
	}
}
