package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"lodge/internal/database"
	"lodge/internal/fault"
)

const (
	// sealBatch bounds what one transaction seals: on SQLite, others wait that long.
	sealBatch = 200
	// sealRead bounds what is read at once and held in memory.
	sealRead = 10 * sealBatch
	// sealPause is how often the sealer looks for new records; they are sealed within a second.
	sealPause = 300 * time.Millisecond
	sealLease = 10 * time.Second
	// headName is the row of site_values with the end of the chain. Comparing and
	// setting it lets one sealer at a time succeed, also when two believe that they hold the lease.
	headName = "audit.head"
)

var errOvertaken = errors.New("another sealer was faster")

// Run seals new records on one replica at a time, and verifies the chain on this
// one when somebody asks. It ends with the context.
func (l *Log) Run(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.verified.run(ctx, l)
	}()
	err := l.queue.Lease("audit.sealer", sealLease).Run(ctx, l.sealer)
	<-done
	return err
}

// sealer seals as long as it holds the lease. Records that nobody could seal
// wait; nobody waits for them.
func (l *Log) sealer(ctx context.Context) error {
	tick := time.NewTicker(sealPause)
	defer tick.Stop()
	well := true
	for {
		n, err := l.seal(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if (err == nil) != well {
			if well = err == nil; well {
				l.log.Info("audit records are sealed again")
			} else {
				l.log.Error("audit records cannot be sealed; they wait", "error", err)
			}
		}
		if err == nil && n == sealRead {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// head is the end of the chain. stored is how the row says it, "" for no row.
type head struct {
	seq    int64
	hash   string
	stored string
}

func (h head) String() string { return strconv.FormatInt(h.seq, 10) + " " + h.hash }

// readHead finds the end of the chain. Should its row be missing, the last
// record tells; Verify tells that the row is missing.
func readHead(ctx context.Context, q database.Querier) (head, error) {
	var stored string
	err := q.QueryRow(ctx, "SELECT value FROM site_values WHERE name = ?", headName).Scan(&stored)
	if err == nil {
		return parseHead(stored)
	}
	if !isNone(err) {
		return head{}, fmt.Errorf("read the end of the audit chain: %w", err)
	}
	h := head{hash: genesis}
	var hash sql.NullString
	err = q.QueryRow(ctx, "SELECT seq, hash FROM audit_records WHERE seq IS NOT NULL ORDER BY seq DESC LIMIT 1").Scan(&h.seq, &hash)
	if isNone(err) {
		return h, nil
	}
	h.hash = hash.String
	return h, err
}

func parseHead(stored string) (head, error) {
	seq, hash, _ := strings.Cut(stored, " ")
	n, err := strconv.ParseInt(seq, 10, 64)
	if err != nil || len(hash) != len(genesis) {
		return head{}, fault.New(fault.Internal, "the stored end of the audit chain, %q, is damaged", stored)
	}
	return head{seq: n, hash: hash, stored: stored}, nil
}

// seal binds up to sealRead new records to the end of the chain, and returns how
// many were. Everything is read before anything is written: new records never
// change, and the head tells whether another sealer came between.
func (l *Log) seal(ctx context.Context) (int, error) {
	// The head first: whatever another sealer seals after this reading makes its row differ.
	end, err := readHead(ctx, l.db)
	if err != nil {
		return 0, err
	}
	records, err := read(ctx, l.db, "WHERE seq IS NULL ORDER BY at, id LIMIT ?", sealRead)
	if err != nil {
		return 0, fmt.Errorf("read new audit records: %w", err)
	}
	sealed := 0
	for batch := range slices.Chunk(records, sealBatch) {
		next, err := l.sealBatch(ctx, end, batch)
		if errors.Is(err, errOvertaken) || end.stored == "" && database.IsDuplicate(err) {
			return sealed, nil
		}
		if err != nil {
			return sealed, fmt.Errorf("seal audit records: %w", err)
		}
		sealed += len(batch)
		end = next
	}
	return sealed, nil
}

// sealBatch seals records and signs the new end of the chain, in one transaction.
func (l *Log) sealBatch(ctx context.Context, from head, records []Record) (head, error) {
	to := head{seq: from.seq, hash: from.hash}
	for i := range records {
		r := &records[i]
		r.Seq, r.PrevHash, r.Hash = to.seq+1, to.hash, digest(r, to.seq+1, to.hash)
		to.seq, to.hash = r.Seq, r.Hash
	}
	to.stored = to.String()
	point := sign(l.key, to.seq, to.hash, database.Time(database.Micros(l.now())))
	return to, l.db.Tx(ctx, func(tx *database.Tx) error {
		if err := moveHead(ctx, tx, from, to, database.Micros(point.At)); err != nil {
			return err
		}
		if err := writeSeals(ctx, tx, l.db.Dialect(), records); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "INSERT INTO audit_checkpoints (seq, at, hash, key_id, signature) VALUES (?, ?, ?, ?, ?)",
			point.Seq, database.Micros(point.At), point.Hash, point.KeyID, point.Signature)
		return err
	})
}

// moveHead claims the end of the chain for this transaction.
func moveHead(ctx context.Context, tx *database.Tx, from, to head, now int64) error {
	if from.stored == "" {
		_, err := tx.Exec(ctx, "INSERT INTO site_values (name, value, created_at) VALUES (?, ?, ?)", headName, to.String(), now)
		return err
	}
	done, err := tx.Exec(ctx, "UPDATE site_values SET value = ? WHERE name = ? AND value = ?", to.String(), headName, from.stored)
	if err != nil {
		return err
	}
	n, err := done.RowsAffected()
	if err == nil && n != 1 {
		err = errOvertaken
	}
	return err
}

// sealChunk is how many records one statement seals.
const sealChunk = 50

// writeSeals writes place and hashes of all records, a chunk a statement. The
// rows are found by their key alone: so no database locks a range that writers insert into.
func writeSeals(ctx context.Context, tx *database.Tx, d database.Dialect, records []Record) error {
	number := "BIGINT"
	if d == database.MySQL {
		number = "SIGNED"
	}
	for len(records) > 0 {
		chunk := records[:min(sealChunk, len(records))]
		records = records[len(chunk):]
		var places strings.Builder
		texts := strings.Repeat(" WHEN ? THEN ?", len(chunk))
		args := []any{chunk[0].Seq}
		prevs, hashes, ids := make([]any, 0, 2*len(chunk)), make([]any, 0, 2*len(chunk)), make([]any, 0, len(chunk))
		for i, r := range chunk {
			// The places follow one another, so that the same statement serves every chunk of this size.
			places.WriteString(" WHEN ? THEN " + strconv.Itoa(i))
			args = append(args, r.ID)
			prevs, hashes, ids = append(prevs, r.ID, r.PrevHash), append(hashes, r.ID, r.Hash), append(ids, r.ID)
		}
		args = append(append(append(args, prevs...), hashes...), ids...)
		done, err := tx.Exec(ctx, "UPDATE audit_records SET seq = CAST(? AS "+number+") + CASE id"+places.String()+" END,"+
			" prev_hash = CASE id"+texts+" END, hash = CASE id"+texts+" END"+
			" WHERE id IN (?"+strings.Repeat(", ?", len(chunk)-1)+")", args...)
		if err != nil {
			return err
		}
		n, err := done.RowsAffected()
		if err != nil {
			return err
		}
		if int(n) != len(chunk) {
			return fmt.Errorf("%d of %d audit records are gone before they were sealed", len(chunk)-int(n), len(chunk))
		}
	}
	return nil
}
