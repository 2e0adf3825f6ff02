package local_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"lodge/internal/workflows"
	"lodge/internal/workflows/local"
)

// again is a second life of a site: the same rows, objects and folder.
func (s *site) again(change ...func(*setup)) *site {
	s.t.Helper()
	s.stop()
	return newSite(s.t, append([]func(*setup){func(set *setup) { set.db, set.bucket, set.folder = s.db, s.bucket, s.folder }}, change...)...)
}

// TestResume stops the server in the middle of a job: what had ended does not run again, what ran is
// found, and what is gone runs again.
func TestResume(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	dir := t.TempDir()
	note := func(name string) string {
		return fmt.Sprintf(`echo %s >>"$1/%s"; echo %s was here; while ! test -e "$1/gate-%s"; do sleep 0.02; done; echo %s >/out/o`, name, name, name, name, name)
	}
	write(t, filepath.Join(dir, "gate-a"), "")
	write(t, filepath.Join(dir, "gate-d"), "")
	a, b, c := brick("d", "o", note("a")), brick("d x", "o", note("b")), brick("d x", "o", note("c"))
	d := brick("d x y", "o", note("d"))
	id := s.submit(job(graph("d", "o", "d>a.d d>b.d d>c.d d>d.d", "d.o>o", "a.o>b.x a.o>c.x b.o>d.x c.o>d.y", "a", a, "b", b, "c", c, "d", d), "d", dir))
	eventually(t, "b and c run", func() bool {
		return read(t, filepath.Join(dir, "b")) != "" && read(t, filepath.Join(dir, "c")) != "" && strings.Contains(s.logOf(id, "c"), "c was here")
	})
	s.stop()
	if phase, err := s.svc.JobStatus(s.ctx, id); err != nil || phase != workflows.Running {
		t.Fatalf("%s, %v", phase, err)
	}
	// c dies and its folder with it, b goes on and ends while nobody looks.
	lost, err := filepath.Glob(filepath.Join(s.folder, "jobs", id.String(), workflows.StepKey(id.String()+".c")+"-1"))
	must(t, err)
	if len(lost) != 1 {
		t.Fatalf("%v", lost)
	}
	killStep(t, lost[0])
	write(t, filepath.Join(dir, "gate-c"), "")
	write(t, filepath.Join(dir, "gate-b"), "")
	eventually(t, "b has ended", func() bool {
		list, err := filepath.Glob(filepath.Join(s.folder, "jobs", id.String(), "*", "exit"))
		must(t, err)
		return len(list) == 1
	})
	s = s.again()
	if o := s.wait(id); o.output("o") != "d" {
		t.Errorf("%s: %s", o.Status.Phase, o.Status.Message)
	}
	for name, times := range map[string]int{"a": 1, "b": 1, "c": 2, "d": 1} {
		if got := strings.Count(read(t, filepath.Join(dir, name)), "\n"); got != times {
			t.Errorf("%s ran %d times, want %d", name, got, times)
		}
	}
	if text := s.logOf(id, "c"); text != "c was here\nc was here\n" {
		t.Errorf("the log of both attempts is %q", text)
	}
	if text := s.logOf(id, "b"); text != "b was here\n" {
		t.Errorf("the log is %q", text)
	}
}

// logOf is the log of the node that is called so; nothing while there is none.
func (s *site) logOf(id uuid.UUID, display string) string {
	s.t.Helper()
	for _, n := range s.told(id).Status.Nodes {
		if n.DisplayName == display {
			return s.log(id, n.ID)
		}
	}
	return ""
}

// TestStopsWhileDown terminates a job that nobody runs: its step is ended by who comes next.
func TestStopsWhileDown(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	dir := t.TempDir()
	id := s.submit(job(brick("d", "", `echo $$ >"$1/begun"; exec sleep 60`), "d", dir))
	eventually(t, "it runs", func() bool { return read(t, filepath.Join(dir, "begun")) != "" })
	s.stop()
	must(t, s.svc.Terminate(s.ctx, id))
	s = s.again()
	if o := s.wait(id); o.Status.Phase != "Failed" {
		t.Errorf("%s", o.Status.Phase)
	}
	eventually(t, "the process has ended", func() bool {
		_, err := os.Stat("/proc/" + strings.TrimSpace(read(t, filepath.Join(dir, "begun"))))
		return err != nil
	})
}

