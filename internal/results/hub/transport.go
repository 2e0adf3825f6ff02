package hub

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"

	"lodge/internal/secret"
)

// base is the address of one of the hub's services, without a slash at its end.
type base string

func parseBase(text string) (base, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return "", errors.New("it must begin with http:// or https:// and name a host")
	case u.User != nil:
		return "", errors.New("it must not contain a user or password")
	case u.RawQuery != "" || u.Fragment != "":
		return "", errors.New("it must have no query and no fragment")
	}
	return base(strings.TrimRight(u.String(), "/")), nil
}

// at is the address of a resource; every element is escaped, so none can lead elsewhere.
func (b base) at(elements ...string) string {
	var s strings.Builder
	s.WriteString(string(b))
	for _, e := range elements {
		s.WriteByte('/')
		s.WriteString(url.PathEscape(e))
	}
	return s.String()
}

// newTransport gives a transport of our own: the hub has its own proxies and authorities.
func newTransport(cfg Config) (*http.Transport, error) {
	proxy, err := proxyFunc(cfg)
	if err != nil {
		return nil, err
	}
	roots, err := roots(cfg.CAFile)
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		Proxy:                  proxy,
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        60 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		// Files come as they are stored: a transfer that is unpacked on the way hides its length.
		DisableCompression: true,
		WriteBufferSize:    64 << 10,
		ReadBufferSize:     64 << 10,
	}, nil
}

func roots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil // the system's
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the hub's CA file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("the hub's CA file %s holds no PEM certificate", file)
	}
	return pool, nil
}

func proxyFunc(cfg Config) (func(*http.Request) (*url.URL, error), error) {
	parse := func(s secret.String) (*url.URL, error) {
		if s == "" {
			return nil, nil
		}
		u, err := url.Parse(s.Reveal())
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			// Not the parser's words: they repeat the address and its password.
			return nil, errors.New("the hub's proxy must be like http://user:password@host:port")
		}
		return u, nil
	}
	plain, err := parse(cmp.Or(cfg.ProxyHTTP, cfg.ProxyHTTPS))
	if err != nil {
		return nil, err
	}
	secure, err := parse(cmp.Or(cfg.ProxyHTTPS, cfg.ProxyHTTP))
	if err != nil || plain == nil {
		return nil, err
	}
	return func(r *http.Request) (*url.URL, error) {
		if exempt(cfg.NoProxy, r.URL) {
			return nil, nil
		}
		if r.URL.Scheme == "https" {
			return secure, nil
		}
		return plain, nil
	}, nil
}

// exempt says whether list, in the syntax of NO_PROXY, names the address. Unlike the library it
// does not exempt loopback by itself: who sets a proxy for the hub means the hub.
func exempt(list string, u *url.URL) bool {
	host := u.Hostname()
	if ip := net.ParseIP(host); host == "localhost" || (ip != nil && ip.IsLoopback()) {
		for entry := range strings.SplitSeq(list, ",") {
			if entry = strings.TrimSpace(entry); entry == "*" || entry == host || entry == u.Host {
				return true
			}
		}
		return false
	}
	const any = "http://proxy"
	through, err := (&httpproxy.Config{HTTPProxy: any, HTTPSProxy: any, NoProxy: list}).ProxyFunc()(u)
	return err == nil && through == nil
}
