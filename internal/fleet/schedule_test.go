package fleet

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lodge/internal/access"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	noError(t, err)
	return z
}

func TestUnderstandSchedules(t *testing.T) {
	t.Parallel()
	every := func(n int64) *int64 { return &n }
	for _, tt := range []struct {
		s    Schedule
		want string
	}{
		{Schedule{nil, "monday", "08:00", nil}, ""},
		{Schedule{every(1), "day", "08:00:30", nil}, ""},
		{Schedule{every(3), "day", "23:59", nil}, ""},
		{Schedule{nil, "hour", ":30", nil}, ""},
		{Schedule{nil, "hour", "30:15", nil}, ""},
		{Schedule{nil, "minute", ":15", nil}, ""},
		{Schedule{nil, "day", "8am", nil}, "Invalid time format for a daily job (valid format is HH:MM(:SS)?)"},
		{Schedule{nil, "monday", ":30", nil}, "Invalid time format for a daily job (valid format is HH:MM(:SS)?)"},
		{Schedule{nil, "day", "25:00", nil}, "Invalid number of hours ({} is not between 0 and 23)"},
		{Schedule{nil, "hour", "08:00:00", nil}, "Invalid time format for an hourly job (valid format is (MM)?:SS)"},
		{Schedule{nil, "minute", "00:15", nil}, "Invalid time format for a minutely job (valid format is :SS)"},
		{Schedule{every(2), "tuesday", "08:00", nil}, "Scheduling .tuesday() jobs is only allowed for weekly jobs. Using .tuesday() on a job scheduled to run every 2 or more weeks is not supported."},
		{Schedule{nil, "month", "08:00", every(31)}, ""},
		{Schedule{every(3), "month", "08:00", every(1)}, ""},
		{Schedule{nil, "month", "08:00", nil}, "Invalid on_day (it is for the period month, which needs it)"},
		{Schedule{nil, "day", "08:00", every(1)}, "Invalid on_day (it is for the period month, which needs it)"},
		{Schedule{nil, "month", "08:00", every(32)}, "Invalid on_day (32 is not between 1 and 31)"},
		{Schedule{nil, "month", ":30", every(1)}, "Invalid time format for a daily job (valid format is HH:MM(:SS)?)"},
		{Schedule{every(0), "day", "08:00", nil}, "Invalid every (0 is not between 1 and 100000)"},
		{Schedule{every(-1), "minute", ":00", nil}, "Invalid every (-1 is not between 1 and 100000)"},
	} {
		_, err := tt.s.understand()
		if got := fmt.Sprint(err); got != tt.want && (err != nil || tt.want != "") {
			t.Errorf("%+v: %v", tt.s, err)
		}
	}
}

