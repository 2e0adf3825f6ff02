package workflows

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"lodge/internal/database"
	"lodge/internal/database/databasetest"
)

// TestGoldenExchanges are those of the contract, with the statuses that differ on purpose.
func TestGoldenExchanges(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	me := token(t, claims{"iat": 1663674547, "nbf": 1663674547, "exp": 2610445747, "sub": nil})
	s.do("GET", "/userinfo/", "", "").exactly(t, 400, `{"code":400,"summary":"could not authenticate","detail":"no Authorization header given"}`)
	s.do("GET", "/userinfo/", "Basic Zm9vOmJhcg==", "").is(t, 400, `"detail":"bad Authorization header"`)
	s.do("GET", "/userinfo/", "Bearer x.y.z", "").is(t, 400, `"detail":"authentication error: token not valid"`)
	s.do("GET", "/userinfo/", token(t, claims{"exp": 1663674548}), "").is(t, 400, `"detail":"authentication error: token expired"`)
	s.do("GET", "/userinfo/", me, "").exactly(t, 200, `{"name":"F. Lowe","email":"flow@sand.box","oid":"8048","roles":["sandbox-developer"],"iss":"sandbox",`+
		`"aud":["flowify"],"exp":2610445747,"nbf":1663674547,"iat":1663674547}`)
	s.do("GET", "/workspaces/", me, "").exactly(t, 200, `{"items":[{"name":"ws1","description":"d-ws1","roles":["ws-collaborator"]},`+
		`{"name":"ws3","description":"d-ws3","roles":[]},`+
		`{"name":"ws4","description":"d-ws4","roles":["ws-collaborator","ws-owner","flow@sand.box--$owner","other@x--$collaborator"]},`+
		`{"name":"ws5","description":"d-ws5","roles":[]}]}`)

	created := s.do("POST", "/components/", me, component(`,"name":"x",`+anyImpl)).is(t, 201, "")
	c := parse[doc](t, created)
	if at := created.Header.Get("Location"); at != "/api/v1/components/"+c.UID.String() {
		t.Errorf("Location %q", at)
	}
	want := `{"name":"x","modifiedBy":{"oid":"8048","email":"flow@sand.box"},"uid":"` + c.UID.String() + `","version":{"current":1,` +
		`"tags":["latest"],"previous":{"uid":"00000000-0000-0000-0000-000000000000"}},"timestamp":"` + c.Timestamp + `","type":"component",` + anyImpl + `}`
	if created.body != want {
		t.Errorf("\n got %s\nwant %s", created.body, want)
	}
	s.do("GET", "/components/"+c.UID.String(), me, "").exactly(t, 200, want)

	refused := s.do("POST", "/components/", me, component(`,"bogus":1,`+anyImpl)).is(t, 400, `"summary":"cannot read request","detail":"cannot unmarshal item: /component/bogus: does not validate: `)
	if f := parse[Failure](t, refused); len(f.Findings) != 1 || f.Findings[0].Pointer != "/component/bogus" {
		t.Errorf("findings %+v", f.Findings)
	}
	s.do("GET", "/components/?limit=-1", me, "").exactly(t, 400, `{"code":400,"summary":"error parsing query parameters","detail":"could not parse 'limit' query parameter (-1) into non-negative integer"}`)
	s.do("GET", "/components/"+otherUID, me, "").exactly(t, 404, `{"code":404,"summary":"error retrieving component","detail":"not found"}`)
	s.do("POST", "/workflows/", me, workflow("ws3", "")).exactly(t, 403, `{"code":403,"summary":"cannot create workflow","detail":"user has no access to workspace (ws3)"}`)
	s.do("PUT", "/secrets/ws1/K", me, `{"key":"K","value":"v"}`).exactly(t, 401, `{"code":401,"summary":"Authorization Denied","detail":"not authorized"}`)
	s.do("PUT", "/secrets/ws4/K", me, `{"key":"K","value":"v"}`).exactly(t, 201, `{"key":"K"}`)
	s.do("PUT", "/secrets/ws4/K", me, `{"key":"K","value":"w"}`).is(t, 204, "")
	s.do("GET", "/secrets/ws4/", me, "").exactly(t, 200, `{"items":["K"]}`)
	v := s.do("POST", "/volumes/ws4/", me, `{"workspace":"ws4","volume":{"name":"v","emptyDir":{}}}`).exactly(t, 201, `null`)
	if at := v.Header.Get("Location"); !strings.HasPrefix(at, "/api/v1/volumes/ws4/") || len(at) != len("/api/v1/volumes/ws4/")+36 {
		t.Errorf("Location %q", at)
	}
	s.do("POST", "/workspaces/", me, `{"name":"nw","roles":["x--$owner"]}`).exactly(t, 201, `{"Workspace":"Success: The workspace nw has been created"}`)
	j := s.do("POST", "/jobs/", me, job("ws1", "")).exactly(t, 201, `null`)
	id := strings.TrimPrefix(j.Header.Get("Location"), "/api/v1/jobs/")
	if _, err := uuid.Parse(id); err != nil {
		t.Errorf("Location %q", j.Header.Get("Location"))
	}
	s.do("POST", "/jobs/", me, strings.Replace(job("ws1", ""), otherUID, "00000000-0000-0000-0000-000000000000", 1)).
		is(t, 400, `"summary":"error generating a Argo workflow manifest","detail":"/job/workflow/component/uid: component () uid (00000000-0000-0000-0000-000000000000) is required to be unique and non-zero`)
	s.do("POST", "/jobs/", me, job("ws1", `,"uid":"`+otherUID+`"`)).exactly(t, 400, `{"code":400,"summary":"JobSubmitRequest may not have uid set","detail":"non zero uid (`+otherUID+`)"}`)
	s.do("GET", "/jobs/"+id+"/events/", me, "", "Accept", "application/json").
		exactly(t, 406, `{"code":406,"summary":"Accept media type not acceptable","detail":"requested Accept type application/json is not available, expecting text/event-stream"}`)
	s.do("GET", "/jobs/", personToken(t, "stranger"), "").exactly(t, 200, `{"items":[],"pageInfo":{"totalNumber":0,"limit":10,"skip":0}}`)
}

