package drivertest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"lodge/internal/apps"
	"lodge/internal/fault"
)

// AppsFixture is what the suite of app drivers needs of one.
type AppsFixture struct {
	// Open makes a driver over the same daemon or folder each time it is called within a test: a second
	// one is Lodge come back after a restart.
	Open func(t testing.TB, installation string) apps.Driver
	// Spec makes a spec that runs TestApp with the behaviour.
	Spec func(behaviour string) apps.Spec
	// Dial reaches an instance's address; nil dials it directly.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Unmeasured says that the daemon of the tests measures nothing: then the driver must say so.
	Unmeasured bool
}

// TestApp is the app that the suite runs, in a process of its own.
func TestApp(behaviour string) int {
	fmt.Println("hello from", behaviour)
	what, with, _ := strings.Cut(behaviour, ":")
	switch what {
	case "dial": // whether an address can be reached
		conn, err := net.DialTimeout("tcp", with, 2*time.Second)
		if err != nil {
			fmt.Println(err)
			return 4
		}
		_ = conn.Close()
		return 0
	case "write", "read":
		var err error
		if what == "write" {
			err = os.WriteFile(with, []byte("written"), 0o600)
		} else {
			_, err = os.ReadFile(with)
		}
		if err != nil {
			fmt.Println(err)
			return 4
		}
		return 0
	case "greedy":
		for all := [][]byte{}; ; {
			all = append(all, bytes.Repeat([]byte{1}, 1<<20))
		}
	case "exit":
		fmt.Println("last words")
		return 3
	case "silent":
		select {}
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
	case "family":
		child := exec.Command(os.Args[0], append(slices.Clone(os.Args[1:len(os.Args)-1]), "silent")...)
		if err := child.Start(); err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println("child", child.Process.Pid)
	case "lines":
		for i := range 100 {
			fmt.Println("line", i)
		}
	}
	kind, where := "tcp", ":"+os.Getenv("PORT")
	if path := os.Getenv("SOCKET"); path != "" {
		kind, where = "unix", path
	}
	listener, err := net.Listen(kind, where)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/env", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Join(os.Environ(), "\n"))
	})
	mux.HandleFunc("/exit", func(http.ResponseWriter, *http.Request) { os.Exit(7) })
	mux.HandleFunc("/say", func(_ http.ResponseWriter, r *http.Request) { fmt.Println(r.URL.Query().Get("text")) })
	born := rand.Text() // in a container the number of the process says nothing, and its host may have the same name again
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, os.Getpid(), " ", born) })
	if err := http.Serve(listener, mux); err != nil {
		return 1
	}
	return 0
}

// Apps is the suite that every app driver passes.
func Apps(t *testing.T, f AppsFixture) {
	t.Parallel()
	for name, test := range map[string]func(*testing.T, *appsBench){
		"StartAnswers": appsStart, "StartIsIdempotent": appsIdempotent, "StartsAtTheSameTime": appsRace, "ALaterRunReplaces": appsLaterRun,
		"StopIsIdempotent": appsStop, "StopLeavesLaterRuns": appsStopRun, "StopEndsTheWholeFamily": appsFamily, "StopEndsTheStubborn": appsStubborn,
		"AnExitIsSeen": appsExit, "DeathsAreTold": appsDeath, "Adoption": appsAdoption, "OnlyOurs": appsOnlyOurs,
		"Logs": appsLogs, "LogsFollow": appsFollow, "Stats": appsStats, "MissingProgram": appsMissing, "SecretsAndEnvironment": appsEnvironment,
		"Forget": appsForget, "Health": appsHealth,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &appsBench{T: t, f: f, installation: "test" + strings.ToLower(strings.ReplaceAll(uuid.NewString()[:8], "-", ""))}
			b.d = f.Open(t, b.installation)
			test(t, b)
		})
	}
}

type appsBench struct {
	*testing.T
	f            AppsFixture
	installation string
	d            apps.Driver
}

// spec makes one that is stopped when the test ends.
func (b *appsBench) spec(behaviour string) apps.Spec {
	s := b.f.Spec(behaviour)
	s.ID, s.Run, s.Installation = uuid.NewString(), 1, b.installation
	s.App, s.OwnerID, s.Slug, s.Hash, s.GraceStop = "test", uuid.NewString(), "ana", "0123456789abcdef", time.Second
	b.Cleanup(func() {
		if err := b.d.Stop(context.WithoutCancel(b.Context()), s.ID, 1<<40, 0); err != nil {
			b.Errorf("clean up: %v", err)
		}
	})
	return s
}

