package apps

// State is where an app session stands.
type State string

// The states of an app session.
//
//	launch ─→ queued ─→ starting ─→ ready ─→ stopping ─→ stopped ─→ (launch)
//	             │          │          │
//	             ├──────────┼──────────┼─ stop ─────────→ stopping
//	             └──────────┴──────────┴─ error, death ─→ failed ──→ (launch)
const (
	Absent   State = "" // no row
	Queued   State = "queued"
	Starting State = "starting"
	Running  State = "ready"
	Stopping State = "stopping"
	Stopped  State = "stopped"
	Failed   State = "failed"
)

// event is what happens to an app session.
type event string

const (
	evLaunch event = "launch" // somebody asks for it
	evBegin  event = "begin"  // a place to start is free
	evAnswer event = "answer" // it answers
	evFail   event = "fail"   // it cannot be started, or it ended by itself
	evStop   event = "stop"   // it is to end
	evGone   event = "gone"   // the driver says that nothing is left
)

// next is the whole life of an app session: the state after an event, or false where the event
// means nothing.
func next(s State, e event) (State, bool) {
	switch e {
	case evLaunch:
		if s == Absent || s == Stopped || s == Failed {
			return Queued, true
		}
	case evBegin:
		if s == Queued {
			return Starting, true
		}
	case evAnswer:
		if s == Starting {
			return Running, true
		}
	case evFail:
		if s.Live() {
			return Failed, true
		}
	case evStop:
		if s.Live() {
			return Stopping, true
		}
	case evGone:
		if s == Stopping {
			return Stopped, true
		}
	}
	return s, false
}

// Live says whether the app session runs or is about to.
func (s State) Live() bool { return s == Queued || s == Starting || s == Running }

// settled says whether nothing will change by itself.
func (s State) settled() bool { return s == Running || s == Stopped || s == Failed || s == Absent }
