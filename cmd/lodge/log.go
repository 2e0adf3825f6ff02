package main

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

// How much of the access log waits to be written, and for how long.
const (
	pendingLog  = 64 << 10
	pendingTime = 100 * time.Millisecond
)

// lines collects lines of a log, so that a busy server does not ask the kernel for each.
type lines struct {
	mu      sync.Mutex
	out     *bufio.Writer
	waiting bool
}

func newLines(to io.Writer) *lines { return &lines{out: bufio.NewWriterSize(to, pendingLog)} }

// Write implements io.Writer. What it takes is written a moment later at the latest.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.waiting {
		l.waiting = true
		time.AfterFunc(pendingTime, l.flush)
	}
	return l.out.Write(p)
}

func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = false
	_ = l.out.Flush() // there is nowhere to say that a log cannot be written
}

// patient lets lines of the access log wait, and nothing else: what explains why a server ended must
// not end with it.
type patient struct {
	slog.Handler
	lines *lines
}

// Handle implements slog.Handler.
func (p *patient) Handle(ctx context.Context, r slog.Record) error {
	err := p.Handler.Handle(ctx, r)
	if r.Message != "request" || r.Level > slog.LevelInfo {
		p.lines.flush()
	}
	return err
}

// WithAttrs implements slog.Handler.
func (p *patient) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &patient{p.Handler.WithAttrs(attrs), p.lines}
}

// WithGroup implements slog.Handler.
func (p *patient) WithGroup(name string) slog.Handler {
	return &patient{p.Handler.WithGroup(name), p.lines}
}
