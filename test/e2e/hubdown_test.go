package e2e

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// TestHubDown accepts a hundred final results while the hub is away, is killed and stopped meanwhile,
// and delivers each once when the hub comes.
func TestHubDown(t *testing.T) {
	t.Parallel()
	h := reservedHub(t)
	l := startLodge(t, at(h))
	id := uuid.NewString()
	analysis := l.analysis(id)
	submit := func(from, to int) {
		t.Helper()
		var together errgroup.Group
		together.SetLimit(8)
		for i := from; i < to; i++ {
			together.Go(func() error {
				// Half of them have the same name.
				a, err := analysis.tryPut(t.Context(), "/results/final", finalResult(i))
				if err == nil && (a.status != 202 || a.header.Get("Location") == "") {
					err = fmt.Errorf("%d: %s", a.status, a.body)
				}
				return err
			})
		}
		noError(t, together.Wait())
	}

	submit(0, 50)
	l.kill()
	l.start()
	submit(50, 100)
	l.stop()
	l.start()
	waiting := list[uploadInfo](analysis, "/results/uploads")
	equal(t, "uploads that wait", len(waiting), 100)
	analysis.get("/results/hub").is(200, `"reachable":false`, `"waiting":100`)

	h.start()
	within(t, 2*patience, "all are delivered", func() bool {
		return parse[page[uploadInfo]](analysis.get("/results/uploads?limit=1&state=delivered").is(200)).Total == 100
	})
	at := map[string]received{}
	for _, r := range h.received(id) {
		at[r.SHA256] = r
	}
	equal(t, "files at the hub", len(h.received(id)), 100)
	for i := range 100 {
		at[finalResult(i).sha256()].once(t, finalResult(i).sha256())
	}
	analysis.get("/results/hub").is(200, `"reachable":true`, `"waiting":0`)
}

// finalResult is one of many. Half of them share one name.
func finalResult(i int) file {
	name := "result.bin"
	if i%2 == 1 {
		name = fmt.Sprintf("result-%d.bin", i)
	}
	return randomFile(name, uint64(i), int64(1000+i))
}

// TestHubMisbehaves submits while the hub fails in every way it knows: at once or later, the result is
// there, once.
func TestHubMisbehaves(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	l := startLodge(t, at(h), with("LODGE_RESULTS_HUB_SYNC_TIMEOUT", "1s"), with("LODGE_RESULTS_HUB_TIMEOUT", "2s"))
	site := l.administrator()
	for _, one := range []struct {
		name string
		mode mode
		// atOnce says that the failure is over before the caller has noticed.
		atOnce bool
	}{
		{"all is well", mode{Mode: "ok"}, true},
		{"refuses a token once", mode{Mode: "401-once", Path: "/storage/"}, true},
		{"is down", mode{Mode: "down"}, false},
		{"fails", mode{Mode: "500"}, false},
		{"hangs", mode{Mode: "hang"}, false},
		{"hangs on the upload", mode{Mode: "hang", Path: "/upload"}, false},
		{"talks rubbish", mode{Mode: "rubbish"}, false},
		{"talks without an end", mode{Mode: "huge"}, false},
		{"is a gateway's page", mode{Mode: "html"}, false},
		{"is cut in the middle of the upload", mode{Mode: "cut-upload", Path: "/upload"}, false},
		{"is cut after the upload", mode{Mode: "cut", Path: "/upload"}, false},
		{"is cut after the link", mode{Mode: "cut", Path: "POST /core/analysis-bucket-files"}, true}, // its status said enough
		{"fails to link", mode{Mode: "500", Path: "POST /core/analysis-bucket-files"}, false},
	} {
		id := uuid.NewString()
		analysis := l.analysis(id)
		f := randomFile("final.bin", uint64(len(one.name)), 100_000)
		h.behave(one.mode)
		a := analysis.put("/results/final", f)
		h.behave(mode{Mode: "ok"})
		switch {
		case one.atOnce && a.status != 204, !one.atOnce && a.status != 202:
			t.Errorf("a hub that %s: %d %s", one.name, a.status, a.body)
			continue
		case !one.atOnce:
			// Nobody wants to wait for the next attempt. One that is under way is left to itself.
			upload := a.header.Get("Location")
			eventually(t, one.name+": delivered", func() bool {
				u := parse[uploadInfo](site.get(upload).is(200))
				if u.State == "queued" && u.LastError == "" {
					t.Errorf("a hub that %s: the upload waits and does not say why: %+v", one.name, u)
				}
				if u.State == "queued" {
					site.send("POST", "/results/uploads/"+u.ID+"/retry", nil)
				}
				return u.State == "delivered"
			})
		}
		sent := h.received(id)
		if len(sent) != 1 {
			t.Errorf("a hub that %s: has %d files, want one: %+v", one.name, len(sent), sent)
			continue
		}
		sent[0].once(t, f.sha256())
	}
}
