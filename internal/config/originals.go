package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/joho/godotenv"

	"lodge/internal/secret"
)

// An alias is a variable of a service that a part replaces; of the results part's, in both of its
// generations. Names are case-insensitive, and a .env file in the working directory may hold
// them. The first alias of a key that is set wins, so current spellings stand before older ones.
type alias struct {
	name string
	key  string
	old  bool
}

// aliases lists what one setting takes over as it is; variables that make up a setting together
// are read in loadOriginals.
func aliases() []alias {
	return []alias{
		{name: "HUB__CORE_BASE_URL", key: "results.hub.core_url"},
		{name: "HUB__STORAGE_BASE_URL", key: "results.hub.storage_url"},
		{name: "HUB__AUTH_BASE_URL", key: "results.hub.auth_url"},
		{name: "HUB__AUTH__FLOW", key: "results.hub.flow"},
		{name: "HUB__AUTH_METHOD", key: "results.hub.flow", old: true},
		{name: "HUB__AUTH__ID", key: "results.hub.id"},
		{name: "HUB__ROBOT_AUTH__ID", key: "results.hub.id", old: true},
		{name: "HUB__AUTH__SECRET", key: "results.hub.secret"},
		{name: "HUB__ROBOT_AUTH__SECRET", key: "results.hub.secret", old: true},
		{name: "HUB__AUTH__USERNAME", key: "results.hub.username"},
		{name: "HUB__PASSWORD_AUTH__USERNAME", key: "results.hub.username", old: true},
		{name: "HUB__AUTH_USERNAME", key: "results.hub.username", old: true},
		{name: "HUB__AUTH__PASSWORD", key: "results.hub.password"},
		{name: "HUB__PASSWORD_AUTH__PASSWORD", key: "results.hub.password", old: true},
		{name: "HUB__AUTH_PASSWORD", key: "results.hub.password", old: true},
		{name: "MINIO__ENDPOINT", key: "objects.s3.endpoint"},
		{name: "S3__ENDPOINT", key: "objects.s3.endpoint"},
		{name: "MINIO__ACCESS_KEY", key: "objects.s3.access_key"},
		{name: "S3__ACCESS_KEY", key: "objects.s3.access_key"},
		{name: "MINIO__SECRET_KEY", key: "objects.s3.secret_key"},
		{name: "S3__SECRET_KEY", key: "objects.s3.secret_key"},
		{name: "MINIO__BUCKET", key: "objects.s3.bucket"},
		{name: "S3__BUCKET", key: "objects.s3.bucket"},
		{name: "MINIO__REGION", key: "objects.s3.region"},
		{name: "S3__REGION", key: "objects.s3.region"},
		{name: "MINIO__USE_SSL", key: "objects.s3.use_tls"},
		{name: "S3__USE_SSL", key: "objects.s3.use_tls"},
		{name: "OIDC__CLIENT_ID_CLAIM_NAME", key: "results.client_id_claim"},
		{name: "OIDC__SKIP_JWT_VALIDATION", key: "identity.skip_jwt_validation"},
		{name: "PROXY__HTTP_URL", key: "results.hub.proxy_http"},
		{name: "PROXY__HTTPS_URL", key: "results.hub.proxy_https"},
		{name: "HUB_ADAPTER_CLIENT_ID", key: "results.hub_adapter_client_id"},
		{name: "FLOWIFY_LOGGING_LOGLEVEL", key: "log.level"},
		{name: "FLOWIFY_KUBERNETES_KUBECONFIGPATH", key: "kubernetes.kubeconfig"},
		{name: "FLOWIFY_KUBERNETES_NAMESPACE", key: "workflows.argo.namespace"},
	}
}

// ignored lists variables that had a meaning once, and why they have none here.
func ignored() map[string]string {
	return map[string]string{
		"HUB__API_BASE_URL":                "the hub's services have addresses of their own: HUB__CORE_BASE_URL and HUB__STORAGE_BASE_URL",
		"CRYPTO__ECDH_PUBLIC_KEY":          "the public key follows from the private one",
		"CRYPTO__ECDH_PUBLIC_KEY_PATH":     "the public key follows from the private one",
		"POSTGRES__STALE_TIMEOUT":          "the pool looks after its connections itself",
		"POSTGRES__KEEPALIVES_IDLE":        "the pool looks after its connections itself",
		"POSTGRES__KEEPALIVES_INTERVAL":    "the pool looks after its connections itself",
		"POSTGRES__KEEPALIVES_COUNT":       "the pool looks after its connections itself",
		"POSTGRES__MIGRATIONS_TABLENAME":   "Lodge keeps its own list of migrations",
		"CHUNK_SIZE":                       "files are encrypted in the form that every reader understands",
		"FORWARDED_ALLOW_IPS":              "name the proxies in http.trusted_proxies",
		"REMOTE__RESULT_UPLOAD_URL":        "final results go to the hub",
		"REMOTE__OIDC__CERTS_URL":          "final results go to the hub",
		"REMOTE__OIDC__CLIENT_ID":          "final results go to the hub",
		"REMOTE__OIDC__CLIENT_SECRET":      "final results go to the hub",
		"REMOTE__OIDC__TOKEN_ENDPOINT_URL": "final results go to the hub",
		"FLOWIFY_DB_SELECT":                "name the database in database_url",
		"FLOWIFY_DB_DBNAME":                "name the database in database_url",
		"FLOWIFY_DB_CONFIG_ADDRESS":        "name the database in database_url",
		"FLOWIFY_DB_CONFIG_PORT":           "name the database in database_url",
		"FLOWIFY_DB_CONFIG_CREDENTIALS":    "name the database in database_url",
	}
}

