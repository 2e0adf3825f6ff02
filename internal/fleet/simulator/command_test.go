package simulator

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const tour = `{"phases":[
  {"activity":{"category":"go_to_place","description":"lobby"},"on_cancel":[{"category":"go_to_place","description":"reception"}]},
  {"activity":{"category":"perform_action","description":{"category":"wait","description":{},"unix_millis_action_duration_estimate":20000}}},
  {"activity":{"category":"go_to_place","description":"goods_out"}}]}`

// underWay gives a site with a composed task whose robot is driving to its first place.
func underWay(t *testing.T) (*testWorld, string) {
	t.Helper()
	w := newTestWorld(t, Options{Seed: 5})
	id := w.dispatch("compose", tour)
	w.until(60, "the robot drives", func() bool { return w.statusOf(id) == underway && w.robotOf(id).edge >= 0 })
	return w, id
}

func (w *testWorld) robotOf(id string) *robot {
	if t := w.task(id); t != nil {
		return t.robot
	}
	return nil
}

// tell sends a command that has to succeed, and gives the token that came back.
func (w *testWorld) tellOK(format string, args ...any) string {
	w.t.Helper()
	answer := w.ask(fmt.Sprintf(format, args...))
	var got reply
	if err := json.Unmarshal([]byte(answer), &got); err != nil || !got.Success {
		w.t.Fatalf(format+": %s", append(args, answer)...)
	}
	w.live(0.1)
	return got.Token
}

func TestCancel(t *testing.T) {
	t.Parallel()
	w, id := underWay(t)
	w.tellOK(`{"type":"cancel_task_request","task_id":%q,"labels":["ann"]}`, id)
	got := w.seen(id)
	if got.Status != underway || got.Cancellation == nil || got.Cancellation.Labels[0] != "ann" || got.Phases["4"].Category != "Cancellation" {
		t.Fatalf("while it cleans up: %+v", got)
	}
	w.until(300, "the task ends", w.ended(id))
	got = w.seen(id)
	if got.Status != canceled || got.Phases["1"].Events["0"].Status != canceled || got.Phases["4"].Events["0"].Status != completed || fmt.Sprint(got.Pending) != "[2 3]" {
		t.Errorf("in the end: %s, %+v, pending %v", got.Status, got.Phases, got.Pending)
	}
	if answer := w.ask(fmt.Sprintf(`{"type":"cancel_task_request","task_id":%q}`, id)); answer != "" {
		t.Errorf("a task that is over was answered: %s", answer)
	}
}

func TestKill(t *testing.T) {
	t.Parallel()
	w, id := underWay(t)
	w.tellOK(`{"type":"kill_task_request","task_id":%q}`, id)
	if got := w.seen(id); got.Status != killed || got.Killed == nil || got.Active != nil || got.Phases["1"].Events["0"].Status != killed {
		t.Errorf("%+v", got)
	}
}

func TestInterruptAndResume(t *testing.T) {
	t.Parallel()
	w, id := underWay(t)
	r := w.robotOf(id)
	one := w.tellOK(`{"type":"interrupt_task_request","task_id":%q,"labels":["coffee"]}`, id)
	two := w.tellOK(`{"type":"interrupt_task_request","task_id":%q}`, id)
	at := r.at
	w.live(30)
	if got := w.seen(id); r.at != at || got.Status != standby || len(got.Interruptions) != 2 {
		t.Fatalf("interrupted: %v moved to %v, %s", at, r.at, got.Status)
	}
	w.tellOK(`{"type":"resume_task_request","for_task":%q,"for_tokens":[%q]}`, id, one)
	w.live(5)
	if r.at != at {
		t.Fatal("one of two interruptions was lifted, and the robot moves")
	}
	if answer := w.ask(fmt.Sprintf(`{"type":"resume_task_request","for_task":%q,"for_tokens":[%q,"x"]}`, id, one)); !strings.Contains(answer, `"code":7`) || !strings.Contains(answer, one+", x") {
		t.Errorf("unknown tokens: %s", answer)
	}
	w.tellOK(`{"type":"resume_task_request","for_task":%q,"for_tokens":[%q],"labels":["back"]}`, id, two)
	w.live(2)
	if got := w.seen(id); r.at == at || got.Status != underway || got.Interruptions[two].ResumedBy.Labels[0] != "back" {
		t.Errorf("resumed: %s %+v", got.Status, got.Interruptions)
	}
	w.until(600, "the task ends", w.ended(id))
	if got := w.statusOf(id); got != completed {
		t.Errorf("it ended %s", got)
	}
}

