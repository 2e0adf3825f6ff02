package hub_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/uuid"

	"lodge/internal/fault"
	"lodge/internal/results/hub"
	"lodge/internal/results/hubsim"
	"lodge/internal/secret"
)

const (
	analysis = "0192f3a1-0000-7000-8000-000000000001"
	password = "canary-of-the-hub"
)

func config(url string) hub.Config {
	return hub.Config{
		CoreURL: url + "/core", StorageURL: url + "/storage/", AuthURL: url + "/auth",
		Flow: "password", Username: "node", Password: password,
		Timeout: 5 * time.Second, UploadTimeout: 5 * time.Second,
	}
}

func client(t *testing.T, cfg hub.Config) *hub.Client {
	t.Helper()
	c, err := hub.New(cfg, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// simulated gives a client of a simulated hub.
func simulated(t *testing.T, opts hubsim.Options, change ...func(*hub.Config)) (*hubsim.Sim, *hub.Client) {
	t.Helper()
	opts.Dir = t.TempDir()
	sim := hubsim.New(opts)
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(func() {
		_ = sim.Close()
		server.Close()
	})
	cfg := config(server.URL)
	for _, f := range change {
		f(&cfg)
	}
	return sim, client(t, cfg)
}

// answering gives a client of a hub whose login works and that answers all else with h.
func answering(t *testing.T, h http.HandlerFunc, change ...func(*hub.Config)) *hub.Client {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /auth/token", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"access_token":"t","expires_in":3600,"token_type":"Bearer","scope":"global"}`)
	})
	mux.Handle("/", h)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	cfg := config(server.URL)
	for _, f := range change {
		f(&cfg)
	}
	return client(t, cfg)
}

func TestDeliversInEveryGeneration(t *testing.T) {
	t.Parallel()
	for _, configured := range []string{"auto", "own"} {
		for _, generation := range []string{"a", "b", "c"} {
			t.Run(configured+" "+generation, func(t *testing.T) {
				t.Parallel()
				sim, c := simulated(t, hubsim.Options{Generation: generation}, func(cfg *hub.Config) {
					if cfg.Generation = configured; configured == "own" {
						cfg.Generation = generation
					}
				})
				ctx := t.Context()
				// Another analysis comes first: a filter that the hub ignores would find its bucket.
				if _, err := c.FindBucket(ctx, uuid.NewString(), hub.Result); err != nil {
					t.Fatal(err)
				}
				b, err := c.FindBucket(ctx, analysis, hub.Result)
				if err != nil {
					t.Fatal(err)
				}
				if b.AnalysisID != analysis || b.Type != hub.Result || b.StorageID == "" || b.LinkNeeded != (generation == "a") {
					t.Fatalf("the bucket is %+v", b)
				}
				content := make([]byte, 700_000)
				_, _ = rand.Read(content)
				f, err := c.Upload(ctx, b.StorageID, "dir/model ü.pt", "application/x-model", -1, bytes.NewBuffer(content))
				if err != nil {
					t.Fatal(err)
				}
				for range 2 {
					if err := c.Link(ctx, b.ID, f); err != nil {
						t.Fatal(err)
					}
				}
				got := sim.Received()
				if len(got) != 1 || got[0].Linked != 1 || got[0].Path != "dir/model ü.pt" || got[0].ContentType != "application/x-model" || got[0].Size != 700_000 {
					t.Errorf("the hub received %+v", got)
				}
				again, err := c.BucketFile(ctx, f.ID)
				if err != nil || again != f {
					t.Errorf("the file is %+v, %v; it was uploaded as %+v", again, err, f)
				}
				found, err := c.FindUploaded(ctx, b.StorageID, "dir/model ü.pt")
				if err != nil || len(found) != 1 || found[0] != f {
					t.Errorf("the uploaded file is found as %+v, %v", found, err)
				}
				if of, err := c.BucketOf(ctx, b.StorageID); err != nil || of != b {
					t.Errorf("the storage bucket belongs to %+v, %v", of, err)
				}
				r, err := c.Stream(ctx, f.ID)
				if err != nil {
					t.Fatal(err)
				}
				if back, err := io.ReadAll(r); err != nil || !bytes.Equal(back, content) {
					t.Errorf("%d bytes came back, %v", len(back), err)
				}
				_ = r.Close()
				for range 2 {
					if err := c.DeleteFile(ctx, f.ID); err != nil {
						t.Errorf("delete: %v", err)
					}
				}
				if _, err := c.BucketFile(ctx, f.ID); !fault.Is(err, fault.Missing) {
					t.Errorf("the deleted file: %v", err)
				}
				if err := c.Check(ctx); err != nil {
					t.Errorf("check: %v", err)
				}
			})
		}
	}
}

