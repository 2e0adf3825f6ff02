//go:build kube

package kube

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPodRuns(t *testing.T) {
	t.Parallel()
	c := admin(t)
	ns := c.namespace()
	began := time.Now()
	p := c.run(ns, "hello", members{}, "sh", "-c", "echo out; echo err >&2; exit 7")
	t.Logf("from create to the end: %s", time.Since(began).Round(100*time.Millisecond))
	equal(t, "phase", p.Status.Phase, "Failed")
	equal(t, "node", p.Spec.NodeName, "lodge-node")
	end := p.Status.ContainerStatuses[0].State.Terminated
	equal(t, "exit code", end.ExitCode, 7)
	equal(t, "reason", end.Reason, "Error")
	log := c.log(ns, "hello", "main") // the two streams meet in any order
	contains(t, "log", log, "out\n")
	contains(t, "log", log, "err\n")
}

// Limits are the kernel's.
func TestLimitHolds(t *testing.T) {
	t.Parallel()
	c := admin(t)
	ns := c.namespace()
	limit := members{container: "resources: {limits: {memory: 24Mi}}"}
	p := c.run(ns, "greedy", limit, "dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1")
	equal(t, "phase", p.Status.Phase, "Failed")
	equal(t, "reason", p.Status.ContainerStatuses[0].State.Terminated.Reason, "OOMKilled")
}

// A service is reached from where Lodge runs, and so is a pod. The policy is taken by the API server;
// the network here enforces none, which is for a site's own to do.
func TestServiceIsReached(t *testing.T) {
	t.Parallel()
	c := admin(t)
	ns := c.namespace()
	c.start(ns, "web", members{}, "sh", "-c", "echo hello from a pod >/tmp/index.html; exec httpd -f -p 8080 -h /tmp")
	var service struct {
		Spec struct {
			ClusterIP string `json:"clusterIP"`
		} `json:"spec"`
	}
	c.do(http.MethodPost, "/api/v1/namespaces/"+ns+"/services",
		"{metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}", &service)
	policies := "/apis/networking.k8s.io/v1/namespaces/" + ns + "/networkpolicies"
	c.do(http.MethodPost, policies, "{metadata: {name: alone}, spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}", nil)
	var listed struct {
		Items []object `json:"items"`
	}
	c.get(policies, &listed)
	equal(t, "policies", len(listed.Items), 1)

	outside := &http.Client{Timeout: 2 * time.Second}
	fetch := func(address string) string {
		resp, err := outside.Get("http://" + address + "/index.html")
		if err != nil {
			return ""
		}
		defer func() { _ = resp.Body.Close() }()
		text, _ := io.ReadAll(resp.Body)
		return string(text)
	}
	eventually(t, "the answer of the service", func() bool { return fetch(service.Spec.ClusterIP) == "hello from a pod\n" })
	var p pod
	c.get("/api/v1/namespaces/"+ns+"/pods/web", &p)
	equal(t, "the pod itself", fetch(p.Status.PodIP+":8080"), "hello from a pod\n")

	asked := c.run(ns, "asks", members{}, "wget", "-q", "-O", "-", "http://"+service.Spec.ClusterIP+"/index.html")
	equal(t, "who asks from another pod", asked.Status.Phase, "Succeeded")
	equal(t, "what it got", c.log(ns, "asks", "main"), "hello from a pod\n")
}

// A pod reaches what listens on the host's end of the link, as Lodge may.
func TestHostIsReached(t *testing.T) {
	t.Parallel()
	c := admin(t)
	ns := c.namespace()
	listener, err := net.Listen("tcp", "10.213.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello from the host\n")
	}))
	_ = host.Listener.Close()
	host.Listener = listener
	host.Start()
	t.Cleanup(host.Close)
	c.run(ns, "asks", members{}, "wget", "-q", "-O", "-", host.URL)
	equal(t, "what the pod got", c.log(ns, "asks", "main"), "hello from the host\n")
}