// TestLostTooOften gives a step up that is lost every time.
func TestLostTooOften(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.submit(job(brick("", "", `kill -9 $PPID; sleep 0.1`)))
	if o := s.wait(id); o.Status.Phase != "Error" || !strings.Contains(o.Status.Message, "lost 4 times") {
		t.Errorf("%s: %s", o.Status.Phase, o.Status.Message)
	}
}

// TestRetry runs what failed again, and what succeeded not.
func TestRetry(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	dir := t.TempDir()
	a, b := brick("d", "o", `echo ran >>"$1/a"; echo 1 >/out/o`), brick("d x", "o", `echo ran >>"$1/b"; test -e "$1/gate"; echo "$2" >/out/o`)
	id := s.submit(job(graph("d", "o", "d>a.d d>b.d", "b.o>o", "a.o>b.x", "a", a, "b", b), "d", dir))
	if o := s.wait(id); o.Status.Phase != "Failed" {
		t.Fatalf("%s", o.Status.Phase)
	}
	write(t, filepath.Join(dir, "gate"), "")
	must(t, s.svc.RetryJob(s.ctx, id))
	if err := s.svc.RetryJob(s.ctx, id); err == nil {
		t.Error("it was retried while it ran")
	}
	if o := s.wait(id); o.output("o") != "1" {
		t.Errorf("%s: %s", o.Status.Phase, o.Status.Message)
	}
	for name, times := range map[string]int{"a": 1, "b": 2} {
		if got := strings.Count(read(t, filepath.Join(dir, name)), "\n"); got != times {
			t.Errorf("%s ran %d times, want %d", name, got, times)
		}
	}
	if err := s.svc.RetryJob(s.ctx, id); err == nil || !strings.Contains(err.Error(), "only a job that has failed") {
		t.Errorf("%v", err)
	}
	// The same once more, as a job of its own.
	anew, err := s.svc.ResubmitJob(s.ctx, id)
	must(t, err)
	if o := s.wait(anew); anew == id || o.output("o") != "1" || strings.Count(read(t, filepath.Join(dir, "a")), "\n") != 2 {
		t.Errorf("%s", o.Status.Phase)
	}
	must(t, s.svc.DeleteJob(s.ctx, id))
	if _, err := s.svc.JobStatus(s.ctx, id); err == nil {
		t.Error("it is still there")
	}
}

// TestFair lets a small job end long before a large one that was there first.
func TestFair(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.cfg = local.Config{Parallelism: 2} })
	dir := t.TempDir()
	var items []string
	for i := range 60 {
		items = append(items, fmt.Sprintf("%q", fmt.Sprint(i)))
	}
	sleeper := brick("x d", "", `echo "$1" >>"$2/order"; sleep 0.03`)
	large := s.submit(job(mapping("xs[] d", "", "xs>x d>d", "", sleeper), "xs", "["+strings.Join(items, ",")+"]", "d", dir))
	eventually(t, "the large one runs", func() bool { return read(t, filepath.Join(dir, "order")) != "" })
	small := s.submit(job(mapping("xs[] d", "", "xs>x d>d", "", sleeper), "xs", `["small","small"]`, "d", dir))
	s.wait(small)
	s.wait(large)
	order := strings.Fields(read(t, filepath.Join(dir, "order")))
	if len(order) != 62 {
		t.Fatalf("%d ran", len(order))
	}
	if at := slices.Index(order, "small"); at > 40 {
		t.Errorf("the small job began as number %d", at)
	}
}

// TestMany runs a job of many steps that each note themselves once.
func TestMany(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.cfg.Parallelism = 8 })
	dir := t.TempDir()
	var items []string
	for i := range 200 {
		items = append(items, fmt.Sprintf("%q", fmt.Sprint(i)))
	}
	began := time.Now()
	o := s.run(job(mapping("xs[] d", "ys[]", "xs>x d>d", "y>ys", brick("x d", "y", `echo "$1" >>"$2/ran"; echo "$1" >/out/y`)), "xs", "["+strings.Join(items, ",")+"]", "d", dir))
	t.Logf("200 steps took %s", time.Since(began))
	if o.Status.Progress != "200/200" || o.output("ys") != "["+strings.Join(items, ",")+"]" {
		t.Errorf("%s: %s", o.Status.Progress, o.output("ys"))
	}
	ran := strings.Fields(read(t, filepath.Join(dir, "ran")))
	slices.Sort(ran)
	if len(ran) != 200 || len(slices.Compact(ran)) != 200 {
		t.Errorf("%d ran", len(ran))
	}
	if left, _ := filepath.Glob(s.folder + "/jobs/*"); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
}
