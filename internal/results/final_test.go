package results

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"lodge/internal/results/hub"
	"lodge/internal/results/hubsim"
)

// sent is what the simulated hub has of the analysis.
func (s *site) sent(analysis string) []hubsim.Received {
	var list []hubsim.Received
	for _, r := range s.sim.Received() {
		if r.AnalysisID == analysis && !r.Deleted {
			list = append(list, r)
		}
	}
	return list
}

// stored reads a file back from the simulated hub.
func (s *site) stored(id string) string {
	s.t.Helper()
	body, err := s.svc.hub.Stream(s.t.Context(), id)
	noError(s.t, err)
	defer func() { _ = body.Close() }()
	text, err := io.ReadAll(body)
	noError(s.t, err)
	return string(text)
}

// TestFinal is the reference's suite for /final: 204, and the hub has the bytes.
func TestFinal(t *testing.T) {
	t.Parallel()
	for _, generation := range []string{"a", "b", "c"} {
		for name, config := range map[string]func(*Config){"queued": func(*Config) {}, "at once": func(c *Config) { c.NoQueue = true }} {
			t.Run(generation+" "+name, func(t *testing.T) {
				t.Parallel()
				sim := hubsim.New(hubsim.Options{Dir: t.TempDir(), Generation: generation})
				t.Cleanup(func() { noError(t, sim.Close()) })
				s := newSite(t, withConfig(config), func(set *setup) {
					set.sim = sim
					if generation == "c" {
						set.hub.Flow = "client"
					}
				})
				id := uuid.NewString()
				for i, path := range []string{"/final", "/final/"} {
					part := sentPart{header: `name="file"; filename="a/result.csv"`, kind: "text/csv", body: fmt.Sprint("data", i)}
					a := s.put(path, analysis(t, id), part).is(t, http.StatusNoContent, "")
					equal(t, a.body, "")
				}
				list := s.sent(id)
				equal(t, len(list), 2)
				equal(t, list[0].Path, "a/result.csv")
				for i, r := range list {
					equal(t, r.Bucket, "RESULT")
					equal(t, r.Linked, 1)
					equal(t, r.Uploads, 1)
					equal(t, r.ContentType, "text/csv") // W13
					equal(t, s.stored(r.ID), fmt.Sprint("data", i))
				}
				// W12: the name was taken, so the second got one of its own, and overwrote nothing.
				if !strings.HasPrefix(list[1].Path, "a/result-") || !strings.HasSuffix(list[1].Path, ".csv") {
					t.Errorf("the second is called %q", list[1].Path)
				}
				s.put("/final", analysis(t, id)).is(t, 422, "")
				s.put("/final", analysis(t, id), file("", "nameless")).is(t, 204, "")
				equal(t, s.sent(id)[2].Name, unnamed)
				// What is delivered at once with a retention of nothing leaves nothing here.
				equal(t, len(s.keys("")), 0)
				equal(t, s.count("result_files"), 0)
			})
		}
	}
}

func TestFinalUnknownAnalysis(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]func(*Config){"queued": func(*Config) {}, "at once": func(c *Config) { c.NoQueue = true }} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, withConfig(config))
			id := strings.ToUpper(uuid.NewString())
			s.projectOf(id)
			s.deleteOnHub("analyses", strings.ToLower(id))
			s.put("/final", analysis(t, id), file("a", "1")).is(t, 404, "Result bucket for analysis with ID "+id+" was not found")
			s.put("/final/localdp", analysis(t, id), file("a", "1"), text("epsilon", "1"), text("sensitivity", "1")).
				is(t, 404, "Result bucket for analysis with ID "+id+" was not found")
			s.put("/intermediate", analysis(t, id), file("a", "1")).is(t, 404, "Temp bucket for analysis with ID "+id+" was not found")
			for _, table := range []string{"uploads", "work", "result_files"} {
				equal(t, s.count(table), 0)
			}
			equal(t, len(s.keys("")), 0)
		})
	}
}

