package lodge

import (
	"strings"
	"testing"

	"lodge/internal/config"
)

// Where app sessions have their hosts follows from the public address, as long as it has names below it.
func TestHostsOfApps(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		public  string
		apps    config.Apps
		hosts   string
		warning string
	}{
		{"http://127.0.0.1:8080", config.Apps{Routing: "host"}, "http://*.apps.localhost:8080", ""},
		{"http://localhost:8080", config.Apps{Routing: "host"}, "http://*.apps.localhost:8080", ""},
		{"https://lodge.example.org", config.Apps{Routing: "host"}, "https://*.apps.lodge.example.org", ""},
		{"https://lodge.example.org", config.Apps{Routing: "host", HostSuffix: "apps.example.net"}, "https://*.apps.example.net", ""},
		{"https://lodge.example.org", config.Apps{Routing: "path"}, "", ""},
		{"http://192.0.2.7:8080", config.Apps{Routing: "host"}, "http://*.apps.192.0.2.7:8080", "no host names below the address 192.0.2.7"},
		{"http://192.0.2.7:8080", config.Apps{Routing: "path"}, "", ""},
	} {
		if got := strings.Join(appHosts(row.public, row.apps), " "); got != row.hosts {
			t.Errorf("%s: logins lead to %q, want %q", row.public, got, row.hosts)
		}
		if got := noWildcard(row.public, row.apps); (got == "") != (row.warning == "") || !strings.Contains(got, row.warning) {
			t.Errorf("%s: warned with %q, want %q", row.public, got, row.warning)
		}
	}
}

// The samples are whole entries of a catalogue.
func TestSamples(t *testing.T) {
	t.Parallel()
	s := startSite(t, "apps")
	list, err := catalogueOf(t.Context(), s.platform)
	must(t, err)
	if len(list) != 2 || list[0].ID != "demo" || list[1].ID != "echo" || list[0].Allow.Roles[0] != sampleRole {
		t.Errorf("the samples are %+v", list)
	}
}