func TestFindsRecords(t *testing.T) {
	t.Parallel()
	sim, c := simulated(t, hubsim.Options{ProvisionAfter: 1})
	ctx := t.Context()
	a, err := c.Analysis(ctx, strings.ToUpper(analysis))
	if err != nil || a.ID != analysis {
		t.Fatalf("analysis: %+v, %v", a, err)
	}
	if p, err := c.Project(ctx, a.ProjectID); err != nil || p.ID != a.ProjectID {
		t.Errorf("project: %+v, %v", p, err)
	}
	node := uuid.NewString()
	sim.AddNode(node, "-----BEGIN PUBLIC KEY-----\nx")
	if n, err := c.Node(ctx, node); err != nil || !strings.HasPrefix(n.PublicKey, "2d2d2d") {
		t.Errorf("node: %+v, %v", n, err)
	}
	if b, err := c.FindBucket(ctx, analysis, hub.Temp); err != nil || b.StorageID != "" || b.ID == "" {
		t.Errorf("a bucket that is not provisioned yet: %+v, %v", b, err)
	}
	if b, err := c.FindBucket(ctx, analysis, hub.Temp); err != nil || b.StorageID == "" {
		t.Errorf("a bucket that has been provisioned: %+v, %v", b, err)
	}
}

func TestWhatIsMissing(t *testing.T) {
	t.Parallel()
	_, c := simulated(t, hubsim.Options{})
	ctx, none := t.Context(), uuid.NewString()
	for name, tt := range map[string]struct {
		call func(id string) error
		want string
	}{
		"bucket":   {func(id string) error { _, err := c.FindBucket(ctx, id, "OTHER"); return err }, ""},
		"bucketOf": {func(id string) error { _, err := c.BucketOf(ctx, id); return err }, "Bucket with ID %s was not found"},
		"project":  {func(id string) error { _, err := c.Project(ctx, id); return err }, "Project with ID %s not found"},
		"node":     {func(id string) error { _, err := c.Node(ctx, id); return err }, "Remote node with ID %s does not exist."},
		"client":   {func(id string) error { _, err := c.NodeByClientID(ctx, id); return err }, "The hub has no node with client ID %s."},
		"file":     {func(id string) error { _, err := c.BucketFile(ctx, id); return err }, "Object with ID %s does not exist"},
		"stream":   {func(id string) error { _, err := c.Stream(ctx, id); return err }, "Object with ID %s does not exist"},
	} {
		// What is no UUID must not reach the hub at all, where it could lead to another route.
		for _, id := range []string{none, "", "../../nodes", "x?y=z", "%2e%2e"} {
			err := tt.call(id)
			var f *fault.Error
			if !errors.As(err, &f) || f.Kind != fault.Missing {
				t.Errorf("%s %q: %v", name, id, err)
			} else if want := fmt.Sprintf(tt.want, id); tt.want != "" && f.Detail != want {
				t.Errorf("%s %q says %q, not %q", name, id, f.Detail, want)
			}
		}
	}
	_, err := c.FindBucket(ctx, "no-uuid", hub.Result)
	var f *fault.Error
	if !errors.As(err, &f) || f.Detail != "Result bucket for analysis with ID no-uuid was not found" {
		t.Errorf("an analysis that cannot exist: %v", err)
	}
}