// TestHubErrorsAtOnce are those of the original, which results.queue: off brings back, with the better
// statuses of the contract for a hub that is away.
func TestHubErrorsAtOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		mode   hubsim.Mode
		status int
		detail string
	}{
		"error":             {hubsim.Mode{Mode: "500"}, 502, "Hub returned an unexpected response (500)"},
		"forbidden":         {hubsim.Mode{Mode: "500", Status: 403}, 502, "Hub returned an unexpected response (403)"},
		"gateway":           {hubsim.Mode{Mode: "html"}, 502, "Hub returned an unexpected response (unknown)"},
		"rubbish":           {hubsim.Mode{Mode: "rubbish"}, 502, "Hub returned an unexpected response (unknown)"},
		"huge":              {hubsim.Mode{Mode: "huge", Path: "/core/"}, 502, "Hub returned an unexpected response (unknown)"},
		"down":              {hubsim.Mode{Mode: "down"}, 502, ""},
		"hang":              {hubsim.Mode{Mode: "hang"}, 504, "The hub did not answer in time."},
		"upload fails":      {hubsim.Mode{Mode: "500", Path: "/upload"}, 502, "Hub returned an unexpected response (500)"},
		"upload is cut":     {hubsim.Mode{Mode: "cut-upload", Path: "/upload"}, 502, ""},
		"link fails":        {hubsim.Mode{Mode: "500", Path: "POST /core/analysis-bucket-files"}, 502, "Hub returned an unexpected response (500)"},
		"token never holds": {hubsim.Mode{Mode: "401"}, 502, "Hub returned an unexpected response (401)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, asleep, withConfig(func(c *Config) { c.NoQueue = true }), withHub(func(c *hub.Config) {
				// Long, so that only silence runs into them, not a busy machine.
				c.Timeout, c.UploadTimeout = 20*time.Second, 20*time.Second
				if name == "hang" {
					c.Timeout, c.UploadTimeout = 300*time.Millisecond, 300*time.Millisecond
				}
			}))
			id := uuid.NewString()
			s.sim.SetMode(test.mode)
			for _, path := range []string{"/final", "/intermediate"} {
				s.put(path, analysis(t, id), file("a", "1")).is(t, test.status, test.detail)
			}
			s.sim.SetMode(hubsim.Mode{Mode: "ok"})
			// W11: a file that could not be linked does not stay.
			equal(t, len(s.sent(id)), 0)
			// A hub that hung may still cut what it held when it comes back.
			eventually(t, "the hub takes it", func() bool { return s.put("/final", analysis(t, id), file("a", "1")).StatusCode == 204 })
			equal(t, len(s.sent(id)), 1)
		})
	}
}

// TestTokenRefusedOnce goes on with a new token, also for uploads that stream.
func TestTokenRefusedOnce(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]func(*Config){"queued": func(*Config) {}, "at once": func(c *Config) { c.NoQueue = true }} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, withConfig(config))
			id := uuid.NewString()
			large := strings.Repeat("0123456789abcdef", 100_000)
			s.put("/final", analysis(t, id), file("a", large)).is(t, 204, "")
			s.sim.SetMode(hubsim.Mode{Mode: "401-once", Path: "/upload"})
			s.put("/final", analysis(t, id), file("b", large)).is(t, 204, "")
			equal(t, len(s.sent(id)), 2)
		})
	}
}

// TestNotProvisioned waits a little for a bucket that the hub is still making (W23).
func TestNotProvisioned(t *testing.T) {
	t.Parallel()
	sim := hubsim.New(hubsim.Options{Dir: t.TempDir(), ProvisionAfter: 1})
	t.Cleanup(func() { noError(t, sim.Close()) })
	s := newSite(t, func(set *setup) { set.sim = sim })
	id := uuid.NewString()
	s.put("/intermediate", analysis(t, id), file("a", "1")).is(t, 200, "")
	a := s.put("/final", analysis(t, id), file("a", "1"))
	if a.StatusCode == http.StatusAccepted { // the first attempt came too early
		s.waitFor(a.Header.Get("Location"), analysis(t, id), "delivered")
	} else {
		a.is(t, 204, "")
	}
	equal(t, len(s.sent(id)), 2)
}

