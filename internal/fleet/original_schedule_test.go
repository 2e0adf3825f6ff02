package fleet

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// schedules gives the ids that a list has, in its order.
func (s *site) schedules(query string) (got []int64) {
	s.t.Helper()
	for _, task := range parse[[]ScheduledTask](s.t, s.get("/scheduled_tasks?"+query).is(s.t, 200, "").body) {
		got = append(got, task.ID)
	}
	return got
}

func (s *site) schedule(body string) ScheduledTask {
	s.t.Helper()
	return parse[ScheduledTask](s.t, s.post("/scheduled_tasks", body).is(s.t, 201, "").body)
}

func TestOriginalSchedules(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.at = time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC) })
	bounded := s.schedule(scheduleBody(`,"start_from":"2023-03-01T00:00:00Z","until":"2023-05-01T00:00:00Z"`))
	if len(bounded.Schedules) != 2 {
		t.Errorf("%+v", bounded)
	}
	open := s.schedule(scheduleBody(""))
	for query, want := range map[string][]int64{
		"start_before=2023-02-01T00:00:00Z&until_after=2023-02-01T00:00:00Z": {open.ID},             // before it starts
		"start_before=2023-04-01T00:00:00Z&until_after=2023-04-01T00:00:00Z": {bounded.ID, open.ID}, // each once, in spite of two schedules
		"start_before=2023-06-01T00:00:00Z&until_after=2023-04-30T00:00:00Z": {bounded.ID, open.ID},
		"start_before=2023-06-01T00:00:00Z&until_after=2023-05-02T00:00:00Z": {open.ID}, // after it ends
		"start_before=1999-01-01T00:00:00Z&until_after=2999-01-01T00:00:00Z": {open.ID},
	} {
		if got := s.schedules(query); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s lists %v, not %v", query, got, want)
		}
	}
	path := fmt.Sprintf("/scheduled_tasks/%d", open.ID)
	if got := parse[ScheduledTask](t, s.get(path).is(t, 200, "").body); got.ID != open.ID {
		t.Errorf("%+v", got)
	}
	s.as("admin", "DELETE", path, "").is(t, 200, "")
	s.get(path).is(t, 404, "")
	s.post("/scheduled_tasks", strings.Replace(scheduleBody(""), `,"at":"08:00"`, "", 1)).is(t, 422, "")
}

// TestOriginalExceptDates has the site in Singapore, eight hours ahead of UTC.
func TestOriginalExceptDates(t *testing.T) {
	t.Parallel()
	s := newSite(t, withConfig(func(c *Config) { c.TimeZone = zone(t, "Asia/Singapore") }))
	for given, want := range map[string]string{
		"2030-06-10T00:00:00Z":      "2030-06-10", // 08:00 there
		"2030-06-09T23:00:00Z":      "2030-06-10", // 07:00
		"2030-06-10T01:00:00Z":      "2030-06-10", // 09:00
		"2030-06-09T16:00:00Z":      "2030-06-10", // midnight
		"2030-06-09T15:59:59Z":      "2030-06-09",
		"2030-06-10T08:00:00+08:00": "2030-06-10",
		"2030-06-10T07:00:00+08:00": "2030-06-10",
		"2030-06-10T09:00:00+08:00": "2030-06-10",
		"2030-06-10T00:00:00+08:00": "2030-06-10",
		"2030-06-09T23:59:59+08:00": "2030-06-09",
	} {
		for _, task := range []ScheduledTask{s.schedule(scheduleBody(`,"except_dates":["` + given + `"]`)), s.schedule(scheduleBody(""))} {
			path := fmt.Sprintf("/scheduled_tasks/%d", task.ID)
			if len(task.ExceptDates) == 0 {
				s.post(path+"/except_date", `{"except_date":"`+given+`"}`).is(t, 201, `null`)
			}
			if got := parse[ScheduledTask](t, s.get(path).body).ExceptDates; fmt.Sprint(got) != "["+want+"]" {
				t.Errorf("%s is %v there, not %s", given, got, want)
			}
		}
	}
	task := s.schedule(scheduleBody(`,"except_dates":["2030-06-10T00:00:00Z","2030-06-12T00:00:00Z"]`))
	path := fmt.Sprintf("/scheduled_tasks/%d", task.ID)
	for _, day := range []string{"2030-06-11T00:00:00Z", "2030-06-13T00:00:00+08:00"} {
		s.post(path+"/except_date", `{"except_date":"`+day+`"}`).is(t, 201, `null`)
	}
	if got := parse[ScheduledTask](t, s.get(path).body).ExceptDates; fmt.Sprint(got) != "[2030-06-10 2030-06-11 2030-06-12 2030-06-13]" {
		t.Errorf("they accumulate to %v", got)
	}
}

