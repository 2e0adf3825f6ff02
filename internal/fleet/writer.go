package fleet

import (
	"context"
	"encoding/json"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"

	"lodge/internal/database"
	"lodge/internal/fault"
)

// writer brings what came in into the database, in batches: while one is written, the next one
// gathers. Of the states of one thing the newest is written; log entries all are. Messages about the
// same thing stay in order, as there is one batch after the other.
type writer struct {
	store  *store
	groups *groups
	now    func() time.Time
	log    *slog.Logger
	// announce hears of every alert that a batch has raised, once it is durable.
	announce func(AlertRequest)

	mu sync.Mutex
	// gathering is not written yet; it is closed by being replaced.
	gathering *batch
	// writing is on its way, or nil.
	writing *batch
	// wake has a value when something was gathered, hurry when somebody waits for it; room is signalled
	// when a batch was taken.
	wake  chan struct{}
	hurry chan struct{}
	room  chan struct{}
	// fleets knows what is stored of tasks seen lately, so that most batches need not look them up.
	fleets map[string]taskPlace
	seed   maphash.Seed
}

// taskPlace is what a task's row has that its newest message may not say.
type taskPlace struct {
	fleet  string
	labels string
	start  int64
	// indexed is a hash of the row's columns by which tasks are found; updated is its time.
	indexed uint64
	updated int64
}

// batch is what is written in one transaction.
type batch struct {
	tasks    map[string]taskRow
	states   map[thing]stateRow
	places   map[logPlace]struct{}
	taskLog  []taskLogRow
	robots   map[[2]string]struct{}
	fleetLog []fleetLogRow
	alerts   map[string]AlertRequest
	done     chan struct{}
	logs     int
	nonEmpty bool
	// err is why the batch, or a part of it, was not written; to be read once done is closed.
	err error
}

// taskRow is a task with those fields by which it is found.
type taskRow struct {
	state *TaskState
	data  []byte
}

type stateRow struct {
	data []byte
	at   time.Time
}

type logPlace struct {
	task string
	place
}

type taskLogRow struct {
	logPlace
	LogEntry
}

type fleetLogRow struct {
	fleet, robot string
	LogEntry
}

const (
	// maxWaitingLogs is how many log entries may wait to be written. Beyond that their senders wait:
	// unlike a state, an entry is not replaced by the next one.
	maxWaitingLogs = 50_000
	// maxWaitingTasks is how many tasks may wait; what is new of one that waits already never does.
	maxWaitingTasks = 5_000
	// maxPiece is how many tasks or log entries are written in one transaction: what SQLite keeps to undo
	// a statement is gone through for each, so that large transactions cost it the square.
	maxPiece = 500
	// maxKnownTasks bounds what is remembered of tasks.
	maxKnownTasks = 50_000
	// rest is how long the next batch gathers when nobody waits for it: a commit costs about the same
	// for one state as for a hundred, and of a task's states within it one is written.
	rest = 50 * time.Millisecond
)

func newWriter(st *store, g *groups, now func() time.Time, log *slog.Logger, announce func(AlertRequest)) *writer {
	return &writer{
		store: st, groups: g, now: now, log: log, announce: announce,
		gathering: newBatch(), wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), room: make(chan struct{}),
		fleets: map[string]taskPlace{}, seed: maphash.MakeSeed(),
	}
}

func newBatch() *batch {
	return &batch{
		tasks: map[string]taskRow{}, states: map[thing]stateRow{}, places: map[logPlace]struct{}{},
		robots: map[[2]string]struct{}{}, alerts: map[string]AlertRequest{}, done: make(chan struct{}),
	}
}

