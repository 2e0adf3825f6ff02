// Package process runs apps as plain processes on this machine, for development and for sites whose
// people trust one another: there is no isolation between them.
//
// Each instance is a session of its own (setsid), with its own folder, a cleaned environment, limits
// of the kernel and no way to new privileges. It outlives Lodge. Its mark stands in its environment,
// where it cannot be lost: who comes back finds it by a look through /proc, and a process that
// merely has its old number is told from it by the mark and by when it was started.
package process

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"lodge/internal/apps"
	"lodge/internal/fault"
)

// Config says where and as whom processes run.
type Config struct {
	// Dir holds a folder for every instance, and the volumes.
	Dir string
	// Installation marks what is ours.
	Installation string
	// Shim is the command that becomes an app: this program, with the word that calls Shim.
	Shim []string
	// User is whom apps run as when Lodge runs as root. AllowRoot lets them run as root.
	User      string
	AllowRoot bool
	// Only says why nothing may run but commands that begin with Samples, Lodge's own; "" is no such rule.
	Only    string
	Samples []string
	// Path is the PATH that apps see; "" is the usual one.
	Path string
}

// Driver implements apps.Driver.
type Driver struct {
	cfg        Config
	credential *syscall.Credential
	now        func() time.Time
	log        *slog.Logger

	mu       sync.Mutex
	busy     map[string]*sync.Mutex // one change of an instance at a time
	known    map[string]*process    // that this process watches
	reserved map[int]time.Time      // ports given away lately
	watchers map[int]func(id string)
	next     int
}

// process is an instance that somebody in this process waits for.
type process struct {
	pid  int
	done chan struct{}
}

// New makes the driver.
func New(cfg Config, now func() time.Time, log *slog.Logger) (*Driver, error) {
	d := &Driver{
		cfg: cfg, now: now, log: log,
		busy: map[string]*sync.Mutex{}, known: map[string]*process{}, reserved: map[int]time.Time{}, watchers: map[int]func(string){},
	}
	if len(cfg.Shim) == 0 || cfg.Installation == "" {
		return nil, errors.New("process driver: neither shim nor installation may be missing")
	}
	if err := d.become(); err != nil {
		return nil, fmt.Errorf("process driver: %w", err)
	}
	if d.cfg.Path == "" {
		d.cfg.Path = "/usr/local/bin:/usr/bin:/bin"
	}
	var err error
	if d.cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, fmt.Errorf("process driver: %w", err)
	}
	mode := os.FileMode(0o700)
	if d.credential != nil {
		mode = 0o711 // another user's process must get to its own folder, and not see others
	}
	return d, os.MkdirAll(d.cfg.Dir, mode)
}

// become finds out as whom apps run.
func (d *Driver) become() error {
	root := os.Geteuid() == 0
	switch {
	case d.cfg.User != "" && !root:
		return errors.New("only root can run apps as somebody else")
	case d.cfg.User != "":
		u, err := user.Lookup(d.cfg.User)
		if err != nil {
			return err
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		d.credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	case root && !d.cfg.AllowRoot:
		return errors.New("apps would run as root; name another user, or start Lodge as one")
	}
	return nil
}

// Name implements apps.Driver.
func (d *Driver) Name() string { return "process" }

// hold keeps others from changing an instance.
func (d *Driver) hold(id string) (release func()) {
	d.mu.Lock()
	m := d.busy[id]
	if m == nil {
		m = &sync.Mutex{}
		d.busy[id] = m
	}
	d.mu.Unlock()
	m.Lock()
	return m.Unlock
}

// Prepare implements apps.Driver: it looks whether there is such a program.
func (d *Driver) Prepare(_ context.Context, s apps.Spec, _ func(apps.Step)) error {
	_, err := d.program(s)
	return err
}

// program finds what to run.
func (d *Driver) program(s apps.Spec) (string, error) {
	if len(s.Command) == 0 {
		return "", fault.New(fault.Invalid, "the process driver needs a command; this app has only an image")
	}
	if d.cfg.Only != "" && !d.sample(s.Command) {
		return "", fault.New(fault.Invalid, "%s", d.cfg.Only)
	}
	name := string(s.Command[0])
	if filepath.IsAbs(name) {
		if info, err := os.Stat(name); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			return "", fault.New(fault.Missing, "there is no program %s on this machine", name)
		}
		return name, nil
	}
	if filepath.Base(name) == name {
		for _, dir := range filepath.SplitList(d.cfg.Path) {
			if info, err := os.Stat(filepath.Join(dir, name)); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
				return filepath.Join(dir, name), nil
			}
		}
	}
	return "", fault.New(fault.Missing, "there is no program %s on this machine", name)
}

