//go:build kube

package kube

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// jobSite is a server of the built binary whose jobs run on the cluster.
type jobSite struct {
	t    *testing.T
	dir  string
	env  []string
	url  string
	cmd  *exec.Cmd
	root jobCaller
}

// startJobSite starts a site of its own, with a namespace of its own for its configuration.
func startJobSite(t *testing.T, env ...string) *jobSite {
	t.Helper()
	l := &jobSite{t: t, dir: t.TempDir()}
	l.env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + l.dir, "TMPDIR=" + l.dir,
		"LODGE_WORKFLOWS_ENGINE=argo", "LODGE_KUBERNETES_KUBECONFIG=" + account(t), "LODGE_WORKFLOWS_FIRST_WORKSPACE=",
	}, env...)
	l.root = l.person("root", "--admin")
	l.start()
	t.Cleanup(func() {
		l.stop(syscall.SIGTERM)
		if t.Failed() {
			text, _ := os.ReadFile(filepath.Join(l.dir, "log"))
			lines := strings.Split(string(text), "\n")
			var told []string
			for _, line := range lines {
				if !strings.Contains(line, "msg=request") {
					told = append(told, line)
				}
			}
			t.Logf("the log ends with:\n%s", strings.Join(told[max(0, len(told)-60):], "\n"))
		}
	})
	return l
}

// account has the rights of deploy/kubernetes/lodge-workflows.yaml and no others; it gives a kubeconfig.
func account(t *testing.T) string {
	t.Helper()
	path, err := theAccount()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// theAccount makes it once.
var theAccount = sync.OnceValues(func() (string, error) {
	c := caller{token: theSite.token}
	text, err := os.ReadFile("../../deploy/kubernetes/lodge-workflows.yaml")
	if err != nil {
		return "", err
	}
	places := map[string]string{
		"Namespace": "/api/v1/namespaces", "ServiceAccount": "/api/v1/namespaces/lodge/serviceaccounts",
		"ClusterRole":        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
		"ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
		"Role":               "/apis/rbac.authorization.k8s.io/v1/namespaces/lodge/roles",
		"RoleBinding":        "/apis/rbac.authorization.k8s.io/v1/namespaces/lodge/rolebindings",
	}
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var one map[string]any
		if err := d.Decode(&one); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return "", err
		}
		if status, err := c.try(http.MethodPost, places[one["kind"].(string)], one, nil); err != nil && status != http.StatusConflict {
			return "", err
		}
	}
	var made struct{ Status struct{ Token string } }
	if _, err := c.try(http.MethodPost, "/api/v1/namespaces/lodge/serviceaccounts/lodge/token", map[string]any{"spec": map[string]any{"expirationSeconds": 7200}}, &made); err != nil {
		return "", err
	}
	admins, err := os.ReadFile(filepath.Join(theSite.folder, "kubeconfig"))
	if err != nil {
		return "", err
	}
	path := filepath.Join(theSite.folder, "lodge.kubeconfig")
	return path, os.WriteFile(path, bytes.ReplaceAll(admins, []byte(theSite.token), []byte(made.Status.Token)), 0o600)
})

