// Command volumes gives every claim of the class folders a volume: a folder of its own on the node.
// The volumes are of the kind local, which are mounted with the owner that a pod's fsGroup asks for,
// as those of real storage systems are.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	class       = "folders"
	provisioner = "lodge.test/folders"
	// madeBy is the annotation by which Kubernetes knows that a volume was made for its claim.
	madeBy = "pv.kubernetes.io/provisioned-by"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the cluster")
	p := provider{log: slog.New(slog.NewTextHandler(os.Stderr, nil)), kick: make(chan struct{}, 1)}
	flag.StringVar(&p.folder, "folder", "", "where volumes are")
	flag.StringVar(&p.node, "node", "", "the node that has them")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := p.run(ctx, *kubeconfig); err != nil {
		p.log.Error("cannot go on", "error", err)
		os.Exit(1)
	}
}

type provider struct {
	folder, node string
	log          *slog.Logger
	client       kubernetes.Interface
	claims       listers.PersistentVolumeClaimLister
	volumes      listers.PersistentVolumeLister
	kick         chan struct{}
}

func (p *provider) run(ctx context.Context, kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	if p.client, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(p.client, 10*time.Second)
	core := factory.Core().V1()
	p.claims, p.volumes = core.PersistentVolumeClaims().Lister(), core.PersistentVolumes().Lister()
	changed := func() {
		select {
		case p.kick <- struct{}{}:
		default:
		}
	}
	for _, i := range []cache.SharedIndexInformer{core.PersistentVolumeClaims().Informer(), core.PersistentVolumes().Informer()} {
		if _, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { changed() }, UpdateFunc: func(any, any) { changed() }, DeleteFunc: func(any) { changed() },
		}); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.kick:
			p.work(ctx)
		}
	}
}

// work does what is to be done now; what fails is done at the next resync.
func (p *provider) work(ctx context.Context) {
	claims, err := p.claims.List(labels.Everything())
	if err != nil {
		p.log.Error("list claims", "error", err)
	}
	for _, c := range claims {
		if c.Spec.StorageClassName == nil || *c.Spec.StorageClassName != class || c.Status.Phase != corev1.ClaimPending {
			continue
		}
		if err := p.provide(ctx, c); err != nil {
			p.log.Error("provide", "claim", c.Name, "namespace", c.Namespace, "error", err)
		}
	}
	volumes, err := p.volumes.List(labels.Everything())
	if err != nil {
		p.log.Error("list volumes", "error", err)
	}
	for _, v := range volumes {
		if v.Annotations[madeBy] != provisioner || v.Status.Phase != corev1.VolumeReleased {
			continue
		}
		if err := p.remove(ctx, v); err != nil {
			p.log.Error("remove", "volume", v.Name, "error", err)
		}
	}
}

func (p *provider) provide(ctx context.Context, c *corev1.PersistentVolumeClaim) error {
	name := "pvc-" + string(c.UID)
	if _, err := p.volumes.Get(name); err == nil {
		return nil // it is about to be bound
	}
	path := filepath.Join(p.folder, name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	v := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{madeBy: provisioner}},
		Spec: corev1.PersistentVolumeSpec{
			AccessModes:                   c.Spec.AccessModes,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: c.Spec.Resources.Requests[corev1.ResourceStorage]},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: path}},
			StorageClassName:              class,
			ClaimRef:                      &corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: c.Namespace, Name: c.Name, UID: c.UID},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{
					Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{p.node},
				}},
			}}}},
		},
	}
	_, err := p.client.CoreV1().PersistentVolumes().Create(ctx, v, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create volume: %w", err)
	}
	return nil
}

// remove is the reclaim policy Delete.
func (p *provider) remove(ctx context.Context, v *corev1.PersistentVolume) error {
	if err := os.RemoveAll(filepath.Join(p.folder, v.Name)); err != nil {
		return err
	}
	err := p.client.CoreV1().PersistentVolumes().Delete(ctx, v.Name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete volume: %w", err)
	}
	return nil
}