// Every way in which the hub can fail has a defined end for every call.
func TestEveryFailureIsDefined(t *testing.T) {
	t.Parallel()
	calls := map[string]func(context.Context, *hub.Client, string) error{
		"bucket": func(ctx context.Context, c *hub.Client, _ string) error {
			_, err := c.FindBucket(ctx, analysis, hub.Result)
			return err
		},
		"analysis": func(ctx context.Context, c *hub.Client, _ string) error {
			_, err := c.Analysis(ctx, analysis)
			return err
		},
		"upload": func(ctx context.Context, c *hub.Client, bucket string) error {
			_, err := c.Upload(ctx, bucket, "f", "", -1, io.LimitReader(rand.Reader, 3<<20))
			return err
		},
		"link": func(ctx context.Context, c *hub.Client, bucket string) error {
			return c.Link(ctx, bucket, hub.File{ID: analysis, Name: "f"})
		},
		"delete": func(ctx context.Context, c *hub.Client, _ string) error { return c.DeleteFile(ctx, analysis) },
		"check":  func(ctx context.Context, c *hub.Client, _ string) error { return c.Check(ctx) },
	}
	upstream := "Hub returned an unexpected response "
	for _, tt := range []struct {
		mode   hubsim.Mode
		kind   fault.Kind
		detail string
	}{
		{hubsim.Mode{Mode: "down"}, fault.Unavailable, "The hub cannot be reached: the connection was cut."},
		{hubsim.Mode{Mode: "slow", DelayMS: 60000}, fault.Timeout, "The hub did not answer in time."},
		{hubsim.Mode{Mode: "hang"}, fault.Timeout, "The hub did not answer in time."},
		{hubsim.Mode{Mode: "500"}, fault.Upstream, upstream + "(500)"},
		{hubsim.Mode{Mode: "500", Status: 429}, fault.Upstream, upstream + "(429)"},
		{hubsim.Mode{Mode: "500", Status: 307}, fault.Upstream, upstream + "(307)"},
		{hubsim.Mode{Mode: "401"}, fault.Upstream, upstream + "(401)"},
		{hubsim.Mode{Mode: "html"}, fault.Upstream, upstream + "(unknown)"},
		{hubsim.Mode{Mode: "html", Status: 404}, fault.Upstream, upstream + "(unknown)"},
		{hubsim.Mode{Mode: "html", Status: 200}, fault.Upstream, upstream + "(unknown)"},
		{hubsim.Mode{Mode: "rubbish"}, fault.Upstream, upstream + "(unknown)"},
		{hubsim.Mode{Mode: "huge"}, fault.Upstream, upstream + "(unknown)"},
		{hubsim.Mode{Mode: "cut"}, fault.Unavailable, "The hub cannot be reached: the connection was cut."},
	} {
		t.Run(fmt.Sprint(tt.mode.Mode, tt.mode.Status), func(t *testing.T) {
			t.Parallel()
			sim, c := simulated(t, hubsim.Options{}, func(cfg *hub.Config) {
				cfg.Timeout, cfg.UploadTimeout = 300*time.Millisecond, 300*time.Millisecond
				if !strings.Contains("slow hang", tt.mode.Mode) {
					cfg.Timeout, cfg.UploadTimeout = 10*time.Second, 10*time.Second
				}
			})
			b, err := c.FindBucket(t.Context(), analysis, hub.Result)
			if err != nil {
				t.Fatal(err)
			}
			sim.SetMode(tt.mode)
			for name, call := range calls {
				err := call(t.Context(), c, b.StorageID)
				if name == "delete" && (tt.mode.Status == 200 || strings.Contains("rubbish huge cut", tt.mode.Mode)) {
					continue // the status is all that it looks at
				}
				if name == "link" && strings.Contains("cut", tt.mode.Mode) {
					continue // bucket ids of storage are not core's: refused, then cut
				}
				var f *fault.Error
				if !errors.As(err, &f) || f.Kind != tt.kind || f.Detail != tt.detail {
					t.Errorf("%s: %v (%s), want %q (%s)", name, err, fault.KindOf(err), tt.detail, tt.kind)
				}
				if strings.Contains(fmt.Sprint(err), password) {
					t.Errorf("%s tells the password: %v", name, err)
				}
			}
			sim.SetMode(hubsim.Mode{Mode: "ok"})
			if _, err := c.Analysis(t.Context(), analysis); err != nil {
				t.Errorf("the hub is well again: %v", err)
			}
		})
	}
}

