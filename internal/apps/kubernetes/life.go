package kubernetes

import (
	"context"
	"errors"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"lodge/internal/apps"
	"lodge/internal/fault"
)

const (
	// lookAgain is how long nothing is heard of a pod before it is looked at all the same.
	lookAgain = 5 * time.Second
	// patience is how long that may last which mostly passes by itself, such as a volume that is not
	// there yet when its pod is first given a place.
	patience = 5 * time.Second
	// tidyTime is how long it may take to remove what could not be started.
	tidyTime = 30 * time.Second
)

// errRemoved is a pod that went while its start was waited for.
var errRemoved = errors.New("the pod was removed while it started")

// find gives the pod of an app session.
func (d *Driver) find(ctx context.Context, id string) (*corev1.Pod, error) {
	list, err := d.pods().List(ctx, d.of(id))
	if err != nil {
		return nil, plain(ctx, err, "look for the pod")
	}
	for i := range list.Items {
		p := &list.Items[i]
		if !removed(p) {
			return p, nil
		}
	}
	return nil, fault.New(fault.Missing, "no such pod")
}

// Look implements apps.Driver.
func (d *Driver) Look(ctx context.Context, id string) (apps.Instance, error) {
	p, err := d.find(ctx, id)
	if err != nil {
		return apps.Instance{}, err
	}
	return instance(p)
}

// List implements apps.Driver.
func (d *Driver) List(ctx context.Context) ([]apps.Instance, error) {
	list, err := d.pods().List(ctx, metav1.ListOptions{LabelSelector: d.ours(labelSession)})
	if err != nil {
		return nil, plain(ctx, err, "list the pods")
	}
	var all []apps.Instance
	for i := range list.Items {
		p := &list.Items[i]
		if inst, err := instance(p); err == nil && !removed(p) {
			all = append(all, inst)
		}
	}
	return all, nil
}

// Prepare implements apps.Driver. It is the nodes that fetch images, for pods: so the app's own is made
// here, and Start finds it.
func (d *Driver) Prepare(ctx context.Context, s apps.Spec, report func(apps.Step)) error {
	_, err := d.bring(ctx, s, report)
	return err
}

// Start implements apps.Driver.
func (d *Driver) Start(ctx context.Context, s apps.Spec, report func(apps.Step)) (apps.Instance, error) {
	p, err := d.bring(ctx, s, report)
	if err != nil {
		return apps.Instance{}, err
	}
	return instance(p)
}

// bring makes the pod of a spec unless it is there, and waits until its container runs or has run.
// What cannot get there is removed; what only waits for room stays, and keeps its place.
func (d *Driver) bring(ctx context.Context, s apps.Spec, report func(apps.Step)) (*corev1.Pod, error) {
	if report == nil {
		report = func(apps.Step) {}
	}
	p, err := d.ensure(ctx, s, report)
	if err != nil {
		return nil, err
	}
	up := p
	if !judge(p).up {
		up, err = d.await(ctx, p, report)
	}
	if err == nil {
		err = d.misplaced(up)
	}
	if err != nil && ctx.Err() == nil && !fault.Is(err, fault.Exhausted) && !fault.Is(err, fault.Unavailable) {
		tidy, done := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
		defer done()
		if err := d.remove(tidy, p, s.GraceStop); err != nil {
			d.log.WarnContext(ctx, "a pod that could not be started stays", "pod", p.Name, "error", err)
		}
	}
	return up, err
}

// ensure gives the pod of this run, which it makes if need be. However many ask at once, on however
// many replicas: its name is given once.
func (d *Driver) ensure(ctx context.Context, s apps.Spec, report func(apps.Step)) (*corev1.Pod, error) {
	wanted, err := d.pod(s)
	if err != nil {
		return nil, err
	}
	p, err := d.find(ctx, s.ID)
	switch {
	case fault.Is(err, fault.Missing):
	case err != nil:
		return nil, err
	default:
		run, err := runOf(p)
		switch {
		case err == nil && run == s.Run && !going(p):
			return p, nil
		case err == nil && run > s.Run:
			return nil, fault.New(fault.Conflict, "a later start of this app session is there already")
		}
		if err := d.remove(ctx, p, s.GraceStop); err != nil {
			return nil, err
		}
	}
	report(apps.Step{Name: "image", Message: "Asking the cluster for a place"})
	if err := d.ensureClaims(ctx, s); err != nil {
		return nil, err
	}
	if err := d.ensurePolicy(ctx, s); err != nil {
		return nil, err
	}
	made, err := d.pods().Create(ctx, wanted, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		made, err = d.takeOver(ctx, s, wanted)
	}
	var answer apierrors.APIStatus
	switch {
	case err == nil:
		d.bindPolicy(ctx, made)
		return made, nil
	case errors.As(err, &answer):
		_ = d.removePolicies(context.WithoutCancel(ctx), s.ID, s.Run) // the next stop would do it too
	}
	return nil, refused(ctx, err, "make the pod")
}