// TestMedia is the negotiation of types, the headers, and what is not there.
func TestMedia(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	me := token(t, nil)
	for accept, want := range map[string]int{
		"": 200, "*/*": 200, "application/json": 200, "application/*": 200, "application/json, text/plain, */*": 200, "text/html;q=0.9, */*;q=0.1": 200,
		"text/html": 406, "application/json;q=0": 406, "text/event-stream": 406,
	} {
		s.do("GET", "/userinfo/", me, "", "Accept", accept).is(t, want, "")
	}
	for sent, want := range map[string]int{"application/json": 201, "application/json; charset=utf-8": 201, "text/plain": 415, "": 415, "application/x-www-form-urlencoded": 415} {
		s.do("POST", "/components/", me, component(","+anyImpl), "Content-Type", sent).is(t, want, "")
	}
	a := s.do("GET", "/userinfo/", me, "")
	if a.Header.Get("X-Flowify-Version") != "abc" || len(a.Header.Values("Content-Type")) != 1 || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", a.Header)
	}
	if _, err := time.Parse(time.RFC3339, a.Header.Get("X-Flowify-Buildtime")); err != nil {
		t.Error(err)
	}
	s.do("GET", "/nothing", me, "").is(t, 404, `"code":404`)
	s.do("PUT", "/components/", me, "{}").is(t, 405, `"code":405`)
	s.do("GET", strings.TrimSuffix(s.url, "/")+"/livez", "", "").exactly(t, 200, "alive")
	s.do("GET", strings.TrimSuffix(s.url, "/")+"/versionz", "", "").exactly(t, 200, "abc")
	s.do("POST", "/components/", me, strings.Repeat(" ", 9<<20)).is(t, 413, "")
}

// TestVersions is the life of components and workflows, alike on every database.
func TestVersions(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, func(set *setup) { set.db = db })
		me, other := token(t, nil), personToken(t, "other", "sandbox-developer")
		for kind, request := range map[string]func(more string) string{
			"component": func(more string) string { return component("," + brickImpl + more) },
			"workflow":  func(more string) string { return workflow("ws1", more) },
		} {
			t.Run(kind, func(t *testing.T) { s.versions(t, kind, request, me, other) })
		}
	})
}

func (s *site) versions(t *testing.T, kind string, request func(string) string, me, other string) {
	root := "/" + kind + "s/"
	named := func(d doc, more string) string { return request(`,"uid":"` + d.UID.String() + `"` + more) }
	s.do("POST", root, me, request(`,"uid":"`+otherUID+`"`)).is(t, 400, "leave it out")
	s.do("POST", root, me, request(`,"version":{"current":2}`)).is(t, 400, "begins with version 1")
	c := parse[doc](t, s.do("POST", root, me, request(`,"name":"one","version":{"current":1,"tags":["mine","latest"]}`)).is(t, 201, ""))
	if fmt.Sprint(c.Version.Tags) != "[mine latest]" || c.ModifiedBy.OID != "8048" {
		t.Errorf("%+v", c)
	}
	at := root + c.UID.String()
	put := s.do("PUT", at, other, named(c, `,"name":"two"`)).is(t, 204, "")
	if put.Header.Get("Location") != "/api/v1"+at {
		t.Errorf("Location %q", put.Header.Get("Location"))
	}
	two := parse[doc](t, s.do("GET", at, me, "").is(t, 200, ""))
	if two.Version.Current != 2 || two.Version.Previous.Version != 1 || fmt.Sprint(two.Version.Tags) != "[latest]" || two.ModifiedBy.OID != "other" || two.Name != "two" {
		t.Errorf("%+v", two)
	}
	if one := parse[doc](t, s.do("GET", at+"/1", me, "").is(t, 200, "")); fmt.Sprint(one.Version.Tags) != "[mine]" || one.Name != "one" {
		t.Errorf("%+v", one)
	}
	for _, newest := range []string{"/0", "/-1", "/-2", "/-5"} {
		if got := parse[doc](t, s.do("GET", at+newest, me, "").is(t, 200, "")); got.Version.Current != 2 {
			t.Errorf("%s: %+v", newest, got)
		}
	}
	s.do("GET", at+"/9", me, "").is(t, 404, "not found")
	s.do("GET", at+"/x", me, "").is(t, 400, "no version")
	s.do("GET", root+"{"+c.UID.String()+"}", me, "").is(t, 200, "")
	s.do("GET", root+strings.ReplaceAll(c.UID.String(), "-", ""), me, "").is(t, 200, "")

	// Only the newest can be written over, by who has seen it as it is.
	stamp := func(d doc, v int) string {
		return fmt.Sprintf(`,"timestamp":"%s","version":{"current":%d,"tags":["x"]}`, d.Timestamp, v)
	}
	s.do("PATCH", at, me, named(c, stamp(c, 1))).is(t, 409, "newer document exists")
	s.do("PATCH", root+otherUID, me, named(c, stamp(two, 2))).is(t, 400, "is not the one of the address")
	saved := s.do("PATCH", at, me, named(c, `,"description":"d"`+stamp(two, 2))).is(t, 200, `"description":"d"`)
	if d := parse[doc](t, saved); d.Timestamp == two.Timestamp || fmt.Sprint(d.Version.Tags) != "[x latest]" || d.Version.Current != 2 || d.Version.Previous.Version != 1 || d.Name != "" {
		t.Errorf("%+v", d)
	}
	s.do("GET", at, me, "").exactly(t, 200, saved.body)
	late := s.do("PATCH", at, other, named(c, `,"name":"late"`+stamp(two, 2))).is(t, 409, "newer document exists: flow@sand.box wrote version 2 at ")
	if !strings.Contains(late.body, "it differs from yours in /description, /name") {
		t.Errorf("what changed: %s", late.body)
	}
	// The same instant in another form is the same instant.
	instant, err := time.Parse(time.RFC3339Nano, parse[doc](t, saved).Timestamp)
	noError(t, err)
	elsewhere := doc{Timestamp: instant.In(time.FixedZone("", 7200)).Format(time.RFC3339Nano)}
	s.do("PATCH", at, me, named(c, stamp(elsewhere, 2))).is(t, 200, "")

	s.do("PUT", root+otherUID, me, request(`,"uid":"`+otherUID+`"`)).is(t, 404, "not found")
	s.do("PUT", root+otherUID, me, named(c, "")).is(t, 400, "")

	list := parse[page](t, s.do("GET", at+"/versions/", me, "").is(t, 200, ""))
	if len(list.Items) != 2 || list.Items[0].Version.Current != 2 || list.PageInfo.TotalNumber != 2 {
		t.Errorf("%+v", list)
	}
	if kind == "workflow" && list.Items[0].Workspace != "ws1" {
		t.Errorf("%+v", list)
	}
	// latest moves back, and numbers are not given out again.
	s.do("DELETE", at+"/2", other, "").is(t, map[string]int{"component": 403, "workflow": 204}[kind], "")
	if kind == "component" {
		s.do("DELETE", at+"/2", me, "").is(t, 204, "")
	}
	if d := parse[doc](t, s.do("GET", at, me, "").is(t, 200, "")); d.Version.Current != 1 || fmt.Sprint(d.Version.Tags) != "[mine latest]" {
		t.Errorf("%+v", d)
	}
	s.do("PUT", at, me, named(c, "")).is(t, 204, "")
	if d := parse[doc](t, s.do("GET", at, me, "").is(t, 200, "")); d.Version.Current != 3 || d.Version.Previous.Version != 1 {
		t.Errorf("%+v", d)
	}
	s.do("DELETE", at+"/2", me, "").is(t, 404, "not found")
	s.do("DELETE", at+"/0", me, "").is(t, 400, "name the version")
}

