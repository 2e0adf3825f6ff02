package fleet

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// mapMessage is a building map as the bridge sends it.
func mapMessage(name, level string, image []byte) []byte {
	return []byte(`{"name":"` + name + `","levels":[{"name":"` + level + `","elevation":0,"images":[{"name":"plan","x_offset":1,"y_offset":2.5,"yaw":0,"scale":0.05,"encoding":"png","data":"` +
		base64.StdEncoding.EncodeToString(image) + `"}],"places":[],"doors":[{"name":"main door","v1_x":0,"v1_y":0,"v2_x":1,"v2_y":0,"door_type":1,"motion_range":1.5,"motion_direction":-1}],` +
		`"nav_graphs":[{"name":"g","vertices":[{"x":1,"y":2,"name":"v","params":[]}],"edges":[{"v1_idx":0,"v2_idx":0,"params":[{"name":"p","type":4,"value_int":0,"value_float":null,"value_string":"","value_bool":true}],"edge_type":1}]}],` +
		`"wall_graph":{"name":"","vertices":[],"edges":[],"params":[]}}],"lifts":[{"name":"lift","levels":["L1"],"doors":[],"wall_graph":{"name":"","vertices":[],"edges":[],"params":[]},"ref_x":0,"ref_y":0,"ref_yaw":0,"width":2,"depth":2}]}`)
}

func TestBuildingMap(t *testing.T) {
	t.Parallel()
	s := newSite(t, withConfig(func(c *Config) { c.Prefix, c.PublicURL = "/fleet", "https://site.example/rmf/" }))
	s.get("/building_map").says(t, 404, "Not Found")
	s.get("/doors").is(t, 200, `[]`)
	s.get("/lifts").is(t, 200, `[]`)
	image := []byte("\x89PNG not really")
	s.svc.FromROS("/map", mapMessage("../odd name", "L1/x", image))
	data := s.hears("/building_map")
	s.get("/building_map").is(t, 200, data)
	m := parse[BuildingMap](t, data)
	address := m.Levels[0].Images[0].Data
	path, ok := strings.CutPrefix(address, "https://site.example/rmf")
	if !ok || strings.Contains(path, "..") || strings.Count(path, "/") != 3 || !strings.HasSuffix(path, ".png") {
		t.Fatalf("the image is at %s", address)
	}
	for _, want := range []string{`"elevation":0.0`, `"y_offset":2.5`, `"value_float":0.0`, `"params":[]`, `"motion_direction":-1`} {
		if !strings.Contains(data, want) {
			t.Errorf("no %s in %s", want, data)
		}
	}
	a := s.with("GET", path, "", func(r *http.Request) { r.Header.Set("Origin", "https://dashboard.example") }).is(t, 200, "")
	if a.body != string(image) || a.Header.Get("Content-Type") != "image/png" || a.Header.Get("ETag") == "" || a.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%q %v", a.body, a.Header)
	}
	s.with("GET", path, "", func(r *http.Request) { r.Header.Set("If-None-Match", a.Header.Get("ETag")) }).is(t, 304, "")
	if part := s.with("GET", path, "", func(r *http.Request) { r.Header.Set("Range", "bytes=1-3") }).is(t, 206, ""); part.body != "PNG" {
		t.Errorf("a range: %q", part.body)
	}
	s.as("", "GET", "/cache/x/y.png", "").says(t, 404, "Not Found")
	s.as("", "GET", "/cache/x/..%2f..%2fetc%2fpasswd", "").is(t, 404, "")
	s.get("/doors").is(t, 200, `[{"name":"main door","v1_x":0,"v1_y":0,"v2_x":1,"v2_y":0,"door_type":1,"motion_range":1.5,"motion_direction":-1}]`)
	if lifts := parse[[]Lift](t, s.get("/lifts").is(t, 200, "").body); len(lifts) != 1 || lifts[0].Name != "lift" {
		t.Errorf("lifts %+v", lifts)
	}

	// Another map replaces it, with its images.
	before := len(s.live.heard("/building_map"))
	s.svc.FromROS("/map", mapMessage("new", "L1", []byte("other")))
	eventually(t, "the new map", func() bool { return len(s.live.heard("/building_map")) > before })
	s.as("", "GET", path, "").is(t, 404, "")
	if got := parse[BuildingMap](t, s.get("/building_map").body); got.Name != "new" {
		t.Errorf("the map is %s", got.Name)
	}
}

