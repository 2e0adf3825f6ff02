package fleet

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Schedule is a rhythm: every so many periods, at a time within the period.
type Schedule struct {
	Every  *int64 `json:"every" required:"false"`
	Period string `json:"period" enum:"monday,tuesday,wednesday,thursday,friday,saturday,sunday,day,hour,minute,month"`
	At     string `json:"at"`
	// OnDay is the day of the month, for the period month, which the original does not have. A month
	// without that day runs on its last one.
	OnDay *int64 `json:"on_day,omitempty" required:"false" nullable:"true" doc:"day of the month, 1 to 31, for the period month"`
}

// rhythm is a schedule that was understood.
type rhythm struct {
	every int
	// unit is what every counts.
	unit unit
	// weekday is for weeks, day for months, the rest for what is below the unit.
	weekday              time.Weekday
	day                  int
	hour, minute, second int
}

type unit int

const (
	weeks unit = iota
	days
	hours
	minutes
	months
)

var weekdays = []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}

var (
	dailyAt    = regexp.MustCompile(`^([0-2]\d):([0-5]\d)(?::([0-5]\d))?$`)
	hourlyAt   = regexp.MustCompile(`^([0-5]\d)?:([0-5]\d)$`)
	minutelyAt = regexp.MustCompile(`^:([0-5]\d)$`)
)

// maxEvery keeps the arithmetic far from its ends.
const maxEvery = 100_000

// understand reads a schedule. What it refuses it refuses in the original's words.
func (s Schedule) understand() (r rhythm, err error) {
	r.every = 1
	if s.Every != nil {
		if *s.Every < 1 || *s.Every > maxEvery {
			return r, unprocessable(fmt.Sprintf("Invalid every (%d is not between 1 and %d)", *s.Every, maxEvery))
		}
		r.every = int(*s.Every)
	}
	part := func(text string) int {
		n, _ := strconv.Atoi(text) // two digits at most, or nothing
		return n
	}
	if (s.OnDay != nil) != (s.Period == "month") {
		return r, unprocessable("Invalid on_day (it is for the period month, which needs it)")
	}
	switch s.Period {
	case "hour":
		r.unit = hours
		at := hourlyAt.FindStringSubmatch(s.At)
		if at == nil {
			return r, unprocessable("Invalid time format for an hourly job (valid format is (MM)?:SS)")
		}
		// ":MM" is a minute, "MM:SS" a minute and a second.
		if at[1] == "" {
			r.minute = part(at[2])
		} else {
			r.minute, r.second = part(at[1]), part(at[2])
		}
		return r, nil
	case "minute":
		r.unit = minutes
		at := minutelyAt.FindStringSubmatch(s.At)
		if at == nil {
			return r, unprocessable("Invalid time format for a minutely job (valid format is :SS)")
		}
		r.second = part(at[1])
		return r, nil
	}
	r.unit = days
	switch s.Period {
	case "day":
	case "month":
		if *s.OnDay < 1 || *s.OnDay > 31 {
			return r, unprocessable(fmt.Sprintf("Invalid on_day (%d is not between 1 and 31)", *s.OnDay))
		}
		r.unit, r.day = months, int(*s.OnDay)
	default:
		r.unit, r.weekday = weeks, time.Weekday(slices.Index(weekdays, s.Period))
		if r.every != 1 {
			return r, unprocessable(fmt.Sprintf("Scheduling .%[1]s() jobs is only allowed for weekly jobs. Using .%[1]s() on a job "+
				"scheduled to run every 2 or more weeks is not supported.", s.Period))
		}
	}
	at := dailyAt.FindStringSubmatch(s.At)
	if at == nil {
		return r, unprocessable("Invalid time format for a daily job (valid format is HH:MM(:SS)?)")
	}
	r.hour, r.minute, r.second = part(at[1]), part(at[2]), part(at[3])
	if r.hour > 23 {
		return r, unprocessable("Invalid number of hours ({} is not between 0 and 23)") // word for word
	}
	return r, nil
}

