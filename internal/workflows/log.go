package workflows

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"io"
	"strings"

	"github.com/google/uuid"

	"lodge/internal/database"
	"lodge/internal/fault"
)

// ObjectsOf is how the keys of all objects of a job begin.
func ObjectsOf(job uuid.UUID) string { return "workflows/" + job.String() + "/" }

// StepKey names a node of a job in rows, objects and folders, by its name.
func StepKey(node string) string {
	sum := sha256.Sum256([]byte(node))
	return hex.EncodeToString(sum[:10])
}

// LogMark says how much of a step's log has been kept.
type LogMark struct {
	Attempt int
	Lines   int64 // of all attempts
	Bytes   int64 // that this attempt has written
}

// LogMark reads how much of the log of a step's attempt has been kept.
func (s *Service) LogMark(ctx context.Context, job uuid.UUID, step string, attempt int) (LogMark, error) {
	m := LogMark{Attempt: attempt}
	rows, err := s.db.Query(ctx, "SELECT attempt, line + line_count, upto FROM wf_logs WHERE job = ? AND step = ? ORDER BY line DESC LIMIT 1", job.String(), step)
	last, err := one(rows, err, func(rows *sql.Rows) (l LogMark, err error) { return l, rows.Scan(&l.Attempt, &l.Lines, &l.Bytes) })
	if errors.Is(err, errNoRow) {
		return m, nil
	}
	m.Lines = last.Lines
	if last.Attempt == attempt {
		m.Bytes = last.Bytes
	}
	return m, err
}

// KeepLog keeps a piece of a step's log after the mark, whole lines of it, and then a note if there is
// one; it gives the mark after it.
func (s *Service) KeepLog(ctx context.Context, tx *database.Tx, job uuid.UUID, step string, m LogMark, piece []byte, note string) (LogMark, error) {
	text := strings.ToValidUTF8(strings.ReplaceAll(string(piece), "\x00", "\uFFFD"), "\uFFFD")
	for _, end := range []string{note, ""} {
		if end != "" {
			text = strings.TrimSuffix(text, "\n") + "\n" + end
		}
		if !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
	}
	lines := int64(strings.Count(text, "\n"))
	after := LogMark{m.Attempt, m.Lines + lines, m.Bytes + int64(len(piece))}
	_, err := tx.Exec(ctx, "INSERT INTO wf_logs (job, step, line, line_count, attempt, upto, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
		job.String(), step, m.Lines, lines, m.Attempt, after.Bytes, text)
	return after, err
}

// archiveFrom is how many lines stay rows: a short log is not worth an object.
const archiveFrom = 1000

func logKey(job uuid.UUID, step string) string { return ObjectsOf(job) + "logs/" + step }

// ArchiveLogs makes objects of the long logs of a job that has ended. It may be done again.
func (s *Service) ArchiveLogs(ctx context.Context, job uuid.UUID) error {
	rows, err := s.db.Query(ctx, "SELECT step FROM wf_logs WHERE job = ? GROUP BY step HAVING SUM(line_count) >= ?", job.String(), archiveFrom)
	steps, err := database.Collect(rows, err, func(rows *sql.Rows) (step string, err error) { return step, rows.Scan(&step) })
	if err != nil {
		return err
	}
	for _, step := range steps {
		if err := s.archiveLog(ctx, job, step); err != nil {
			return err
		}
	}
	return nil
}

// archiveLog keeps the first line's row, empty, so that a job that is retried goes on counting.
func (s *Service) archiveLog(ctx context.Context, job uuid.UUID, step string) error {
	body, write := io.Pipe()
	end := int64(0)
	go func() {
		write.CloseWithError(s.readLog(ctx, job, step, 0, func(line int64, text string) error {
			end = line + 1
			_, err := io.WriteString(write, text+"\n")
			return err
		}))
	}()
	if _, err := s.bucket.Put(ctx, logKey(job, step), body); err != nil {
		_ = body.CloseWithError(err)
		return err
	}
	return s.db.Tx(ctx, func(tx *database.Tx) error {
		if _, err := tx.Exec(ctx, "DELETE FROM wf_logs WHERE job = ? AND step = ? AND line < ?", job.String(), step, end); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "INSERT INTO wf_logs (job, step, line, line_count, attempt, upto, body) VALUES (?, ?, 0, ?, 0, 0, '')", job.String(), step, end)
		return err
	})
}

// logPiece is a row of a log.
type logPiece struct {
	line, lines int64
	body        string
}

const piecesPerRead = 16

// readLog gives the lines of a log from one on: those in the archive, then those in rows.
func (s *Service) readLog(ctx context.Context, job uuid.UUID, step string, from int64, give func(line int64, text string) error) error {
	for next := from; ; {
		rows, err := s.db.Query(ctx, "SELECT line, line_count, body FROM wf_logs WHERE job = ? AND step = ? AND line + line_count > ? ORDER BY line LIMIT ?",
			job.String(), step, next, piecesPerRead)
		pieces, err := database.Collect(rows, err, func(rows *sql.Rows) (p logPiece, err error) { return p, rows.Scan(&p.line, &p.lines, &p.body) })
		if err != nil || len(pieces) == 0 {
			return err
		}
		for _, p := range pieces {
			if p.body == "" {
				err = s.readArchive(ctx, job, step, next, give)
			} else {
				err = lines(strings.NewReader(p.body), p.line, next, give)
			}
			if err != nil {
				return err
			}
			next = p.line + p.lines
		}
	}
}

func (s *Service) readArchive(ctx context.Context, job uuid.UUID, step string, from int64, give func(int64, string) error) error {
	body, _, err := s.bucket.Get(ctx, logKey(job, step), 0, -1)
	if fault.Is(err, fault.Missing) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	return lines(body, 0, from, give)
}

// lines gives the lines of a text whose first has a number, from one on.
func lines(text io.Reader, first, from int64, give func(int64, string) error) error {
	r := bufio.NewReaderSize(text, 64<<10)
	for n := first; ; n++ {
		line, err := r.ReadBytes('\n')
		if len(line) > 0 && n >= from {
			if err := give(n, string(bytes.TrimSuffix(line, []byte("\n")))); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
