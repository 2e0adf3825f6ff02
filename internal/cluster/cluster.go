// Package cluster finds the Kubernetes cluster that parts of Lodge run things on, how to log in to it, and
// what Lodge may not do there.
package cluster

import (
	"errors"
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Place says where the cluster is.
type Place struct {
	// Kubeconfig is a file as kubectl uses it. Without one, Lodge is taken to run in a pod of the
	// cluster, and logs in as the pod's service account.
	Kubeconfig string
	// Context is which of the file's contexts to use; "" is its current one.
	Context string
}

// Requests are spread over the time by the API server itself, by its priorities: the client's own brake is
// only against runaway loops.
const (
	perSecond = 200
	burst     = 400
)

// Access reads how to log in. It asks no server.
func (p Place) Access() (*rest.Config, error) {
	cfg, err := p.read()
	if err != nil {
		return nil, err
	}
	cfg.UserAgent, cfg.QPS, cfg.Burst = "lodge", perSecond, burst
	return cfg, nil
}

func (p Place) read() (*rest.Config, error) {
	if p.Kubeconfig == "" {
		cfg, err := rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) {
			return nil, errors.New("kubernetes.kubeconfig names no file, and Lodge does not run in a pod: give it the path of one")
		}
		return cfg, err
	}
	loader := &clientcmd.ClientConfigLoadingRules{ExplicitPath: p.Kubeconfig}
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(loader, &clientcmd.ConfigOverrides{CurrentContext: p.Context}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig %s: %w", p.Kubeconfig, err)
	}
	return cfg, nil
}
