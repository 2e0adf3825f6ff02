package httpapi

import (
	"context"
	"net/netip"
	"time"
)

// Config is what an operator may say about the edge. The zero value works: see the defaults.
type Config struct {
	// PublicURL is the address that people use, such as "https://lodge.example.org". Empty means
	// that it is read off each request.
	PublicURL string
	// TrustedProxies are the peers whose X-Forwarded-* and X-Request-Id are believed.
	TrustedProxies []netip.Prefix
	// CORSOrigins are the foreign origins whose scripts may read answers; "*" means any.
	CORSOrigins []string
	// MaxBody bounds the body of a route that sets no limit of its own; default 1 MiB.
	MaxBody int64
	// MaxHeader bounds the request line and headers; default 64 KiB.
	MaxHeader int
	// RequestTimeout bounds a request whose route sets no limit of its own; default 30 s.
	RequestTimeout time.Duration
	// ReadHeaderTimeout bounds the TLS handshake and the headers; default 10 s.
	ReadHeaderTimeout time.Duration
	// IdleTimeout closes kept-alive connections without requests; default 120 s.
	IdleTimeout time.Duration
	// StallTimeout drops a peer that moves no byte of a body for so long, however slow it may
	// otherwise be; default 60 s.
	StallTimeout time.Duration
	// AccessLog writes one line for each request.
	AccessLog bool
	// OpenIDConnectURL is the discovery address that the OpenAPI documents name.
	OpenIDConnectURL string
	// Caller names the caller in a context that the Gate returned, for the access log. It may be nil.
	Caller func(context.Context) string
}

// withDefaults is c with every zero limit replaced by its default.
func (c Config) withDefaults() Config {
	orDefault(&c.MaxBody, 1<<20)
	orDefault(&c.MaxHeader, 64<<10)
	orDefault(&c.RequestTimeout, 30*time.Second)
	orDefault(&c.ReadHeaderTimeout, 10*time.Second)
	orDefault(&c.IdleTimeout, 120*time.Second)
	orDefault(&c.StallTimeout, 60*time.Second)
	if c.OpenIDConnectURL == "" {
		c.OpenIDConnectURL = "/idp/.well-known/openid-configuration"
	}
	return c
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}
