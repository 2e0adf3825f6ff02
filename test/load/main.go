// Command load is the load program behind `make bench`: it drives a running
// Lodge over loopback and prints what it measured as Markdown tables. Every
// scenario is bounded in time and in the number of objects.
//
//	go run ./test/load --server http://127.0.0.1:8080 --token "$T" --pid "$PID" --data DIR
//
// Scenarios:
//
//	small      64 KiB put and get at 1, 16 and 64 connections
//	large      1 GiB put and get, beside dd conv=fsync and cat in the same folder
//	downloads  200 MB of random bytes and of bytes without a line feed
//	growth     the same small requests with 10^3, 10^4 and 10^5 stored objects
//	s3         1 GiB put and get, beside the S3 client going directly (needs --s3-*)
//	ingest     task updates from adapters to subscribers, until they take too long
//	robots     one fleet of 100 robots, watched by all subscribers
//	site       1,000 robots, watched by all subscribers, for long
//	tasks      queries over 100,000 tasks
//	cheap      the cheapest call with a login
//	proxy      small and large answers and sockets of an app, beside other proxies
//
// `load backend PORT` is the app behind the proxies, `load bare ADDRESS URL` a bare proxy.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"
)

type options struct {
	server, prefix, token string
	pid                   int
	data, folder          string
	scenarios             string
	connections           string
	duration              time.Duration
	count                 int
	small, large, medium  int64
	objects               string
	growthTime            time.Duration
	s3                    s3Options
	fleet                 fleetOptions
	proxy                 proxyOptions
}

func parse(args []string, errw io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	f.SetOutput(errw)
	f.StringVar(&o.server, "server", "http://127.0.0.1:8080", "address of a running Lodge, on loopback")
	f.StringVar(&o.prefix, "prefix", "/results", "where its results part is")
	f.StringVar(&o.token, "token", "", "token of an analysis")
	f.IntVar(&o.pid, "pid", 0, "process id of the server, to measure its CPU time and memory")
	f.StringVar(&o.data, "data", "", "its data folder, to read files from the disk instead of the page cache")
	f.StringVar(&o.folder, "folder", "", "where dd and cat work; default: --data, else the folder for temporary files")
	f.StringVar(&o.scenarios, "scenarios", "small,large,downloads,growth", "which, separated by commas")
	f.StringVar(&o.connections, "connections", "1,16,64", "numbers of connections")
	f.DurationVar(&o.duration, "duration", 10*time.Second, "longest time of one measurement of small requests")
	f.IntVar(&o.count, "count", 20000, "most requests of one measurement")
	f.Int64Var(&o.small, "small", 64<<10, "bytes of a small object")
	f.Int64Var(&o.large, "large", 1<<30, "bytes of a large object")
	f.Int64Var(&o.medium, "medium", 200_000_000, "bytes of the objects of the scenario downloads")
	f.StringVar(&o.objects, "objects", "1000,10000,100000", "how many objects the scenario growth measures at")
	f.DurationVar(&o.growthTime, "growth-time", 10*time.Minute, "longest time of the scenario growth")
	f.StringVar(&o.s3.endpoint, "s3-endpoint", "", "host:port of the S3 store that Lodge uses")
	f.StringVar(&o.s3.bucket, "s3-bucket", "lodge", "its bucket")
	f.StringVar(&o.s3.access, "s3-access", "", "its access key")
	f.StringVar(&o.s3.secret, "s3-secret", "", "its secret key")
	f.StringVar(&o.fleet.prefix, "fleet-prefix", "/fleet", "where its fleet part is")
	f.IntVar(&o.fleet.subscribers, "subscribers", 200, "how many subscribers there are")
	f.IntVar(&o.fleet.moving, "moving", 500, "how many tasks are reported again and again")
	f.IntVar(&o.fleet.rooms, "rooms", 5, "how many of them each subscriber follows")
	f.IntVar(&o.fleet.rate, "rate", 400, "updates a second that the scenario ingest begins with")
	f.IntVar(&o.fleet.most, "most", 50_000, "updates a second beyond which it is of no interest what is too much")
	f.DurationVar(&o.fleet.limit, "limit", 250*time.Millisecond, "p99 that ends the scenario ingest")
	f.DurationVar(&o.fleet.duration, "fleet-duration", 10*time.Second, "time of one measurement of the fleet")
	f.DurationVar(&o.fleet.siteTime, "site-time", 10*time.Minute, "time of the scenario site")
	f.IntVar(&o.fleet.tasks, "tasks", 100_000, "how many tasks are queried")
	f.StringVar(&o.proxy.backend, "backend", "", "host:port of the app itself")
	f.StringVar(&o.proxy.peers, "peers", "", "name=host:port=pid of proxies before the same backend, separated by commas")
	f.IntVar(&o.proxy.rounds, "rounds", 3, "how often each proxy is measured; the middle counts")
	f.DurationVar(&o.proxy.duration, "proxy-duration", 5*time.Second, "time of one measurement of a proxy")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	u, err := url.Parse(o.server)
	if err != nil || !isLoopback(u.Hostname()) {
		return o, errors.New("the server must be on loopback: this program is made to exhaust it")
	}
	if o.folder == "" {
		if o.folder = o.data; o.folder == "" {
			o.folder = os.TempDir()
		}
	}
	return o, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

func numbers(list string) ([]int, error) {
	var out []int
	for s := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no list of numbers", list)
		}
		out = append(out, n)
	}
	return out, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	switch {
	case len(args) == 2 && args[0] == "backend":
		return serveBackend(args[1])
	case len(args) == 3 && args[0] == "bare":
		return serveBare(args[1], args[2])
	}
	o, err := parse(args, progress)
	if err != nil {
		return err
	}
	connections, err := numbers(o.connections)
	if err != nil {
		return err
	}
	b := &bench{
		o: o, out: out, progress: progress, connections: connections, process: process{pid: o.pid},
		http: &http.Client{Transport: &http.Transport{
			MaxIdleConnsPerHost: 256, DisableCompression: true, WriteBufferSize: 256 << 10, ReadBufferSize: 256 << 10,
		}},
	}
	defer b.http.CloseIdleConnections()
	if err := b.ready(ctx); err != nil {
		return err
	}
	for name := range strings.SplitSeq(o.scenarios, ",") {
		scenario, ok := map[string]func(context.Context) error{
			"small": b.small, "large": b.large, "downloads": b.downloads, "growth": b.growth, "s3": b.s3,
			"ingest": b.ingest, "robots": b.robots, "site": b.site, "tasks": b.tasks, "cheap": b.cheap, "proxy": b.proxy,
		}[strings.TrimSpace(name)]
		if !ok {
			return fmt.Errorf("there is no scenario %q", name)
		}
		_, _ = fmt.Fprintln(progress, "load:", name)
		if err := scenario(ctx); err != nil {
			return fmt.Errorf("scenario %s: %w", name, err)
		}
	}
	return nil
}
