package kubernetes

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lodge/internal/apps"
	"lodge/internal/fault"
)

// defaultSize is that of a volume whose entry names none: a claim has to.
const defaultSize apps.Size = 1 << 30

// mounts gives an app its volumes, what it may write to in memory, and the path that {home} stands for.
func (d *Driver) mounts(s apps.Spec) (volumes []corev1.Volume, mounts []corev1.VolumeMount, home string, err error) {
	home = "/tmp"
	add := func(name, at string, readOnly bool, source corev1.VolumeSource) {
		volumes = append(volumes, corev1.Volume{Name: name, VolumeSource: source})
		mounts = append(mounts, corev1.VolumeMount{Name: name, MountPath: at, ReadOnly: readOnly})
	}
	for _, v := range s.Volumes {
		if v.Name == "home" {
			home = v.Path
		}
		claim, err := d.claimName(s, v)
		if err != nil {
			return nil, nil, "", err
		}
		add("volume-"+v.Name, v.Path, v.ReadOnly, corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}})
	}
	memory := func(name, at string, size apps.Size) {
		add(name, at, false, corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: bytes(size)}})
	}
	sizes := s.Security.Tmpfs
	if len(sizes) == 0 && readOnly(s) {
		sizes = defaultTmpfs
	}
	for i, at := range slices.Sorted(maps.Keys(sizes)) {
		memory(fmt.Sprintf("tmpfs-%d", i), at, sizes[at])
	}
	if s.Resources.Shm > 0 {
		memory("shm", "/dev/shm", s.Resources.Shm)
	}
	return volumes, mounts, home, nil
}

// claimName is the claim behind a volume: one of ours, or one that the site has made.
func (d *Driver) claimName(s apps.Spec, v apps.Volume) (string, error) {
	if name, ok := v.Claim(); ok {
		return name, nil
	}
	if v.Source != "" {
		return "", fault.New(fault.Invalid, "the volume %s: pods have no folders of a machine; name a claim as its source, claim:NAME", v.Name)
	}
	base := "lodge-" + d.short() + "-"
	switch v.Per {
	case "session":
		return base + "s-" + s.ID + "-" + v.Name, nil
	case "app":
		return base + "a-" + string(s.App) + "-" + v.Name, nil
	case "shared":
		return base + "all-" + v.Name, nil
	default:
		return base + "u-" + s.Slug + "-" + v.Name, nil
	}
}

// ensureClaims makes the volumes of an app that are not there yet.
func (d *Driver) ensureClaims(ctx context.Context, s apps.Spec) error {
	for _, v := range s.Volumes {
		if v.Source != "" {
			continue
		}
		claim, err := d.claim(s, v)
		if err != nil {
			return err
		}
		if _, err := d.claims().Create(ctx, claim, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return refused(ctx, err, "make the volume "+v.Name)
		}
	}
	return nil
}

func (d *Driver) claim(s apps.Spec, v apps.Volume) (*corev1.PersistentVolumeClaim, error) {
	name, err := d.claimName(s, v)
	if err != nil {
		return nil, err
	}
	labels := map[string]string{labelInstallation: d.cfg.Installation, labelVolume: cmp.Or(v.Per, "user")}
	switch v.Per {
	case "session":
		labels[labelSession] = s.ID
	case "app":
		labels[labelApp] = string(s.App)
	case "shared":
	default:
		labels[labelOwner], labels[labelSlug] = s.OwnerID, s.Slug
	}
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: d.cfg.Namespace, Labels: labels},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.PersistentVolumeAccessMode(cmp.Or(d.cfg.AccessMode, string(corev1.ReadWriteOnce)))},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: *bytes(cmp.Or(v.Size, defaultSize))}},
		},
	}
	if d.cfg.StorageClass != "" {
		claim.Spec.StorageClassName = new(d.cfg.StorageClass)
	}
	return claim, nil
}

// Forget implements apps.Driver.
func (d *Driver) Forget(ctx context.Context, id string) error {
	p, err := d.find(ctx, id)
	switch {
	case fault.Is(err, fault.Missing):
	case err != nil:
		return err
	case !over(p):
		return fault.New(fault.Conflict, "it still runs")
	default:
		if err := d.remove(ctx, p, 0); err != nil {
			return err
		}
	}
	claims, err := d.claims().List(ctx, d.of(id))
	if err != nil {
		return plain(ctx, err, "list the volumes")
	}
	for _, c := range claims.Items {
		if err := d.claims().Delete(ctx, c.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return plain(ctx, err, "remove the volume "+c.Name)
		}
	}
	return nil
}
