package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"lodge/internal/secret"
)

// write puts a lodge.yaml into a folder of the test's own.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lodge.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSourcesRise(t *testing.T) {
	t.Parallel()
	file := write(t, "listen: 127.0.0.1:1\nlog:\n  level: warn\n  format: json\nresults:\n  client_id_claim: file\n")
	got, err := Load(Input{
		File:    file,
		Environ: []string{"LODGE_LOG_LEVEL=error", "LODGE_LISTEN=127.0.0.1:2", "OIDC__CLIENT_ID_CLAIM_NAME=azp", "HOME=/root"},
		Flags:   map[string]string{"listen": "127.0.0.1:3"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ key, value, source string }{
		{"listen", "127.0.0.1:3", "flag --listen"},
		{"log.level", "error", "LODGE_LOG_LEVEL"},
		{"log.format", "json", "lodge.yaml:4"},
		{"results.client_id_claim", "azp", "OIDC__CLIENT_ID_CLAIM_NAME"},
		{"shutdown_timeout", "30s", "default"},
		{"http.max_body", "1MiB", "default"},
	} {
		if item := find(t, got, c.key); item.Value != c.value || item.Source != c.source {
			t.Errorf("%s = %q from %q, want %q from %q", c.key, item.Value, item.Source, c.value, c.source)
		}
	}
}

func find(t *testing.T, l *Loaded, key string) Item {
	t.Helper()
	for _, item := range l.Items() {
		if item.Key == key {
			return item
		}
	}
	t.Fatalf("no item %q", key)
	return Item{}
}

func TestEverythingWrongIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	file := write(t, `listen: nowhere
lissten: 127.0.0.1:1
log:
  level: loud
http:
  max_body: much
  trusted_proxies: [10.0.0.0/8, elsewhere]
results:
  retention: a week
  hub:
    url: https://hub.example.org
    flow: password
    secret: [not, one]
identity:
  issuers:
    - issuer: https://a.example.org
      algorythms: [RS256]
tls:
  cert_file: a.pem
objects:
  driver: s3
`)
	_, err := Load(Input{File: file, Environ: []string{"LODGE_LISTN=x", "LODGE_RESULTS_DP_MAX_SUBMISSIONS=-1"}, Flags: map[string]string{"nonsense": "1"}})
	var all Errors
	if !errors.As(err, &all) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{
		`lodge.yaml:1: listen: "nowhere" is not an address such as 127.0.0.1:8080`,
		`lodge.yaml:2: there is no setting "lissten"; did you mean "listen"?`,
		`lodge.yaml:4: log.level: "loud" is not allowed: choose one of debug, info, warn, error`,
		`lodge.yaml:6: http.max_body: "much" is not a size`,
		`lodge.yaml:7: http.trusted_proxies: "elsewhere" is neither an address`,
		`lodge.yaml:9: results.retention: "a week" is not a duration`,
		`lodge.yaml:13: results.hub.secret must be a single value`,
		`lodge.yaml:17: there is no setting "identity.issuers[0].algorythms"; did you mean "algorithms"?`,
		`lodge.yaml:19: tls.cert_file: tls.key_file must be set as well`,
		`lodge.yaml:21: objects.driver: objects.s3.endpoint must be set for s3`,
		`lodge.yaml:21: objects.driver: objects.s3.secret_key must be set for s3`,
		`lodge.yaml:12: results.hub.flow: password needs results.hub.username and results.hub.password`,
		`environment: LODGE_LISTN names no setting; did you mean "LODGE_LISTEN"?`,
		`LODGE_RESULTS_DP_MAX_SUBMISSIONS: results.dp.max_submissions: -1 is too small: the least is 0`,
		`there is no setting "nonsense"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing %q in\n%s", want, err)
		}
	}
}

func TestBadFiles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"no YAML", "listen: [", "lodge.yaml: line 1: not valid YAML"},
		{"a list", "- listen", "lodge.yaml:1: the file must hold settings"},
		{"set twice", "listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\n", "is set twice"},
		{"a block for a value", "listen: {a: 1}", "lodge.yaml:1: listen must be a single value"},
		{"a value for a block", "log: 1", "lodge.yaml:1: log must be a block of settings"},
		{"a value for a list of blocks", "identity: {issuers: x}", "identity.issuers must be a list"},
		{"too large", strings.Repeat("#", maxFile+1), "larger than 1 MiB"},
		{"an alias of itself", "log: &a\n  level: *a\n", "log.level"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(Input{File: write(t, c.text)})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if _, err := Load(Input{File: filepath.Join(t.TempDir(), "none.yaml")}); err == nil {
		t.Error("a file that is named and not there must be an error")
	}
}

// The value of a secret stands in no finding, wherever it came from.
func TestFindingsQuoteNoSecret(t *testing.T) {
	t.Parallel()
	const hidden = "hunter2hunter2"
	for _, in := range []Input{
		{File: write(t, "database_url: oracle://u:"+hidden+"@h/d\n")},
		{Environ: []string{"LODGE_DATABASE_URL=" + hidden}},
		{Environ: []string{"LODGE_IDENTITY_ISSUERS=[{hs256_secret: [" + hidden + "]}]"}},
		{Environ: []string{"LODGE_PUBLIC_URL=https://u:" + hidden + "@h"}},
		{DotEnv: write(t, "POSTGRES__PASSWORD='"+hidden+"\n")},
	} {
		_, err := Load(in)
		if err == nil || strings.Contains(err.Error(), hidden) {
			t.Errorf("got %v", err)
		}
	}
}

func TestShowMasksSecrets(t *testing.T) {
	t.Parallel()
	const hidden = "hunter2hunter2hunter2hunter2hunter2"
	got, err := Load(Input{Environ: []string{
		"LODGE_DATABASE_URL=postgres://u:" + hidden + "@h/d", "LODGE_OBJECTS_S3_SECRET_KEY=" + hidden, "LODGE_NATS_URL=nats://u:" + hidden + "@h",
		"LODGE_RESULTS_HUB_SECRET=" + hidden, "LODGE_RESULTS_HUB_PROXY_HTTP=http://u:" + hidden + "@p", "LODGE_RESULTS_CRYPTO_PRIVATE_KEY=" + hidden,
		"LODGE_IDENTITY_ISSUERS=[{issuer: x, hs256_secret: " + hidden + ", client_secret: " + hidden + "}]",
	}})
	if err != nil {
		t.Fatal(err)
	}
	masked := 0
	for _, item := range got.Items() {
		if strings.Contains(item.Value, hidden) {
			t.Errorf("%s shows its secret", item.Key)
		}
		if item.Value == secret.Masked {
			masked++
		}
	}
	if masked != 8 {
		t.Errorf("%d secrets are masked, want 8", masked)
	}
	if item := find(t, got, "identity.issuers[0].issuer"); item.Value != "x" || item.Source != "LODGE_IDENTITY_ISSUERS" {
		t.Errorf("got %+v", item)
	}
}

// The example holds every setting, changes nothing as it is, and is valid when all of it is turned on.
func TestExampleIsComplete(t *testing.T) {
	t.Parallel()
	text := Example()
	if _, err := Load(Input{File: write(t, text)}); err != nil {
		t.Errorf("as it is: %v", err)
	}
	active := regexp.MustCompile(`(?m)^(\s*)#(\S|  - |    \S)`).ReplaceAllString(text, "$1$2")
	l := newLoader()
	l.parseFile("lodge.yaml", []byte(active))
	for _, finding := range l.findings {
		t.Errorf("turned on: %v", finding)
	}
	for key := range l.byKey {
		s := l.byKey[key]
		name := key[strings.LastIndex(key, ".")+1:]
		if s.tag.Get("help") == "" {
			t.Errorf("%s has no help", key)
		}
		if _, ok := l.Sources[key]; !ok && sample(s.tag) != "" || !strings.Contains(text, "#"+name+":") {
			t.Errorf("the example lacks %s", key)
		}
	}
	if len(l.Identity.Issuers) != 1 {
		t.Errorf("the example has %d issuers", len(l.Identity.Issuers))
	}
	for i := range reflect.TypeFor[Issuer]().NumField() {
		if key := reflect.TypeFor[Issuer]().Field(i).Tag.Get("key"); !strings.Contains(active, key+":") {
			t.Errorf("the example lacks identity.issuers[].%s", key)
		}
	}
}

func TestValuesAreParsed(t *testing.T) {
	t.Parallel()
	got, err := Load(Input{Environ: []string{
		"LODGE_HTTP_MAX_BODY=2MiB", "LODGE_SHUTDOWN_TIMEOUT=90s", "LODGE_HTTP_CORS_ORIGINS=https://a.example.org, https://b.example.org",
		"LODGE_HTTP_ACCESS_LOG=off", "LODGE_RESULTS_UNAUTHENTICATED_STATUS=401", "LODGE_HTTP_TRUSTED_PROXIES=[10.0.0.5,10.1.0.0/16]",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got.HTTP.MaxBody != 2<<20 || got.ShutdownTimeout != 90*time.Second || len(got.HTTP.CORSOrigins) != 2 ||
		got.HTTP.AccessLog || got.Results.UnauthenticatedStatus != 401 || len(got.HTTP.TrustedProxies) != 2 {
		t.Errorf("got %+v", got.Config)
	}
	for text, want := range map[string]string{"12h0m0s": "12h", "30s": "30s", "1m30s": "1m30s", "10m": "10m", "168h": "168h", "0s": "0s"} {
		d, _ := time.ParseDuration(text)
		if duration(d) != want {
			t.Errorf("%s prints as %s", want, duration(d))
		}
	}
	for text, want := range map[string]Size{"512": 512, "64KiB": 64 << 10, "3 GiB": 3 << 30} {
		if n, err := ParseSize(text); n != want || err != nil {
			t.Errorf("%s is %d, %v", text, n, err)
		}
	}
}
