package simulator

import (
	"fmt"
	"testing"
)

func TestAStuckRobotWaitsForAnAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		response string
		want     status
	}{{tryAgain, completed}, {giveUp, failed}} {
		w, id := underWay(t)
		r := w.robotOf(id)
		w.stick(r, "A trolley is in the way")
		w.live(60)
		at := r.at
		w.live(10)
		a := w.alerts[0]
		if r.at != at || w.statusOf(id) != blocked || r.status() != "error" || a.TaskID != id || len(a.Responses) != 2 || a.Tier != tierWarning {
			t.Fatalf("stuck: %s, robot %s, alert %+v", w.statusOf(id), r.status(), a)
		}
		w.publish("/alert_response", alertResponse{"another", c.response})
		w.live(1)
		if r.trouble == nil {
			t.Fatal("the answer to another alert freed it")
		}
		w.publish("/alert_response", alertResponse{a.ID, c.response})
		w.until(900, "the task ends", w.ended(id))
		if got := w.statusOf(id); got != c.want {
			t.Errorf("%s: the task is %s", c.response, got)
		}
	}
}

func TestSomebodyPassesAtLast(t *testing.T) {
	t.Parallel()
	w, id := underWay(t)
	w.stick(w.robotOf(id), "A trolley is in the way")
	w.until(troublePatience+900, "the task ends", w.ended(id))
	if got := w.statusOf(id); got != completed {
		t.Errorf("the task is %s", got)
	}
}

func TestRobotsGetStuckByChance(t *testing.T) {
	t.Parallel()
	w := newTestWorld(t, Options{Seed: 9, Trouble: 100})
	w.dispatch("patrol", `{"places":["lobby","workshop"],"rounds":20}`)
	w.until(1800, "an alert is raised", func() bool { return len(w.alerts) > 0 })
	calm := newTestWorld(t, Options{Seed: 9})
	calm.dispatch("patrol", `{"places":["lobby","workshop"],"rounds":20}`)
	calm.live(1800)
	if len(calm.alerts) != 0 {
		t.Error("an alert was raised without trouble")
	}
}

func TestADeliveryAlertWaitsForAnAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		action uint32
		want   status
	}{{actionResume, completed}, {actionOverride, completed}, {actionCancel, canceled}} {
		w := newTestWorld(t, Options{Seed: 1})
		id := w.dispatch("delivery", `{"pickup":{"place":"supply","handler":"supply_dispenser","payload":[]},"dropoff":{"place":"lobby","payload":[]}}`)
		w.until(300, "the robot picks up", func() bool { a := w.seen(id).Active; return a != nil && *a == 2 })
		w.deliveryTrouble(w.robotOf(id), deliveryObstructed)
		w.live(60)
		if len(w.goods) != 1 || w.goods[0].TaskID != id || w.goods[0].Category.Value != deliveryObstructed || w.statusOf(id) != blocked {
			t.Fatalf("%+v, %s", w.goods, w.statusOf(id))
		}
		w.publish("/alert_response", alertResponse{w.goods[0].ID, tryAgain})
		w.live(1)
		if w.robotOf(id).trouble == nil {
			t.Fatal("an answer of another kind freed it")
		}
		answer := w.goods[0]
		answer.Action = value{c.action}
		w.publish("/delivery_alert_response", answer)
		w.until(600, "the task ends", w.ended(id))
		if got := w.statusOf(id); got != c.want {
			t.Errorf("action %d: the task is %s", c.action, got)
		}
	}
}

func TestDeliveriesGoWrongByChance(t *testing.T) {
	t.Parallel()
	w := newTestWorld(t, Options{Seed: 1, Trouble: 9})
	for range 10 {
		w.dispatch("delivery", `{"pickup":{"place":"supply","payload":[]},"dropoff":{"place":"supply_shelf","payload":[]}}`)
	}
	w.until(7200, "a delivery alert is raised", func() bool { return len(w.goods) > 0 })
}

func TestAFireAlarmStopsEverything(t *testing.T) {
	t.Parallel()
	w, id := underWay(t)
	r := w.robotOf(id)
	w.publish("/fire_alarm_trigger", boolean{true})
	at := r.at
	w.live(20)
	if r.at != at || w.statusOf(id) != standby || w.lifts[0].state.mode != liftFire {
		t.Fatalf("the robot is at %v, its task %s, the lift in mode %d", r.at, w.statusOf(id), w.lifts[0].state.mode)
	}
	w.publish("/fire_alarm_trigger", boolean{false})
	w.until(600, "the task ends", w.ended(id))
	if got := w.statusOf(id); got != completed {
		t.Errorf("the task is %s", got)
	}
}

