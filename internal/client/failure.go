package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"lodge/internal/fault"
)

// failure says in a sentence why the server gave no answer, or half of one.
func (c *Client) failure(ctx context.Context, err error) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return err
	}
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err
	}
	var dns *net.DNSError
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, errSlow):
		return fault.New(fault.Timeout, "Lodge at %s does not answer.", c.base)
	case cause != nil:
		return fmt.Errorf("stopped: %w", cause)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault.New(fault.Unavailable, "Lodge cannot be reached: nothing listens at %s. Is it running?", c.base)
	case errors.As(err, &dns):
		return fault.New(fault.Unavailable, "Lodge cannot be reached: the name %s is not known.", dns.Name)
	default:
		return fault.Wrap(err, fault.Unavailable, "The connection to Lodge at %s failed", c.base)
	}
}

func redirected(resp *http.Response) error {
	to := "elsewhere"
	if u, err := resp.Location(); err == nil {
		to = u.Scheme + "://" + u.Host
	}
	return fault.New(fault.Invalid, "The server sends us on to %s: use that address.", to)
}

var kinds = map[int]fault.Kind{
	400: fault.Invalid, 401: fault.Unauthenticated, 403: fault.Denied, 404: fault.Missing, 409: fault.Conflict,
	413: fault.TooLarge, 422: fault.Invalid, 429: fault.Exhausted, 502: fault.Upstream, 503: fault.Unavailable,
	504: fault.Timeout, 507: fault.Full,
}

// strangers is what the results part says, with status 403, to whom it does not know.
var strangers = []string{"Not authenticated", "Invalid authentication credentials", "JWT is malformed"}

// refused reads the server's error: the platform's shape, the results part's, or neither.
func refused(resp *http.Response) error {
	if resp.StatusCode/100 == 3 {
		return redirected(resp)
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	sentence, id := sentence(body)
	kind := kinds[resp.StatusCode]
	// The workflows part answers 400 to whom it does not know.
	unknown := strings.Contains(string(body), `"summary":"could not authenticate"`)
	if kind == fault.Unauthenticated || unknown || slices.Contains(strangers, sentence) {
		if sentence = strings.TrimSuffix(sentence, "."); sentence != "" {
			sentence = " (" + sentence + ")"
		}
		return fault.New(fault.Unauthenticated, "Lodge does not know you%s. Log in with `lodge login`, or set LODGE_TOKEN.", sentence)
	}
	if sentence == "" {
		sentence = fmt.Sprintf("Lodge answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	if id == "" {
		id = resp.Header.Get("X-Request-Id")
	}
	if id != "" && resp.StatusCode >= 500 {
		sentence += " (request " + id + ")"
	}
	return fault.New(kind, "%s", sentence)
}

func sentence(body []byte) (text, requestID string) {
	var in struct {
		Detail json.RawMessage `json:"detail"`
		// What is wrong with a workflow.
		Findings []struct {
			Pointer string `json:"pointer"`
			Message string `json:"message"`
		} `json:"findings"`
		Error struct {
			Message   string `json:"message"`
			RequestID string `json:"request_id"`
			Fields    []struct {
				Loc     []string `json:"loc"`
				Message string   `json:"message"`
			} `json:"fields"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &in) != nil {
		return "", ""
	}
	if in.Error.Message != "" {
		text = in.Error.Message
		for _, f := range in.Error.Fields {
			text += "; " + strings.Join(f.Loc, ".") + ": " + f.Message
		}
		return text, in.Error.RequestID
	}
	if json.Unmarshal(in.Detail, &text) == nil {
		for _, f := range in.Findings {
			text += "\n  " + f.Pointer + ": " + f.Message
		}
		return text, ""
	}
	var findings []struct {
		Loc []any  `json:"loc"`
		Msg string `json:"msg"`
	}
	if json.Unmarshal(in.Detail, &findings) != nil {
		return "", ""
	}
	all := make([]string, len(findings))
	for i, f := range findings {
		loc := make([]string, len(f.Loc))
		for j, part := range f.Loc {
			loc[j] = fmt.Sprint(part)
		}
		all[i] = strings.Join(loc, ".") + ": " + f.Msg
	}
	return strings.Join(all, "; "), ""
}

func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	_ = resp.Body.Close()
}
