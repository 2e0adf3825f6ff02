package docker

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"

	"lodge/internal/apps"
	"lodge/internal/fault"
)

// How much log is kept of a container.
const (
	logSize  = "10m"
	logFiles = "3"
)

// defaultTmpfs is what an app may write to when its root is read-only.
var defaultTmpfs = map[string]apps.Size{"/tmp": 256 << 20}

// containerName is for people who look at the engine; labels are what counts.
func (d *Driver) containerName(s apps.Spec) string {
	return "lodge-" + s.ID[:min(8, len(s.ID))] + "-" + string(s.App) + "-" + s.Slug
}

func (d *Driver) labels(s apps.Spec) map[string]string {
	return map[string]string{
		labelInstallation: d.cfg.Installation, labelSession: s.ID, labelRun: strconv.FormatInt(s.Run, 10), labelApp: string(s.App),
		labelOwner: s.OwnerID, labelSlug: s.Slug, labelSpec: s.Hash, labelPort: strconv.Itoa(s.Port),
	}
}

// options are what the engine is asked to make of a spec.
func (d *Driver) options(s apps.Spec, networkName string) (client.ContainerCreateOptions, error) {
	port, ok := network.PortFrom(uint16(s.Port), network.TCP)
	if !ok {
		return client.ContainerCreateOptions{}, fault.New(fault.Invalid, "%d is no port", s.Port)
	}
	mounts, home, err := d.mounts(s)
	if err != nil {
		return client.ContainerCreateOptions{}, err
	}
	grace := int(math.Ceil(s.GraceStop.Seconds()))
	config := &container.Config{
		Image: s.Image, Labels: d.labels(s), Env: environment(s, home), ExposedPorts: network.PortSet{port: {}}, StopTimeout: &grace,
	}
	if user := string(s.Security.RunAs); user != "image" {
		config.User = user
		if _, err := strconv.Atoi(user); err == nil {
			config.User = user + ":" + user // or its group would be root's
		}
	}
	for _, arg := range s.Command {
		config.Cmd = append(config.Cmd, arg.With(s.Port, "", home))
	}
	host := &container.HostConfig{
		NetworkMode: container.NetworkMode(networkName), LogConfig: container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": logSize, "max-file": logFiles}},
		CapDrop: []string{"ALL"}, CapAdd: s.Security.CapAdd, SecurityOpt: []string{"no-new-privileges"}, IpcMode: container.IPCModePrivate,
		ReadonlyRootfs: readOnly(s), Tmpfs: tmpfs(s), Init: new(true), Runtime: s.Security.Runtime, Mounts: mounts,
		ShmSize: int64(s.Resources.Shm), Resources: resources(s.Resources),
	}
	if d.cfg.Publish {
		host.PortBindings = network.PortMap{port: {{HostIP: netip.MustParseAddr("127.0.0.1")}}}
	}
	return client.ContainerCreateOptions{Name: d.containerName(s), Config: config, HostConfig: host}, nil
}

func readOnly(s apps.Spec) bool { return s.Security.ReadOnlyRoot == nil || *s.Security.ReadOnlyRoot }

func tmpfs(s apps.Spec) map[string]string {
	sizes := s.Security.Tmpfs
	if len(sizes) == 0 && readOnly(s) {
		sizes = defaultTmpfs
	}
	list := map[string]string{}
	for at, size := range sizes {
		list[at] = "rw,nosuid,nodev,mode=1777,size=" + strconv.FormatInt(int64(size), 10)
	}
	return list
}

func resources(r apps.Resources) container.Resources {
	out := container.Resources{Ulimits: []*container.Ulimit{{Name: "core", Soft: 0, Hard: 0}}}
	if r.CPU > 0 {
		out.NanoCPUs = int64(r.CPU * 1e9)
	}
	if r.Memory > 0 {
		out.Memory, out.MemorySwap = int64(r.Memory), int64(r.Memory) // no swap besides
		out.MemoryReservation = int64(r.MemoryRequest)
	}
	if r.PIDs > 0 {
		out.PidsLimit = new(int64(r.PIDs))
	}
	if r.GPU > 0 {
		out.DeviceRequests = []container.DeviceRequest{{Count: r.GPU, Capabilities: [][]string{{"gpu"}}}}
	}
	return out
}