// sample says whether a command is one of Lodge's own samples.
func (d *Driver) sample(command []apps.Filled) bool {
	if len(d.cfg.Samples) == 0 || len(command) < len(d.cfg.Samples) {
		return false
	}
	for i, word := range d.cfg.Samples {
		if string(command[i]) != word {
			return false
		}
	}
	return true
}

// Start implements apps.Driver.
func (d *Driver) Start(ctx context.Context, s apps.Spec, report func(apps.Step)) (apps.Instance, error) {
	defer d.hold(s.ID)()
	if err := ctx.Err(); err != nil {
		return apps.Instance{}, err
	}
	r, err := d.find(s.ID)
	switch {
	case fault.Is(err, fault.Missing):
	case err != nil:
		return apps.Instance{}, err
	case r.Run == s.Run:
		d.adopt(r)
		return r.instance(), nil
	case r.Run > s.Run:
		return apps.Instance{}, fault.New(fault.Conflict, "a later start of this app session is there already")
	default:
		if err := d.stop(ctx, r, s.GraceStop); err != nil {
			return apps.Instance{}, err
		}
	}
	program, err := d.program(s)
	if err != nil {
		return apps.Instance{}, err
	}
	if report != nil {
		report(apps.Step{Name: "create", Message: "Making its folder"})
	}
	return d.spawn(s, program, report)
}

// spawn makes the folder and the process.
func (d *Driver) spawn(s apps.Spec, program string, report func(apps.Step)) (apps.Instance, error) {
	folders, err := d.folders(s)
	if err != nil {
		return apps.Instance{}, err
	}
	port, socket := 0, ""
	address := ""
	if s.Socket {
		socket = d.socketPath(s)
		if len(socket) > 100 {
			return apps.Instance{}, fault.New(fault.Invalid, "the path %s is too long for a socket; choose a shorter data folder", socket)
		}
		if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
			return apps.Instance{}, err
		}
		address = "unix:" + socket
	} else {
		if port, err = d.freePort(); err != nil {
			return apps.Instance{}, err
		}
		address = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	if report != nil {
		report(apps.Step{Name: "start", Message: "Starting it"})
	}
	out, err := os.OpenFile(d.path(s.ID, logFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND|os.O_TRUNC, 0o600)
	if err != nil {
		return apps.Instance{}, err
	}
	defer func() { _ = out.Close() }()

	limits, err := json.Marshal(limitsOf(s))
	if err != nil {
		return apps.Instance{}, err
	}
	argv := append([]string{}, d.cfg.Shim[1:]...)
	argv = append(argv, string(limits), program)
	for _, arg := range s.Command {
		argv = append(argv, arg.With(port, socket, folders.home))
	}
	// Not CommandContext: what runs outlives the request, and Lodge.
	cmd := exec.Command(d.cfg.Shim[0], argv...) //nolint:gosec,noctx // G204: the catalogue's command, argument by argument
	cmd.Dir, cmd.Stdout, cmd.Stderr = folders.home, out, out
	cmd.Env = d.environment(s, folders, port, socket)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: d.credential}
	if err := cmd.Start(); err != nil {
		return apps.Instance{}, fmt.Errorf("start %s: %w", program, err)
	}
	r := record{
		Installation: d.cfg.Installation, ID: s.ID, Run: s.Run, App: s.App, OwnerID: s.OwnerID, Hash: s.Hash, PID: cmd.Process.Pid,
		Address: address, Created: d.now().UTC(),
	}
	if r.Started, err = startTime(r.PID); err != nil {
		r.Started = 0 // it ended already; Wait has its exit
	}
	if err := d.write(r); err != nil {
		_ = cmd.Process.Kill() // nobody would find its record
		_ = cmd.Wait()
		return apps.Instance{}, err
	}
	d.watchChild(r, cmd)
	return r.instance(), nil
}

