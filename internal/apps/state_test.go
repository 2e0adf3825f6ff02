package apps

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lodge/internal/access"
)

func TestNext(t *testing.T) {
	t.Parallel()
	events := []event{evLaunch, evBegin, evAnswer, evFail, evStop, evGone}
	table := map[State][]State{ // by event, in this order; "-" is none
		Absent:   {Queued, "-", "-", "-", "-", "-"},
		Queued:   {"-", Starting, "-", Failed, Stopping, "-"},
		Starting: {"-", "-", Running, Failed, Stopping, "-"},
		Running:  {"-", "-", "-", Failed, Stopping, "-"},
		Stopping: {"-", "-", "-", "-", "-", Stopped},
		Stopped:  {Queued, "-", "-", "-", "-", "-"},
		Failed:   {Queued, "-", "-", "-", "-", "-"},
	}
	for from, row := range table {
		for i, want := range row {
			to, ok := next(from, events[i])
			if want == "-" {
				want = from
				if ok {
					t.Errorf("%q takes %s, which means nothing there", from, events[i])
				}
			} else if !ok {
				t.Errorf("%q does not take %s", from, events[i])
			}
			equal(t, to, want)
		}
	}
}

func TestCrashLoop(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	ago := func(list ...time.Duration) (at []time.Time) {
		for _, d := range list {
			at = append(at, now.Add(-d))
		}
		return at
	}
	for name, row := range map[string]struct {
		failures []time.Time
		wait     time.Duration
	}{
		"none":             {nil, 0},
		"two":              {ago(time.Second, 2*time.Second), 0},
		"three":            {ago(10*time.Second, 20*time.Second, 30*time.Second), 50 * time.Second},
		"three, a minute":  {ago(time.Minute, 2*time.Minute, 3*time.Minute), 0},
		"one is forgotten": {ago(time.Second, 2*time.Second, 11*time.Minute), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			equal(t, crashLoop(row.failures, now), row.wait)
		})
	}
}

func TestLine(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	queue := []waiting{{"a1", "ana", "x", at(1)}, {"a2", "ana", "x", at(2)}, {"a3", "ana", "y", at(3)}, {"b1", "ben", "x", at(4)}, {"c1", "cem", "x", at(5)}}
	order := func(list []waiting) string {
		var ids []string
		for _, w := range list {
			ids = append(ids, w.id)
		}
		return strings.Join(ids, " ")
	}
	equal(t, order(line(queue, nil)), "a1 b1 c1 a2 a3")
	equal(t, order(line(queue, map[string]int{"ana": 1})), "b1 c1 a1 a2 a3")
	equal(t, order(admit(queue, nil, 2, nil)), "a1 b1")
	equal(t, order(admit(queue, []waiting{{"d", "d", "z", at(0)}}, 2, nil)), "a1")
	equal(t, order(admit(queue, nil, 9, map[AppID]bool{"x": true})), "a1 a3")
	equal(t, order(admit(queue, []waiting{{"d", "d", "x", at(0)}}, 9, map[AppID]bool{"x": true})), "a3")
	equal(t, order(admit(queue, make([]waiting, 5), 3, nil)), "")
}

