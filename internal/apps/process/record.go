package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lodge/internal/apps"
	"lodge/internal/fault"
)

// The files in an instance's folder.
const (
	recordFile = "instance.json"
	logFile    = "log"
	oldLogFile = "log.1"
)

// The marks in an instance's environment.
const (
	markInstallation = "LODGE_INSTALLATION"
	markSession      = "LODGE_SESSION"
	markRun          = "LODGE_RUN"
	markAddress      = "LODGE_ADDRESS"
	markOwner        = "LODGE_OWNER"
	markHash         = "LODGE_SPEC"
	markApp          = "LODGE_APP"
)

// record is what is kept of an instance beside it.
type record struct {
	// Installation is the site's whose it is; a folder may be shared.
	Installation string     `json:"installation"`
	ID           string     `json:"id"`
	Run          int64      `json:"run"`
	App          apps.AppID `json:"app"`
	OwnerID      string     `json:"owner_id"`
	Hash         string     `json:"hash"`
	PID          int        `json:"pid"`
	// Started is the kernel's start time of the process, in ticks since boot.
	Started uint64     `json:"started"`
	Address string     `json:"address"`
	Created time.Time  `json:"created"`
	Exit    *apps.Exit `json:"exit,omitempty"`
}

func (r record) instance() apps.Instance {
	return apps.Instance{
		ID: r.ID, Run: r.Run, App: r.App, OwnerID: r.OwnerID, Hash: r.Hash, Address: r.Address,
		Ref: "pid " + strconv.Itoa(r.PID), Created: r.Created, Exit: r.Exit,
	}
}

// safeID keeps an id from leading out of the folder.
func safeID(id string) bool {
	return id != "" && len(id) <= 64 && strings.Trim(id, "0123456789abcdefghijklmnopqrstuvwxyz-") == ""
}

func (d *Driver) path(id, name string) string { return filepath.Join(d.cfg.Dir, id, name) }

func (d *Driver) socketPath(s apps.Spec) string {
	return filepath.Join(d.cfg.Dir, "s", strings.ReplaceAll(s.ID, "-", "")[:12])
}

func unixPath(address string) (string, bool) { return strings.CutPrefix(address, "unix:") }

// write keeps a record; half a one is never seen.
func (d *Driver) write(r record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	fresh := d.path(r.ID, recordFile+".new")
	if err := os.WriteFile(fresh, text, 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, d.path(r.ID, recordFile))
}

// rewrite keeps a record in the place of another one: what was stopped meanwhile stays without.
func (d *Driver) rewrite(r record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	fresh, err := os.CreateTemp(d.path(r.ID, ""), recordFile+".*")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(fresh.Name()) }()
	_, err = fresh.Write(text)
	if err := errors.Join(err, fresh.Close()); err != nil {
		return err
	}
	err = unix.Renameat2(unix.AT_FDCWD, fresh.Name(), unix.AT_FDCWD, d.path(r.ID, recordFile), unix.RENAME_EXCHANGE)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS): // a file system that cannot do that
		if _, err := os.Stat(d.path(r.ID, recordFile)); err != nil {
			return nil
		}
		return os.Rename(fresh.Name(), d.path(r.ID, recordFile))
	}
	return err
}

// find reads an instance's record and looks whether it still runs. Without a record it looks for a
// process with the mark: Lodge may have ended between the two.
func (d *Driver) find(id string) (record, error) {
	if !safeID(id) {
		return record{}, fault.New(fault.Missing, "no such instance")
	}
	text, err := os.ReadFile(d.path(id, recordFile))
	if errors.Is(err, os.ErrNotExist) {
		for _, r := range d.marked() {
			if r.ID == id {
				return r, d.write(r)
			}
		}
		return record{}, fault.New(fault.Missing, "no such instance")
	}
	if err != nil {
		return record{}, err
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return record{}, fmt.Errorf("the record of %s: %w", id, err)
	}
	if r.Installation != d.cfg.Installation {
		return record{}, fault.New(fault.Missing, "no such instance")
	}
	if r.Exit != nil || d.lives(r) {
		return r, nil
	}
	// Whoever waits for it knows how it ended in a moment.
	if p := d.waiting(id, r.PID); p != nil {
		select {
		case <-p.done:
		case <-time.After(time.Second):
			return r, nil // its end has not been seen
		}
		if text, err := os.ReadFile(d.path(id, recordFile)); err == nil {
			var again record
			if json.Unmarshal(text, &again) == nil && again.Run == r.Run {
				r = again
			}
		}
	}
	if r.Exit == nil {
		r.Exit = &apps.Exit{}
	}
	return r, nil
}

// lives says whether the very process of a record runs: its number, its start and its mark.
func (d *Driver) lives(r record) bool {
	at, err := startTime(r.PID)
	if err != nil || r.Started != 0 && at != r.Started {
		return false
	}
	env := environ(r.PID)
	// Between fork and exec the environment is ours still; the start time has told already.
	return env == nil || env[markSession] == "" || env[markInstallation] == d.cfg.Installation && env[markSession] == r.ID
}

// List implements apps.Driver.
func (d *Driver) List(ctx context.Context) ([]apps.Instance, error) {
	entries, err := os.ReadDir(d.cfg.Dir)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the folder of the process driver cannot be read")
	}
	seen := map[string]bool{}
	var list []apps.Instance
	add := func(id string) {
		if seen[id] {
			return
		}
		if inst, err := d.Look(ctx, id); err == nil {
			seen[id] = true
			list = append(list, inst)
		}
	}
	for _, e := range entries {
		if _, err := os.Stat(d.path(e.Name(), recordFile)); e.IsDir() && err == nil {
			add(e.Name())
		}
	}
	for _, r := range d.marked() {
		add(r.ID)
	}
	return list, ctx.Err()
}

