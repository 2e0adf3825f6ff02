package kubernetes

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"lodge/internal/fault"
	"lodge/internal/workflows"
)

const (
	// leaseTime is how long after the watching replica's last sign of life another one watches.
	leaseTime = 20 * time.Second
	// sweep is how often all jobs that run are looked at without an event.
	sweep = 20 * time.Second
	// lookers is how many jobs are looked at at once.
	lookers = 16
	// How often listeners are told of a job at most; of a large one more rarely.
	tellEvery = 250 * time.Millisecond
	tellMax   = 10 * time.Second
)

// watch tells the part what becomes of its Workflows.
type watch struct {
	*Engine
	//nolint:containedctx // it lives as long as the lease is held
	life   context.Context
	list   cache.GenericLister
	due    workqueue.TypedRateLimitingInterface[cache.ObjectName]
	mu     sync.Mutex
	tracks map[cache.ObjectName]*track
	// followed bounds the logs that are followed at once.
	followed  chan struct{}
	following sync.WaitGroup
}

// track is what is remembered of a job between two looks. The queue gives a job to one looker at a time.
type track struct {
	version   string // of the object that was told last
	told      time.Time
	weight    int
	recalled  bool
	settled   bool
	followers map[string]*follower
	kept      map[string]bool
}

// Run watches until the context ends, as long as no other replica does.
func (e *Engine) Run(ctx context.Context) error {
	return e.queue.Lease("workflows.argo", leaseTime).Run(ctx, e.watch)
}

func (e *Engine) watch(ctx context.Context) error {
	w := &watch{Engine: e, life: ctx, tracks: map[cache.ObjectName]*track{}, followed: make(chan struct{}, maxFollowed)}
	w.due = workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](500*time.Millisecond, 30*time.Second))
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(e.objects, 0, metav1.NamespaceAll, func(o *metav1.ListOptions) {
		o.LabelSelector = labelInstallation + "=" + e.cfg.Installation
	})
	ours := factory.ForResource(workflowResource())
	quiet := klog.NewContext(ctx, logr.Discard()) // what the client has to say we say ourselves
	w.list = ours.Lister()
	if err := w.listen(ours.Informer()); err != nil {
		return err
	}
	var group sync.WaitGroup
	defer group.Wait()
	defer w.following.Wait()
	defer w.due.ShutDown()
	group.Go(func() { ours.Informer().RunWithContext(quiet) })
	group.Go(func() { w.followPlaces(quiet) })
	// Without the cluster nothing is known, so nothing is said; the informer goes on trying.
	if !cache.WaitForCacheSync(ctx.Done(), ours.Informer().HasSynced) {
		return nil
	}
	for range lookers {
		group.Go(func() {
			for w.next(ctx) {
			}
		})
	}
	again := time.NewTicker(sweep)
	defer again.Stop()
	for {
		w.sweep(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
}

func (w *watch) listen(informer cache.SharedIndexInformer) error {
	add := func(o any) {
		if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
			o = gone.Obj
		}
		if m, ok := o.(metav1.Object); ok {
			w.due.Add(cache.MetaObjectToName(m))
		}
	}
	if err := informer.SetTransform(func(o any) (any, error) {
		if m, ok := o.(metav1.Object); ok {
			m.SetManagedFields(nil)
		}
		return o, nil
	}); err != nil {
		return err
	}
	err := informer.SetWatchErrorHandler(func(_ *cache.Reflector, err error) {
		w.log.Warn("Workflows are not seen for now; trying again", "error", err)
	})
	if err != nil {
		return err
	}
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: add, UpdateFunc: func(_, o any) { add(o) }, DeleteFunc: add})
	return err
}

// sweep has every job looked at that has not ended: one may have lost its Workflow, or is to be stopped.
func (w *watch) sweep(ctx context.Context) {
	handed, err := w.svc.Handed(ctx)
	if err != nil && ctx.Err() == nil {
		w.log.WarnContext(ctx, "jobs that run could not be listed; trying again", "error", err)
	}
	for _, h := range handed {
		w.due.Add(cache.NewObjectName(h.Workspace, h.Job.String()))
	}
}

// next looks at one job.
func (w *watch) next(ctx context.Context) bool {
	name, stop := w.due.Get()
	if stop {
		return false
	}
	defer w.due.Done(name)
	defer func() {
		if why := recover(); why != nil {
			w.log.ErrorContext(ctx, "looking at a job panicked", "job", name.Name, "panic", why, "stack", string(debug.Stack()))
			w.due.AddRateLimited(name)
		}
	}()
	pause, err := w.look(ctx, name)
	switch {
	case err != nil && ctx.Err() == nil:
		w.log.WarnContext(ctx, "a job is looked at again later", "job", name.Name, "error", err)
		w.due.AddRateLimited(name)
	case pause > 0:
		w.due.Forget(name)
		w.due.AddAfter(name, pause)
	default:
		w.due.Forget(name)
	}
	return true
}

func (w *watch) trackOf(name cache.ObjectName) *track {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.tracks[name]
	if t == nil {
		t = &track{followers: map[string]*follower{}, kept: map[string]bool{}}
		w.tracks[name] = t
	}
	return t
}

// forget lets go of a job.
func (w *watch) forget(name cache.ObjectName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t := w.tracks[name]; t != nil {
		for _, f := range t.followers {
			f.stop()
		}
		delete(w.tracks, name)
	}
}

