package kubernetes

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lodge/internal/workflows"
)

const (
	// Logs that are followed at once, of all jobs together, and those that are fetched at once of one job.
	maxFollowed = 128
	maxFetched  = 8
	// pieces is how often a log that is followed is kept at least.
	pieces = 300 * time.Millisecond
	// asked is how long to wait before a log is asked for again.
	asked = time.Second
	// lingering is how long the end of a step that has ended is waited for, before its log is read anew.
	lingering = 5 * time.Second
	// unreachable is how long after a step's end its log is given up.
	unreachable = 2 * time.Minute
)

// follower follows the log of a step while it runs.
type follower struct {
	stop  context.CancelFunc
	done  chan struct{}
	whole bool // once done: the log was read to its end
}

// origin says whose log it is.
type origin struct {
	job       uuid.UUID
	namespace string
	attempt   int
}

// follow follows a step's log until the step has ended or the follower is stopped.
func (w *watch) follow(ctx context.Context, of origin, s step) *follower {
	ctx, stop := context.WithCancel(ctx)
	f := &follower{stop: stop, done: make(chan struct{})}
	w.following.Go(func() {
		defer close(f.done)
		defer stop()
		select {
		case w.followed <- struct{}{}:
			defer func() { <-w.followed }()
		case <-ctx.Done():
			return
		}
		for ctx.Err() == nil {
			// A pod that has not begun refuses, and a stream breaks when the API server goes.
			// So the end of a stream says little: what came before the end of the step is read once more.
			if err := w.copyLog(ctx, of, s, true); err == nil && w.stepOver(ctx, of.namespace, s.pod) {
				err := w.copyLog(ctx, of, s, false)
				if f.whole = err == nil || apierrors.IsNotFound(err); f.whole {
					return
				}
			}
			rest := time.NewTimer(asked)
			select {
			case <-rest.C:
			case <-ctx.Done():
				rest.Stop()
			}
		}
	})
	return f
}

// stepOver says whether a pod's step writes no more.
func (w *watch) stepOver(ctx context.Context, namespace, pod string) bool {
	p, err := w.core.CoreV1().Pods(namespace).Get(ctx, pod, metav1.GetOptions{})
	if err != nil {
		return apierrors.IsNotFound(err)
	}
	if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
		return true
	}
	for _, c := range p.Status.ContainerStatuses {
		if c.Name == stepContainer {
			return c.State.Terminated != nil
		}
	}
	return false
}

// copyLog keeps what a pod's step has written since it was looked at last.
func (w *watch) copyLog(ctx context.Context, of origin, s step, follow bool) error {
	body, err := w.open(ctx, of.namespace, s.pod, follow)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	to, err := w.svc.LogWriter(ctx, of.job, workflows.StepKey(s.name), of.attempt, w.cfg.MaxLog)
	if err != nil {
		return err
	}
	// A log that is shorter than what is kept of it was cut by the cluster.
	if _, err := io.CopyN(io.Discard, body, to.Offset()); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := pour(ctx, body, to); err != nil {
		return err
	}
	return to.Close()
}

// pour copies, and tells a quiet destination now and then that time passes.
func pour(ctx context.Context, from io.Reader, to io.Writer) error {
	type piece struct {
		text []byte
		err  error
	}
	read := make(chan piece)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		for {
			text := make([]byte, 16<<10)
			n, err := from.Read(text)
			select {
			case read <- piece{text[:n], err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	tick := time.NewTicker(pieces)
	defer tick.Stop()
	for {
		var p piece
		select {
		case p = <-read:
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if _, err := to.Write(p.text); err != nil {
			return err
		}
		if errors.Is(p.err, io.EOF) {
			return nil
		}
		if p.err != nil {
			return p.err
		}
	}
}

// keepLogs follows the logs of the steps that run, and returns when those of all that have ended are
// kept: nobody is told of a step's end before its log can be read to the end.
func (w *watch) keepLogs(ctx context.Context, t *track, of origin, steps []step) error {
	g, fetching := errgroup.WithContext(ctx)
	g.SetLimit(maxFetched)
	var kept []string
	for _, s := range steps {
		f := t.followers[s.life]
		switch {
		case t.kept[s.life] || !s.begun:
		case !s.ended:
			if f == nil {
				t.followers[s.life] = w.follow(w.life, of, s)
			}
		default:
			kept = append(kept, s.life)
			g.Go(func() error { return w.keepLog(fetching, f, of, s) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, life := range kept {
		t.kept[life] = true
		delete(t.followers, life)
	}
	return nil
}

// keepLog keeps the rest of the log of a step that has ended.
func (w *watch) keepLog(ctx context.Context, f *follower, of origin, s step) error {
	if f != nil {
		linger := time.NewTimer(lingering)
		defer linger.Stop()
		select {
		case <-f.done:
		case <-linger.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		f.stop()
		<-f.done
		if f.whole {
			return nil
		}
	}
	err := w.copyLog(ctx, of, s, false)
	switch {
	case err == nil, apierrors.IsNotFound(err), apierrors.IsBadRequest(err):
		return nil // the pod is gone, or its step never began
	case ctx.Err() == nil && w.now().Sub(s.finished) > unreachable:
		w.log.WarnContext(ctx, "the log of a step is given up", "job", of.job.String(), "step", s.name, "error", err)
		return nil
	default:
		return err
	}
}
