package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// fleetOptions are those of the fleet's scenarios.
type fleetOptions struct {
	prefix      string
	subscribers int
	moving      int
	rooms       int
	rate, most  int
	limit       time.Duration
	duration    time.Duration
	siteTime    time.Duration
	tasks       int
}

// reporters is how many connections report: some fleet adapters and a dispatcher.
const reporters = 4

// patience is how long the newest values may take to reach everybody after the last was sent.
const patience = 10 * time.Second

// ingest raises the rate of task updates until p99 from adapter to subscriber passes the limit.
func (b *bench) ingest(ctx context.Context) error {
	o := b.o.fleet
	var reports []report
	var ids []string
	for i := range o.moving {
		id := fmt.Sprintf("moving_%04d", i)
		ids = append(ids, id)
		reports = append(reports, newReport(taskRoom(id), taskText(id, i, "underway", begun)))
	}
	senders, err := b.adapters(ctx, reporters)
	if err != nil {
		return err
	}
	defer senders.leave()
	if _, err := senders.send(ctx, reports, 500, time.Duration(o.moving)*time.Second/500); err != nil {
		return err
	}
	audience, err := b.attend(ctx, o.subscribers, func(i int) []string {
		var rooms []string
		for k := range o.rooms {
			rooms = append(rooms, reports[(i*o.rooms+k)%len(reports)].room)
		}
		return rooms
	})
	if err != nil {
		return err
	}
	defer audience.leave()
	perUpdate := float64(o.subscribers*o.rooms) / float64(o.moving)
	t := b.table(fmt.Sprintf("Task updates of %s, %d subscribers in %d of %d rooms each", fmt.Sprintf("%.1f kB", float64(len(reports[0].at(begun, nil)))/1000), o.subscribers, o.rooms, o.moving),
		"updates/s", "taken/s", "delivered/s", "superseded", "p50", "p99", "CPU/update", "in the database after", "RSS")

	step := func(rate float64) (passed bool, m ingested, err error) {
		_, _ = fmt.Fprintf(b.progress, "load: ingest: %.0f updates/s\n", rate)
		if m, err = b.ingestAt(ctx, senders, audience, reports, ids, rate); err != nil {
			return false, m, err
		}
		t.row(fmt.Sprintf("%.0f", rate), fmt.Sprintf("%.0f", m.rate()), fmt.Sprintf("%.0f", float64(m.heard.n)/m.took.Seconds()), superseded(m.heard.n, float64(m.n)*perUpdate),
			ms(m.p50), ms(m.p99), b.perRequest(m.measured), ms(m.stored), b.memory(m.usage))
		return m.p99 <= o.limit, m, nil
	}
	var knee, beyond float64
	var best ingested
	for rate := float64(o.rate); beyond == 0 && rate <= float64(o.most); rate *= 1.5 {
		passed, m, err := step(rate)
		switch {
		case err != nil:
			return err
		case passed:
			knee, best = rate, m
		default:
			beyond = rate
		}
	}
	if knee == 0 {
		t.note("The first rate was too much already.")
		return nil
	}
	for range 2 {
		if beyond == 0 {
			break
		}
		rate := (knee + beyond) / 2
		passed, m, err := step(rate)
		switch {
		case err != nil:
			return err
		case passed:
			knee, best = rate, m
		default:
			beyond = rate
		}
	}
	_, half, err := step(knee / 2)
	if err != nil {
		return err
	}
	c := b.table("The knee: the highest rate whose p99 from adapter to subscriber is within "+o.limit.String(),
		"", "updates/s", "CPU/update", "p50 at half of it", "p99 at half of it")
	c.row("Lodge", fmt.Sprintf("%.0f", knee), b.perRequest(best.measured), ms(half.p50), ms(half.p99))
	c.row("the original, as published in its measurements (SQLite)", "320", "2 ms", "", "5–55 ms")
	if n := audience.dropped.Load(); n > 0 {
		c.note("%d subscribers were dropped.", n)
	}
	return nil
}

// ingested is what one rate came to.
type ingested struct {
	measured
	heard  heard
	stored time.Duration
}

