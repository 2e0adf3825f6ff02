// Package audit keeps what happened: one record for every refusal and every
// change, written in the transaction of what it describes. Within a second the
// sealer binds new records, in order, into a chain of hashes and signs its end,
// so that Verify finds whatever was altered, reordered or removed afterwards.
//
// What the chain cannot show: a record that somebody with access to the
// database removed or forged before it was sealed; and records cut off at the
// end together with every checkpoint and the stored head behind them. Against
// the latter, keep the last checkpoint that `lodge audit verify` prints
// elsewhere, and compare.
package audit

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"lodge/internal/access"
	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
	"lodge/internal/work"
)

// The outcomes of what was asked for.
const (
	Allowed = "allowed"
	Denied  = "denied"
	Failed  = "failed"
)

// Entry is what to record. Who did it, by which credential, in which request and
// from where is taken from the context. Left empty, Outcome means Allowed and
// Rule the decision in the context.
type Entry struct {
	Action, Group, Object, Outcome, Rule, Detail string
}

// Record is one record as it is kept. Those not sealed yet have no Seq.
type Record struct {
	ID         string    `json:"id"`
	At         time.Time `json:"at"`
	Caller     string    `json:"caller" doc:"The name; nobody for requests without a login"`
	CallerID   string    `json:"caller_id" doc:"Issuer and subject, joined by a bar"`
	Credential string    `json:"credential" doc:"The kind of credential and its id" example:"session:5f0c"`
	Action     string    `json:"action"`
	Group      string    `json:"group"`
	Object     string    `json:"object"`
	Outcome    string    `json:"outcome" enum:"allowed,denied,failed"`
	Rule       string    `json:"rule" doc:"The rule that decided"`
	Detail     string    `json:"detail"`
	RequestID  string    `json:"request_id"`
	Address    string    `json:"address"`
	Seq        int64     `json:"seq,omitempty" doc:"The place in the sealed chain; absent until sealed"`
	PrevHash   string    `json:"prev_hash,omitempty"`
	Hash       string    `json:"hash,omitempty"`
}

// How long the columns are, in characters.
const (
	maxCaller   = 255
	maxCallerID = 512
	maxAction   = 100
	maxGroup    = 191
	maxObject   = 512
	maxOutcome  = 20
	maxRule     = 512
	maxDetail   = 4000
	maxShort    = 64
)

// Log is the audit log. It is safe for concurrent use.
type Log struct {
	db    *database.DB
	queue *work.Queue
	key   ed25519.PrivateKey
	now   func() time.Time
	log   *slog.Logger

	refusals *refusals
	verified *verified
}

// New makes the log. key signs the checkpoints; whoever makes it keeps it where
// the database's administrators cannot read it, if the log is to hold against them.
func New(db *database.DB, queue *work.Queue, key ed25519.PrivateKey, now func() time.Time, log *slog.Logger) *Log {
	l := &Log{db: db, queue: queue, key: key, now: now, log: log}
	l.refusals = newRefusals(l.writeAll)
	l.verified = newVerified()
	return l
}

// Record writes a record in the transaction of the change that it describes.
func (l *Log) Record(ctx context.Context, tx *database.Tx, e Entry) error {
	r, err := l.fill(ctx, e)
	if err != nil {
		return err
	}
	if err := insert(ctx, tx, []Record{r}); err != nil {
		return fmt.Errorf("write an audit record: %w", err)
	}
	return nil
}

// Refused writes the record of a refusal, or of anything else without a
// transaction of its own, and returns when it is durable. Calls at the same time
// share a transaction. A flood of them waits in line, each as long as its
// context lets it; who does not get a place gets fault.Unavailable.
func (l *Log) Refused(ctx context.Context, e Entry) error {
	if e.Outcome == "" {
		e.Outcome = Denied
	}
	r, err := l.fill(ctx, e)
	if err != nil {
		return err
	}
	return l.refusals.add(ctx, r)
}

// writeAll writes records in one transaction.
func (l *Log) writeAll(ctx context.Context, records []Record) error {
	return l.db.Tx(ctx, func(tx *database.Tx) error { return insert(ctx, tx, records) })
}

// fill makes the record of an entry, fit for its columns.
func (l *Log) fill(ctx context.Context, e Entry) (Record, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Record{}, fmt.Errorf("name an audit record: %w", err)
	}
	if e.Outcome == "" {
		e.Outcome = Allowed
	}
	if e.Rule == "" {
		e.Rule = access.DecisionFrom(ctx).Rule
	}
	r := Record{
		ID: id.String(), At: database.Time(database.Micros(l.now())), Caller: "nobody",
		Action: fit(e.Action, maxAction), Group: fit(e.Group, maxGroup), Object: fit(e.Object, maxObject),
		Outcome: fit(e.Outcome, maxOutcome), Rule: fit(e.Rule, maxRule), Detail: fit(e.Detail, maxDetail),
		RequestID: fit(httpapi.RequestID(ctx), maxShort), Address: fit(httpapi.ClientAddress(ctx), maxShort),
	}
	if c := access.CallerFrom(ctx); c != nil {
		r.Caller = fit(c.Name, maxCaller)
		r.CallerID = fit(callerID(c), maxCallerID)
		r.Credential = fit(credential(c.Credential), maxCaller)
	}
	return r, nil
}

func callerID(c *access.Caller) string {
	if c.Issuer == "" && c.Subject == "" {
		return ""
	}
	return c.Issuer + "|" + c.Subject
}

func credential(c access.Credential) string {
	if c.ID == "" {
		return c.Kind
	}
	return c.Kind + ":" + c.ID
}

// fit makes a text storable everywhere: valid, without NUL, and not longer than
// its column. What is cut off is marked.
func fit(text string, limit int) string {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\ufffd")
	}
	if strings.IndexByte(text, 0) >= 0 {
		text = strings.ReplaceAll(text, "\x00", "\ufffd")
	}
	if len(text) <= limit {
		return text
	}
	n := 0
	last := 0
	for i := range text {
		if n == limit-1 {
			last = i
		}
		if n == limit {
			return text[:last] + "…"
		}
		n++
	}
	return text
}

// unrecorded says that something was refused and could not be written down. The
// request fails rather than pass without a record.
func unrecorded(err error) error {
	if fault.KindOf(err) != fault.Internal {
		return err
	}
	return fault.Wrap(err, fault.Unavailable, "this could not be written to the audit log")
}
