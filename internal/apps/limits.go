package apps

import (
	"errors"
	"time"

	"lodge/internal/access"
	"lodge/internal/fault"
)

// Limits bound what runs at once; 0 is no limit.
type Limits struct {
	SessionsPerUser int
	SessionsPerApp  int
	Sessions        int
	// StartsAtOnce is how many start at a time on the whole site.
	StartsAtOnce int
	Queue        int
	QueueTimeout time.Duration
	// CPUPerUser is in cores, MemoryPerUser in bytes.
	CPUPerUser    float64
	MemoryPerUser Size
	// ByRole gives people with a role other limits; of several the largest holds.
	ByRole map[access.Role]RoleLimits
	// LaunchesPerMinute bounds one person's launches; 0 is 10.
	LaunchesPerMinute int
}

// RoleLimits replace a person's limits; 0 leaves one as it is, -1 lifts it.
type RoleLimits struct {
	SessionsPerUser int
	CPUPerUser      float64
	MemoryPerUser   Size
}

func (l Limits) withDefaults() Limits {
	orDefault(&l.SessionsPerUser, 5)
	orDefault(&l.StartsAtOnce, 8)
	orDefault(&l.Queue, 200)
	orDefault(&l.QueueTimeout, 15*time.Minute)
	orDefault(&l.LaunchesPerMinute, 10)
	return l
}

// forRoles gives the limits of somebody with these roles.
func (l Limits) forRoles(roles []access.Role) Limits {
	for _, r := range roles {
		more, ok := l.ByRole[r]
		if !ok {
			continue
		}
		l.SessionsPerUser = larger(l.SessionsPerUser, more.SessionsPerUser)
		l.CPUPerUser = larger(l.CPUPerUser, more.CPUPerUser)
		l.MemoryPerUser = larger(l.MemoryPerUser, more.MemoryPerUser)
	}
	return l
}

// larger is the more generous of two limits, where 0 in base is none already.
func larger[T int | float64 | Size](base, more T) T {
	switch {
	case more == 0 || base == 0:
		return base
	case more < 0:
		return 0
	}
	return max(base, more)
}

// usage is what runs or is about to.
type usage struct {
	mine, ofApp, all int
	queued           int
	// cpu is in thousandths of a core.
	cpu, memory int64
}

// LimitError says which limit a launch met.
type LimitError struct {
	Limit string
	Wait  time.Duration
	err   error
}

// Error is the sentence for people.
func (e *LimitError) Error() string { return e.err.Error() }

// Unwrap gives the fault.
func (e *LimitError) Unwrap() error { return e.err }

// RetryAfter is for the edge.
func (e *LimitError) RetryAfter() time.Duration { return e.Wait }

func limitFault(name string, wait time.Duration, format string, args ...any) error {
	return &LimitError{name, wait, fault.New(fault.Exhausted, format, args...)}
}

func isLimit(err error) bool {
	var l *LimitError
	return errors.As(err, &l)
}

// check says whether one more app session fits. queueWait is what to tell those for whom the queue
// is too long, at random so that they do not all come back at once.
func (l Limits) check(u usage, cpu, memory int64, queueWait time.Duration) error {
	const wait = 30 * time.Second
	switch {
	case l.SessionsPerUser > 0 && u.mine >= l.SessionsPerUser:
		return limitFault("sessions_per_user", wait, "you have %d apps running, which is as many as you may; stop one first (limit sessions_per_user)", u.mine)
	case l.SessionsPerApp > 0 && u.ofApp >= l.SessionsPerApp:
		return limitFault("sessions_per_app", wait, "%d people use this app already, which is as many as may (limit sessions_per_app)", u.ofApp)
	case l.Sessions > 0 && u.all >= l.Sessions:
		return limitFault("sessions", wait, "%d apps are running, which is as many as this site allows (limit sessions)", u.all)
	case l.CPUPerUser > 0 && float64(u.cpu+cpu) > l.CPUPerUser*1000:
		return limitFault("cpu_per_user", wait, "your apps would need more than the %g cores that you may use (limit cpu_per_user)", l.CPUPerUser)
	case l.MemoryPerUser > 0 && (memory < 0 || u.memory+memory > int64(l.MemoryPerUser)):
		return limitFault("memory_per_user", wait, "your apps would need more than the memory that you may use (limit memory_per_user)")
	case u.queued >= l.Queue:
		return limitFault("queue", queueWait, "%d others wait for a place already; try again in a minute (limit queue)", u.queued)
	}
	return nil
}
