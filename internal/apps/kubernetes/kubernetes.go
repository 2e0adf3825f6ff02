// Package kubernetes runs apps as pods of a Kubernetes cluster.
//
// An app session is one bare pod, reached at the pod's own address, and a network policy that lets
// nobody but Lodge in. A pod has no root user, no capability, no way to new privileges, no token of
// the cluster and no writable root unless its entry says so in words. Everything that is ours carries
// labels: whoever comes back finds it by them, and touches nothing else.
//
// What is, is asked of the API server each time; the one watch of a driver only says when to look.
// So a watch that was lost, or is late, makes an answer slow and never wrong.
package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	networkingclient "k8s.io/client-go/kubernetes/typed/networking/v1"
	"k8s.io/client-go/rest"

	"lodge/internal/apps"
	"lodge/internal/fault"
)

// The labels of everything that is ours.
const (
	labelInstallation = "lodge/installation"
	labelSession      = "lodge/session"
	labelRun          = "lodge/run"
	labelApp          = "lodge/app"
	labelOwner        = "lodge/owner"
	labelSlug         = "lodge/user"
	labelSpec         = "lodge/spec"
	labelVolume       = "lodge/volume"
)

// When the nodes fetch images.
const (
	PullMissing = "missing"
	PullAlways  = "always"
	PullNever   = "never"
)

// Config says which cluster to use and how.
type Config struct {
	// Access says where the cluster is and how to log in.
	Access *rest.Config
	// Installation marks what is ours.
	Installation string
	// Namespace holds everything that is ours; it must be there.
	Namespace string
	// StorageClass of new claims; "" is the cluster's default.
	StorageClass string
	// AccessMode of new claims; "" is ReadWriteOnce.
	AccessMode string
	// PullSecrets are names of the namespace's secrets with registries' logins.
	PullSecrets []string
	// NodeSelector are labels of the nodes that apps may run on.
	NodeSelector map[string]string
	// Pull says when the nodes fetch images; "" is PullMissing.
	Pull string
	// LodgeNamespace is whose pods may connect to apps, and LodgeNetworks is from which addresses else.
	LodgeNamespace string
	LodgeNetworks  []netip.Prefix
	// Trusted are networks whose word counts for who calls: no app may have an address in one.
	Trusted []netip.Prefix
}

// Driver implements apps.Driver.
type Driver struct {
	cfg Config
	// core gives every answer within answerTime; streams are watches and logs, which go on.
	core, streams kubernetes.Interface
	now           func() time.Time
	log           *slog.Logger

	watched *podWatch

	mu      sync.Mutex
	used    map[string]usage // processor time so far, by the pod's UID
	allowed time.Time        // when our rights were last found to be there
}

// New makes the driver. It does not need the cluster yet.
func New(cfg Config, now func() time.Time, log *slog.Logger) (*Driver, error) {
	switch {
	case cfg.Installation == "":
		return nil, errors.New("kubernetes driver: there is no installation")
	case cfg.Namespace == "":
		return nil, errors.New("kubernetes driver: there is no namespace")
	}
	access := rest.CopyConfig(cfg.Access)
	streams, err := kubernetes.NewForConfig(access)
	if err != nil {
		return nil, fmt.Errorf("kubernetes driver: %w", err)
	}
	access.Timeout = answerTime
	core, err := kubernetes.NewForConfig(access)
	if err != nil {
		return nil, fmt.Errorf("kubernetes driver: %w", err)
	}
	if cfg.Pull == "" {
		cfg.Pull = PullMissing
	}
	d := &Driver{cfg: cfg, core: core, streams: streams, now: now, log: log, used: map[string]usage{}}
	d.watched = newPodWatch(streams.CoreV1().Pods(cfg.Namespace), d.ours(), log)
	return d, nil
}

// Close ends the watch.
func (d *Driver) Close() error {
	d.watched.close()
	return nil
}

// Name implements apps.Driver.
func (d *Driver) Name() string { return "kubernetes" }

func (d *Driver) pods() corev1client.PodInterface { return d.core.CoreV1().Pods(d.cfg.Namespace) }

func (d *Driver) claims() corev1client.PersistentVolumeClaimInterface {
	return d.core.CoreV1().PersistentVolumeClaims(d.cfg.Namespace)
}

func (d *Driver) policies() networkingclient.NetworkPolicyInterface {
	return d.core.NetworkingV1().NetworkPolicies(d.cfg.Namespace)
}

// of selects what belongs to an app session.
func (d *Driver) of(id string) metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: d.ours(labelSession + "=" + id)}
}

// ours selects what belongs to this installation.
func (d *Driver) ours(labels ...string) string {
	return strings.Join(append(labels, labelInstallation+"="+d.cfg.Installation), ",")
}

// short is the beginning of the installation's mark, for names that people read.
func (d *Driver) short() string { return d.cfg.Installation[:min(8, len(d.cfg.Installation))] }

// answerTime is how long the API server may take for one answer.
const answerTime = 20 * time.Second

// plain gives the API server's error the kind that callers act on. ctx is the caller's own: when it
// has ended, that is the reason.
func plain(ctx context.Context, err error, doing string) error {
	var network net.Error
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	case apierrors.IsNotFound(err):
		return fault.Wrap(err, fault.Missing, "%s: it is not there", doing)
	case apierrors.IsUnauthorized(err):
		return fault.Wrap(err, fault.Unavailable, "the cluster does not know Lodge any more: look at the login in kubernetes.kubeconfig")
	case apierrors.IsServerTimeout(err), apierrors.IsTimeout(err), apierrors.IsTooManyRequests(err), apierrors.IsServiceUnavailable(err),
		apierrors.IsInternalError(err), errors.Is(err, context.DeadlineExceeded), errors.As(err, &network):
		return fault.Wrap(err, fault.Unavailable, "the cluster does not answer")
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// refused gives what the API server says of something that it does not take.
func refused(ctx context.Context, err error, doing string) error {
	switch text := errorText(err); {
	case apierrors.IsForbidden(err) && strings.Contains(text, "exceeded quota"):
		return fault.Wrap(err, fault.Exhausted, "%s: the namespace's quota is used up", doing)
	case apierrors.IsForbidden(err) && strings.Contains(text, " cannot create "):
		return fmt.Errorf("%s: Lodge lacks the right in its cluster, see docs/apps.md: %w", doing, err)
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return fault.Wrap(err, fault.Invalid, "the cluster refuses to %s: %s", doing, text)
	case apierrors.IsNotFound(err):
		return fault.Wrap(err, fault.Unavailable, "%s: the namespace is not there", doing)
	}
	return plain(ctx, err, doing)
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

var _ apps.Driver = (*Driver)(nil)
