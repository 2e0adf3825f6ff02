package config

import (
	"slices"
	"strings"
	"testing"
)

// The original's configuration, as its file says it once it is JSON.
func TestRMFConfiguration(t *testing.T) {
	t.Parallel()
	file := write(t, `{"host": "0.0.0.0", "port": 8001, "db_url": "postgres://u:p@db:5432/rmf", "public_url": "https://rmf.example/rmf/api", "cache_directory": "run/cache",
		"log_level": "WARNING", "builtin_admin": "boss", "jwt_public_key": "/etc/rmf.pem", "jwt_secret": null, "oidc_url": null, "aud": ["a", "b"], "iss": "https://login.example",
		"preferred_username_claim_namespace": "https://x.example/", "ros_args": ["-p", "use_sim_time:=true"], "timezone": "Asia/Singapore"}`)
	got, err := Load(Input{Environ: []string{"RMF_API_SERVER_CONFIG=" + file, "RMF_API_SERVER_LOG_LEVEL=CRITICAL"}})
	if err != nil {
		t.Fatal(err)
	}
	if got.Listen != "0.0.0.0:8001" || got.PublicURL != "https://rmf.example/rmf/api" || got.DatabaseURL.Reveal() != "postgres://u:p@db:5432/rmf" || got.Log.Level != "error" {
		t.Errorf("%s %s %s %s", got.Listen, got.PublicURL, got.DatabaseURL.Reveal(), got.Log.Level)
	}
	if f := got.Fleet; !f.UseSimTime || f.TimeZone != "Asia/Singapore" || f.StubLogin {
		t.Errorf("fleet: %+v", f)
	}
	is := got.Identity.Issuers
	if len(is) != 1 || is[0].Issuer != "https://login.example" || is[0].PublicKeyFile != "/etc/rmf.pem" || !slices.Equal(is[0].Audiences, []string{"a", "b"}) ||
		!slices.Equal(is[0].SubjectClaims, []string{"preferred_username", "https://x.example/preferred_username"}) || !slices.Contains(is[0].Algorithms, "PS512") {
		t.Errorf("issuers: %+v", is)
	}
	if !slices.Equal(got.Identity.Admins, []string{"https://login.example|boss"}) {
		t.Errorf("administrators: %v", got.Identity.Admins)
	}
	if notices := strings.Join(got.Notices, "\n"); !strings.Contains(notices, "cache_directory is ignored") || !strings.Contains(notices, "lodge import rmf") {
		t.Errorf("notices: %s", notices)
	}
}

// Its defaults are for development: two tokens that everybody knows.
func TestRMFDefaults(t *testing.T) {
	t.Parallel()
	const defaults = `{"host": "HOST", "port": 8000, "db_url": "sqlite://:memory:", "public_url": "http://localhost:8000", "jwt_public_key": null, "jwt_secret": "rmfisawesome",
		"aud": "rmf_api_server", "iss": "stub", "builtin_admin": "admin", "ros_args": [], "timezone": "UTC"}`
	for host, refused := range map[string]string{"127.0.0.1": "", "0.0.0.0": "listen must be a loopback address"} {
		got, err := Load(Input{Environ: []string{"RMF_API_SERVER_CONFIG=" + write(t, strings.Replace(defaults, "HOST", host, 1)), "RMF_SERVER_USE_SIM_TIME=1"}})
		if refused != "" {
			if err == nil || !strings.Contains(err.Error(), refused) {
				t.Errorf("%s: %v", host, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if !got.Fleet.StubLogin || !got.Fleet.UseSimTime || len(got.Identity.Issuers) != 0 || got.DatabaseURL != "" || !slices.Equal(got.Identity.Admins, []string{"stub|admin"}) {
			t.Errorf("%+v %+v", got.Fleet, got.Identity)
		}
	}
	if _, err := Load(Input{Environ: []string{"LODGE_FLEET_STUB_LOGIN=true", "LODGE_PUBLIC_URL=https://rmf.example"}}); err == nil || !strings.Contains(err.Error(), "public_url must be a loopback address") {
		t.Errorf("behind a public address: %v", err)
	}
}

func TestRMFConfigurationsThatAreWrong(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`config = {"host": "x"}`: "make it of the original's by",
		`{"hosst": "x"}`:         "hosst",
		`{"jwt_secret": "a", "jwt_public_key": "b", "aud": "a", "iss": "i"}`: "not both",
		`{"aud": "a", "iss": "i"}`:                                                              "set jwt_secret or jwt_public_key",
		`{"jwt_secret": "rmfisawesome", "iss": "stub"}`:                                         "iss and aud must be set",
		`{"jwt_secret": "short", "aud": "a", "iss": "i"}`:                                       "at least 32 bytes",
		`{"jwt_secret": "rmfisawesome", "aud": "a", "iss": "stub", "timezone": "Mars/Olympus"}`: "not a time zone",
		`{"jwt_secret": "rmfisawesome", "aud": "a", "iss": "stub", "log_level": "LOUD"}`:        "log.level",
		`{"jwt_secret": "rmfisawesome", "aud": [1], "iss": "stub"}`:                             "1 is no text",
	} {
		_, err := Load(Input{Environ: []string{"RMF_API_SERVER_CONFIG=" + write(t, text)}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := Load(Input{Environ: []string{"RMF_API_SERVER_CONFIG=/nowhere"}}); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a file that is not there: %v", err)
	}
}