// TestTwoAtOnce publishes and saves at the same time: every version is there once, and of the savers one wins.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, func(set *setup) { set.db = db })
		me := token(t, nil)
		c := s.newComponent(me, ","+brickImpl)
		at := "/components/" + c.UID.String()
		const n = 8
		statuses := make(chan int, 2*n)
		for range n {
			go func() {
				statuses <- s.do("PUT", at, me, component(`,"uid":"`+c.UID.String()+`",`+brickImpl)).StatusCode
			}()
		}
		for range n {
			if status := <-statuses; status != 204 {
				t.Errorf("publish: %d", status)
			}
		}
		list := parse[page](t, s.do("GET", at+"/versions/?limit=100", me, "").is(t, 200, ""))
		latest := 0
		for _, i := range list.Items {
			latest += strings.Count(fmt.Sprint(i.Version.Tags), "latest")
		}
		if len(list.Items) != n+1 || list.Items[0].Version.Current != n+1 || latest != 1 {
			t.Errorf("%+v", list)
		}
		now := parse[doc](t, s.do("GET", at, me, "").is(t, 200, ""))
		for i := range n {
			go func() {
				body := component(fmt.Sprintf(`,"uid":"%s","name":"n%d","timestamp":"%s","version":{"current":%d},%s`, c.UID, i, now.Timestamp, n+1, brickImpl))
				statuses <- s.do("PATCH", at, me, body).StatusCode
			}()
		}
		won := 0
		for range n {
			switch status := <-statuses; status {
			case 200:
				won++
			case 409:
			default:
				t.Errorf("save: %d", status)
			}
		}
		if won != 1 {
			t.Errorf("%d saved", won)
		}
	})
}

// TestReferencesStayWhole keeps what is in use.
func TestReferencesStayWhole(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	me, other := token(t, nil), personToken(t, "other", "c")
	inner := s.newComponent(me, `,"name":"inner",`+brickImpl)
	at := "/components/" + inner.UID.String()
	s.do("PUT", at, me, component(`,"uid":"`+inner.UID.String()+`",`+brickImpl)).is(t, 204, "")
	pinned := s.newComponent(me, `,"name":"pinned"`+uses(`{"uid":"`+inner.UID.String()+`","version":1}`))
	floating := parse[doc](t, s.do("POST", "/workflows/", other, `{"workflow":{"type":"workflow","workspace":"ws3","name":"theirs","component":{"type":"component"`+uses(`"`+inner.UID.String()+`"`)+`}}}`).is(t, 201, ""))

	s.do("DELETE", at+"/1", me, "").is(t, 409, `version 1 of the component is in use by component \"pinned\" (`+pinned.UID.String()+` version 1)`)
	s.do("DELETE", at+"/2", me, "").is(t, 204, "") // "the newest" can still be found
	refused := s.do("DELETE", at+"/1", me, "").is(t, 409, "a workflow of another workspace")
	if strings.Contains(refused.body, "theirs") || strings.Contains(refused.body, floating.UID.String()) {
		t.Errorf("tells of what is not the caller's: %s", refused.body)
	}
	s.do("DELETE", "/components/"+pinned.UID.String()+"/1", me, "").is(t, 204, "")
	s.do("DELETE", at+"/1", me, "").is(t, 409, "")
	s.do("DELETE", "/workflows/"+floating.UID.String()+"/1", other, "").is(t, 204, "")
	s.do("DELETE", at+"/1", me, "").is(t, 204, "")
	s.do("GET", at, me, "").is(t, 404, "")

	// What is not there can be saved, and neither published nor run.
	dangling := s.newComponent(me, uses(`"`+inner.UID.String()+`"`))
	s.do("PUT", "/components/"+dangling.UID.String(), me, component(`,"uid":"`+dangling.UID.String()+`"`+uses(`"`+inner.UID.String()+`"`))).
		is(t, 400, "/component/implementation/nodes/0/node: there is no component "+inner.UID.String())
	itself := component(`,"uid":"` + dangling.UID.String() + `"` + uses(`"`+dangling.UID.String()+`"`))
	_ = s.do("PATCH", "/components/"+dangling.UID.String(), me, strings.Replace(itself, `"type":"component"`, `"type":"component","timestamp":"`+dangling.Timestamp+`","version":{"current":1}`, 1)).is(t, 200, "")
	s.do("PUT", "/components/"+dangling.UID.String(), me, itself).is(t, 400, "contains itself")
	s.do("DELETE", "/components/"+dangling.UID.String()+"/1", me, "").is(t, 204, "") // its own reference does not keep it
}