// marked finds our instances among all processes: the first process of each.
func (d *Driver) marked() []record {
	var list []record
	for _, pid := range pids() {
		env := environ(pid)
		if env[markInstallation] != d.cfg.Installation || !safeID(env[markSession]) {
			continue
		}
		stat, err := readStat(pid)
		if err != nil || stat.session != pid || stat.zombie {
			continue
		}
		run, err := strconv.ParseInt(env[markRun], 10, 64)
		if err != nil {
			continue
		}
		address := "127.0.0.1:" + env[markAddress]
		if strings.HasPrefix(env[markAddress], "/") {
			address = "unix:" + env[markAddress]
		}
		list = append(list, record{
			Installation: d.cfg.Installation, ID: env[markSession], Run: run, App: apps.AppID(env[markApp]), OwnerID: env[markOwner], Hash: env[markHash],
			PID: pid, Started: stat.started, Address: address, Created: d.now().UTC(),
		})
		_ = os.MkdirAll(d.path(env[markSession], ""), 0o700) // the record will say if there is none
	}
	return list
}

// folders are where an instance may write.
type folders struct {
	home, temp string
	volumes    map[string]string
}

// folders makes them. A volume named home is the instance's home.
func (d *Driver) folders(s apps.Spec) (folders, error) {
	if !safeID(s.ID) {
		return folders{}, fault.New(fault.Invalid, "no id")
	}
	f := folders{home: d.path(s.ID, "home"), temp: d.path(s.ID, "tmp"), volumes: map[string]string{}}
	for _, v := range s.Volumes {
		path := v.Source
		switch {
		case path != "":
			if _, err := os.Stat(path); err != nil {
				return folders{}, fault.Wrap(err, fault.Invalid, "the folder of the volume %s is not there", v.Name)
			}
		case v.Per == "session":
			path = d.path(s.ID, filepath.Join("volumes", v.Name))
		case v.Per == "user":
			path = filepath.Join(d.cfg.Dir, "volumes", "user", s.Slug, v.Name)
		case v.Per == "app":
			path = filepath.Join(d.cfg.Dir, "volumes", "app", string(s.App), v.Name)
		default:
			path = filepath.Join(d.cfg.Dir, "volumes", "shared", v.Name)
		}
		f.volumes[v.Name] = path
		if v.Name == "home" {
			f.home = path
		}
		if v.Source == "" {
			if err := d.own(path); err != nil {
				return folders{}, err
			}
		}
	}
	if err := os.MkdirAll(filepath.Join(d.cfg.Dir, "s"), 0o711); err != nil { //nolint:gosec // G301: sockets are known by name alone
		return folders{}, err
	}
	for _, path := range []string{d.path(s.ID, ""), f.home, f.temp} {
		if err := d.own(path); err != nil {
			return folders{}, err
		}
	}
	return f, nil
}

// own makes a folder that only the app and we can use.
func (d *Driver) own(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	if d.credential != nil {
		return os.Chown(path, int(d.credential.Uid), int(d.credential.Gid))
	}
	return nil
}

// variable makes a name fit for the environment.
func variable(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "-", "_")) }

// environ reads the environment of a process; nil when it is not ours to read.
func environ(pid int) map[string]string {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return nil
	}
	env := map[string]string{}
	for _, line := range bytes.Split(text, []byte{0}) {
		if name, value, ok := strings.Cut(string(line), "="); ok && strings.HasPrefix(name, "LODGE_") {
			env[name] = value
		}
	}
	return env
}

// pids lists all processes.
func pids() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var list []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			list = append(list, pid)
		}
	}
	return list
}

// stat is what the kernel says of a process.
type stat struct {
	zombie         bool
	group, session int
	started        uint64
	ticks          uint64 // of processor time
	pages          int64  // in memory
}

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, err
	}
	// The name in brackets may hold anything; what counts begins behind the last one.
	at := bytes.LastIndexByte(text, ')')
	if at < 0 {
		return stat{}, errors.New("no such form of stat is known")
	}
	f := strings.Fields(string(text[at+1:]))
	if len(f) < 22 {
		return stat{}, errors.New("no such form of stat is known")
	}
	var s stat
	var errs [7]error
	threads, err := strconv.Atoi(f[17])
	errs[6] = err
	// While another thread than the first replaces the program, the first is a zombie, and the process lives.
	s.zombie = (f[0] == "Z" || f[0] == "X") && threads <= 1
	var user, system uint64
	s.group, errs[0] = strconv.Atoi(f[2])
	s.session, errs[1] = strconv.Atoi(f[3])
	user, errs[2] = strconv.ParseUint(f[11], 10, 64)
	system, errs[3] = strconv.ParseUint(f[12], 10, 64)
	s.started, errs[4] = strconv.ParseUint(f[19], 10, 64)
	s.pages, errs[5] = strconv.ParseInt(f[21], 10, 64)
	s.ticks = user + system
	return s, errors.Join(errs[:]...)
}

// startTime is when a process was started; an error if it does not run.
func startTime(pid int) (uint64, error) {
	s, err := readStat(pid)
	if err == nil && s.zombie {
		err = os.ErrProcessDone
	}
	return s.started, err
}
