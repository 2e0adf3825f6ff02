package audit

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"lodge/internal/access"
	"lodge/internal/database"
	"lodge/internal/database/databasetest"
	"lodge/internal/httpapi"
	"lodge/internal/work"
)

// testKey is the same in every test, so that two logs can share a database.
func testKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte("a seed of exactly 32 bytes, yes."))
}

func newLog(t testing.TB, db *database.DB) *Log {
	quiet := slog.New(slog.DiscardHandler)
	return New(db, work.NewQueue(db, nil, time.Now, quiet), testKey(), time.Now, quiet)
}

func someone(ctx context.Context) context.Context {
	ctx = httpapi.WithRequest(ctx, "request-1", "192.0.2.7")
	return access.WithDecision(access.WithCaller(ctx, &access.Caller{
		Issuer: "https://issuer", Subject: "ann", Name: "Ann", Credential: access.Credential{Kind: "session", ID: "5f0c"},
	}), access.Decision{Allowed: true, Rule: "role keeper on site"})
}

// record writes one record in a transaction of its own.
func record(t testing.TB, l *Log, e Entry) {
	t.Helper()
	if err := write(someone(t.Context()), l, e); err != nil {
		t.Fatal(err)
	}
}

func write(ctx context.Context, l *Log, e Entry) error {
	return l.db.Tx(ctx, func(tx *database.Tx) error { return l.Record(ctx, tx, e) })
}

func sealAll(t testing.TB, l *Log) {
	t.Helper()
	for {
		n, err := l.seal(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

func all(t testing.TB, l *Log) []Record {
	t.Helper()
	var list []Record
	if err := l.Stream(t.Context(), Filter{}, func(r Record) error { list = append(list, r); return nil }); err != nil {
		t.Fatal(err)
	}
	return list
}

// holds verifies the chain and gives the report.
func holds(t testing.TB, l *Log) Report {
	t.Helper()
	r, err := l.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK {
		t.Errorf("the chain does not hold: %+v, first %+v", r, r.First)
	}
	return r
}

func TestARecordSaysWhoDidWhat(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		l := newLog(t, db)
		before := time.Now().Truncate(time.Microsecond)
		record(t, l, Entry{Action: "users.write", Group: "site", Object: "users/1", Detail: "made administrator"})
		if err := l.Refused(t.Context(), Entry{Action: "audit.read", Group: "site", Object: "GET /api/v1/audit", Rule: "nobody"}); err != nil {
			t.Fatal(err)
		}
		list := all(t, l)
		if len(list) != 2 {
			t.Fatalf("%d records", len(list))
		}
		changed, refused := list[1], list[0]
		if changed.At.Before(before) || changed.ID == "" || changed.ID == refused.ID {
			t.Errorf("got %+v", changed)
		}
		changed.ID, changed.At, refused.ID, refused.At = "", time.Time{}, "", time.Time{}
		if want := (Record{
			Caller: "Ann", CallerID: "https://issuer|ann", Credential: "session:5f0c", Action: "users.write", Group: "site", Object: "users/1",
			Outcome: Allowed, Rule: "role keeper on site", Detail: "made administrator", RequestID: "request-1", Address: "192.0.2.7",
		}); changed != want {
			t.Errorf("got %+v\nwant %+v", changed, want)
		}
		if want := (Record{
			Caller: "nobody", Action: "audit.read", Group: "site", Object: "GET /api/v1/audit", Outcome: Denied, Rule: "nobody",
		}); refused != want {
			t.Errorf("got %+v\nwant %+v", refused, want)
		}
	})
}

func TestAnUndoneChangeLeavesNoRecord(t *testing.T) {
	t.Parallel()
	l := newLog(t, databasetest.SQLite(t))
	err := l.db.Tx(t.Context(), func(tx *database.Tx) error {
		if err := l.Record(t.Context(), tx, Entry{Action: "a"}); err != nil {
			return err
		}
		return context.Canceled
	})
	if err == nil || len(all(t, l)) != 0 {
		t.Error("the record of an undone change stayed")
	}
}

// Whatever a caller sends can be stored, sealed and verified on every database.
func TestHostileTextsAreKept(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		l := newLog(t, db)
		for _, text := range hostile() {
			ctx := httpapi.WithRequest(t.Context(), text, text)
			ctx = access.WithCaller(ctx, &access.Caller{Issuer: text, Subject: text, Name: text, Credential: access.Credential{Kind: text, ID: text}})
			if err := write(ctx, l, Entry{text, text, text, text, text, text}); err != nil {
				t.Errorf("%.40q: %v", text, err)
			}
			if err := l.Refused(ctx, Entry{Action: text, Detail: text}); err != nil {
				t.Errorf("%.40q refused: %v", text, err)
			}
		}
		sealAll(t, l)
		if r := holds(t, l); r.Records != int64(2*len(hostile())) || r.Unsealed != 0 {
			t.Errorf("got %+v", r)
		}
	})
}

