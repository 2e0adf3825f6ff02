package config

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"lodge/internal/secret"
)

// The API server of Open-RMF, which the fleet part replaces, has a configuration of its own. Its keys
// are read from a file of JSON or YAML; the original's is a program in Python, of which
// rmfConfigHint makes JSON.

const rmfConfigHint = `it must be JSON or YAML; make it of the original's by
    python3 -c "import json, runpy; print(json.dumps(runpy.run_path('FILE')['config']))" > rmf.json`

// stubSecret is the original's default, by which the tokens of its dashboard's stub are signed.
const stubSecret = "rmfisawesome"

// rmfConfig is the original's configuration.
type rmfConfig struct {
	Host           *string  `yaml:"host"`
	Port           *int     `yaml:"port"`
	DBURL          *string  `yaml:"db_url"`
	PublicURL      *string  `yaml:"public_url"`
	CacheDirectory *string  `yaml:"cache_directory"`
	LogLevel       *string  `yaml:"log_level"`
	BuiltinAdmin   *string  `yaml:"builtin_admin"`
	JWTPublicKey   *string  `yaml:"jwt_public_key"`
	JWTSecret      *string  `yaml:"jwt_secret"`
	OIDCURL        *string  `yaml:"oidc_url"`
	Aud            any      `yaml:"aud"`
	Iss            *string  `yaml:"iss"`
	Namespace      *string  `yaml:"preferred_username_claim_namespace"`
	ROSArgs        []string `yaml:"ros_args"`
	Timezone       *string  `yaml:"timezone"`
}

// rmf takes over the original's variables and the file that they name.
func (o *originals) rmf() {
	if name := o.get("RMF_API_SERVER_CONFIG"); name != "" {
		o.rmfFile(name)
	}
	if level := o.get("RMF_API_SERVER_LOG_LEVEL"); level != "" {
		o.rmfLevel(level, "RMF_API_SERVER_LOG_LEVEL")
	}
	if sim, set := o.values["RMF_SERVER_USE_SIM_TIME"]; set && sim != "0" && sim != "false" {
		o.l.set("fleet.use_sim_time", "true", "RMF_SERVER_USE_SIM_TIME")
	}
}

func (o *originals) rmfFile(name string) {
	c, err := readRMF(name)
	if err != nil {
		o.l.fail("RMF_API_SERVER_CONFIG: %s: %w", name, err)
		return
	}
	set := func(key string, value *string) {
		if value != nil && *value != "" {
			o.l.set(key, *value, Source(name))
		}
	}
	if c.Host != nil || c.Port != nil {
		host, port := or(c.Host, "127.0.0.1"), 8000
		if c.Port != nil {
			port = *c.Port
		}
		o.l.set("listen", net.JoinHostPort(host, strconv.Itoa(port)), Source(name))
	}
	set("public_url", c.PublicURL)
	set("fleet.time_zone", c.Timezone)
	if c.LogLevel != nil {
		o.rmfLevel(*c.LogLevel, name)
	}
	if slices.ContainsFunc(c.ROSArgs, func(arg string) bool { return strings.Contains(arg, "use_sim_time:=true") }) {
		o.l.set("fleet.use_sim_time", "true", Source(name))
	}
	if c.CacheDirectory != nil {
		o.l.Notices = append(o.l.Notices, name+": cache_directory is ignored: floor plans are kept with all other files")
	}
	if or(c.OIDCURL, "") != "" {
		o.l.Notices = append(o.l.Notices, name+": oidc_url is ignored: it is the provider of identity.issuers that people log in at")
	}
	o.rmfDatabase(or(c.DBURL, ""), name)
	if err := o.rmfIssuer(c, name); err != nil {
		o.l.fail("%s: %w", name, err)
	}
}

func or(value *string, otherwise string) string {
	if value == nil {
		return otherwise
	}
	return *value
}