func TestImagesAsLists(t *testing.T) {
	t.Parallel()
	text := bytes.Replace(mapMessage("m", "L", []byte{1, 2, 3}), []byte(`"AQID"`), []byte(`[1,2,3]`), 1)
	m, images, err := readMap(json.RawMessage(text))
	if err != nil || len(images) != 1 || !bytes.Equal(images[0].data, []byte{1, 2, 3}) || m.Levels[0].Images[0].Data != images[0].path {
		t.Errorf("%v %+v", err, images)
	}
}

func TestFireAlarm(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const last = "/building_map/previous_fire_alarm_trigger"
	s.get(last).says(t, 404, "previous fire alarm trigger not available")
	for _, trigger := range []bool{true, false} {
		msg, _ := json.Marshal(map[string]bool{"data": trigger})
		s.svc.FromROS("/fire_alarm_trigger", msg)
		if got := parse[FireAlarmTriggerState](t, s.get(last).is(t, 200, "").body); got.Trigger != trigger || got.UnixMillisTime == 0 {
			t.Errorf("%+v", got)
		}
	}
	got := parse[FireAlarmTriggerState](t, s.post("/building_map/reset_fire_alarm_trigger", "").is(t, 200, "").body)
	if got.Trigger || got.UnixMillisTime == 0 {
		t.Errorf("reset %+v", got)
	}
	if sent := s.ros.took(topicFireAlarm); len(sent) != 1 || sent[0] != `{"data":false}` {
		t.Errorf("ROS heard %v", sent)
	}
	s.ros.setAway(true)
	a := s.post("/building_map/reset_fire_alarm_trigger", "")
	a.says(t, 503, "the ROS bridge is not connected")
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestDoors(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	state := `{"door_time":{"sec":1,"nanosec":2},"door_name":"main door","current_mode":{"value":2}}`
	at := "/doors/" + url.PathEscape("main door")
	s.get(at+"/state").says(t, 404, "Not Found")
	s.svc.FromROS("/door_states", []byte(state))
	s.get(at+"/state").is(t, 200, state)
	if got := s.hears("/doors/main door/state"); got != state {
		t.Errorf("heard %s", got)
	}
	s.post(at+"/request", `{"mode":2}`).is(t, 200, `null`)
	sent := s.ros.took(topicDoorRequests)
	if len(sent) != 1 || !strings.Contains(sent[0], `"requester_id":"rmf_api_server","door_name":"main door","requested_mode":{"value":2}`) {
		t.Errorf("ROS heard %v", sent)
	}
	s.post(at+"/request", `{"mode":-1}`).is(t, 422, "")
	s.post(at+"/request", `{"mode":4294967296}`).is(t, 422, "")
	s.ros.setAway(true)
	s.post(at+"/request", `{"mode":0}`).says(t, 503, "the ROS bridge is not connected")
}

func TestLifts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.svc.FromROS("/lift_states", []byte(`{"lift_time":{"sec":1,"nanosec":2},"lift_name":"lift","available_floors":["L1"],"current_floor":"L1","destination_floor":"L1",`+
		`"door_state":0,"motion_state":0,"available_modes":"AQI=","current_mode":2,"session_id":""}`))
	want := `{"lift_time":{"sec":1,"nanosec":2},"lift_name":"lift","available_floors":["L1"],"current_floor":"L1","destination_floor":"L1",` +
		`"door_state":0,"motion_state":0,"available_modes":[1,2],"current_mode":2,"session_id":""}`
	s.get("/lifts/lift/state").is(t, 200, want)
	if got := s.hears("/lifts/lift/state"); got != want {
		t.Errorf("heard %s", got)
	}
	s.post("/lifts/lift/request", `{"request_type":1,"door_mode":2,"destination":"L1"}`).is(t, 200, `null`)
	s.post("/lifts/lift/request", `{"request_type":0,"door_mode":0,"destination":"","additional_session_ids":["a/1","a/2"]}`).is(t, 200, `null`)
	sent := s.ros.took(topicLiftRequests)
	if len(sent) != 4 || !strings.Contains(sent[0], `"session_id":"rmf_api_server","request_type":1,"destination_floor":"L1","door_state":2`) || !strings.Contains(sent[3], `"a/2"`) {
		t.Errorf("ROS heard %v", sent)
	}
	s.post("/lifts/lift/request", `{"request_type":256,"door_mode":2,"destination":"L1"}`).is(t, 422, "")
}

