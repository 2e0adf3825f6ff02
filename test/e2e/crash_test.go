package e2e

import (
	"context"
	"encoding/json"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// promised is an upload that was answered with success: from then on it must be there.
type promised struct {
	path, sha256 string
	size         int64
	final        bool
}

// TestCrash kills the server at random moments of two hundred concurrent uploads, again and again. What
// was answered with success is there with its checksum; every row has its object; and when the sweep
// has been, every object has its row.
func TestCrash(t *testing.T) {
	t.Parallel()
	rounds := 3
	if *full {
		rounds = 20
	}
	l := startLodge(t)
	site, analysis := l.administrator(), l.analysis(uuid.NewString())
	kept := crash(t, l, analysis, rounds)
	checkRows(t, site)

	// An object that a crash left without a row, for certain, and a day later.
	l.stop()
	store := objectStore(t, l)
	before := len(storedObjects(t, store))
	orphan := plantOrphan(t, store)
	age(t, store, 24*time.Hour)
	l.start()
	rows := map[string]bool{}
	for _, f := range list[fileInfo](site, "/results/files") {
		rows[f.ID] = true
	}
	for _, u := range list[uploadInfo](site, "/results/uploads") {
		rows[u.ID] = true
	}
	t.Logf("before the sweep there are %d objects for %d rows, and a planted one", before, len(rows))
	within(t, 3*time.Minute, "the sweep has been", func() bool {
		_, err := os.Stat(orphan)
		return os.IsNotExist(err)
	})
	eventually(t, "every object has its row", func() bool {
		return !slices.ContainsFunc(storedObjects(t, store), func(id string) bool { return !rows[id] })
	})
	equal(t, "objects for as many rows", len(storedObjects(t, store)), len(rows))
	checkPromises(t, analysis, kept)
	checkRows(t, site)

	// And what was promised to the hub gets there.
	l.stop()
	h := startHub(t)
	at(h)(l)
	l.start()
	checkDelivered(t, h, analysis, kept)
	l.admin("audit verify").ok()
}

// TestCrashBesideServers does the same where rows and objects are elsewhere.
func TestCrashBesideServers(t *testing.T) {
	t.Parallel()
	rounds := 1
	if *full {
		rounds = 10
	}
	for name, on := range map[string]setting{
		"PostgreSQL and S3": all(onPostgres(t), onS3(t)),
		"MariaDB and files": onMariaDB(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := startLodge(t, on)
			kept := crash(t, l, l.analysis(uuid.NewString()), rounds)
			checkRows(t, l.administrator())
			equal(t, "promises", len(kept) >= 200, true)
			l.admin("audit verify").ok()
		})
	}
}

// crash kills the server so often, and gives what it had promised.
func crash(t *testing.T, l *lodge, analysis caller, rounds int) map[string]promised {
	seed := uint64(time.Now().UnixNano())
	t.Logf("the seed is %d", seed)
	random := rand.New(rand.NewPCG(seed, seed))
	// How long two hundred take when nobody disturbs them.
	began := time.Now()
	kept := uploadTogether(t, analysis, random.Uint64(), func() {})
	took := time.Since(began)
	equal(t, "answers of an undisturbed server", len(kept), 200)
	for round := range rounds {
		moment := time.Duration(random.Int64N(int64(took)))
		fresh := uploadTogether(t, analysis, random.Uint64(), func() {
			<-time.After(moment)
			l.kill()
		})
		maps.Copy(kept, fresh)
		l.start()
		t.Logf("round %d: killed after %s of %s; %d of 200 were promised", round, moment.Round(time.Millisecond), took.Round(time.Millisecond), len(fresh))
		checkPromises(t, analysis, fresh)
	}
	return kept
}

// uploadTogether begins two hundred uploads at once, does something meanwhile, and gives what was
// answered with success when all have ended, in whatever way.
func uploadTogether(t *testing.T, analysis caller, seed uint64, meanwhile func()) map[string]promised {
	random := rand.New(rand.NewPCG(seed, 1))
	kept := map[string]promised{}
	var mu sync.Mutex
	var uploads sync.WaitGroup
	begin := make(chan struct{})
	for i := range 200 {
		f := randomFile("crash.bin", random.Uint64(), random.Int64N(200<<10))
		path, want := "/results/local", http.StatusOK
		var fields []string
		switch i % 4 {
		case 0:
			path, want = "/results/final", http.StatusAccepted
		case 1:
			fields = []string{"tag", "crash"}
		}
		uploads.Go(func() {
			<-begin
			a, err := analysis.tryPut(context.Background(), path, f, fields...)
			if err != nil {
				return // the server is no more
			}
			if a.status != want {
				t.Errorf("PUT %s: %d, want %d: %s", path, a.status, want, a.body)
				return
			}
			p := promised{sha256: f.sha256(), size: f.size}
			mu.Lock()
			defer mu.Unlock()
			switch want {
			case http.StatusAccepted:
				id := last(a.header.Get("Location"))
				p.path, p.final = "/results/uploads/"+id, true
				kept[id] = p
			default:
				var at stored
				if err := json.Unmarshal([]byte(a.body), &at); err != nil {
					t.Errorf("PUT %s: %v in %s", path, err, a.body)
				}
				p.path = "/results/local/" + at.ObjectID
				kept[at.ObjectID] = p
			}
		})
	}
	close(begin)
	meanwhile()
	uploads.Wait()
	return kept
}