func TestALoginThatIsRefused(t *testing.T) {
	t.Parallel()
	_, c := simulated(t, hubsim.Options{Secret: "another"})
	_, err := c.Analysis(t.Context(), analysis)
	if !fault.Is(err, fault.Upstream) || hub.Status(err) != 400 || !strings.HasPrefix(err.Error(), "Hub returned an unexpected response (400)") {
		t.Errorf("a refused login: %v", err)
	}
}

func TestAHubThatIsNotThere(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	_, err := client(t, config(server.URL)).Analysis(t.Context(), analysis)
	if !fault.Is(err, fault.Unavailable) || !strings.HasPrefix(err.Error(), "The hub cannot be reached: nothing listens there.") {
		t.Errorf("nothing listens: %v", err)
	}
	_, err = client(t, config("http://no-such-host.invalid")).Analysis(t.Context(), analysis)
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "no-such-host.invalid") {
		t.Errorf("an unknown name: %v", err)
	}
}

func TestTheCallersContextDecides(t *testing.T) {
	t.Parallel()
	sim, c := simulated(t, hubsim.Options{})
	if _, err := c.Analysis(t.Context(), analysis); err != nil {
		t.Fatal(err)
	}
	sim.SetMode(hubsim.Mode{Mode: "hang"})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Analysis(gone, analysis); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who left: %v", err)
	}
	late, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Analysis(late, analysis); !fault.Is(err, fault.Timeout) {
		t.Errorf("a caller with less time: %v", err)
	}
}

func TestOneTokenForAll(t *testing.T) {
	t.Parallel()
	var logins atomic.Int32
	sim := hubsim.New(hubsim.Options{Dir: t.TempDir()})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/auth/token" {
			logins.Add(1)
		}
		sim.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	c := client(t, config(server.URL))
	ask := func() {
		t.Helper()
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if _, err := c.Analysis(t.Context(), analysis); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	ask()
	if n := logins.Load(); n != 1 {
		t.Errorf("twenty calls logged in %d times", n)
	}
	sim.RevokeTokens()
	ask()
	if n := logins.Load(); n < 2 || n > 4 {
		t.Errorf("after the token was revoked twenty calls logged in %d times more", n-1)
	}
	before := logins.Load()
	sim.SetMode(hubsim.Mode{Mode: "401-once", Path: "/core/"})
	ask()
	if n := logins.Load(); n != before+1 {
		t.Errorf("one refusal made %d logins", n-before)
	}
}