// environment is what the app is told, besides what its image says.
func environment(s apps.Spec, home string) []string {
	list := []string{"PORT=" + strconv.Itoa(s.Port)}
	for name, value := range s.Env {
		list = append(list, name+"="+value.With(s.Port, "", home))
	}
	for name, value := range s.Secrets {
		list = append(list, name+"="+value)
	}
	for _, v := range s.Volumes {
		list = append(list, "LODGE_VOLUME_"+strings.ToUpper(strings.ReplaceAll(v.Name, "-", "_"))+"="+v.Path)
	}
	slices.Sort(list)
	return list
}

// mounts gives an app its volumes, and the path that {home} stands for.
func (d *Driver) mounts(s apps.Spec) (list []mount.Mount, home string, err error) {
	home = "/tmp"
	for _, v := range s.Volumes {
		if v.Name == "home" {
			home = v.Path
		}
		one := mount.Mount{Type: mount.TypeVolume, Source: d.volumeName(s, v), Target: v.Path, ReadOnly: v.ReadOnly}
		if v.Source != "" {
			source, err := d.source(v)
			if err != nil {
				return nil, "", err
			}
			one.Type, one.Source = mount.TypeBind, source
		}
		list = append(list, one)
	}
	return list, home, nil
}

// source gives a folder of the machine that an app may have. A link that leads elsewhere is followed
// before it is looked at.
func (d *Driver) source(v apps.Volume) (string, error) {
	real, err := filepath.EvalSymlinks(v.Source)
	if err != nil {
		return "", fault.Wrap(err, fault.Invalid, "the folder of the volume %s is not there", v.Name)
	}
	for _, allowed := range d.cfg.AllowedSources {
		if base, err := filepath.EvalSymlinks(allowed); err == nil && (real == base || strings.HasPrefix(real, strings.TrimSuffix(base, "/")+"/")) {
			return real, nil
		}
	}
	return "", fault.New(fault.Invalid, "the folder of the volume %s is not below apps.docker.allowed_sources", v.Name)
}

func (d *Driver) volumeName(s apps.Spec, v apps.Volume) string {
	base := "lodge-" + d.short() + "-"
	switch v.Per {
	case "session":
		return base + "s-" + s.ID + "-" + v.Name
	case "app":
		return base + "a-" + string(s.App) + "-" + v.Name
	case "shared":
		return base + "all-" + v.Name
	default:
		return base + "u-" + s.Slug + "-" + v.Name
	}
}

// instance reads what the engine says of a container of ours.
func (d *Driver) instance(c container.InspectResponse) (apps.Instance, error) {
	if c.Config == nil || c.State == nil {
		return apps.Instance{}, errors.New("the engine does not say what it runs")
	}
	labels := c.Config.Labels
	run, err := strconv.ParseInt(labels[labelRun], 10, 64)
	if err != nil {
		return apps.Instance{}, fmt.Errorf("the label %s: %w", labelRun, err)
	}
	created, _ := time.Parse(time.RFC3339Nano, c.Created)
	inst := apps.Instance{
		ID: labels[labelSession], Run: run, App: apps.AppID(labels[labelApp]), OwnerID: labels[labelOwner], Hash: labels[labelSpec],
		Ref: "container " + c.ID[:min(12, len(c.ID))], ImageDigest: c.Image, Created: created,
	}
	if c.State.Status == container.StateExited || c.State.Status == container.StateDead {
		inst.Exit = exitOf(c.State)
		return inst, nil
	}
	if c.NetworkSettings != nil {
		inst.Address = d.address(labels[labelPort], c.NetworkSettings)
	}
	return inst, nil
}

func exitOf(s *container.State) *apps.Exit {
	exit := &apps.Exit{Code: new(s.ExitCode), OOM: s.OOMKilled}
	if s.ExitCode > 128 && s.ExitCode < 160 {
		exit.Signal = unix.SignalName(unix.Signal(s.ExitCode - 128))
	}
	return exit
}

// address is where Lodge reaches a container.
func (d *Driver) address(port string, n *container.NetworkSettings) string {
	if d.cfg.Publish {
		for _, bindings := range n.Ports {
			for _, b := range bindings {
				return net.JoinHostPort("127.0.0.1", b.HostPort)
			}
		}
		return ""
	}
	for _, e := range n.Networks {
		if e.IPAddress.IsValid() {
			return net.JoinHostPort(e.IPAddress.String(), port)
		}
	}
	return ""
}
