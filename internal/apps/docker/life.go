package docker

import (
	"context"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"lodge/internal/apps"
	"lodge/internal/fault"
)

// find gives the container of an app session.
func (d *Driver) find(ctx context.Context, id string) (container.InspectResponse, error) {
	list, err := d.engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: d.ours(labelSession + "=" + id)})
	if err != nil {
		return container.InspectResponse{}, plain(err, "look for the container")
	}
	for _, c := range list.Items {
		found, err := d.engine.ContainerInspect(ctx, c.ID, client.ContainerInspectOptions{})
		if errdefs.IsNotFound(err) {
			continue // removed this very moment
		}
		if err != nil {
			return container.InspectResponse{}, plain(err, "look at the container")
		}
		if s := found.Container.State; s != nil && s.Status == container.StateRemoving {
			continue
		}
		return found.Container, nil
	}
	return container.InspectResponse{}, fault.New(fault.Missing, "no such container")
}

// Look implements apps.Driver.
func (d *Driver) Look(ctx context.Context, id string) (apps.Instance, error) {
	c, err := d.find(ctx, id)
	if err != nil {
		return apps.Instance{}, err
	}
	return d.instance(c)
}

// List implements apps.Driver.
func (d *Driver) List(ctx context.Context) ([]apps.Instance, error) {
	list, err := d.engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: d.ours(labelSession)})
	if err != nil {
		return nil, plain(err, "list the containers")
	}
	var all []apps.Instance
	for _, c := range list.Items {
		found, err := d.engine.ContainerInspect(ctx, c.ID, client.ContainerInspectOptions{})
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, plain(err, "look at the container")
		}
		if inst, err := d.instance(found.Container); err == nil {
			all = append(all, inst)
		}
	}
	return all, nil
}

// Start implements apps.Driver.
func (d *Driver) Start(ctx context.Context, s apps.Spec, report func(apps.Step)) (apps.Instance, error) {
	defer d.hold(s.ID)()
	if report == nil {
		report = func(apps.Step) {}
	}
	c, err := d.find(ctx, s.ID)
	switch {
	case fault.Is(err, fault.Missing):
	case err != nil:
		return apps.Instance{}, err
	default:
		run, err := strconv.ParseInt(c.Config.Labels[labelRun], 10, 64)
		switch {
		case err == nil && run == s.Run && c.State.Status != container.StateCreated:
			return d.instance(c)
		case err == nil && run > s.Run:
			return apps.Instance{}, fault.New(fault.Conflict, "a later start of this app session is there already")
		}
		// An earlier run's, or one that nobody got to start.
		if err := d.remove(ctx, c, s.GraceStop); err != nil {
			return apps.Instance{}, err
		}
	}
	report(apps.Step{Name: "create", Message: "Making its container"})
	if err := d.ensureVolumes(ctx, s); err != nil {
		return apps.Instance{}, err
	}
	name := d.networkName(s)
	defer d.hold(name)() // or somebody would take it away as empty
	if err := d.ensureNetwork(ctx, s, name); err != nil {
		return apps.Instance{}, err
	}
	options, err := d.options(s, name)
	if err != nil {
		return apps.Instance{}, err
	}
	made, err := d.engine.ContainerCreate(ctx, options)
	if errdefs.IsConflict(err) {
		return apps.Instance{}, fault.Wrap(err, fault.Conflict, "a container of the same name is there")
	}
	if err != nil {
		return apps.Instance{}, refusedBy(err, "make the container")
	}
	report(apps.Step{Name: "start", Message: "Starting it"})
	if _, err := d.engine.ContainerStart(ctx, made.ID, client.ContainerStartOptions{}); err != nil {
		_, _ = d.engine.ContainerRemove(context.WithoutCancel(ctx), made.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true}) // the next start would do it too
		return apps.Instance{}, refusedBy(err, "start the container")
	}
	found, err := d.engine.ContainerInspect(ctx, made.ID, client.ContainerInspectOptions{})
	if err != nil {
		return apps.Instance{}, plain(err, "look at the container")
	}
	return d.instance(found.Container)
}