func hostile() []string {
	return []string{
		"", " ", "a ", "\x00", "a\x00b", "\xff\xfe", "\xed\xa0\x80", "'; DROP TABLE audit_records; --", `\`, `\'`, "%_!", "?", "$1",
		"=cmd|'/C calc'!A0", "\u202egnp.exe", "line\r\nbreak", "\x1b[2J", "𝄞🙂", "e\u0301", "\ufeff", "\U0010ffff",
		strings.Repeat("x", 100_000), strings.Repeat("🙂", 5000), strings.Repeat("\xff", 9000),
	}
}

func TestFit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text  string
		limit int
		want  string
	}{
		{"", 3, ""},
		{"abc", 3, "abc"},
		{"abcd", 3, "ab…"},
		{"äöü", 3, "äöü"},
		{"äöüß", 3, "äö…"},
		{"🙂🙂", 1, "…"},
		{"a\x00b", 9, "a\ufffdb"},
		{"a\xffb", 9, "a\ufffdb"},
	} {
		if got := fit(c.text, c.limit); got != c.want {
			t.Errorf("fit(%q, %d) is %q, want %q", c.text, c.limit, got, c.want)
		}
	}
}

func FuzzFit(f *testing.F) {
	for _, text := range hostile() {
		f.Add(text[:min(len(text), 100)], 10)
	}
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = 1 + max(limit, -limit)%600
		got := fit(text, limit)
		if !utf8.ValidString(got) || strings.ContainsRune(got, 0) || utf8.RuneCountInString(got) > limit {
			t.Errorf("fit(%q, %d) is %q", text, limit, got)
		}
		if fit(got, limit) != got {
			t.Errorf("fitting %q twice is %q", text, fit(got, limit))
		}
	})
}

