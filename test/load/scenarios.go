package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"
)

// pattern repeats a block of random bytes without end; nothing on the way can pack it.
type pattern struct {
	block []byte
	at    int
}

func newPattern(withLineFeeds bool) *pattern {
	block := make([]byte, 1<<20)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(block)
	if !withLineFeeds {
		block = bytes.ReplaceAll(block, []byte("\n"), []byte("x"))
	}
	return &pattern{block: block}
}

func (p *pattern) Read(to []byte) (int, error) {
	n := copy(to, p.block[p.at:])
	p.at = (p.at + n) % len(p.block)
	return n, nil
}

func (b *bench) small(ctx context.Context) error {
	t := b.table(fmt.Sprintf("Objects of %s", size(b.o.small)), "request", "connections", "requests", "requests/s", "p50", "p99", "MB/s", "CPU/request", "RSS")
	content := make([]byte, b.o.small)
	_, _ = newPattern(true).Read(content)
	for _, n := range b.connections {
		for _, kind := range []string{"put", "get"} {
			m, err := b.smallRequests(ctx, kind, n, content, b.o.count, b.o.duration)
			if err != nil {
				return fmt.Errorf("%s at %d connections: %w", kind, n, err)
			}
			t.row(kind, n, m.n, fmt.Sprintf("%.0f", m.rate()), ms(m.p50), ms(m.p99), speed(m.bytes, m.took), b.perRequest(m), b.memory(m.usage))
		}
	}
	return nil
}

func (b *bench) smallRequests(ctx context.Context, kind string, connections int, content []byte, count int, limit time.Duration) (measured, error) {
	return b.drive(ctx, connections, count, limit, int64(len(content)), func(ctx context.Context, buffer []byte) error {
		if kind == "get" {
			b.mu.Lock()
			id := b.ids[rand.IntN(len(b.ids))]
			b.mu.Unlock()
			return b.get(ctx, id, b.o.small, buffer)
		}
		id, err := b.put(ctx, int64(len(content)), bytes.NewReader(content))
		if err == nil && int64(len(content)) == b.o.small {
			b.mu.Lock()
			b.ids = append(b.ids, id)
			b.mu.Unlock()
		}
		return err
	})
}

// one measures a single transfer.
func (b *bench) one(bytes int64, transfer func() error) (measured, error) {
	used := b.process.watch()
	start := time.Now()
	err := transfer()
	took := time.Since(start)
	return measured{n: 1, bytes: bytes, took: took, usage: used()}, err
}

// large alternates Lodge and the plain tools, so that both meet the same disk.
func (b *bench) large(ctx context.Context) error {
	const rounds = 3
	t := b.table(fmt.Sprintf("One object of %s, best of %d", size(b.o.large), rounds), "transfer", "MB/s", "of the plain tool", "CPU", "RSS at its highest")
	disk := newDisk(b.o.folder, b.o.data)
	defer disk.clean()
	var put, get, dd, cat measured
	for range rounds {
		m, err := b.one(b.o.large, func() error { return disk.write(ctx, b.o.large) })
		if err != nil {
			return err
		}
		dd = best(dd, m)
		var id string
		if m, err = b.one(b.o.large, func() (err error) { id, err = b.put(ctx, b.o.large, newPattern(true)); return err }); err != nil {
			return err
		}
		put = best(put, m)
		disk.forget()
		if m, err = b.one(b.o.large, func() error { return disk.read(ctx) }); err != nil {
			return err
		}
		cat = best(cat, m)
		disk.forget()
		if m, err = b.one(b.o.large, func() error { return b.get(ctx, id, b.o.large, make([]byte, 1<<20)) }); err != nil {
			return err
		}
		get = best(get, m)
	}
	t.row("dd conv=fsync", speed(dd.bytes, dd.took), "", "", "")
	t.row("put", speed(put.bytes, put.took), ratio(put, dd), b.cpu(put), b.memory(put.usage))
	t.row("cat", speed(cat.bytes, cat.took), "", "", "")
	t.row("get", speed(get.bytes, get.took), ratio(get, cat), b.cpu(get), b.memory(get.usage))
	if b.o.data == "" {
		t.note("Read from the page cache: the server's data folder was not given.")
	}
	return nil
}

func best(a, b measured) measured {
	if a.took == 0 || b.took < a.took {
		return b
	}
	return a
}

