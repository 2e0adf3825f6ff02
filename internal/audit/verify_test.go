package audit

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"lodge/internal/database"
	"lodge/internal/database/databasetest"
	"lodge/internal/work"
)

// copyOf reads the tables of the chain, to put them back after each tampering.
type copyOf struct {
	records []Record
	points  []Checkpoint
	head    string
}

func takeCopy(t *testing.T, db *database.DB) copyOf {
	t.Helper()
	var c copyOf
	var err error
	if c.records, err = read(t.Context(), db, "ORDER BY seq"); err != nil {
		t.Fatal(err)
	}
	if c.points, err = readCheckpoints(t.Context(), db, 0, 1<<40); err != nil {
		t.Fatal(err)
	}
	if err := db.QueryRow(t.Context(), "SELECT value FROM site_values WHERE name = ?", headName).Scan(&c.head); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c copyOf) putBack(t *testing.T, db *database.DB) {
	t.Helper()
	ctx := t.Context()
	err := db.Tx(ctx, func(tx *database.Tx) error {
		for _, table := range []string{"audit_records", "audit_checkpoints", "site_values"} {
			if _, err := tx.Exec(ctx, "DELETE FROM "+table); err != nil {
				return err
			}
		}
		if err := insert(ctx, tx, c.records); err != nil {
			return err
		}
		if err := writeSeals(ctx, tx, db.Dialect(), c.records); err != nil {
			return err
		}
		for _, p := range c.points {
			if _, err := tx.Exec(ctx, "INSERT INTO audit_checkpoints (seq, at, hash, key_id, signature) VALUES (?, ?, ?, ?, ?)",
				p.Seq, database.Micros(p.At), p.Hash, p.KeyID, p.Signature); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, "INSERT INTO site_values (name, value, created_at) VALUES (?, ?, 0)", headName, c.head)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTampering(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		l := newLog(t, db)
		for range 3 {
			for range 3 {
				record(t, l, Entry{Action: "users.write", Group: "site", Object: "users/1", Detail: "given r"})
			}
			sealAll(t, l)
		}
		was := takeCopy(t, db)
		if r := holds(t, l); r.Records != 9 || r.Checkpoints != 3 || r.Last == nil || r.Last.Seq != 9 {
			t.Fatalf("got %+v", r)
		}
		_, foreign, _ := ed25519.GenerateKey(nil)
		other := sign(foreign, 6, was.records[5].Hash, was.points[1].At)
		posing := other
		posing.KeyID = was.points[1].KeyID
		resealed := was.records[4]
		resealed.Detail = "nothing at all"
		resealedHash := digest(&resealed, resealed.Seq, resealed.PrevHash)

		type step = []any // a statement with its arguments
		do := func(steps ...step) []step { return steps }
		type attack struct {
			name  string
			steps []step
			kind  string
			seq   int64
		}
		attacks := []attack{
			{"a record removed", do(step{"DELETE FROM audit_records WHERE seq = 5"}), FaultMissing, 5},
			{"the first removed", do(step{"DELETE FROM audit_records WHERE seq = 1"}), FaultMissing, 1},
			{"the tail removed", do(step{"DELETE FROM audit_records WHERE seq > 6"}), FaultTail, 9},
			{"the tail removed within a batch", do(step{"DELETE FROM audit_records WHERE seq = 9"}), FaultTail, 9},
			{
				"the tail removed with its checkpoint",
				do(step{"DELETE FROM audit_records WHERE seq > 6"}, step{"DELETE FROM audit_checkpoints WHERE seq > 6"}), FaultTail, 6,
			},
			{"all removed", do(step{"DELETE FROM audit_records"}), FaultTail, 9},
			{"all removed with checkpoints", do(step{"DELETE FROM audit_records"}, step{"DELETE FROM audit_checkpoints"}), FaultTail, 0},
			{"the last checkpoint removed", do(step{"DELETE FROM audit_checkpoints WHERE seq = 9"}), FaultTail, 9},
			{"all checkpoints removed", do(step{"DELETE FROM audit_checkpoints"}), FaultTail, 9},
			{"the head removed", do(step{"DELETE FROM site_values WHERE name = ?", headName}), FaultTail, 9},
			{"the head damaged", do(step{"UPDATE site_values SET value = '9 x' WHERE name = ?", headName}), FaultTail, 9},
			{"the head moved", do(step{"UPDATE site_values SET value = ? WHERE name = ?", "10 " + genesis, headName}), FaultTail, 9},
			{"the head for another record", do(step{"UPDATE site_values SET value = ? WHERE name = ?", "9 " + genesis, headName}), FaultTail, 9},
			{
				"two reordered", do(
					step{"UPDATE audit_records SET seq = 99 WHERE seq = 4"},
					step{"UPDATE audit_records SET seq = 4 WHERE seq = 5"},
					step{"UPDATE audit_records SET seq = 5 WHERE seq = 99"},
				), FaultUnlinked, 4,
			},
			{"moved before the beginning", do(step{"UPDATE audit_records SET seq = -3 WHERE seq = 5"}), FaultUnlinked, -3},
			{"made unsealed", do(step{"UPDATE audit_records SET seq = NULL, prev_hash = NULL, hash = NULL WHERE seq = 5"}), FaultMissing, 5},
			{"the hash removed", do(step{"UPDATE audit_records SET hash = NULL WHERE seq = 5"}), FaultAltered, 5},
			{"the link removed", do(step{"UPDATE audit_records SET prev_hash = NULL WHERE seq = 5"}), FaultUnlinked, 5},
			{"altered and hashed anew", do(step{"UPDATE audit_records SET detail = ?, hash = ? WHERE seq = 5", resealed.Detail, resealedHash}), FaultUnlinked, 6},
			{"the whole rest hashed anew", rehash(was.records, 4, "nothing at all"), FaultCheckpoint, 6},
			{"a checkpoint by another key", do(step{"UPDATE audit_checkpoints SET key_id = ?, signature = ? WHERE seq = 6", other.KeyID, other.Signature}), FaultForeignKey, 6},
			{"another key that poses as ours", do(step{"UPDATE audit_checkpoints SET signature = ? WHERE seq = 6", posing.Signature}), FaultCheckpoint, 6},
			{"a checkpoint's hash", do(step{"UPDATE audit_checkpoints SET hash = ? WHERE seq = 6", was.records[4].Hash}), FaultCheckpoint, 6},
			{"a checkpoint's time", do(step{"UPDATE audit_checkpoints SET at = at + 1 WHERE seq = 6"}), FaultCheckpoint, 6},
			{"a checkpoint's place", do(step{"UPDATE audit_checkpoints SET seq = 5 WHERE seq = 6"}), FaultCheckpoint, 5},
			{"a checkpoint's place before all", do(step{"UPDATE audit_checkpoints SET seq = -1 WHERE seq = 6"}), FaultCheckpoint, -1},
			{"a checkpoint's signature", do(step{"UPDATE audit_checkpoints SET signature = ? WHERE seq = 6", base64.StdEncoding.EncodeToString(make([]byte, 64))}), FaultCheckpoint, 6},
			{"rubbish for a signature", do(step{"UPDATE audit_checkpoints SET signature = 'x' WHERE seq = 6"}), FaultCheckpoint, 6},
			{"a checkpoint ahead", do(step{"INSERT INTO audit_checkpoints (seq, at, hash, key_id, signature) SELECT 12, at, hash, key_id, signature FROM audit_checkpoints WHERE seq = 9"}), FaultTail, 12},
		}
		for column := range strings.SplitSeq(columns, ", ") {
			change := column + " = " + column + " || 'x'"
			if column == "at" {
				change = "at = at + 1"
			}
			if column == "id" || column == "rule" || column == "detail" {
				change = column + " = ''"
			}
			attacks = append(attacks, attack{column + " altered", do(step{"UPDATE audit_records SET " + change + " WHERE seq = 5"}), FaultAltered, 5})
		}
		for _, a := range attacks {
			for _, s := range a.steps {
				done, err := db.Exec(t.Context(), s[0].(string), s[1:]...)
				if err != nil {
					t.Fatalf("%s: %v", a.name, err)
				}
				if n, _ := done.RowsAffected(); n == 0 {
					t.Fatalf("%s changes nothing", a.name)
				}
			}
			r, err := l.Verify(t.Context())
			if err != nil {
				t.Fatalf("%s: %v", a.name, err)
			}
			if r.OK || r.First == nil || r.First.Kind != a.kind || r.First.Seq != a.seq {
				t.Errorf("%s: got %+v, want %s at %d", a.name, r.First, a.kind, a.seq)
			}
			was.putBack(t, db)
		}
		holds(t, l)
	})
}

// rehash alters the record at the index and makes the hashes of all that follow
// fit, as somebody would who can write the database but does not have the key.
func rehash(records []Record, index int, detail string) (steps [][]any) {
	prev := records[index].PrevHash
	for i := index; i < len(records); i++ {
		r := records[i]
		if i == index {
			r.Detail = detail
		}
		hash := digest(&r, r.Seq, prev)
		steps = append(steps, []any{"UPDATE audit_records SET detail = ?, prev_hash = ?, hash = ? WHERE seq = ?", r.Detail, prev, hash, r.Seq})
		prev = hash
	}
	return append(steps, []any{"UPDATE site_values SET value = ? WHERE name = ?", head{seq: int64(len(records)), hash: prev}.String(), headName})
}

func TestTheChainGoesOnOverDamage(t *testing.T) {
	t.Parallel()
	l := newLog(t, databasetest.SQLite(t))
	record(t, l, Entry{Object: "a"})
	sealAll(t, l)
	if _, err := l.db.Exec(t.Context(), "DELETE FROM site_values WHERE name = ?", headName); err != nil {
		t.Fatal(err)
	}
	record(t, l, Entry{Object: "b"})
	sealAll(t, l)
	holds(t, l)
}

func TestAnEmptyLogHolds(t *testing.T) {
	t.Parallel()
	l := newLog(t, databasetest.SQLite(t))
	sealAll(t, l)
	if r := holds(t, l); r != (Report{OK: true, At: r.At, Took: r.Took}) {
		t.Errorf("got %+v", r)
	}
	record(t, l, Entry{})
	if r := holds(t, l); r.Unsealed != 1 || r.Records != 0 {
		t.Errorf("got %+v", r)
	}
}

func TestAnotherKeyDoesNotVerify(t *testing.T) {
	t.Parallel()
	l := newLog(t, databasetest.SQLite(t))
	record(t, l, Entry{})
	sealAll(t, l)
	pub, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := VerifyDatabase(t.Context(), l.db, pub)
	if err != nil || r.OK || r.First.Kind != FaultForeignKey {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestDigestTellsEveryDifference(t *testing.T) {
	t.Parallel()
	// The same letters, parted differently among the fields.
	seen := map[string]string{}
	for _, r := range []Record{
		{Caller: "ab"},
		{Caller: "a", CallerID: "b"},
		{CallerID: "ab"},
		{Credential: "ab"},
		{Action: "ab"},
		{Group: "ab"},
		{Object: "ab"},
		{Outcome: "ab"},
		{Rule: "ab"},
		{Detail: "ab"},
		{RequestID: "ab"},
		{Address: "ab"},
		{ID: "ab"},
		{At: database.Time(1)},
		{},
	} {
		for _, seq := range []int64{1, 2} {
			for _, prev := range []string{genesis, "ab"} {
				d := digest(&r, seq, prev)
				what := fmt.Sprintf("%+v %d %s", r, seq, prev)
				if before, twice := seen[d]; twice {
					t.Errorf("%s and %s have the same digest", before, what)
				}
				seen[d] = what
			}
		}
	}
	// The encoding is for ever: a change of it would make every stored chain false.
	r := Record{
		ID: "i", At: database.Time(1), Caller: "a", CallerID: "b", Credential: "c", Action: "d", Group: "e",
		Object: "f", Outcome: "g", Rule: "h", Detail: "i", RequestID: "j", Address: "k",
	}
	if got, want := digest(&r, 7, genesis), "a803c4682359897ce3a703c2999d7a81dd565603ca40d366b4915532ffeef517"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestVerifiedIsSharedAndKept(t *testing.T) {
	t.Parallel()
	db := databasetest.SQLite(t)
	quiet := slog.New(slog.DiscardHandler)
	at := time.Now()
	l := New(db, work.NewQueue(db, nil, time.Now, quiet), testKey(), func() time.Time { return at }, quiet)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); l.verified.run(ctx, l) }()

	first := l.Verified(t.Context())
	if first.Running || first.Report == nil || !first.Report.OK {
		t.Fatalf("got %+v", first)
	}
	record(t, l, Entry{})
	if again := l.Verified(t.Context()); again.Report != first.Report {
		t.Errorf("a fresh verification was not kept: %+v", again)
	}
	at = at.Add(verifiedFor)
	if later := l.Verified(t.Context()); later.Report.Unsealed != 1 {
		t.Errorf("an old verification was kept: %+v", later.Report)
	}
	stop()
	<-ended
	at = at.Add(verifiedFor)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if v := l.Verified(gone); !v.Running || v.Report == nil {
		t.Errorf("whoever does not wait gets %+v", v)
	}
}
