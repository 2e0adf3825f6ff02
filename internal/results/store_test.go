package results

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"lodge/internal/access"
	"lodge/internal/database"
	"lodge/internal/database/databasetest"
	"lodge/internal/fault"
	"lodge/internal/work"
)

// TestOnEveryDatabase walks the whole part, through the edge, on each kind of database.
func TestOnEveryDatabase(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, func(set *setup) { set.db = db }, withConfig(func(c *Config) { c.Retention = time.Hour }))
		id := uuid.NewString()
		auth, project := analysis(t, id), s.projectOf(id)
		const n = 12
		var group sync.WaitGroup
		for i := range n { // one tag, made by many at the same time
			group.Go(func() {
				s.put("/local", auth, file(fmt.Sprintf("Ä%d.bin", i), fmt.Sprint(i)), text("tag", "foo")).is(t, 200, "")
			})
		}
		group.Wait()
		equal(t, s.count("tag"), 1)
		list := parse[LocalTaggedResultListResponse](t, s.get("/local/tags/foo", auth).is(t, 200, ""))
		equal(t, len(list.Results), n)
		for _, r := range list.Results {
			body := strings.TrimSuffix(strings.TrimPrefix(r.Filename, "Ä"), ".bin")
			s.get(strings.TrimPrefix(r.URL, s.url), auth).is(t, 200, body)
		}
		object := list.Results[0].URL[strings.LastIndex(list.Results[0].URL, "/")+1:]
		s.do("POST", "/local/tags?tag_name=bar&object_id="+object, auth, nil, nil).is(t, 200, "")
		equal(t, parse[httpPage[FileInfo]](t, s.get("/files?tag=bar&q=bin", auth)).Total, 1)
		page := parse[httpPage[FileInfo]](t, s.get("/files?limit=5&offset=10", auth).is(t, 200, ""))
		equal(t, page.Total, n)
		equal(t, len(page.Items), 2)
		equal(t, page.Items[1].Tags[0], "foo")
		projects := parse[httpPage[ProjectInfo]](t, s.get("/projects", auth).is(t, 200, ""))
		equal(t, projects.Items[0].ID, project)
		equal(t, projects.Items[0].Files, n)

		s.put("/final", auth, file("r", "result")).is(t, http.StatusNoContent, "")
		s.onceEach(id, 1)
		eventually(t, "upload is settled", func() bool {
			return parse[httpPage[UploadInfo]](t, s.get("/uploads?state=delivered", auth).is(t, 200, "")).Total == 1
		})
		for _, state := range []string{"queued", "sending", "failed"} {
			equal(t, parse[httpPage[UploadInfo]](t, s.get("/uploads?state="+state, auth).is(t, 200, "")).Total, 0)
		}
		s.do("DELETE", "/files/"+object, auth, nil, nil).is(t, 403, "")
		s.permit("keeper", string(Delete), project)
		s.permit("keeper", string(Read), project)
		s.do("DELETE", "/files/"+object, person(t, "p", "keeper"), nil, nil).is(t, 204, "")
		s.get("/local/tags/bar", auth).is(t, 200, `{"results":[]}`)
		s.deleteOnHub("projects", project)
		s.do("DELETE", "/local?project_id="+project, analysis(t, "hub-adapter"), nil, nil).is(t, 200, "null")
		for _, table := range []string{"tag", "result", "taggedresult"} {
			equal(t, s.count(table), 0)
		}
		equal(t, len(s.keys("local/")), 0)
	})
}

// TestClaimName lets one upload only have a name, however many ask together.
func TestClaimName(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		st := &store{db: db}
		const n = 16
		var claims atomic.Int32
		var group sync.WaitGroup
		for i := range n {
			group.Go(func() {
				u := upload{ID: fmt.Sprintf("%02d", i), Analysis: "a", Created: time.Now()}
				insert := db.Tx(t.Context(), func(tx *database.Tx) error { return st.insertUpload(t.Context(), tx, u) })
				claimed, err := st.claimName(t.Context(), u, "bucket", "name")
				noErrorLater(t, errors.Join(insert, err))
				if claimed {
					claims.Add(1)
				}
			})
		}
		group.Wait()
		equal(t, claims.Load(), 1)
	})
}

// TestCountSubmission counts exactly, however many come together.
func TestCountSubmission(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		st := &store{db: db}
		var allowed, refused atomic.Int32
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				switch err := st.countSubmission(t.Context(), "../a", 7, time.Now()); {
				case err == nil:
					allowed.Add(1)
				case fault.Is(err, fault.Exhausted):
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		group.Wait()
		equal(t, allowed.Load(), 7)
		equal(t, refused.Load(), 13)
	})
}

// TestScopes lists nothing for nobody's groups, and everything only for all.
func TestScopes(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		st, ctx := &store{db: db}, t.Context()
		ids := make([]string, 4)
		for i, project := range []string{"p", "p", "q", ""} {
			id := fmt.Sprintf("0d6bd0b6-0000-7000-8000-00000000000%d", i)
			ids[i] = id
			noError(t, db.Tx(ctx, func(tx *database.Tx) error {
				f := storedFile{ID: id, Kind: kindLocal, Project: project, Key: localKey(project, id), Filename: "100%_" + id, Created: time.Now()}
				u := upload{ID: id, FileID: id, Kind: uploadFinal, Analysis: fmt.Sprint("a", i), Project: project, Created: time.Now()}
				return errors.Join(st.insertFile(ctx, tx, f), st.insertUpload(ctx, tx, u))
			}))
		}
		for _, test := range []struct {
			scope          scope
			files, uploads int64
		}{
			{scope{}, 0, 0},
			{scope{all: true}, 4, 4},
			{scope{groups: []access.Group{"p"}}, 2, 2},
			{scope{groups: []access.Group{"p", "q", "none"}}, 3, 3},
		} {
			_, files, err := st.files(ctx, fileFilter{scope: test.scope, limit: 10})
			noError(t, err)
			equal(t, files, test.files)
			_, uploads, err := st.uploads(ctx, uploadFilter{scope: test.scope, limit: 10})
			noError(t, err)
			equal(t, uploads, test.uploads)
		}
		_, own, err := st.uploads(ctx, uploadFilter{analysis: "a3", limit: 10})
		noError(t, err)
		equal(t, own, 1)
		for q, want := range map[string]int64{"100%": 4, "%_" + ids[2]: 1, "%": 4, "_": 4, "0_0": 0, "!": 0} {
			_, n, err := st.files(ctx, fileFilter{scope: scope{all: true}, text: q, limit: 10})
			noError(t, err)
			equal(t, n, want)
		}
		known, err := st.keysOf(ctx, []string{localKey("p", ids[0]), localKey("p", "9")})
		noError(t, err)
		equal(t, len(known), 1)
		var walked int
		noError(t, st.eachFile(ctx, time.Now().Add(time.Hour), func(storedFile) error { walked++; return nil }))
		equal(t, walked, 4)
		u, err := st.upload(ctx, db, ids[0])
		noError(t, err)
		equal(t, u.State(), stateFailed) // without any work it waits for nobody
		_, err = st.upload(ctx, db, "none")
		equal(t, errors.Is(err, errNoRow), true)
		equal(t, upload{WorkState: work.Running}.State(), stateSending)
	})
}
