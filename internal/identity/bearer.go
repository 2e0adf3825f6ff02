package identity

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	jwtjson "github.com/go-jose/go-jose/v4/json" // refuses an object with the same key twice

	"lodge/internal/access"
	"lodge/internal/fault"
)

const (
	// maxToken bounds the size of a token, before anything is read of it.
	maxToken = 16 << 10
	// leeway is how far clocks may differ.
	leeway = 60 * time.Second
	// remembered is how long the outcome of a verification is at most.
	remembered = time.Minute
	maxSubject = 255
)

// verified is what a believed token says. It is shared between requests and never changes.
type verified struct {
	// service marks a service token of our own; id is then its row.
	service         bool
	id              string
	issuer, subject string
	name, email     string
	roles           []access.Role
	claims          map[string]any
	anonymous       bool // the token names a client but no person
	expires         time.Time
	nonce           string
}

// bad is the one answer to every credential that is not believed; the reason is for the log.
func bad(format string, args ...any) error {
	return fault.Wrap(fmt.Errorf("%w: "+format, append([]any{ErrBadToken}, args...)...), fault.Unauthenticated, "the credential is not valid, or no longer")
}

// verify believes a token or not. Outcomes are remembered, so that a busy caller costs a hash.
func (s *Service) verify(ctx context.Context, token string) (*verified, error) {
	if len(token) > maxToken {
		return nil, bad("longer than %d bytes", maxToken)
	}
	now := s.now()
	sum := sha256.Sum256([]byte(token))
	if v, ok := s.verified.get(sum, now); ok {
		return v, nil
	}
	mark := s.verified.mark(sum)
	v, err := s.verifyAnew(ctx, token, now)
	if err != nil {
		return nil, err
	}
	until := now.Add(remembered)
	if v.expires.Before(until) {
		until = v.expires
	}
	if until.After(now) {
		s.verified.put(sum, v, until, mark)
	}
	return v, nil
}

// tokenHeader is what we read of a token's header.
type tokenHeader struct{ alg, kid string }

func (s *Service) verifyAnew(ctx context.Context, token string, now time.Time) (*verified, error) {
	head, claims, err := parseToken(token)
	if err != nil {
		return nil, bad("%w", err)
	}
	if head.kid == s.own.kid {
		return s.own.verify(token, head, claims, now)
	}
	if s.cfg.SkipVerification {
		is := &issuer{id: "unverified", Issuer: Issuer{NameClaim: "preferred_username"}}
		if len(s.issuers) > 0 {
			is.NameClaim, is.RoleClaim = s.issuers[0].NameClaim, s.issuers[0].RoleClaim
		}
		return is.read(claims, now.Add(remembered))
	}
	candidates := s.candidates(claims)
	if len(candidates) == 0 {
		return nil, bad("no issuer is configured for it")
	}
	var failure error
	for _, is := range candidates {
		v, err := is.verify(ctx, token, head, claims, now)
		if err == nil {
			return v, nil
		}
		// A provider that is away weighs more than a token that the others do not know.
		if failure == nil || !errors.Is(err, ErrBadToken) {
			failure = err
		}
	}
	return nil, failure
}

// candidates are the issuers whose name the token bears, or else those without a name.
func (s *Service) candidates(claims map[string]any) []*issuer {
	name, _ := claims["iss"].(string)
	var named, nameless []*issuer
	for _, is := range s.issuers {
		switch is.Issuer.Issuer {
		case "":
			nameless = append(nameless, is)
		case name:
			named = append(named, is)
		}
	}
	if len(named) > 0 {
		return named
	}
	return nameless
}

// signed checks that the issuer signed a token, whatever it says.
func (is *issuer) signed(ctx context.Context, token string, head tokenHeader) error {
	if !slices.Contains(is.algs, jose.SignatureAlgorithm(head.alg)) {
		return bad("algorithm %.20q is not accepted from %s", head.alg, is.id)
	}
	keys, err := is.keys(ctx, head.kid)
	if err != nil {
		return err
	}
	if err := checkSignature(token, head, keys); err != nil {
		return bad("%w", err)
	}
	return nil
}