// The addresses that the original took when its hub's were not set.
const (
	defaultCoreURL    = "https://core.privateaim.net"
	defaultStorageURL = "https://storage.privateaim.net"
	defaultAuthURL    = "https://auth.privateaim.net"
)

// originals are the variables of the replaced service by upper-case name.
type originals struct {
	l      *loader
	values map[string]string
	used   map[string]string // the key's setting was made by this variable
}

// loadOriginals reads the variables of the replaced service, from the environment and from dotenv.
func (l *loader) loadOriginals(environ []string, dotenv string) {
	o := &originals{l: l, values: map[string]string{}, used: map[string]string{}}
	if dotenv != "" {
		o.readDotEnv(dotenv)
	}
	for _, pair := range environ {
		if name, value, ok := strings.Cut(pair, "="); ok {
			o.values[strings.ToUpper(name)] = value
		}
	}
	for _, a := range aliases() {
		o.take(a)
	}
	o.hub()
	o.store()
	o.issuer()
	o.flowify()
	o.key()
	o.rmf()
	o.authorities()
	for _, name := range slices.Sorted(maps.Keys(ignored())) {
		if o.get(name) != "" {
			l.Notices = append(l.Notices, name+" is ignored: "+ignored()[name])
		}
	}
}

// readDotEnv reads the file if it is there.
func (o *originals) readDotEnv(name string) {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err != nil {
		o.l.fail("%s: %w", name, err)
		return
	}
	defer func() { _ = f.Close() }()
	values, err := godotenv.Parse(io.LimitReader(f, maxFile))
	if err != nil {
		o.l.fail("%s: lines must read NAME=value", name) // the parser's own words may quote a secret
		return
	}
	for name, value := range values {
		o.values[strings.ToUpper(name)] = value
	}
}

func (o *originals) get(name string) string { return o.values[name] }

// take sets the key of an alias, unless a spelling before it has.
func (o *originals) take(a alias) {
	value := o.get(a.name)
	if value == "" {
		return
	}
	if winner, ok := o.used[a.key]; ok {
		o.l.Notices = append(o.l.Notices, fmt.Sprintf("%s is ignored: %s is set as well", a.name, winner))
		return
	}
	o.used[a.key] = a.name
	o.l.set(a.key, value, Source(a.name))
	if a.old {
		o.l.Notices = append(o.l.Notices, fmt.Sprintf("%s is an old spelling: its name is %s now", a.name, current(a.key)))
	}
}

// current is the first spelling of a key.
func current(key string) string {
	for _, a := range aliases() {
		if a.key == key {
			return a.name
		}
	}
	return key
}

// hub adds what the original took without being told.
func (o *originals) hub() {
	if o.used["results.hub.flow"] == "" && o.used["results.hub.username"] != "" {
		o.l.set("results.hub.flow", "password", Source(o.used["results.hub.username"]))
		o.used["results.hub.flow"] = o.used["results.hub.username"]
	}
	by, configured := o.used["results.hub.flow"]
	if configured && o.l.Results.Hub.URL == "" {
		for key, address := range map[string]string{
			"results.hub.core_url": defaultCoreURL, "results.hub.storage_url": defaultStorageURL, "results.hub.auth_url": defaultAuthURL,
		} {
			if o.used[key] == "" && o.l.Sources[key] == "" {
				o.l.set(key, address, Source(by+" (the original's default)"))
			}
		}
	}
	if no := o.get("NO_PROXY"); no != "" && (o.used["results.hub.proxy_http"] != "" || o.used["results.hub.proxy_https"] != "") {
		o.l.set("results.hub.no_proxy", no, "NO_PROXY")
	}
}

// store joins what names the database and chooses the object store.
func (o *originals) store() {
	if by := o.used["objects.s3.endpoint"]; by != "" {
		o.l.set("objects.driver", "s3", Source(by))
	}
	host := o.get("POSTGRES__HOST")
	if host == "" {
		return
	}
	var missing []string
	for _, name := range []string{"POSTGRES__USER", "POSTGRES__PASSWORD", "POSTGRES__DB"} {
		if o.get(name) == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		o.l.fail("POSTGRES__HOST: %s must be set as well", strings.Join(missing, ", "))
		return
	}
	port := o.get("POSTGRES__PORT")
	if port == "" {
		port = "5432"
	}
	u := url.URL{
		Scheme: "postgres", Host: host + ":" + port, Path: "/" + o.get("POSTGRES__DB"),
		User: url.UserPassword(o.get("POSTGRES__USER"), o.get("POSTGRES__PASSWORD")),
	}
	if n := o.get("POSTGRES__MAX_CONNECTIONS"); n != "" {
		u.RawQuery = url.Values{"pool_max_conns": {n}}.Encode()
	}
	o.l.set("database_url", u.String(), "POSTGRES__*")
}

