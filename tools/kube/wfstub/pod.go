package main

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lodge/tools/kube/internal/step"
)

const (
	executorImage = "lodge.test/wfexec:1"
	waitName      = "wait"
	// straggling is how long the other containers may go on when main is gone.
	straggling = 30 * time.Second
)

// newPod makes a step's pod: package step says how its containers work together.
func (o *operation) newPod(n *node, t *template) (*corev1.Pod, error) {
	s := o.scopeOf(n)
	var user corev1.Container
	if err := s.fillJSON(t.Container, &user); err != nil {
		return nil, err
	}
	if len(user.Command) == 0 {
		return nil, fmt.Errorf("%w: run an image's own command", errUnsupported)
	}
	plan, err := json.Marshal(o.plan(n, t))
	if err != nil {
		return nil, err
	}
	hostFolder := corev1.HostPathDirectory
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: o.podName(n), Namespace: o.object.GetNamespace(),
			Labels: map[string]string{labelWorkflow: o.name(), labelCompleted: "false"},
			Annotations: map[string]string{
				noteNodeName: n.Name, noteNodeID: n.ID, "kubectl.kubernetes.io/default-container": defaultMainName,
			},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(o.object, o.object.GroupVersionKind())},
		},
		Spec: corev1.PodSpec{
			RestartPolicy:      corev1.RestartPolicyNever,
			DNSPolicy:          corev1.DNSDefault, // the cluster has none of its own
			ServiceAccountName: o.spec.ServiceAccountName,
			Volumes: []corev1.Volume{
				{Name: "var-run-argo", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
				{Name: "input-artifacts", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
				{Name: "artifact-store", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: o.store, Type: &hostFolder}}},
			},
		},
	}
	shared := corev1.VolumeMount{Name: "var-run-argo", MountPath: step.Shared}
	store := corev1.VolumeMount{Name: "artifact-store", MountPath: step.Store}
	executor := corev1.Container{Image: executorImage, ImagePullPolicy: corev1.PullIfNotPresent, VolumeMounts: []corev1.VolumeMount{shared, store}}

	prepare := executor
	prepare.Name, prepare.Command = "init", []string{"/wfexec", "init"}
	prepare.Env = []corev1.EnvVar{{Name: step.PlanEnv, Value: string(plan)}}
	prepare.VolumeMounts = []corev1.VolumeMount{shared, store, {Name: "input-artifacts", MountPath: step.Inputs}}
	pod.Spec.InitContainers = []corev1.Container{prepare}

	wait := executor
	wait.Name, wait.Command = waitName, []string{"/wfexec", "wait"}

	for _, v := range o.spec.Volumes {
		if slices.ContainsFunc(user.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == v.Name }) {
			pod.Spec.Volumes = append(pod.Spec.Volumes, v)
		}
	}
	user.Name = defaultMainName
	if user.ImagePullPolicy == "" {
		user.ImagePullPolicy = corev1.PullIfNotPresent // there is no registry here
	}
	user.Command = append([]string{step.Program, "run", "--"}, user.Command...)
	user.VolumeMounts = append(user.VolumeMounts, shared)
	for _, a := range t.Inputs.Artifacts {
		user.VolumeMounts = append(user.VolumeMounts, corev1.VolumeMount{Name: "input-artifacts", MountPath: a.Path, SubPath: a.Name})
	}
	pod.Spec.Containers = []corev1.Container{wait, user}
	return pod, nil
}

func (o *operation) plan(n *node, t *template) step.Plan {
	var plan step.Plan
	if n.Inputs != nil {
		for _, a := range n.Inputs.Artifacts {
			plan.Inputs = append(plan.Inputs, step.File{Name: a.Name, Key: a.S3.Key})
		}
	}
	for _, p := range t.Outputs.Parameters {
		if p.ValueFrom != nil {
			plan.Parameters = append(plan.Parameters, step.File{Name: p.Name, Path: p.ValueFrom.Path})
		}
	}
	for _, a := range t.Outputs.Artifacts {
		plan.Artifacts = append(plan.Artifacts, step.File{Name: a.Name, Path: a.Path, Key: o.artifactKey(n, a)})
	}
	return plan
}

