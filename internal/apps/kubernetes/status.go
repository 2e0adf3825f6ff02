package kubernetes

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"golang.org/x/sys/unix"

	"lodge/internal/apps"
	"lodge/internal/fault"
)

// own is what a pod says of our container in it.
func own(p *corev1.Pod) corev1.ContainerStatus {
	for _, c := range p.Status.ContainerStatuses {
		if c.Name == container {
			return c
		}
	}
	return corev1.ContainerStatus{}
}

// over says whether nothing of a pod runs any more.
func over(p *corev1.Pod) bool {
	return own(p).State.Terminated != nil || p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded
}

// running says whether its container does.
func running(p *corev1.Pod) bool { return own(p).State.Running != nil && !over(p) }

// going says whether somebody removes it.
func going(p *corev1.Pod) bool { return p.DeletionTimestamp != nil }

// removed says whether what somebody removes has ended, and is as good as gone: how it ended is then
// their doing, and not the app's.
func removed(p *corev1.Pod) bool { return going(p) && over(p) }

func runOf(p *corev1.Pod) (int64, error) { return strconv.ParseInt(p.Labels[labelRun], 10, 64) }

// instance reads what the cluster says of a pod of ours.
func instance(p *corev1.Pod) (apps.Instance, error) {
	run, err := runOf(p)
	if err != nil {
		return apps.Instance{}, fmt.Errorf("the label %s: %w", labelRun, err)
	}
	inst := apps.Instance{
		ID: p.Labels[labelSession], Run: run, App: apps.AppID(p.Labels[labelApp]), OwnerID: p.Labels[labelOwner], Hash: p.Labels[labelSpec],
		Ref: "pod " + p.Namespace + "/" + p.Name, ImageDigest: own(p).ImageID, Created: p.CreationTimestamp.Time,
	}
	if over(p) {
		inst.Exit = exitOf(p)
		return inst, nil
	}
	inst.Address = address(p)
	return inst, nil
}

// address is where Lodge reaches a pod; "" while it has none.
func address(p *corev1.Pod) string {
	if p.Status.PodIP == "" {
		return ""
	}
	for _, c := range p.Spec.Containers {
		if c.Name == container && len(c.Ports) > 0 {
			return net.JoinHostPort(p.Status.PodIP, strconv.Itoa(int(c.Ports[0].ContainerPort)))
		}
	}
	return ""
}

// exitOf is how a pod ended. One that was evicted may not say of its container.
func exitOf(p *corev1.Pod) *apps.Exit {
	end := own(p).State.Terminated
	if end == nil {
		return &apps.Exit{}
	}
	exit := &apps.Exit{Code: new(int(end.ExitCode)), OOM: end.Reason == "OOMKilled"}
	if end.ExitCode > 128 && end.ExitCode < 160 {
		exit.Signal = unix.SignalName(unix.Signal(end.ExitCode - 128))
	}
	return exit
}

// verdict is what a pod's status means for its start.
type verdict struct {
	// up says that its container runs, or has run.
	up bool
	// err is why it does not get there.
	err error
	// patient says that err may pass by itself within a moment.
	patient bool
	// stays says that the pod is to be left waiting, for a later try.
	stays bool
}

// judge reads a pod's status.
func judge(p *corev1.Pod) verdict {
	state := own(p).State
	switch {
	case state.Terminated != nil && cannotStart(state.Terminated.Reason):
		return verdict{err: fault.New(fault.Invalid, "the container cannot be started: %s", brief(state.Terminated.Message))}
	case over(p) || running(p) && p.Status.PodIP != "":
		return verdict{up: true}
	case state.Waiting != nil && state.Waiting.Reason != "":
		return judgeWaiting(p.Spec.Containers[0].Image, state.Waiting)
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return verdict{err: fault.New(fault.Exhausted, "%s", brief(c.Message)), patient: true, stays: true}
		}
	}
	return verdict{}
}

func cannotStart(reason string) bool {
	return slices.Contains([]string{"StartError", "ContainerCannotRun", "CreateContainerError"}, reason)
}

func judgeWaiting(image string, w *corev1.ContainerStateWaiting) verdict {
	switch w.Reason {
	case "InvalidImageName", "ErrImageNeverPull":
		return verdict{err: fault.New(fault.Missing, "there is no image %s for us: %s", image, brief(w.Message))}
	case "ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed":
		if unknownImage(w.Message) {
			return verdict{err: fault.New(fault.Missing, "the registry has no image %s for us", image)}
		}
		return verdict{err: fmt.Errorf("fetch the image %s: %s", image, brief(w.Message))}
	case "CreateContainerConfigError":
		return verdict{err: fault.New(fault.Invalid, "the container cannot be made: %s", brief(w.Message))}
	case "CreateContainerError", "RunContainerError", "PreCreateHookError", "PostStartHookError":
		return verdict{err: fault.New(fault.Invalid, "the container cannot be started: %s", brief(w.Message)), patient: true}
	}
	return verdict{}
}

// unknownImage tells an image that nobody has from one that could not be fetched now.
func unknownImage(message string) bool {
	for _, words := range []string{
		"not found", "manifest unknown", "access denied", "repository does not exist", "unauthorized", "invalid reference",
		"insufficient_scope", "authorization failed", "403 Forbidden",
	} {
		if strings.Contains(message, words) {
			return true
		}
	}
	return false
}

// brief keeps what is shown to people short.
func brief(text string) string {
	const most = 300
	if text == "" {
		return "the cluster does not say why"
	}
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// stepOf is what an event of a pod means to whoever waits for it.
func stepOf(e *corev1.Event) (apps.Step, bool) {
	switch e.Reason {
	case "Scheduled":
		return apps.Step{Name: "image", Message: "It has a place in the cluster"}, true
	case "Pulling":
		return apps.Step{Name: "image", Message: "Fetching the image"}, true
	case "Pulled":
		return apps.Step{Name: "create", Message: "The image is there"}, true
	case "Created":
		return apps.Step{Name: "create", Message: "Its container is made"}, true
	case "Started":
		return apps.Step{Name: "start", Message: "Its container is started"}, true
	case "FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox":
		return apps.Step{Name: "image", Message: "The cluster says: " + brief(e.Message)}, true
	}
	return apps.Step{}, false
}

// misplaced says why a pod must not have the address that it was given.
func (d *Driver) misplaced(p *corev1.Pod) error {
	at, err := netip.ParseAddr(p.Status.PodIP)
	if err != nil {
		return nil //nolint:nilerr // it has none yet
	}
	for _, n := range d.cfg.Trusted {
		if n.Contains(at) {
			return fault.New(fault.Invalid, "the cluster gives pods addresses in %s, which is a trusted proxy's network: apps would be believed what only a proxy may say", n)
		}
	}
	for _, n := range d.cfg.LodgeNetworks {
		if n.Contains(at) {
			return fault.New(fault.Invalid, "the cluster gives pods addresses in %s, which apps.kubernetes.lodge_networks lets in: people's apps would reach each other", n)
		}
	}
	return nil
}