// readRMF reads the file. Keys that the original lacks are refused, as there.
func readRMF(name string) (c rmfConfig, err error) {
	f, err := os.Open(name)
	if err != nil {
		return c, errors.Unwrap(err) // its name is said already
	}
	defer func() { _ = f.Close() }()
	decoder := yaml.NewDecoder(io.LimitReader(f, maxFile))
	decoder.KnownFields(true)
	err = decoder.Decode(&c)
	var typed *yaml.TypeError
	if errors.As(err, &typed) {
		for _, problem := range typed.Errors {
			if before, _, unknown := strings.Cut(problem, " not found in type"); unknown {
				return c, errors.New(before + " is not one of the original's")
			}
		}
	}
	if err != nil {
		return c, errors.New(rmfConfigHint) // the parser's own words may quote a secret
	}
	return c, nil
}

// rmfLevel sets the level of the log by Python's words for it.
func (o *originals) rmfLevel(level, from string) {
	words := map[string]string{"DEBUG": "debug", "INFO": "info", "WARNING": "warn", "ERROR": "error", "CRITICAL": "error"}
	word, known := words[strings.ToUpper(level)]
	if !known {
		word = level
	}
	o.l.set("log.level", word, Source(from))
}

// rmfDatabase uses the original's database, in which the tables of both stand beside each other, unless
// it is a file: Lodge has one of its own.
func (o *originals) rmfDatabase(address, name string) {
	scheme, _, _ := strings.Cut(address, ":")
	switch scheme {
	case "":
	case "sqlite":
		if address != "sqlite://:memory:" {
			o.l.Notices = append(o.l.Notices, name+": db_url is not used: take over what is in it by `lodge import rmf --from "+address+"`")
		}
	default:
		o.l.set("database_url", strings.Replace(address, "asyncpg:", "postgres:", 1), Source(name))
		o.l.Notices = append(o.l.Notices, name+": the original's tables stay as they are: take over what is in them by `lodge import rmf`")
	}
}

// rmfIssuer makes an issuer of the one key that the original believed.
func (o *originals) rmfIssuer(c rmfConfig, name string) error {
	audiences, err := oneOrMore(c.Aud)
	iss, key, shared := or(c.Iss, ""), or(c.JWTPublicKey, ""), or(c.JWTSecret, "")
	switch {
	case err != nil:
		return err
	case key == "" && shared == "":
		return errors.New("set jwt_secret or jwt_public_key")
	case key != "" && shared != "":
		return errors.New("set jwt_secret or jwt_public_key, not both")
	case iss == "" || len(audiences) == 0:
		return errors.New("iss and aud must be set")
	}
	admin := or(c.BuiltinAdmin, "admin")
	o.l.Identity.Admins = append(o.l.Identity.Admins, iss+"|"+admin)
	o.l.Sources["identity.admins"] = Source(name)
	if shared == stubSecret {
		// Its default: the tokens of the dashboard's stub.
		o.l.set("fleet.stub_login", "true", Source(name))
		return nil
	}
	is := Issuer{Issuer: iss, Audiences: audiences, SubjectClaims: []string{"preferred_username"}, NameClaim: "preferred_username", PublicKeyFile: key, HS256Secret: secret.String(shared)}
	if c.Namespace != nil {
		is.SubjectClaims = append(is.SubjectClaims, *c.Namespace+"preferred_username")
	}
	if key != "" {
		is.Algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	}
	o.l.Identity.Issuers = append(o.l.Identity.Issuers, is)
	o.l.Sources["identity.issuers"] = Source(name)
	return nil
}

// oneOrMore is a text or a list of texts.
func oneOrMore(v any) ([]string, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		return []string{v}, nil
	case []any:
		var all []string
		for _, one := range v {
			text, ok := one.(string)
			if !ok {
				return nil, fmt.Errorf("aud: %v is no text", one)
			}
			all = append(all, text)
		}
		return all, nil
	}
	return nil, errors.New("aud must be a text or a list of texts")
}
