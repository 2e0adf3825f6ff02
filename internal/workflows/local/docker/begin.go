package docker

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"lodge/internal/fault"
	"lodge/internal/workflows/local"
	"lodge/internal/workflows/spec"
)

const (
	// nobody is who a container runs as when neither its component nor its image says.
	nobody = "65532:65532"
	// maxProcesses bounds what a container starts, and logSize what the engine keeps of its log.
	maxProcesses = 1024
	logSize      = "64m"
)

// Begin makes and starts a container. One that was made and not started is made anew; one that was
// started, whose answer got lost, is left alone.
func (d *Driver) Begin(ctx context.Context, s local.Step) error {
	name := nameOf(s.ID)
	switch state, err := d.state(ctx, name); {
	case errors.Is(err, local.ErrLost):
	case err != nil:
		return err
	case state.Status != container.StateCreated:
		return nil
	default:
		if err := d.remove(ctx, name); err != nil {
			return err
		}
	}
	user, err := d.image(ctx, s.Container)
	if err != nil {
		return err
	}
	host := &container.HostConfig{
		NetworkMode: "none", CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges"},
		LogConfig: container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": logSize, "max-file": "1"}},
	}
	if s.Container.Network {
		host.NetworkMode = container.NetworkMode(d.cfg.Network)
	}
	processes := int64(maxProcesses)
	host.PidsLimit = &processes
	host.Memory = cmp.Or(s.Container.Memory, d.cfg.Memory)
	host.MemorySwap = host.Memory // none beside it
	host.NanoCPUs = int64(cmp.Or(s.Container.CPU, d.cfg.CPU) * 1e9)
	for _, m := range s.Container.Mounts {
		made, err := d.mounted(s.Workspace, s.ID, m, s.Volumes)
		if err != nil {
			return err
		}
		host.Mounts = append(host.Mounts, made)
	}
	config := &container.Config{
		Image: s.Container.Image, Entrypoint: s.Container.Command, Cmd: s.Container.Args, WorkingDir: s.Container.WorkingDir, User: user,
		Labels: map[string]string{labelInstallation: d.cfg.Installation, labelJob: s.ID.Job, labelWorkspace: s.Workspace},
	}
	for _, v := range s.Container.Env {
		config.Env = append(config.Env, v.Name+"="+v.Value.Reveal())
	}
	made, err := d.engine.ContainerCreate(ctx, client.ContainerCreateOptions{Config: config, HostConfig: host, Name: name})
	if err != nil {
		return plain(err, "make the container")
	}
	if err := d.stage(ctx, made.ID, s); err != nil {
		return err
	}
	_, err = d.engine.ContainerStart(ctx, made.ID, client.ContainerStartOptions{})
	return plain(err, "start the container")
}

// image sees that the image is there, and gives the user that the container runs as.
func (d *Driver) image(ctx context.Context, c local.Container) (user string, err error) {
	found, err := d.engine.ImageInspect(ctx, c.Image)
	missing := errdefs.IsNotFound(err)
	if err != nil && !missing {
		return "", plain(err, "look at the image "+c.Image)
	}
	if d.cfg.Pull == PullAlways || missing && d.cfg.Pull != PullNever {
		if err := d.pull(ctx, c.Image); err != nil {
			return "", err
		}
		if found, err = d.engine.ImageInspect(ctx, c.Image); err != nil {
			return "", plain(err, "look at the image "+c.Image)
		}
	} else if missing {
		return "", fault.New(fault.Invalid, "the image %s is not on this machine, and none are fetched", c.Image)
	}
	switch {
	case c.User > 0:
		return strconv.FormatInt(c.User, 10) + ":" + strconv.FormatInt(c.User, 10), nil
	case found.Config != nil && rootless(found.Config.User):
		return found.Config.User, nil
	default:
		return nobody, nil
	}
}

func (d *Driver) pull(ctx context.Context, image string) error {
	d.log.InfoContext(ctx, "an image is fetched", "image", image)
	answer, err := d.engine.ImagePull(ctx, image, client.ImagePullOptions{})
	if err == nil {
		defer func() { _ = answer.Close() }()
		err = answer.Wait(ctx)
	}
	if err = plain(err, "fetch the image "+image); fault.Is(err, fault.Missing) {
		return fault.Wrap(err, fault.Invalid, "there is no image %s", image)
	}
	return err
}

