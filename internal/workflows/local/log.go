package local

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"lodge/internal/database"
	"lodge/internal/workflows"
)

const (
	// A piece of a log is kept when it is so long or so old.
	pieceSize = 32 << 10
	pieceAge  = 300 * time.Millisecond
	// lineSize is where a line is broken that does not end.
	lineSize = 16 << 10
)

// logKeeper keeps what a step writes, whole lines at a time.
type logKeeper struct {
	svc   *workflows.Service
	db    *database.DB
	job   uuid.UUID
	step  string
	limit int64
	now   func() time.Time
	//nolint:containedctx // it is a writer, and lives as long as the call that it is handed to
	ctx     context.Context
	mark    workflows.LogMark // what is kept
	pending []byte
	dropped bool // the log is too long: no more of it is kept
	last    time.Time
}

func (s *step) openLog(ctx context.Context, w *row) (*logKeeper, error) {
	e := s.run.engine
	k := &logKeeper{svc: e.svc, db: e.db, job: s.run.job, step: s.key, limit: e.cfg.MaxLog, now: e.now, ctx: ctx, last: e.now()}
	var err error
	k.mark, err = e.svc.LogMark(ctx, s.run.job, s.key, w.attempt)
	k.dropped = k.mark.Bytes > k.limit
	return k, err
}

// Write keeps what has come, now or soon. A write of nothing keeps what has waited long enough.
func (k *logKeeper) Write(p []byte) (int, error) {
	if k.dropped {
		return len(p), nil // it is read and thrown away, so that the step does not stand still
	}
	k.pending = append(k.pending, p...)
	if len(k.pending) < pieceSize && k.now().Sub(k.last) < pieceAge {
		return len(p), nil
	}
	end := k.whole()
	if k.last = k.now(); end == 0 {
		return len(p), nil
	}
	var mark workflows.LogMark
	err := k.db.Tx(k.ctx, func(tx *database.Tx) (err error) {
		mark, err = k.keep(k.ctx, tx, end)
		return err
	})
	if err != nil {
		return 0, err
	}
	k.mark, k.dropped = mark, mark.Bytes > k.limit
	k.pending = append(k.pending[:0], k.pending[end:]...)
	return len(p), nil
}

// offset is how much of what the step wrote has come.
func (k *logKeeper) offset() int64 { return k.mark.Bytes + int64(len(k.pending)) }

// whole is how much of what waits are whole lines.
func (k *logKeeper) whole() int {
	end := bytes.LastIndexByte(k.pending, '\n') + 1
	if end == 0 && len(k.pending) >= lineSize {
		end = len(k.pending)
	}
	return end
}

// keep writes the beginning of what waits down.
func (k *logKeeper) keep(ctx context.Context, tx *database.Tx, end int) (workflows.LogMark, error) {
	note := ""
	if k.mark.Bytes+int64(end) > k.limit {
		note = fmt.Sprintf("… the log is longer than %d KiB: the rest is not kept", k.limit>>10)
	}
	return k.svc.KeepLog(ctx, tx, k.job, k.step, k.mark, k.pending[:end], note)
}

// end keeps the rest, in the transaction that ends the step. It changes nothing here, so that the
// transaction may be done again.
func (k *logKeeper) end(ctx context.Context, tx *database.Tx) error {
	if len(k.pending) == 0 || k.dropped {
		return nil
	}
	_, err := k.keep(ctx, tx, len(k.pending))
	return err
}
