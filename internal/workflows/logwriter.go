package workflows

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"lodge/internal/database"
)

const (
	// A piece of a log is kept when it is so long or so old.
	pieceSize = 32 << 10
	pieceAge  = 300 * time.Millisecond
	// lineSize is where a line is broken that does not end.
	lineSize = 16 << 10
)

// LogWriter keeps what a step writes, whole lines at a time.
type LogWriter struct {
	svc   *Service
	job   uuid.UUID
	step  string
	limit int64
	//nolint:containedctx // it is a writer, and lives as long as the call that it is handed to
	ctx     context.Context
	mark    LogMark // what is kept
	pending []byte
	dropped bool // the log is too long: no more of it is kept
	last    time.Time
}

// LogWriter goes on where the log of a step's attempt has been kept; limit bounds it in bytes.
func (s *Service) LogWriter(ctx context.Context, job uuid.UUID, step string, attempt int, limit int64) (*LogWriter, error) {
	w := &LogWriter{svc: s, job: job, step: step, limit: limit, ctx: ctx, last: s.now()}
	var err error
	w.mark, err = s.LogMark(ctx, job, step, attempt)
	w.dropped = w.mark.Bytes > limit
	return w, err
}

// Write keeps what has come, now or soon. A write of nothing keeps what has waited long enough.
func (w *LogWriter) Write(p []byte) (int, error) {
	if w.dropped {
		return len(p), nil // it is read and thrown away, so that the step does not stand still
	}
	w.pending = append(w.pending, p...)
	if len(w.pending) < pieceSize && w.svc.now().Sub(w.last) < pieceAge {
		return len(p), nil
	}
	end := w.whole()
	if w.last = w.svc.now(); end == 0 {
		return len(p), nil
	}
	var mark LogMark
	err := w.svc.db.Tx(w.ctx, func(tx *database.Tx) (err error) {
		mark, err = w.keep(w.ctx, tx, end)
		return err
	})
	if err != nil {
		return 0, err
	}
	w.mark, w.dropped = mark, mark.Bytes > w.limit
	w.pending = append(w.pending[:0], w.pending[end:]...)
	return len(p), nil
}

// Offset is how much of what the step wrote has come.
func (w *LogWriter) Offset() int64 { return w.mark.Bytes + int64(len(w.pending)) }

// whole is how much of what waits are whole lines.
func (w *LogWriter) whole() int {
	end := bytes.LastIndexByte(w.pending, '\n') + 1
	if end == 0 && len(w.pending) >= lineSize {
		end = len(w.pending)
	}
	return end
}

// keep writes the beginning of what waits down.
func (w *LogWriter) keep(ctx context.Context, tx *database.Tx, end int) (LogMark, error) {
	note := ""
	if w.mark.Bytes+int64(end) > w.limit {
		note = fmt.Sprintf("… the log is longer than %d KiB: the rest is not kept", w.limit>>10)
	}
	return w.svc.KeepLog(ctx, tx, w.job, w.step, w.mark, w.pending[:end], note)
}

// End keeps the rest, in the transaction that ends the step. It changes nothing here, so that the
// transaction may be done again.
func (w *LogWriter) End(ctx context.Context, tx *database.Tx) error {
	if len(w.pending) == 0 || w.dropped {
		return nil
	}
	_, err := w.keep(ctx, tx, len(w.pending))
	return err
}

// Close keeps the rest of a log that belongs to no other change.
func (w *LogWriter) Close() error {
	return w.svc.db.Tx(w.ctx, func(tx *database.Tx) error { return w.End(w.ctx, tx) })
}