func (b *bench) ingestAt(ctx context.Context, senders adapters, audience *audience, reports []report, ids []string, rate float64) (ingested, error) {
	used := b.process.watch()
	audience.counting.Store(true)
	sent, err := senders.send(ctx, reports, rate, b.o.fleet.duration)
	if err != nil {
		return ingested{}, err
	}
	stopped := time.Now()
	audience.settle(ctx, sent.newest, patience)
	audience.counting.Store(false)
	m := ingested{measured: measured{n: sent.sent, took: sent.took}, heard: audience.collect()}
	m.p50, m.p99 = m.heard.p50, m.heard.p99
	m.stored, err = b.untilStored(ctx, ids, sent.newest, stopped)
	m.usage = used()
	return m, err
}

// untilStored waits until the tasks that were reported last read as they were reported.
func (b *bench) untilStored(ctx context.Context, ids []string, newest map[string]int64, since time.Time) (time.Duration, error) {
	until := time.Now().Add(patience)
	for _, id := range ids[max(0, len(ids)-reporters):] {
		for {
			body, err := b.fetch(ctx, b.o.fleet.prefix+"/tasks/"+id+"/state")
			if err != nil {
				return 0, err
			}
			if stampOf(body) == newest[taskRoom(id)] || newest[taskRoom(id)] == 0 {
				break
			}
			if time.Now().After(until) {
				return 0, fmt.Errorf("task %s is not in the database after %v", id, patience)
			}
		}
	}
	return time.Since(since), nil
}

// superseded is how much of what was to be delivered made way for something newer.
func superseded(got int, of float64) string {
	return fmt.Sprintf("%.1f %%", max(0, 100*(1-float64(got)/of)))
}

// robots is one fleet that everybody watches, 100 robots at 10 Hz.
func (b *bench) robots(ctx context.Context) error {
	const robots = 100
	t := b.table(fmt.Sprintf("One fleet of %d robots, %d subscribers", robots, b.o.fleet.subscribers),
		"", "Hz", "updates", "delivered/s", "superseded", "p50", "p99", "MB/s", "CPU/update", "RSS")
	for _, hz := range []float64{2, 10} {
		m, err := b.watched(ctx, 1, robots, hz, b.o.fleet.duration, func() {})
		if err != nil {
			return err
		}
		t.row("Lodge", hz, m.n, fmt.Sprintf("%.0f", float64(m.heard.n)/m.took.Seconds()), superseded(m.heard.n, m.due),
			ms(m.p50), ms(m.p99), speed(m.heard.bytes, m.took), b.perRequest(m.measured), b.memory(m.usage))
	}
	t.row("the original, as published in its measurements", 2, "", "", "", "164 ms", "", "", "", "")
	t.row("the original, as published in its measurements", 10, "", "", "overloaded, loses updates", "", "", "", "", "")
	return nil
}

// site is 1,000 robots at 2 Hz, before dashboards that see them all.
func (b *bench) site(ctx context.Context) error {
	const fleets, robots, hz = 10, 100, 2
	o := b.o.fleet
	t := b.table(fmt.Sprintf("%d robots at %d Hz and %d dashboards, %v", fleets*robots, hz, o.subscribers, o.siteTime),
		"delivered/s", "superseded", "not delivered in the end", "dropped connections", "p50", "p99", "CPU cores", "RSS before", "after a fifth", "at the end", "at its highest")
	var first atomic.Int64
	m, err := b.watched(ctx, fleets, robots, hz, o.siteTime, func() { first.Store(b.process.rss()) })
	if err != nil {
		return err
	}
	t.row(fmt.Sprintf("%.0f", float64(m.heard.n)/m.took.Seconds()), superseded(m.heard.n, m.due), m.behind, m.dropped, ms(m.p50), ms(m.p99),
		fmt.Sprintf("%.2f", m.usage.cpu.Seconds()/m.took.Seconds()), mib(m.usage.rssAtStart), mib(first.Load()), mib(m.usage.rss), mib(m.usage.peak))
	return nil
}

// watchedBy is what fleets came to that all subscribers watch.
type watchedBy struct {
	measured
	heard heard
	// due is how much there was to be delivered.
	due             float64
	behind, dropped int
}

