package httpapi

import (
	"crypto/rand"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// forwardedHeaders are what proxies say about the client. From any other peer they are removed,
// so that nothing behind the chain can believe them by accident.
var forwardedHeaders = []string{
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix",
	"X-Forwarded-Server", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Real-Ip", "Forwarded",
}

// identify fills in where the request comes from and its id, by what the peer may say.
func (s *Server) identify(x *exchange, r *http.Request) {
	peer, ok := parseAddr(r.RemoteAddr)
	if ok {
		x.client = peer.String()
	}
	x.proxied = ok && s.trusts(peer)
	if !x.proxied {
		for _, name := range forwardedHeaders {
			delete(r.Header, name)
		}
		x.id = rand.Text()
		return
	}
	if client, ok := s.clientBehind(r.Header["X-Forwarded-For"]); ok {
		x.client = client.String()
	}
	if ids := r.Header["X-Request-Id"]; len(ids) == 1 && saneID(ids[0]) {
		x.id = ids[0]
		return
	}
	x.id = rand.Text()
}

// clientBehind walks the proxies' list from the right, where each entry was added by the next
// trusted proxy, to the first address that is no proxy of ours. Whatever stands left of it was
// sent by the client and means nothing.
func (s *Server) clientBehind(lists []string) (client netip.Addr, ok bool) {
	for i := len(lists) - 1; i >= 0; i-- {
		rest := lists[i]
		for rest != "" {
			entry := rest
			if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
				rest, entry = rest[:comma], rest[comma+1:]
			} else {
				rest = ""
			}
			addr, valid := parseAddr(strings.TrimSpace(entry))
			if !valid {
				return client, ok
			}
			client, ok = addr, true
			if !s.trusts(addr) {
				return client, ok
			}
		}
	}
	return client, ok
}

func (s *Server) trusts(addr netip.Addr) bool {
	for _, p := range s.cfg.TrustedProxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// parseAddr reads an address with or without a port, in brackets or not.
func parseAddr(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		with, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = with.Addr()
	}
	return addr.Unmap().WithZone(""), true
}

// saneID accepts ids that are safe to log and to send on.
func saneID(id string) bool {
	return len(id) >= 8 && len(id) <= 64 && plainText(id, "-_.")
}

// plainText reports whether text has ASCII letters, digits and the given marks only.
func plainText(text, marks string) bool {
	for _, c := range []byte(text) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte(marks, c) >= 0:
		default:
			return false
		}
	}
	return true
}

// PublicURL is the address of this server as the client knows it, without a slash at the end:
// Config.PublicURL if set, else from the request and from what trusted proxies say.
func PublicURL(r *http.Request) string {
	x := exchangeFrom(r.Context())
	if x != nil && x.server != nil && x.server.cfg.PublicURL != "" {
		return strings.TrimSuffix(x.server.cfg.PublicURL, "/")
	}
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if x != nil && x.proxied {
		if proto := strings.ToLower(lastOf(r.Header["X-Forwarded-Proto"])); proto == "http" || proto == "https" {
			scheme = proto
		}
		if forwarded := lastOf(r.Header["X-Forwarded-Host"]); validHost(forwarded) {
			host = forwarded
		}
	}
	if !validHost(host) {
		host = "localhost"
		if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
			host = local.String()
		}
	}
	return scheme + "://" + strings.ToLower(host)
}

// lastOf is the entry that the nearest proxy wrote.
func lastOf(values []string) string {
	if len(values) == 0 {
		return ""
	}
	last := values[len(values)-1]
	return strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
}

// validHost accepts a name or an address with an optional port, so that no other text gets into
// the links that we send out.
func validHost(host string) bool {
	return host != "" && len(host) <= 255 && plainText(host, ".-_:[]")
}