// environment is all that an app sees of ours.
func (d *Driver) environment(s apps.Spec, f folders, port int, socket string) []string {
	env := map[string]string{"PATH": d.cfg.Path, "LANG": "C.UTF-8", "TZ": "UTC", "HOME": f.home, "TMPDIR": f.temp}
	for name, value := range s.Env {
		env[name] = value.With(port, socket, f.home)
	}
	for name, value := range s.Secrets {
		env[name] = value
	}
	for name, path := range f.volumes {
		env["LODGE_VOLUME_"+variable(name)] = path
	}
	if port != 0 {
		env["PORT"] = strconv.Itoa(port)
	}
	if socket != "" {
		env["SOCKET"] = socket
	}
	env[markInstallation], env[markSession], env[markRun] = d.cfg.Installation, s.ID, strconv.FormatInt(s.Run, 10)
	env[markAddress], env[markOwner], env[markHash] = cmp.Or(socket, strconv.Itoa(port)), s.OwnerID, s.Hash
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	return list
}

// freePort finds a port that nobody listens at, and that was not given away a moment ago.
func (d *Driver) freePort() (int, error) {
	for range 100 {
		listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // done in a moment
		if err != nil {
			return 0, fault.Wrap(err, fault.Exhausted, "no port is free")
		}
		port := listener.Addr().(*net.TCPAddr).Port
		if err := listener.Close(); err != nil {
			return 0, err
		}
		if d.reserve(port) {
			return port, nil
		}
	}
	return 0, fault.New(fault.Exhausted, "no port is free")
}

func (d *Driver) reserve(port int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	for p, at := range d.reserved {
		if now.Sub(at) > time.Minute {
			delete(d.reserved, p)
		}
	}
	if _, taken := d.reserved[port]; taken {
		return false
	}
	d.reserved[port] = now
	return true
}

// Look implements apps.Driver.
func (d *Driver) Look(_ context.Context, id string) (apps.Instance, error) {
	r, err := d.find(id)
	if err != nil {
		return apps.Instance{}, err
	}
	d.adopt(r)
	return r.instance(), nil
}

// Stop implements apps.Driver.
func (d *Driver) Stop(ctx context.Context, id string, run int64, grace time.Duration) error {
	defer d.hold(id)()
	r, err := d.find(id)
	if fault.Is(err, fault.Missing) {
		return nil
	}
	if err != nil || r.Run > run {
		return err
	}
	return d.stop(ctx, r, grace)
}

// stop ends all of an instance and removes its record.
func (d *Driver) stop(ctx context.Context, r record, grace time.Duration) error {
	if err := d.kill(ctx, r, grace); err != nil {
		return err
	}
	d.mu.Lock()
	p := d.known[r.ID]
	d.mu.Unlock()
	if p != nil {
		select { // so that whoever waits for it does not write the record again
		case <-p.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := os.Remove(d.path(r.ID, recordFile)); err != nil && !os.IsNotExist(err) {
		return err
	}
	if path, ok := unixPath(r.Address); ok {
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

// Forget implements apps.Driver.
func (d *Driver) Forget(_ context.Context, id string) error {
	defer d.hold(id)()
	if r, err := d.find(id); err == nil && r.Exit == nil {
		return fault.New(fault.Conflict, "it still runs")
	}
	if !safeID(id) {
		return fault.New(fault.Invalid, "no id")
	}
	return os.RemoveAll(d.path(id, ""))
}

// Health implements apps.Driver.
func (d *Driver) Health(context.Context) (apps.Health, error) {
	if _, err := os.Stat(d.cfg.Dir); err != nil {
		return apps.Health{}, fault.Wrap(err, fault.Unavailable, "the folder of the process driver is gone")
	}
	h := apps.Health{
		Version: "1",
		Enforced: map[string]string{
			"memory": "for each process, by RLIMIT_DATA", "cpu": "not enforced", "pids": "not enforced", "disk": "not enforced",
			"egress": "not enforced", "read_only_root": "not enforced",
		},
		Warnings: []string{"processes of different people are not isolated from each other or from Lodge: for development alone"},
	}
	switch {
	case d.cfg.Only != "":
		h.Warnings = []string{"nothing but the sample apps may run: " + d.cfg.Only} // which are apart enough
	case os.Geteuid() == 0 && d.credential == nil:
		h.Warnings = append(h.Warnings, "apps run as root")
	}
	return h, nil
}
