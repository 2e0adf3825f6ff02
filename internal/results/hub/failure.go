package hub

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"

	"lodge/internal/fault"
)

// errSlow is the cause of the contexts that our own time limits end.
var errSlow = errors.New("the hub did not answer in time")

// refusal is an answer with a status that we did not expect. Its text is for the log.
type refusal struct {
	call    string
	status  int
	code    string
	message string
	// page says that the answer was HTML: a gateway's, not the hub's.
	page bool
}

func (r *refusal) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("%s: status %d: %s", r.call, r.status, r.message), ": ")
}

// fault is the error in the words that the clients of results know.
func (r *refusal) fault() error {
	return fault.Wrap(r, fault.Upstream, "Hub returned an unexpected response (%s)", r.code)
}

// Status is the HTTP status with which the hub refused, or 0 when err is of another kind.
func Status(err error) int {
	var r *refusal
	if errors.As(err, &r) {
		return r.status
	}
	return 0
}

// lacks says that the hub has no such route, or does not let us use it: it is there, and it knows us.
func lacks(err error) bool {
	var r *refusal
	if !errors.As(err, &r) || r.page {
		return false
	}
	return r.status == http.StatusForbidden || r.status == http.StatusNotFound || r.status == http.StatusMethodNotAllowed
}

// refused reads the hub's error. Its code is the hub's own; for a hub that leaves it out it is the
// status, and for an answer that is not the hub's at all, such as a gateway's page, "unknown".
func refused(resp *http.Response) *refusal {
	r := &refusal{call: resp.Request.Method + " " + resp.Request.URL.Path, status: resp.StatusCode, code: "unknown", page: isHTML(resp)}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return r
	}
	var answer struct {
		StatusCode json.RawMessage `json:"statusCode"`
		Code       json.RawMessage `json:"code"`
		Message    string          `json:"message"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return r
	}
	r.message = cut(answer.Message, 200)
	if n, err := strconv.Atoi(strings.Trim(string(answer.StatusCode), `"`)); err == nil {
		r.code = strconv.Itoa(n)
	} else if len(answer.Code) > 0 || answer.Message != "" {
		r.code = strconv.Itoa(resp.StatusCode)
	}
	return r
}

// missing is a 404 of the hub. A page of HTML is a gateway's, and proves nothing to be absent:
// whoever deletes what the hub no longer has must not be misled by it.
func missing(resp *http.Response, sentence string) error {
	if isHTML(resp) {
		return refused(resp).fault()
	}
	return fault.New(fault.Missing, "%s", sentence)
}

func isHTML(resp *http.Response) bool {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return kind == "text/html"
}

// unexpected is a success whose content is not what the hub promises.
func unexpected(err error) error {
	return fault.Wrap(err, fault.Upstream, "Hub returned an unexpected response (unknown)")
}

// failure is the error of a request that got no answer, or half of one. The sentence names the host
// at most: addresses may carry credentials, and err may carry addresses.
func failure(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var known *fault.Error
	if errors.As(err, &known) {
		return err
	}
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err
	}
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, errSlow), errors.Is(err, errSlow), errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fault.Wrap(err, fault.Timeout, "The hub did not answer in time.")
	case cause != nil:
		return fmt.Errorf("call the hub: %w", cause)
	case isRubbish(err):
		return unexpected(err)
	default:
		return fault.Wrap(err, fault.Unavailable, "The hub cannot be reached: %s.", reason(err))
	}
}

// isRubbish says that something answered, but not in HTTP as we bear it. The library has no types for it.
func isRubbish(err error) bool {
	text := err.Error()
	for _, sign := range []string{"malformed", "server response headers exceeded", "invalid header", "invalid byte in chunk", "unsupported transfer encoding", "gave HTTP response to HTTPS"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

func reason(err error) string {
	var (
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		alert     tls.AlertError
		op        *net.OpError
	)
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "the name " + dns.Name + " is not known"
	case errors.As(err, &dns):
		return "the name " + dns.Name + " cannot be looked up"
	case errors.As(err, &authority), errors.As(err, &name), errors.As(err, &invalid):
		return "its certificate is not trusted"
	case errors.As(err, &alert):
		return "it refuses the TLS connection"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "there is no route to it"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return "the connection was cut"
	case errors.As(err, &op) && op.Op == "dial":
		return "no connection could be made"
	default:
		return "the connection failed"
	}
}

func cut(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}
