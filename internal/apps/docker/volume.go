package docker

import (
	"context"
	"os"
	"strconv"

	"github.com/moby/moby/client"

	"lodge/internal/apps"
	"lodge/internal/fault"
)

// ensureVolumes makes the volumes of an app, and gives new ones to whom it runs as.
func (d *Driver) ensureVolumes(ctx context.Context, s apps.Spec) error {
	for _, v := range s.Volumes {
		if v.Source != "" {
			continue
		}
		name := d.volumeName(s, v)
		if _, err := d.engine.VolumeInspect(ctx, name, client.VolumeInspectOptions{}); err == nil {
			continue
		}
		labels := map[string]string{labelInstallation: d.cfg.Installation, labelVolume: v.Per}
		if v.Per == "session" {
			labels[labelSession] = s.ID
		}
		made, err := d.engine.VolumeCreate(ctx, client.VolumeCreateOptions{Name: name, Labels: labels})
		if err != nil {
			return fault.Wrap(plain(err, "make the volume"), fault.Unavailable, "the volume %s cannot be made", v.Name)
		}
		d.give(ctx, made.Volume.Mountpoint, string(s.Security.RunAs))
	}
	return nil
}

// give lets whom an app runs as write to its new volume. Only root can, and only on the same machine;
// elsewhere the folder of the image decides, if it has one there.
func (d *Driver) give(ctx context.Context, folder, user string) {
	id, err := strconv.Atoi(user)
	if err != nil || folder == "" || os.Geteuid() != 0 {
		return
	}
	if err := os.Chown(folder, id, id); err != nil {
		d.log.WarnContext(ctx, "a new volume belongs to root: the app may not be able to write to it", "error", err)
	}
}

// Forget implements apps.Driver.
func (d *Driver) Forget(ctx context.Context, id string) error {
	defer d.hold(id)()
	c, err := d.find(ctx, id)
	switch {
	case fault.Is(err, fault.Missing):
	case err != nil:
		return err
	case c.State.Running:
		return fault.New(fault.Conflict, "it still runs")
	default:
		if err := d.remove(ctx, c, 0); err != nil {
			return err
		}
	}
	volumes, err := d.engine.VolumeList(ctx, client.VolumeListOptions{Filters: d.ours(labelSession + "=" + id)})
	if err != nil {
		return plain(err, "list the volumes")
	}
	for _, v := range volumes.Items {
		if _, err := d.engine.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{}); err != nil {
			return plain(err, "remove the volume "+v.Name)
		}
	}
	return nil
}