// artifactKey is where Argo keeps an artifact unless it is told otherwise.
func (o *operation) artifactKey(n *node, a artifact) string {
	return path.Join(o.name(), o.podName(n), a.Name+".tgz")
}

// observe brings a node up to date with its pod.
func (o *operation) observe(n *node, t *template, pod *corev1.Pod) error {
	n.HostNodeName = pod.Spec.NodeName
	main := container(pod, defaultMainName)
	switch pod.Status.Phase {
	case corev1.PodSucceeded, corev1.PodFailed:
		o.ended = append(o.ended, pod)
		return o.conclude(n, t, pod)
	case corev1.PodRunning:
		o.set(n, running, "")
	default:
		o.set(n, pending, whyPending(pod))
	}
	late := main != nil && main.State.Terminated != nil && o.now.Sub(main.State.Terminated.FinishedAt.Time) > straggling
	if o.stopping() || late {
		o.kill = append(o.kill, pod)
	}
	if o.stopping() {
		n.Message = o.shutdownMessage()
	}
	return nil
}

// conclude ends a node with its pod.
func (o *operation) conclude(n *node, t *template, pod *corev1.Pod) error {
	result, err := o.pods.result(pod)
	if err != nil {
		return err
	}
	n.Outputs = &outputs{}
	main := container(pod, defaultMainName)
	if main != nil && main.State.Terminated != nil {
		n.Outputs.ExitCode = strconv.Itoa(int(main.State.Terminated.ExitCode))
	}
	if result != nil {
		for _, p := range t.Outputs.Parameters {
			if v, ok := result.Parameters[p.Name]; ok {
				n.Outputs.Parameters = append(n.Outputs.Parameters, parameter{Name: p.Name, Value: &v, ValueFrom: p.ValueFrom})
			}
		}
		for _, a := range t.Outputs.Artifacts {
			if !slices.Contains(result.Missing, a.Path) {
				n.Outputs.Artifacts = append(n.Outputs.Artifacts, artifact{Name: a.Name, Path: a.Path, S3: &s3{o.artifactKey(n, a)}})
			}
		}
	}
	phase, message := outcome(pod, result)
	if o.stopping() && phase != succeeded {
		phase, message = failed, o.shutdownMessage()
	}
	o.set(n, phase, message)
	return nil
}

// outcome reads a pod that has ended.
func outcome(pod *corev1.Pod, result *step.Result) (phase, message string) {
	if pod.Status.Phase == corev1.PodSucceeded {
		return succeeded, ""
	}
	if pod.Status.Message != "" {
		return failed, pod.Status.Message
	}
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		end := s.State.Terminated
		if end == nil || end.ExitCode == 0 || s.Name == waitName {
			continue
		}
		message = fmt.Sprintf("%s: %s (exit code %d)", s.Name, end.Reason, end.ExitCode)
		if end.Message != "" {
			message += ": " + end.Message
		}
		if s.Name != defaultMainName {
			return errored, message
		}
		return failed, message
	}
	message = "wait: Error (exit code 64)"
	if result != nil && len(result.Missing) > 0 {
		message += ": open " + result.Missing[0] + ": no such file or directory"
	}
	return errored, message
}

func container(pod *corev1.Pod, name string) *corev1.ContainerStatus {
	for i := range pod.Status.ContainerStatuses {
		if s := &pod.Status.ContainerStatuses[i]; s.Name == name {
			return s
		}
	}
	return nil
}

// whyPending says what a pod waits for, as Argo does.
func whyPending(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonUnschedulable {
			return c.Reason + ": " + c.Message
		}
	}
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if w := s.State.Waiting; w != nil && w.Reason != "" {
			if w.Message == "" {
				return w.Reason
			}
			return w.Reason + ": " + w.Message
		}
	}
	return ""
}