func binary(t *testing.T) string {
	t.Helper()
	path := os.Getenv("LODGE_BIN")
	if path == "" {
		path = "../../bin/lodge"
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var listening = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

func (l *jobSite) start() {
	l.t.Helper()
	l.cmd = exec.CommandContext(context.Background(), binary(l.t), "serve", "--no-simulator", "--data", filepath.Join(l.dir, "data"), "--listen", "127.0.0.1:0")
	l.cmd.Dir, l.cmd.Env = l.dir, l.env
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log, err := os.OpenFile(filepath.Join(l.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	l.cmd.Stderr = log
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := l.cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	found := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if at := listening.FindString(lines.Text()); at != "" {
				select {
				case found <- at:
				default:
				}
			}
		}
	}()
	select {
	case l.url = <-found:
	case <-time.After(time.Minute):
		text, _ := os.ReadFile(filepath.Join(l.dir, "log"))
		l.t.Fatalf("the server did not start:\n%s", text)
	}
}

func (l *jobSite) stop(how syscall.Signal) {
	if l.cmd.ProcessState != nil {
		return
	}
	_ = l.cmd.Process.Signal(how)
	_ = l.cmd.Wait()
}

// kill ends the server as a power cut does, and starts it again.
func (l *jobSite) kill() {
	l.t.Helper()
	l.stop(syscall.SIGKILL)
	l.start()
}

// command runs one of the administrator's commands.
func (l *jobSite) command(args ...string) (string, error) {
	c := exec.CommandContext(l.t.Context(), binary(l.t), append(args, "--data", filepath.Join(l.dir, "data"))...)
	c.Dir, c.Env = l.dir, l.env
	var wrong bytes.Buffer
	c.Stderr = &wrong
	out, err := c.Output()
	if err != nil {
		err = fmt.Errorf("lodge %s: %w: %s", strings.Join(args, " "), err, wrong.String())
	}
	return strings.TrimSpace(string(out)), err
}

// jobCaller is somebody who calls the server.
type jobCaller struct {
	l     *jobSite
	token string
}

func (l *jobSite) person(name string, args ...string) jobCaller {
	l.t.Helper()
	token, err := l.command(append([]string{"token", "create", "--name", name}, args...)...)
	if err != nil {
		l.t.Fatal(err)
	}
	return jobCaller{l, token}
}

const api = "/workflows/api/v1"

// try calls, and gives the status and the body.
func (p jobCaller) try(method, path string, body any) (int, string) {
	p.l.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		p.l.t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
	defer stop()
	r, err := http.NewRequestWithContext(ctx, method, p.l.url+api+path, bytes.NewReader(text))
	if err != nil {
		p.l.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+p.token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	if at := resp.Header.Get("Location"); at != "" && resp.StatusCode == http.StatusCreated {
		return resp.StatusCode, at[strings.LastIndex(at, "/")+1:]
	}
	return resp.StatusCode, string(answer)
}

func (p jobCaller) do(method, path string, body any, status int) string {
	p.l.t.Helper()
	got, answer := p.try(method, path, body)
	if got != status && (status != anyStatus || got >= 300) {
		p.l.t.Fatalf("%s %s: %d, not %d: %s", method, path, got, status, answer)
	}
	return answer
}

func (p jobCaller) get(path string) string {
	p.l.t.Helper()
	return p.do(http.MethodGet, path, nil, http.StatusOK)
}

// workspace makes one for a role of the test's own, and gives its name.
func (l *jobSite) workspace(roles ...any) string {
	l.t.Helper()
	name := fmt.Sprintf("story-%08x", rand.Uint32())
	if len(roles) == 0 {
		roles = []any{"story"}
	}
	l.root.do(http.MethodPost, "/workspaces/", map[string]any{"name": name, "roles": roles}, http.StatusCreated)
	l.t.Cleanup(func() { _, _ = admin(l.t).try(http.MethodDelete, "/api/v1/namespaces/"+name, nil, nil) })
	return name
}

// run submits a component with its input values and gives the job.
func (p jobCaller) run(workspace string, component any, values map[string]any) running {
	p.l.t.Helper()
	return running{p, p.do(http.MethodPost, "/jobs/", jobOf(workspace, component, values), http.StatusCreated), workspace}
}

func jobOf(workspace string, component any, values map[string]any) map[string]any {
	list := []any{}
	for name, v := range values {
		list = append(list, map[string]any{"target": name, "value": v})
	}
	workflow := map[string]any{"type": "workflow", "name": "story", "workspace": workspace, "component": component}
	return map[string]any{"job": map[string]any{"type": "job", "workflow": workflow, "inputValues": list}}
}

// running is a job.
type running struct {
	jobCaller
	id, workspace string
}

func (j running) status() string {
	_, text := j.try(http.MethodGet, "/jobs/"+j.id+"/status", nil)
	var s struct{ Status string }
	_ = json.Unmarshal([]byte(text), &s)
	return s.Status
}

// ends waits for the job's end.
func (j running) ends(as string) {
	j.l.t.Helper()
	got := ""
	eventually(j.l.t, "the end of the job", func() bool {
		got = j.status()
		return got == "Succeeded" || got == "Failed" || got == "Error"
	})
	if got != as {
		j.l.t.Fatalf("the job ended as %s, not %s: %s", got, as, j.get("/workflows/"+j.workspace+"/"+j.id))
	}
}

// object is what Lodge says of the job's Workflow.
func (j running) object() (s state) {
	j.l.t.Helper()
	if status, text := j.try(http.MethodGet, "/workflows/"+j.workspace+"/"+j.id, nil); status == http.StatusOK {
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			j.l.t.Fatal(err)
		}
	}
	return s
}

func (j running) begun(display string) {
	j.l.t.Helper()
	eventually(j.l.t, display+" to run", func() bool { return j.object().find(display).Phase == "Running" })
}

// node is the node of that name as it stands in paths.
func (j running) node(display string) string {
	j.l.t.Helper()
	n := j.object().find(display)
	if n.ID == "" {
		j.l.t.Fatalf("the job has no node %s", display)
	}
	return n.ID
}

func (j running) log(display string) string {
	j.l.t.Helper()
	return j.get("/jobs/" + j.id + "/logs/" + j.node(display) + "/text")
}

func (j running) output(name string) string {
	j.l.t.Helper()
	return j.get("/jobs/" + j.id + "/outputs/" + name)
}

// workflow is its Workflow in the cluster.
func (j running) workflow() workflow { return workflow{admin(j.l.t), j.workspace, j.id} }

// brick writes a component that runs a script of a shell: its inputs are $1, $2 and so on, its
// outputs are written to /tmp/NAME. Inputs that end in [] are lists.
func brick(in, out, script string) map[string]any {
	args, results := []any{}, []any{}
	for _, name := range strings.Fields(in) {
		if !strings.HasSuffix(name, "!") {
			args = append(args, map[string]any{"source": map[string]any{"port": name}, "target": map[string]any{"type": "parameter"}})
		}
	}
	for _, name := range strings.Fields(out) {
		results = append(results, map[string]any{"source": map[string]any{"file": "/tmp/" + name}, "target": map[string]any{"port": name}})
	}
	container := map[string]any{"name": "c", "image": busybox, "command": []string{"sh", "-ec", script, "step"}}
	return component(in, out, map[string]any{"type": "brick", "args": args, "results": results, "container": container})
}

func component(in, out string, implementation map[string]any) map[string]any {
	ports := func(names string) []any {
		list := []any{}
		for _, name := range strings.Fields(names) {
			kind := "parameter"
			switch {
			case strings.HasSuffix(name, "[]"):
				kind = "parameter_array"
			case strings.HasSuffix(name, "!"):
				kind = "env_secret"
			}
			list = append(list, map[string]any{"name": strings.TrimRight(name, "[]!"), "type": kind})
		}
		return list
	}
	uid := fmt.Sprintf("%08x-0000-4000-8000-%012x", rand.Uint32(), rand.Uint64N(1<<48))
	return map[string]any{"type": "component", "uid": uid, "inputs": ports(in), "outputs": ports(out), "implementation": implementation}
}

// wires writes "a.x>b.y x>c.z" as edges or mappings.
func wires(text string) []any {
	list := []any{}
	end := func(p string) map[string]any {
		if node, port, ok := strings.Cut(p, "."); ok {
			return map[string]any{"node": node, "port": port}
		}
		return map[string]any{"port": p}
	}
	for _, one := range strings.Fields(text) {
		from, to, _ := strings.Cut(one, ">")
		list = append(list, map[string]any{"source": end(from), "target": end(to)})
	}
	return list
}

// graph writes a graph of nodes a, b and so on.
func graph(in, out, mapIn, mapOut, edges string, nodes ...map[string]any) map[string]any {
	list := []any{}
	for i, n := range nodes {
		list = append(list, map[string]any{"id": string(rune('a' + i)), "node": n})
	}
	return component(in, out, map[string]any{
		"type": "graph", "nodes": list, "edges": wires(edges), "inputMappings": wires(mapIn), "outputMappings": wires(mapOut),
	})
}
