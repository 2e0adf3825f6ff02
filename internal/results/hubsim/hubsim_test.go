package hubsim_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"lodge/internal/results/hubsim"
)

const analysis = "0192f3a1-0000-7000-8000-000000000001"

// user talks to a simulated hub as curl would.
type user struct {
	t     *testing.T
	url   string
	token string
}

func start(t *testing.T, opts hubsim.Options) (*hubsim.Sim, *user) {
	t.Helper()
	opts.Dir = t.TempDir()
	sim := hubsim.New(opts)
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(func() {
		_ = sim.Close()
		server.Close()
	})
	u := &user{t: t, url: server.URL}
	_, answer := u.do("POST", "/auth/token", `{"grant_type":"password","username":"u","password":"p"}`)
	u.token, _ = answer["access_token"].(string)
	return sim, u
}

func (u *user) do(method, path, body string) (int, map[string]any) {
	u.t.Helper()
	return u.send(method, path, "application/json", strings.NewReader(body))
}

func (u *user) send(method, path, contentType string, body io.Reader) (int, map[string]any) {
	u.t.Helper()
	req, err := http.NewRequestWithContext(u.t.Context(), method, u.url+path, body)
	if err != nil {
		u.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Authorization", "Bearer "+u.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(resp.Body)
	var v map[string]any
	if json.Unmarshal(text, &v) != nil {
		v = map[string]any{"text": string(text)}
	}
	return resp.StatusCode, v
}

func (u *user) upload(bucket, name, content string) (int, map[string]any) {
	u.t.Helper()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	part, err := w.CreateFormFile("whatever", name)
	if err != nil {
		u.t.Fatal(err)
	}
	_, _ = io.WriteString(part, content)
	_ = w.Close()
	return u.send("POST", "/storage/buckets/"+bucket+"/upload", w.FormDataContentType(), &form)
}

func (u *user) first(path string) map[string]any {
	u.t.Helper()
	_, v := u.do("GET", path, "")
	data, _ := v["data"].([]any)
	if len(data) == 0 {
		u.t.Fatalf("GET %s gave %v", path, v)
	}
	m, _ := data[0].(map[string]any)
	return m
}

func TestTheReferencesSuiteFindsWhatItNeeds(t *testing.T) {
	t.Parallel()
	_, u := start(t, hubsim.Options{})
	u.first("/auth/realms?filter%5Bname%5D=master")
	image := u.first("/core/master-images?filter%5Bpath%5D=python%2Fbase")
	if _, ok := image["command_arguments"].([]any); !ok {
		t.Errorf("the command arguments of %v are no list", image)
	}
	status, project := u.do("POST", "/core/projects", `{"name":"p","description":"d","master_image_id":null}`)
	if status != 201 {
		t.Fatalf("creating a project answered %d %v", status, project)
	}
	status, made := u.do("POST", "/core/analyses", fmt.Sprintf(`{"name":"a","project_id":%q,"image_command_arguments":[]}`, project["id"]))
	if status != 201 || made["project_id"] != project["id"] {
		t.Fatalf("creating an analysis answered %d %v", status, made)
	}
	_, buckets := u.do("GET", "/core/analysis-buckets?filter%5Banalysis_id%5D="+fmt.Sprint(made["id"]), "")
	if data, _ := buckets["data"].([]any); len(data) != 3 {
		t.Errorf("the analysis has the buckets %v", buckets)
	}
	status, node := u.do("POST", "/core/nodes", `{"name":"n","external_name":null,"hidden":false,"type":"default"}`)
	if status != 201 || node["public_key"] != nil {
		t.Fatalf("creating a node answered %d %v", status, node)
	}
	status, node = u.do("POST", "/core/nodes/"+fmt.Sprint(node["id"]), `{"public_key":"-----BEGIN PUBLIC KEY-----"}`)
	if want := hex.EncodeToString([]byte("-----BEGIN PUBLIC KEY-----")); status != 202 || node["public_key"] != want {
		t.Errorf("giving the node a key answered %d %v", status, node)
	}
	for _, path := range []string{"/core/nodes/" + fmt.Sprint(node["id"]), "/core/analyses/" + fmt.Sprint(made["id"]), "/core/projects/" + fmt.Sprint(project["id"])} {
		if status, _ := u.do("DELETE", path, ""); status != 202 {
			t.Errorf("DELETE %s answered %d", path, status)
		}
		if status, v := u.do("GET", path, ""); status != 404 || v["statusCode"] != 404.0 {
			t.Errorf("GET %s after its deletion answered %d %v", path, status, v)
		}
	}
}

func TestAnyAnalysisExistsAndStaysTheSame(t *testing.T) {
	t.Parallel()
	_, one := start(t, hubsim.Options{})
	_, two := start(t, hubsim.Options{})
	path := "/core/analysis-buckets?filter%5Btype%5D=RESULT&filter%5Banalysis_id%5D=" + analysis
	a, b := one.first(path), two.first(path)
	if a["id"] != b["id"] || a["external_id"] != b["external_id"] || a["external_id"] == nil {
		t.Errorf("two hubs gave the buckets %v and %v", a, b)
	}
	_, found := one.do("GET", "/core/analyses/"+analysis, "")
	if status, _ := one.do("GET", "/core/projects/"+fmt.Sprint(found["project_id"]), ""); status != 200 {
		t.Errorf("the analysis %v has no project: %d", found, status)
	}
}

func TestAPathThatIsTakenIsOverwrittenAndRefused(t *testing.T) {
	t.Parallel()
	sim, u := start(t, hubsim.Options{})
	bucket := u.first("/core/analysis-buckets?filter%5Btype%5D=RESULT&filter%5Banalysis_id%5D=" + analysis)
	storage := fmt.Sprint(bucket["external_id"])
	status, made := u.upload(storage, "same.bin", "first")
	if status != 201 {
		t.Fatalf("the first upload answered %d %v", status, made)
	}
	if status, _ := u.upload(storage, "same.bin", "second"); status != 409 {
		t.Errorf("the second upload answered %d", status)
	}
	got := sim.Received()
	sum := sha256.Sum256([]byte("second"))
	if len(got) != 1 || got[0].Uploads != 2 || got[0].SHA256 != hex.EncodeToString(sum[:]) || got[0].Linked != 0 {
		t.Errorf("the hub received %+v", got)
	}
	if got[0].AnalysisID != analysis || got[0].Bucket != "RESULT" || got[0].ProjectID == "" {
		t.Errorf("the hub does not know where %+v belongs", got[0])
	}
	status, stream := u.do("GET", "/storage/bucket-files/"+got[0].ID+"/stream", "")
	if status != 200 || stream["text"] != "second" {
		t.Errorf("the file streams as %d %v", status, stream)
	}
}

func TestFiltersThatAreNotAllowedAreIgnored(t *testing.T) {
	t.Parallel()
	_, u := start(t, hubsim.Options{})
	u.do("GET", "/core/analyses/"+analysis, "")
	q := url.Values{"filter[colour]": {"red"}, "sort": {"-created_at"}, "page[limit]": {"2"}, "page[offset]": {"1"}}
	_, v := u.do("GET", "/core/analysis-buckets?"+q.Encode(), "")
	data, _ := v["data"].([]any)
	meta, _ := v["meta"].(map[string]any)
	if len(data) != 2 || meta["total"] != 3.0 || data[0].(map[string]any)["type"] != "RESULT" {
		t.Errorf("the list is %v", v)
	}
}

func TestGenerationsSpeakDifferently(t *testing.T) {
	t.Parallel()
	for generation, want := range map[string]struct{ query, storageID, keys, robot string }{
		"a": {"filter%5Banalysis_id%5D=", "external_id", "analysis_id", "200"},
		"b": {"filter%5Banalysis_id%5D=", "bucket_id", "analysis_id", "200"},
		"c": {"filter%5BanalysisId%5D=", "bucketId", "analysisId", "400"},
	} {
		t.Run(generation, func(t *testing.T) {
			t.Parallel()
			_, u := start(t, hubsim.Options{Generation: generation})
			bucket := u.first("/core/analysis-buckets?" + want.query + analysis)
			if bucket[want.storageID] == nil || bucket[want.keys] != analysis {
				t.Errorf("a bucket is %v", bucket)
			}
			status, _ := u.do("POST", "/auth/token", `{"grant_type":"robot_credentials","id":"i","secret":"s"}`)
			if fmt.Sprint(status) != want.robot {
				t.Errorf("a robot's login answers %d", status)
			}
			_, single := u.do("GET", "/core/analyses/"+analysis, "")
			if _, wrapped := single["data"]; wrapped != (generation == "c") {
				t.Errorf("an analysis is %v", single)
			}
		})
	}
}

func TestFailsOnDemand(t *testing.T) {
	t.Parallel()
	_, u := start(t, hubsim.Options{})
	tests := []struct {
		control string
		status  int
		text    string
	}{
		{`{"mode":"down"}`, 0, ""},
		{`{"mode":"401-once"}`, 401, ""},
		{`{"mode":"500","count":1}`, 500, ""},
		{`{"mode":"500","status":503,"count":1,"path":"GET /core/"}`, 503, ""},
		{`{"mode":"html","count":1}`, 502, "<html>"},
		{`{"mode":"rubbish","count":1}`, 200, "{]"},
		{`{"mode":"slow","delay_ms":1,"count":1}`, 200, ""},
		{`{"mode":"500","path":"/storage/"}`, 200, ""},
	}
	for _, tt := range tests {
		if status, v := u.do("POST", "/control", tt.control); status != 200 {
			t.Fatalf("%s answered %d %v", tt.control, status, v)
		}
		status, v := u.do("GET", "/core/analyses/"+analysis, "")
		if text, _ := v["text"].(string); status != tt.status || !strings.HasPrefix(text, tt.text) {
			t.Errorf("with %s the hub answered %d %v", tt.control, status, v)
		}
		if strings.Contains(tt.control, "count") || strings.Contains(tt.control, "once") {
			if status, _ := u.do("GET", "/core/analyses/"+analysis, ""); status != 200 {
				t.Errorf("after %s the hub still answers %d", tt.control, status)
			}
		}
	}
	if status, _ := u.do("POST", "/control", `{"mode":"sulk"}`); status != 400 {
		t.Error("an unknown mode was taken")
	}
	u.do("POST", "/control", `{"mode":"ok","revoke_tokens":true}`)
	if status, _ := u.do("GET", "/core/analyses/"+analysis, ""); status != 401 {
		t.Errorf("a revoked token answers %d", status)
	}
	u.do("POST", "/control", `{"secret":"right"}`)
	if status, _ := u.do("POST", "/auth/token", `{"grant_type":"password","username":"u","password":"wrong"}`); status != 400 {
		t.Errorf("a wrong password answers %d", status)
	}
}