func (b *bench) downloads(ctx context.Context) error {
	t := b.table(fmt.Sprintf("Downloads of %s", size(b.o.medium)), "content", "MB/s", "CPU", "RSS before", "RSS at its highest")
	for _, kind := range []struct {
		name      string
		lineFeeds bool
	}{{"random bytes", true}, {"no line feed", false}} {
		id, err := b.put(ctx, b.o.medium, newPattern(kind.lineFeeds))
		if err != nil {
			return err
		}
		m, err := b.one(b.o.medium, func() error { return b.get(ctx, id, b.o.medium, make([]byte, 1<<20)) })
		if err != nil {
			return err
		}
		t.row(kind.name, speed(m.bytes, m.took), b.cpu(m), mib(m.usage.rssAtStart), mib(m.usage.peak))
	}
	return nil
}

// growth fills the store with tiny objects and measures the small requests on the way. What it
// does not reach in its time it says.
func (b *bench) growth(ctx context.Context) error {
	steps, err := numbers(b.o.objects)
	if err != nil {
		return err
	}
	const connections = 16
	t := b.table(fmt.Sprintf("With more stored objects, %s at %d connections", size(b.o.small), connections),
		"objects", "put/s", "p99", "of the first", "get/s", "p99", "of the first", "RSS")
	deadline := time.Now().Add(b.o.growthTime)
	content := make([]byte, b.o.small)
	_, _ = newPattern(true).Read(content)
	stored := len(b.ids)
	var first [2]float64
	for _, want := range steps {
		if missing := want - stored; missing > 0 {
			left := time.Until(deadline)
			_, _ = fmt.Fprintf(b.progress, "load: growth: %d more objects\n", missing)
			m, err := b.smallRequests(ctx, "put", connections, []byte("tiny"), max(1, missing-connections), left)
			if err != nil {
				return err
			}
			stored += m.n + connections
			if stored < want {
				t.note("%d objects were not reached within %v: %d were.", want, b.o.growthTime, stored)
				return nil
			}
		}
		put, err := b.smallRequests(ctx, "put", connections, content, b.o.count/4, b.o.duration)
		if err != nil {
			return err
		}
		get, err := b.smallRequests(ctx, "get", connections, content, b.o.count, b.o.duration)
		if err != nil {
			return err
		}
		if first[0] == 0 {
			first = [2]float64{put.rate(), get.rate()}
		}
		t.row(stored, fmt.Sprintf("%.0f", put.rate()), ms(put.p99), fmt.Sprintf("%.2f", put.rate()/first[0]),
			fmt.Sprintf("%.0f", get.rate()), ms(get.p99), fmt.Sprintf("%.2f", get.rate()/first[1]), b.memory(get.usage))
		stored += put.n + connections
	}
	return nil
}

// table is a Markdown table that is printed as it grows.
type table struct{ out io.Writer }

func (b *bench) table(title string, columns ...string) table {
	t := table{b.out}
	_, _ = fmt.Fprintf(t.out, "\n### %s\n\n| %s |\n|%s\n", title, strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	return t
}

func (t table) row(cells ...any) {
	_, _ = fmt.Fprint(t.out, "|")
	for _, c := range cells {
		_, _ = fmt.Fprintf(t.out, " %v |", c)
	}
	_, _ = fmt.Fprintln(t.out)
}

func (t table) note(format string, args ...any) {
	_, _ = fmt.Fprintf(t.out, "\n"+format+"\n", args...)
}

func (b *bench) perRequest(m measured) string {
	if b.o.pid == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f ms", float64(m.usage.cpu.Microseconds())/1000/float64(m.n))
}

func (b *bench) cpu(m measured) string {
	if b.o.pid == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f s", m.usage.cpu.Seconds())
}

func (b *bench) memory(u usage) string {
	if b.o.pid == 0 {
		return "–"
	}
	return mib(u.peak)
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
func mib(n int64) string        { return fmt.Sprintf("%d MiB", n>>20) }

func speed(bytes int64, took time.Duration) string {
	return fmt.Sprintf("%.0f", float64(bytes)/1e6/took.Seconds())
}

func ratio(a, b measured) string { return fmt.Sprintf("%.2f", b.took.Seconds()/a.took.Seconds()) }

func size(n int64) string {
	switch {
	case n >= 1<<30 && n%(1<<30) == 0:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1_000_000 && n%1_000_000 == 0:
		return fmt.Sprintf("%d MB", n/1_000_000)
	case n >= 1<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	default:
		return fmt.Sprintf("%d bytes", n)
	}
}