func TestSkipAndUndo(t *testing.T) {
	t.Parallel()
	w, id := underWay(t)
	two := w.tellOK(`{"type":"skip_phase_request","task_id":%q,"phase_id":2}`, id)
	three := w.tellOK(`{"type":"skip_phase_request","task_id":%q,"phase_id":3,"labels":["late"]}`, id)
	w.tellOK(`{"type":"undo_phase_skip_request","for_task":%q,"for_tokens":[%q]}`, id, two)
	w.tellOK(`{"type":"skip_phase_request","task_id":%q,"phase_id":1}`, id)
	if got := w.seen(id); *got.Active != 2 || got.Phases["1"].Events["0"].Status != skipped {
		t.Fatalf("skipping the phase at work: active %v, %+v", *got.Active, got.Phases["1"])
	}
	w.until(600, "the task ends", w.ended(id))
	got := w.seen(id)
	if got.Status != completed || got.Phases["2"].Events["0"].Status != completed || got.Phases["3"].Events["0"].Status != skipped {
		t.Errorf("%s %+v", got.Status, got.Phases)
	}
	if got.Phases["2"].SkipRequests[two].Undo == nil || got.Phases["3"].SkipRequests[three].Labels[0] != "late" {
		t.Errorf("skip requests: %+v", got.Phases)
	}
	if answer := w.ask(fmt.Sprintf(`{"type":"skip_phase_request","task_id":%q,"phase_id":9}`, id)); answer != "" {
		t.Errorf("a task that is over was answered: %s", answer)
	}
}

func TestRewind(t *testing.T) {
	t.Parallel()
	w, id := underWay(t)
	w.until(300, "the robot waits in phase 2", func() bool { a := w.seen(id).Active; return a != nil && *a == 2 })
	if answer := w.ask(fmt.Sprintf(`{"type":"rewind_task_request","task_id":%q,"phase_id":3}`, id)); !strings.Contains(answer, `"code":6`) {
		t.Errorf("rewound to the future: %s", answer)
	}
	w.tellOK(`{"type":"rewind_task_request","task_id":%q,"phase_id":1}`, id)
	if got := w.seen(id); got.Active == nil || len(got.Completed) > 1 {
		t.Fatalf("rewound: %+v", got)
	}
	w.until(600, "the task ends", w.ended(id))
	if got := w.seen(id); got.Status != completed || len(got.Completed) != 3 {
		t.Errorf("%s, completed %v", got.Status, got.Completed)
	}
}

func TestWhoAnswersWhat(t *testing.T) {
	t.Parallel()
	w := newTestWorld(t, Options{})
	id := w.dispatch("patrol", `{"places":["lobby"]}`)
	for _, c := range []struct{ what, text, want string }{
		{"an unknown task", `{"type":"cancel_task_request","task_id":"moon"}`, ""},
		{"a task up for bids", `{"type":"cancel_task_request","task_id":"` + id + `"}`, ""},
		{"an unknown robot", `{"type":"robot_task_request","robot":"x","fleet":"carriers","request":{"category":"patrol","description":{}}}`, ""},
		{"another unknown robot", `{"type":"robot_commission_request","robot":"x","fleet":"carriers","commission":{}}`, ""},
		{"a wrong direct task", `{"type":"robot_task_request","robot":"carrier_1","fleet":"carriers","request":{"category":"dance","description":{}}}`, `{"success":false,"errors":[{"code":4,"category":"Unsupported type","detail":"Fleet [carriers] does not support task category [dance]"}]}`},
		{"a wrong request", `{"type":"cancel_task_request"}`, `{"success":false,"errors":[{"code":5,"category":"Invalid request format","detail":"task_id: is required"}]}`},
	} {
		if got := w.ask(c.text); got != c.want {
			t.Errorf("%s: %s", c.what, got)
		}
	}
}