func (b *appsBench) start(s apps.Spec) apps.Instance {
	b.Helper()
	must(b, b.d.Prepare(b.Context(), s, func(apps.Step) {}))
	inst, err := b.d.Start(b.Context(), s, func(apps.Step) {})
	must(b, err)
	return inst
}

// get asks an instance until it answers.
func (b *appsBench) get(address, path string) string {
	b.Helper()
	var answer string
	b.eventually("the app answers", func() bool {
		text, err := b.try(address, path)
		answer = text
		return err == nil
	})
	return answer
}

func (b *appsBench) try(address, path string) (string, error) {
	dial := b.f.Dial
	if dial == nil {
		dial = func(ctx context.Context, address string) (net.Conn, error) {
			kind := "tcp"
			if rest, ok := strings.CutPrefix(address, "unix:"); ok {
				kind, address = "unix", rest
			}
			return (&net.Dialer{}).DialContext(ctx, kind, address)
		}
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, address) },
	}}
	resp, err := client.Get("http://app" + path)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("somebody else answers: %s", resp.Status) // some networks have one for every address
	}
	return string(text), err
}

func (b *appsBench) eventually(what string, is func() bool) {
	b.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for pause := 5 * time.Millisecond; !is(); pause = min(2*pause, 100*time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("in vain: %s", what)
		}
		<-time.After(pause)
	}
}

func (b *appsBench) look(id string) apps.Instance {
	b.Helper()
	inst, err := b.d.Look(b.Context(), id)
	must(b, err)
	return inst
}

func (b *appsBench) isGone(id string) {
	b.Helper()
	if _, err := b.d.Look(b.Context(), id); !fault.Is(err, fault.Missing) {
		b.Errorf("Look of what is gone = %v, want something missing", err)
	}
}

// unmeasured says whether the driver said, as it must there, that nothing is measured here.
func (b *appsBench) unmeasured(err error) bool {
	b.Helper()
	if b.f.Unmeasured && !fault.Is(err, fault.Unavailable) {
		b.Errorf("Stats where nothing is measured = %v, want something unavailable", err)
	}
	return b.f.Unmeasured
}

func appsStart(t *testing.T, b *appsBench) {
	s := b.spec("serve")
	inst := b.start(s)
	if inst.ID != s.ID || inst.Run != 1 || inst.App != "test" || inst.OwnerID != s.OwnerID || inst.Hash != s.Hash || inst.Exit != nil || inst.Address == "" {
		t.Errorf("Start = %+v", inst)
	}
	b.get(inst.Address, "/")
	if again := b.look(s.ID); again.Address != inst.Address || again.Exit != nil {
		t.Errorf("Look = %+v", again)
	}
}

func appsIdempotent(t *testing.T, b *appsBench) {
	s := b.spec("serve")
	first := b.start(s)
	pid := b.get(first.Address, "/")
	second := b.start(s)
	if second.Address != first.Address || b.get(second.Address, "/") != pid {
		t.Errorf("a second start made another instance: %+v and %+v", first, second)
	}
}

func appsRace(t *testing.T, b *appsBench) {
	s := b.spec("serve")
	var group sync.WaitGroup
	addresses := make([]string, 10)
	for i := range addresses {
		group.Go(func() {
			inst, err := b.d.Start(t.Context(), s, func(apps.Step) {})
			if err != nil {
				t.Error(err)
			}
			addresses[i] = inst.Address
		})
	}
	group.Wait()
	slices.Sort(addresses)
	if len(slices.Compact(addresses)) != 1 {
		t.Errorf("ten starts at once gave %v", addresses)
	}
	if list, err := b.d.List(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("%d instances run (%v)", len(list), err)
	}
}

func appsLaterRun(t *testing.T, b *appsBench) {
	s := b.spec("serve")
	pid := b.get(b.start(s).Address, "/")
	s.Run = 2
	inst := b.start(s)
	if inst.Run != 2 || b.get(inst.Address, "/") == pid {
		t.Errorf("the later run is the earlier one: %+v", inst)
	}
	if list, err := b.d.List(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("%d instances run (%v)", len(list), err)
	}
	s.Run = 1
	if again, err := b.d.Start(t.Context(), s, nil); err == nil {
		t.Errorf("an earlier run took the place of a later one: %+v", again)
	}
}

