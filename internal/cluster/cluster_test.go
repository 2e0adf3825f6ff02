package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const file = `apiVersion: v1
kind: Config
current-context: one
clusters:
- {name: near, cluster: {server: "https://near.example.org:6443"}}
- {name: far, cluster: {server: "https://far.example.org:6443"}}
users:
- {name: lodge, user: {token: hush}}
contexts:
- {name: one, context: {cluster: near, user: lodge}}
- {name: two, context: {cluster: far, user: lodge}}
`

func TestAccess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	for name, x := range map[string]struct {
		place Place
		host  string
		says  string
	}{
		"the current context": {Place{Kubeconfig: path}, "https://near.example.org:6443", ""},
		"another context":     {Place{Kubeconfig: path, Context: "two"}, "https://far.example.org:6443", ""},
		"no such context":     {Place{Kubeconfig: path, Context: "three"}, "", `"three"`},
		"no such file":        {Place{Kubeconfig: path + "x"}, "", "no such file"},
		"no pod":              {Place{}, "", "kubernetes.kubeconfig"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := x.place.Access()
			if err != nil {
				if x.says == "" || !strings.Contains(err.Error(), x.says) || strings.Contains(err.Error(), "hush") {
					t.Errorf("got %v, want %q", err, x.says)
				}
				return
			}
			if x.says != "" || cfg.Host != x.host || cfg.BearerToken != "hush" || cfg.UserAgent != "lodge" {
				t.Errorf("got %+v, want %s", cfg, x.host)
			}
		})
	}
}