func TestWorkcells(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, kind := range []string{"dispenser", "ingestor"} {
		path := "/" + kind + "s"
		s.get(path).is(t, 200, `[]`)
		s.svc.FromROS("/"+kind+"_states", []byte(`{"time":{"sec":1,"nanosec":0},"guid":"w1","mode":1,"request_guid_queue":["q"],"seconds_remaining":2}`))
		want := `{"time":{"sec":1,"nanosec":0},"guid":"w1","mode":1,"request_guid_queue":["q"],"seconds_remaining":2.0}`
		s.get(path).is(t, 200, `[{"guid":"w1"}]`)
		if a := s.get(path+"/w1/state").is(t, 200, ""); a.body != want {
			t.Errorf("%s", a.body)
		}
		if got := s.hears(path + "/w1/state"); got != want {
			t.Errorf("heard %s", got)
		}
		s.get(path+"/none/state").says(t, 404, "Not Found")
	}
}

func TestBeacons(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.get("/beacons/b1").says(t, 404, "Beacon with ID b1 not found")
	want := `{"id":"b1","online":true,"category":"exit","activated":false,"level":"L1"}`
	s.post("/beacons?beacon_id=b1&online=true&category=exit&activated=0&level=L1", "").is(t, 201, want)
	if got := s.hears("/beacons"); got != want {
		t.Errorf("heard %s", got)
	}
	s.svc.FromROS("/beacon_state", []byte(`{"id":"b2","online":false,"category":"","activated":true,"level":""}`))
	s.get("/beacons/b1").is(t, 200, want)
	s.get("/beacons").is(t, 200, `[`+want+`,{"id":"b2","online":false,"category":"","activated":true,"level":""}]`)
	s.get("/beacons?limit=1").is(t, 200, `[`+want+`]`)
	s.post("/beacons?beacon_id=b1", "").is(t, 422, "")
}

func TestRios(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	put := func(body string, status int) {
		t.Helper()
		s.as("admin", "PUT", "/rios", body).is(t, status, `null`)
	}
	put(`{"id":"r1","type":"a","data":{"b":1,"a":2}}`, 201)
	put(`{"id":"r2","type":"b","data":{}}`, 201)
	put(`{"id":"r1","type":"a","data":{"new":true}}`, 200)
	one, two := `{"id":"r1","type":"a","data":{"new":true}}`, `{"id":"r2","type":"b","data":{}}`
	s.get("/rios").is(t, 200, `[`+one+`,`+two+`]`)
	s.get("/rios?id=r1,r2&type=b").is(t, 200, `[`+two+`]`)
	s.get("/rios?type=a,b").is(t, 200, `[`+one+`,`+two+`]`)
	s.get("/rios?id=r3").is(t, 200, `[]`)
	if got := s.live.heard("/rios"); len(got) != 3 || got[2] != one {
		t.Errorf("heard %v", got)
	}
	s.as("admin", "PUT", "/rios", `{"id":"r1","type":"a","data":[]}`).is(t, 422, "")
}
