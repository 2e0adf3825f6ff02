package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// process is the server as /proc shows it. Without a pid it knows nothing and says so with zeros.
type process struct{ pid int }

// tick is what /proc/PID/stat counts in; it is 100 Hz on every Linux that we know.
const tick = 10 * time.Millisecond

// cpu is the processor time that the server has used until now.
func (p process) cpu() time.Duration {
	body, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if p.pid == 0 || err != nil {
		return 0
	}
	// The name in brackets may hold spaces: count from its end.
	text := string(body)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick
}

// rss is the server's resident memory in bytes.
func (p process) rss() int64 {
	body, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.pid))
	if p.pid == 0 || err != nil {
		return 0
	}
	fields := strings.Fields(string(body))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// usage is what a measurement cost the server.
type usage struct {
	cpu        time.Duration
	rss, peak  int64
	rssAtStart int64
}

// watch samples the server until the returned function is called.
func (p process) watch() (stop func() usage) {
	begun, start := p.cpu(), p.rss()
	peak := start
	done := make(chan struct{})
	var all sync.WaitGroup
	if p.pid != 0 {
		all.Go(func() {
			t := time.NewTicker(100 * time.Millisecond)
			defer t.Stop()
			for {
				select {
				case <-t.C:
					peak = max(peak, p.rss())
				case <-done:
					return
				}
			}
		})
	}
	return func() usage {
		close(done)
		all.Wait()
		now := p.rss()
		return usage{cpu: p.cpu() - begun, rss: now, peak: max(peak, now), rssAtStart: start}
	}
}
