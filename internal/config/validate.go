package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// place says where a setting was made, to stand before what is wrong with it.
func (l *loader) place(key string) string {
	if from, ok := l.Sources[key]; ok {
		return string(from) + ": " + key
	}
	return key
}

// validate looks at what no single setting shows.
func (l *loader) validate() {
	l.validateListen()
	l.validateTLS()
	l.validateProxies()
	l.validateStores()
	l.validateIssuers()
	l.validateHub()
	l.validateFleet()
	l.validateApps()
	if c := l.Results.Crypto; c.PrivateKey != "" && c.PrivateKeyFile != "" {
		l.fail("%s: set private_key or private_key_file, not both", l.place("results.crypto.private_key_file"))
	}
}

func (l *loader) validateListen() {
	if err := hostPort(l.Listen); err != nil {
		l.fail("%s: %w", l.place("listen"), err)
	}
	if l.Data == "" {
		l.fail("%s: the data folder must have a name, such as ./lodge-data", l.place("data"))
	}
	if l.ShutdownTimeout <= 0 {
		l.fail("%s: must be longer than nothing, such as 30s", l.place("shutdown_timeout"))
	}
	if l.AdminListen != "" {
		host, _, _ := net.SplitHostPort(l.AdminListen)
		if err := hostPort(l.AdminListen); err != nil {
			l.fail("%s: %w", l.place("admin_listen"), err)
		} else if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
			l.fail("%s: profiles ask for no login, so the address must be a loopback one, such as 127.0.0.1:6060", l.place("admin_listen"))
		}
	}
	if l.PublicURL = strings.TrimRight(l.PublicURL, "/"); l.PublicURL == "" {
		return
	}
	if u, err := webAddress(l.PublicURL); err != nil {
		l.fail("%s: %w", l.place("public_url"), err)
	} else if u.Path != "" && len(l.Identity.Issuers) == 0 {
		l.fail("%s: an address with a path needs identity.issuers: the embedded identity provider stands at the root", l.place("public_url"))
	}
}

func (l *loader) validateTLS() {
	files := l.TLS.CertFile != "" || l.TLS.KeyFile != ""
	switch {
	case files && l.TLS.KeyFile == "":
		l.fail("%s: tls.key_file must be set as well", l.place("tls.cert_file"))
	case files && l.TLS.CertFile == "":
		l.fail("%s: tls.cert_file must be set as well", l.place("tls.key_file"))
	case files && len(l.TLS.ACME.Domains) > 0:
		l.fail("%s: set certificate files or ACME domains, not both", l.place("tls.acme.domains"))
	}
}

func (l *loader) validateProxies() {
	if _, err := Networks(l.HTTP.TrustedProxies); err != nil {
		l.fail("%s: %w", l.place("http.trusted_proxies"), err)
	}
	header := l.Identity.TrustedHeader
	if _, err := Networks(header.Proxies); err != nil {
		l.fail("%s: %w", l.place("identity.trusted_header.proxies"), err)
	}
	if header.Name != "" && len(header.Proxies) == 0 {
		l.fail("%s: identity.trusted_header.proxies must list the proxies that may send it", l.place("identity.trusted_header.name"))
	}
	for _, origin := range l.HTTP.CORSOrigins {
		if origin == "*" {
			continue
		}
		if u, err := webAddress(origin); err != nil || u.Path != "" {
			l.fail("%s: %q is not an origin such as https://dashboard.example.org", l.place("http.cors_origins"), origin)
		}
	}
}

func (l *loader) validateStores() {
	if text := l.DatabaseURL.Reveal(); text != "" {
		scheme, _, _ := strings.Cut(text, ":")
		switch scheme {
		case "sqlite", "postgres", "postgresql", "mysql", "mariadb":
		default:
			l.fail("%s: must begin with postgres://, mysql:// or sqlite:", l.place("database_url"))
		}
	}
	s3 := l.Objects.S3
	if l.Objects.Driver != "s3" {
		if s3.Endpoint != "" {
			l.Notices = append(l.Notices, "objects.s3.endpoint is set but objects.driver is files: files are kept in the data folder")
		}
		return
	}
	for _, needed := range []struct{ key, value string }{
		{"endpoint", s3.Endpoint},
		{"bucket", s3.Bucket},
		{"access_key", s3.AccessKey},
		{"secret_key", s3.SecretKey.Reveal()},
	} {
		if needed.value == "" {
			l.fail("%s: objects.s3.%s must be set for s3", l.place("objects.driver"), needed.key)
		}
	}
}

