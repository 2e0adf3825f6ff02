package results

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"lodge/internal/database"
	"lodge/internal/database/databasetest"
	"lodge/internal/objects"
	"lodge/internal/results/hub"
	"lodge/internal/results/hubsim"
)

// TestWithoutHub accepts final results, which wait and say why; the project is the token's.
func TestWithoutHub(t *testing.T) {
	t.Parallel()
	s := newSite(t, withoutHub)
	auth := "Bearer " + sign(t, "RS256", testRSA(), claims{"client_id": "a", "project_id": "p"})
	a := s.put("/final", auth, file("r.csv", "data")).is(t, http.StatusAccepted, "")
	u := parse[UploadInfo](t, a)
	equal(t, a.Header.Get("Location"), s.url+"/uploads/"+u.ID)
	equal(t, u.State, "queued")
	equal(t, u.ProjectID, "p")
	equal(t, u.WaitingFor, "No hub is configured; the result is delivered when one is")
	equal(t, parse[UploadInfo](t, s.get("/uploads/"+u.ID, auth).is(t, 200, "")).State, "queued")
	equal(t, parse[httpPage[UploadInfo]](t, s.get("/uploads?state=queued", auth)).Total, 1)
	equal(t, parse[httpPage[UploadInfo]](t, s.get("/uploads?state=delivered", auth)).Total, 0)
	s.get("/uploads?state=lost", auth).is(t, 422, "")
	equal(t, parse[HubInfo](t, s.get("/hub", auth)), HubInfo{Waiting: 1})
	s.put("/intermediate", auth, file("a", "1")).is(t, 503, "No hub is configured; intermediate results pass through one")
	s.get("/intermediate/"+uuid.NewString(), auth).is(t, 503, "")
	// Other analyses do not see it.
	s.get("/uploads/"+u.ID, analysis(t, "b")).is(t, 404, "Upload with ID "+u.ID+" does not exist")
	equal(t, parse[httpPage[UploadInfo]](t, s.get("/uploads", analysis(t, "b"))).Total, 0)
}

// TestQueuedWhileDown is the acceptance of the queue: the hub is down for all of many final results and
// two restarts, then up; each arrives once.
func TestQueuedWhileDown(t *testing.T) {
	t.Parallel()
	const n = 30
	sim := hubsim.New(hubsim.Options{Dir: t.TempDir()})
	t.Cleanup(func() { noError(t, sim.Close()) })
	sim.SetMode(hubsim.Mode{Mode: "down"})
	db, bucket := databasetest.SQLite(t), newFiles(t)
	start := func() *site {
		return newSite(t, func(set *setup) { set.sim, set.db, set.bucket = sim, db, bucket })
	}
	id := uuid.NewString()
	s := start()
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			s.put("/final", analysis(t, id), file("upload", fmt.Sprint(i))).is(t, http.StatusAccepted, "")
		})
	}
	group.Wait()
	waiting := parse[HubInfo](t, s.get("/hub", analysis(t, id)).is(t, 200, ""))
	equal(t, waiting.Waiting, n)
	equal(t, waiting.Reachable, false)
	if waiting.UnreachableSince == nil || waiting.Reason == "" {
		t.Errorf("the hub's state does not explain itself: %+v", waiting)
	}
	eventually(t, "every upload explains itself", func() bool {
		for _, u := range parse[httpPage[UploadInfo]](t, s.get("/uploads", analysis(t, id)).is(t, 200, "")).Items {
			if u.State != "queued" || u.LastError == "" || u.WaitingFor == "" || u.NextAttempt == nil || u.Attempts == 0 {
				return false
			}
		}
		return true
	})
	s.stop()
	start().stop()
	sim.SetMode(hubsim.Mode{Mode: "ok"})
	s = start()
	eventually(t, "all are delivered", func() bool {
		return parse[httpPage[UploadInfo]](t, s.get("/uploads?state=delivered", analysis(t, id))).Total == n
	})
	s.onceEach(id, n)
	equal(t, parse[HubInfo](t, s.get("/hub", analysis(t, id))).Waiting, 0)
	equal(t, parse[httpPage[UploadInfo]](t, s.get("/uploads?limit=1", analysis(t, id))).Items[0].ProjectID, s.projectOf(id))
}

