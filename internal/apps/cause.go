package apps

import (
	"slices"
	"time"
)

// Cause is why an app session failed or was stopped, as a code that pages and programs share.
type Cause string

// The causes of failures.
const (
	CauseImageMissing  Cause = "image_missing"
	CausePullFailed    Cause = "image_pull_failed"
	CauseExitedEarly   Cause = "exited_early"
	CauseCrashed       Cause = "crashed"
	CauseCrashLoop     Cause = "crash_loop"
	CauseAppFailing    Cause = "app_failing"
	CauseNotAnswering  Cause = "not_answering"
	CauseStartTimeout  Cause = "start_timeout"
	CauseOutOfMemory   Cause = "out_of_memory"
	CauseNoRoom        Cause = "no_room"
	CauseLimit         Cause = "limit"
	CauseDriverDown    Cause = "driver_down"
	CauseVolume        Cause = "volume"
	CauseDeniedNow     Cause = "denied_now"
	CauseLost          Cause = "lost"
	CauseSpec          Cause = "spec"
	CauseInternalError Cause = "internal"
)

// The causes of stops.
const (
	CauseUser      Cause = "user"
	CauseAdmin     Cause = "admin"
	CauseIdle      Cause = "idle"
	CauseLifetime  Cause = "lifetime"
	CauseLogout    Cause = "logout"
	CauseReconcile Cause = "reconcile"
	CauseExit      Cause = "lodge_exit"
)

// theApps says whether a failure is the app's own, so that it counts towards a crash loop.
func (c Cause) theApps() bool {
	return slices.Contains([]Cause{CauseExitedEarly, CauseCrashed, CauseNotAnswering, CauseStartTimeout, CauseOutOfMemory}, c)
}

const (
	// crashLimit failures within crashWindow make a loop; then every start needs crashPause since the last.
	crashLimit  = 3
	crashWindow = 10 * time.Minute
	crashPause  = time.Minute
	// failingPeople different people who fail with one app within crashWindow mean that the app is broken.
	failingPeople = 5
)

// recent drops failures that count no more.
func recent(failures []time.Time, now time.Time) []time.Time {
	return slices.DeleteFunc(slices.Clone(failures), func(at time.Time) bool { return now.Sub(at) >= crashWindow })
}

// crashLoop says how long a launch must wait after these failures; 0 is not at all.
func crashLoop(failures []time.Time, now time.Time) time.Duration {
	failures = recent(failures, now)
	if len(failures) < crashLimit {
		return 0
	}
	return max(0, crashPause-now.Sub(slices.MaxFunc(failures, time.Time.Compare)))
}

// advice is what people can do about a cause, in one sentence.
func (c Cause) advice() string {
	switch c {
	case CauseImageMissing:
		return "The image is not known to the registry. Ask an administrator to check its name and tag."
	case CausePullFailed:
		return "The image could not be fetched. Try again in a few minutes."
	case CauseExitedEarly:
		return "The app ended before it answered. Its last lines are below."
	case CauseCrashed:
		return "The app ended by itself. Its last lines are below."
	case CauseCrashLoop:
		return "The app keeps failing. Look at its last lines, or ask an administrator, before you try again."
	case CauseAppFailing:
		return "This app has a fault. Administrators were told."
	case CauseNotAnswering:
		return "The app runs, but does not answer where it should. Ask whoever looks after it to check its port."
	case CauseStartTimeout:
		return "Starting took too long."
	case CauseOutOfMemory:
		return "The app needed more memory than it may have. Choose a larger size, or smaller data."
	case CauseNoRoom:
		return "There is no room at the moment. Try again later."
	case CauseDriverDown:
		return "The service that runs apps does not answer. Apps that run already are not affected."
	case CauseVolume:
		return "Storage for the app could not be made ready. Ask an administrator."
	case CauseDeniedNow:
		return "You may not use this app any more."
	case CauseLost:
		return "The app was removed outside Lodge."
	case CauseSpec:
		return "The app's entry in the catalogue cannot be run. Ask an administrator."
	case CauseIdle:
		return "It was closed because nobody used it."
	case CauseLifetime:
		return "It reached the longest time that it may run."
	case CauseAdmin:
		return "An administrator stopped it."
	case CauseLogout:
		return "It was stopped when you logged out."
	default:
		return ""
	}
}