// TestAccess is who may do what: nothing of another workspace can be told from nothing.
func TestAccess(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	me, stranger := token(t, nil), personToken(t, "stranger", "nothing")
	w := parse[doc](t, s.do("POST", "/workflows/", me, workflow("ws1", "")).is(t, 201, ""))
	at := "/workflows/" + w.UID.String()
	accepted := s.do("POST", "/jobs/", me, job("ws1", "")).is(t, 201, "")
	id := accepted.Header.Get("Location")[len("/api/v1"):]
	named := workflow("ws1", `,"uid":"`+w.UID.String()+`","version":{"current":1},"timestamp":"`+w.Timestamp+`"`)
	for _, x := range []struct{ method, path, body string }{
		{"GET", at, ""},
		{"GET", at + "/1", ""},
		{"PUT", at, named},
		{"PATCH", at, named},
		{"DELETE", at + "/1", ""},
		{"GET", id, ""},
		{"DELETE", id, ""},
		{"POST", id + "/terminate", ""},
		{"GET", id + "/status", ""},
	} {
		s.do(x.method, x.path, stranger, x.body).is(t, 404, "")
		missing := strings.NewReplacer(w.UID.String(), otherUID, id, "/jobs/"+otherUID)
		if x.method != "PUT" && x.method != "PATCH" {
			if got, want := s.do(x.method, x.path, stranger, x.body).body, s.do(x.method, missing.Replace(x.path), stranger, x.body).body; got != want {
				t.Errorf("%s %s: %s, but %s for what is missing", x.method, x.path, got, want)
			}
		}
	}
	s.do("GET", id+"/events/", stranger, "", "Accept", "text/event-stream").is(t, 404, "no such job")
	for _, path := range []string{"/workflows/", "/jobs/", at + "/versions/"} {
		if list := parse[page](t, s.do("GET", path, stranger, "").is(t, 200, "")); len(list.Items) != 0 || list.PageInfo.TotalNumber != 0 {
			t.Errorf("%s: %+v", path, list)
		}
		if list := parse[page](t, s.do("GET", path, me, "").is(t, 200, "")); len(list.Items) != 1 {
			t.Errorf("%s: %+v", path, list)
		}
	}
	for _, ws := range []string{"ws1", "ws2", "nowhere", "*", "site"} {
		s.do("GET", "/secrets/"+ws+"/", stranger, "").is(t, 401, "not authorized")
		s.do("GET", "/volumes/"+ws+"/", stranger, "").is(t, 401, "")
		s.do("POST", "/jobs/", stranger, job(ws, "")).is(t, 403, "user has no access to workspace")
		s.do("PUT", "/workspaces/", stranger, `{"name":"`+ws+`","roles":["x"]}`).is(t, 403, `{"Error":"error updating workspace: `)
		s.do("DELETE", "/workspaces/", stranger, `{"name":"`+ws+`"}`).is(t, 403, `{"Error":"error deleting workspace: `)
	}
	s.do("POST", "/workspaces/", stranger, `{"name":"mine","roles":["x"]}`).is(t, 401, "Authorization Denied")
	s.do("PATCH", at, me, strings.Replace(named, `"ws1"`, `"ws4"`, 1)).is(t, 400, "stays in its workspace")
	// The platform's permissions count beside the rule.
	s.permit("reader", "workflows.read", "ws1")
	reader := personToken(t, "reader", "reader")
	s.do("GET", at, reader, "").is(t, 200, "")
	s.do("PUT", at, reader, named).is(t, 403, "")
	s.do("POST", id+"/terminate", reader, "").is(t, 403, "")
	s.permit("janitor", "workflows.components.delete", "site")
	c := s.newComponent(me, ","+anyImpl)
	s.do("DELETE", "/components/"+c.UID.String()+"/1", stranger, "").is(t, 403, "")
	s.do("DELETE", "/components/"+c.UID.String()+"/1", personToken(t, "x", "janitor"), "").is(t, 204, "")
}