// A claim is bound to a folder of its own, which belongs to the pod's group, outlives the pod, and
// goes with the claim.
func TestClaimIsBound(t *testing.T) {
	t.Parallel()
	c := admin(t)
	ns := c.namespace()
	claims := "/api/v1/namespaces/" + ns + "/persistentvolumeclaims"
	c.do(http.MethodPost, claims, "{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}", nil)
	more := members{
		pod: "securityContext: {runAsUser: 65532, runAsNonRoot: true, fsGroup: 65532}, " +
			"volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]",
		container: "volumeMounts: [{name: data, mountPath: /data}]",
	}
	wrote := c.run(ns, "writes", more, "sh", "-c", "id -u >/data/who")
	equal(t, "who writes", wrote.Status.Phase, "Succeeded")
	read := c.run(ns, "reads", more, "cat", "/data/who")
	equal(t, "who reads", read.Status.Phase, "Succeeded")
	equal(t, "what was kept", c.log(ns, "reads", "main"), "65532\n")

	var claim struct {
		Spec struct {
			VolumeName string `json:"volumeName"`
		} `json:"spec"`
		Status struct {
			Phase string `json:"phase"`
		} `json:"status"`
	}
	c.get(claims+"/data", &claim)
	equal(t, "the claim", claim.Status.Phase, "Bound")
	folder := filepath.Join(theSite.folder, "volumes", claim.Spec.VolumeName)
	if _, err := os.Stat(folder); err != nil {
		t.Error(err)
	}
	for _, p := range []string{"writes", "reads"} {
		c.do(http.MethodDelete, "/api/v1/namespaces/"+ns+"/pods/"+p, nil, nil)
	}
	c.do(http.MethodDelete, claims+"/data", nil, nil)
	eventually(t, "the end of the volume", func() bool {
		_, err := os.Stat(folder)
		code, _ := c.try(http.MethodGet, "/api/v1/persistentvolumes/"+claim.Spec.VolumeName, nil, nil)
		return os.IsNotExist(err) && code == http.StatusNotFound
	})
}

// A service account may do what its role says, where it says so.
func TestRightsHold(t *testing.T) {
	t.Parallel()
	c := admin(t)
	ns, other := c.namespace(), c.namespace()
	c.do(http.MethodPost, "/api/v1/namespaces/"+ns+"/serviceaccounts", "{metadata: {name: lodge}}", nil)
	roles := "/apis/rbac.authorization.k8s.io/v1/namespaces/" + ns
	c.do(http.MethodPost, roles+"/roles", `{metadata: {name: lodge}, rules: [{apiGroups: [argoproj.io], resources: [workflows], verbs: [list]}]}`, nil)
	c.do(http.MethodPost, roles+"/rolebindings", "{metadata: {name: lodge}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: lodge}, "+
		"subjects: [{kind: ServiceAccount, name: lodge, namespace: "+ns+"}]}", nil)
	var answer struct {
		Status struct {
			Token string `json:"token"`
		} `json:"status"`
	}
	c.do(http.MethodPost, "/api/v1/namespaces/"+ns+"/serviceaccounts/lodge/token", "{spec: {expirationSeconds: 600}}", &answer)
	lodge := caller{t, answer.Status.Token}
	workflows := func(ns string) string { return "/apis/argoproj.io/v1alpha1/namespaces/" + ns + "/workflows" }
	eventually(t, "the role", func() bool {
		_, err := lodge.try(http.MethodGet, workflows(ns), nil, nil)
		return err == nil
	})
	for what, status := range map[string]func() (int, error){
		"another namespace": func() (int, error) { return lodge.try(http.MethodGet, workflows(other), nil, nil) },
		"to create":         func() (int, error) { return lodge.try(http.MethodPost, workflows(ns), "{}", nil) },
		"pods":              func() (int, error) { return lodge.try(http.MethodGet, "/api/v1/namespaces/"+ns+"/pods", nil, nil) },
	} {
		code, err := status()
		if code != http.StatusForbidden {
			t.Errorf("%s: got %d (%v), want 403", what, code, err)
		}
	}
}

// What a watcher holds can be lost and taken up again from where it was.
func TestWatchIsResumed(t *testing.T) {
	t.Parallel()
	c := admin(t)
	ns := c.namespace()
	path := "/api/v1/namespaces/" + ns + "/configmaps"
	var list struct {
		Metadata struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
	}
	c.get(path, &list)
	for _, name := range []string{"one", "two"} {
		c.do(http.MethodPost, path, "{metadata: {name: "+name+"}}", nil)
	}
	var text string
	c.get(path+"?watch=true&timeoutSeconds=2&resourceVersion="+list.Metadata.ResourceVersion, &text)
	var seen []string
	for line := range strings.Lines(text) {
		var event struct {
			Type   string `json:"type"`
			Object object `json:"object"`
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatal(err)
		}
		if name := event.Object.Metadata.Name; name == "one" || name == "two" {
			seen = append(seen, event.Type+" "+name)
		}
	}
	equal(t, "events", strings.Join(seen, ", "), "ADDED one, ADDED two")
}
