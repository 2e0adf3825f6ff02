package httpapi

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"time"
)

// wallClock is the machine's clock, for deadlines of connections: the kernel knows no other.
func wallClock() time.Time {
	return time.Now() //nolint:forbidigo // a connection's deadline is compared with the machine's clock
}

// responseWriter counts what is sent and drops a client that takes nothing for too long, however
// long the whole takes.
type responseWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
	// compress and accept are for JSON, which knows its whole body.
	compress *compressor
	accept   string

	status   int
	bytes    int64
	renewed  time.Time
	hijacked bool
}

// extend moves the deadline on, at most once a second.
func (w *responseWriter) extend() {
	if w.stall == 0 {
		return // a diversion watches by itself
	}
	if now := wallClock(); now.Sub(w.renewed) > w.stall/64 {
		w.renewed = now
		_ = w.control.SetWriteDeadline(now.Add(w.stall)) // a recorder in a test has none
	}
}

// WriteHeader notes the status. Informational ones are not the answer yet.
func (w *responseWriter) WriteHeader(status int) {
	if w.status == 0 && status >= 200 || status == http.StatusSwitchingProtocols {
		w.status = status
	}
	w.extend()
	w.ResponseWriter.WriteHeader(status)
}

// Write sends a piece of the body.
func (w *responseWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.extend()
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// sendPiece is how much the kernel is asked to send in one go: a client slower than this many
// bytes in the stall time is dropped.
const sendPiece = 1 << 20

// ReadFrom lets the kernel copy a file to the connection, piece by piece, so that the deadline
// moves with the progress.
func (w *responseWriter) ReadFrom(src io.Reader) (total int64, err error) {
	to, ok := w.ResponseWriter.(io.ReaderFrom)
	if !ok {
		return io.Copy(struct{ io.Writer }{w}, src)
	}
	if w.status == 0 {
		w.status = http.StatusOK
	}
	// The kernel path knows a file behind one LimitedReader, not behind two.
	limit := int64(-1)
	outer, limited := src.(*io.LimitedReader)
	if limited {
		src, limit = outer.R, outer.N
	}
	for limit != 0 {
		piece := &io.LimitedReader{R: src, N: sendPiece}
		if limit > 0 {
			piece.N = min(piece.N, limit)
		}
		asked := piece.N
		w.extend()
		n, err := to.ReadFrom(piece)
		total += n
		w.bytes += n
		if limited {
			limit -= n
			outer.N -= n
		}
		if err != nil || n < asked {
			return total, err
		}
	}
	return total, nil
}

// Flush sends what is buffered.
func (w *responseWriter) Flush() { _ = w.FlushError() } // http.Flusher cannot tell

// FlushError sends what is buffered.
func (w *responseWriter) FlushError() error {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.extend()
	return w.control.Flush()
}

// Hijack hands over the connection, without our deadlines.
func (w *responseWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := w.control.Hijack()
	if err == nil {
		w.hijacked = true
		if w.status == 0 {
			w.status = http.StatusSwitchingProtocols
		}
		_ = conn.SetDeadline(time.Time{}) // a closed connection tells by itself
	}
	return conn, rw, err
}

// Unwrap is for http.ResponseController.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