// takeOver is for when a pod was there first under the name: that of another who starts the same run,
// or one that somebody removes, whose place ours then takes.
func (d *Driver) takeOver(ctx context.Context, s apps.Spec, wanted *corev1.Pod) (*corev1.Pod, error) {
	p, err := d.pods().Get(ctx, wanted.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return d.pods().Create(ctx, wanted, metav1.CreateOptions{})
	case err != nil:
		return nil, err
	case p.Labels[labelInstallation] != d.cfg.Installation || p.Labels[labelSession] != s.ID:
		return nil, fault.New(fault.Conflict, "a pod of the same name is there, and not ours")
	case going(p):
		if err := d.gone(ctx, p); err != nil {
			return nil, err
		}
		return d.pods().Create(ctx, wanted, metav1.CreateOptions{})
	case p.Labels[labelRun] != strconv.FormatInt(s.Run, 10):
		return nil, fault.New(fault.Conflict, "another start of this app session was faster")
	}
	return p, nil
}

// await waits until a pod is up, and tells what it hears on the way.
func (d *Driver) await(ctx context.Context, p *corev1.Pod, report func(apps.Step)) (*corev1.Pod, error) {
	news, leave := d.watched.about(p.Labels[labelSession])
	defer leave()
	told, stop := d.told(ctx, p)
	defer stop()
	var since time.Time // when something came up that may pass
	for {
		is, err := d.pods().Get(ctx, p.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err), err == nil && (is.UID != p.UID || going(is)):
			return nil, errRemoved
		case err != nil:
			return nil, plain(ctx, err, "look at the pod")
		}
		v := judge(is)
		switch {
		case v.up:
			return is, nil
		case v.err == nil || !v.patient:
			since = time.Time{}
		case since.IsZero():
			since = d.now()
		}
		if v.err != nil && (!v.patient || d.now().Sub(since) >= patience) {
			return nil, v.err
		}
		pause := lookAgain
		if v.patient {
			pause = max(10*time.Millisecond, patience-d.now().Sub(since))
		}
		if err := d.pause(ctx, news, told, pause, report); err != nil {
			return nil, err
		}
	}
}

// pause waits until there is something new about a pod, or for so long.
func (d *Driver) pause(ctx context.Context, news <-chan struct{}, told <-chan watch.Event, long time.Duration, report func(apps.Step)) error {
	timer := time.NewTimer(long)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-news:
			return nil
		case <-timer.C:
			return nil
		case e, ok := <-told:
			if !ok {
				told = nil // it was lost: a start goes on without being told of
				continue
			}
			if event, is := e.Object.(*corev1.Event); is {
				if step, ok := stepOf(event); ok {
					report(step)
				}
			}
		}
	}
}

// told gives the cluster's events about a pod. They are for people: without them a start goes on too.
func (d *Driver) told(ctx context.Context, p *corev1.Pod) (<-chan watch.Event, func()) {
	w, err := d.streams.CoreV1().Events(d.cfg.Namespace).Watch(ctx, metav1.ListOptions{FieldSelector: "involvedObject.uid=" + string(p.UID)})
	if err != nil {
		d.log.DebugContext(ctx, "the cluster's events are not heard", "error", err)
		return nil, func() {}
	}
	return w.ResultChan(), w.Stop
}

// Stop implements apps.Driver.
func (d *Driver) Stop(ctx context.Context, id string, run int64, grace time.Duration) error {
	list, err := d.pods().List(ctx, d.of(id))
	if err != nil {
		return plain(ctx, err, "look for the pod")
	}
	for i := range list.Items {
		p := &list.Items[i]
		if of, err := runOf(p); err == nil && of > run {
			return nil
		}
		if err := d.remove(ctx, p, grace); err != nil {
			return err
		}
	}
	return d.removePolicies(ctx, id, run)
}

// remove ends a pod and everything that is its alone.
func (d *Driver) remove(ctx context.Context, p *corev1.Pod, grace time.Duration) error {
	err := d.pods().Delete(ctx, p.Name, metav1.DeleteOptions{GracePeriodSeconds: new(seconds(grace)), Preconditions: &metav1.Preconditions{UID: &p.UID}})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) { // a conflict: another has its name by now
		return plain(ctx, err, "remove the pod")
	}
	if err := d.gone(ctx, p); err != nil {
		return err
	}
	d.forgetUse(p)
	run, err := runOf(p)
	if err != nil {
		return nil //nolint:nilerr // its policy goes with it
	}
	return d.removePolicies(ctx, p.Labels[labelSession], run)
}

// gone waits until the cluster knows a pod no more, which is once nothing of it runs.
func (d *Driver) gone(ctx context.Context, p *corev1.Pod) error {
	news, leave := d.watched.about(p.Labels[labelSession])
	defer leave()
	for {
		is, err := d.pods().Get(ctx, p.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && is.UID != p.UID {
			return nil
		}
		if err != nil {
			return plain(ctx, err, "look at the pod")
		}
		if err := d.pause(ctx, news, nil, lookAgain, nil); err != nil {
			return err
		}
	}
}