// verify checks signature and claims.
func (is *issuer) verify(ctx context.Context, token string, head tokenHeader, claims map[string]any, now time.Time) (*verified, error) {
	if err := is.signed(ctx, token, head); err != nil {
		return nil, err
	}
	if is.Issuer.Issuer != "" && claims["iss"] != is.Issuer.Issuer {
		return nil, bad("another issuer")
	}
	expires, err := checkTimes(claims, now, is.HS256Secret == "")
	if err != nil {
		return nil, bad("%w", err)
	}
	if err := checkAudience(claims, is.audiences); err != nil {
		return nil, bad("%w", err)
	}
	return is.read(claims, expires)
}

// checkSignature tries the keys that the algorithm fits.
func checkSignature(token string, head tokenHeader, keys []jose.JSONWebKey) error {
	alg := jose.SignatureAlgorithm(head.alg)
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{alg})
	if err != nil {
		return errors.New("not a signed token")
	}
	tried := 0
	for _, k := range keys {
		if !fits(k, alg) {
			continue
		}
		tried++
		if _, err := jws.Verify(k.Key); err == nil {
			return nil
		}
	}
	return fmt.Errorf("none of %d keys that could have signed it did", tried)
}

// parseToken takes a compact token apart. Nothing of it is believed yet.
func parseToken(token string) (tokenHeader, map[string]any, error) {
	// A logout or proof token is no access token, though the same key signed it.
	return parseTyped(token, "", "jwt", "at+jwt")
}

// parseTyped is parseToken for other types of tokens.
func parseTyped(token string, types ...string) (tokenHeader, map[string]any, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return tokenHeader{}, nil, errors.New("not of three parts")
	}
	header, err := decodeObject(parts[0])
	if err != nil {
		return tokenHeader{}, nil, fmt.Errorf("header: %w", err)
	}
	head, err := readHeader(header, types)
	if err != nil {
		return tokenHeader{}, nil, err
	}
	claims, err := decodeObject(parts[1])
	if err != nil {
		return tokenHeader{}, nil, fmt.Errorf("claims: %w", err)
	}
	return head, claims, nil
}

// readHeader refuses every header that tries to say how it wants to be verified.
func readHeader(header map[string]any, types []string) (tokenHeader, error) {
	for _, name := range []string{"crit", "jwk", "jku", "x5u", "x5c", "b64", "zip", "enc"} {
		if _, there := header[name]; there {
			return tokenHeader{}, fmt.Errorf("its header has %q", name)
		}
	}
	alg, ok := header["alg"].(string)
	if !ok {
		return tokenHeader{}, errors.New("its header has no algorithm")
	}
	kid, err := optionalText(header, "kid")
	if err != nil {
		return tokenHeader{}, err
	}
	typ, err := optionalText(header, "typ")
	if err != nil {
		return tokenHeader{}, err
	}
	if !slices.Contains(types, strings.TrimPrefix(strings.ToLower(typ), "application/")) {
		return tokenHeader{}, fmt.Errorf("its type is %.20q", typ)
	}
	return tokenHeader{alg: alg, kid: kid}, nil
}

func optionalText(m map[string]any, name string) (string, error) {
	v, there := m[name]
	if !there {
		return "", nil
	}
	text, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("%s is no text", name)
	}
	return text, nil
}

func decodeObject(part string) (map[string]any, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, errors.New("not base64url")
	}
	var object map[string]any
	if err := jwtjson.Unmarshal(raw, &object); err != nil {
		return nil, errors.New("no JSON object, or one that says something twice")
	}
	if object == nil {
		return nil, errors.New("no JSON object")
	}
	return object, nil
}