func TestWorkspaces(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	me := token(t, nil)
	for body, want := range map[string]string{
		`{"roles":["a"]}`: "name the workspace", `{"name":"A b","roles":["a"]}`: "no name for a workspace", `{"name":"site","roles":["a"]}`: "no name",
		`{"name":"kube-system","roles":["a"]}`: "no name", `{"name":"n"}`: "name the roles", `{"name":"n","roles":[]}`: "name the roles",
		`{"name":"n","roles":["ws-owner","ws-collaborator"]}`: "name the roles", `{"name":"n","roles":"a"}`: "roles is a list", `{`: "not valid JSON", `{"name":1}`: "does not fit",
		`{"name":"n","roles":["a"],"hideForUnauthorized":"maybe"}`: "hideForUnauthorized",
	} {
		a := s.do("POST", "/workspaces/", me, body).is(t, 400, want)
		if !strings.HasPrefix(a.body, `{"Error":"error creating workspace: `) {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	s.do("POST", "/workspaces/", me, `{"Name":"n","Roles":["flow@sand.box--$owner","ws-owner"],"description":"d","hideForUnauthorized":"true","labels":[["a","b"]],"type":"x"}`).is(t, 201, "")
	s.do("POST", "/workspaces/", me, `{"name":"n","roles":["x"]}`).is(t, 409, "already")
	s.do("GET", "/workspaces/", me, "").is(t, 200, `{"name":"n","description":"d","roles":["ws-collaborator","ws-owner","flow@sand.box--$owner"]}`)
	if a := s.do("GET", "/workspaces/", personToken(t, "x"), ""); strings.Contains(a.body, `"n"`) {
		t.Errorf("a hidden workspace is seen: %s", a.body)
	}
	// What is not given stays; an invited collaborator gets in, and sees that they are one.
	s.do("PUT", "/workspaces/", me, `{"name":"n","roles":["flow@sand.box--$owner","guest@x--$collaborator","ws-owner"]}`).is(t, 200, "The workspace n has been updated")
	s.do("GET", "/workspaces/", personToken(t, "guest"), "").is(t, 200, `{"name":"n","description":"d","roles":["ws-collaborator","guest@x--$collaborator"]}`)
	// Its administrators read who belongs to it, so that a change keeps the rest; nobody else does.
	s.do("GET", "/workspaces/n", me, "").exactly(t, 200, `{"name":"n","description":"d","roles":[["flow@sand.box--$owner","guest@x--$collaborator"]],"hidden":true}`)
	s.do("GET", "/workspaces/n", personToken(t, "guest"), "").is(t, 403, "")
	s.do("GET", "/workspaces/n", personToken(t, "x"), "").is(t, 404, "")
	s.do("GET", "/workspaces/nix", me, "").is(t, 404, "")
	unverified := token(t, claims{"sub": "evil", "email": "flow@sand.box", "email_verified": false, "roles": []string{}})
	if a := s.do("GET", "/workspaces/", unverified, ""); strings.Contains(a.body, `"n"`) {
		t.Errorf("an unverified address is believed: %s", a.body)
	}
	s.do("PUT", "/workspaces/", personToken(t, "guest"), `{"name":"n","roles":["x"]}`).is(t, 403, "")
	s.do("PUT", "/secrets/n/K", me, `{"key":"K","value":"v"}`).is(t, 201, "")
	w := parse[doc](t, s.do("POST", "/workflows/", me, workflow("n", "")).is(t, 201, ""))
	s.do("POST", "/jobs/", me, job("n", "")).is(t, 201, "")
	s.do("DELETE", "/workspaces/", me, `{"name":"n"}`).is(t, 409, "1 jobs of the workspace n are under way")
	_, err := s.db.Exec(t.Context(), "UPDATE wf_jobs SET finished_at = 1")
	noError(t, err)
	s.do("DELETE", "/workspaces/", me, `{"name":"n"}`).exactly(t, 200, `{"Workspace":"Success: Success"}`)
	// Who makes one of the same name finds nothing of it.
	s.do("POST", "/workspaces/", me, `{"name":"n","roles":[["sandbox-developer"],["flow@sand.box--$owner"]]}`).is(t, 201, "")
	s.do("GET", "/secrets/n/", me, "").exactly(t, 200, `{"items":[]}`)
	s.do("GET", "/workflows/"+w.UID.String(), me, "").is(t, 404, "")
	if list := parse[page](t, s.do("GET", "/jobs/?filter=workspace[==]=n", me, "").is(t, 200, "")); len(list.Items) != 0 {
		t.Errorf("%+v", list)
	}
}

func TestSecretsAndVolumes(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, func(set *setup) { set.db = db })
		me := token(t, nil)
		s.do("PUT", "/secrets/ws4/K", me, `{"key":"L","value":"v"}`).is(t, 400, "secret key URL mismatch")
		for _, body := range []string{`{"key":"K","value":"s3cr`, `"s3cr"`, `{"key":"K","value":7}`, `{"key":"K"}`} {
			if a := s.do("PUT", "/secrets/ws4/K", me, body).is(t, 400, ""); strings.Contains(a.body, "s3cr") {
				t.Errorf("repeats the secret: %s", a.body)
			}
		}
		s.do("PUT", "/secrets/ws4/a%20b", me, `{"key":"a b","value":"v"}`).is(t, 400, "no name for a secret")
		s.do("PUT", "/secrets/ws4/B", me, `{"key":"B","value":"s3cret"}`).is(t, 201, "")
		s.do("PUT", "/secrets/ws4/A", me, `{"key":"A","value":"other"}`).is(t, 201, "")
		s.do("GET", "/secrets/ws4/", me, "").exactly(t, 200, `{"items":["A","B"]}`)
		value, err := s.svc.Secret(t.Context(), "ws4", "B")
		noError(t, err)
		if value.Reveal() != "s3cret" {
			t.Errorf("got %q", value.Reveal())
		}
		sealed, err := s.svc.store.sealedSecret(t.Context(), db, "ws4", "B")
		noError(t, err)
		if strings.Contains(sealed, "s3cret") {
			t.Error("stored as it is")
		}
		_, err = db.Exec(t.Context(), "UPDATE wf_secrets SET sealed = ? WHERE name = 'A'", sealed)
		noError(t, err)
		if _, err := s.svc.Secret(t.Context(), "ws4", "A"); err == nil {
			t.Error("one secret's row stands for another")
		}
		s.do("DELETE", "/secrets/ws4/A", me, "").is(t, 204, "")
		s.do("DELETE", "/secrets/ws4/A", me, "").is(t, 404, "there is no secret A")

		volume := func(more string) string {
			return `{"workspace":"ws4","volume":{"name":"v","emptyDir":{"sizeLimit":"1Gi"}}` + more + `}`
		}
		s.do("POST", "/volumes/ws4/", me, volume(`,"uid":"`+otherUID+`"`)).is(t, 400, "leave it out")
		s.do("POST", "/volumes/ws4/", me, strings.Replace(volume(""), "ws4", "ws1", 1)).is(t, 400, "is not the one of the address")
		s.do("POST", "/volumes/ws4/", me, "{}").is(t, 400, "/volume: is required")
		s.do("POST", "/volumes/ws1/", me, strings.Replace(volume(""), "ws4", "ws1", 1)).is(t, 401, "")
		at := s.do("POST", "/volumes/ws4/", me, volume("")).is(t, 201, "null").Header.Get("Location")[len("/api/v1"):]
		id := at[strings.LastIndexByte(at, '/')+1:]
		s.do("GET", at, me, "").exactly(t, 200, `{"uid":"`+id+`","workspace":"ws4","volume":{"name":"v","emptyDir":{"sizeLimit":"1Gi"}}}`)
		s.do("PUT", at, me, strings.Replace(volume(`,"uid":"`+id+`"`), "1Gi", "2Gi", 1)).is(t, 204, "")
		s.do("PUT", at, me, volume(`,"uid":"`+otherUID+`"`)).is(t, 400, "is not the one of the address")
		s.do("PUT", "/volumes/ws4/"+otherUID, me, volume(`,"uid":"`+otherUID+`"`)).is(t, 204, "")
		s.do("GET", "/volumes/ws4/?limit=1&offset=0", me, "").is(t, 200, `"pageInfo":{"totalNumber":2,"limit":1,"skip":0}`)
		s.do("GET", "/volumes/ws4/x", me, "").is(t, 400, "")

		// Another workspace's administrator touches none of it.
		stranger := personToken(t, "boss", "c", "c-admin")
		s.do("PUT", "/volumes/ws3/"+id, stranger, strings.Replace(volume(`,"uid":"`+id+`"`), "ws4", "ws3", 1)).is(t, 404, "")
		s.do("DELETE", "/volumes/ws3/"+id, stranger, "").is(t, 404, "")
		s.do("GET", "/volumes/ws3/"+id, stranger, "").is(t, 404, "")
		s.do("GET", at, me, "").is(t, 200, "2Gi")
		s.do("DELETE", at, me, "").exactly(t, 200, "null")
		s.do("GET", at, me, "").is(t, 404, "there is no volume")
	})
}

