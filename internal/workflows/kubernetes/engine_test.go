package kubernetes

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"

	"lodge/internal/fault"
	"lodge/internal/workflows"
)

const (
	began   = `"startedAt":"2026-01-02T03:04:05Z"`
	ended   = began + `,"finishedAt":"2026-01-02T03:04:09Z"`
	root    = `"id":"JOB","name":"JOB","displayName":"JOB","type":"Pod","templateName":"00000000-0000-4000-8000-000000000001"`
	running = `{"phase":"Running",` + began + `,"nodes":{"JOB":{` + root + `,"phase":"Running",` + began + `}}}`
	done    = `{"phase":"Succeeded",` + ended + `,"nodes":{"JOB":{` + root + `,"phase":"Succeeded",` + ended + `,"outputs":{"exitCode":"0","parameters":[{"name":"o","value":"8"}]}}}}`
	failed  = `{"phase":"Failed","message":"main: Error (exit code 3)",` + ended + `,"nodes":{"JOB":{` + root + `,"phase":"Failed","message":"main: Error (exit code 3)",` + ended + `}}}`
)

// A job is handed over as a Workflow of its name, and what becomes of that is what became of the job.
func TestJobRuns(t *testing.T) {
	t.Parallel()
	s := newSite(t, newCluster(t), func(c *Config) { c.ServiceAccount = "steps" })
	job := s.submit()
	u := s.object(job)
	if labels := u.GetLabels(); labels[labelInstallation] != "here" || labels[labelJob] != job.String() || u.GetAnnotations()[noteRound] != "0" {
		t.Errorf("it is marked %v %v", labels, u.GetAnnotations())
	}
	if account := text(members(u.Object, "spec"), "serviceAccountName"); account != "steps" {
		t.Errorf("it runs as %q", account)
	}
	s.pod(job.String(), corev1.PodRunning)
	s.write(job.String(), "one\n")
	s.play(job, running)
	s.becomes(job, workflows.Running)
	s.eventually("the log is seen while the step runs", func() bool { return s.log(job, job.String()) == "one\n" })
	s.write(job.String(), "one\ntwo")
	s.pod(job.String(), corev1.PodSucceeded)
	s.play(job, done)
	s.becomes(job, workflows.Succeeded)
	if got := s.log(job, job.String()); got != "one\ntwo\n" {
		t.Errorf("the log is %q", got)
	}
	outputs, _, err := s.svc.JobOutputs(s.ctx, job)
	must(t, err)
	if len(outputs) != 1 || outputs[0].Name != "o" || outputs[0].Value != "8" {
		t.Errorf("it gives %v", outputs)
	}
	must(t, s.svc.DeleteJob(s.ctx, job))
	if _, err := s.engine.in("w").Get(s.ctx, job.String(), metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the Workflow of a deleted job is still there: %v", err)
	}
}

// Handing over again, and seeing the same again, changes nothing.
func TestAgainIsNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	s := newSite(t, c)
	job := s.submit()
	before := s.object(job)
	taken, err := s.svc.Take(s.ctx, job)
	must(t, err)
	must(t, s.engine.Start(s.ctx, taken.Order))
	if after := s.object(job); after.GetResourceVersion() != before.GetResourceVersion() {
		t.Error("it was written again")
	}
	s.write(job.String(), "one\n")
	s.play(job, running)
	s.becomes(job, workflows.Running)
	events := func() int {
		n, err := s.db.Query(t.Context(), "SELECT seq FROM wf_job_events WHERE job = ?", job.String())
		must(t, err)
		defer func() { _ = n.Close() }()
		all := 0
		for n.Next() {
			all++
		}
		must(t, n.Err())
		return all
	}
	s.eventually("an event", func() bool { return events() == 1 })
	s.stop()

	// The next life sees what the first one has told.
	again := newSite(t, c)
	again.version = s.version
	again.write(job.String(), "one\ntwo\n")
	again.eventually("the log goes on", func() bool { return again.log(job, job.String()) == "one\ntwo\n" })
	if n := events(); n != 1 {
		t.Errorf("%d events were told", n)
	}
	again.play(job, done)
	again.becomes(job, workflows.Succeeded)
	if got := again.log(job, job.String()); got != "one\ntwo\n" {
		t.Errorf("the log is %q", got)
	}
}

// What somebody else has made under the job's name is not ours.
func TestForeignWorkflowStays(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	s := newSite(t, c)
	job := s.submit()
	s.object(job)
	taken, err := s.svc.Take(s.ctx, job)
	must(t, err)
	u := s.object(job)
	u.SetLabels(map[string]string{labelInstallation: "elsewhere", labelJob: job.String()})
	s.update(u)
	if err := s.engine.Start(s.ctx, taken.Order); !fault.Is(err, fault.Invalid) {
		t.Errorf("handing over: %v", err)
	}
	must(t, s.engine.Forget(s.ctx, job))
	s.object(job)
}

func TestRefusalEndsTheJob(t *testing.T) {
	t.Parallel()
	workflow := schema.GroupResource{Group: "argoproj.io", Resource: "workflows"}
	for name, test := range map[string]struct {
		err  error
		says string
	}{
		"a webhook":    {apierrors.NewForbidden(workflow, "x", errors.New("admission webhook says no")), "webhook says no"},
		"validation":   {apierrors.NewBadRequest("spec.templates is odd"), "spec.templates is odd"},
		"size":         {apierrors.NewRequestEntityTooLargeError("limit is 3145728"), "larger than the cluster takes"},
		"etcd's size":  {apierrors.NewInternalError(errors.New("etcdserver: request is too large")), "larger than the cluster takes"},
		"no namespace": {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "w"), "no namespace w"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			c.objects.PrependReactor("create", "workflows", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, test.err })
			s := newSite(t, c)
			job := s.submit()
			s.becomes(job, workflows.Errored)
			var message string
			must(t, s.db.QueryRow(t.Context(), "SELECT message FROM wf_jobs WHERE uid = ?", job.String()).Scan(&message))
			if !strings.Contains(message, test.says) {
				t.Errorf("it says %q", message)
			}
		})
	}
}