func TestOccurrences(t *testing.T) {
	t.Parallel()
	berlin, newYork, india := zone(t, "Europe/Berlin"), zone(t, "America/New_York"), zone(t, "Asia/Kolkata")
	every := func(n int64) *int64 { return &n }
	const layout = "2006-01-02 15:04:05 MST"
	for _, tt := range []struct {
		name string
		s    Schedule
		now  time.Time
		want []string
	}{
		{"later today", Schedule{nil, "day", "20:00", nil}, time.Date(2030, 1, 1, 12, 0, 0, 0, berlin), []string{"2030-01-01 20:00:00 CET", "2030-01-02 20:00:00 CET"}},
		{"now is not later", Schedule{nil, "day", "12:00", nil}, time.Date(2030, 1, 1, 12, 0, 0, 0, berlin), []string{"2030-01-02 12:00:00 CET"}},
		{"a weekday", Schedule{nil, "monday", "08:00", nil}, time.Date(2030, 1, 1, 12, 0, 0, 0, berlin), []string{"2030-01-07 08:00:00 CET", "2030-01-14 08:00:00 CET"}},
		{"this weekday, past", Schedule{nil, "tuesday", "08:00", nil}, time.Date(2030, 1, 1, 12, 0, 0, 0, berlin), []string{"2030-01-08 08:00:00 CET"}},
		{"this weekday, to come", Schedule{nil, "tuesday", "13:00", nil}, time.Date(2030, 1, 1, 12, 0, 0, 0, berlin), []string{"2030-01-01 13:00:00 CET"}},
		{"every third day", Schedule{every(3), "day", "20:00", nil}, time.Date(2030, 1, 1, 12, 0, 0, 0, berlin), []string{"2030-01-04 20:00:00 CET", "2030-01-07 20:00:00 CET"}},
		{"hours", Schedule{nil, "hour", ":30", nil}, time.Date(2030, 1, 1, 12, 40, 0, 0, berlin), []string{"2030-01-01 13:30:00 CET", "2030-01-01 14:30:00 CET"}},
		{"hours in a zone of half hours", Schedule{nil, "hour", "10:05", nil}, time.Date(2030, 1, 1, 12, 0, 0, 0, india), []string{"2030-01-01 12:10:05 IST"}},
		{"minutes", Schedule{every(5), "minute", ":15", nil}, time.Date(2030, 1, 1, 12, 0, 30, 0, berlin), []string{"2030-01-01 12:05:15 CET", "2030-01-01 12:10:15 CET"}},
		// 02:30 does not exist on 2030-03-31 in Berlin: it is an offset later, and the next day as always.
		{"into daylight saving", Schedule{nil, "day", "02:30", nil}, time.Date(2030, 3, 30, 12, 0, 0, 0, berlin), []string{"2030-03-31 03:30:00 CEST", "2030-04-01 02:30:00 CEST"}},
		// 02:30 is there twice on 2030-10-27: once is enough.
		{"out of daylight saving", Schedule{nil, "day", "02:30", nil}, time.Date(2030, 10, 26, 12, 0, 0, 0, berlin), []string{"2030-10-27 02:30:00 CEST", "2030-10-28 02:30:00 CET"}},
		{"the time on the wall stays", Schedule{nil, "sunday", "08:00", nil}, time.Date(2030, 3, 25, 12, 0, 0, 0, berlin), []string{"2030-03-31 08:00:00 CEST", "2030-04-07 08:00:00 CEST"}},
		{"a day of the month", Schedule{nil, "month", "08:00", every(15)}, time.Date(2030, 1, 15, 7, 0, 0, 0, berlin), []string{"2030-01-15 08:00:00 CET", "2030-02-15 08:00:00 CET"}},
		{"this month, past", Schedule{nil, "month", "08:00", every(15)}, time.Date(2030, 12, 15, 9, 0, 0, 0, berlin), []string{"2031-01-15 08:00:00 CET"}},
		{"the last of the month", Schedule{nil, "month", "08:00", every(31)}, time.Date(2032, 1, 31, 9, 0, 0, 0, berlin), []string{"2032-02-29 08:00:00 CET", "2032-03-31 08:00:00 CEST", "2032-04-30 08:00:00 CEST"}},
		{"every quarter", Schedule{every(3), "month", "08:00", every(1)}, time.Date(2030, 1, 20, 9, 0, 0, 0, berlin), []string{"2030-04-01 08:00:00 CEST", "2030-07-01 08:00:00 CEST"}},
		{"New York", Schedule{nil, "day", "02:30", nil}, time.Date(2030, 3, 9, 12, 0, 0, 0, newYork), []string{"2030-03-10 03:30:00 EDT", "2030-03-11 02:30:00 EDT"}},
	} {
		r, err := tt.s.understand()
		noError(t, err)
		at := r.first(tt.now)
		for i, want := range tt.want {
			if i > 0 {
				at = r.after(at, at)
			}
			if got := at.Format(layout); got != want {
				t.Errorf("%s, number %d: %s, want %s", tt.name, i, got, want)
			}
		}
	}
}

// TestOccurrencesAfterALongTime must neither take long nor lose the rhythm.
func TestOccurrencesAfterALongTime(t *testing.T) {
	t.Parallel()
	every := int64(2)
	for _, s := range []Schedule{{&every, "day", "08:00", nil}, {nil, "friday", "08:00", nil}, {&every, "hour", ":30", nil}, {&every, "minute", ":15", nil}} {
		r, err := s.understand()
		noError(t, err)
		first := r.first(time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC))
		now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		at := r.after(first, now)
		step := r.step(first).Sub(first)
		if !at.After(now) || at.Sub(now) > step || at.Sub(first)%step != 0 {
			t.Errorf("%+v: %s", s, at)
		}
	}
}

func scheduleBody(more string) string {
	return `{"task_request":{"category":"clean","description":{"zone":"a"}},"schedules":[{"period":"monday","at":"08:00"},{"period":"friday","at":"09:30"}]` + more + `}`
}

func TestSchedules(t *testing.T) {
	t.Parallel()
	schedulesStored(t, newSite(t))
}

