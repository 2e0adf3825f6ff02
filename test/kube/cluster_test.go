//go:build kube

package kube

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	address = "https://10.213.0.2:6443"
	tools   = "../../tools/kube"
	busybox = "lodge.test/busybox:1"
)

// site is the cluster that these stories are told on.
type site struct {
	folder string
	token  string
	http   *http.Client
}

// theSite is opened by TestMain: the cluster is there once, and so is this.
var theSite site

func TestMain(m *testing.M) {
	if err := open(); err != nil {
		fmt.Fprintln(os.Stderr, "there is no cluster to tell stories on; `make e2e-kube` starts one:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func open() error {
	theSite.folder = os.Getenv("LODGE_KUBE_RUN")
	token, err := os.ReadFile(filepath.Join(theSite.folder, "token"))
	if err != nil {
		return err
	}
	authority, err := os.ReadFile(filepath.Join(theSite.folder, "pki", "apiserver.crt"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	theSite.token = strings.TrimSpace(string(token))
	theSite.http = &http.Client{
		Timeout:   20 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
	}
	for name, source := range map[string]string{testApp: "lodge/internal/drivertest/testapp", demoApp: "lodge/examples/apps/demo"} {
		if err := image(name, source, "app", "/bin/app", "10001"); err != nil {
			return err
		}
	}
	return image("img:latest", "./testdata/run", "run") // which Lodge's golden files name
}

// image makes one that holds a program and a folder to write to. more are its entry point and its user.
func image(name, source, program string, more ...string) error {
	folder, err := os.MkdirTemp("", "img")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	for _, sub := range []string{"bin", "tmp"} {
		if err := os.Mkdir(filepath.Join(folder, sub), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(filepath.Join(folder, "tmp"), 0o777|os.ModeSticky); err != nil {
		return err
	}
	build := exec.Command("go", "build", "-o", filepath.Join(folder, "bin", program), source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	load := exec.Command("bash", append([]string{"-c", `source lib.sh && load "$@"`, "load", name, folder}, more...)...)
	load.Dir = tools
	for _, c := range []*exec.Cmd{build, load} {
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", c, err, out)
		}
	}
	return nil
}

// restart ends one of the cluster's processes without a warning and starts it again.
func restart(t *testing.T, name string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "./restart", name, "-9")
	c.Dir = tools
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("restart %s: %v: %s", name, err, out)
	}
}

// caller is somebody who asks the API server.
type caller struct {
	t     testing.TB
	token string
}

func admin(t testing.TB) caller { return caller{t, theSite.token} }

// try sends a request; a text is sent as YAML, an object as JSON. The answer's body is read into into.
func (c caller) try(method, path string, body, into any) (int, error) {
	var text []byte
	kind := "application/json"
	switch b := body.(type) {
	case nil:
	case string:
		text, kind = []byte(b), "application/yaml"
	default:
		var err error
		if text, err = json.Marshal(b); err != nil {
			return 0, err
		}
	}
	if method == http.MethodPatch {
		kind = "application/merge-patch+json"
	}
	// Not the test's own context: what cleans up comes after its end.
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address+path, bytes.NewReader(text))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", kind)
	resp, err := theSite.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode >= 300 {
		return resp.StatusCode, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	switch to := into.(type) {
	case nil:
		return resp.StatusCode, nil
	case *string:
		*to = string(answer)
		return resp.StatusCode, nil
	default:
		return resp.StatusCode, json.Unmarshal(answer, into)
	}
}

func (c caller) do(method, path string, body, into any) {
	c.t.Helper()
	if _, err := c.try(method, path, body, into); err != nil {
		c.t.Fatal(err)
	}
}

func (c caller) get(path string, into any) {
	c.t.Helper()
	c.do(http.MethodGet, path, nil, into)
}

// namespace makes one for the test, with the secret that Lodge keeps in a workspace.
func (c caller) namespace() string {
	c.t.Helper()
	var made object
	c.do(http.MethodPost, "/api/v1/namespaces", `{"metadata":{"generateName":"story-"}}`, &made)
	name := made.Metadata.Name
	c.t.Cleanup(func() { _, _ = c.try(http.MethodDelete, "/api/v1/namespaces/"+name, nil, nil) })
	c.do(http.MethodPost, "/api/v1/namespaces/"+name+"/secrets", `{"metadata":{"name":"flowify-default"},"stringData":{"KEY":"secret of KEY"}}`, nil)
	eventually(c.t, "the service account of "+name, func() bool {
		_, err := c.try(http.MethodGet, "/api/v1/namespaces/"+name+"/serviceaccounts/default", nil, nil)
		return err == nil
	})
	return name
}

// object is what all of them have.
type object struct {
	Metadata struct {
		Name        string            `json:"name"`
		UID         string            `json:"uid"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
}

// pod is what is looked at of one.
type pod struct {
	object
	Spec struct {
		NodeName       string  `json:"nodeName"`
		InitContainers []named `json:"initContainers"`
		Containers     []named `json:"containers"`
	} `json:"spec"`
	Status struct {
		Phase             string `json:"phase"`
		PodIP             string `json:"podIP"`
		ContainerStatuses []struct {
			Name  string `json:"name"`
			Ready bool   `json:"ready"`
			State struct {
				Terminated *struct {
					ExitCode int    `json:"exitCode"`
					Reason   string `json:"reason"`
				} `json:"terminated"`
			} `json:"state"`
		} `json:"containerStatuses"`
	} `json:"status"`
}

type named struct {
	Name string `json:"name"`
}

// members are further ones, in YAML, of a pod's spec and of its container.
type members struct{ pod, container string }

// run starts a pod of one container and waits until it has ended.
func (c caller) run(namespace, name string, more members, command ...string) pod {
	c.t.Helper()
	c.start(namespace, name, more, command...)
	var p pod
	eventually(c.t, "the end of the pod "+name, func() bool {
		_, err := c.try(http.MethodGet, "/api/v1/namespaces/"+namespace+"/pods/"+name, nil, &p)
		return err == nil && (p.Status.Phase == "Succeeded" || p.Status.Phase == "Failed")
	})
	return p
}

// start starts a pod of one container.
func (c caller) start(namespace, name string, more members, command ...string) {
	c.t.Helper()
	words, err := json.Marshal(command)
	if err != nil {
		c.t.Fatal(err)
	}
	c.do(http.MethodPost, "/api/v1/namespaces/"+namespace+"/pods", fmt.Sprintf(
		"{metadata: {name: %[1]s, labels: {app: %[1]s}}, spec: {restartPolicy: Never, dnsPolicy: Default, "+
			"containers: [{name: main, image: %[2]s, command: %[3]s, %[4]s}], %[5]s}}", name, busybox, words, more.container, more.pod), nil)
}

func (c caller) log(namespace, pod, container string) string {
	c.t.Helper()
	var text string
	c.get("/api/v1/namespaces/"+namespace+"/pods/"+pod+"/log?container="+container, &text)
	return text
}

// patience is how long a story waits for what must happen on a busy machine.
const patience = 3 * time.Minute

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for pause := 20 * time.Millisecond; !is(); pause = min(2*pause, 500*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
		<-time.After(pause)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func contains(t testing.TB, what, text, part string) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Errorf("%s: %q is not in it:\n%s", what, part, text)
	}
}