// first is the first occurrence after now. With every above 1 it is as many periods after the present
// one, as in the original.
func (r rhythm) first(now time.Time) time.Time {
	at := r.within(now)
	if r.every > 1 {
		return r.after(at, now)
	}
	if !at.After(now) {
		at = r.step(at)
	}
	return at
}

// after is the first occurrence after now that is a number of steps behind the last one.
func (r rhythm) after(last, now time.Time) time.Time {
	at := r.step(last)
	if at.After(now) {
		return at
	}
	// Many steps at once, then the few that daylight saving may add.
	length := map[unit]time.Duration{weeks: 7 * 24 * time.Hour, days: 24 * time.Hour, hours: time.Hour, minutes: time.Minute, months: 31 * 24 * time.Hour}[r.unit]
	if n := int(now.Sub(last)/(length*time.Duration(r.every))) - 1; n > 1 {
		at = r.steps(last, n)
	}
	for !at.After(now) {
		at = r.step(at)
	}
	return at
}

// within is the occurrence in the period of now, before or after it.
func (r rhythm) within(now time.Time) time.Time {
	year, month, day := now.Date()
	switch r.unit {
	case weeks:
		return wall(year, month, day+(int(r.weekday)-int(now.Weekday())+7)%7, r.hour, r.minute, r.second, now.Location())
	case days:
		return wall(year, month, day, r.hour, r.minute, r.second, now.Location())
	case months:
		return r.monthly(year, month, now.Location())
	case hours:
		// By what the clock on the wall shows, as zones may be half an hour off.
		past := time.Duration(now.Minute())*time.Minute + time.Duration(now.Second())*time.Second + time.Duration(now.Nanosecond())
		return now.Add(-past).Add(time.Duration(r.minute)*time.Minute + time.Duration(r.second)*time.Second)
	default:
		past := time.Duration(now.Second())*time.Second + time.Duration(now.Nanosecond())
		return now.Add(-past).Add(time.Duration(r.second) * time.Second)
	}
}

func (r rhythm) step(at time.Time) time.Time { return r.steps(at, 1) }

// steps goes n times as many periods on. Days, weeks and months keep the time on the wall across daylight
// saving, hours and minutes what has passed.
func (r rhythm) steps(at time.Time, n int) time.Time {
	year, month, day := at.Date()
	switch r.unit {
	case weeks:
		return wall(year, month, day+7*r.every*n, r.hour, r.minute, r.second, at.Location())
	case days:
		return wall(year, month, day+r.every*n, r.hour, r.minute, r.second, at.Location())
	case months:
		return r.monthly(year, month+time.Month(r.every*n), at.Location())
	case hours:
		return at.Add(time.Duration(r.every*n) * time.Hour)
	default:
		return at.Add(time.Duration(r.every*n) * time.Minute)
	}
}

// monthly is the occurrence in a month.
func (r rhythm) monthly(year int, month time.Month, zone *time.Location) time.Time {
	last := time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC) // the day before the next month's first
	return wall(last.Year(), last.Month(), min(r.day, last.Day()), r.hour, r.minute, r.second, zone)
}

// wall is the moment at which the clock on the wall shows a time. One that the clock skips is an
// offset later; of one that it shows twice it is the first.
func wall(year int, month time.Month, day, hour, minute, second int, zone *time.Location) time.Time {
	plain := time.Date(year, month, day, hour, minute, second, 0, time.UTC)
	_, before := plain.Add(-24 * time.Hour).In(zone).Zone()
	_, after := plain.Add(24 * time.Hour).In(zone).Zone()
	for _, offset := range []int{max(before, after), min(before, after)} {
		at := plain.Add(-time.Duration(offset) * time.Second).In(zone)
		if _, is := at.Zone(); is == offset {
			return at
		}
	}
	// Skipped: the offset before it leads to the moment as much later.
	return plain.Add(-time.Duration(before) * time.Second).In(zone)
}