func schedulesStored(t *testing.T, s *site) {
	t.Helper()
	one := parse[ScheduledTask](t, s.post("/scheduled_tasks", scheduleBody(`,"start_from":"2030-01-01T00:00:00Z","until":"2030-06-01T08:00:00+08:00","except_dates":["2030-02-02T00:00:00Z"]`)).is(t, 201, "").body)
	if one.CreatedBy != "admin" || len(one.Schedules) != 2 || one.ExceptDates[0] != "2030-02-02" || one.LastRan != nil {
		t.Errorf("%+v", one)
	}
	text := s.get(fmt.Sprintf("/scheduled_tasks/%d", one.ID)).is(t, 200, "").body
	for _, want := range []string{
		`"schedules":[{"every":null,"period":"monday","at":"08:00"},{"every":null,"period":"friday","at":"09:30"}]`, `"last_ran":null`,
		`"start_from":"2030-01-01T00:00:00Z"`, `"until":"2030-06-01T00:00:00Z"`, `"except_dates":["2030-02-02"]`, `"description":{"zone":"a"}`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	two := parse[ScheduledTask](t, s.post("/scheduled_tasks", scheduleBody("")).is(t, 201, "").body)
	list := func(query string) (got []int64) {
		for _, t := range parse[[]ScheduledTask](s.t, s.get("/scheduled_tasks?"+query).is(s.t, 200, "").body) {
			got = append(got, t.ID)
		}
		return got
	}
	for query, want := range map[string][]int64{
		"start_before=2029-01-01T00:00:00Z&until_after=2029-01-01T00:00:00Z":             {two.ID},
		"start_before=2030-02-01T00:00:00Z&until_after=2030-02-01T00:00:00Z":             {one.ID, two.ID},
		"start_before=2031-02-01&until_after=2031-02-01":                                 {two.ID},
		"start_before=2030-02-01&until_after=2030-02-01&order_by=-id":                    {two.ID, one.ID},
		"start_before=2030-02-01&until_after=2030-02-01&limit=1&offset=1&order_by=until": {two.ID},
	} {
		if got := list(query); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	if n := s.get("/scheduled_tasks?start_before=2030-02-01&until_after=2030-02-01&limit=1&total=true").Header.Get("X-Total-Count"); n != "2" {
		t.Errorf("%s in total", n)
	}
	s.get("/scheduled_tasks").is(t, 422, "")
	s.get("/scheduled_tasks/abc").is(t, 422, "")
	s.get("/scheduled_tasks/99999").says(t, 404, "Not Found")

	path := fmt.Sprintf("/scheduled_tasks/%d", two.ID)
	for range 2 {
		s.post(path+"/except_date", `{"except_date":"2030-01-01T20:00:00Z"}`).is(t, 201, `null`)
	}
	s.post(path+"/except_date", `{"except_date":"2029-12-31T08:00:00+08:00"}`).is(t, 201, `null`)
	s.get(path).is(t, 200, "")
	if got := parse[ScheduledTask](t, s.get(path).body); fmt.Sprint(got.ExceptDates) != "[2029-12-31 2030-01-01]" {
		t.Errorf("%v", got.ExceptDates)
	}
	changed := parse[ScheduledTask](t, s.post(path+"/update", `{"task_request":{"category":"patrol","description":{}},"schedules":[{"period":"day","at":"10:00"}],"except_dates":["2031-01-01"]}`).is(t, 200, "").body)
	if changed.ID != two.ID || len(changed.Schedules) != 1 || fmt.Sprint(changed.ExceptDates) != "[2031-01-01]" || !strings.Contains(string(changed.TaskRequest), "patrol") {
		t.Errorf("%+v", changed)
	}
	s.post("/scheduled_tasks/99999/update", scheduleBody("")).says(t, 404, "Not Found")
	s.post("/scheduled_tasks/99999/except_date", `{"except_date":"2030-01-01"}`).says(t, 404, "Not Found")
	s.as("admin", "DELETE", path, "").is(t, 200, `null`)
	s.as("admin", "DELETE", path, "").says(t, 404, "Not Found")

	for body, want := range map[string]string{
		`{"task_request":{"category":"c","description":{}},"schedules":[]}`:                                    "Task is never going to run",
		scheduleBody(`,"until":"2001-01-01"`):                                                                  "Cannot schedule a job to run until a time in the past",
		`{"task_request":{"category":"c","description":null},"schedules":[{"period":"day","at":"10:00"}]}`:     "The description of the task is missing",
		`{"task_request":{"category":"c","description":{}},"schedules":[{"period":"day","at":"x"}]}`:           "Invalid time format for a daily job (valid format is HH:MM(:SS)?)",
		`{"task_request":{"category":"c","description":{}},"schedules":[{"every":0,"period":"day","at":"x"}]}`: "Invalid every (0 is not between 1 and 100000)",
	} {
		s.post("/scheduled_tasks", body).says(t, 422, want)
		s.post(fmt.Sprintf("/scheduled_tasks/%d/update", one.ID), body).says(t, 422, want)
	}
	s.post("/scheduled_tasks", `{"task_request":{"category":"c","description":{}},"schedules":[{"period":"day"}]}`).is(t, 422, "")
	if got := parse[ScheduledTask](t, s.get(fmt.Sprintf("/scheduled_tasks/%d", one.ID)).body); len(got.Schedules) != 2 {
		t.Errorf("a refused change was made: %+v", got)
	}
}

func TestSchedulesOfOthers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, a := range []access.Action{SubmitTasks, ReadTasks} {
		s.permit("op", a, access.Site)
	}
	s.permit("boss", WriteSchedules, access.Site)
	task := parse[ScheduledTask](t, s.as("anna op", "POST", "/scheduled_tasks", scheduleBody("")).is(t, 201, "").body)
	path := fmt.Sprintf("/scheduled_tasks/%d", task.ID)
	s.as("ben op", "GET", path, "").is(t, 200, "")
	s.as("ben op", "DELETE", path, "").is(t, 403, "")
	s.as("ben op", "POST", path+"/update", scheduleBody("")).is(t, 403, "")
	s.as("anna op", "POST", path+"/update", scheduleBody("")).is(t, 200, "")
	s.as("carl op boss", "DELETE", path, "").is(t, 200, `null`)
}

// runSite is a site whose clock stands still, and an RMF that takes every task.
func runSite(t *testing.T, at time.Time, change func(*Config)) *site {
	t.Helper()
	s := newSite(t, func(set *setup) {
		set.at, set.asleep = at, true
		set.cfg.TimeZone = zone(t, "Asia/Singapore")
		if change != nil {
			change(&set.cfg)
		}
	})
	n := 0
	s.ros.on(func(string) string {
		n++
		return fmt.Sprintf(`{"success":true,"state":{"booking":{"id":"run%d"}}}`, n)
	})
	return s
}

// runAt moves the clock, as a site that runs all the time would see it, and gives how often RMF was asked by then.
func (s *site) runAt(at time.Time) int {
	s.t.Helper()
	s.clock.set(at)
	return s.runNow()
}

func (s *site) runNow() int {
	s.t.Helper()
	ctx := s.t.Context()
	noError(s.t, s.svc.checkSchedules(ctx))
	rows, err := s.db.Query(ctx, "SELECT id FROM work WHERE kind = ? AND state = 'queued'", scheduleKind)
	items, err := collect(rows, err, scanText)
	noError(s.t, err)
	for _, item := range items {
		s.svc.writer.flush(ctx) // nothing else runs here
		stop := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				select {
				case <-stop:
					return
				case <-s.svc.writer.wake:
					s.svc.writer.flush(ctx)
				}
			}
		}()
		s.svc.runScheduled(ctx, item)
		close(stop)
		<-done
		_, err := s.db.Exec(ctx, "UPDATE work SET state = 'done' WHERE id = ?", item)
		noError(s.t, err)
	}
	return len(s.ros.requests(s.t))
}

