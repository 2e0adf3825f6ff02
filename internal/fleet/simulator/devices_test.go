package simulator

import (
	"encoding/json"
	"testing"
)

func TestDoorsOpenForWhoAsks(t *testing.T) {
	t.Parallel()
	w := newTestWorld(t, Options{})
	ask := func(who string, mode uint32) {
		w.publish("/adapter_door_requests", doorRequest{Time: json.RawMessage(`"now"`), Requester: who, Door: "lab_door", Mode: value{mode}})
	}
	shows := func(mode uint32) func() bool { return func() bool { return w.testDoor("lab_door") == mode } }
	w.until(2, "the door is told of", shows(doorClosed))
	ask("rmf_api_server", doorOpen)
	w.until(1, "it moves", shows(doorMoving))
	w.until(5, "it is open", shows(doorOpen))
	ask("carriers/carrier_1", doorOpen)
	ask("rmf_api_server", doorClosed)
	w.live(10)
	if !shows(doorOpen)() {
		t.Error("it closed on a robot")
	}
	ask("carriers/carrier_1", doorClosed)
	w.until(5, "it is closed", shows(doorClosed))
	w.publish("/adapter_door_requests", doorRequest{Time: json.RawMessage(`{"sec":1,"nanosec":2}`), Door: "no_such_door", Mode: value{doorOpen}})
}

func (w *testWorld) testDoor(name string) uint32 {
	mode, told := w.doors[name]
	if !told {
		return 99
	}
	return mode
}

func TestLiftsServeOneSession(t *testing.T) {
	t.Parallel()
	w := newTestWorld(t, Options{})
	l := w.lifts[0]
	ask := func(who, floor string, kind, door uint8) {
		w.publish("/adapter_lift_requests", liftRequest{Lift: "lift_1", Time: json.RawMessage(`"now"`), Session: who, Type: kind, Destination: floor, Door: door})
	}
	ask("ann", "L2", liftAskUser, doorOpen)
	w.live(1)
	if l.state.session != "ann" || l.state.mode != liftHuman || l.state.motion != liftUp {
		t.Fatalf("called: %+v", l.state)
	}
	ask("bob", "L1", liftAskAGV, doorOpen)
	w.until(30, "it is there with an open door", func() bool { return l.state.floor == 1 && l.state.door == doorOpen })
	if l.state.session != "ann" {
		t.Fatalf("it serves %s", l.state.session)
	}
	ask("ann", "L2", liftEnd, doorClosed)
	w.until(30, "it serves the next", func() bool { return l.state.session == "bob" && l.state.floor == 0 && l.state.door == doorOpen })
	ask("bob", "L1", liftEnd, doorClosed)
	w.until(10, "it is free and closed", func() bool { return l.state.session == "" && l.state.door == doorClosed })
	// A person who forgets the lift does not keep it.
	ask("ann", "L2", liftAskUser, doorOpen)
	w.until(liftPatience+30, "it is taken from her", func() bool { return l.state.floor == 1 && l.state.session == "" })
	// The dashboard ends the sessions of robots by name.
	id := w.dispatch("patrol", `{"places":["ward_desk","lobby"]}`)
	w.until(300, "a robot has it", func() bool { return l.session != "" })
	ask(l.session, "", liftEnd, 0)
	w.until(900, "the robot takes it again and arrives", w.ended(id))
}

func TestCellsServeOneAfterAnother(t *testing.T) {
	t.Parallel()
	w := newTestWorld(t, Options{})
	c := w.cells[0]
	for _, guid := range []string{"a", "b", "a"} {
		w.publish("/dispenser_requests", cellRequest{Time: json.RawMessage(`"now"`), Request: guid, Target: c.guid, Items: json.RawMessage(`[]`)})
	}
	if len(c.queue) != 2 || c.mode() != cellBusy {
		t.Fatalf("queue %v", c.queue)
	}
	w.until(c.seconds+1, "the first is done", func() bool { return len(c.queue) == 1 && c.queue[0] == "b" })
	w.until(c.seconds+1, "both are done", func() bool { return c.mode() == cellIdle })
	if len(c.done) != 0 {
		t.Errorf("requests of strangers are remembered: %v", c.done)
	}
}

func TestMutexGroups(t *testing.T) {
	t.Parallel()
	w := newTestWorld(t, Options{Seed: 1})
	one := w.dispatch("patrol", `{"places":["supply"]}`)
	two := w.dispatch("patrol", `{"places":["supply_shelf"]}`)
	waits, locks := false, false
	w.until(900, "both are done", func() bool {
		in := 0
		for _, r := range w.robots {
			s := r.state()
			in += len(s.Mutexes.Locked)
			waits = waits || len(s.Mutexes.Requesting) > 0
		}
		locks = locks || in == 1
		if in > 1 {
			t.Fatal("two robots hold the mutex group")
		}
		return w.ended(one)() && w.ended(two)()
	})
	if !waits || !locks {
		t.Errorf("locked %t, waited for %t", locks, waits)
	}
	r := w.robots[0]
	w.mutexes["supply_room"], r.locked = r, []string{"supply_room"}
	w.publish("/mutex_group_manual_release", mutexRelease{Groups: []string{"supply_room"}, Fleet: r.fleet.name, Robot: r.name})
	if len(w.mutexes) != 0 || len(r.locked) != 0 {
		t.Error("the group was not released")
	}
}

func TestMessagesOfTheWrongShapeAreDropped(t *testing.T) {
	t.Parallel()
	w := newTestWorld(t, Options{})
	for _, c := range []struct{ topic, msg string }{
		{"/adapter_door_requests", `{"door_name":7}`},
		{"/adapter_door_requests", `{"door_name":"lab_door","colour":"red"}`},
		{"/adapter_lift_requests", `{"request_type":900}`},
		{"/fire_alarm_trigger", `{"data":"yes"}`},
		{"/task_api_requests", `[]`},
		{"/alert_response", ``},
	} {
		if err := w.receive(c.topic, json.RawMessage(c.msg)); err == nil {
			t.Errorf("%s took %s", c.topic, c.msg)
		}
	}
	if w.fire {
		t.Error("there is a fire")
	}
}