// checkPromises reads everything that was promised.
func checkPromises(t *testing.T, analysis caller, kept map[string]promised) {
	for id, p := range kept {
		if p.final {
			u := parse[struct {
				ID   string `json:"id"`
				Size int64  `json:"size"`
			}](analysis.get(p.path).is(200))
			if u.ID != id || u.Size != p.size {
				t.Errorf("upload %s was promised with %d bytes and has %d", id, p.size, u.Size)
			}
			continue
		}
		if got := shaOf(analysis.get(p.path).is(200).body); got != p.sha256 {
			t.Errorf("file %s was promised with SHA-256 %s and has %s", id, p.sha256, got)
		}
	}
}

// checkRows reads the object of every row.
func checkRows(t *testing.T, site caller) {
	for _, f := range list[fileInfo](site, "/results/files") {
		got := site.get("/results/local/" + f.ID).is(200).body
		if shaOf(got) != f.SHA256 || int64(len(got)) != f.Size {
			t.Errorf("the row of %s says %d bytes with SHA-256 %s, its object has %d with %s", f.ID, f.Size, f.SHA256, len(got), shaOf(got))
		}
	}
}

// checkDelivered waits until everything that was promised to the hub is there, each once. What was
// stored without being answered may be there too.
func checkDelivered(t *testing.T, h *hub, analysis caller, kept map[string]promised) {
	within(t, 3*time.Minute, "nothing waits any more", func() bool {
		for _, state := range []string{"queued", "sending"} {
			if parse[page[uploadInfo]](analysis.get("/results/uploads?limit=1&state="+state).is(200)).Total > 0 {
				return false
			}
		}
		return true
	})
	var list []received
	h.call(http.MethodGet, "/received", "", nil, &list)
	sums := map[string]bool{}
	for _, r := range list {
		if sums[r.SHA256] {
			t.Errorf("the hub got %s, with SHA-256 %s, twice", r.Name, r.SHA256)
		}
		r.once(t, r.SHA256)
		sums[r.SHA256] = true
	}
	for id, p := range kept {
		if p.final && !sums[p.sha256] {
			t.Errorf("the hub never got upload %s with SHA-256 %s", id, p.sha256)
		}
	}
}

// objectStore is the folder of the objects in a site's data.
func objectStore(t *testing.T, l *lodge) string {
	t.Helper()
	found := ""
	noError(t, filepath.WalkDir(l.data, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "kept" {
			found = path
			return fs.SkipAll
		}
		return err
	}))
	if found == "" {
		t.Fatalf("there are no objects in %s", l.data)
	}
	return found
}

// eachObject calls do for every file of the store.
func eachObject(t *testing.T, store string, do func(path string)) {
	t.Helper()
	noError(t, filepath.WalkDir(store, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			do(path)
		}
		return err
	}))
}

// storedObjects are the ids of all objects.
func storedObjects(t *testing.T, store string) (ids []string) {
	t.Helper()
	eachObject(t, store, func(path string) { ids = append(ids, filepath.Base(path)) })
	return ids
}

// plantOrphan puts an object beside another one, as a crash between object and row does.
func plantOrphan(t *testing.T, store string) string {
	t.Helper()
	id, err := uuid.NewV7()
	noError(t, err)
	beside := ""
	eachObject(t, store, func(path string) { beside = path })
	orphan := filepath.Join(filepath.Dir(beside), id.String())
	noError(t, os.WriteFile(orphan, []byte("nobody knows me"), 0o600))
	return orphan
}

// age makes all objects older, as if the server had been down for so long.
func age(t *testing.T, store string, by time.Duration) {
	t.Helper()
	then := time.Now().Add(-by)
	eachObject(t, store, func(path string) { noError(t, os.Chtimes(path, then, then)) })
}