// look brings what is kept of a job up to date with its Workflow, and says when to look again.
func (w *watch) look(ctx context.Context, name cache.ObjectName) (time.Duration, error) {
	job, err := uuid.Parse(name.Name)
	if err != nil {
		return 0, nil //nolint:nilerr // it is none of ours, whatever its labels say
	}
	at, err := w.svc.Standing(ctx, job)
	if fault.Is(err, fault.Missing) || err == nil && at.Workspace != name.Namespace {
		w.forget(name)
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	u, err := w.find(name)
	switch {
	case err != nil:
		return 0, err
	case u == nil:
		return 0, w.vanished(ctx, name, job, at)
	case !w.owns(u):
		return 0, nil
	case at.Finished:
		return w.settle(ctx, name, job, u)
	case roundOf(u) != at.Round:
		return 0, nil // it is being begun again
	}
	return w.tell(ctx, w.trackOf(name), job, at, u)
}

func (w *watch) find(name cache.ObjectName) (*unstructured.Unstructured, error) {
	found, err := w.list.ByNamespace(name.Namespace).Get(name.Name)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // there is none
	}
	if err != nil {
		return nil, err
	}
	u, ok := found.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("a Workflow came as %T", found)
	}
	return u, nil
}

// tell tells of a job that goes on, or that has just ended.
func (w *watch) tell(ctx context.Context, t *track, job uuid.UUID, at workflows.Standing, u *unstructured.Unstructured) (time.Duration, error) {
	final, version := phaseOf(members(u.Object, "status")).Final(), u.GetResourceVersion()
	if at.Stopping && !final && text(members(u.Object, "spec"), "shutdown") == "" {
		if err := w.shut(ctx, at.Workspace, u.GetName()); err != nil {
			return 0, err
		}
	}
	if t.recalled && version == t.version {
		return 0, nil
	}
	if wait := t.pause() - w.now().Sub(t.told); wait > 0 && !final {
		return wait, nil
	}
	if err := w.recall(ctx, t, job); err != nil {
		return 0, err
	}
	s, err := read(u)
	if err != nil {
		return 0, err
	}
	for i := range s.steps {
		s.steps[i].ended = s.steps[i].ended || final && s.steps[i].begun
	}
	if err := w.keepLogs(ctx, t, origin{job, at.Workspace, at.Round + 1}, s.steps); err != nil {
		return 0, err
	}
	if version != t.version {
		if err := w.svc.Report(ctx, job, s.state); err != nil {
			return 0, err
		}
	}
	t.version, t.told, t.weight, t.settled = version, w.now(), len(s.state.Object), false
	if final {
		return w.settle(ctx, cache.MetaObjectToName(u), job, u)
	}
	return 0, nil
}

func (t *track) pause() time.Duration {
	return min(tellEvery+time.Duration(t.weight/1024)*4*time.Millisecond, tellMax)
}

// recall learns from what was told last what an earlier life has done.
func (w *watch) recall(ctx context.Context, t *track, job uuid.UUID) error {
	if t.recalled {
		return nil
	}
	last, err := w.svc.LastObject(ctx, job)
	if err != nil || last == nil {
		t.recalled = err == nil
		return err
	}
	told, err := object(last)
	if err != nil {
		return err
	}
	s, err := read(told)
	if err != nil {
		return err
	}
	for _, one := range s.steps {
		t.kept[one.life] = one.ended
	}
	t.recalled, t.version = true, told.GetResourceVersion()
	return nil
}

// vanished ends a job whose Workflow somebody has deleted.
func (w *watch) vanished(ctx context.Context, name cache.ObjectName, job uuid.UUID, at workflows.Standing) error {
	if at.Finished {
		w.forget(name)
		return nil
	}
	handed, err := w.svc.Handed(ctx)
	if err != nil {
		return err
	}
	begun := false
	for _, h := range handed {
		begun = begun || h.Job == job
	}
	if !begun {
		return nil
	}
	// What is seen may be late.
	asking, stop := context.WithTimeout(ctx, patience)
	defer stop()
	_, err = w.in(name.Namespace).Get(asking, name.Name, metav1.GetOptions{})
	if err == nil {
		return nil
	}
	if !apierrors.IsNotFound(err) {
		return err
	}
	now := w.now()
	err = w.svc.Report(ctx, job, workflows.State{Phase: workflows.Errored, Message: "its Workflow was deleted from the cluster", Finished: &now})
	if err == nil {
		err = w.svc.ArchiveLogs(ctx, job)
	}
	if err == nil {
		w.forget(name)
	}
	return err
}

// settle looks after the Workflow of a job that has ended: it goes when it was kept long enough.
func (w *watch) settle(ctx context.Context, name cache.ObjectName, job uuid.UUID, u *unstructured.Unstructured) (time.Duration, error) {
	t := w.trackOf(name)
	if !t.settled {
		if err := w.svc.ArchiveLogs(ctx, job); err != nil {
			return 0, err
		}
		t.settled = true
	}
	status := members(u.Object, "status")
	ended := stamp(status, "finishedAt")
	if !phaseOf(status).Final() || ended == nil {
		// The job was ended without it.
		if text(members(u.Object, "spec"), "shutdown") == "" {
			return 0, w.shut(ctx, name.Namespace, name.Name)
		}
		return 0, nil
	}
	if left := ended.Add(w.cfg.Keep).Sub(w.now()); left > 0 {
		return left, nil
	}
	asking, stop := context.WithTimeout(ctx, patience)
	defer stop()
	err := w.remove(asking, u)
	if err == nil || apierrors.IsNotFound(err) {
		w.forget(name)
		return 0, nil
	}
	if apierrors.IsConflict(err) {
		return 0, nil // it has changed, and will be seen again
	}
	return 0, err
}