// TestScheduledRuns is the original's list of cases, by a clock that stands still.
func TestScheduledRuns(t *testing.T) {
	t.Parallel()
	sg := zone(t, "Asia/Singapore")
	start := time.Date(2030, 1, 1, 12, 0, 0, 0, sg) // a Tuesday
	daily := `{"task_request":{"category":"c","description":{}},"schedules":[{"period":"day","at":"00:00"}]`
	day := func(n int) time.Time { return time.Date(2030, 1, n, 0, 0, 0, 0, sg) }
	for _, tt := range []struct {
		name, body string
		at         []time.Time
		want       []int
	}{
		{"daily at midnight", daily + `}`, []time.Time{day(2).Add(-time.Second), day(2), day(3)}, []int{0, 1, 2}},
		{"weekly at midnight", strings.Replace(daily, `"day"`, `"friday"`, 1) + `}`, []time.Time{day(3), day(4), day(5), day(11)}, []int{0, 1, 1, 2}},
		{"start_from, local", daily + `,"start_from":"2030-01-03T00:00:00+08:00"}`, []time.Time{day(2), day(3), day(4)}, []int{0, 1, 2}},
		{"start_from, UTC", daily + `,"start_from":"2030-01-02T16:00:00Z"}`, []time.Time{day(2), day(3), day(4)}, []int{0, 1, 2}},
		{"until is included", daily + `,"until":"2030-01-03T00:00:00+08:00"}`, []time.Time{day(2), day(3).Add(200 * time.Millisecond), day(4)}, []int{1, 2, 2}},
		{"until, UTC", daily + `,"until":"2030-01-02T16:00:00Z"}`, []time.Time{day(2), day(3), day(4)}, []int{1, 2, 2}},
		{"except, local", daily + `,"except_dates":["2030-01-03T00:00:00+08:00"]}`, []time.Time{day(2), day(3), day(4)}, []int{1, 1, 2}},
		{"except, UTC", daily + `,"except_dates":["2030-01-02T16:00:00Z"]}`, []time.Time{day(2), day(3), day(4)}, []int{1, 1, 2}},
		{"except, several", daily + `,"except_dates":["2030-01-03T00:00:00+08:00","2030-01-02T00:00:00+08:00"]}`, []time.Time{day(2), day(3), day(4)}, []int{0, 0, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := runSite(t, start, nil)
			s.post("/scheduled_tasks", tt.body).is(t, 201, "")
			for i, at := range tt.at {
				if got := s.runAt(at); got != tt.want[i] {
					t.Errorf("at %s: %d runs, want %d", at, got, tt.want[i])
				}
				if got := s.runNow(); got != tt.want[i] {
					t.Errorf("again at %s: %d runs", at, got)
				}
			}
		})
	}
}

