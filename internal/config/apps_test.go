package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCatalogue(t *testing.T) {
	t.Parallel()
	got, err := Load(Input{File: write(t, `
apps:
  driver: docker
  catalogue:
    - {id: notes, image: notes, env: {SECRET: hush}}
    - {id: plots, command: [/bin/plots], driver: process}
  limits:
    cpu_per_user: 2.5
    by_role:
      staff: {sessions_per_user: 10}
      guest: {sessions_per_user: 1, cpu_per_user: -1}
`)})
	if err != nil {
		t.Fatal(err)
	}
	if item := find(t, got, "apps.catalogue"); item.Value != "[notes, plots]" || item.Source != "lodge.yaml:4" {
		t.Errorf("the catalogue is shown as %q from %s", item.Value, item.Source)
	}
	if !strings.Contains(string(got.Apps.Catalogue), "hush") {
		t.Error("the catalogue is not kept as it was")
	}
	want := []RoleLimit{{Role: "staff", SessionsPerUser: 10}, {Role: "guest", SessionsPerUser: 1, CPUPerUser: -1}}
	if l := got.Apps.Limits; l.CPUPerUser != 2.5 || !slices.Equal(l.ByRole, want) {
		t.Errorf("limits are %+v", l)
	}
}

func TestWrongApps(t *testing.T) {
	t.Parallel()
	for _, row := range [][2]string{
		{"{catalogue: [{id: A, image: x}]}", "\"A\" is no id"},
		{"{catalogue: [{id: a, image: x, priviledged: true}]}", "priviledged"},
		{"{catalogue: [{id: a, image: x, driver: magic}]}", "there is no driver"},
		{"{routing: alone}", "alone needs apps.default_app"},
		{"{default_app: a, catalogue: []}", "has no app"},
		{"{host_suffix: \"https://x\"}", "is not a host name"},
		{"{limits: {by_role: [{sessions_per_user: 3}]}}", "names no role"},
		{"{limits: {cpu_per_user: -2}}", "too small"},
		{"{catalogue: [{id: a, command: [x], driver: docker}]}", "needs an image"},
		{"{catalogue: [{id: a, image: x}]}", "needs a command"},
		{"{docker: {network_pool: 10.0.0.0/30}}", "with room for people's"},
		{"{docker: {allowed_sources: [data]}}", "no absolute path"},
		{"{process: {user: a, allow_root: true}}", "not both"},
	} {
		if _, err := Load(Input{File: write(t, "apps: "+row[0]+"\n")}); err == nil || !strings.Contains(err.Error(), row[1]) {
			t.Errorf("%s: %v", row[0], err)
		}
	}
}

// An app's network may not be listed among those whose word counts: the class "trusted header from
// whoever can reach the port".
func TestAppsAreNoProxies(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"{apps: {driver: docker}, identity: {trusted_header: {name: userid, proxies: [10.77.3.0/24]}}}",
		"{apps: {catalogue: [{id: a, image: x, driver: docker}]}, http: {trusted_proxies: [10.0.0.0/8]}}",
		"{apps: {driver: docker, docker: {network_pool: 172.30.0.0/16}}, http: {trusted_proxies: [172.30.1.1]}}",
	} {
		if _, err := Load(Input{File: write(t, text+"\n")}); err == nil || !strings.Contains(err.Error(), "apps would be believed") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// What the kubernetes driver needs to know is asked for at the start, with what to write.
func TestAppsOnKubernetes(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"{driver: kubernetes}":                                                                                                                   "say who may connect to apps",
		"{catalogue: [{id: a, image: x, driver: kubernetes}]}":                                                                                   "say who may connect to apps",
		"{driver: kubernetes, kubernetes: {lodge_namespace: lodge-apps}}":                                                                        "a namespace of their own",
		"{driver: kubernetes, kubernetes: {lodge_namespace: Lodge}}":                                                                             `"Lodge" is no name of a namespace`,
		"{driver: kubernetes, kubernetes: {lodge_networks: [nowhere]}}":                                                                          `"nowhere" is neither an address`,
		"{driver: kubernetes, kubernetes: {lodge_namespace: lodge, namespace: ''}}":                                                              "needs a namespace",
		"{kubernetes: {node_selector: [pool]}}":                                                                                                  "write key=value",
		"{driver: kubernetes, kubernetes: {lodge_namespace: lodge}, catalogue: [{id: a, command: [x]}]}":                                         "the kubernetes driver needs an image",
		"{catalogue: [{id: a, image: x, driver: podman}]}":                                                                                       "choose process, docker or kubernetes",
		"{catalogue: [{id: a, image: x, driver: docker, volumes: [{name: v, path: /v, source: 'claim:x'}]}]}":                                    "claims are for the kubernetes driver",
		"{driver: kubernetes, kubernetes: {lodge_namespace: lodge}, catalogue: [{id: a, image: x, volumes: [{name: v, path: /v, source: /x}]}]}": "pods have no folders",
	} {
		if _, err := Load(Input{File: write(t, "apps: "+text+"\n")}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %s", text, err, says)
		}
	}
	got, err := Load(Input{File: write(t, "apps: {driver: kubernetes, kubernetes: {lodge_networks: [192.0.2.10], node_selector: [pool=apps, gpu=]}}\n")})
	if err != nil {
		t.Fatal(err)
	}
	k := got.Apps.Kubernetes
	if k.Networks()[0].String() != "192.0.2.10/32" || k.Nodes()["pool"] != "apps" || len(k.Nodes()) != 2 || !got.Apps.Uses("kubernetes") || got.Apps.Uses("docker") {
		t.Errorf("got %+v", k)
	}
}

func TestServiceHub(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "servicehub.conf")
	if err := os.WriteFile(file, []byte("[application]\nloglevel = ERROR\n[session]\nlifetime = 43200\n[image]\nname = echoheaders\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Load(Input{File: os.DevNull, ServiceHub: file})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"apps.catalogue": "[echoheaders]", "apps.routing": "alone", "apps.driver": "docker", "apps.default_app": "echoheaders", "log.level": "error",
		"identity.trusted_header.name": "userid", "identity.trusted_header.proxies": "[127.0.0.0/8, ::1]",
	} {
		if item := find(t, got, key); item.Value != want {
			t.Errorf("%s is %q, want %q", key, item.Value, want)
		}
	}
	// What is configured for Lodge itself wins.
	got, err = Load(Input{File: os.DevNull, ServiceHub: file, Environ: []string{"LODGE_LOG_LEVEL=debug", "LODGE_HTTP_TRUSTED_PROXIES=10.1.0.0/16"}})
	if err != nil {
		t.Fatal(err)
	}
	if got.Log.Level != "debug" || !slices.Equal(got.Identity.TrustedHeader.Proxies, []string{"10.1.0.0/16"}) {
		t.Errorf("level %s, proxies %v", got.Log.Level, got.Identity.TrustedHeader.Proxies)
	}
	if _, err := Load(Input{File: os.DevNull, ServiceHub: file + ".none"}); err == nil {
		t.Error("a file that is not there was read")
	}
}