// refusedBy gives what the engine says of a spec that it cannot run.
func refusedBy(err error, doing string) error {
	if errdefs.IsInvalidArgument(err) {
		return fault.Wrap(err, fault.Invalid, "the engine refuses to %s: %v", doing, err)
	}
	return plain(err, doing)
}

// Stop implements apps.Driver.
func (d *Driver) Stop(ctx context.Context, id string, run int64, grace time.Duration) error {
	defer d.hold(id)()
	c, err := d.find(ctx, id)
	if fault.Is(err, fault.Missing) {
		return nil
	}
	if err != nil {
		return err
	}
	if of, err := strconv.ParseInt(c.Config.Labels[labelRun], 10, 64); err == nil && of > run {
		return nil
	}
	return d.remove(ctx, c, grace)
}

// remove ends a container and everything that is its alone.
func (d *Driver) remove(ctx context.Context, c container.InspectResponse, grace time.Duration) error {
	seconds := int(math.Ceil(grace.Seconds()))
	if c.State.Running {
		if _, err := d.engine.ContainerStop(ctx, c.ID, client.ContainerStopOptions{Timeout: &seconds}); err != nil && !errdefs.IsNotFound(err) {
			return plain(err, "stop the container")
		}
	}
	_, err := d.engine.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) { // a conflict: it is being removed
		return plain(err, "remove the container")
	}
	if err := d.gone(ctx, c.ID); err != nil {
		return err
	}
	if c.HostConfig != nil {
		d.leaveNetwork(ctx, string(c.HostConfig.NetworkMode))
	}
	return nil
}

// gone waits until the engine knows a container no more.
func (d *Driver) gone(ctx context.Context, id string) error {
	for {
		_, err := d.engine.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		if errdefs.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return plain(err, "look at the container")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Watch implements apps.Driver. It begins with what has ended already, so that nothing is missed
// between two watches.
func (d *Driver) Watch(ctx context.Context, died func(id string)) error {
	events := d.engine.Events(ctx, client.EventsListOptions{Filters: d.ours().Add("type", "container").Add("event", "die", "oom", "destroy")})
	ended, err := d.engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: d.ours(labelSession).Add("status", "exited", "dead")})
	if err != nil {
		return plain(err, "list what has ended")
	}
	for _, c := range ended.Items {
		died(c.Labels[labelSession])
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-events.Messages:
			if id := m.Actor.Attributes[labelSession]; id != "" {
				died(id)
			}
		case err := <-events.Err:
			if ctx.Err() != nil {
				return nil //nolint:nilerr // it was told to end
			}
			return plain(err, "hear the engine's events")
		}
	}
}

// Stats implements apps.Driver.
func (d *Driver) Stats(ctx context.Context, id string) (apps.Stats, error) {
	c, err := d.find(ctx, id)
	if err != nil {
		return apps.Stats{}, err
	}
	answer, err := d.engine.ContainerStats(ctx, c.ID, client.ContainerStatsOptions{})
	if err != nil {
		return apps.Stats{}, plain(err, "measure the container")
	}
	defer func() { _ = answer.Body.Close() }()
	var s container.StatsResponse
	if err := json.NewDecoder(answer.Body).Decode(&s); err != nil {
		return apps.Stats{}, plain(err, "measure the container")
	}
	memory := s.MemoryStats.Usage
	for _, cache := range []string{"inactive_file", "total_inactive_file"} { // which the kernel takes back when it wants
		if n, ok := s.MemoryStats.Stats[cache]; ok && n < memory {
			memory -= n
			break
		}
	}
	return apps.Stats{CPU: time.Duration(s.CPUStats.CPUUsage.TotalUsage), Memory: int64(memory), PIDs: int(s.PidsStats.Current)}, nil
}
