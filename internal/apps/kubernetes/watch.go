package kubernetes

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"lodge/internal/fault"
)

// podWatch is the one watch of a driver. It begins when it is first needed, and is taken up again by
// itself whenever it is lost; whoever is told too late looks again after a while.
type podWatch struct {
	pods     corev1client.PodInterface
	selector string
	log      *slog.Logger

	ctx  context.Context // its own life, which close ends
	stop context.CancelFunc
	once sync.Once
	done sync.WaitGroup
	at   cache.SharedIndexInformer

	mu      sync.Mutex
	waiting map[string]map[chan struct{}]bool // by app session
	lost    error
}

func newPodWatch(pods corev1client.PodInterface, selector string, log *slog.Logger) *podWatch {
	w := &podWatch{pods: pods, selector: selector, log: log, waiting: map[string]map[chan struct{}]bool{}}
	w.ctx, w.stop = context.WithCancel(context.Background())
	return w
}

func (w *podWatch) close() {
	w.stop()
	w.once.Do(func() {}) // it is not to begin any more
	w.done.Wait()
}

// begin has the watch run; it is not there yet when begin returns.
func (w *podWatch) begin() cache.SharedIndexInformer {
	w.once.Do(func() {
		w.at = cache.NewSharedIndexInformer(&cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				o.LabelSelector = w.selector
				return w.pods.List(ctx, o)
			},
			WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
				o.LabelSelector = w.selector
				return w.pods.Watch(ctx, o)
			},
		}, &corev1.Pod{}, 0, cache.Indexers{})
		_ = w.at.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) { w.fell(err) }) // it has not begun
		_, _ = w.at.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    w.tell,
			UpdateFunc: func(_, is any) { w.tell(is) },
			DeleteFunc: w.tell,
		}) // it has not ended
		ctx := klog.NewContext(w.ctx, logr.Discard()) // what it has to say, it says to fell
		w.done.Go(func() { w.at.RunWithContext(ctx) })
	})
	return w.at
}

// fell notes that the watch was lost, once for as long as it is.
func (w *podWatch) fell(err error) {
	if w.ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	first := w.lost == nil
	w.lost = err
	w.mu.Unlock()
	if first {
		w.log.Debug("the watch of the pods was lost; it is taken up again", "error", err)
	}
}

// tell wakes whoever waits for something about a pod.
func (w *podWatch) tell(object any) {
	p := podOf(object)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost = nil
	if p == nil {
		return
	}
	for c := range w.waiting[p.Labels[labelSession]] {
		select {
		case c <- struct{}{}:
		default: // it is told already
		}
	}
}

// podOf reads what a watch gives; nil is no pod.
func podOf(object any) *corev1.Pod {
	if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = gone.Obj
	}
	p, _ := object.(*corev1.Pod)
	return p
}

// about tells of every change to an app session's pod, until the function that it gives is called.
func (w *podWatch) about(id string) (news <-chan struct{}, leave func()) {
	w.begin()
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting[id] == nil {
		w.waiting[id] = map[chan struct{}]bool{}
	}
	w.waiting[id][c] = true
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.waiting[id], c)
		if len(w.waiting[id]) == 0 {
			delete(w.waiting, id)
		}
	}
}

// syncTime is how long the watch may take to know what there is, before its caller is told why not.
const syncTime = 30 * time.Second

// Watch implements apps.Driver. It begins with what has ended already, so that nothing is missed
// between two watches.
func (d *Driver) Watch(ctx context.Context, died func(id string)) error {
	w := d.watched
	at := w.begin()
	if at == nil {
		return fault.New(fault.Unavailable, "the driver is closed")
	}
	ended := func(object any) bool {
		p := podOf(object)
		return p != nil && over(p)
	}
	name := func(object any) {
		if p := podOf(object); p != nil {
			died(p.Labels[labelSession])
		}
	}
	handler, err := at.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(is any) {
			if ended(is) {
				name(is)
			}
		},
		UpdateFunc: func(was, is any) {
			if ended(is) && !ended(was) {
				name(is)
			}
		},
		DeleteFunc: func(was any) {
			d.forgetUse(podOf(was))
			name(was)
		},
	})
	if err != nil {
		return plain(ctx, err, "watch the pods")
	}
	defer func() { _ = at.RemoveEventHandler(handler) }() // it was added
	soon, done := context.WithTimeout(ctx, syncTime)
	defer done()
	if !cache.WaitForCacheSync(soon.Done(), handler.HasSynced) && ctx.Err() == nil {
		w.mu.Lock()
		why := w.lost
		w.mu.Unlock()
		return fault.Wrap(why, fault.Unavailable, "the pods cannot be watched")
	}
	select {
	case <-ctx.Done():
		return nil
	case <-w.ctx.Done():
		return fault.New(fault.Unavailable, "the driver is closed")
	}
}