// issuer makes an issuer of the one JWKS address that the original believed. It looked at nobody's
// iss or aud, and took RS256 alone.
func (o *originals) issuer() {
	name := "OIDC__CERTS_URL"
	address := o.get(name)
	if address == "" {
		if name = "OPENID_CERTS_URL"; o.get(name) == "" {
			return
		}
		address = o.get(name)
		o.l.Notices = append(o.l.Notices, name+" is an old spelling: its name is OIDC__CERTS_URL now")
	}
	o.l.Identity.Issuers = append(o.l.Identity.Issuers, Issuer{
		JWKSURL: address, NameClaim: "preferred_username", Algorithms: []string{"RS256"},
	})
	o.l.Sources["identity.issuers"] = Source(name)
}

// unverified is what the original took in the place of its keys' address to believe everybody.
const unverified = "DISABLE_JWT_SIGNATURE_VERIFICATION"

// flowify takes where the original of the workflows part listened, and whom it believed.
func (o *originals) flowify() {
	if port := o.get("FLOWIFY_SERVER_PORT"); port != "" {
		o.l.set("listen", ":"+port, "FLOWIFY_SERVER_PORT")
	}
	name, keys := "FLOWIFY_AUTH_CONFIG_KEYSURL", o.get("FLOWIFY_AUTH_CONFIG_KEYSURL")
	switch handler := o.get("FLOWIFY_AUTH_HANDLER"); {
	case handler == "disabled-auth":
		o.l.fail("FLOWIFY_AUTH_HANDLER: %s is not offered: everybody logs in, without an issuer at the embedded provider", handler)
		return
	case handler != "" && handler != "azure-oauth2-openid-token":
		o.l.fail("FLOWIFY_AUTH_HANDLER: %q is not supported: tokens of OpenID Connect are", handler)
		return
	case keys == "":
		return
	case keys == unverified:
		o.l.fail("%s: set identity.skip_jwt_validation as well, and leave the address out, if tokens are to be believed unseen", name)
		return
	}
	issuer := Issuer{
		Issuer: o.get("FLOWIFY_AUTH_CONFIG_ISSUER"), JWKSURL: keys, SubjectClaims: []string{"oid", "sub"}, NameClaim: "name", RoleClaim: "roles",
	}
	if audience := o.get("FLOWIFY_AUTH_CONFIG_AUDIENCE"); audience != "" {
		issuer.Audiences = []string{audience}
	}
	o.l.Identity.Issuers = append(o.l.Identity.Issuers, issuer)
	o.l.Sources["identity.issuers"] = Source(name)
}

// key takes the node's private key.
func (o *originals) key() {
	text, path := o.get("CRYPTO__ECDH_PRIVATE_KEY"), o.get("CRYPTO__ECDH_PRIVATE_KEY_PATH")
	switch provider := strings.ToLower(o.get("CRYPTO__PROVIDER")); {
	case provider == "" && text == "" && path == "":
	case provider == "raw" || provider == "" && text != "":
		if text == "" {
			o.l.fail("CRYPTO__PROVIDER: raw needs CRYPTO__ECDH_PRIVATE_KEY as well")
			return
		}
		o.l.Results.Crypto.PrivateKey = secret.String(text)
		o.l.Sources["results.crypto.private_key"] = "CRYPTO__ECDH_PRIVATE_KEY"
	case provider == "file" || provider == "":
		if path == "" {
			o.l.fail("CRYPTO__PROVIDER: file needs CRYPTO__ECDH_PRIVATE_KEY_PATH as well")
			return
		}
		o.l.set("results.crypto.private_key_file", path, "CRYPTO__ECDH_PRIVATE_KEY_PATH")
	default:
		o.l.fail("CRYPTO__PROVIDER: %q is not allowed: choose raw or file", provider)
	}
}

// authorities trusts the further authorities wherever the site is called, where the original
// trusted them for the hub alone.
func (o *originals) authorities() {
	path := o.get("EXTRA_CA_CERTS")
	if path == "" {
		return
	}
	o.l.set("results.hub.ca_file", path, "EXTRA_CA_CERTS")
	o.l.set("objects.s3.ca_file", path, "EXTRA_CA_CERTS")
	for i := range o.l.Identity.Issuers {
		if o.l.Identity.Issuers[i].CAFile == "" {
			o.l.Identity.Issuers[i].CAFile = path
		}
	}
}