// The same request with the same id is answered alike, and done once.
func TestAnswersAreRemembered(t *testing.T) {
	t.Parallel()
	w := newTestWorld(t, Options{})
	m := apiMessage{JSON: `{"type":"dispatch_task_request","request":{"category":"patrol","description":{"places":["lobby"]}}}`, Request: "again"}
	w.publish("/task_api_requests", m)
	first := w.answers["again"]
	w.publish("/task_api_requests", m)
	if w.answers["again"] != first || len(w.world.live) != 1 {
		t.Errorf("%d tasks", len(w.world.live))
	}
}

// A server that restarts may have lost what it was told last: it is told again.
func TestEverythingIsToldAgain(t *testing.T) {
	t.Parallel()
	w, first := underWay(t)
	w.tellOK(`{"type":"kill_task_request","task_id":%q}`, first)
	second := w.dispatch("compose", tour)
	w.live(5)
	told := map[string]int{}
	for _, f := range w.world.fleets {
		w.tellAgain(f.index, func(key, kind string, data any) {
			told[kind+" "+key]++
			if l, is := data.(taskLog); is && len(l.Phases) == 0 {
				t.Error("an empty log")
			}
		})
	}
	for what, times := range map[string]int{"task_state_update " + first: 1, "task_state_update " + second: 1, "task_log_update ": 2, "fleet_state_update fleet": 2} {
		if told[what] != times {
			t.Errorf("%s was told %d times, not %d", what, told[what], times)
		}
	}
}

func TestTasksNobodyTakesFail(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ category, description, want string }{
		{"dance", `{}`, "Fleet [carriers] does not support task category [dance]"},
		{"patrol", `{"places":["moon"]}`, "waypoint name [moon] cannot be found"},
		{"clean", `{"zone":"moon"}`, "zone [moon] is not known"},
	} {
		w := newTestWorld(t, Options{})
		id := w.dispatch(c.category, c.description)
		w.live(3)
		got := w.seen(id)
		if got.Status != failed || got.Dispatch.Status != "failed_to_assign" || len(got.Dispatch.Errors) != 2 {
			t.Fatalf("%s: %+v", c.category, got)
		}
		if text := fmt.Sprint(got.Dispatch.Errors); !strings.Contains(text, c.want) {
			t.Errorf("%s: %s", c.category, text)
		}
	}
}

func TestDirectTasksGoFirst(t *testing.T) {
	t.Parallel()
	w, id := underWay(t)
	r := w.robotOf(id)
	ask := func(extra string) string {
		var got reply
		text := w.ask(fmt.Sprintf(`{"type":"robot_task_request","robot":%q,"fleet":%q,"request":{"category":"patrol","description":{"places":["lobby"]}%s}}`, r.name, r.fleet.name, extra))
		if err := json.Unmarshal([]byte(text), &got); err != nil || !got.Success || got.State.Status != queued || got.State.AssignedTo.Name != r.name {
			t.Fatal(text)
		}
		return got.State.Booking.ID
	}
	later := ask(fmt.Sprintf(`,"unix_millis_earliest_start_time":%d`, w.now()+3_600_000))
	soon := ask("")
	if answer := w.ask(fmt.Sprintf(`{"type":"interrupt_task_request","task_id":%q}`, soon)); !strings.Contains(answer, "Interrupting a task that is queued is not currently supported") {
		t.Errorf("interrupting what is queued: %s", answer)
	}
	w.until(900, "the direct task is done", w.ended(soon))
	if w.statusOf(id) != completed || w.statusOf(later) != queued {
		t.Errorf("the first %s, the late one %s", w.statusOf(id), w.statusOf(later))
	}
	w.tellOK(`{"type":"cancel_task_request","task_id":%q}`, later)
	if w.statusOf(later) != canceled {
		t.Errorf("canceled in the queue: %s", w.statusOf(later))
	}
}

