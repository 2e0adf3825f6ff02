package live

// outbox holds what one listener has not been sent yet, in order. A newer value of a State takes the
// place of the one that waits. It is not safe for concurrent use.
type outbox struct {
	queue []entry
	// states leads to the waiting value of a slot: its number among all entries there ever were.
	states map[slot]int
	// first is the number of queue[0].
	first int
	bytes int
	logs  int
}

type entry struct {
	*message
	log bool
}

// limits bound an outbox. A listener that exceeds one is dropped, never served a part.
type limits struct {
	// entries counts everything, logs the events of Log rooms alone.
	entries, logs int
	bytes         int
}

func (o *outbox) empty() bool { return len(o.queue) == 0 }

// push adds a message that cannot be superseded. It reports whether the outbox is within its limits.
func (o *outbox) push(m *message, log bool, max limits) bool {
	o.queue = append(o.queue, entry{m, log})
	o.bytes += len(m.frame)
	if log {
		o.logs++
	}
	return o.within(max)
}

// put adds the newest value of a State.
func (o *outbox) put(m *message, max limits) (superseded, ok bool) {
	if at, waits := o.states[m.slot]; waits {
		old := &o.queue[at-o.first]
		o.bytes += len(m.frame) - len(old.frame)
		old.message = m
		return true, o.within(max)
	}
	if o.states == nil {
		o.states = make(map[slot]int)
	}
	o.states[m.slot] = o.first + len(o.queue)
	return false, o.push(m, false, max)
}

// settle makes sure that later values of a room come after all that waits now.
func (o *outbox) settle(room string) {
	for s := range o.states {
		if s.room == room {
			delete(o.states, s)
		}
	}
}

// A single message may be larger than the limit of bytes: nothing is gained by never sending it.
func (o *outbox) within(max limits) bool {
	return len(o.queue) <= max.entries && o.logs <= max.logs && (o.bytes <= max.bytes || len(o.queue) == 1)
}

// take removes messages from the front, up to so many bytes but at least one.
func (o *outbox) take(bytes int) []entry {
	n, size := 0, 0
	for n < len(o.queue) && (n == 0 || size+len(o.queue[n].frame) <= bytes) {
		e := o.queue[n]
		size += len(e.frame)
		if e.log {
			o.logs--
		}
		if at, waits := o.states[e.slot]; waits && at == o.first+n {
			delete(o.states, e.slot)
		}
		n++
	}
	taken := o.queue[:n:n]
	o.queue = o.queue[n:]
	o.first += n
	o.bytes -= size
	if len(o.queue) == 0 {
		o.queue, o.first = nil, 0 // an idle listener keeps nothing
		if n > 64 {
			o.states = nil // maps never shrink
		}
	}
	return taken
}

func (o *outbox) clear() { *o = outbox{} }