func appsStop(t *testing.T, b *appsBench) {
	s := b.spec("serve")
	inst := b.start(s)
	b.get(inst.Address, "/")
	for range 2 {
		must(t, b.d.Stop(t.Context(), s.ID, s.Run, time.Second))
		b.isGone(s.ID)
	}
	if _, err := b.try(inst.Address, "/"); err == nil {
		t.Error("it answers after its stop")
	}
	must(t, b.d.Stop(t.Context(), uuid.NewString(), 1, time.Second))
}

func appsStopRun(t *testing.T, b *appsBench) {
	s := b.spec("serve")
	s.Run = 5
	inst := b.start(s)
	must(t, b.d.Stop(t.Context(), s.ID, 4, time.Second))
	b.get(inst.Address, "/")
	must(t, b.d.Stop(t.Context(), s.ID, 5, time.Second))
	b.isGone(s.ID)
}

func appsFamily(t *testing.T, b *appsBench) {
	s := b.spec("family")
	b.get(b.start(s).Address, "/")
	if stats, err := b.d.Stats(t.Context(), s.ID); !b.unmeasured(err) && (err != nil || stats.PIDs < 2) {
		t.Errorf("Stats = %+v, %v; want a family", stats, err)
	}
	must(t, b.d.Stop(t.Context(), s.ID, s.Run, time.Second))
	if stats, err := b.d.Stats(t.Context(), s.ID); !fault.Is(err, fault.Missing) {
		t.Errorf("after the stop Stats = %+v, %v", stats, err)
	}
}

func appsStubborn(t *testing.T, b *appsBench) {
	s := b.spec("stubborn")
	inst := b.start(s)
	b.get(inst.Address, "/")
	must(t, b.d.Stop(t.Context(), s.ID, s.Run, 50*time.Millisecond))
	b.isGone(s.ID)
	if _, err := b.try(inst.Address, "/"); err == nil {
		t.Error("it answers after its stop")
	}
}

func appsExit(t *testing.T, b *appsBench) {
	s := b.spec("exit")
	b.start(s)
	b.eventually("its exit is seen", func() bool { return b.look(s.ID).Exit != nil })
	exit := b.look(s.ID).Exit
	if exit.Code == nil || *exit.Code != 3 {
		t.Errorf("exit = %+v, want the code 3", exit)
	}
	// What has ended is still there, for its log, and is not started again by itself.
	if again := b.start(s); again.Exit == nil {
		t.Error("the same run was started twice")
	}
}

func appsDeath(t *testing.T, b *appsBench) {
	s := b.spec("serve")
	inst := b.start(s)
	b.get(inst.Address, "/")
	died := make(chan string, 10)
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() {
		if err := b.d.Watch(ctx, func(id string) { died <- id }); err != nil {
			t.Error(err)
		}
	})
	defer watching.Wait()
	defer cancel()
	b.eventually("the watch has begun and told", func() bool {
		_, _ = b.try(inst.Address, "/exit")
		select {
		case id := <-died:
			return id == s.ID
		default:
			// Should the death have come before the watch: the state tells.
			return b.look(s.ID).Exit != nil
		}
	})
	if exit := b.look(s.ID).Exit; exit == nil {
		t.Error("it died and has no exit")
	}
}

func appsAdoption(t *testing.T, b *appsBench) {
	s := b.spec("serve")
	inst := b.start(s)
	pid := b.get(inst.Address, "/")
	back := b.f.Open(t, b.installation)
	list, err := back.List(t.Context())
	must(t, err)
	if len(list) != 1 || list[0].ID != s.ID || list[0].Run != s.Run || list[0].Address != inst.Address || list[0].OwnerID != s.OwnerID || list[0].Exit != nil {
		t.Fatalf("after a restart List = %+v", list)
	}
	found, err := back.Start(t.Context(), s, nil)
	must(t, err)
	if found.Address != inst.Address || b.get(found.Address, "/") != pid {
		t.Errorf("after a restart Start = %+v", found)
	}
	must(t, back.Stop(t.Context(), s.ID, s.Run, time.Second))
	if _, err := back.Look(t.Context(), s.ID); !fault.Is(err, fault.Missing) {
		t.Errorf("after the stop Look = %v", err)
	}
	if _, err := b.try(inst.Address, "/"); err == nil {
		t.Error("it answers after its stop")
	}
}

