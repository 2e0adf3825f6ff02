package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// bench drives the server and prints.
type bench struct {
	o             options
	out, progress io.Writer
	connections   []int
	process       process
	http          *http.Client

	mu  sync.Mutex
	ids []string // of the small objects that are stored
}

func (b *bench) ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.o.server+b.o.prefix+"/healthz", nil)
	if err != nil {
		return err
	}
	resp, err := b.http.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", req.URL, resp.Status)
	}
	return nil
}

// put stores size bytes of body as a local result and gives its id.
func (b *bench) put(ctx context.Context, size int64, body io.Reader) (string, error) {
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	if _, err := w.CreateFormFile("file", "load.bin"); err != nil {
		return "", err
	}
	head := form.String()
	form.Reset()
	if err := w.Close(); err != nil {
		return "", err
	}
	tail := form.String()
	all := io.MultiReader(strings.NewReader(head), io.LimitReader(body, size), strings.NewReader(tail))
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, b.o.server+b.o.prefix+"/local/", all)
	if err != nil {
		return "", err
	}
	req.ContentLength = int64(len(head)) + size + int64(len(tail))
	req.Header.Set("Content-Type", w.FormDataContentType())
	req.Header.Set("Authorization", "Bearer "+b.o.token)
	resp, err := b.http.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return "", err
	}
	var in struct {
		URL string `json:"url"`
	}
	if resp.StatusCode != http.StatusOK || json.Unmarshal(answer, &in) != nil || in.URL == "" {
		return "", fmt.Errorf("put answered %s: %.200s", resp.Status, answer)
	}
	return in.URL[strings.LastIndexByte(in.URL, '/')+1:], nil
}

// get reads a local result and throws it away.
func (b *bench) get(ctx context.Context, id string, size int64, buffer []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.o.server+b.o.prefix+"/local/"+id, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+b.o.token)
	resp, err := b.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	// io.Discard would read in pieces of its own size, however large the buffer is.
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{resp.Body}, buffer)
	if err == nil && (resp.StatusCode != http.StatusOK || n != size) {
		err = fmt.Errorf("get answered %s with %d of %d bytes", resp.Status, n, size)
	}
	return err
}

// measured is the outcome of many requests.
type measured struct {
	n        int
	bytes    int64
	took     time.Duration
	p50, p99 time.Duration
	usage    usage
}

func (m measured) rate() float64 { return float64(m.n) / m.took.Seconds() }

// drive makes requests over n connections until the count or the time is used up. Each connection
// makes one request first that is not counted.
func (b *bench) drive(ctx context.Context, connections, count int, limit time.Duration, size int64, request func(ctx context.Context, buffer []byte) error) (measured, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		all     sync.WaitGroup
		warm    sync.WaitGroup
		next    atomic.Int64
		begin   = make(chan struct{})
		stop    atomic.Bool
		mu      sync.Mutex
		times   []time.Duration
		failure error
	)
	fail := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if failure == nil {
			failure = err
		}
		cancel(err)
	}
	warm.Add(connections)
	for range connections {
		all.Go(func() {
			buffer := make([]byte, 256<<10)
			err := request(ctx, buffer)
			warm.Done()
			if err != nil {
				fail(err)
				return
			}
			<-begin
			var mine []time.Duration
			for !stop.Load() && next.Add(1) <= int64(count) {
				start := time.Now()
				if err := request(ctx, buffer); err != nil {
					fail(err)
					return
				}
				mine = append(mine, time.Since(start))
			}
			mu.Lock()
			times = append(times, mine...)
			mu.Unlock()
		})
	}
	warm.Wait()
	timer := time.AfterFunc(limit, func() { stop.Store(true) })
	defer timer.Stop()
	used := b.process.watch()
	start := time.Now()
	close(begin)
	all.Wait()
	m := measured{n: len(times), bytes: int64(len(times)) * size, took: time.Since(start), usage: used()}
	if failure != nil {
		return m, failure
	}
	if m.n == 0 {
		return m, fmt.Errorf("not one request ended within %v", limit)
	}
	slices.Sort(times)
	m.p50, m.p99 = times[len(times)/2], times[len(times)*99/100]
	return m, nil
}
