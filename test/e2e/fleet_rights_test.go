package e2e

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// someDoors is the story of somebody who may see the doors of one group, and nothing else.
func someDoors(t *testing.T, root caller) {
	root.role("lab", "laboratory", "fleet.doors.read")
	visitor := root.token("visitor", "--role", "lab")
	visitor.get("/fleet/doors").is(200, "[]")
	visitor.get("/fleet/doors/lab_door/state").is(404)
	root.send("PUT", "/fleet/admin/groups", map[string]string{"kind": "door", "id": "lab_door", "authz_grp": "laboratory"}).is(200)
	eventually(t, "the door is seen", func() bool { return visitor.get("/fleet/doors/lab_door/state").status == 200 })
	doors := parse[[]struct {
		Name string `json:"name"`
	}](visitor.get("/fleet/doors").is(200))
	if len(doors) != 1 || doors[0].Name != "lab_door" {
		t.Errorf("the doors of the laboratory are %v", doors)
	}
	equal(t, "doors that an administrator sees", len(parse[[]any](root.get("/fleet/doors").is(200))), 5)

	// Others' doors are not there; what is no door is refused in words.
	visitor.get("/fleet/doors/ward_door/state").is(404, `{"detail":"Not Found"}`)
	visitor.send("POST", "/fleet/doors/lab_door/request", map[string]int{"mode": 2}).is(403, "fleet.doors.control on laboratory")
	for path, missing := range map[string]string{
		"/lifts": "fleet.lifts.read on site", "/lifts/lift_1/state": "fleet.lifts.read on site", "/building_map": "fleet.map.read on site",
		"/tasks": "fleet.tasks.read on site", "/fleets": "fleet.fleets.read on site", "/alerts/unresponded_requests": "fleet.alerts.read on site",
		"/admin/groups": "fleet.groups.read on site", "/events/lifts/lift_1/state": "fleet.lifts.read on site", "/events/beacons": "fleet.beacons.read on site",
	} {
		visitor.get("/fleet"+path).is(403, `"permission":"`+missing+`"`)
	}

	// The rooms know the same.
	visitor.get("/fleet/events/doors/ward_door/state").is(404)
	stream := visitor.listenTo("/fleet/events/doors/lab_door/state")
	board := visitor.dashboard("/fleet/socket.io")
	board.enters("/doors/lab_door/state")
	equal(t, "a door of others", board.subscribe("/doors/ward_door/state"), `{"success":false,"error":"404 Not Found"}`)
	if said := board.subscribe("/lifts/lift_1/state"); !strings.HasPrefix(said, `{"success":false,"error":"403 Forbidden`) {
		t.Errorf("who may not listen to a lift is told %s", said)
	}
	board.forgets()
	for _, door := range []string{"ward_door", "lab_door"} {
		root.send("POST", "/fleet/doors/"+door+"/request", map[string]int{"mode": 2}).is(200)
		eventually(t, "the door is open", func() bool { return root.doorIs(door, 2) })
	}
	board.hears("/doors/lab_door/state", `"current_mode":{"value":2}`)
	eventually(t, "the stream tells the same", func() bool { return stream.mentions(`"current_mode":{"value":2}`) })
	if board.heard("/doors/ward_door/state") || board.heard("/lifts/lift_1/state") {
		t.Error("a room is heard that was refused")
	}

	// What was given is taken again, also from who listens.
	root.send("DELETE", "/api/v1/permissions?role=lab&group=laboratory&action=fleet.doors.read", nil).is(204)
	eventually(t, "the doors are hidden", func() bool { return visitor.get("/fleet/doors").status == 403 })
	eventually(t, "the stream has ended", stream.over)
}

// TestFleetAdapterToken is the story of stock adapters, which can be given an address and nothing else:
// their token stands in it, and nowhere else.
func TestFleetAdapterToken(t *testing.T) {
	t.Parallel()
	l := startLodge(t, with("LODGE_LOG_LEVEL", "debug"))
	root := l.administrator()
	root.role("adapters", "site", "fleet.report")
	good, poor := l.token("adapter", "--role", "adapters").secret, l.token("somebody").secret
	const bogus = "bogus-c29tZWJvZHk"

	adapter := report(t, l, good)
	say := func(text string) {
		t.Helper()
		noError(t, adapter.Write(t.Context(), websocket.MessageText, []byte(text)))
	}
	say(`{"type":"fleet_state_update","data":{"name":"stock","robots":{"r1":{"name":"r1","status":"idle","battery":0.5}}}}`)
	eventually(t, "the fleet is known", func() bool { return root.get("/fleet/fleets/stock/state").status == 200 })
	// A wrong message costs itself and no more.
	say(`{"type":"fleet_state_update","data":"nonsense"}`)
	_, refusal, err := adapter.Read(t.Context())
	noError(t, err)
	if !strings.Contains(string(refusal), `{"type":"error","error":"`) {
		t.Errorf("a wrong message is answered with %s", refusal)
	}
	say(`{"type":"task_state_update","data":{"booking":{"id":"stock-1"},"status":"underway"}}`)
	eventually(t, "the connection goes on", func() bool { return root.get("/fleet/tasks/stock-1/state").status == 200 })

	for token, status := range map[string]int{bogus: 401, poor: 403, "": 401} {
		_, resp, err := websocket.Dial(t.Context(), internalOf(l, token), nil) //nolint:bodyclose // it is closed already
		if err == nil || resp == nil || resp.StatusCode != status {
			t.Errorf("with %.10q: %v, want status %d", token, err, status)
		}
	}
	root.nobody().get("/fleet/_internal?token="+poor).is(403, "fleet.report on site")
	root.nobody().get("/fleet/_internal?token=" + bogus).is(401)
	_ = adapter.CloseNow() // so that its end is logged, too
	l.stop()

	log, err := os.ReadFile(l.server.log)
	noError(t, err)
	if !strings.Contains(string(log), "/fleet/_internal") {
		t.Fatal("the log does not tell of the adapter at all")
	}
	for _, token := range []string{good, poor, bogus} {
		if strings.Contains(string(log), token[strings.LastIndex(token, ".")+1:]) {
			t.Errorf("the log has the token %.10s…", token)
		}
	}
}

// internalOf is the address that a stock adapter is given.
func internalOf(l *lodge, token string) string {
	address := "ws" + strings.TrimPrefix(l.url(), "http") + "/fleet/_internal"
	if token != "" {
		address += "?token=" + token
	}
	return address
}

// report connects an adapter.
func report(t testing.TB, l *lodge, token string) *websocket.Conn {
	t.Helper()
	conn, resp, err := websocket.Dial(context.WithoutCancel(t.Context()), internalOf(l, token), nil) //nolint:bodyclose // there is none
	noError(t, err)
	equal(t, "answer to an adapter", resp.StatusCode, http.StatusSwitchingProtocols)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}