func appsOnlyOurs(t *testing.T, b *appsBench) {
	s := b.spec("serve")
	inst := b.start(s)
	b.get(inst.Address, "/")
	other := b.f.Open(t, "other"+b.installation)
	if list, err := other.List(t.Context()); err != nil || slices.ContainsFunc(list, func(i apps.Instance) bool { return i.ID == s.ID && i.Exit == nil }) {
		t.Errorf("another installation sees ours: %+v, %v", list, err)
	}
	_ = other.Stop(t.Context(), s.ID, 1<<40, 0) // whatever it says
	b.get(inst.Address, "/")
}

func appsLogs(t *testing.T, b *appsBench) {
	s := b.spec("lines")
	b.get(b.start(s).Address, "/")
	read := func(tail int) string {
		r, err := b.d.Logs(t.Context(), s.ID, tail, false)
		must(t, err)
		text, err := io.ReadAll(r)
		must(t, err)
		must(t, r.Close())
		return string(text)
	}
	if got := read(2); got != "line 98\nline 99\n" {
		t.Errorf("the last lines are %q", got)
	}
	if got := read(1000); !strings.HasPrefix(got, "hello from lines\nline 0\n") {
		t.Errorf("the whole log begins with %.40q", got)
	}
	if _, err := b.d.Logs(t.Context(), uuid.NewString(), 1, false); !fault.Is(err, fault.Missing) {
		t.Errorf("the log of nothing = %v", err)
	}
}

func appsFollow(t *testing.T, b *appsBench) {
	s := b.spec("serve")
	inst := b.start(s)
	b.get(inst.Address, "/")
	r, err := b.d.Logs(t.Context(), s.ID, 10, true)
	must(t, err)
	b.get(inst.Address, "/say?text=something+new")
	must(t, b.d.Stop(t.Context(), s.ID, s.Run, time.Second))
	text, err := io.ReadAll(r)
	must(t, err)
	must(t, r.Close())
	if !strings.Contains(string(text), "something new") {
		t.Errorf("followed %q", text)
	}
}

func appsStats(t *testing.T, b *appsBench) {
	s := b.spec("serve")
	b.get(b.start(s).Address, "/")
	stats, err := b.d.Stats(t.Context(), s.ID)
	if b.unmeasured(err) {
		return
	}
	must(t, err)
	if stats.Memory <= 0 || stats.PIDs < 1 {
		t.Errorf("Stats = %+v", stats)
	}
}

func appsMissing(t *testing.T, b *appsBench) {
	s := b.spec("serve")
	s.Image = "lodge.invalid/no/such:image"
	s.Command = []apps.Filled{"/no/such/program"}
	err := b.d.Prepare(t.Context(), s, func(apps.Step) {})
	if !fault.Is(err, fault.Missing) {
		t.Errorf("Prepare = %v, want something missing", err)
	}
	b.isGone(s.ID)
}

func appsEnvironment(t *testing.T, b *appsBench) {
	s := b.spec("serve")
	s.Env = map[string]apps.Filled{"PLAIN": "a b"}
	s.Secrets = map[string]string{"KEY": "s3cret"}
	env := "\n" + b.get(b.start(s).Address, "/env") + "\n"
	for _, want := range []string{"\nPLAIN=a b\n", "\nKEY=s3cret\n"} {
		if !strings.Contains(env, want) {
			t.Errorf("%q is not in the environment:%s", want, env)
		}
	}
	if strings.Contains(env, "LODGE_TEST_LEAK") {
		t.Error("Lodge's own environment reached the app")
	}
}

func appsForget(t *testing.T, b *appsBench) {
	s := b.spec("serve")
	b.get(b.start(s).Address, "/")
	if err := b.d.Forget(t.Context(), s.ID); err == nil {
		t.Error("what runs was forgotten")
	}
	must(t, b.d.Stop(t.Context(), s.ID, s.Run, time.Second))
	must(t, b.d.Forget(t.Context(), s.ID))
	if _, err := b.d.Logs(t.Context(), s.ID, 1, false); !fault.Is(err, fault.Missing) {
		t.Errorf("the log of what was forgotten = %v", err)
	}
}

func appsHealth(t *testing.T, b *appsBench) {
	h, err := b.d.Health(t.Context())
	must(t, err)
	if h.Version == "" || len(h.Enforced) == 0 {
		t.Errorf("Health = %+v", h)
	}
}