func TestADispenserOfflineIsAnError(t *testing.T) {
	t.Parallel()
	w := newTestWorld(t, Options{Seed: 1})
	w.cells[0].offline = true
	id := w.dispatch("delivery", `{"pickup":{"place":"supply","handler":"supply_dispenser","payload":[]},"dropoff":{"place":"lobby","payload":[]}}`)
	w.until(300, "the task reports an error", func() bool { return w.statusOf(id) == failing })
	w.cells[0].offline = false
	w.until(300, "the task ends", w.ended(id))
	if got := w.statusOf(id); got != completed {
		t.Errorf("the task is %s", got)
	}
}

// A robot that stands where another has to pass is waited for, told of, and passed at last.
func TestADeadRobotInTheWayIsPassed(t *testing.T) {
	t.Parallel()
	w := newTestWorld(t, Options{Seed: 1})
	dead := w.robots[0]
	var hall int
	for i, v := range w.b.graph.vertices {
		if v.id == "lobby_hall" {
			hall = i
		}
	}
	w.holder[dead.vertex], w.holder[hall] = nil, dead
	dead.vertex, dead.at, dead.offline = hall, w.b.graph.vertices[hall].at, true
	id := w.dispatch("patrol", `{"places":["reception"]}`)
	wasDelayed := false
	w.until(600, "the task ends", func() bool {
		wasDelayed = wasDelayed || w.statusOf(id) == delayed
		return w.ended(id)()
	})
	if w.statusOf(id) != completed || !wasDelayed {
		t.Errorf("%s, delayed %t", w.statusOf(id), wasDelayed)
	}
}

func TestBatteriesDrainAndCharge(t *testing.T) {
	t.Parallel()
	w := newTestWorld(t, Options{Seed: 1})
	r := w.robots[0]
	full := r.battery
	w.live(60)
	if r.battery <= full || r.status() != "charging" {
		t.Errorf("on the charger %s from %v to %v", r.status(), full, r.battery)
	}
	for _, o := range w.robots {
		o.battery = lowBattery - 0.01
	}
	id := w.dispatch("patrol", `{"places":["lobby"]}`)
	w.live(60)
	if w.statusOf(id) != queued {
		t.Fatalf("with empty batteries the task is %s", w.statusOf(id))
	}
	w.until(3*3600, "the task ends", w.ended(id))
	if w.statusOf(id) != completed {
		t.Error(w.statusOf(id))
	}
	for _, o := range w.robots {
		if o.battery < 0 || o.battery > 1 {
			t.Errorf("%s has %v", o.session, o.battery)
		}
	}
}

func TestManyRobotsShareTheBuilding(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 3, 8, 50} {
		w := newTestWorld(t, Options{Robots: n})
		w.live(1.5)
		names := map[string]bool{}
		for _, f := range w.fleets {
			for name := range f.Robots {
				names[f.Name+name] = true
			}
		}
		if len(names) != n || w.crowded != (n > 8) {
			t.Errorf("%d robots: %d told of, crowded %t", n, len(names), w.crowded)
		}
		if n == 50 {
			ids := []string{}
			for i := range 30 {
				ids = append(ids, w.dispatch("patrol", fmt.Sprintf(`{"places":["lobby","ward_desk","supply"],"rounds":%d}`, 1+i%2)))
			}
			for _, id := range ids {
				w.until(4*3600, "the task ends", w.ended(id))
			}
		}
	}
}

func TestTheSiteRunsErrands(t *testing.T) {
	t.Parallel()
	w := newTestWorld(t, Options{Seed: 1, Errands: 60})
	w.live(3600)
	categories := map[string]int{}
	for id, s := range w.status {
		if s == failed {
			t.Errorf("%s failed: %+v", id, w.seen(id).Dispatch)
		}
		categories[w.seen(id).Category]++
	}
	if n := len(w.status); n < 30 || n > 90 || len(categories) != 3 {
		t.Errorf("%d tasks in an hour: %v", n, categories)
	}
}