// onceEach makes sure that the hub saw n different results, each once.
func (s *site) onceEach(analysis string, n int) {
	s.t.Helper()
	seen := map[string]bool{}
	for _, r := range s.sent(analysis) {
		if r.Uploads != 1 || r.Linked != 1 {
			s.t.Errorf("%s was uploaded %d times and linked %d times", r.Path, r.Uploads, r.Linked)
		}
		seen[s.stored(r.ID)] = true
	}
	equal(s.t, len(seen), n)
	equal(s.t, len(s.sent(analysis)), n)
}

func newFiles(t *testing.T) objects.Bucket {
	t.Helper()
	files, err := objects.OpenFiles(t.TempDir(), quiet)
	noError(t, err)
	t.Cleanup(func() { noError(t, files.Close()) })
	return files
}

// TestInterrupted breaks the first attempt at every step; the second completes it, and the hub sees
// the result once.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]hubsim.Mode{
		"before anything":          {Mode: "down", Count: 1},
		"asking for the bucket":    {Mode: "500", Count: 1, Path: "analysis-buckets"},
		"looking for the name":     {Mode: "500", Count: 1, Path: "GET /storage/bucket-files"},
		"in the body":              {Mode: "cut-upload", Count: 1, Path: "/upload"},
		"in the upload's answer":   {Mode: "cut", Count: 1, Path: "/upload"},
		"upload answered rubbish":  {Mode: "rubbish", Count: 1, Path: "/upload"},
		"upload refused":           {Mode: "500", Count: 1, Path: "/upload"},
		"before the link":          {Mode: "down", Count: 1, Path: "POST /core/analysis-bucket-files"},
		"in the link's answer":     {Mode: "cut", Count: 1, Path: "POST /core/analysis-bucket-files"},
		"link refused":             {Mode: "500", Count: 1, Path: "POST /core/analysis-bucket-files"},
		"looking for the link":     {Mode: "500", Count: 1, Path: "GET /core/analysis-bucket-files"},
		"the token does not count": {Mode: "500", Count: 1, Path: "/auth/"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, withConfig(func(c *Config) { c.Retention = time.Hour }))
			id := uuid.NewString()
			eventually(t, "the hub was asked once", func() bool { return parse[HubInfo](t, s.get("/hub", analysis(t, id))).Reachable })
			s.sim.SetMode(mode)
			body := strings.Repeat("data", 300_000)
			a := s.put("/final", analysis(t, id), file("r.csv", body))
			if a.StatusCode != http.StatusNoContent { // what the client itself repeats may succeed at once
				a.is(t, http.StatusAccepted, "")
				s.waitFor(a.Header.Get("Location"), analysis(t, id), "delivered")
			}
			list := s.sent(id)
			equal(t, len(list), 1)
			equal(t, list[0].Path, "r.csv")
			equal(t, list[0].Uploads, 1)
			equal(t, list[0].Linked, 1)
			equal(t, s.stored(list[0].ID), body)
		})
	}
}

// TestCrashBetweenSteps forgets what was written down after the upload, as a crash does.
func TestCrashBetweenSteps(t *testing.T) {
	t.Parallel()
	s := newSite(t, asleep, withConfig(func(c *Config) { c.Retention = time.Hour }))
	id := uuid.NewString()
	u, bucket := s.queueOne(id, "r.csv", "data")
	for _, forget := range []string{
		"hub_file_id = '', delivered_at = NULL", // before the delivery was written down
		"delivered_at = NULL",                   // after the link failed once
	} {
		noError(t, s.svc.deliver(t.Context(), u))
		_, err := s.db.Exec(t.Context(), "UPDATE uploads SET "+forget)
		noError(t, err)
		u, err = s.svc.store.upload(t.Context(), s.db, u.ID)
		noError(t, err)
	}
	noError(t, s.svc.deliver(t.Context(), u))
	s.onceEach(id, 1)

	// A broken rest under our own unique name is removed and sent anew; under a name that may be
	// somebody else's it stays.
	second, _ := s.queueOne(id, "r.csv", "other data")
	noError(t, s.svc.deliver(t.Context(), second))
	unique := uniqueName("r.csv", second.ID)
	equal(t, s.sent(id)[1].Path, unique)
	third, _ := s.queueOne(id, "s.csv", "third")
	claimed, err := s.svc.store.claimName(t.Context(), third, bucket.StorageID, "s.csv")
	noError(t, err)
	equal(t, claimed, true)
	_, err = s.svc.hub.Upload(t.Context(), bucket.StorageID, "s.csv", octetStream, 1, strings.NewReader("x"))
	noError(t, err)
	third, err = s.svc.store.upload(t.Context(), s.db, third.ID)
	noError(t, err)
	noError(t, s.svc.deliver(t.Context(), third))
	equal(t, s.sent(id)[3].Path, uniqueName("s.csv", third.ID))
	equal(t, s.stored(s.sent(id)[2].ID), "x")
}

