package process_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"lodge/internal/apps"
	"lodge/internal/apps/process"
	"lodge/internal/drivertest"
)

// TestMain makes this binary the shim and the app as well, when it is called as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case "shim":
			fmt.Fprintln(os.Stderr, process.Shim(os.Args[2:]))
			os.Exit(127)
		case "app":
			os.Exit(drivertest.TestApp(os.Args[2]))
		case "headless": // its first thread ends, the others go on
			go func() { os.Exit(drivertest.TestApp(os.Args[2])) }()
			runtime.LockOSThread()
			if unix.Gettid() != os.Getpid() {
				os.Exit(3)
			}
			_, _, _ = unix.Syscall(unix.SYS_EXIT, 0, 0, 0)
		}
	}
	if err := os.Setenv("LODGE_TEST_LEAK", "1"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func open(t testing.TB, dir, installation string) *process.Driver {
	t.Helper()
	d, err := process.New(process.Config{
		Dir: dir, Installation: installation, Shim: []string{os.Args[0], "shim"}, AllowRoot: true,
	}, time.Now, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func fixture(socket bool) drivertest.AppsFixture {
	dirs := map[string]string{}
	return drivertest.AppsFixture{
		Open: func(t testing.TB, installation string) apps.Driver {
			lock <- struct{}{}
			defer func() { <-lock }()
			if dirs[t.Name()] == "" {
				dir, err := os.MkdirTemp("", "lp") //nolint:usetesting // sockets need a short path
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = os.RemoveAll(dir) })
				dirs[t.Name()] = dir
			}
			return open(t, dirs[t.Name()], installation)
		},
		Spec: func(behaviour string) apps.Spec {
			return apps.Spec{Command: []apps.Filled{apps.Filled(os.Args[0]), "app", apps.Filled(behaviour)}, Socket: socket}
		},
	}
}

var lock = make(chan struct{}, 1)

func TestPorts(t *testing.T)   { drivertest.Apps(t, fixture(false)) }
func TestSockets(t *testing.T) { drivertest.Apps(t, fixture(true)) }

// A process that has the number of one of ours is neither adopted nor killed.
func TestAnothersNumber(t *testing.T) {
	t.Parallel()
	dir, id := t.TempDir(), uuid.NewString()
	stranger := exec.Command("sleep", "60")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- stranger.Wait() }()
	defer func() {
		if err := stranger.Process.Kill(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err == nil {
			t.Error("the stranger ended well, though it was killed")
		}
	}()
	if err := os.MkdirAll(filepath.Join(dir, id), 0o700); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`{"installation":"mine","id":%q,"run":1,"pid":%d,"started":12,"address":"127.0.0.1:1"}`, id, stranger.Process.Pid)
	if err := os.WriteFile(filepath.Join(dir, id, "instance.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d := open(t, dir, "mine")
	inst, err := d.Look(t.Context(), id)
	if err != nil || inst.Exit == nil {
		t.Errorf("Look = %+v, %v: a stranger was adopted", inst, err)
	}
	if err := d.Stop(t.Context(), id, 1, 0); err != nil {
		t.Error(err)
	}
	select {
	case err := <-ended:
		t.Errorf("the stranger was killed: %v", err)
	default:
	}
}

// A process whose first thread is a zombie lives: so it looks while a program of several threads, as
// the shim is one, becomes another.
func TestTheFirstThreadEnds(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), "headless"+uuid.NewString()[:8])
	s := fixture(false).Spec("serve")
	s.ID, s.Run, s.Command[1] = uuid.NewString(), 1, "headless"
	inst, err := d.Start(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Stop(context.WithoutCancel(t.Context()), s.ID, 1, 0) })
	state := func() string {
		text, err := os.ReadFile("/proc/" + strings.TrimPrefix(inst.Ref, "pid ") + "/stat")
		if err != nil {
			return err.Error()
		}
		return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))[0]
	}
	for deadline := time.Now().Add(20 * time.Second); state() != "Z"; {
		if time.Now().After(deadline) {
			t.Fatalf("its first thread does not end: %s", state())
		}
		<-time.After(5 * time.Millisecond)
	}
	if inst, err := d.Look(t.Context(), s.ID); err != nil || inst.Exit != nil {
		t.Errorf("Look = %+v, %v: it lives", inst, err)
	}
	if err := d.Stop(t.Context(), s.ID, 1, 0); err != nil {
		t.Error(err)
	}
	if text := state(); !strings.Contains(text, "no such") {
		t.Errorf("it is there still: %s", text)
	}
}

// Lodge may be killed between the start of a process and the writing of its record.
func TestALostRecord(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, dir, "lost"+uuid.NewString()[:8])
	s := fixture(false).Spec("serve")
	s.ID, s.Run, s.App, s.OwnerID = uuid.NewString(), 3, "test", "owner"
	inst, err := d.Start(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Stop(context.WithoutCancel(t.Context()), s.ID, 9, 0) })
	// Until the shim has become the app, /proc shows the same marks.
	if err := os.Remove(filepath.Join(dir, s.ID, "instance.json")); err != nil {
		t.Fatal(err)
	}
	list, err := d.List(t.Context())
	if err != nil || len(list) != 1 || list[0].ID != s.ID || list[0].Run != 3 || list[0].Address != inst.Address || list[0].OwnerID != "owner" {
		t.Errorf("List = %+v, %v", list, err)
	}
}

func TestLimitsAndPrivileges(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), "limits"+uuid.NewString()[:8])
	s := apps.Spec{ID: uuid.NewString(), Run: 1, App: "test", Command: []apps.Filled{"/bin/sh", "-c", "cat /proc/self/limits /proc/self/status; pwd; sleep 60"}, Resources: apps.Resources{Memory: 512 << 20}}
	if _, err := d.Start(t.Context(), s, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Stop(context.WithoutCancel(t.Context()), s.ID, 1, 0) })
	deadline := time.Now().Add(20 * time.Second)
	for {
		r, err := d.Logs(t.Context(), s.ID, 1000, false)
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		buf := make([]byte, 64<<10)
		for n := 0; err == nil; n, err = r.Read(buf) {
			text.Write(buf[:n])
		}
		if strings.Contains(text.String(), s.ID+"/home") {
			for _, want := range []string{"536870912", "NoNewPrivs:\t1"} {
				if !strings.Contains(text.String(), want) {
					t.Errorf("no %q in:\n%s", want, text.String())
				}
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it said %q", text.String())
		}
		<-time.After(10 * time.Millisecond)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		if _, err := process.New(process.Config{Dir: t.TempDir(), Installation: "x", Shim: []string{"x"}}, time.Now, slog.Default()); err == nil {
			t.Error("apps would run as root")
		}
	}
	d := open(t, t.TempDir(), "refusals")
	if _, err := d.Start(t.Context(), apps.Spec{ID: uuid.NewString(), Run: 1, Image: "x"}, nil); err == nil {
		t.Error("an image was run as a process")
	}
	for _, id := range []string{"", "..", "../x", "a/b", strings.Repeat("a", 65)} {
		s := apps.Spec{ID: id, Run: 1, Command: []apps.Filled{"/bin/true"}}
		if _, err := d.Start(t.Context(), s, nil); err == nil {
			t.Errorf("the id %q was accepted", id)
		}
		if err := d.Forget(t.Context(), id); err == nil {
			t.Errorf("the id %q was forgotten", id)
		}
	}
}