// TestJobs is the life of a job, with an engine that reports what the test says.
func TestJobs(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, func(set *setup) { set.db = db })
		me := token(t, nil)
		inner := s.newComponent(me, ","+brickImpl)
		sent := strings.Replace(job("ws1", `,"name":"first"`), brickImpl, uses(`"` + inner.UID.String() + `"`)[1:], 1)
		sent = strings.Replace(sent, `"workspace":"ws1"`, `"workspace":"ws1","uid":"`+otherUID+`","name":"w","version":{"current":3}`, 1)
		at := s.do("POST", "/jobs/", me, sent).is(t, 201, "").Header.Get("Location")[len("/api/v1"):]
		id := uuid.MustParse(at[strings.LastIndexByte(at, '/')+1:])
		eventually(t, "the job begins", func() bool { return len(s.engine.begun()) == 1 })
		o := s.engine.begun()[0]
		if o.Job.UID != id || fmt.Sprint(o.Options.Tags) != "[a b]" || string(o.Manifest) != "manifest of "+id.String() {
			t.Errorf("%+v", o)
		}
		// The engine gets the components as they were.
		s.do("PUT", "/components/"+inner.UID.String(), me, component(`,"uid":"`+inner.UID.String()+`","name":"changed",`+brickImpl)).is(t, 204, "")
		r, err := s.svc.store.job(t.Context(), db, id)
		noError(t, err)
		again, err := r.order()
		noError(t, err)
		if c := again.Library.Bundle().Components; len(c) != 1 || c[0].Name != "" || c[0].Version.Current != 1 {
			t.Errorf("%+v", c)
		}
		s.do("GET", at+"/status", me, "").exactly(t, 200, `{"uid":"`+id.String()+`","status":"Pending"}`)
		s.do("GET", "/jobs/", me, "").is(t, 200, `"status":"Pending","workflow":{"uid":"`+otherUID+`","name":"w","version":3}`)
		s.do("GET", "/components/", me, "").is(t, 200, `"implementation":"brick"`)
		s.do("GET", at, me, "").is(t, 200, `"version":{"current":1,"tags":["latest"],`)
		s.do("DELETE", at, me, "").exactly(t, 423, `{"code":423,"summary":"job in progress","detail":"job in progress"}`)

		object := func(phase string) json.RawMessage {
			return json.RawMessage(`{"kind":"Workflow","metadata":{"name":"` + id.String() + `"},"status":{"phase":"` + phase + `"}}`)
		}
		noError(t, s.svc.Report(t.Context(), id, State{Phase: Running, Started: new(time.Now()), Object: object("Running")}))
		stream := s.listen(at+"/events/", me, "")
		stream.event(t, "1", string(object("Running")))
		noError(t, s.svc.Report(t.Context(), id, State{Phase: Succeeded, Object: object("Succeeded")}))
		stream.event(t, "2", string(object("Succeeded")))
		stream.end(t)
		noError(t, s.svc.Report(t.Context(), id, State{Phase: Failed, Object: object("Failed")})) // too late
		s.do("GET", at+"/status", me, "").is(t, 200, `"Succeeded"`)
		s.listen(at+"/events/", me, "").event(t, "2", string(object("Succeeded"))).end(t)
		s.listen(at+"/events/", me, "0").event(t, "1", string(object("Running"))).event(t, "2", string(object("Succeeded"))).end(t)
		s.listen(at+"/events/", me, "2").end(t)
		s.do("GET", at, me, "").is(t, 200, `"events":[`+string(object("Running"))+`,`+string(object("Succeeded"))+`]}`)
		s.do("POST", at+"/terminate", me, "").is(t, 409, "job termination failed")

		s.do("GET", "/workflows/ws1/"+id.String(), me, "").exactly(t, 200, string(object("Succeeded")))
		s.do("GET", "/workflows/ws4/"+id.String(), me, "").is(t, 404, "")
		s.do("GET", "/workflows/ws1/"+id.String(), personToken(t, "x"), "").is(t, 404, "")
		s.do("GET", "/workflows/ws1/"+otherUID, me, "").is(t, 404, "")
		s.do("GET", "/workflows/ws1/x", me, "").is(t, 404, "")

		list := s.do("GET", "/jobs/?filter=workflow.workspace[==]=ws1,status[==]=Succeeded&sort=-finished", me, "").is(t, 200, `"workspace":"ws1","status":"Succeeded","started":"`)
		if p := parse[page](t, list); len(p.Items) != 1 || p.Items[0].Name != "first" {
			t.Errorf("%+v", p)
		}
		s.do("DELETE", at, me, "").exactly(t, 200, `"`+id.String()+`"`)
		s.do("GET", at, me, "").is(t, 404, "no such job")
		s.do("DELETE", at, me, "").is(t, 404, "no such job")
		if len(s.engine.forgot) != 1 {
			t.Errorf("%v", s.engine.forgot)
		}
	})
}