func TestChangesBeforeTheRun(t *testing.T) {
	t.Parallel()
	sg := zone(t, "Asia/Singapore")
	start := time.Date(2030, 1, 1, 12, 0, 0, 0, sg)
	daily := `{"task_request":{"category":"c","description":{}},"schedules":[{"period":"day","at":"00:00"}]`
	s := runSite(t, start, nil)
	gone := parse[ScheduledTask](t, s.post("/scheduled_tasks", daily+`}`).body)
	moved := parse[ScheduledTask](t, s.post("/scheduled_tasks", daily+`}`).body)
	s.as("admin", "DELETE", fmt.Sprintf("/scheduled_tasks/%d", gone.ID), "").is(t, 200, "")
	s.post(fmt.Sprintf("/scheduled_tasks/%d/update", moved.ID), daily+`,"start_from":"2030-01-03T00:00:00+08:00"}`).is(t, 200, "")
	if n := s.runAt(time.Date(2030, 1, 2, 0, 0, 0, 0, sg)); n != 0 {
		t.Errorf("%d runs", n)
	}
	// A date that is excepted while the schedule is armed holds, and is still there after the run.
	s.post(fmt.Sprintf("/scheduled_tasks/%d/except_date", moved.ID), `{"except_date":"2030-01-04T12:00:00+08:00"}`).is(t, 201, "")
	if n := s.runAt(time.Date(2030, 1, 3, 0, 0, 0, 0, sg)); n != 1 {
		t.Errorf("%d runs", n)
	}
	if n := s.runAt(time.Date(2030, 1, 4, 0, 0, 0, 0, sg)); n != 1 {
		t.Errorf("%d runs", n)
	}
	after := parse[ScheduledTask](t, s.get(fmt.Sprintf("/scheduled_tasks/%d", moved.ID)).body)
	if fmt.Sprint(after.ExceptDates) != "[2030-01-04]" || after.LastRan == nil || !after.LastRan.Equal(time.Date(2030, 1, 3, 0, 0, 0, 0, sg)) {
		t.Errorf("%+v", after)
	}
}

func TestMissedRuns(t *testing.T) {
	t.Parallel()
	start := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	for _, once := range []bool{false, true} {
		s := runSite(t, start, func(c *Config) { c.RunMissed = once })
		s.post("/scheduled_tasks", `{"task_request":{"category":"c","description":{}},"schedules":[{"period":"hour","at":":30"}]}`).is(t, 201, "")
		want := 0
		if once {
			want = 1
		}
		// Down for a day and 20 minutes.
		if n := s.runAt(start.Add(24*time.Hour + 50*time.Minute)); n != want {
			t.Errorf("once %v: %d runs, want %d", once, n, want)
		}
		// A tick that comes a little late is not missed.
		if n := s.runAt(start.Add(25*time.Hour + 30*time.Minute + 20*time.Second)); n != want+1 {
			t.Errorf("once %v: %d runs, want %d", once, n, want+1)
		}
	}
}