// mounted is a volume as the engine mounts it.
func (d *Driver) mounted(workspace string, id local.ID, m local.Mount, volumes []spec.KubeVolume) (mount.Mount, error) {
	i := slices.IndexFunc(volumes, func(v spec.KubeVolume) bool { return v.Name == m.Volume })
	if i < 0 {
		return mount.Mount{}, fmt.Errorf("there is no volume %s", m.Volume)
	}
	source, err := local.SourceOf(volumes[i])
	if err != nil {
		return mount.Mount{}, err
	}
	if m.SubPath != "" {
		// A step could have put a link there that leads elsewhere on the machine.
		return mount.Mount{}, fmt.Errorf("the volume %s is mounted whole here, without a subPath", m.Volume)
	}
	if source.Host != "" {
		return mount.Mount{Type: mount.TypeBind, Source: source.Host, Target: m.Path, ReadOnly: m.ReadOnly}, nil
	}
	labels := map[string]string{labelInstallation: d.cfg.Installation, labelWorkspace: workspace}
	name := "lodge-" + d.cfg.Installation + "-" + workspace + "-" + source.Claim
	if source.Claim == "" {
		labels[labelJob] = id.Job
		name = "lodge-" + id.Job + "-" + m.Volume
	}
	return mount.Mount{Type: mount.TypeVolume, Source: name, Target: m.Path, ReadOnly: m.ReadOnly, VolumeOptions: &mount.VolumeOptions{Labels: labels}}, nil
}

// stage puts inputs into a container, and makes the folders that it writes its results to.
func (d *Driver) stage(ctx context.Context, name string, s local.Step) error {
	folders := map[string]bool{"/tmp": true}
	for _, in := range s.Inputs {
		folders[path.Dir(in.Path)] = true
	}
	for _, file := range s.Results {
		if dir := path.Dir(path.Clean("/" + file)); dir != "/" {
			folders[dir] = true
		}
	}
	for _, m := range s.Container.Mounts {
		// A new volume belongs to root; a folder of the machine is as its owner has it.
		if made, err := d.mounted(s.Workspace, s.ID, m, s.Volumes); err == nil && made.Type == mount.TypeVolume && !m.ReadOnly {
			folders[m.Path] = true
		}
	}
	body, write := io.Pipe()
	go func() { write.CloseWithError(archive(ctx, write, folders, s.Inputs)) }()
	_, err := d.engine.CopyToContainer(ctx, name, client.CopyToContainerOptions{DestinationPath: "/", Content: body})
	_ = body.CloseWithError(context.Canceled)
	return plain(err, "put files into the container")
}

// archive writes folders that everybody may write to, and files.
func archive(ctx context.Context, to io.Writer, folders map[string]bool, files []local.Input) error {
	out := tar.NewWriter(to)
	names := make([]string, 0, len(folders))
	for name := range folders {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		// Whoever removes files there is not their owner: as in /tmp.
		if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: strings.TrimPrefix(name, "/") + "/", Mode: 0o1777}); err != nil {
			return err
		}
	}
	for _, f := range files {
		if err := add(ctx, out, f); err != nil {
			return err
		}
	}
	return out.Close()
}

func add(ctx context.Context, out *tar.Writer, f local.Input) error {
	body, err := f.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(f.Path, "/"), Mode: 0o644, Size: f.Size}); err != nil {
		return err
	}
	_, err = io.Copy(out, body)
	return err
}

// Fetch opens a file of a container that has ended.
func (d *Driver) Fetch(ctx context.Context, id local.ID, name string) (io.ReadCloser, error) {
	answer, err := d.engine.CopyFromContainer(ctx, nameOf(id), client.CopyFromContainerOptions{SourcePath: path.Clean("/" + name)})
	if err != nil {
		return nil, plain(err, "fetch "+name)
	}
	in := tar.NewReader(answer.Content)
	head, err := in.Next()
	if err == nil && head.Typeflag != tar.TypeReg {
		err = fault.New(fault.Invalid, "%s is no plain file", name)
	}
	if err != nil {
		return nil, errors.Join(err, answer.Content.Close())
	}
	return &fetched{in, answer.Content}, nil
}

// fetched is the one file of an archive.
type fetched struct {
	io.Reader
	io.Closer
}