// TestEventsAreFew keeps the last events of a long job only.
func TestEventsAreFew(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	at := s.do("POST", "/jobs/", token(t, nil), job("ws1", "")).is(t, 201, "").Header.Get("Location")
	id := uuid.MustParse(at[strings.LastIndexByte(at, '/')+1:])
	for i := range 300 {
		noError(t, s.svc.Report(t.Context(), id, State{Phase: Running, Object: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i))}))
	}
	n, err := number(t.Context(), s.db, "SELECT COUNT(*) FROM wf_job_events")
	noError(t, err)
	if n < keptEvents || n > keptEvents+pruneEvery {
		t.Errorf("%d events are kept", n)
	}
	if last, err := s.svc.store.lastEvent(t.Context(), s.db, id); err != nil || last != 300 {
		t.Errorf("the last is %d: %v", last, err)
	}
}

// listener reads a stream of events.
type listener struct {
	body  io.Closer
	lines *bufio.Scanner
}

func (s *site) listen(path, auth, last string) *listener {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), "GET", s.url+"/api/v1"+path, nil)
	noError(s.t, err)
	req.Header.Set("Authorization", auth)
	req.Header.Set("Accept", "text/event-stream")
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(req)
	noError(s.t, err)
	s.t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" || !strings.Contains(resp.Header.Get("Cache-Control"), "no-store") {
		s.t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	return &listener{resp.Body, bufio.NewScanner(resp.Body)}
}

func (l *listener) event(t *testing.T, id, data string) *listener {
	t.Helper()
	var lines []string
	for l.lines.Scan() {
		switch text := l.lines.Text(); {
		case strings.HasPrefix(text, ":"):
			l.lines.Scan() // the empty line after a comment
		case text != "":
			lines = append(lines, text)
		default:
			if got, want := strings.Join(lines, "\n"), "id: "+id+"\ndata: "+data; got != want {
				t.Fatalf("got %s\nwant %s", got, want)
			}
			return l
		}
	}
	t.Fatalf("the stream ended before event %s", id)
	return l
}

func (l *listener) end(t *testing.T) {
	t.Helper()
	for l.lines.Scan() {
		if text := l.lines.Text(); text != "" && !strings.HasPrefix(text, ":") {
			t.Fatalf("goes on: %s", text)
		}
	}
	_ = l.body.Close()
}