func (l *loader) validateIssuers() {
	for i, is := range l.Identity.Issuers {
		key := fmt.Sprintf("identity.issuers[%d]", i)
		place := l.place("identity.issuers")
		if from, ok := l.Sources[key+".issuer"]; ok {
			place = string(from) + ": " + key
		}
		if is.Issuer == "" && is.JWKSURL == "" && is.PublicKeyFile == "" && is.HS256Secret == "" {
			l.fail("%s: set issuer, or jwks_url, public_key_file or hs256_secret", place)
		}
		for name, address := range map[string]string{"issuer": is.Issuer, "jwks_url": is.JWKSURL} {
			// An issuer with a key of its own is a name; one without is asked for its keys.
			if address == "" || name == "issuer" && (is.PublicKeyFile != "" || is.HS256Secret != "" || is.JWKSURL != "") {
				continue
			}
			if _, err := webAddress(address); err != nil {
				l.fail("%s: %s: %w", place, name, err)
			}
		}
		if n := len(is.HS256Secret.Reveal()); n > 0 && n < 32 {
			l.fail("%s: hs256_secret must have at least 32 bytes", place)
		}
	}
}

func (l *loader) validateHub() {
	h := l.Results.Hub
	for _, one := range []struct{ key, address string }{
		{"url", h.URL}, {"core_url", h.CoreURL}, {"storage_url", h.StorageURL}, {"auth_url", h.AuthURL},
	} {
		if one.address == "" {
			continue
		}
		if _, err := webAddress(one.address); err != nil {
			l.fail("%s: %w", l.place("results.hub."+one.key), err)
		}
	}
	if !h.Configured() {
		return
	}
	if h.URL == "" && (h.StorageURL == "" || h.AuthURL == "") {
		l.fail("%s: core_url, storage_url and auth_url go together; or set results.hub.url", l.place("results.hub.core_url"))
	}
	where := l.place("results.hub.flow")
	switch h.Flow {
	case "password":
		if h.Username == "" || h.Password == "" {
			l.fail("%s: password needs results.hub.username and results.hub.password", where)
		}
	default:
		if h.ID == "" || h.Secret == "" {
			l.fail("%s: %s needs results.hub.id and results.hub.secret", where, h.Flow)
		}
	}
}

func (l *loader) validateFleet() {
	if l.Fleet.StubLogin {
		l.validateStub()
	}
	if _, err := time.LoadLocation(l.Fleet.TimeZone); err != nil {
		l.fail("%s: %q is not a time zone such as Europe/Berlin", l.place("fleet.time_zone"), l.Fleet.TimeZone)
	}
	if _, err := Networks(l.Fleet.Adapter.AllowedPeers); err != nil {
		l.fail("%s: %w", l.place("fleet.adapter.allowed_peers"), err)
	}
	if text := l.Fleet.Rosbridge.URL; text != "" {
		if u, err := url.Parse(text); err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
			l.fail("%s: not an address such as ws://127.0.0.1:9090", l.place("fleet.rosbridge.url"))
		}
	}
}

// validateStub keeps the login that everybody knows away from every network.
func (l *loader) validateStub() {
	addresses := map[string]string{"listen": ""}
	addresses["listen"], _, _ = net.SplitHostPort(l.Listen)
	if u, err := url.Parse(l.PublicURL); err == nil && l.PublicURL != "" {
		addresses["public_url"] = u.Hostname()
	}
	for key, host := range addresses {
		if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
			l.fail("%s: everybody knows the tokens that it believes, so %s must be a loopback address", l.place("fleet.stub_login"), key)
		}
	}
}

func hostPort(text string) error {
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%q is not an address such as 127.0.0.1:8080", text)
	}
	return nil
}

func webAddress(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("not an address such as https://lodge.example.org") // it may hold a password: it is not quoted
	}
	return u, nil
}

// Networks reads addresses and networks such as 10.0.0.5 and 10.0.0.0/8.
func Networks(list []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range list {
		if ip, err := netip.ParseAddr(text); err == nil {
			all = append(all, netip.PrefixFrom(ip, ip.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address such as 10.0.0.5 nor a network such as 10.0.0.0/8", text)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}
