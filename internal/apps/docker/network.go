package docker

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"lodge/internal/apps"
	"lodge/internal/fault"
)

// maxRefused is how many subnets may be refused until it is not for the subnets' sake.
const maxRefused = 50

// subnetBits is the size of a person's network: room for 29 containers and the way out.
const subnetBits = 27

// networkName is a person's network. Those that lead nowhere are others than those that lead out.
func (d *Driver) networkName(s apps.Spec) string {
	if d.cfg.Network != "" {
		return d.cfg.Network
	}
	name := "lodge-" + d.short() + "-" + s.Slug
	if s.Security.Egress == "none" {
		name += "-closed"
	}
	return name
}

// ensureNetwork makes a person's network, unless it is there. The caller holds its name.
func (d *Driver) ensureNetwork(ctx context.Context, s apps.Spec, name string) error {
	_, err := d.engine.NetworkInspect(ctx, name, client.NetworkInspectOptions{})
	if err == nil || !errdefs.IsNotFound(err) {
		return plain(err, "look for the network "+name)
	}
	if d.cfg.Network != "" {
		return fault.New(fault.Invalid, "there is no network %s", name)
	}
	defer d.hold("networks")() // or two people would be given the same subnet
	taken, err := d.subnets(ctx)
	if err != nil {
		return err
	}
	tries := 0
	for subnet := range d.candidates() {
		if overlaps(taken, subnet) {
			continue
		}
		options := map[string]string{"com.docker.network.bridge.enable_icc": "false"}
		if d.cfg.MTU > 0 {
			options["com.docker.network.driver.mtu"] = strconv.Itoa(d.cfg.MTU)
		}
		_, err := d.engine.NetworkCreate(ctx, name, client.NetworkCreateOptions{
			Driver: "bridge", Internal: s.Security.Egress == "none", Options: options,
			IPAM:   &network.IPAM{Config: []network.IPAMConfig{{Subnet: subnet, Gateway: subnet.Addr().Next()}}},
			Labels: map[string]string{labelInstallation: d.cfg.Installation, labelOwner: s.OwnerID, labelNetwork: "person"},
		})
		switch {
		case err == nil, errdefs.IsConflict(err): // another replica was first
			return nil
		case tries >= maxRefused:
		case errdefs.IsPermissionDenied(err), errdefs.IsInternal(err), errdefs.IsInvalidArgument(err):
			tries++
			continue // somebody else on this machine has the subnet
		}
		return plain(err, "make the network "+name)
	}
	return fault.New(fault.Exhausted, "no network is left in %s", d.cfg.Pool)
}

// candidates are all subnets of the pool, from a place left to chance on: an address that was
// somebody's a moment ago, which a replica may still believe to be theirs, is not given to another.
func (d *Driver) candidates() iter.Seq[netip.Prefix] {
	count := 1 << max(0, subnetBits-d.cfg.Pool.Bits())
	first := rand.IntN(count) //nolint:gosec // G404: nothing depends on it that anybody could guess
	return func(yield func(netip.Prefix) bool) {
		for i := range count {
			if !yield(subnet(d.cfg.Pool, (first+i)%count)) {
				return
			}
		}
	}
}

// subnet is the nth of a pool.
func subnet(pool netip.Prefix, n int) netip.Prefix {
	a := pool.Masked().Addr().As4()
	base := binary.BigEndian.Uint32(a[:]) + uint32(n)<<(32-subnetBits)
	binary.BigEndian.PutUint32(a[:], base)
	return netip.PrefixFrom(netip.AddrFrom4(a), subnetBits)
}

// subnets are those that the engine has given away, and those that this machine has addresses in: a
// second bridge of the same subnet, which another engine left behind, would lead the traffic away.
func (d *Driver) subnets(ctx context.Context) ([]netip.Prefix, error) {
	list, err := d.engine.NetworkList(ctx, client.NetworkListOptions{})
	if err != nil {
		return nil, plain(err, "list the networks")
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list the addresses of this machine: %w", err)
	}
	var taken []netip.Prefix
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			taken = append(taken, p)
		}
	}
	for _, n := range list.Items {
		for _, c := range n.IPAM.Config {
			if c.Subnet.IsValid() {
				taken = append(taken, c.Subnet)
			}
		}
	}
	return taken, nil
}

func overlaps(taken []netip.Prefix, subnet netip.Prefix) bool {
	for _, one := range taken {
		if one.Overlaps(subnet) {
			return true
		}
	}
	return false
}

// leaveNetwork removes a person's network once nothing of theirs is in it.
func (d *Driver) leaveNetwork(ctx context.Context, name string) {
	if d.cfg.Network != "" || name == "" {
		return
	}
	defer d.hold(name)()
	n, err := d.engine.NetworkInspect(ctx, name, client.NetworkInspectOptions{})
	if err != nil || n.Network.Labels[labelInstallation] != d.cfg.Installation || len(n.Network.Containers) > 0 {
		return
	}
	if _, err := d.engine.NetworkRemove(ctx, name, client.NetworkRemoveOptions{}); err != nil && !errdefs.IsNotFound(err) {
		d.log.DebugContext(ctx, "a network stays", "network", name, "error", fmt.Sprint(err))
	}
}
