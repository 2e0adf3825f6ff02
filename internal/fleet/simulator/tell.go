package simulator

import "math"

// tell sends what is new, and everything else again from time to time.
func (w *world) tell() {
	w.tellDevices(w.every(deviceSeconds))
	if w.every(1 / w.rate) {
		for _, f := range w.fleets {
			w.api(f.index, "fleet", "fleet_state_update", w.fleetState(f))
		}
	}
	again, queue := w.every(taskSeconds), w.every(queueSeconds)
	for _, t := range w.live {
		if t.dirty || again && t.status != queued || queue && t.robot != nil {
			w.tellTask(t)
		}
	}
	w.tellRobotLogs()
	if w.every(beaconSeconds) {
		for _, b := range w.b.beacons {
			w.ros("/beacon_state", beaconState{ID: b.ID, Online: true, Category: b.Category, Level: b.Level})
		}
	}
	if w.every(0.1) {
		w.ros("/clock", clockMessage{w.rosTime()})
	}
}

func (w *world) tellDevices(all bool) {
	for _, d := range w.doors {
		if d.changed || all {
			d.changed = false
			w.ros("/door_states", doorState{Time: w.rosTime(), Name: d.name, Mode: value{d.mode}})
		}
	}
	for _, l := range w.lifts {
		if l.changed || all {
			l.changed = false
			w.ros("/lift_states", w.liftState(l))
		}
	}
	for _, c := range w.cells {
		if c.changed || all {
			c.changed = false
			w.ros(c.topic(), cellState{Time: w.rosTime(), GUID: c.guid, Mode: c.mode(), Queue: append([]string{}, c.queue...), Remaining: c.remaining()})
		}
	}
}

func (c *cell) remaining() float64 {
	if len(c.queue) == 0 {
		return 0
	}
	return millimetres(max(0, c.left))
}

func (w *world) liftState(l *lift) liftState {
	s := liftState{
		Time: w.rosTime(), Name: l.name, Floors: []string{}, Floor: w.b.levels[l.stops[l.state.floor].level].name,
		Destination: w.b.levels[l.stops[l.state.goal].level].name, Door: l.state.door, Motion: l.state.motion,
		Modes: []byte{liftHuman, liftAGV}, Mode: l.state.mode, Session: l.state.session,
	}
	for _, stop := range l.stops {
		s.Floors = append(s.Floors, w.b.levels[stop.level].name)
	}
	return s
}

// tellTask sends a task's log before its state: who sees it ended has all of its log.
func (w *world) tellTask(t *task) {
	if l, news := t.takeLog(); news {
		w.api(t.link, "", "task_log_update", l)
	}
	t.dirty = false
	w.api(t.link, t.booking.ID, "task_state_update", t.state(w.now(), w.speed))
}

// tellAgain sends a link what it has to know after it was away: the logs and states of
// what is at work and of what ended lately. All of it can be told twice.
func (w *world) tellAgain(link int, send func(key, kind string, data any)) {
	for _, list := range [][]*task{w.ended, w.live} {
		for _, t := range list {
			if t.link != link {
				continue
			}
			if len(t.log.Phases) > 0 {
				send("", "task_log_update", t.log)
			}
			send(t.booking.ID, "task_state_update", t.state(w.now(), w.speed))
		}
	}
	if link < len(w.fleets) {
		send("fleet", "fleet_state_update", w.fleetState(w.fleets[link]))
	}
}

func (w *world) tellRobotLogs() {
	for _, f := range w.fleets {
		var logs map[string][]logEntry
		for _, r := range f.robots {
			if len(r.fresh) == 0 {
				continue
			}
			if logs == nil {
				logs = map[string][]logEntry{}
			}
			logs[r.name], r.fresh = r.fresh, nil
		}
		if logs != nil {
			w.api(f.index, "", "fleet_log_update", fleetLog{Name: f.name, Robots: logs})
		}
	}
}

func (w *world) fleetState(f *fleet) fleetState {
	s := fleetState{Name: f.name, Robots: make(map[string]robotState, len(f.robots))}
	for _, r := range f.robots {
		s.Robots[r.name] = r.state()
	}
	return s
}

func (r *robot) state() robotState {
	s := robotState{
		Name: r.name, Status: r.status(), Time: r.w.now(), Battery: math.Round(r.battery*1e4) / 1e4,
		Location:   location{Map: r.w.levelOf(r), X: millimetres(r.at[0]), Y: millimetres(r.at[1]), Yaw: millimetres(r.yaw)},
		Commission: r.commission, Issues: []issue{}, Mutexes: mutexGroups{Locked: append([]string{}, r.locked...), Requesting: []string{}},
	}
	if r.task != nil {
		s.TaskID = r.task.booking.ID
	}
	if r.wants != "" {
		s.Mutexes.Requesting = append(s.Mutexes.Requesting, r.wants)
	}
	if r.trouble != nil {
		s.Issues = append(s.Issues, issue{"blocked", r.trouble.why})
	}
	if r.drained {
		s.Issues = append(s.Issues, issue{"battery", "The battery is low"})
	}
	return s
}

func millimetres(v float64) float64 { return math.Round(v*1000) / 1000 }