func TestLimitsCheck(t *testing.T) {
	t.Parallel()
	l := Limits{SessionsPerUser: 5, SessionsPerApp: 10, Sessions: 20, Queue: 3, CPUPerUser: 4, MemoryPerUser: 8 << 30}
	for name, row := range map[string]struct {
		u           usage
		cpu, memory int64
		want        string
	}{
		"room":            {usage{mine: 4, ofApp: 9, all: 19, queued: 2, cpu: 2000, memory: 4 << 30}, 2000, 4 << 30, ""},
		"mine":            {usage{mine: 5}, 0, 0, "sessions_per_user"},
		"of the app":      {usage{ofApp: 10}, 0, 0, "sessions_per_app"},
		"all":             {usage{all: 20}, 0, 0, "(limit sessions)"},
		"cores":           {usage{cpu: 3000}, 1001, 0, "cpu_per_user"},
		"memory":          {usage{memory: 7 << 30}, 0, 2 << 30, "memory_per_user"},
		"unlimited of it": {usage{}, 0, -1, "memory_per_user"},
		"the queue":       {usage{queued: 3}, 0, 0, "(limit queue)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := l.check(row.u, row.cpu, row.memory, time.Second)
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want) || !isLimit(err)) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
	l.ByRole = map[access.Role]RoleLimits{"staff": {SessionsPerUser: 10}, "lead": {SessionsPerUser: 7, MemoryPerUser: -1}}
	equal(t, l.forRoles([]access.Role{"staff", "lead"}).SessionsPerUser, 10)
	equal(t, l.forRoles([]access.Role{"lead"}).MemoryPerUser, 0)
	equal(t, l.forRoles(nil).SessionsPerUser, 5)
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(d time.Duration) time.Time { return start.Add(d) }
	idle := clock{ready: start, idle: time.Hour, warn: 5 * time.Minute}
	with := func(c clock, change func(*clock)) clock { change(&c); return c }
	for name, row := range map[string]struct {
		c    clock
		now  time.Duration
		end  Cause
		warn bool
	}{
		"fresh":             {idle, time.Minute, "", false},
		"just before":       {idle, time.Hour - time.Microsecond, "", true},
		"idle":              {idle, time.Hour, CauseIdle, false},
		"used":              {with(idle, func(c *clock) { c.active = at(30 * time.Minute) }), time.Hour, "", false},
		"used, then idle":   {with(idle, func(c *clock) { c.active = at(30 * time.Minute) }), 90 * time.Minute, CauseIdle, false},
		"warned":            {with(idle, func(c *clock) { c.warned = at(56 * time.Minute) }), 57 * time.Minute, "", false},
		"warned long ago":   {with(idle, func(c *clock) { c.warned = at(56 * time.Minute); c.active = at(58 * time.Minute) }), 114 * time.Minute, "", true},
		"extended":          {with(idle, func(c *clock) { c.extended = time.Hour }), 119 * time.Minute, "", true},
		"extended, over":    {with(idle, func(c *clock) { c.extended = time.Hour }), 2 * time.Hour, CauseIdle, false},
		"grace":             {with(idle, func(c *clock) { c.grace = at(3 * time.Hour) }), 2 * time.Hour, "", false},
		"after the grace":   {with(idle, func(c *clock) { c.grace = at(3 * time.Hour) }), 3 * time.Hour, CauseIdle, false},
		"never":             {clock{ready: start}, 1000 * time.Hour, "", false},
		"lifetime, busy":    {clock{ready: start, life: 12 * time.Hour, idle: time.Hour, active: at(12 * time.Hour)}, 12 * time.Hour, CauseLifetime, false},
		"lifetime no grace": {clock{ready: start, life: time.Hour, grace: at(9 * time.Hour)}, time.Hour, CauseLifetime, false},
		"not ready":         {clock{idle: time.Second}, time.Hour, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			end, warn := row.c.verdict(at(row.now))
			equal(t, end, row.end)
			equal(t, warn, row.warn)
		})
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	code := 1
	for _, row := range []struct {
		row  *Session
		inst *Instance
		want act
	}{
		{nil, nil, actNothing},
		{&Session{State: Running}, nil, actLost},
		{&Session{State: Starting}, nil, actNothing},
		{&Session{State: Stopping}, nil, actNothing},
		{nil, &Instance{}, actOrphan},
		{&Session{State: Failed}, &Instance{}, actOrphan},
		{&Session{State: Stopped}, &Instance{Exit: &Exit{}}, actOrphan},
		{&Session{State: Running, Address: "a"}, &Instance{Address: "a"}, actNothing},
		{&Session{State: Running, Address: "a"}, &Instance{Address: "b"}, actAdopt},
		{&Session{State: Running}, &Instance{Exit: &Exit{Code: &code}}, actEnded},
		{&Session{State: Running, Run: 2}, &Instance{Run: 1}, actLost},
		{&Session{State: Starting, Run: 2}, &Instance{Run: 1}, actRemains},
		{&Session{State: Starting}, &Instance{Exit: &Exit{}}, actNothing},
		{&Session{State: Stopping}, &Instance{}, actNothing},
	} {
		if got := compare(row.row, row.inst); got != row.want {
			t.Errorf("compare(%+v, %+v) = %q, want %q", row.row, row.inst, got, row.want)
		}
	}
}

func TestWhatCountsAsUse(t *testing.T) {
	t.Parallel()
	type ask struct{ method, path, mode string }
	for _, row := range []struct {
		rule   string
		ask    ask
		status int
		want   bool
	}{
		{"user", ask{"GET", "/", "navigate"}, 200, true},
		{"user", ask{"GET", "/api", "cors"}, 200, false},
		{"user", ask{"POST", "/api", "cors"}, 200, true},
		{"user", ask{"OPTIONS", "/api", "cors"}, 200, false},
		{"user", ask{"POST", "/api", "cors"}, 502, false},
		{"user", ask{"POST", "/healthz", "cors"}, 200, false},
		{"any", ask{"GET", "/api", "cors"}, 200, true},
		{"any", ask{"GET", "/healthz", "cors"}, 200, false},
		{"any", ask{"GET", "/static/x.js", "no-cors"}, 200, false},
		{"any", ask{"GET", "/", "navigate"}, 500, false},
		{"none", ask{"POST", "/", "navigate"}, 200, false},
	} {
		a := App{Activity: ActivityRule{HTTP: row.rule, Ignore: []string{"/healthz", "/static/"}}}
		r := request(row.ask.method, "http://x"+row.ask.path, "Sec-Fetch-Mode", row.ask.mode)
		if got := a.counts(r, row.status); got != row.want {
			t.Errorf("%+v: %v", row, got)
		}
	}
}

func TestReadIdleness(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 1, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"12\n": "12s true", "0.5": "500ms true", `{"last_activity":"2026-01-01T00:00:00Z"}`: "1m0s true",
		"<html>": "0s false", "-1": "0s false", "{}": "0s false", "NaN": "0s false",
	} {
		idle, ok := readIdleness(strings.NewReader(text), now)
		equal(t, fmt.Sprint(idle, " ", ok), want)
	}
}

func TestCausesHaveAdvice(t *testing.T) {
	t.Parallel()
	for _, c := range []Cause{
		CauseImageMissing, CausePullFailed, CauseExitedEarly, CauseCrashed, CauseCrashLoop, CauseAppFailing, CauseNotAnswering, CauseStartTimeout,
		CauseOutOfMemory, CauseNoRoom, CauseDriverDown, CauseVolume, CauseDeniedNow, CauseLost, CauseSpec, CauseIdle, CauseLifetime,
	} {
		if c.advice() == "" {
			t.Errorf("%s says nothing", c)
		}
	}
}
