package httpapi

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// limitBody bounds the request's body in size and, by progress, in time.
func (s *Server) limitBody(x *exchange, b *boundRoute, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	var until time.Time
	if b.timeout > 0 {
		until = wallClock().Add(b.timeout)
	}
	s.watchBody(x, r, until)
	if b.body >= 0 {
		x.bodyLimit = b.body
		// The server's own writer, so that it closes the connection after a body that is too large.
		r.Body = http.MaxBytesReader(x.w.ResponseWriter, r.Body, b.body)
	}
}

// watchBody drops a client whose body stops coming.
func (s *Server) watchBody(x *exchange, r *http.Request, until time.Time) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	r.Body = &progressBody{ReadCloser: r.Body, control: x.w.control, stall: s.cfg.StallTimeout, until: until}
}

// progressBody moves the connection's read deadline on as long as bytes arrive, so that a slow
// upload of any length goes on and a stalled one ends.
type progressBody struct {
	io.ReadCloser
	control *http.ResponseController
	stall   time.Duration
	until   time.Time // the request's own limit, if any
	renewed time.Time
	set     bool
}

// Read reads on, and says ErrStalled when nothing came in time.
func (b *progressBody) Read(p []byte) (int, error) {
	if now := wallClock(); now.Sub(b.renewed) > b.stall/64 {
		b.renewed = now
		deadline := now.Add(b.stall)
		if !b.until.IsZero() && b.until.Before(deadline) {
			deadline = b.until
		}
		b.set = b.control.SetReadDeadline(deadline) == nil
	}
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == nil:
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = ErrStalled
	case b.set:
		// After the body the connection waits for the next request, which has limits of its own.
		b.set = false
		_ = b.control.SetReadDeadline(time.Time{}) // a broken connection tells by itself
	}
	return n, err
}