// add gathers something. It does not wait for the database unless the batch is full.
func (w *writer) add(ctx context.Context, full func(*batch) bool, gather func(*batch)) error {
	w.mu.Lock()
	for full(w.gathering) {
		room := w.room
		w.mu.Unlock()
		signal(w.hurry)
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
		w.mu.Lock()
	}
	gather(w.gathering)
	w.gathering.nonEmpty = true
	w.mu.Unlock()
	signal(w.wake)
	return nil
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// neverFull is for what there cannot be many of, such as things.
func neverFull(*batch) bool { return false }

func fullOfLogs(b *batch) bool { return b.logs >= maxWaitingLogs }

func (w *writer) addState(ctx context.Context, t thing, data []byte) error {
	now := w.now()
	return w.add(ctx, neverFull, func(b *batch) { b.states[t] = stateRow{data, now} })
}

func (w *writer) addTask(ctx context.Context, task *TaskState, data []byte, alert *AlertRequest) error {
	// The rest is in data; what waits should not take three times the room.
	row := TaskState{
		Booking: task.Booking, Category: task.Category, Status: task.Status, AssignedTo: task.AssignedTo, Dispatch: task.Dispatch,
		UnixMillisStartTime: task.UnixMillisStartTime, UnixMillisFinishTime: task.UnixMillisFinishTime,
	}
	full := func(b *batch) bool {
		_, waits := b.tasks[task.Booking.ID]
		return !waits && len(b.tasks) >= maxWaitingTasks
	}
	return w.add(ctx, full, func(b *batch) {
		b.tasks[task.Booking.ID] = taskRow{&row, data}
		if alert != nil {
			b.alerts[alert.ID] = *alert
		}
	})
}

func (w *writer) addTaskLog(ctx context.Context, l *TaskEventLog) error {
	return w.add(ctx, fullOfLogs, func(b *batch) {
		b.places[logPlace{task: l.TaskID}] = struct{}{}
		for _, p := range l.places() {
			at := logPlace{l.TaskID, p.place}
			b.places[at] = struct{}{}
			for _, e := range p.entries {
				b.taskLog = append(b.taskLog, taskLogRow{at, e})
			}
			b.logs += len(p.entries)
		}
	})
}

func (w *writer) addFleetLog(ctx context.Context, l *FleetLog) error {
	return w.add(ctx, fullOfLogs, func(b *batch) {
		name := deref(l.Name)
		b.robots[[2]string{name, ""}] = struct{}{}
		for _, e := range l.Log {
			b.fleetLog = append(b.fleetLog, fleetLogRow{name, "", e})
		}
		b.logs += len(l.Log)
		for robot, entries := range l.Robots {
			if !keyable(robot) {
				continue
			}
			b.robots[[2]string{name, robot}] = struct{}{}
			for _, e := range entries {
				b.fleetLog = append(b.fleetLog, fleetLogRow{name, robot, e})
			}
			b.logs += len(entries)
		}
	})
}

// settled bounds how long a reader waits for what was passed on before it came.
const settled = 2 * time.Second

// settle waits until what was gathered before is in the database. A database that does not keep up
// is no reason not to answer: then the answer is a little old.
func (w *writer) settle(ctx context.Context) error {
	w.mu.Lock()
	waitFor := w.writing
	if w.gathering.nonEmpty {
		waitFor = w.gathering // it is written after the other
	}
	w.mu.Unlock()
	if waitFor == nil {
		return nil
	}
	signal(w.hurry)
	patience := time.NewTimer(settled)
	defer patience.Stop()
	select {
	case <-waitFor.done:
		return nil
	case <-patience.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lastWrites is how long what is left may take to be written when the process stops.
const lastWrites = 10 * time.Second

// run writes until ctx ends, and then what is left.
func (w *writer) run(ctx context.Context) error {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(lastWrites, cancel) })()
	for {
		select {
		case <-w.wake:
			w.flush(longer)
			w.rest(ctx)
		case <-ctx.Done():
			w.flush(longer)
			return nil
		}
	}
}

// rest lets the next batch gather until somebody waits for it.
func (w *writer) rest(ctx context.Context) {
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.hurry:
	case <-ctx.Done():
	}
}

// take begins the next batch and gives the one that was gathered.
func (w *writer) take() *batch {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.gathering
	w.gathering, w.writing = newBatch(), b
	close(w.room)
	w.room = make(chan struct{})
	return b
}

