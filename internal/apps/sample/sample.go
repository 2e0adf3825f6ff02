// Package sample holds the two apps that stand in the catalogue of a site that has none: an
// echo of the request's headers, as ServiceHub brought one, and a small workbench with files and a
// live connection. They are ordinary apps: they know nothing of Lodge but the port that they are given.
package sample

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// Run serves the app of the name on the port or socket of the environment until it is told to end.
func Run(name string, getenv func(string) string, now func() time.Time, out io.Writer) error {
	var h http.Handler
	switch name {
	case "echo":
		h = Echo(now)
	case "demo":
		dir := getenv("LODGE_VOLUME_HOME")
		if dir == "" {
			dir = "."
		}
		files, err := os.OpenRoot(dir)
		if err != nil {
			return err
		}
		h = Demo(files, getenv("LODGE_BASE_PATH"), now)
	default:
		return fmt.Errorf("there is no sample app %q: choose echo or demo", name)
	}
	return serve(h, getenv, out)
}

func serve(h http.Handler, getenv func(string) string, out io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	kind, where := "tcp", ":"+getenv("PORT")
	if getenv("LODGE_SESSION") != "" {
		where = "127.0.0.1:" + getenv("PORT") // as a process beside others, not alone in a container
	}
	if path := getenv("SOCKET"); path != "" {
		kind, where = "unix", path
	} else if getenv("PORT") == "" {
		where = ":8080"
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, kind, where)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintln(out, "listening at", listener.Addr())
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	_, _ = fmt.Fprintln(out, "ended")
	return nil
}

// Echo answers with the request's headers at every address, ok at /alive, and at /activity the whole
// seconds since anybody asked for anything else.
func Echo(now func() time.Time) http.Handler {
	var last atomic.Int64
	last.Store(now().UnixNano())
	// No ServeMux: that would tidy up addresses, and this app is there to show them as they came.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/alive":
			_, _ = io.WriteString(w, "ok\n")
			return
		case "/activity":
			_, _ = io.WriteString(w, strconv.FormatInt(int64(now().Sub(time.Unix(0, last.Load()))/time.Second), 10))
			return
		}
		last.Store(now().UnixNano())
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		names := slices.Sorted(maps.Keys(r.Header))
		_, _ = fmt.Fprintf(w, "%s %s %s\nHost: %s\n", r.Method, r.RequestURI, r.Proto, r.Host) //nolint:gosec // G705: plain text
		for _, name := range names {
			for _, value := range r.Header[name] {
				_, _ = fmt.Fprintf(w, "%s: %s\n", name, value) //nolint:gosec // G705: plain text
			}
		}
	})
}
