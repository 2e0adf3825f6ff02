package identity

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

func (t TrustedHeader) validate() error {
	if t.Name == "" {
		return nil
	}
	for _, c := range []byte(t.Name) {
		if letter := 'a' <= c|0x20 && c|0x20 <= 'z'; !letter && (c < '0' || c > '9') && c != '-' {
			return errors.New("trusted_header.name may hold letters, digits and dashes alone")
		}
	}
	switch spelling(t.Name) {
	case "authorization", "cookie", "host", "origin":
		return errors.New("trusted_header.name is a header that browsers send")
	}
	if len(t.Proxies) == 0 {
		return errors.New("trusted_header.proxies is empty: name the proxies that may send the header")
	}
	return nil
}

// spelling makes one name of all spellings that some server or proxy takes for the same.
func spelling(name string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if r == '_' || r == '.' || r == ' ' {
			return '-'
		}
		return r
	}, name))
}

// takeHeader removes the trusted header from the request in every spelling, whoever sent it, and
// gives its value if the direct peer may name users. A listed proxy that sends it twice, or in
// two spellings, has passed on what it should have removed: nobody is believed then.
func (s *Service) takeHeader(r *http.Request) (string, error) {
	if s.cfg.TrustedHeader.Name == "" {
		return "", nil
	}
	want := spelling(s.cfg.TrustedHeader.Name)
	var values []string
	for name := range r.Header {
		if spelling(name) == want {
			values = append(values, r.Header[name]...)
			delete(r.Header, name)
		}
	}
	if len(values) == 0 || !s.trusted(r.RemoteAddr) {
		return "", nil
	}
	if len(values) > 1 {
		return "", bad("the trusted header came %d times", len(values))
	}
	value := strings.TrimSpace(values[0])
	if value == "" {
		return "", nil
	}
	if !plain(value) || strings.Contains(value, ",") { // a comma is how two headers become one
		return "", bad("the trusted header is no plain name")
	}
	return value, nil
}

func (s *Service) trusted(peer string) bool {
	host, _, err := net.SplitHostPort(peer)
	if err != nil {
		host = peer
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	addr = addr.Unmap().WithZone("")
	for _, p := range s.cfg.TrustedHeader.Proxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// headerUser is who the proxy named.
func (s *Service) headerUser(name string) *verified {
	return &verified{issuer: s.HeaderIssuer(), subject: name, name: name}
}

// HeaderIssuer is what people whom the proxy names are kept under; "" without such a proxy.
func (s *Service) HeaderIssuer() string {
	if s.cfg.TrustedHeader.Name == "" {
		return ""
	}
	return "header:" + spelling(s.cfg.TrustedHeader.Name)
}
