package e2e

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// building is a simulated building with robots in a process of its own, as far from the server as a
// real one: the server comes to its rosbridge, its adapters come to the server's entrance.
type building struct {
	t testing.TB
	*place
	address string
	speed   int
	entrance
	server *process
}

// entrance is an address that stays the same, whichever server is behind it.
type entrance struct {
	front string
	to    *atomic.Pointer[url.URL]
}

// newEntrance makes one that strips a prefix, as proxies do.
func newEntrance(t testing.TB, prefix string) entrance {
	t.Helper()
	e := entrance{to: new(atomic.Pointer[url.URL])}
	proxy := &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(e.to.Load()) },
		ErrorLog: log.New(io.Discard, "", 0), // whoever waits is told
	}
	web := httptest.NewServer(http.StripPrefix(prefix, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if e.to.Load() == nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, r)
	})))
	t.Cleanup(func() {
		web.CloseClientConnections()
		web.Close()
	})
	e.front = web.URL
	return e
}

// leadsTo opens the entrance to a server.
func (e entrance) leadsTo(l *lodge) {
	l.t.Helper()
	u, err := url.Parse(l.url())
	noError(l.t, err)
	e.to.Store(u)
}

// reservedBuilding is not there yet, at an address that will be its own.
func reservedBuilding(t testing.TB, speed int) *building {
	t.Helper()
	return &building{t: t, place: newPlace(t), address: reservedHub(t).address, speed: speed, entrance: newEntrance(t, "")}
}

// of makes the site one with the building.
func of(b *building) setting { return with("LODGE_FLEET_ROSBRIDGE_URL", "ws://"+b.address) }

// startBuilding starts a site and its building, and waits until the one knows the other.
func startBuilding(t testing.TB, speed int, settings ...setting) (caller, *building) {
	t.Helper()
	b := reservedBuilding(t, speed)
	l := startLodge(t, append(slices.Clone(settings), of(b))...)
	root := l.administrator()
	b.belongsTo(root)
	b.start()
	b.isKnownTo(root)
	return root, b
}

// belongsTo gives the building's adapters a token that lets them report and nothing else.
func (b *building) belongsTo(root caller) {
	b.t.Helper()
	root.role("adapters", "site", "fleet.report")
	b.env = append(b.env, "LODGE_TOKEN="+root.token("adapters", "--role", "adapters").secret)
	b.leadsTo(root.lodge)
}

func (b *building) start() {
	b.t.Helper()
	b.server = b.serve(b.t, theBinary(b.t), "simulate", "site", "--listen", b.address,
		"--lodge", b.front+"/fleet", "--speed", strconv.Itoa(b.speed))
}

// isKnownTo waits until the server has heard of all that is in the building.
func (b *building) isKnownTo(root caller) {
	b.t.Helper()
	eventually(b.t, "the map, the doors, the lift and eight robots are known", func() bool {
		robots := 0
		for _, f := range parse[[]fleetState](root.get("/fleet/fleets").is(200)) {
			robots += len(f.Robots)
		}
		return robots == 8 && root.get("/fleet/building_map").status == 200 && len(parse[[]any](root.get("/fleet/doors").is(200))) == 5 &&
			root.get("/fleet/doors/lab_door/state").status == 200 && root.get("/fleet/lifts/lift_1/state").status == 200
	})
}

// control causes trouble, or ends it.
func (b *building) control(path, body string) {
	b.t.Helper()
	b.ask(http.MethodPost, "/control/"+path, body).is(204)
}

// inside is what somebody in the building sees.
type inside struct {
	Tasks    int `json:"tasks"`
	Troubles []struct {
		Alert string `json:"alert"`
		Robot string `json:"robot"`
	} `json:"troubles"`
}

func (b *building) look() inside {
	b.t.Helper()
	return parse[inside](b.ask(http.MethodGet, "/control", "").is(200))
}

func (b *building) ask(method, path, body string) answer {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, "http://"+b.address+path, strings.NewReader(body))
	noError(b.t, err)
	resp, err := http.DefaultClient.Do(req)
	noError(b.t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	noError(b.t, err)
	return answer{b.t, method + " " + path, resp.StatusCode, resp.Header, string(text)}
}

// role makes a role that may do these on a group.
func (c caller) role(name, group string, actions ...string) {
	c.t.Helper()
	c.send("POST", "/api/v1/roles", map[string]string{"name": name}).is(201)
	for _, action := range actions {
		c.send("POST", "/api/v1/permissions", map[string]string{"role": name, "group": group, "action": action}).is(201)
	}
}

// doorIs says whether a door is closed, 0, or open, 2.
func (c caller) doorIs(door string, mode int) bool {
	c.t.Helper()
	return parse[struct {
		Mode struct {
			Value int `json:"value"`
		} `json:"current_mode"`
	}](c.get("/fleet/doors/"+door+"/state").is(200)).Mode.Value == mode
}

// patrol is a request for one.
func patrol(rounds int, places ...string) map[string]any {
	return map[string]any{"type": "dispatch_task_request", "request": map[string]any{
		"category": "patrol", "unix_millis_earliest_start_time": 0, "description": map[string]any{"places": places, "rounds": rounds},
	}}
}

// dispatch asks for a patrol and gives the task's id.
func (c caller) dispatch(rounds int, places ...string) string {
	c.t.Helper()
	return c.dispatchThis("/fleet", patrol(rounds, places...))
}

// dispatchThis asks for a task at an address of the fleet API.
func (c caller) dispatchThis(api string, request map[string]any) string {
	c.t.Helper()
	taken := parse[struct {
		Success bool      `json:"success"`
		State   taskState `json:"state"`
	}](c.send("POST", api+"/tasks/dispatch_task", request).is(200))
	if !taken.Success || taken.State.Booking.ID == "" {
		c.t.Fatalf("the task was not taken: %+v", taken)
	}
	return taken.State.Booking.ID
}

// task is the state of one.
func (c caller) task(id string) taskState {
	c.t.Helper()
	return parse[taskState](c.get("/fleet/tasks/" + url.PathEscape(id) + "/state").is(200))
}

func (c caller) becomes(id, status string) {
	c.t.Helper()
	eventually(c.t, "the task is "+status, func() bool { return c.task(id).Status == status })
}

// tasks are the ids of all that fit the query.
func (c caller) tasks(query string) []string {
	c.t.Helper()
	var ids []string
	for {
		page := parse[[]taskState](c.get("/fleet/tasks?order_by=id_&limit=100&offset=" + strconv.Itoa(len(ids)) + "&" + query).is(200))
		for _, t := range page {
			ids = append(ids, t.Booking.ID)
		}
		if len(page) < 100 {
			return ids
		}
	}
}