// A cluster that is away is asked again: the row that is there without a Workflow gets one.
func TestAbsenceIsWaitedFor(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	away := true
	c.objects.PrependReactor("get", "workflows", func(clienttesting.Action) (bool, runtime.Object, error) {
		if away {
			away = false
			return true, nil, apierrors.NewServiceUnavailable("restarting")
		}
		return false, nil, nil
	})
	s := newSite(t, c)
	job := s.submit()
	s.object(job)
	if p := s.phase(job); p != workflows.Pending {
		t.Errorf("it is %s", p)
	}
}

func TestTerminate(t *testing.T) {
	t.Parallel()
	s := newSite(t, newCluster(t))
	job := s.submit()
	s.play(job, running)
	s.becomes(job, workflows.Running)
	must(t, s.svc.Terminate(s.ctx, job))
	if how := text(members(s.object(job).Object, "spec"), "shutdown"); how != "Terminate" {
		t.Errorf("its shutdown is %q", how)
	}
}

// A job whose Workflow was deleted has ended.
func TestDeletedWorkflowEndsTheJob(t *testing.T) {
	t.Parallel()
	s := newSite(t, newCluster(t))
	job := s.submit()
	s.play(job, running)
	s.becomes(job, workflows.Running)
	must(t, s.engine.in("w").Delete(s.ctx, job.String(), metav1.DeleteOptions{}))
	s.becomes(job, workflows.Errored)
}

// A job that is retried goes on in the same Workflow, and in a new one of the same content when the
// first is gone.
func TestRetry(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string]bool{"in place": false, "anew": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, newCluster(t))
			job := s.submit()
			s.write(job.String(), "first\n")
			s.pod(job.String(), corev1.PodFailed)
			s.play(job, failed)
			s.becomes(job, workflows.Failed)
			if gone {
				must(t, s.engine.in("w").Delete(s.ctx, job.String(), metav1.DeleteOptions{}))
			}
			must(t, s.svc.RetryJob(s.ctx, job))
			s.eventually("the Workflow is in its second round", func() bool { return roundOf(s.object(job)) == 1 })
			if _, err := s.engine.core.CoreV1().Pods("w").Get(s.ctx, job.String(), metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				t.Errorf("the pod of the first round is still there: %v", err)
			}
			u := s.object(job)
			if status := members(u.Object, "status"); text(status, "phase") != "Running" || len(members(status, "nodes")) != 0 || status["finishedAt"] != nil {
				t.Errorf("its status is %v", status)
			}
			s.write(job.String(), "second\n")
			s.play(job, strings.ReplaceAll(done, "03:04:05", "03:05:05"))
			s.becomes(job, workflows.Succeeded)
			if got := s.log(job, job.String()); got != "first\nsecond\n" {
				t.Errorf("the log is %q", got)
			}
		})
	}
}

// The Workflow of a job that has ended goes after a while; the job stays.
func TestWorkflowGoes(t *testing.T) {
	t.Parallel()
	s := newSite(t, newCluster(t), func(c *Config) { c.Keep = 0 })
	job := s.submit()
	s.write(job.String(), "one\n")
	s.play(job, done)
	s.becomes(job, workflows.Succeeded)
	s.eventually("the Workflow goes", func() bool {
		_, err := s.engine.in("w").Get(s.ctx, job.String(), metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	if s.phase(job) != workflows.Succeeded || s.log(job, job.String()) != "one\n" {
		t.Error("the job went with it")
	}
}

func TestPlainErrors(t *testing.T) {
	t.Parallel()
	workflow := schema.GroupResource{Group: "argoproj.io", Resource: "workflows"}
	unknown := &apierrors.StatusError{ErrStatus: metav1.Status{Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound, Message: "the server could not find the requested resource"}}
	for _, test := range []struct {
		err  error
		kind fault.Kind
		says string
	}{
		{unknown, fault.Unavailable, "install Argo"},
		{apierrors.NewServerTimeout(workflow, "get", 1), fault.Unavailable, "does not answer"},
		{apierrors.NewConflict(workflow, "x", errors.New("changed")), fault.Unavailable, ""},
		{context.DeadlineExceeded, fault.Unavailable, ""},
		{apierrors.NewInvalid(schema.GroupKind{Kind: "Workflow"}, "x", nil), fault.Invalid, "refused"},
	} {
		if err := plain(test.err); !fault.Is(err, test.kind) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%v becomes %v", test.err, err)
		}
	}
	if plain(nil) != nil {
		t.Error("nothing becomes something")
	}
}

func TestNamesOfOthersAreLeftAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t, newCluster(t))
	for _, name := range []string{"not-a-uuid", uuid.NewString()} {
		u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow"}}
		u.SetName(name)
		u.SetNamespace("w")
		u.SetLabels(map[string]string{labelInstallation: "here", labelJob: name})
		_, err := s.engine.in("w").Create(s.ctx, u, metav1.CreateOptions{})
		must(t, err)
		job := s.submit() // seen after it
		s.play(job, done)
		s.becomes(job, workflows.Succeeded)
		if _, err := s.engine.in("w").Get(s.ctx, name, metav1.GetOptions{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