// checkTimes gives when the token expires.
func checkTimes(claims map[string]any, now time.Time, needIssued bool) (time.Time, error) {
	at := float64(now.UnixMicro()) / 1e6
	slack := leeway.Seconds()
	exp, ok := claims["exp"].(float64)
	if !ok {
		return time.Time{}, errors.New("it never expires")
	}
	if exp+slack < at {
		return time.Time{}, errors.New("it has expired")
	}
	if nbf, there := claims["nbf"]; there {
		from, ok := nbf.(float64)
		if !ok || from-slack > at {
			return time.Time{}, errors.New("it is not valid yet")
		}
	}
	iat, there := claims["iat"]
	if issued, ok := iat.(float64); (there || needIssued) && (!ok || issued-slack > at) {
		return time.Time{}, errors.New("it does not say when it was issued, or says the future")
	}
	// Far beyond what anybody remembers, where the number would not fit.
	return time.UnixMicro(int64(math.Min(exp, at+1e9) * 1e6)), nil
}

func checkAudience(claims map[string]any, wanted []string) error {
	if len(wanted) == 0 {
		return nil
	}
	has := func(v any) bool {
		name, ok := v.(string)
		return ok && slices.Contains(wanted, name)
	}
	switch aud := claims["aud"].(type) {
	case string:
		if has(aud) {
			return nil
		}
	case []any:
		if slices.ContainsFunc(aud, has) {
			return nil
		}
	}
	return errors.New("it is for another audience")
}

// read takes from the claims who the caller is.
func (is *issuer) read(claims map[string]any, expires time.Time) (*verified, error) {
	v := &verified{issuer: is.id, claims: claims, expires: expires}
	v.id, _ = claims["jti"].(string)
	v.nonce, _ = claims["nonce"].(string)
	v.email = text(claims, "email")
	names := is.SubjectClaims
	if len(names) == 0 {
		names = []string{"sub"}
	}
	switch sub, there := firstClaim(claims, names); {
	case there:
		subject, ok := sub.(string)
		if !ok || !plain(subject) {
			return nil, bad("sub is no plain text")
		}
		v.subject = subject
	case len(is.SubjectClaims) > 0:
		return nil, bad("it has none of the claims %v", is.SubjectClaims)
	default:
		v.anonymous = true
		v.subject = "client:" + cmp.Or(text(claims, "client_id"), text(claims, "azp"), "unnamed")
	}
	v.name = cmp.Or(text(claims, is.NameClaim), text(claims, "preferred_username"), text(claims, "name"), v.email, v.subject)
	if is.RoleClaim != "" {
		v.roles = rolesIn(claims, is.RoleClaim)
	}
	return v, nil
}

// firstClaim is the first of the claims that is there and says something.
func firstClaim(claims map[string]any, names []string) (value any, there bool) {
	for _, name := range names {
		v, is := claims[name]
		if is && v != "" {
			return v, true
		}
		there = there || is
	}
	return "", there
}

// text is a claim that is fit to be shown and stored, or nothing.
func text(claims map[string]any, name string) string {
	t, _ := claims[name].(string)
	if !plain(t) {
		return ""
	}
	return t
}

// plain accepts texts that are safe in logs, headers and columns.
func plain(t string) bool {
	return t != "" && len(t) <= maxSubject && utf8.ValidString(t) && strings.IndexFunc(t, unicode.IsControl) < 0
}

// rolesIn reads the role claim: the claim of exactly this name, or the way through nested ones.
func rolesIn(claims map[string]any, path string) []access.Role {
	value, there := claims[path]
	for at := claims; !there && at != nil; {
		name, rest, more := strings.Cut(path, ".")
		if value = at[name]; !more {
			break
		}
		at, _ = value.(map[string]any)
		path, value = rest, nil
	}
	var roles []access.Role
	add := func(v any) {
		if name, ok := v.(string); ok && plain(name) && len(name) <= 100 && len(roles) < 200 && !slices.Contains(roles, access.Role(name)) {
			roles = append(roles, access.Role(name))
		}
	}
	switch value := value.(type) {
	case string:
		for _, name := range strings.Fields(value) {
			add(name)
		}
	case []any:
		for _, name := range value {
			add(name)
		}
	}
	return roles
}
