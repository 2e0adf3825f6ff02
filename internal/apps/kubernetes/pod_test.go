package kubernetes

import (
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"lodge/internal/apps"
	"lodge/internal/fault"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

// golden compares what the cluster is asked for with a file.
func golden(t *testing.T, name string, asked any) {
	t.Helper()
	got, err := json.MarshalIndent(asked, "", "  ")
	must(t, err)
	file := filepath.Join("testdata", name+".json")
	if *update {
		must(t, os.WriteFile(file, append(got, '\n'), 0o644))
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if string(got)+"\n" != string(want) {
		t.Errorf("%s differs from %s; go test -update rewrites it:\n%s", name, file, got)
	}
}

// A pod may as little as an entry says, and that is little: by default, and with all that an entry can ask for.
func TestWhatAPodMayGolden(t *testing.T) {
	t.Parallel()
	d := newServer(t).driver()
	plain, err := d.pod(specFor("11111111-0000"))
	must(t, err)
	golden(t, "pod", plain)
	golden(t, "policy", d.policy(specFor("11111111-0000")))

	rich := newServer(t).driver(func(c *Config) {
		c.PullSecrets, c.NodeSelector, c.Pull = []string{"registry"}, map[string]string{"pool": "apps"}, PullAlways
		c.StorageClass, c.AccessMode, c.LodgeNamespace = "fast", "ReadWriteMany", "lodge"
	})
	s := specFor("22222222-0000")
	writable := false
	s.Command = []apps.Filled{"serve", "--port={port}", "--home={home}", "$(PATH) costs 5$"}
	s.Env, s.Secrets = map[string]apps.Filled{"A": "$(KEY)"}, map[string]string{"KEY": "$$"}
	s.Volumes = []apps.Volume{
		{Name: "home", Path: "/home/user", Per: "user", Size: 5 << 30},
		{Name: "scratch", Path: "/scratch", Per: "session"},
		{Name: "models", Path: "/models", Per: "app", ReadOnly: true},
		{Name: "common", Path: "/common", Per: "shared"},
		{Name: "data", Path: "/data", Source: "claim:measurements", ReadOnly: true},
	}
	s.Resources = apps.Resources{CPU: 2, CPURequest: 0.1, Memory: 4 << 30, MemoryRequest: 1 << 30, Disk: 2 << 30, Shm: 64 << 20, GPU: 1, PIDs: 100}
	s.Security = apps.SecurityRule{
		RunAs: "image", AllowRoot: true, ReadOnlyRoot: &writable, Tmpfs: map[string]apps.Size{"/run": 1 << 20, "/cache": 2 << 20},
		CapAdd: []string{"NET_BIND_SERVICE", "CAP_CHOWN"}, Runtime: "gvisor", Egress: "none",
	}
	s.MaxLifetime, s.GraceStop = time.Hour, 1500*time.Millisecond
	full, err := rich.pod(s)
	must(t, err)
	golden(t, "pod-rich", full)
	golden(t, "policy-closed", rich.policy(s))
	var claims []*corev1.PersistentVolumeClaim
	for _, v := range s.Volumes[:4] {
		claim, err := rich.claim(s, v)
		must(t, err)
		claims = append(claims, claim)
	}
	golden(t, "claims", claims)
}

func TestWhatNoPodCanBe(t *testing.T) {
	t.Parallel()
	d := newServer(t).driver()
	for name, change := range map[string]func(*apps.Spec){
		"no image":             func(s *apps.Spec) { s.Image, s.Command = "", []apps.Filled{"x"} },
		"a socket":             func(s *apps.Spec) { s.Socket = true },
		"no port":              func(s *apps.Spec) { s.Port = 0 },
		"a folder of a node":   func(s *apps.Spec) { s.Volumes = []apps.Volume{{Name: "x", Path: "/x", Source: "/etc"}} },
		"nobody in particular": func(s *apps.Spec) { s.Security.RunAs = "ana" },
	} {
		s := specFor("11111111-0000")
		change(&s)
		if err := d.Prepare(t.Context(), s, nil); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want something invalid", name, err)
		}
	}
}

// Nobody comes in but Lodge; out leads what the entry says, and never by accident more.
func TestPolicies(t *testing.T) {
	t.Parallel()
	nobody := newServer(t).driver(func(c *Config) { c.LodgeNetworks = nil })
	if p := nobody.policy(specFor("x")); len(p.Spec.Ingress) != 0 || len(p.Spec.PolicyTypes) != 2 {
		t.Errorf("without a word about Lodge, %+v may come in", p.Spec.Ingress)
	}
	for rule, rules := range map[string]int{"none": 0, "all": 1, "internet": 2, "": 2, "nonsense": 0} {
		if got := egress(rule); len(got) != rules {
			t.Errorf("egress %q has %d rules, want %d", rule, len(got), rules)
		}
	}
	out := egress("internet")[1].To
	for _, address := range []string{"10.1.2.3", "172.31.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "127.0.0.1", "fd00::1", "fe80::1", "64:ff9b::a9fe:a9fe"} {
		at := netip.MustParseAddr(address)
		for _, to := range out {
			within := func(cidr string) bool { return netip.MustParsePrefix(cidr).Contains(at) }
			if within(to.IPBlock.CIDR) && !slices.ContainsFunc(to.IPBlock.Except, within) {
				t.Errorf("the internet includes %s", address)
			}
		}
	}
}

// Volumes are made once, kept, and those of an app session go with it.
func TestVolumesStay(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	d := s.driver()
	spec := specFor("11111111-0000")
	spec.Volumes = []apps.Volume{{Name: "home", Path: "/home/user", Per: "user"}, {Name: "scratch", Path: "/scratch", Per: "session"}, {Name: "data", Path: "/data", Source: "claim:data"}}
	for run := range int64(2) {
		spec.Run = run + 1
		_, err := d.Start(t.Context(), spec, nil)
		must(t, err)
	}
	const home, scratch = "lodge-01234567-u-ana-home", "lodge-01234567-s-11111111-0000-scratch"
	if got := s.names("persistentvolumeclaims"); !slices.Equal(got, []string{scratch, home}) {
		t.Errorf("claims are %v", got)
	}
	if err := d.Forget(t.Context(), spec.ID); !fault.Is(err, fault.Conflict) {
		t.Errorf("what runs was forgotten: %v", err)
	}
	must(t, d.Stop(t.Context(), spec.ID, 2, 0))
	if got := s.names("persistentvolumeclaims"); len(got) != 2 {
		t.Errorf("after the stop claims are %v", got)
	}
	must(t, d.Forget(t.Context(), spec.ID))
	if got := s.names("persistentvolumeclaims"); !slices.Equal(got, []string{home}) {
		t.Errorf("after it was forgotten claims are %v", got)
	}
}

func TestInstances(t *testing.T) {
	t.Parallel()
	d := newServer(t).driver()
	of := func(fate func(*corev1.Pod)) apps.Instance {
		p, err := d.pod(specFor("11111111-0000"))
		must(t, err)
		fate(p)
		inst, err := instance(p)
		must(t, err)
		return inst
	}
	if inst := of(runs("fd00::1")); inst.Address != "[fd00::1]:8080" || inst.Exit != nil || inst.Ref != "pod apps/lodge-11111111-test-ana" || inst.ImageDigest != "sha256:1" {
		t.Errorf("it runs: %+v", inst)
	}
	if inst := of(homeless("full")); inst.Address != "" || inst.Exit != nil {
		t.Errorf("it waits: %+v", inst)
	}
	for name, x := range map[string]struct {
		fate func(*corev1.Pod)
		want string
	}{
		"an exit":       {ends(3, "Error"), "with the exit code 3"},
		"an end":        {ends(0, "Completed"), "with the exit code 0"},
		"a signal":      {ends(143, "Error"), "by the signal SIGTERM"},
		"no memory":     {ends(137, "OOMKilled"), "out of memory"},
		"an eviction":   {func(p *corev1.Pod) { p.Status.Phase, p.Status.Reason = corev1.PodFailed, "Evicted" }, "and nobody saw how"},
		"out of bounds": {ends(255, "Error"), "with the exit code 255"},
	} {
		if inst := of(x.fate); inst.Exit == nil || inst.Exit.String() != x.want || inst.Address != "" {
			t.Errorf("%s: %+v, want %s", name, inst, x.want)
		}
	}
	broken := &corev1.Pod{}
	if _, err := instance(broken); err == nil || !strings.Contains(err.Error(), labelRun) {
		t.Errorf("a pod without labels: %v", err)
	}
}
