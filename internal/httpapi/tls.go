package httpapi

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// TLSConfig is where certificates come from: files, or an ACME authority such as Let's Encrypt.
type TLSConfig struct {
	// CertFile and KeyFile are PEM. When they change, new connections get the new certificate.
	CertFile, KeyFile string
	ACME              *ACMEConfig
}

// ACMEConfig is how certificates are fetched by themselves (challenge TLS-ALPN-01, so the server
// must be reachable at port 443 of its domains).
type ACMEConfig struct {
	Domains []string
	Email   string
	// CacheDir keeps the account and the certificates.
	CacheDir string
	// DirectoryURL is the authority's; default Let's Encrypt.
	DirectoryURL string
	// CAFile is what the authority's own certificate is checked by; default the system's.
	CAFile string
}

// certificateAge is how long a certificate file is believed to be unchanged.
const certificateAge = 10 * time.Second

func (c *TLSConfig) config(log *slog.Logger) (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	switch {
	case c.ACME != nil && c.CertFile != "":
		return nil, errors.New("tls: certificates come either from files or from ACME, not both")
	case c.ACME != nil:
		manager, err := c.ACME.manager()
		if err != nil {
			return nil, err
		}
		out.GetCertificate = manager.GetCertificate
		out.NextProtos = append(out.NextProtos, acme.ALPNProto)
	default:
		files := &certificateFiles{cert: c.CertFile, key: c.KeyFile, log: log}
		if err := files.load(); err != nil {
			return nil, err
		}
		out.GetCertificate = files.get
	}
	return out, nil
}

func (a *ACMEConfig) manager() (*autocert.Manager, error) {
	if len(a.Domains) == 0 || a.CacheDir == "" {
		return nil, errors.New("acme: name the domains and a folder for the certificates")
	}
	client := &acme.Client{DirectoryURL: a.DirectoryURL}
	if a.CAFile != "" {
		pem, err := os.ReadFile(a.CAFile)
		if err != nil {
			return nil, fmt.Errorf("acme: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("acme: %s holds no certificate", a.CAFile)
		}
		client.HTTPClient = &http.Client{
			Timeout:   time.Minute,
			Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
		}
	}
	return &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(a.CacheDir), Email: a.Email,
		HostPolicy: autocert.HostWhitelist(a.Domains...), Client: client,
	}, nil
}

// certificateFiles serves the certificate in two files and notices when they change. A broken
// replacement is logged and the old one kept: half-written files are normal while they change.
type certificateFiles struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	stamp   [2]time.Time
	looked  time.Time
}

func (f *certificateFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := wallClock(); now.Sub(f.looked) >= certificateAge {
		f.looked = now
		if f.changed() {
			if err := f.load(); err != nil {
				f.log.Warn("certificate not replaced", slog.String("error", err.Error()))
			}
		}
	}
	return f.current, nil
}

func (f *certificateFiles) stamps() (stamps [2]time.Time) {
	for i, name := range []string{f.cert, f.key} {
		if info, err := os.Stat(name); err == nil {
			stamps[i] = info.ModTime()
		}
	}
	return stamps
}

func (f *certificateFiles) changed() bool { return f.stamps() != f.stamp }

func (f *certificateFiles) load() error {
	stamp := f.stamps()
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	f.current, f.stamp = &pair, stamp
	return nil
}