// flush writes what was gathered.
func (w *writer) flush(ctx context.Context) {
	b := w.take()
	defer func() {
		w.mu.Lock()
		w.writing = nil
		w.mu.Unlock()
		close(b.done)
	}()
	if !b.nonEmpty {
		return
	}
	for _, piece := range b.pieces(maxPiece) {
		if err := w.bring(ctx, piece); err != nil {
			b.err = err
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// bring writes a batch, as often as it takes while the database is away. What a database refuses for
// its own sake is tried one by one, so that only that is lost.
func (w *writer) bring(ctx context.Context, b *batch) (failed error) {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := w.write(ctx, b)
		if err == nil {
			return nil
		}
		if !fault.Is(err, fault.Unavailable) && ctx.Err() == nil {
			w.log.ErrorContext(ctx, "a batch was refused; its parts are written one by one", "error", err)
			for _, part := range b.parts() {
				if err := w.write(ctx, part); err != nil {
					failed = err
					w.log.ErrorContext(ctx, "a message could not be stored", "what", part.String(), "error", err)
				}
			}
			return failed
		}
		w.log.WarnContext(ctx, "what came in waits for the database", "error", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// durable waits until what was gathered before is written, however long that takes.
func (w *writer) durable(ctx context.Context) error {
	w.mu.Lock()
	b := w.gathering
	if !b.nonEmpty {
		b = w.writing
	}
	w.mu.Unlock()
	if b == nil {
		return nil
	}
	signal(w.hurry)
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pieces are batches with no more than so many of everything but things; the batch itself when it has
// no more.
func (b *batch) pieces(most int) []*batch {
	if max(len(b.tasks), len(b.places), len(b.taskLog), len(b.fleetLog), len(b.alerts)) <= most {
		return []*batch{b}
	}
	piece := newBatch()
	piece.states, piece.robots = b.states, b.robots
	all := []*batch{piece}
	// with makes room for another one of which the piece has so many.
	with := func(had int) *batch {
		if had == most {
			piece = newBatch()
			all = append(all, piece)
		}
		return piece
	}
	for p := range b.places {
		with(len(piece.places)).places[p] = struct{}{}
	}
	for id, t := range b.tasks {
		with(len(piece.tasks)).tasks[id] = t
	}
	for _, row := range b.taskLog {
		p := with(len(piece.taskLog))
		p.taskLog = append(p.taskLog, row)
	}
	for _, row := range b.fleetLog {
		p := with(len(piece.fleetLog))
		p.fleetLog = append(p.fleetLog, row)
	}
	for id, a := range b.alerts { // after the tasks that they are about
		with(len(piece.alerts)).alerts[id] = a
	}
	return all
}

// parts are batches of one thing each.
func (b *batch) parts() []*batch {
	var all []*batch
	part := func() *batch {
		p := newBatch()
		all = append(all, p)
		return p
	}
	for id, t := range b.tasks {
		part().tasks[id] = t
	}
	for t, row := range b.states {
		part().states[t] = row
	}
	logs := map[string]*batch{}
	logOf := func(task string) *batch {
		if logs[task] == nil {
			logs[task] = part()
		}
		return logs[task]
	}
	for p := range b.places {
		logOf(p.task).places[p] = struct{}{}
	}
	for _, row := range b.taskLog {
		p := logOf(row.task)
		p.taskLog = append(p.taskLog, row)
	}
	fleetLog := part()
	fleetLog.fleetLog, fleetLog.robots = b.fleetLog, b.robots
	for id, a := range b.alerts {
		part().alerts[id] = a
	}
	return all
}

// String names what is in a small batch, for the log.
func (b *batch) String() string {
	for id := range b.tasks {
		return "task " + id
	}
	for t := range b.states {
		return t.kind + " " + t.id
	}
	for p := range b.places {
		return "log of task " + p.task
	}
	for id := range b.alerts {
		return "alert " + id
	}
	return "log of a fleet"
}

// write writes a batch in one transaction.
func (w *writer) write(ctx context.Context, b *batch) error {
	var raised []AlertRequest
	var placed map[string]taskPlace
	err := w.store.db.Tx(ctx, func(tx *database.Tx) error {
		var err error
		if placed, err = w.writeTasks(ctx, tx, b.tasks); err != nil {
			return err
		}
		if err := w.store.putStates(ctx, tx, b.states); err != nil {
			return err
		}
		if err := w.store.putTaskLogs(ctx, tx, b.places, b.taskLog); err != nil {
			return err
		}
		if err := w.store.putFleetLogs(ctx, tx, b.robots, b.fleetLog); err != nil {
			return err
		}
		raised, err = w.store.raiseAlerts(ctx, tx, b.alerts, w.now())
		return err
	})
	if err != nil {
		return err
	}
	w.remember(placed)
	for _, a := range raised {
		w.announce(a)
	}
	return nil
}

func (w *writer) remember(placed map[string]taskPlace) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.fleets)+len(placed) > maxKnownTasks {
		clear(w.fleets)
	}
	for id, p := range placed {
		w.fleets[id] = p
	}
}

// fleetOf tells which fleet a task belongs to, if it was seen lately.
func (w *writer) fleetOf(task string) (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, known := w.fleets[task]
	return p.fleet, known
}

// learn remembers the fleet of a task that was read, unless a batch knows better.
func (w *writer) learn(id, fleet string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.fleets[id]; !known && len(w.fleets) < maxKnownTasks {
		w.fleets[id] = taskPlace{fleet: fleet, labels: unknownLabels, start: -1}
	}
}

// document encodes what is stored and sent, once for all of them.
func document(v any) json.RawMessage { return mustJSON(v) }