// watched reports fleets to subscribers who are in the rooms of all of them. A fifth of the time on, early is called.
func (b *bench) watched(ctx context.Context, fleets, robots int, hz float64, lasting time.Duration, early func()) (watchedBy, error) {
	var m watchedBy
	var reports []report
	var rooms []string
	for i := range fleets {
		name := fmt.Sprintf("load_%d", i)
		rooms = append(rooms, fleetRoom(name))
		reports = append(reports, newReport(fleetRoom(name), fleetText(name, robots, begun)))
	}
	senders, err := b.adapters(ctx, min(fleets, 5))
	if err != nil {
		return m, err
	}
	defer senders.leave()
	used := b.process.watch()
	audience, err := b.attend(ctx, b.o.fleet.subscribers, func(int) []string { return rooms })
	if err != nil {
		return m, err
	}
	defer audience.leave()
	timer := time.AfterFunc(lasting/5, early)
	defer timer.Stop()
	cpu := b.process.cpu()
	audience.counting.Store(true)
	sent, err := senders.send(ctx, reports, hz*float64(fleets), lasting)
	if err != nil {
		return m, err
	}
	m.behind = audience.settle(ctx, sent.newest, patience)
	m.heard = audience.collect()
	m.measured = measured{n: sent.sent, took: sent.took, p50: m.heard.p50, p99: m.heard.p99, usage: used()}
	m.usage.cpu = b.process.cpu() - cpu
	m.due = float64(sent.sent * b.o.fleet.subscribers)
	m.dropped = int(audience.dropped.Load())
	return m, nil
}

// tasks reads from many tasks, as dashboards do.
func (b *bench) tasks(ctx context.Context) error {
	const connections = 8
	o := b.o.fleet
	senders, err := b.adapters(ctx, reporters)
	if err != nil {
		return err
	}
	defer senders.leave()
	_, _ = fmt.Fprintf(b.progress, "load: tasks: %d of them\n", o.tasks)
	start := time.Now()
	err = senders.fill(ctx, o.tasks, func(i int) []byte {
		return []byte(taskText(fmt.Sprintf("patrol_%06d", i), i, statuses[i/50%len(statuses)], start))
	})
	if err != nil {
		return err
	}
	for i := range reporters { // each connection keeps the order
		if err := b.untilThere(ctx, fmt.Sprintf("patrol_%06d", o.tasks-1-i)); err != nil {
			return err
		}
	}
	filled := time.Since(start)
	t := b.table(fmt.Sprintf("GET /tasks over %d tasks, %d at once", o.tasks, connections), "tasks", "order", "page", "requests/s", "p50", "p99", "CPU/request")
	for _, q := range taskQueries(o.tasks) {
		path := o.prefix + "/tasks?" + q.query
		m, err := b.drive(ctx, connections, b.o.count, o.duration/2, 0, func(ctx context.Context, buffer []byte) error {
			return b.skim(ctx, path, buffer)
		})
		if err != nil {
			return err
		}
		t.row(q.which, q.order, q.page, fmt.Sprintf("%.0f", m.rate()), ms(m.p50), ms(m.p99), b.perRequest(m))
	}
	t.row("the original, as published in its measurements", "", "", "", "2 to 24 s", "", "")
	t.note("Storing the tasks took %.0f s, %.0f each second.", filled.Seconds(), float64(o.tasks)/filled.Seconds())
	return nil
}

type taskQueryRow struct{ which, order, query, page string }

// taskQueries are the ways in which dashboards ask for tasks.
func taskQueries(tasks int) []taskQueryRow {
	from, to := firstStart+20_000_000, firstStart+60_000_000
	var all []taskQueryRow
	for _, which := range [][2]string{
		{"all", ""},
		{"by status", "status=underway,queued"},
		{"by start time", fmt.Sprintf("start_time_between=%d,%d", from, to)},
		{"by label", "label=" + url.QueryEscape("destination=place7")},
	} {
		for _, order := range [][2]string{
			{"none asked for", ""}, {"newest first", "order_by=-unix_millis_start_time"}, {"oldest first", "order_by=unix_millis_start_time"},
		} {
			all = append(all, taskQueryRow{which[0], order[0], strings.Trim(which[1]+"&"+order[1], "&"), "100"})
		}
	}
	for _, order := range []string{"status", "-status", "category", "-unix_millis_finish_time", "unix_millis_finish_time", "label=destination", "-label=destination"} {
		all = append(all, taskQueryRow{"all", "`" + order + "`", "order_by=" + url.QueryEscape(order), "100"})
	}
	return append(all, taskQueryRow{"all", "newest first", "order_by=-unix_millis_start_time&limit=10", "10"},
		taskQueryRow{"all", "newest first, after 90 %", fmt.Sprintf("order_by=-unix_millis_start_time&limit=10&offset=%d", tasks*9/10), "10"})
}

