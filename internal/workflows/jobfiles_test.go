package workflows

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"lodge/internal/database"
)

// runningJob submits a job, and says of it what an engine would: a node that runs and a file.
func (s *site) runningJob(me string) (uuid.UUID, string) {
	s.t.Helper()
	at := s.do("POST", "/jobs/", me, job("ws1", "")).is(s.t, 201, "").Header.Get("Location")
	id, err := uuid.Parse(at[strings.LastIndexByte(at, '/')+1:])
	noError(s.t, err)
	eventually(s.t, "it is begun", func() bool {
		for _, o := range s.engine.begun() {
			if o.Job.UID == id {
				return true
			}
		}
		return false
	})
	return id, "/jobs/" + id.String()
}

// reportJob says where a job stands, with its one node.
func (s *site) reportJob(id uuid.UUID, phase Phase, key string) {
	s.t.Helper()
	finished := "null"
	if phase.Final() {
		finished = `"2026-01-01T00:00:00Z"`
	}
	values := fmt.Sprintf(`{"parameters":[{"name":"text","value":"hello"}],"artifacts":[{"name":"f","path":"plot.png","size":4,"s3":{"key":%q}},{"name":"page","path":"x.html","size":4,"s3":{"key":%[1]q}},{"name":"packed","path":"/tmp/g","s3":{"key":%[2]q}},{"name":"astray","path":"a","s3":{"key":%[3]q}}]}`,
		key, key+".tgz", ObjectsOf(id)+"../"+id.String()+"/files/a/1/f")
	object := fmt.Sprintf(`{"status":{"nodes":{"%[1]s-7":{"id":"%[1]s-7","name":"%[1]s.a","templateName":"T","finishedAt":%[2]s,"inputs":%[3]s,"outputs":%[3]s}},"outputs":%[3]s}}`, id, finished, values)
	state := State{Phase: phase, Object: json.RawMessage(object)}
	now := time.Now()
	state.Started = &now
	noError(s.t, s.svc.Report(s.t.Context(), id, state))
}

func (s *site) keepLog(id uuid.UUID, text string) {
	s.t.Helper()
	step := StepKey(id.String() + ".a")
	m, err := s.svc.LogMark(s.t.Context(), id, step, 1)
	noError(s.t, err)
	noError(s.t, s.db.Tx(s.t.Context(), func(tx *database.Tx) error {
		_, err := s.svc.KeepLog(s.t.Context(), tx, id, step, m, []byte(text), "")
		return err
	}))
}