// queueOne queues a final result without any worker.
func (s *site) queueOne(analysis, filename, body string) (upload, hub.Bucket) {
	s.t.Helper()
	ctx := s.t.Context()
	d, take := s.svc.receive(ctx, kindFinal, finalKey, func(form, part) error { return nil })
	noError(s.t, take(nil, part{filename: filename, contentType: octetStream, body: strings.NewReader(body)}))
	u := upload{ID: d.ID, FileID: d.ID, Kind: uploadFinal, Analysis: analysis, Filename: filename, Size: d.Size, Created: d.Created}
	noError(s.t, s.db.Tx(ctx, func(tx *database.Tx) error {
		if err := s.svc.store.insertFile(ctx, tx, d.storedFile); err != nil {
			return err
		}
		if err := s.svc.store.insertUpload(ctx, tx, u); err != nil {
			return err
		}
		return s.svc.queue.Add(ctx, tx, uploadKind, u.ID, d.Created)
	}))
	b, err := s.svc.hub.FindBucket(ctx, analysis, hub.Result)
	noError(s.t, err)
	return u, b
}

// TestSameNameTogether uploads many files of one name at the same time: none overwrites another.
func TestSameNameTogether(t *testing.T) {
	t.Parallel()
	const n = 20
	s := newSite(t)
	id := uuid.NewString()
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			s.put("/final", analysis(t, id), file("upload", fmt.Sprint("body ", i))).is(t, http.StatusNoContent, "")
		})
	}
	group.Wait()
	s.onceEach(id, n)
}

// TestSlowHub is answered with 202 after the time that a caller can wait, and delivered later.
func TestSlowHub(t *testing.T) {
	t.Parallel()
	s := newSite(t, withConfig(func(c *Config) { c.SyncTimeout = 200 * time.Millisecond }))
	id := uuid.NewString()
	s.sim.SetMode(hubsim.Mode{Mode: "hang", Path: "/upload"})
	// The answer comes while the hub still hangs, perhaps before it was asked.
	a := s.put("/final", analysis(t, id), file("a", "1")).is(t, http.StatusAccepted, "")
	s.waitFor(a.Header.Get("Location"), analysis(t, id), "sending")
	s.do("POST", "/uploads/"+parse[UploadInfo](t, a).ID+"/retry", analysis(t, id), nil, nil).is(t, 403, "")
	s.sim.SetMode(hubsim.Mode{Mode: "ok"})
	s.waitFor(a.Header.Get("Location"), analysis(t, id), "delivered")
	s.onceEach(id, 1)
}