// cheap is the cheapest call that asks who calls. Its client does as little as it can, as it shares
// the machine with the server.
func (b *bench) cheap(ctx context.Context) error {
	t := b.table("GET /user, the cheapest call that needs a login", "", "connections", "requests", "requests/s", "p50", "p99", "CPU/request")
	for _, n := range []int{8, 64} {
		lines, err := b.lines(ctx, n, b.o.fleet.prefix+"/user")
		if err != nil {
			return err
		}
		m, err := b.drive(ctx, n, 1_000_000, b.o.fleet.duration, 0, func(context.Context, []byte) error {
			line := <-lines
			defer func() { lines <- line }()
			return line.ask()
		})
		for range n {
			_ = (<-lines).conn.Close()
		}
		if err != nil {
			return err
		}
		t.row("Lodge", n, m.n, fmt.Sprintf("%.0f", m.rate()), ms(m.p50), ms(m.p99), b.perRequest(m))
	}
	t.row("the original, as published in its measurements", "", "", "420–470", "", "", "")
	return nil
}

// line is a connection on which the same request is made again and again.
type line struct {
	conn    net.Conn
	from    *bufio.Reader
	request []byte
}

func (b *bench) lines(ctx context.Context, n int, path string) (chan *line, error) {
	at, err := url.Parse(b.o.server)
	if err != nil {
		return nil, err
	}
	all := make(chan *line, n)
	for range n {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", at.Host)
		if err != nil {
			return nil, err
		}
		request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", path, at.Host, b.o.token)
		all <- &line{conn, bufio.NewReader(conn), []byte(request)}
	}
	return all, nil
}

// ask makes the request and reads the answer, whose length must be given.
func (l *line) ask() error {
	if _, err := l.conn.Write(l.request); err != nil {
		return err
	}
	length := -1
	for first := true; ; first = false {
		head, err := l.from.ReadSlice('\n')
		if err != nil {
			return err
		}
		switch {
		case first && string(head[9:12]) != "200":
			return fmt.Errorf("the answer is %s", head)
		case len(head) <= 2 && length < 0:
			return errors.New("the answer has no length")
		case len(head) <= 2:
			_, err := l.from.Discard(length)
			return err
		case strings.HasPrefix(string(head), "Content-Length: "):
			if length, err = strconv.Atoi(strings.TrimSpace(string(head[16:]))); err != nil {
				return err
			}
		}
	}
}

// untilThere waits for a task to be readable.
func (b *bench) untilThere(ctx context.Context, id string) error {
	for until := time.Now().Add(time.Minute); ; {
		_, err := b.fetch(ctx, b.o.fleet.prefix+"/tasks/"+id+"/state")
		if err == nil || time.Now().After(until) || ctx.Err() != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// fetch reads a document.
func (b *bench) fetch(ctx context.Context, path string) ([]byte, error) {
	resp, err := b.request(ctx, path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	return io.ReadAll(resp.Body)
}

// skim reads a list of documents and throws it away; an empty one is a mistake in the query.
func (b *bench) skim(ctx context.Context, path string, buffer []byte) error {
	resp, err := b.request(ctx, path)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{resp.Body}, buffer)
	if err == nil && n < 100 {
		err = fmt.Errorf("%s finds nothing", path)
	}
	return err
}

func (b *bench) request(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.o.server+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+b.o.token)
	resp, err := b.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
		_ = resp.Body.Close()
		return nil, fmt.Errorf("%s answers %s: %s", path, resp.Status, said)
	}
	return resp, nil
}
