package kubernetes

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	authorization "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"

	"lodge/internal/workflows"
)

// The statuses here are in the form that a controller was seen to write.
func workflowOf(t *testing.T, status string) string {
	t.Helper()
	return `{"apiVersion":"argoproj.io/v1alpha1","kind":"Workflow","metadata":{"name":"wf","namespace":"w","uid":"u","resourceVersion":"5",
		"labels":{"lodge.installation":"here","workflows.argoproj.io/completed":"true","workflows.argoproj.io/phase":"Failed"},
		"managedFields":[{"manager":"x"}]},"spec":{"entrypoint":"g","shutdown":"Terminate","activeDeadlineSeconds":9},"status":` + status + `}`
}

const nodes = `{
	"wf":{"id":"wf","name":"wf","displayName":"wf","type":"DAG","templateName":"g","phase":"Failed","message":"m","startedAt":"2026-01-02T03:04:05Z","finishedAt":"2026-01-02T03:05:05Z","children":["wf-1"],"outboundNodes":["wf-4"],
		"outputs":{"parameters":[{"name":"o","value":"8"}]}},
	"wf-1":{"id":"wf-1","name":"wf.A","type":"Pod","templateName":"t1","phase":"Succeeded","startedAt":"2026-01-02T03:04:05Z","finishedAt":"2026-01-02T03:04:15Z","children":["wf-2","wf-3"]},
	"wf-2":{"id":"wf-2","name":"wf.B","type":"Pod","templateName":"t2","phase":"Failed","startedAt":"2026-01-02T03:04:16Z","finishedAt":"2026-01-02T03:04:26Z","children":["wf-4"]},
	"wf-3":{"id":"wf-3","name":"wf.C","type":"Skipped","templateName":"t2","phase":"Skipped","startedAt":"2026-01-02T03:04:16Z","finishedAt":"2026-01-02T03:04:16Z"},
	"wf-4":{"id":"wf-4","name":"wf.D","type":"Skipped","templateName":"t2","phase":"Omitted","startedAt":"2026-01-02T03:04:26Z","finishedAt":"2026-01-02T03:04:26Z"},
	"wf-5":{"id":"wf-5","name":"wf.E","type":"Pod","templateName":"t2","phase":"Pending","startedAt":"2026-01-02T03:04:26Z"},
	"wf-6":{"id":"wf-6","name":"wf.F","type":"Pod","templateName":"t2","phase":"Running","startedAt":"2026-01-02T03:04:26Z","finishedAt":null}}`

func TestStates(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]workflows.State{
		`{}`:                    {Phase: workflows.Pending},
		`{"phase":""}`:          {Phase: workflows.Pending},
		`{"phase":"Pending"}`:   {Phase: workflows.Pending},
		`{"phase":"Running"}`:   {Phase: workflows.Running},
		`{"phase":"Succeeded"}`: {Phase: workflows.Succeeded},
		`{"phase":"Failed","message":"main: Error (exit code 3)"}`: {Phase: workflows.Failed, Message: "main: Error (exit code 3)"},
		`{"phase":"Error","message":"x"}`:                          {Phase: workflows.Errored, Message: "x"},
	} {
		u, err := object(json.RawMessage(workflowOf(t, status)))
		must(t, err)
		s, err := read(u)
		must(t, err)
		if s.state.Phase != want.Phase || s.state.Message != want.Message {
			t.Errorf("%s is %s %q", status, s.state.Phase, s.state.Message)
		}
	}
}

func TestStepsAreRead(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	_, err := zip.Write([]byte(nodes))
	must(t, err)
	must(t, zip.Close())
	for name, in := range map[string]string{
		"plain":  `"nodes":` + nodes,
		"packed": `"compressedNodes":"` + base64.StdEncoding.EncodeToString(packed.Bytes()) + `"`,
	} {
		u, err := object(json.RawMessage(workflowOf(t, `{"phase":"Succeeded","startedAt":"2026-01-02T03:04:05Z","finishedAt":"2026-01-02T03:05:05Z",`+in+`}`)))
		must(t, err)
		s, err := read(u)
		must(t, err)
		var said []string
		for _, one := range s.steps {
			said = append(said, one.name+" "+one.pod)
			if one.begun != strings.ContainsAny(one.name, "ABF") || one.ended != strings.ContainsAny(one.name, "AB") {
				t.Errorf("%s: %s has begun %v, has ended %v", name, one.name, one.begun, one.ended)
			}
		}
		// The numbers are those that pages make of the names, too.
		if got := strings.Join(said, ", "); got != "wf.A wf-t1-3498999265, wf.B wf-t2-3448666408, wf.E wf-t2-3566109741, wf.F wf-t2-3515776884" {
			t.Errorf("%s: the steps are %s", name, got)
		}
		if s.state.Started == nil || s.state.Finished == nil {
			t.Errorf("%s: it has no times", name)
		}
		var shown struct {
			Metadata map[string]any
			Status   struct {
				Nodes   map[string]any
				Outputs struct {
					Parameters []struct{ Name, Value string }
				}
			}
		}
		must(t, json.Unmarshal(s.state.Object, &shown))
		if len(shown.Status.Nodes) != 7 || shown.Metadata["managedFields"] != nil || len(shown.Status.Outputs.Parameters) != 1 {
			t.Errorf("%s: it is shown as %s", name, s.state.Object)
		}
		if u.Object["metadata"].(map[string]any)["managedFields"] == nil {
			t.Errorf("%s: the cache's object was changed", name)
		}
	}
}