func TestTokensAreRenewedEarlyAndRefreshed(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var grants []string
	now := time.Unix(1000, 0)
	refuseRefresh, refuseAll := false, false
	mux := http.NewServeMux()
	mux.HandleFunc("POST /auth/token", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		kind := "password"
		if strings.Contains(string(body), `"refresh_token":"r"`) {
			kind = "refresh"
		}
		grants = append(grants, kind)
		if refuseAll || (kind == "refresh" && refuseRefresh) {
			w.WriteHeader(400)
			return
		}
		_, _ = io.WriteString(w, `{"access_token":"t","refresh_token":"r","expires_in":100,"token_type":"Bearer"}`)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"id":%q,"project_id":%q}`, analysis, analysis)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	c, err := hub.New(config(server.URL), clock, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	step := func(later time.Duration, set func(), works bool, want string) {
		t.Helper()
		mu.Lock()
		now = now.Add(later)
		grants = nil
		set()
		mu.Unlock()
		_, err := c.Analysis(t.Context(), analysis)
		mu.Lock()
		defer mu.Unlock()
		if got := strings.Join(grants, " "); got != want || (err == nil) != works {
			t.Errorf("after %v: grants %q, want %q; %v", later, got, want, err)
		}
	}
	step(0, func() {}, true, "password")
	step(74*time.Second, func() {}, true, "")
	step(2*time.Second, func() {}, true, "refresh")                                 // a quarter before its end
	step(80*time.Second, func() { refuseRefresh = true }, true, "refresh password") // falls back
	step(80*time.Second, func() { refuseAll = true }, true, "refresh password")     // the old one still holds
	step(30*time.Second, func() {}, false, "refresh password")                      // and now no more
}

func TestUploadsAreRepeatedWhenTheTokenIsRefused(t *testing.T) {
	t.Parallel()
	sim, c := simulated(t, hubsim.Options{})
	b, err := c.FindBucket(t.Context(), analysis, hub.Result)
	if err != nil {
		t.Fatal(err)
	}
	big := bytes.Repeat([]byte("x"), 1<<20)
	onlyReader := func(p []byte) io.Reader { return struct{ io.Reader }{bytes.NewReader(p)} }
	for name, tt := range map[string]struct {
		body io.Reader
		size int64
		ok   bool
	}{
		"seekable": {bytes.NewReader(big), 1 << 20, true},
		"small":    {onlyReader(big[:1000]), 1000, true},
		"stream":   {onlyReader(big), -1, false},
	} {
		sim.SetMode(hubsim.Mode{Mode: "401-once", Path: "/upload"})
		_, err := c.Upload(t.Context(), b.StorageID, name, "", tt.size, tt.body)
		if (err == nil) != tt.ok || (!tt.ok && hub.Status(err) != 401) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.Upload(t.Context(), b.StorageID, "later", "", -1, onlyReader(big)); err != nil {
		t.Errorf("after a refused token: %v", err)
	}
	for _, f := range sim.Received() {
		if f.Uploads != 1 || f.Size == 0 {
			t.Errorf("the hub received %+v", f)
		}
	}
}

func TestUploadsThatFailLeaveNothing(t *testing.T) {
	t.Parallel()
	sim, c := simulated(t, hubsim.Options{})
	ctx := t.Context()
	b, err := c.FindBucket(ctx, analysis, hub.Result)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the disk broke")
	for _, size := range []int64{-1, 2 << 20, 100} {
		body := io.MultiReader(strings.NewReader(strings.Repeat("x", 50)), iotest.ErrReader(broken))
		if _, err := c.Upload(ctx, b.StorageID, "broken", "", size, body); !errors.Is(err, broken) {
			t.Errorf("a body that fails, size %d: %v", size, err)
		}
	}
	for _, size := range []int64{1 << 20, 6, 4, 0} {
		for _, body := range []io.Reader{strings.NewReader("short"), bytes.NewBufferString("short")} {
			if _, err := c.Upload(ctx, b.StorageID, "short", "", size, body); err == nil || fault.Is(err, fault.Upstream) {
				t.Errorf("five bytes announced as %d: %v", size, err)
			}
		}
	}
	sim.SetMode(hubsim.Mode{Mode: "cut-upload", Path: "/upload"})
	if _, err := c.Upload(ctx, b.StorageID, "cut", "", -1, io.LimitReader(rand.Reader, 8<<20)); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a cut upload: %v", err)
	}
	if got := sim.Received(); len(got) != 0 {
		t.Errorf("the hub received %+v", got)
	}
}

// An upload whose answer was lost is found again, and its link is not made twice.
func TestInterruptedDeliveriesAreCompleted(t *testing.T) {
	t.Parallel()
	sim, c := simulated(t, hubsim.Options{})
	ctx := t.Context()
	b, err := c.FindBucket(ctx, analysis, hub.Result)
	if err != nil {
		t.Fatal(err)
	}
	sim.SetMode(hubsim.Mode{Mode: "cut", Count: 1, Path: "/upload"})
	if _, err := c.Upload(ctx, b.StorageID, `a "quoted"\name`, "", 5, strings.NewReader("12345")); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("a cut answer: %v", err)
	}
	_, err = c.Upload(ctx, b.StorageID, `a "quoted"\name`, "", 5, strings.NewReader("12345"))
	if hub.Status(err) != http.StatusConflict || !fault.Is(err, fault.Upstream) {
		t.Fatalf("the same name again: %v", err)
	}
	received := sim.Received()
	found, err := c.FindUploaded(ctx, b.StorageID, received[0].Path)
	if err != nil || len(found) != 1 {
		t.Fatalf("found %+v, %v", found, err)
	}
	sim.SetMode(hubsim.Mode{Mode: "cut", Count: 1, Path: "POST /core/analysis-bucket-files"})
	for range 3 {
		if err := c.Link(ctx, b.ID, found[0]); err != nil {
			t.Errorf("link: %v", err)
		}
	}
	if got := sim.Received(); len(got) != 1 || got[0].Linked != 1 {
		t.Errorf("the hub received %+v", got)
	}
}

func TestUploadAnswers(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		`{"data":[],"meta":{"total":0}}`:                                           "Expected single uploaded file to be returned by storage service, got 0",
		`{"data":[{"id":"` + analysis + `"},{"id":"` + analysis + `"}],"meta":{}}`: "Expected single uploaded file to be returned by storage service, got 2",
		`{"data":[{"id":"../x"}]}`:                                                 "Hub returned an unexpected response (unknown)",
		`{"data":null}`:                                                            "Hub returned an unexpected response (unknown)",
		`[]`:                                                                       "Hub returned an unexpected response (unknown)",
	} {
		c := answering(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(201)
			_, _ = io.WriteString(w, answer)
		})
		_, err := c.Upload(t.Context(), analysis, "f", "", 1, strings.NewReader("x"))
		var f *fault.Error
		if !errors.As(err, &f) || f.Detail != want || f.Kind != fault.Upstream {
			t.Errorf("%s: %v", answer, err)
		}
	}
}

func TestAStreamIsNeverAnErrorPage(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		kind   fault.Kind
	}{
		"hub error": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			_, _ = io.WriteString(w, `{"statusCode":500,"code":"x","message":"y"}`)
		}, fault.Upstream},
		"redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, fault.Upstream},
		"html": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>")
		}, fault.Upstream},
		"gzip": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Encoding", "gzip") }, fault.Upstream},
		"gone": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, fault.Missing},
	} {
		if _, err := answering(t, tt.answer).Stream(t.Context(), analysis); !fault.Is(err, tt.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAStreamThatEndsEarlyOrStallsFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		then func(r *http.Request)
		kind fault.Kind
	}{
		"cut":   {func(*http.Request) { panic(http.ErrAbortHandler) }, fault.Unavailable},
		"stall": {func(r *http.Request) { <-r.Context().Done() }, fault.Timeout},
	} {
		c := answering(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "half of it")
			_ = http.NewResponseController(w).Flush()
			tt.then(r)
		}, func(cfg *hub.Config) { cfg.UploadTimeout = 200 * time.Millisecond })
		r, err := c.Stream(t.Context(), analysis)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if string(got) != "half of it" || !fault.Is(err, tt.kind) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		_ = r.Close()
	}
}

func TestAnUploadMayTakeLongButNotStall(t *testing.T) {
	t.Parallel()
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(201)
		_, _ = fmt.Fprintf(w, `{"data":[{"id":%q,"name":"f","bucket_id":%q,"size":3}]}`, analysis, analysis)
	}, func(cfg *hub.Config) { cfg.UploadTimeout = 300 * time.Millisecond })
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	pieces := 0
	slow := readerFunc(func(p []byte) (int, error) { // 800 ms in all
		<-tick.C
		if pieces++; pieces > 8 {
			return 0, io.EOF
		}
		return copy(p, "x"), nil
	})
	if _, err := c.Upload(t.Context(), analysis, "f", "", -1, slow); err != nil {
		t.Errorf("a slow upload: %v", err)
	}
	stalled := answering(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}, func(cfg *hub.Config) { cfg.UploadTimeout = 200 * time.Millisecond })
	if _, err := stalled.Upload(t.Context(), analysis, "f", "", 1, strings.NewReader("x")); !fault.Is(err, fault.Timeout) {
		t.Errorf("a hub that does not answer an upload: %v", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// A hub that ignores our filters must not give us another analysis's bucket.
func TestFiltersAreNotTrusted(t *testing.T) {
	t.Parallel()
	other := uuid.NewString()
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		n := 50
		if r.URL.Query().Get("page[offset]") != "0" {
			n = 1
		}
		items := make([]string, n)
		for i := range items {
			items[i] = fmt.Sprintf(`{"id":%q,"type":"RESULT","external_id":%q,"analysis_id":%q,"path":"f","name":"f","bucket_id":null}`, uuid.NewString(), other, other)
		}
		if n == 1 {
			items = append(items, fmt.Sprintf(`{"id":%q,"type":"RESULT","external_id":%q,"analysis_id":%q}`, other, other, analysis))
		}
		_, _ = fmt.Fprintf(w, `{"data":[%s],"meta":{"total":52}}`, strings.Join(items, ","))
	}, func(cfg *hub.Config) { cfg.Generation = "a" })
	b, err := c.FindBucket(t.Context(), analysis, hub.Result)
	if err != nil || b.ID != other {
		t.Errorf("among many: %+v, %v", b, err)
	}
	if _, err := c.FindBucket(t.Context(), analysis, hub.Temp); !fault.Is(err, fault.Missing) {
		t.Errorf("only others': %v", err)
	}
	if found, err := c.FindUploaded(t.Context(), analysis, "f"); err != nil || len(found) != 0 {
		t.Errorf("files of other buckets: %+v, %v", found, err)
	}
}

// A hub that has no lists but those that the original asks for is still a hub.
func TestAHubWithoutTheListsThatOnlyWeAskFor(t *testing.T) {
	t.Parallel()
	links := 0
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			links++
			w.WriteHeader(201)
			_, _ = io.WriteString(w, `{}`)
			return
		}
		w.WriteHeader(405)
		_, _ = io.WriteString(w, `{"detail":"Method Not Allowed"}`)
	})
	if err := c.Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
	if found, err := c.FindUploaded(t.Context(), analysis, "f"); err != nil || len(found) != 0 {
		t.Errorf("find: %v, %v", found, err)
	}
	if err := c.Link(t.Context(), analysis, hub.File{ID: analysis, Name: "f"}); err != nil || links != 1 {
		t.Errorf("%d links, %v", links, err)
	}
}

func TestWrongRecordsAreRefused(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		`{"id":"` + uuid.NewString() + `","project_id":"` + analysis + `"}`, `{"id":"` + analysis + `"}`,
		`{"id":"` + analysis + `","project_id":null}`, `{"id":"` + analysis + `","project_id":"../x"}`, `null`, `[]`, `"x"`, ``, `{"data":null,"meta":{}}`,
	} {
		c := answering(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) })
		if _, err := c.Analysis(t.Context(), analysis); !fault.Is(err, fault.Upstream) {
			t.Errorf("%s: %v", answer, err)
		}
	}
}

func TestConfigurationsThatCannotWork(t *testing.T) {
	t.Parallel()
	good := config("https://hub.example")
	for name, change := range map[string]func(*hub.Config){
		"no core":          func(c *hub.Config) { c.CoreURL = "" },
		"user in address":  func(c *hub.Config) { c.StorageURL = "https://u:" + password + "@hub.example" },
		"odd scheme":       func(c *hub.Config) { c.AuthURL = "ftp://hub.example" },
		"flow":             func(c *hub.Config) { c.Flow = "magic" },
		"no password":      func(c *hub.Config) { c.Password = "" },
		"no robot":         func(c *hub.Config) { c.Flow = "robot" },
		"no client":        func(c *hub.Config) { c.Flow = "client"; c.ID = "x" },
		"generation":       func(c *hub.Config) { c.Generation = "z" },
		"proxy":            func(c *hub.Config) { c.ProxyHTTP = secret.String("socks://u:" + password + "@x") },
		"unparsable proxy": func(c *hub.Config) { c.ProxyHTTPS = secret.String("http://u:" + password + "%@x") },
		"no CA file":       func(c *hub.Config) { c.CAFile = "/no/such/file" },
	} {
		cfg := good
		change(&cfg)
		_, err := hub.New(cfg, time.Now, slog.New(slog.DiscardHandler))
		if err == nil || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := hub.New(good, time.Now, slog.New(slog.DiscardHandler)); err != nil {
		t.Error(err)
	}
}