// TestRetryAndRemove is what administrators can do with uploads.
func TestRetryAndRemove(t *testing.T) {
	t.Parallel()
	s := newSite(t, withConfig(func(c *Config) { c.Retention = time.Hour }))
	id := uuid.NewString()
	auth, project := analysis(t, id), s.projectOf(id)
	s.get("/local/tags", auth).is(t, 200, "") // so that the project is known
	s.sim.SetMode(hubsim.Mode{Mode: "500", Path: "/upload"})
	stuck := parse[UploadInfo](t, s.put("/final", auth, file("a", "1")).is(t, 202, ""))
	equal(t, stuck.ProjectID, project)
	equal(t, stuck.LastError, "Hub returned an unexpected response (500)")
	s.permit("operator", "results.uploads.write", project)
	s.permit("operator", "results.uploads.read", project)
	s.permit("watcher", "results.uploads.read", project)
	operator, watcher := person(t, "o", "operator"), person(t, "w", "watcher")

	equal(t, parse[httpPage[UploadInfo]](t, s.get("/uploads", watcher).is(t, 200, "")).Total, 1)
	s.do("POST", "/uploads/"+stuck.ID+"/retry", watcher, nil, nil).is(t, 403, "")
	s.do("DELETE", "/uploads/"+stuck.ID, watcher, nil, nil).is(t, 403, "")
	s.do("DELETE", "/uploads/"+stuck.ID, auth, nil, nil).is(t, 403, "")
	s.do("POST", "/uploads/"+uuid.NewString()+"/retry", operator, nil, nil).is(t, 404, "")

	s.sim.SetMode(hubsim.Mode{Mode: "ok"})
	// It may be sending just now, or be delivered already by an attempt of its own.
	if a := s.do("POST", "/uploads/"+stuck.ID+"/retry", operator, nil, nil); a.StatusCode != 409 {
		a.is(t, 200, "")
	}
	s.waitFor("/uploads/"+stuck.ID, operator, "delivered")
	s.do("POST", "/uploads/"+stuck.ID+"/retry", operator, nil, nil).is(t, 409, "The upload has been delivered already")
	equal(t, len(s.keys("final/")), 1)
	s.do("DELETE", "/uploads/"+stuck.ID, operator, nil, nil).is(t, 204, "")
	s.get("/uploads/"+stuck.ID, operator).is(t, 404, "")
	equal(t, len(s.keys("final/")), 0)
	equal(t, s.count("result_files")+s.count("uploads")+s.count("work"), 0)
}

// TestBucketGoneLater sets a waiting upload aside when the hub, back again, does not know its analysis.
func TestBucketGoneLater(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := uuid.NewString()
	s.sim.SetMode(hubsim.Mode{Mode: "down"})
	a := s.put("/final", analysis(t, id), file("a", "1")).is(t, 202, "")
	s.sim.SetMode(hubsim.Mode{Mode: "ok"})
	s.projectOf(id)
	s.deleteOnHub("analyses", id)
	u := s.waitFor(a.Header.Get("Location"), analysis(t, id), "failed")
	equal(t, u.LastError, "Result bucket for analysis with ID "+id+" was not found")
	equal(t, len(s.keys("final/")), 1)
}

// TestSweep removes orphans and what is past its retention, and reports rows without objects.
func TestSweep(t *testing.T) {
	t.Parallel()
	s := newSite(t, asleep, withConfig(func(c *Config) { c.Retention = time.Hour }))
	ctx := context.Background()
	id := uuid.NewString()
	u, _ := s.queueOne(id, "a", "data")
	noError(t, s.svc.deliver(ctx, u))
	waiting, _ := s.queueOne(id, "b", "data")
	kept := parse[LocalUploadResponse](t, s.put("/local", analysis(t, id), file("a", "1")).is(t, 200, "")).ObjectID
	damaged := parse[LocalUploadResponse](t, s.put("/local", analysis(t, id), file("a", "1")).is(t, 200, "")).ObjectID
	noError(t, s.bucket.Delete(ctx, localKey(s.projectOf(id), damaged)))
	orphan, err := newID()
	noError(t, err)
	for _, key := range []string{localKey("p", orphan), finalKey(orphan), localKey("p", uuid.NewString())} {
		_, err := s.bucket.Put(ctx, key, strings.NewReader("orphan"))
		noError(t, err)
	}
	// Now all is young: an upload may still be on its way to its rows.
	swept, err := s.svc.Sweep(ctx)
	noError(t, err)
	equal(t, swept.Orphans, 0)
	equal(t, swept.Expired, 0)
	s.svc.now = later
	swept, err = s.svc.Sweep(ctx)
	noError(t, err)
	equal(t, swept.Orphans, 2)
	equal(t, swept.Expired, 1)
	equal(t, strings.Join(swept.Damaged, ""), damaged)
	equal(t, len(s.keys("")), 3) // the local result, the waiting final one, and what another service stored
	s.get("/local/"+kept, analysis(t, id)).is(t, 200, "1")
	_, err = s.svc.store.upload(ctx, s.db, waiting.ID)
	noError(t, err)
}
