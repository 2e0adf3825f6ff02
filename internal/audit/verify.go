package audit

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"fmt"
	"math"
	"time"

	"lodge/internal/database"
)

// The kinds of fault that a verification finds.
const (
	FaultAltered    = "altered"     // a record is not what was sealed
	FaultMissing    = "missing"     // a record that was sealed is gone
	FaultUnlinked   = "unlinked"    // a record does not follow the one before: reordered or replaced
	FaultCheckpoint = "checkpoint"  // a checkpoint is not what was signed, or signs another chain
	FaultForeignKey = "foreign_key" // a checkpoint is signed by another key
	FaultTail       = "tail"        // the end of the chain was cut off, or what marks it
)

// Fault is one thing that is wrong with the chain.
type Fault struct {
	Kind     string `json:"kind" enum:"altered,missing,unlinked,checkpoint,foreign_key,tail"`
	Seq      int64  `json:"seq" doc:"The place in the chain"`
	RecordID string `json:"record_id,omitempty"`
	Message  string `json:"message"`
}

// Report is what a verification found.
type Report struct {
	OK          bool  `json:"ok"`
	Records     int64 `json:"records" doc:"How many sealed records were read"`
	Checkpoints int64 `json:"checkpoints"`
	Unsealed    int64 `json:"unsealed" doc:"How many records wait to be sealed; nothing can be said of them yet"`
	Faults      int64 `json:"faults"`
	// First is the first fault, by place in the chain.
	First *Fault `json:"first,omitempty"`
	// Last is the newest checkpoint. Kept elsewhere, it shows later whether the end was cut off.
	Last *Checkpoint `json:"last,omitempty" doc:"The newest checkpoint; keep it elsewhere to compare later"`
	// At is when the verification ended, and Took how long it ran.
	At   time.Time     `json:"at"`
	Took time.Duration `json:"took_ns"`
}

// verifyPage is how many records a verification holds in memory.
const verifyPage = 500

// Verify reads the whole chain and says whether it holds.
func (l *Log) Verify(ctx context.Context) (Report, error) {
	start := l.now()
	report, err := VerifyDatabase(ctx, l.db, l.key.Public().(ed25519.PublicKey))
	report.At = l.now().UTC()
	report.Took = report.At.Sub(start)
	return report, err
}

// VerifyDatabase reads the whole chain and says whether it holds: that every
// record is what was sealed, that they follow one another without a gap, that
// every checkpoint is signed by pub and fits, and that the end is where the last
// checkpoint and the stored head have it. It reads page by page and may run
// beside writers and the sealer.
func VerifyDatabase(ctx context.Context, db *database.DB, pub ed25519.PublicKey) (Report, error) {
	v := verifier{db: db, pub: pub, keyID: KeyID(pub), seq: math.MinInt64, hash: genesis, point: math.MinInt64}
	for {
		more, err := v.page(ctx)
		if err != nil {
			return Report{}, fmt.Errorf("verify the audit chain: %w", err)
		}
		if more {
			continue
		}
		grown, err := v.tail(ctx)
		if err != nil {
			return Report{}, fmt.Errorf("verify the end of the audit chain: %w", err)
		}
		if !grown {
			break
		}
	}
	v.report.OK = v.report.Faults == 0
	return v.report, nil
}

// verifier is a verification at some place of the chain.
type verifier struct {
	db     *database.DB
	pub    ed25519.PublicKey
	keyID  string
	report Report
	// seq and hash are of the last record read; seq is math.MinInt64 before the first.
	seq  int64
	hash string
	// point is the place of the last checkpoint read.
	point int64
}

func (v *verifier) fault(kind string, seq int64, id, format string, args ...any) {
	v.report.Faults++
	if v.report.First == nil {
		v.report.First = &Fault{kind, seq, id, fmt.Sprintf(format, args...)}
	}
}

// page verifies the next records with the checkpoints among them. more is false
// when there were none.
func (v *verifier) page(ctx context.Context) (more bool, err error) {
	records, err := read(ctx, v.db, "WHERE seq > ? ORDER BY seq LIMIT ?", v.seq, verifyPage)
	if err != nil || len(records) == 0 {
		return false, err
	}
	points, err := readCheckpoints(ctx, v.db, v.point, records[len(records)-1].Seq)
	if err != nil {
		return false, err
	}
	for i := range records {
		r := &records[i]
		v.record(r)
		for len(points) > 0 && points[0].Seq <= r.Seq {
			v.checkpoint(&points[0], r)
			points = points[1:]
		}
	}
	return true, nil
}