func TestCommission(t *testing.T) {
	t.Parallel()
	w := newTestWorld(t, Options{})
	set := func(fleet, robot, rest string) {
		t.Helper()
		answer := w.ask(fmt.Sprintf(`{"type":"robot_commission_request","robot":%q,"fleet":%q,%s}`, robot, fleet, rest))
		if answer != `{"commission":{"success":true},"pending_dispatch_tasks_policy":{"success":true},"pending_direct_tasks_policy":{"success":true}}` {
			t.Fatal(answer)
		}
	}
	for _, f := range w.world.fleets {
		for _, r := range f.robots[1:] {
			set(f.name, r.name, `"commission":{"dispatch_tasks":false,"direct_tasks":false}`)
		}
	}
	ids := []string{}
	for range 3 {
		ids = append(ids, w.dispatch("delivery", `{"pickup":{"place":"supply","payload":[]},"dropoff":{"place":"lobby","payload":[]}}`))
	}
	w.live(3)
	one, two := w.robot("carriers", "carrier_1"), w.robot("carriers", "carrier_2")
	if one.task == nil || len(one.queue) != 2 {
		t.Fatalf("only carrier_1 takes tasks, and has %d", len(one.queue))
	}
	set("carriers", "carrier_2", `"commission":{"dispatch_tasks":true}`)
	set("carriers", "carrier_1", `"commission":{"dispatch_tasks":false},"pending_dispatch_tasks_policy":"reassign"`)
	w.live(3)
	if len(one.queue) != 0 || two.task == nil || len(two.queue) != 1 {
		t.Fatalf("reassigned: %d and %d wait", len(one.queue), len(two.queue))
	}
	set("carriers", "carrier_2", `"commission":{"dispatch_tasks":false},"pending_dispatch_tasks_policy":"cancel"`)
	w.live(1)
	states := map[status]int{}
	for _, id := range ids {
		states[w.statusOf(id)]++
	}
	if states[canceled] != 1 || states[underway] != 2 {
		t.Errorf("in the end: %v", states)
	}
	answer := w.ask(`{"type":"robot_task_request","robot":"carrier_3","fleet":"carriers","request":{"category":"patrol","description":{"places":["lobby"]}}}`)
	if !strings.Contains(answer, `"code":6`) {
		t.Errorf("a decommissioned robot was given a task: %s", answer)
	}
}

// Statuses that only events and trouble bring about, and how they end.
func TestEventsDeriveTheirStatus(t *testing.T) {
	t.Parallel()
	p := &phase{blueprint: blueprint{
		groups: []group{{"all", -1}, {"inner", 0}},
		jobs:   []job{{name: "a", parent: 0}, {name: "b", parent: 1}, {name: "c", parent: 1}},
	}}
	p.build()
	names := ""
	for _, e := range p.events {
		names += e.name + fmt.Sprint(e.deps)
	}
	if names != "all[1 2]inner[3 4]a[]b[]c[]" {
		t.Fatalf("laid out as %s", names)
	}
	for _, c := range []struct{ a, b, c, inner, all status }{
		{standby, standby, standby, standby, standby},
		{underway, standby, standby, standby, underway},
		{completed, standby, standby, standby, underway},
		{completed, blocked, standby, blocked, blocked},
		{completed, completed, standby, underway, underway},
		{completed, completed, delayed, delayed, delayed},
		{completed, completed, failing, failing, failing},
		{completed, completed, completed, completed, completed},
	} {
		for i, s := range []status{c.a, c.b, c.c} {
			p.events[p.jobEvent[i]].status = s
		}
		p.derive()
		if p.events[1].status != c.inner || p.events[0].status != c.all {
			t.Errorf("%s %s %s: inner %s, all %s", c.a, c.b, c.c, p.events[1].status, p.events[0].status)
		}
	}
}