// TestNeverProvisioned has an end to that wait: who waits gets 503, what is queued stays queued.
func TestNeverProvisioned(t *testing.T) {
	t.Parallel()
	sim := hubsim.New(hubsim.Options{Dir: t.TempDir(), ProvisionAfter: 1000})
	t.Cleanup(func() { noError(t, sim.Close()) })
	s := newSite(t, func(set *setup) { set.sim = sim })
	id := uuid.NewString()
	s.put("/intermediate", analysis(t, id), file("a", "1")).is(t, 503, "The hub has not made the temp bucket of analysis "+id+" yet")
	u := parse[UploadInfo](t, s.put("/final", analysis(t, id), file("a", "1")).is(t, 202, ""))
	equal(t, u.LastError, "The hub has not made the result bucket of analysis "+id+" yet")
	equal(t, len(s.sent(id)), 0)
	equal(t, parse[HubInfo](t, s.get("/hub", analysis(t, id)).is(t, 200, "")).Reachable, true)
}

func TestLocalDP(t *testing.T) {
	t.Parallel()
	s := newSite(t, withConfig(func(c *Config) { c.Retention = time.Hour }))
	id := uuid.NewString()
	auth := analysis(t, id)
	submit := func(value, epsilon, sensitivity string) answer {
		return s.put("/final/localdp", auth, file("n.txt", value), text("epsilon", epsilon), text("sensitivity", sensitivity))
	}
	submit("  1_000.5\n", " 1e-1 ", "2_0").is(t, 204, "")
	list := s.sent(id)
	equal(t, len(list), 1)
	equal(t, list[0].Path, "n.txt")
	noised, ok := parseFloat([]byte(s.stored(list[0].ID)))
	if !ok || noised == 1000.5 || math.Abs(noised-1000.5) > 200*60 {
		t.Errorf("%v is sent for 1000.5", noised)
	}
	equal(t, formatFloat(noised), s.stored(list[0].ID))
	// The raw value is nowhere: the stored object holds what was sent.
	keys := s.keys("final/")
	equal(t, len(keys), 1)
	body, _, err := s.bucket.Get(t.Context(), keys[0], 0, -1)
	noError(t, err)
	defer func() { _ = body.Close() }()
	text, err := io.ReadAll(body)
	noError(t, err)
	equal(t, string(text), formatFloat(noised))

	for _, value := range []string{"", "x", "1 2", "0x10", "1,5", strings.Repeat("1", maxNumber+1)} {
		submit(value, "1", "1").is(t, 400, "Uploaded file must contain a single numerical value.")
	}
	for _, value := range []string{"nan", "inf", "1e999"} {
		submit(value, "1", "1").is(t, 400, "The value in the file must be finite")
	}
	for _, p := range [][2]string{{"0", "1"}, {"1", "0"}, {"-1", "-1"}, {"inf", "1"}, {"1", "inf"}, {"nan", "1"}, {"1e300", "5e-324"}} {
		submit("1", p[0], p[1]).is(t, 400, "")
	}
	submit("1", "0x1", "").is(t, 422, `{"detail":[`+
		`{"type":"float_parsing","loc":["body","epsilon"],"msg":"Input should be a valid number, unable to parse string as a number","input":"0x1"},`+
		`{"type":"float_parsing","loc":["body","sensitivity"],"msg":"Input should be a valid number, unable to parse string as a number","input":""}]}`)
	s.put("/final/localdp", auth).is(t, 422, `{"detail":[{"type":"missing","loc":["body","file"],"msg":"Field required","input":null},`+
		`{"type":"missing","loc":["body","epsilon"],"msg":"Field required","input":null},{"type":"missing","loc":["body","sensitivity"],"msg":"Field required","input":null}]}`)
	equal(t, len(s.sent(id)), 1)
}

// TestDPBudget bounds how often an analysis may submit (W22).
func TestDPBudget(t *testing.T) {
	t.Parallel()
	s := newSite(t, withoutHub, withConfig(func(c *Config) { c.MaxSubmissions = 2 }))
	submit := func(client string) answer {
		return s.put("/final/localdp", analysis(t, client), file("n", "1"), text("epsilon", "1"), text("sensitivity", "1"))
	}
	submit("a").is(t, 202, "")
	submit("a").is(t, 202, "")
	submit("a").is(t, 429, "")
	submit("b").is(t, 202, "")
	equal(t, s.count("uploads"), 3)
}