func TestOriginalScheduleEdit(t *testing.T) {
	t.Parallel()
	s := newSite(t, withConfig(func(c *Config) { c.TimeZone = zone(t, "Asia/Singapore") }))
	task := s.schedule(scheduleBody(`,"except_dates":["2030-06-10T00:00:00Z"]`))
	update := func(body string) ScheduledTask {
		t.Helper()
		path := fmt.Sprintf("/scheduled_tasks/%d", task.ID)
		answer := s.post(path+"/update", body).is(t, 200, "").body
		s.get(path).is(t, 200, answer)
		return parse[ScheduledTask](t, answer)
	}
	if got := update(strings.Replace(scheduleBody(""), `"zone":"a"`, `"zone":"b"`, 1)); !strings.Contains(string(got.TaskRequest), `"zone":"b"`) ||
		fmt.Sprint(got.Schedules) != fmt.Sprint(task.Schedules) || got.ID != task.ID || got.CreatedBy != task.CreatedBy {
		t.Errorf("another request: %+v", got)
	}
	if got := update(`{"task_request":{"category":"clean","description":{"zone":"a"}},"schedules":[{"period":"tuesday","at":"10:00"}]}`); len(got.Schedules) != 1 || got.Schedules[0].Period != "tuesday" {
		t.Errorf("another schedule: %+v", got)
	}
	instant := time.Date(2030, 6, 1, 0, 0, 0, 0, time.UTC)
	for _, text := range []string{"2030-06-01T00:00:00Z", "2030-06-01T08:00:00+08:00"} {
		if got := update(scheduleBody(`,"start_from":"` + text + `"`)); got.StartFrom == nil || !got.StartFrom.Equal(instant) || got.Until != nil {
			t.Errorf("start_from %s: %+v", text, got)
		}
		if got := update(scheduleBody(`,"until":"` + text + `"`)); got.Until == nil || !got.Until.Equal(instant) || got.StartFrom != nil {
			t.Errorf("until %s: %+v", text, got)
		}
	}
	for _, day := range []string{"2030-06-10T00:00:00Z", "2030-06-12T00:00:00+08:00"} {
		if got := update(scheduleBody(`,"except_dates":["` + day + `"]`)); len(got.ExceptDates) != 1 || got.ExceptDates[0] != day[:10] {
			t.Errorf("except %s: %v", day, got.ExceptDates)
		}
	}
}

// TestOriginalUpdateBeforeTheRun changes a daily schedule before it runs for the first time.
func TestOriginalUpdateBeforeTheRun(t *testing.T) {
	t.Parallel()
	sg := zone(t, "Asia/Singapore")
	day := func(n int) time.Time { return time.Date(2030, 1, n, 0, 0, 0, 0, sg) }
	const daily = `{"task_request":{"category":"c","description":{}},"schedules":[{"period":"day","at":"00:00"}]`
	for more, want := range map[string][]int{
		``: {1, 2, 3},
		`,"start_from":"2030-01-03T00:00:00+08:00"`: {0, 1, 2}, `,"start_from":"2030-01-02T16:00:00Z"`: {0, 1, 2},
		`,"until":"2030-01-03T00:00:00+08:00"`: {1, 2, 2}, `,"until":"2030-01-02T16:00:00Z"`: {1, 2, 2},
		`,"except_dates":["2030-01-03T00:00:00+08:00"]`: {1, 1, 2}, `,"except_dates":["2030-01-02T16:00:00Z"]`: {1, 1, 2},
		`,"except_dates":["2030-01-02T00:00:00+08:00","2030-01-03T00:00:00+08:00"]`: {0, 0, 1},
	} {
		s := runSite(t, day(1).Add(12*time.Hour), nil)
		task := s.schedule(daily + `,"start_from":"2030-01-04T00:00:00+08:00","except_dates":["2030-01-04T00:00:00+08:00"]}`)
		s.post(fmt.Sprintf("/scheduled_tasks/%d/update", task.ID), daily+more+"}").is(t, 200, "")
		for i := range 3 {
			if got := s.runAt(day(2 + i)); got != want[i] {
				t.Errorf("%s: %d runs on day %d, not %d", more, got, 2+i, want[i])
			}
		}
	}
}
