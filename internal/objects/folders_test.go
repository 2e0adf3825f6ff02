package objects

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
)

func TestFlushesAreGrouped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		errDisk := errors.New("the disk is broken")
		f := newFolders("/")
		begun, end := 0, make(chan error)
		f.sync = func(string) error {
			begun++
			return <-end
		}
		results := make(chan error, 20)
		flush := func() { results <- f.flush("/dir") }

		go flush()
		synctest.Wait()
		if begun != 1 {
			t.Fatal("a lone flush waits")
		}
		for range 10 { // too late for the one that runs
			go flush()
		}
		synctest.Wait()
		if begun != 1 {
			t.Fatalf("%d flushes of a folder run at once", begun)
		}
		end <- nil
		synctest.Wait()
		if begun != 2 || len(results) != 1 || <-results != nil {
			t.Fatalf("after the first flush %d have begun and %d callers more have returned", begun, len(results))
		}
		end <- errDisk
		synctest.Wait()
		if begun != 2 || len(results) != 10 {
			t.Fatalf("%d flushes served %d of 10 callers", begun, len(results))
		}
		for range 10 {
			if err := <-results; !errors.Is(err, errDisk) {
				t.Errorf("a caller was told %v", err)
			}
		}
		if len(f.busy) != 0 {
			t.Error("an idle folder is remembered")
		}
	})
}

func TestSettle(t *testing.T) {
	t.Parallel()
	var synced []string
	fail := false
	f := newFolders("/kept")
	f.sync = func(dir string) error {
		synced = append(synced, dir)
		if fail && dir == "/kept" {
			return errors.New("no")
		}
		return nil
	}
	for _, step := range []struct {
		dir  string
		fail bool
		want []string
	}{
		{"/kept", false, []string{"/kept"}},
		{"/kept/a/b", true, []string{"/kept/a/b", "/kept/a", "/kept"}},
		{"/kept/a/b", false, []string{"/kept/a/b", "/kept/a", "/kept"}}, // a failure is not known as done
		{"/kept/a/b", false, []string{"/kept/a/b"}},
		{"/kept/a", false, []string{"/kept/a"}},
		{"/kept/a/c", false, []string{"/kept/a/c", "/kept/a"}},
	} {
		synced, fail = nil, step.fail
		if err := f.settle(step.dir); (err != nil) != step.fail {
			t.Errorf("settle(%s): %v", step.dir, err)
		}
		if !slices.Equal(synced, step.want) {
			t.Errorf("settle(%s) flushed %q, want %q", step.dir, synced, step.want)
		}
	}
}
