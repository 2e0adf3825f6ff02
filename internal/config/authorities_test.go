package config

import "testing"

// TestExtraAuthorities trusts the original's further authorities wherever the site is called, and
// leaves alone what was set by itself.
func TestExtraAuthorities(t *testing.T) {
	t.Parallel()
	load := func(more ...string) *Loaded {
		t.Helper()
		l, err := Load(Input{Environ: append(more,
			"EXTRA_CA_CERTS=/site/ca.pem", "OIDC__CERTS_URL=https://keys.example.org/certs")})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := load()
	if len(l.Identity.Issuers) != 1 {
		t.Fatalf("there are %d issuers", len(l.Identity.Issuers))
	}
	for what, got := range map[string]string{
		"the hub": l.Results.Hub.CAFile, "S3": l.Objects.S3.CAFile, "the issuer": l.Identity.Issuers[0].CAFile,
	} {
		if got != "/site/ca.pem" {
			t.Errorf("for %s the authorities are in %q", what, got)
		}
	}
	if l := load("LODGE_OBJECTS_S3_CA_FILE=/s3/ca.pem"); l.Objects.S3.CAFile != "/s3/ca.pem" || l.Results.Hub.CAFile != "/site/ca.pem" {
		t.Errorf("S3 has %q, the hub %q", l.Objects.S3.CAFile, l.Results.Hub.CAFile)
	}
}