func TestRunsThatFail(t *testing.T) {
	t.Parallel()
	start := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	s := runSite(t, start, func(c *Config) { c.TaskAPITimeout = 20 * time.Millisecond })
	task := parse[ScheduledTask](t, s.post("/scheduled_tasks", `{"task_request":{"category":"c","description":{}},"schedules":[{"period":"hour","at":":30"}]}`).body)
	s.ros.on(func(string) string { return `{"success":false,"errors":[{"detail":"no robot"}]}` })
	s.runAt(start.Add(30 * time.Minute))
	path := fmt.Sprintf("/scheduled_tasks/%d", task.ID)
	got := parse[ScheduledTask](t, s.get(path).body)
	if got.LastRan == nil || got.LastError == nil || !strings.Contains(*got.LastError, "no robot") {
		t.Errorf("%+v", got)
	}
	ran := *got.LastRan
	s.ros.on(func(string) string { return "" })
	s.runAt(start.Add(90 * time.Minute))
	got = parse[ScheduledTask](t, s.get(path).body)
	if !got.LastRan.Equal(ran) || got.LastError == nil || *got.LastError != "rmf service timed out" {
		t.Errorf("%+v", got)
	}
	s.svc.writer.flush(t.Context())
	alerts := parse[[]AlertRequest](t, s.get("/alerts/unresponded_requests").body)
	if len(alerts) == 0 || alerts[0].Title != "Scheduled task failed" {
		t.Errorf("%+v", alerts)
	}
}

// TestPausedSchedules leaves out the runs of a paused one, which an update that does not speak of it keeps paused.
func TestPausedSchedules(t *testing.T) {
	t.Parallel()
	pausedStored(t, newSite(t))
}

func pausedStored(t *testing.T, s *site) {
	t.Helper()
	has := func(a response, status int, text string) response {
		t.Helper()
		if a.is(t, status, ""); !strings.Contains(a.body, text) {
			t.Errorf("no %s in %s", text, a.body)
		}
		return a
	}
	body := func(more string) string {
		return `{"task_request":{"category":"clean","description":{"zone":"a"}},"schedules":[{"period":"minute","at":":00"}]` + more + `}`
	}
	made := has(s.post("/scheduled_tasks", body(`,"paused":true,"time_zone":"Asia/Tokyo"`)), 201, `"paused":true,"time_zone":"Asia/Tokyo"`)
	one := parse[ScheduledTask](t, made.body)
	at := fmt.Sprintf("/scheduled_tasks/%d", one.ID)
	has(s.post(at+"/update", body("")), 200, `"paused":true,"time_zone":"Asia/Tokyo"`)
	stored, err := s.svc.store.schedule(t.Context(), s.svc.store.db, one.ID)
	noError(t, err)
	if due := *stored.occurrence[0]; s.svc.runs(stored, due) {
		t.Error("a paused one runs")
	}
	// 20:00 by universal time is the next day in Tokyo already.
	s.post(at+"/except_date", `{"except_date":"2030-01-01T20:00:00Z"}`).is(t, 201, "")
	resumed := has(s.post(at+"/update", body(`,"paused":false,"except_dates":["2030-01-01T20:00:00Z"]`)), 200, `"except_dates":["2030-01-02"]`)
	if strings.Contains(resumed.body, "paused") {
		t.Errorf("what is not paused says so: %s", resumed.body)
	}
	stored, err = s.svc.store.schedule(t.Context(), s.svc.store.db, one.ID)
	noError(t, err)
	if due := *stored.occurrence[0]; !s.svc.runs(stored, due) || s.svc.runs(stored, time.Date(2030, 1, 1, 16, 0, 0, 0, time.UTC)) || !s.svc.runs(stored, time.Date(2030, 1, 1, 14, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v", stored)
	}
	s.post(at+"/update", body(`,"time_zone":""`)).is(t, 200, "")
	has(s.post("/scheduled_tasks", body(`,"time_zone":"Mars/Olympus"`)), 422, `Invalid time_zone (\"Mars/Olympus\" is none; one is Europe/Berlin)`)
	has(s.post("/scheduled_tasks", body(`,"time_zone":"Local"`)), 422, "Invalid time_zone")
	has(s.post("/scheduled_tasks", strings.Replace(body(""), `{"period":"minute","at":":00"}`, `{"period":"month","at":"08:00","on_day":31}`, 1)), 201, `"schedules":[{"every":null,"period":"month","at":"08:00","on_day":31}]`)
}
