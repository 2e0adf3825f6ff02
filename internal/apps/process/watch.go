package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lodge/internal/apps"
)

// watchChild waits for a process that this one has started.
func (d *Driver) watchChild(r record, cmd *exec.Cmd) {
	p := d.keep(r)
	go func() {
		_ = cmd.Wait() // how it ended stands in its state
		exit := &apps.Exit{}
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok {
			switch {
			case status.Signaled():
				exit.Signal = unix.SignalName(status.Signal())
			case status.Exited():
				exit.Code = new(status.ExitStatus())
			}
		}
		d.ended(r, exit, p)
	}()
}

// adopt waits for a process that another one has started. How it ended nobody will know.
func (d *Driver) adopt(r record) {
	if r.Exit != nil {
		return
	}
	d.mu.Lock()
	if p := d.known[r.ID]; p != nil && p.pid == r.PID {
		d.mu.Unlock()
		return
	}
	p := &process{pid: r.PID, done: make(chan struct{})}
	d.known[r.ID] = p
	d.mu.Unlock()
	go func() {
		waitFor(r.PID, func() bool { return d.lives(r) })
		d.ended(r, &apps.Exit{}, p)
	}()
}

// waitFor returns once the process is gone.
func waitFor(pid int, lives func() bool) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err == nil {
		defer func() { _ = unix.Close(fd) }()
	}
	for lives() {
		if err != nil { // an old kernel
			time.Sleep(200 * time.Millisecond) //nolint:forbidigo // there is nothing to wait for but time
			continue
		}
		// Poll again now and then, in case the number had been given to another before it was opened.
		if _, polled := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 5000); polled != nil && !errors.Is(polled, unix.EINTR) {
			err = polled
		}
	}
}

func (d *Driver) keep(r record) *process {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := &process{pid: r.PID, done: make(chan struct{})}
	d.known[r.ID] = p
	return p
}

// waiting is that very process if somebody in this one waits for it.
func (d *Driver) waiting(id string, pid int) *process {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.known[id]; p != nil && p.pid == pid {
		return p
	}
	return nil
}

// ended writes down how an instance ended, and tells those who watch.
func (d *Driver) ended(r record, exit *apps.Exit, p *process) {
	r.Exit = exit
	if err := d.rewrite(r); err != nil {
		d.log.Warn("the end of a process could not be written down", "session", r.ID, "error", err)
	}
	d.mu.Lock()
	if d.known[r.ID] == p {
		delete(d.known, r.ID)
	}
	watchers := make([]func(string), 0, len(d.watchers))
	for _, w := range d.watchers {
		watchers = append(watchers, w)
	}
	d.mu.Unlock()
	close(p.done)
	for _, died := range watchers {
		died(r.ID)
	}
}

// Watch implements apps.Driver.
func (d *Driver) Watch(ctx context.Context, died func(id string)) error {
	d.mu.Lock()
	key := d.next
	d.next++
	d.watchers[key] = died
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.watchers, key)
	}()
	if _, err := d.List(ctx); err != nil && ctx.Err() == nil { // adopts what runs already
		return err
	}
	trim := time.NewTicker(10 * time.Second)
	defer trim.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-trim.C:
			d.trimLogs()
		}
	}
}

// kill ends every process of an instance: asked first, then made to.
func (d *Driver) kill(ctx context.Context, r record, grace time.Duration) error {
	members := d.members(r)
	if len(members) == 0 {
		return nil
	}
	signal := func(sig syscall.Signal) {
		for _, pid := range d.members(r) {
			_ = syscall.Kill(pid, sig) // it may have ended just now
		}
	}
	if grace > 0 {
		signal(syscall.SIGTERM)
		if d.gone(ctx, r, grace) {
			return nil
		}
	}
	for range 50 {
		if err := ctx.Err(); err != nil {
			return err
		}
		signal(syscall.SIGKILL)
		if d.gone(ctx, r, 100*time.Millisecond) {
			return nil
		}
	}
	return fmt.Errorf("the processes of %s do not end: %v", r.ID, d.members(r))
}

// gone waits until no process of an instance is left.
func (d *Driver) gone(ctx context.Context, r record, within time.Duration) bool {
	over := time.NewTimer(within)
	defer over.Stop()
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if len(d.members(r)) == 0 {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-over.C:
			return len(d.members(r)) == 0
		case <-time.After(pause):
		}
	}
}

// members are the processes of an instance: those with its mark, and those of its session as long
// as that is certainly its own.
func (d *Driver) members(r record) []int {
	leader := d.lives(r)
	var list []int
	for _, pid := range pids() {
		s, err := readStat(pid)
		if err != nil || s.zombie {
			continue
		}
		if leader && (s.session == r.PID || s.group == r.PID) {
			list = append(list, pid)
			continue
		}
		if env := environ(pid); env[markSession] == r.ID && env[markInstallation] == d.cfg.Installation && env[markRun] == fmt.Sprint(r.Run) {
			list = append(list, pid)
		}
	}
	return list
}

// clockTick is how many ticks the kernel counts in a second; it is the same on every Linux.
const clockTick = 100

// Stats implements apps.Driver.
func (d *Driver) Stats(_ context.Context, id string) (apps.Stats, error) {
	r, err := d.find(id)
	if err != nil {
		return apps.Stats{}, err
	}
	var out apps.Stats
	for _, pid := range d.members(r) {
		s, err := readStat(pid)
		if err != nil {
			continue
		}
		out.CPU += time.Duration(s.ticks) * time.Second / clockTick
		out.Memory += s.pages * int64(os.Getpagesize())
		out.PIDs++
	}
	return out, nil
}
