package simulator

import (
	"encoding/json"
	"net/http"
	"strings"
)

// The control API causes and ends trouble by hand. It is as open as the bridge beside
// it: a simulated site has nothing to protect, but listens on this machine only unless
// told otherwise, and other web sites cannot reach it through a browser.
func (s *Site) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /control", s.showSite)
	mux.HandleFunc("POST /control/robots", s.addRobots)
	mux.HandleFunc("POST /control/robots/{fleet}/{robot}/{what}", s.changeRobot)
	mux.HandleFunc("POST /control/doors/{name}/{what}", s.changeDoor)
	mux.HandleFunc("POST /control/cells/{name}/{what}", s.changeCell)
	mux.HandleFunc("POST /control/fire-alarm", s.triggerAlarm)
	mux.HandleFunc("POST /control/link", s.changeLink)
	return mux
}

type siteView struct {
	Speed    float64       `json:"speed"`
	Fire     bool          `json:"fire_alarm"`
	Tasks    int           `json:"tasks"`
	Robots   []robotView   `json:"robots"`
	Troubles []troubleView `json:"troubles"`
}

type robotView struct {
	Robot   string  `json:"robot"`
	Status  string  `json:"status"`
	Near    string  `json:"near"`
	Battery float64 `json:"battery"`
	Task    string  `json:"task,omitempty"`
	Queued  int     `json:"queued"`
}

type troubleView struct {
	Alert string `json:"alert"`
	Robot string `json:"robot"`
	Why   string `json:"why"`
}

func (s *Site) showSite(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	v := siteView{Speed: s.opts.Speed, Fire: s.world.fire, Tasks: len(s.world.live), Robots: []robotView{}, Troubles: []troubleView{}}
	for _, r := range s.world.robots {
		state := r.state()
		v.Robots = append(v.Robots, robotView{
			Robot: r.session, Status: state.Status, Near: s.world.b.graph.vertices[r.vertex].id, Battery: state.Battery,
			Task: state.TaskID, Queued: len(r.queue) + len(r.direct),
		})
	}
	for _, t := range s.world.troubles {
		v.Troubles = append(v.Troubles, troubleView{t.id, t.robot.session, t.why})
	}
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, v)
}

func (s *Site) addRobots(w http.ResponseWriter, r *http.Request) {
	body := struct {
		Count int `json:"count"`
	}{Count: 1}
	if !readJSON(w, r, &body) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if body.Count < 1 || len(s.world.robots)+body.Count > maxRobots {
		refuse(w, http.StatusBadRequest, "count: too few or too many")
		return
	}
	s.world.grow(body.Count)
	w.WriteHeader(http.StatusNoContent)
}

func (s *Site) changeRobot(w http.ResponseWriter, r *http.Request) {
	body := struct {
		Level    float64 `json:"level"`
		Why      string  `json:"why"`
		Category string  `json:"category"`
	}{Why: "An obstacle is in the way"}
	if !readJSON(w, r, &body) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	robot := s.world.robot(r.PathValue("fleet"), r.PathValue("robot"))
	if robot == nil {
		refuse(w, http.StatusNotFound, "there is no such robot")
		return
	}
	switch r.PathValue("what") {
	case "stick":
		s.world.stick(robot, body.Why)
	case "free":
		s.world.free(robot, "by hand")
	case "delivery-alert":
		category := map[string]uint32{"": deliveryMissing, "missing": deliveryMissing, "wrong": deliveryWrong, "obstructed": deliveryObstructed}
		number, known := category[body.Category]
		if !known || robot.task == nil {
			refuse(w, http.StatusConflict, "the robot has no task, or category is not one of missing, wrong, obstructed")
			return
		}
		s.world.deliveryTrouble(robot, number)
	case "offline", "online":
		robot.offline = r.PathValue("what") == "offline"
	case "battery":
		if !(body.Level >= 0 && body.Level <= 1) {
			refuse(w, http.StatusBadRequest, "level: must be between 0 and 1")
			return
		}
		robot.battery = body.Level
	default:
		refuse(w, http.StatusNotFound, "a robot can be told to: stick, free, delivery-alert, offline, online, battery")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Site) changeDoor(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.world.doors {
		if d.name == r.PathValue("name") {
			switchDevice(w, r, &d.offline)
			return
		}
	}
	refuse(w, http.StatusNotFound, "there is no such door")
}

func (s *Site) changeCell(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.world.cells {
		if c.guid == r.PathValue("name") {
			c.changed = true
			switchDevice(w, r, &c.offline)
			return
		}
	}
	refuse(w, http.StatusNotFound, "there is no such dispenser or ingestor")
}

func switchDevice(w http.ResponseWriter, r *http.Request, offline *bool) {
	switch r.PathValue("what") {
	case "offline":
		*offline = true
	case "online":
		*offline = false
	default:
		refuse(w, http.StatusNotFound, "a device can be put offline and online")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Site) triggerAlarm(w http.ResponseWriter, r *http.Request) {
	body := struct {
		Trigger bool `json:"trigger"`
	}{Trigger: true}
	if !readJSON(w, r, &body) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.alarm(body.Trigger)
	s.bridge.publish("/fire_alarm_trigger", boolean{body.Trigger})
	w.WriteHeader(http.StatusNoContent)
}

// changeLink cuts the connections and mends them again: true is there, false is cut.
func (s *Site) changeLink(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Adapters *bool `json:"adapters"`
		Bridge   *bool `json:"bridge"`
	}
	if !readJSON(w, r, &body) {
		return
	}
	if body.Bridge != nil {
		s.bridge.sever(!*body.Bridge)
	}
	if body.Adapters != nil {
		for _, l := range s.links {
			l.sever(!*body.Adapters)
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// readJSON reads an optional body.
func readJSON(w http.ResponseWriter, r *http.Request, into any) bool {
	if r.ContentLength == 0 {
		return true
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		refuse(w, http.StatusBadRequest, "the body is not what was expected: "+strings.TrimPrefix(err.Error(), "json: "))
		return false
	}
	return true
}

func refuse(w http.ResponseWriter, status int, why string) {
	writeJSON(w, status, map[string]string{"detail": why})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}