// TestSubmitRefuses is what is not stored.
func TestSubmitRefuses(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	me := token(t, nil)
	with := func(input, value string) string {
		return strings.Replace(job("ws4", `,"inputValues":[`+value+`]`), `"type":"component",`, `"type":"component","inputs":[`+input+`],`, 1)
	}
	s.do("PUT", "/secrets/ws4/K", me, `{"key":"K","value":"v"}`).is(t, 201, "")
	s.do("POST", "/volumes/ws4/", me, `{"workspace":"ws4","volume":{"name":"v","emptyDir":{"sizeLimit":"1Gi","medium":"x"}}}`).is(t, 201, "")
	for name, test := range map[string]struct{ body, want string }{
		"a placeholder":   {strings.Replace(job("ws1", ""), brickImpl, anyImpl, 1), "/job/workflow/component/implementation: the component"},
		"no value":        {with(`{"name":"p","type":"parameter"}`, ``), `has no value`},
		"no secret":       {with(`{"name":"p","type":"env_secret"}`, `{"target":"p","value":"L"}`), `/job/inputValues/0/value: the workspace ws4 has no secret \"L\"`},
		"another volume":  {with(`{"name":"p","type":"volume"}`, `{"target":"p","value":"{\"name\":\"v\",\"hostPath\":{\"path\":\"/\"}}"}`), "offers no such volume"},
		"no component":    {strings.Replace(job("ws1", ""), brickImpl, uses(`"` + otherUID + `"`)[1:], 1), "there is no component"},
		"an odd member":   {strings.Replace(job("ws1", ""), `"type":"job"`, `"type":"job","phase":1`, 1), "/job/phase"},
		"an odd option":   {strings.Replace(job("ws1", ""), `"options"`, `"option"`, 1), "/option"},
		"no workspace":    {job("", ""), ""},
		"not a workspace": {job("nowhere", ""), "user has no access to workspace (nowhere)"},
	} {
		if a := s.do("POST", "/jobs/", me, test.body); a.StatusCode/100 != 4 || !strings.Contains(a.body, test.want) {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	if n, err := number(t.Context(), s.db, "SELECT COUNT(*) FROM wf_jobs"); err != nil || n != 0 {
		t.Errorf("%d jobs: %v", n, err)
	}
	s.do("POST", "/jobs/", me, with(`{"name":"p","type":"env_secret"},{"name":"q","type":"volume"}`,
		`{"target":"p","value":"K"},{"target":"q","value":"{\"emptyDir\":{\"medium\":\"x\",\"sizeLimit\":\"1Gi\"},\"name\":\"v\"}"}`)).is(t, 201, "")

	without := newSite(t, func(set *setup) { set.noEngine = true })
	without.do("POST", "/jobs/", me, job("ws1", "")).is(t, 503, "cannot start the workflow job")
}

// TestTerminateBeforeItBegins never begins the job.
func TestTerminateBeforeItBegins(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.asleep = true })
	me := token(t, nil)
	at := s.do("POST", "/jobs/", me, job("ws1", "")).is(t, 201, "").Header.Get("Location")[len("/api/v1"):]
	s.do("POST", at+"/terminate", me, "").is(t, 202, at[len("/jobs/"):])
	s.do("GET", at+"/status", me, "").is(t, 200, `"Failed"`)
	if n, err := number(t.Context(), s.db, "SELECT COUNT(*) FROM work WHERE kind = ?", jobKind); err != nil || n != 0 {
		t.Errorf("%d queued: %v", n, err)
	}
	if len(s.engine.stopped) != 1 {
		t.Errorf("%v", s.engine.stopped)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	me := token(t, nil)
	s.do("POST", "/validate/", me, component(","+brickImpl)).is(t, 200, `{"valid":true,"findings":[{"pointer":"/uid","code":"reference","severity":"unready",`)
	s.do("POST", "/validate/", me, component(uses(`"`+otherUID+`"`))).is(t, 200, `{"valid":false,`)
	s.do("POST", "/validate/", me, workflow("ws1", "")).exactly(t, 200, `{"valid":true,"findings":[]}`)
	s.do("POST", "/validate/", me, job("ws1", "")).exactly(t, 200, `{"valid":true,"findings":[]}`)
	s.do("POST", "/validate/", me, job("ws3", "")).is(t, 403, "")
	s.do("POST", "/validate/", me, `{"x":1}`).is(t, 200, `"valid":false`)
	s.do("POST", "/validate/", me, `{`).is(t, 200, "it is not valid JSON: line 1")
	s.do("POST", "/validate/", "", `{`).is(t, 400, "could not authenticate")
}

// TestLists filters, sorts and pages alike on every database.
func TestLists(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, func(set *setup) { set.db = db })
		me := token(t, nil)
		for i, c := range []string{
			`,"name":"Alpha","description":"100% of_it",` + anyImpl, `,"name":"beta,gamma",` + brickImpl,
			`,"name":"delta","version":{"current":1,"tags":["x","a\"b"]},"inputs":[{"name":"in","type":"parameter"}],` + anyImpl,
			`,"name":"Äpfel",` + anyImpl,
		} {
			d := s.newComponent(me, c)
			_, err := db.Exec(t.Context(), "UPDATE wf_versions SET modified_at = ? WHERE uid = ?", database.Micros(time.Date(2024, 1, 1+i, 0, 0, 0, 0, time.UTC)), d.UID.String())
			noError(t, err)
		}
		for _, test := range []struct{ query, want string }{
			{"", "Äpfel delta beta,gamma Alpha"},
			{"filter=name[==]=Alpha", "Alpha"},
			{"filter=name[==]=alpha", ""},
			{"filter=name[!=]=Alpha", "Äpfel delta beta,gamma"},
			{"filter=name[search]=ALPH", "Alpha"},
			{"filter=name[search]=^d.*a$", "delta"},
			{"filter=name[search]=äpf", "Äpfel"},
			{"filter=name[search]=a&filter=name[search]=t", "delta beta,gamma"},
			{"filter=name[search]=a,implementation.type[==]=brick", "beta,gamma"},
			{`filter=name[==]=beta\,gamma`, "beta,gamma"},
			{"filter=description[search]=100%25", "Alpha"},
			{"filter=description[search]=1_0", ""},
			{"filter=description[==]=", "Äpfel delta beta,gamma"},
			{"filter=modifiedBy.email[==]=flow@sand.box,timestamp[>]=2024-01-02T00:00:00Z", "Äpfel delta"},
			{"filter=timestamp[>=]=2024-01-02T00:00:00.000000001Z,timestamp[<=]=2024-01-03T01:00:00%2B01:00", "delta beta,gamma"},
			{"filter=timestamp[<]=2024-01-02T00:00:00Z", "Alpha"},
			{"filter=version.current[==]=1", "Äpfel delta beta,gamma Alpha"},
			{"filter=version.current[>]=1", ""},
			{"filter=version.tags[==]=x", "delta"},
			{`filter=version.tags[==]=a"b`, "delta"},
			{"filter=version.tags[!=]=x", "Äpfel beta,gamma Alpha"},
			{"filter=version.tags[==]=latest", "Äpfel delta beta,gamma Alpha"},
			{"filter=version.tags[search]=^LAT", "Äpfel delta beta,gamma Alpha"},
			{"filter=inputs.name[==]=in", "delta"},
			{"filter=inputs.name[!=]=in", "Äpfel beta,gamma Alpha"},
			{"filter=implementation.container.image[search]=^I$", "beta,gamma"},
			{"filter=no.such.field[==]=x", ""},
			{"filter=name[<]=a", "Alpha"},
			{"sort=%2Btimestamp", "Alpha beta,gamma delta Äpfel"},
			{"sort=-timestamp", "Äpfel delta beta,gamma Alpha"},
			{"sort=-implementation.type,%2Btimestamp", "beta,gamma Alpha delta Äpfel"},
			{"limit=2", "Äpfel delta"},
			{"limit=2&offset=2", "beta,gamma Alpha"},
			{"limit=2&offset=9", ""},
			{"limit=0", ""},
			{"filter=inputs.name[!=]=in&limit=1&offset=1", "beta,gamma"},
		} {
			list := parse[page](t, s.do("GET", "/components/?"+escapeQuery(test.query), me, "").is(t, 200, `"items":[`))
			var names []string
			for _, i := range list.Items {
				names = append(names, i.Name)
			}
			if got := strings.Join(names, " "); got != test.want {
				t.Errorf("%s: got %q, want %q", test.query, got, test.want)
			}
			if !strings.Contains(test.query, "limit") && list.PageInfo.TotalNumber != int64(len(list.Items)) {
				t.Errorf("%s: %+v", test.query, list.PageInfo)
			}
		}
		for query, want := range map[string]string{
			"filter=": "cannot parse filter (0:) from query ()", "filter=name": "cannot parse filter", "filter=name[=]=x": "cannot parse filter", "filter=name[==]=x,": "cannot parse filter",
			"filter=name[search]=(": "cannot parse filter (0:name[search]=(): missing closing )", "filter=timestamp[==]=x": "compared with a time", "filter=version.current[==]=x": "compared with a number",
			"sort=": "cannot parse sort () from query ()", "sort=name": "cannot parse sort (name)", "sort=+name": "cannot parse sort", "sort=-name,": "cannot parse sort", "sort=-nix": "cannot sort by nix",
			"offset=x": "could not parse 'offset'", "limit=": "could not parse 'limit'",
		} {
			s.do("GET", "/components/?"+escapeQuery(query), me, "").is(t, 400, want)
		}
	})
}

// escapeQuery leaves alone what the UI sends unescaped.
func escapeQuery(query string) string {
	return strings.NewReplacer(`\`, "%5C", `"`, "%22", "Ä", url.QueryEscape("Ä"), "ä", url.QueryEscape("ä")).Replace(query)
}