// record verifies one record against the one before it.
func (v *verifier) record(r *Record) {
	expected := v.seq + 1
	if v.seq == math.MinInt64 {
		expected = 1
	}
	v.report.Records++
	switch {
	case r.Seq > expected:
		v.fault(FaultMissing, expected, "", "the records from %d to %d are gone", expected, r.Seq-1)
	case r.Seq < expected:
		v.fault(FaultUnlinked, r.Seq, r.ID, "a record stands at %d, before the beginning", r.Seq)
	case r.PrevHash != v.hash:
		v.fault(FaultUnlinked, r.Seq, r.ID, "record %d does not follow the one before it", r.Seq)
	}
	if digest(r, r.Seq, r.PrevHash) != r.Hash {
		v.fault(FaultAltered, r.Seq, r.ID, "record %d is not what was sealed", r.Seq)
	}
	// What is stored goes on, so that one change is one fault and the next one is found too.
	v.seq, v.hash = r.Seq, r.Hash
}

// checkpoint verifies a checkpoint whose place is r's or was passed with r.
func (v *verifier) checkpoint(c *Checkpoint, r *Record) {
	v.report.Checkpoints++
	v.point = c.Seq
	switch {
	case c.KeyID != v.keyID:
		v.fault(FaultForeignKey, c.Seq, "", "checkpoint %d is signed by the key %.64q, not by %s", c.Seq, c.KeyID, v.keyID)
	case !c.signedBy(v.pub):
		v.fault(FaultCheckpoint, c.Seq, "", "checkpoint %d is not what was signed", c.Seq)
	case c.Seq != r.Seq:
		v.fault(FaultCheckpoint, c.Seq, "", "checkpoint %d signs a record that is gone", c.Seq)
	case c.Hash != r.Hash:
		v.fault(FaultCheckpoint, c.Seq, r.ID, "checkpoint %d signs another record than the one that is there", c.Seq)
	default:
		last := *c
		v.report.Last = &last
	}
}

// tail compares the ends as they are at one moment: of the records read, of the
// checkpoints, and the head. grown is true when more was sealed since, and is to be read first.
func (v *verifier) tail(ctx context.Context) (grown bool, err error) {
	var stored sql.NullString
	var record, point sql.NullInt64
	// One statement, so that all three are of the same moment.
	err = v.db.QueryRow(ctx, `SELECT (SELECT value FROM site_values WHERE name = ?), (SELECT MAX(seq) FROM audit_records),
		(SELECT MAX(seq) FROM audit_checkpoints), (SELECT COUNT(*) FROM audit_records WHERE seq IS NULL)`, headName).
		Scan(&stored, &record, &point, &v.report.Unsealed)
	if err != nil {
		return false, err
	}
	end := max(v.seq, 0)
	if record.Valid && record.Int64 > end {
		return true, nil
	}
	if point.Int64 > end {
		v.fault(FaultTail, point.Int64, "", "the last checkpoint is at %d, but the records end at %d", point.Int64, end)
	}
	if point.Int64 < end {
		v.fault(FaultTail, end, "", "the records end at %d, but the last checkpoint is at %d", end, point.Int64)
	}
	v.head(stored, end)
	return false, nil
}

func (v *verifier) head(stored sql.NullString, end int64) {
	if !stored.Valid {
		if end != 0 {
			v.fault(FaultTail, end, "", "the stored end of the chain is gone")
		}
		return
	}
	h, err := parseHead(stored.String)
	switch {
	case err != nil:
		v.fault(FaultTail, end, "", "the stored end of the chain is damaged")
	case h.seq != end:
		v.fault(FaultTail, end, "", "the chain was sealed up to %d, but the records end at %d", h.seq, end)
	case h.hash != v.hash:
		v.fault(FaultTail, end, "", "the last record is not the one that was sealed last")
	}
}

func readCheckpoints(ctx context.Context, q database.Querier, after, upTo int64) (list []Checkpoint, err error) {
	rows, err := q.Query(ctx, "SELECT seq, at, hash, key_id, signature FROM audit_checkpoints WHERE seq > ? AND seq <= ? ORDER BY seq", after, upTo)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var c Checkpoint
		var at int64
		if err := rows.Scan(&c.Seq, &at, &c.Hash, &c.KeyID, &c.Signature); err != nil {
			return nil, err
		}
		c.At = database.Time(at)
		list = append(list, c)
	}
	return list, rows.Err()
}