// TestJobFiles reads logs and files, everywhere that clients look for them, and shows them to nobody else.
func TestJobFiles(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	me, stranger := token(t, nil), personToken(t, "stranger", "nothing")
	id, at := s.runningJob(me)
	key := ObjectsOf(id) + "files/a/1/f"
	_, err := s.svc.bucket.Put(t.Context(), key, strings.NewReader("\x89PNG"))
	noError(t, err)
	_, err = s.svc.bucket.Put(t.Context(), key+".tgz", strings.NewReader("packed"))
	noError(t, err)
	s.reportJob(id, Running, key)
	s.keepLog(id, "one\ntwo \x00\xff\n")
	s.keepLog(id, "three")
	pod := id.String() + "-7"
	log := "one\ntwo \uFFFD\uFFFD\nthree\n"
	for _, path := range []string{
		at + "/logs/" + pod + "/text", at + "/artifacts/" + pod + "/main-logs",
		s.url + "/artifacts/ws1/" + id.String() + "/" + pod + "/main-logs", s.url + "/artifacts-by-uid/" + id.String() + "/" + pod + "/main-logs",
	} {
		if a := s.do("GET", path, me, "").exactly(t, 200, log); !strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain") {
			t.Errorf("%s: %s", path, a.Header.Get("Content-Type"))
		}
		s.do("GET", path, stranger, "").is(t, 404, "")
	}
	for _, path := range []string{
		at + "/artifacts/" + pod + "/f", at + "/input-artifacts/" + pod + "/f", at + "/outputs/f",
		s.url + "/artifacts/ws1/" + id.String() + "/" + pod + "/f", s.url + "/input-artifacts/ws1/" + id.String() + "/" + pod + "/f",
		s.url + "/artifacts-by-uid/" + id.String() + "/" + pod + "/f", s.url + "/input-artifacts-by-uid/" + id.String() + "/" + pod + "/f",
	} {
		if a := s.do("GET", path, me, "").exactly(t, 200, "\x89PNG"); a.Header.Get("Content-Type") != "image/png" || a.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, a.Header)
		}
		s.do("GET", path, stranger, "").is(t, 404, "")
	}
	// What a browser would run is only handed over, in no name of ours.
	if a := s.do("GET", at+"/outputs/page", me, "").is(t, 200, ""); a.Header.Get("Content-Type") != "application/octet-stream" ||
		!strings.HasPrefix(a.Header.Get("Content-Disposition"), "attachment") || !strings.Contains(a.Header.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("%v", a.Header)
	}
	// Argo packs files, and does not say how long they are.
	if a := s.do("GET", at+"/outputs/packed", me, "").exactly(t, 200, "packed"); !strings.HasSuffix(a.Header.Get("Content-Disposition"), "''g.tgz") || a.Header.Get("Content-Length") != "6" {
		t.Errorf("%v", a.Header)
	}
	s.do("GET", at+"/outputs/astray", me, "").is(t, 404, "")
	s.do("GET", at+"/outputs/", me, "").exactly(t, 200, `{"items":[{"name":"text","type":"parameter","value":"hello"},{"name":"f","type":"artifact","file":"plot.png","size":4},{"name":"page","type":"artifact","file":"x.html","size":4},`+
		`{"name":"packed","type":"artifact","file":"g.tgz"},{"name":"astray","type":"artifact","file":"a"}]}`)
	s.do("GET", at+"/outputs/text", me, "").exactly(t, 200, "hello")
	for _, path := range []string{at + "/outputs/none", at + "/artifacts/none/f", at + "/artifacts/" + pod + "/none", at + "/logs/none/text", s.url + "/artifacts/ws2/" + id.String() + "/" + pod + "/f"} {
		s.do("GET", path, me, "").is(t, 404, "")
	}
	// An engine that names another job's file gives nothing away.
	s.reportJob(id, Running, "workflows/"+otherUID+"/files/a")
	s.do("GET", at+"/outputs/f", me, "").is(t, 404, "")
}

// TestLogStream streams a log as it grows, only the lines that are asked for, and ends with the node.
func TestLogStream(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	me, stranger := token(t, nil), personToken(t, "stranger", "nothing")
	id, at := s.runningJob(me)
	s.reportJob(id, Running, "")
	s.keepLog(id, "one\ntwo\n")
	pod := id.String() + "-7"
	stream := []string{"Accept", "text/event-stream"}
	s.do("GET", at+"/logs/"+pod, stranger, "", stream...).is(t, 404, "")
	s.do("GET", "/workflows/ws1/"+id.String()+"/log?podName="+pod, stranger, "", stream...).is(t, 404, "")
	s.do("GET", at+"/logs/"+pod+"?grep=(", me, "", stream...).is(t, 400, "no regular expression")
	done := make(chan answer, 1)
	go func() {
		// By the name that pages compute.
		v2 := fmt.Sprintf("%s-T-%d", id, fnv32(id.String()+".a"))
		done <- s.do("GET", "/workflows/ws1/"+id.String()+"/log?logOptions.container=main&grep=t&logOptions.follow=true&podName="+v2, me, "", stream...)
	}()
	s.keepLog(id, "three\nfour\n")
	s.reportJob(id, Succeeded, "")
	got := (<-done).is(t, 200, "")
	for _, want := range []string{`"content":"two"`, `"content":"three"`, "id: 2\n"} {
		if !strings.Contains(got.body, want) {
			t.Errorf("%s is missing: %s", want, got.body)
		}
	}
	if strings.Contains(got.body, "four") || strings.Contains(got.body, `"one"`) {
		t.Errorf("got %s", got.body)
	}
	resumed := s.do("GET", at+"/logs/"+pod, me, "", append(stream, "Last-Event-ID", "1")...).is(t, 200, "three")
	if strings.Contains(resumed.body, "two") || !strings.Contains(resumed.body, "four") {
		t.Errorf("got %s", resumed.body)
	}
}