func TestPackedNonsense(t *testing.T) {
	t.Parallel()
	for _, packed := range []string{"?", "bm9uc2Vuc2U=", "H4sI"} {
		u, err := object(json.RawMessage(workflowOf(t, `{"compressedNodes":"`+packed+`"}`)))
		must(t, err)
		if _, err := read(u); err == nil {
			t.Errorf("%s could be read", packed)
		}
	}
}

// What succeeded stays, what failed is gone, graphs go on.
func TestRevive(t *testing.T) {
	t.Parallel()
	u, err := object(json.RawMessage(workflowOf(t, `{"phase":"Failed","message":"m","startedAt":"2026-01-02T03:04:05Z","finishedAt":"2026-01-02T03:05:05Z","conditions":[],"nodes":`+nodes+`}`)))
	must(t, err)
	pods, err := revive(u)
	must(t, err)
	if got := strings.Join(pods, ", "); got != "wf-t2-3448666408, wf-t2-3515776884, wf-t2-3566109741" {
		t.Errorf("these pods go: %s", got)
	}
	text, err := json.Marshal(u.Object)
	must(t, err)
	const want = `{"apiVersion":"argoproj.io/v1alpha1","kind":"Workflow","metadata":{"labels":{"lodge.installation":"here"},"managedFields":[{"manager":"x"}],"name":"wf","namespace":"w","resourceVersion":"5","uid":"u"},"spec":{"entrypoint":"g"},"status":{"finishedAt":null,"nodes":{` +
		`"wf":{"children":["wf-1"],"displayName":"wf","finishedAt":null,"id":"wf","name":"wf","outboundNodes":[],"phase":"Running","startedAt":"2026-01-02T03:04:05Z","templateName":"g","type":"DAG"},` +
		`"wf-1":{"children":["wf-3"],"finishedAt":"2026-01-02T03:04:15Z","id":"wf-1","name":"wf.A","phase":"Succeeded","startedAt":"2026-01-02T03:04:05Z","templateName":"t1","type":"Pod"},` +
		`"wf-3":{"finishedAt":"2026-01-02T03:04:16Z","id":"wf-3","name":"wf.C","phase":"Skipped","startedAt":"2026-01-02T03:04:16Z","templateName":"t2","type":"Skipped"}},` +
		`"phase":"Running","startedAt":"2026-01-02T03:04:05Z"}}`
	if string(text) != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	bare(u)
	if u.GetUID() != "" || u.GetResourceVersion() != "" || u.GetManagedFields() != nil || u.GetName() != "wf" || u.GetLabels()["lodge.installation"] != "here" {
		t.Errorf("bare it is %v", u.Object["metadata"])
	}
}

// TestChecks is what a site hears of its cluster.
func TestChecks(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.core.PrependReactor("create", "selfsubjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		asked := a.(clienttesting.CreateAction).GetObject().(*authorization.SelfSubjectAccessReview)
		asked.Status.Allowed = asked.Spec.ResourceAttributes.Resource != "workflows" && asked.Spec.ResourceAttributes.Verb != "watch"
		return true, asked, nil
	})
	s := newSite(t, c)
	must(t, s.engine.Check(t.Context()))
	missing, err := s.engine.Examine(t.Context())
	must(t, err)
	if got := strings.Join(missing, "; "); got != "Lodge may not get, list, watch, create, update, patch, delete, deletecollection workflows; Lodge may not watch configmaps in lodge" {
		t.Errorf("it says %s", got)
	}
	for verb, test := range map[string]struct {
		err  error
		says string
	}{
		"rights": {apierrors.NewForbidden(schema.GroupResource{Resource: "workflows"}, "", nil), "lodge-workflows.yaml"},
		"login":  {apierrors.NewUnauthorized("who?"), "renew the credentials"},
		"kind":   {apierrors.NewNotFound(schema.GroupResource{Resource: "workflows"}, ""), "install Argo"},
		"away":   {errors.New("connection refused"), "check kubernetes.kubeconfig"},
	} {
		c := newCluster(t)
		c.objects.PrependReactor("list", "workflows", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, test.err })
		e := newEngine(Config{}, c.objects, c.core, nil, time.Now, slog.New(slog.DiscardHandler))
		if err := e.Check(t.Context()); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", verb, err)
		}
	}
}
