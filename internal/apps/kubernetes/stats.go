package kubernetes

import (
	"context"
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"

	"lodge/internal/apps"
	"lodge/internal/fault"
)

// usage is the processor time that a pod has used, as far as we have looked on.
type usage struct {
	cpu time.Duration
	at  time.Time
}

// measured is a pod's answer of the cluster's metrics server.
type measured struct {
	Containers []struct {
		Name  string `json:"name"`
		Usage struct {
			CPU    resource.Quantity `json:"cpu"`
			Memory resource.Quantity `json:"memory"`
		} `json:"usage"`
	} `json:"containers"`
}

// Stats implements apps.Driver. The cluster's metrics server says how busy a pod is, and not for how
// long it has been: that is added up here, from when it was first asked for. How many processes there
// are, nobody says.
func (d *Driver) Stats(ctx context.Context, id string) (apps.Stats, error) {
	p, err := d.find(ctx, id)
	if err != nil {
		return apps.Stats{}, err
	}
	text, err := d.core.CoreV1().RESTClient().Get().AbsPath("/apis/metrics.k8s.io/v1beta1/namespaces", p.Namespace, "pods", p.Name).DoRaw(ctx)
	if apierrors.IsNotFound(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsForbidden(err) {
		return apps.Stats{}, fault.Wrap(err, fault.Unavailable, "the cluster does not tell what the app uses: it has no metrics server, or knows nothing of the pod yet")
	}
	if err != nil {
		return apps.Stats{}, plain(ctx, err, "measure the pod")
	}
	var m measured
	if err := json.Unmarshal(text, &m); err != nil {
		return apps.Stats{}, plain(ctx, err, "measure the pod")
	}
	var stats apps.Stats
	for _, c := range m.Containers {
		if c.Name == container {
			stats.Memory = c.Usage.Memory.Value()
			stats.CPU = d.use(p, c.Usage.CPU.AsApproximateFloat64())
		}
	}
	return stats, nil
}

// use adds up the processor time of a pod that has kept so many cores busy.
func (d *Driver) use(p *corev1.Pod, cores float64) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	u, ok := d.used[string(p.UID)]
	if ok {
		u.cpu += time.Duration(cores * float64(now.Sub(u.at)))
	}
	u.at = now
	d.used[string(p.UID)] = u
	return u.cpu
}

func (d *Driver) forgetUse(p *corev1.Pod) {
	if p == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.used, string(p.UID))
}