func fnv32(text string) uint32 {
	h := uint32(2166136261)
	for i := range len(text) {
		h = (h ^ uint32(text[i])) * 16777619
	}
	return h
}

// TestLongLogs makes an object of a long log, which reads the same, also when it goes on.
func TestLongLogs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	me := token(t, nil)
	id, at := s.runningJob(me)
	s.reportJob(id, Running, "")
	var want strings.Builder
	for i := range 50 {
		piece := strings.Repeat(fmt.Sprintf("line of piece %d\n", i), 40)
		want.WriteString(piece)
		s.keepLog(id, piece)
	}
	text := at + "/logs/" + id.String() + "-7/text"
	for range 2 {
		noError(t, s.svc.ArchiveLogs(t.Context(), id))
		if left, err := number(t.Context(), s.db, "SELECT COUNT(*) FROM wf_logs"); err != nil || left != 1 {
			t.Errorf("%d rows are left, %v", left, err)
		}
		s.do("GET", text, me, "").exactly(t, 200, want.String())
		s.keepLog(id, "more\n")
		want.WriteString("more\n")
		s.do("GET", text, me, "").exactly(t, 200, want.String())
	}
}

// TestRetryAndResubmit runs a job again, and one like it.
func TestRetryAndResubmit(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	me, stranger := token(t, nil), personToken(t, "stranger", "nothing")
	id, at := s.runningJob(me)
	for _, path := range []string{at + "/retry", at + "/resubmit"} {
		s.do("POST", path, stranger, "").is(t, 404, "")
	}
	s.do("POST", at+"/retry", me, "").is(t, 409, "only a job that has failed")
	s.reportJob(id, Failed, "")
	s.do("POST", at+"/retry", me, "").exactly(t, 202, `"`+id.String()+`"`)
	eventually(t, "it is begun again", func() bool {
		begun := s.engine.begun()
		last := begun[len(begun)-1]
		return last.Job.UID == id && last.Round == 1
	})
	s.do("GET", at+"/status", me, "").is(t, 200, `"status":"Pending"`)
	s.reportJob(id, Succeeded, "")
	s.do("POST", at+"/retry", me, "").is(t, 409, "this one is Succeeded")
	anew := s.do("POST", at+"/resubmit", me, "").is(t, 201, "").Header.Get("Location")
	if strings.HasSuffix(anew, id.String()) || !strings.HasPrefix(anew, "/api/v1/jobs/") {
		t.Errorf("Location %s", anew)
	}
	eventually(t, "both have begun", func() bool { return len(s.engine.begun()) == 3 })
	if got := s.engine.begun()[2]; fmt.Sprint(got.Options.Tags) != "[a b]" || got.Round != 0 {
		t.Errorf("%+v", got)
	}
}

// TestRetention removes what was kept long enough, with its files, and nothing else.
func TestRetention(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.cfg.Retention = time.Hour })
	me := token(t, nil)
	old, oldAt := s.runningJob(me)
	young, youngAt := s.runningJob(me)
	_, goingOn := s.runningJob(me)
	for _, id := range []uuid.UUID{old, young} {
		_, err := s.svc.bucket.Put(t.Context(), ObjectsOf(id)+"files/a/1/f", strings.NewReader("x"))
		noError(t, err)
		s.reportJob(id, Succeeded, ObjectsOf(id)+"files/a/1/f")
		s.keepLog(id, "x\n")
	}
	_, err := s.db.Exec(t.Context(), "UPDATE wf_jobs SET finished_at = ? WHERE uid = ?", database.Micros(time.Now().Add(-2*time.Hour)), old.String())
	noError(t, err)
	noError(t, s.svc.retireOnce(t.Context()))
	s.do("GET", oldAt, me, "").is(t, 404, "")
	s.do("GET", youngAt, me, "").is(t, http.StatusOK, "")
	s.do("GET", goingOn, me, "").is(t, http.StatusOK, "")
	for info, err := range s.svc.bucket.List(t.Context(), ObjectsOf(old)) {
		t.Errorf("%s is left, %v", info.Key, err)
	}
	if left, err := number(t.Context(), s.db, "SELECT COUNT(*) FROM wf_logs WHERE job = ?", old.String()); err != nil || left != 0 {
		t.Errorf("%d rows of logs are left, %v", left, err)
	}
}
