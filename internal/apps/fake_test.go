package apps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lodge/internal/fault"
)

// fakeDriver runs apps as servers of this process, and fails as it is told.
type fakeDriver struct {
	mu        sync.Mutex
	instances map[string]*fakeInstance
	logs      map[string]string
	watchers  []func(string)
	handler   http.Handler
	// down is a daemon that is away; prepare and start fail with the errors.
	down           bool
	prepare, start error
	// exits ends an instance as soon as it starts; deaf lets it listen to nothing; slow waits for it.
	exits *Exit
	deaf  bool
	slow  chan struct{}

	starts, most, now atomic.Int64
}

type fakeInstance struct {
	Instance
	server *httptest.Server
}

func newFakeDriver() *fakeDriver {
	return &fakeDriver{instances: map[string]*fakeInstance{}, logs: map[string]string{}, handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello")
	})}
}

var errDown = fault.New(fault.Unavailable, "the daemon is away")

func (d *fakeDriver) with(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

func (d *fakeDriver) Name() string { return "fake" }

func (d *fakeDriver) Prepare(ctx context.Context, _ Spec, report func(Step)) error {
	n := d.now.Add(1)
	defer d.now.Add(-1)
	d.most.Store(max(d.most.Load(), n))
	d.mu.Lock()
	slow, err := d.slow, d.prepare
	if d.down {
		err = errDown
	}
	d.mu.Unlock()
	report(Step{Name: "image", Message: "Fetching", Done: 1, Total: 2})
	if slow != nil {
		select {
		case <-slow:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

func (d *fakeDriver) Start(_ context.Context, s Spec, _ func(Step)) (Instance, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down {
		return Instance{}, errDown
	}
	if d.start != nil {
		return Instance{}, d.start
	}
	if was := d.instances[s.ID]; was != nil {
		if was.Run == s.Run {
			return was.Instance, nil
		}
		was.server.Close()
	}
	d.starts.Add(1)
	i := &fakeInstance{Instance: Instance{ID: s.ID, Run: s.Run, App: s.App, OwnerID: s.OwnerID, Hash: s.Hash, Created: time.Now(), Exit: d.exits}}
	i.server = httptest.NewServer(d.handler)
	i.Address = strings.TrimPrefix(i.server.URL, "http://")
	if d.deaf || d.exits != nil {
		i.server.Close()
	}
	d.instances[s.ID] = i
	d.logs[s.ID] = fmt.Sprintf("started %s run %d\nkey=%s\n", s.App, s.Run, s.Secrets["KEY"])
	return i.Instance, nil
}

func (d *fakeDriver) Look(_ context.Context, id string) (Instance, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down {
		return Instance{}, errDown
	}
	if i := d.instances[id]; i != nil {
		return i.Instance, nil
	}
	return Instance{}, fault.New(fault.Missing, "none")
}

func (d *fakeDriver) Stop(_ context.Context, id string, run int64, _ time.Duration) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down {
		return errDown
	}
	if i := d.instances[id]; i != nil && i.Run <= run {
		delete(d.instances, id)
		go i.server.Close() // waits for requests that may wait for us
	}
	return nil
}

func (d *fakeDriver) List(context.Context) ([]Instance, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down {
		return nil, errDown
	}
	var list []Instance
	for _, i := range d.instances {
		list = append(list, i.Instance)
	}
	return list, nil
}

func (d *fakeDriver) Watch(ctx context.Context, died func(string)) error {
	d.with(func() { d.watchers = append(d.watchers, died) })
	<-ctx.Done()
	return nil
}

func (d *fakeDriver) Logs(_ context.Context, id string, _ int, _ bool) (io.ReadCloser, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	text, ok := d.logs[id]
	if !ok {
		return nil, fault.New(fault.Missing, "none")
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

func (d *fakeDriver) Stats(context.Context, string) (Stats, error) {
	return Stats{}, errors.New("not measured")
}
func (d *fakeDriver) Forget(context.Context, string) error { return nil }

func (d *fakeDriver) Health(context.Context) (Health, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down {
		return Health{}, errDown
	}
	return Health{Version: "1", Enforced: map[string]string{}}, nil
}

// die ends an instance as if it had crashed.
func (d *fakeDriver) die(t testing.TB, id string) {
	t.Helper()
	code := 9
	d.mu.Lock()
	i := d.instances[id]
	if i == nil {
		d.mu.Unlock()
		t.Fatalf("there is no instance %s", id)
	}
	i.Exit = &Exit{Code: &code}
	watchers := d.watchers
	d.mu.Unlock()
	go i.server.Close()
	for _, died := range watchers {
		died(id)
	}
}

func (d *fakeDriver) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.instances)
}