func TestManyWritersWhileSealing(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		l := newLog(t, db)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- l.Run(ctx) }()
		// A second sealer that believes to hold the lease as well, and a reader who must see no false fault.
		var others sync.WaitGroup
		others.Go(func() {
			for ctx.Err() == nil {
				if _, err := l.seal(ctx); err != nil && ctx.Err() == nil {
					t.Errorf("second sealer: %v", err)
				}
			}
		})
		others.Go(func() {
			for ctx.Err() == nil {
				if r, err := l.Verify(ctx); err == nil && !r.OK {
					t.Errorf("a fault while sealing: %+v", r.First)
				}
			}
		})
		const writers, each = 200, 5
		var wait sync.WaitGroup
		for i := range writers {
			wait.Go(func() {
				for n := range each {
					var err error
					if i%4 == 0 {
						err = l.Refused(someone(t.Context()), Entry{Action: "a", Object: fmt.Sprint(i, " ", n)})
					} else {
						err = write(someone(t.Context()), l, Entry{Action: "a", Object: fmt.Sprint(i, " ", n)})
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wait.Wait()
		for deadline := time.Now().Add(30 * time.Second); ; {
			r, err := l.Verify(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if r.Unsealed == 0 && r.Records == writers*each {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("not all were sealed: %+v", r)
			}
		}
		stop()
		others.Wait()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		holds(t, l)
		var places []int64
		for _, r := range all(t, l) {
			places = append(places, r.Seq)
		}
		slices.Sort(places)
		for i, p := range places {
			if p != int64(i+1) {
				t.Fatalf("place %d is %d", i+1, p)
			}
		}
	})
}

// A transaction that began early and commits late is sealed when it is there;
// nobody waits for it.
func TestALateCommitIsSealedLater(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		if db.Dialect() == database.SQLite {
			return // it has one writer, so that nothing can begin early and commit late
		}
		l := newLog(t, db)
		err := db.Tx(t.Context(), func(tx *database.Tx) error {
			if err := l.Record(t.Context(), tx, Entry{Object: "late"}); err != nil {
				return err
			}
			record(t, l, Entry{Object: "early"})
			sealAll(t, l)
			if r := holds(t, l); r.Records != 1 || r.Unsealed != 0 {
				t.Errorf("got %+v", r)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		sealAll(t, l)
		if r := holds(t, l); r.Records != 2 || r.Checkpoints != 2 {
			t.Errorf("got %+v", r)
		}
	})
}

func TestSealersThatDieLeaveNothingHalfDone(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		l := newLog(t, db)
		for i := range sealBatch + 50 {
			record(t, l, Entry{Object: fmt.Sprint(i)})
		}
		for n := range 40 {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, _ = l.seal(ctx) // it may fail or not; what counts is what is left behind
			}()
			select {
			case <-done:
			case <-time.After(time.Duration(n) * 200 * time.Microsecond):
			}
			cancel()
			<-done
			holds(t, l)
		}
		sealAll(t, l)
		if r := holds(t, l); r.Records != sealBatch+50 || r.Unsealed != 0 {
			t.Errorf("got %+v", r)
		}
		// Every record has its place in the order in which it was written.
		list := all(t, l)
		for i, r := range list {
			if want := int64(len(list) - i); r.Seq != want || r.Object != fmt.Sprint(want-1) {
				t.Fatalf("record %s stands at %d, want %d", r.Object, r.Seq, want)
			}
		}
	})
}

func TestTwoSealersAtTheSameTime(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		a, b := newLog(t, db), newLog(t, db)
		for range 10 {
			for i := range 30 {
				record(t, a, Entry{Object: fmt.Sprint(i)})
			}
			var wait sync.WaitGroup
			for _, l := range []*Log{a, b} {
				wait.Go(func() {
					if _, err := l.seal(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			wait.Wait()
		}
		sealAll(t, a)
		if r := holds(t, b); r.Records != 300 || r.Unsealed != 0 {
			t.Errorf("got %+v", r)
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	l := newLog(b, databasetest.SQLite(b))
	ctx := someone(b.Context())
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprint(writers, " at a time"), func(b *testing.B) {
			b.SetParallelism(writers)
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if err := write(ctx, l, Entry{Action: "users.write", Group: "site", Object: "users/1", Detail: "given r"}); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

func BenchmarkRefused(b *testing.B) {
	l := newLog(b, databasetest.SQLite(b))
	ctx := someone(b.Context())
	b.SetParallelism(64)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if err := l.Refused(ctx, Entry{Action: "users.write", Group: "site"}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSealAndVerify(b *testing.B) {
	l := newLog(b, databasetest.SQLite(b))
	ctx := someone(b.Context())
	fill := func(n int) {
		list := make([]Record, n)
		for i := range list {
			list[i], _ = l.fill(ctx, Entry{Action: "users.write", Group: "site", Object: fmt.Sprint("users/", i)})
		}
		for chunk := range slices.Chunk(list, 500) {
			if err := l.writeAll(ctx, chunk); err != nil {
				b.Fatal(err)
			}
		}
	}
	fill(20_000)
	b.Run("seal", func(b *testing.B) {
		records := 0
		for b.Loop() {
			n, err := l.seal(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			if records += n; n < sealRead {
				b.StopTimer()
				fill(20_000)
				b.StartTimer()
			}
		}
		b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "records/s")
	})
	sealAll(b, l)
	b.Run("verify", func(b *testing.B) {
		var records int64
		for b.Loop() {
			r, err := l.Verify(b.Context())
			if err != nil || !r.OK {
				b.Fatal(err, r)
			}
			records += r.Records
		}
		b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "records/s")
	})
}
