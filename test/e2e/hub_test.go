package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// hub is a simulated hub in a process of its own.
type hub struct {
	t testing.TB
	*place
	address string
	server  *process
}

// reservedHub is a hub that is not there yet, at an address that will be its own.
func reservedHub(t testing.TB) *hub {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	noError(t, err)
	defer func() { _ = l.Close() }()
	return &hub{t: t, place: newPlace(t), address: l.Addr().String()}
}

func startHub(t testing.TB) *hub {
	t.Helper()
	h := reservedHub(t)
	h.start()
	return h
}

func (h *hub) start() {
	h.t.Helper()
	h.server = h.serve(h.t, theBinary(h.t), "simulate", "hub", "--listen", h.address)
}

func (h *hub) url() string { return "http://" + h.address }

// at makes the site use the hub.
func at(h *hub) setting {
	return all(with("LODGE_RESULTS_HUB_URL", h.url()), with("LODGE_RESULTS_HUB_ID", "lodge"), with("LODGE_RESULTS_HUB_SECRET", "any"))
}

func (h *hub) call(method, path, token string, body, into any) {
	h.t.Helper()
	text, err := json.Marshal(body)
	noError(h.t, err)
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.url()+path, strings.NewReader(string(text)))
	noError(h.t, err)
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	noError(h.t, err)
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	noError(h.t, err)
	if resp.StatusCode/100 != 2 {
		h.t.Fatalf("%s %s of the hub: %s %s", method, path, resp.Status, answer)
	}
	if into != nil {
		noError(h.t, json.Unmarshal(answer, into))
	}
}

// mode is how the hub behaves from now on.
type mode struct {
	Mode    string `json:"mode"`
	Count   int    `json:"count,omitempty"`
	Path    string `json:"path,omitempty"`
	DelayMS int    `json:"delay_ms,omitempty"`
}

func (h *hub) behave(m mode) {
	h.t.Helper()
	h.call(http.MethodPost, "/control", "", m, nil)
}

// received is a file that the hub got.
type received struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Size       int64  `json:"size"`
	SHA256     string `json:"sha256"`
	Bucket     string `json:"bucket"`
	AnalysisID string `json:"analysis_id"`
	ProjectID  string `json:"project_id"`
	Linked     int    `json:"linked"`
	Uploads    int    `json:"uploads"`
	Deleted    bool   `json:"deleted"`
}

// received is what the hub got of an analysis.
func (h *hub) received(analysis string) []received {
	h.t.Helper()
	var list []received
	h.call(http.MethodGet, "/received?analysis="+analysis, "", nil, &list)
	return list
}

// once demands that the hub got the file once and whole.
func (r received) once(t testing.TB, sha256 string) {
	t.Helper()
	if r.Uploads != 1 || r.Linked != 1 || r.Deleted || r.SHA256 != sha256 {
		t.Fatalf("the hub has %+v, want it once, linked, with SHA-256 %s", r, sha256)
	}
}

// login gives a token of the hub.
func (h *hub) login() string {
	h.t.Helper()
	var token struct {
		AccessToken string `json:"access_token"`
	}
	h.call(http.MethodPost, "/auth/token", "", map[string]string{"grant_type": "robot_credentials", "id": "any", "secret": "any"}, &token)
	return token.AccessToken
}

// addNode makes a node known with its public key.
func (h *hub) addNode(id, publicKey string) {
	h.t.Helper()
	h.call(http.MethodPost, "/core/nodes", h.login(), map[string]string{"id": id, "name": "node-" + id, "public_key": publicKey}, nil)
}

// projectOf is the project that the hub gives an analysis.
func (h *hub) projectOf(analysis string) string {
	h.t.Helper()
	var found struct {
		ProjectID string `json:"project_id"`
	}
	h.call(http.MethodGet, fmt.Sprintf("/core/analyses/%s", analysis), h.login(), nil, &found)
	return found.ProjectID
}
