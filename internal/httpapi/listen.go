package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"
)

// ServeConfig is how a handler is put on the network. Zero limits mean Config's defaults.
type ServeConfig struct {
	// Listener is where to serve; Serve closes it.
	Listener net.Listener
	// TLS is nil for plain HTTP.
	TLS *TLSConfig
	// MaxHeader, ReadHeaderTimeout, IdleTimeout and StallTimeout are those of Config.
	MaxHeader         int
	ReadHeaderTimeout time.Duration
	IdleTimeout       time.Duration
	StallTimeout      time.Duration
	// DrainDelay is how long to go on accepting after OnDrain, for a load balancer to notice.
	DrainDelay time.Duration
	// ShutdownTimeout is how long running requests may take to finish; default 30 s.
	ShutdownTimeout time.Duration
	// OnDrain is told that the end has begun: say so at /readyz and end the streams.
	OnDrain func()
}

// Serve answers requests until ctx ends. Then it drains: no new connections, running requests
// finish within the time, and only those that do not are cut off, which is the one error of an
// orderly end.
func Serve(ctx context.Context, cfg ServeConfig, handler http.Handler, log *slog.Logger) error {
	limits := Config{
		MaxHeader: cfg.MaxHeader, ReadHeaderTimeout: cfg.ReadHeaderTimeout,
		IdleTimeout: cfg.IdleTimeout, StallTimeout: cfg.StallTimeout,
	}.withDefaults()
	orDefault(&cfg.ShutdownTimeout, 30*time.Second)

	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	server := &http.Server{
		Handler:           handler,
		MaxHeaderBytes:    limits.MaxHeader,
		ReadHeaderTimeout: limits.ReadHeaderTimeout,
		IdleTimeout:       limits.IdleTimeout,
		// No time limit on whole bodies: the chain watches their progress.
		Protocols: protocols,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 250, SendPingTimeout: limits.IdleTimeout / 2, PingTimeout: limits.ReadHeaderTimeout,
			WriteByteTimeout: limits.StallTimeout,
		},
		ErrorLog: slog.NewLogLogger(quietErrors{log.Handler()}, slog.LevelWarn),
	}
	serve := func() error { return server.Serve(cfg.Listener) }
	if cfg.TLS != nil {
		var err error
		if server.TLSConfig, err = cfg.TLS.config(log); err != nil {
			return errors.Join(err, cfg.Listener.Close())
		}
		serve = func() error { return server.ServeTLS(cfg.Listener, "", "") }
	}

	served := make(chan error, 1)
	go func() { served <- serve() }()
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", cfg.Listener.Addr(), err)
	case <-ctx.Done():
	}

	log.Info("draining", slog.String("address", cfg.Listener.Addr().String()), slog.Duration("at_most", cfg.ShutdownTimeout))
	if cfg.OnDrain != nil {
		cfg.OnDrain()
	}
	if cfg.DrainDelay > 0 {
		delay := time.NewTimer(cfg.DrainDelay)
		defer delay.Stop()
		select {
		case <-delay.C:
		case err := <-served:
			return fmt.Errorf("serve %s: %w", cfg.Listener.Addr(), err)
		}
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.ShutdownTimeout)
	defer cancel()
	if err := server.Shutdown(ending); err != nil {
		return errors.Join(fmt.Errorf("requests did not finish within %s and were cut off: %w", cfg.ShutdownTimeout, err), server.Close())
	}
	return nil
}

// quietErrors keeps what any scanner can cause out of the warnings.
type quietErrors struct{ slog.Handler }

func (q quietErrors) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "TLS handshake error") || strings.Contains(r.Message, "http2: ") {
		if !q.Enabled(ctx, slog.LevelDebug) {
			return nil
		}
		r.Level = slog.LevelDebug
	}
	quiet := slog.NewRecord(r.Time, r.Level, "connection error", r.PC)
	quiet.AddAttrs(slog.String("error", strings.TrimSpace(r.Message)))
	return q.Handler.Handle(ctx, quiet)
}

// AdminHandler serves profiles. It belongs on an address of its own that only operators reach.
func AdminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "lodge admin: see /debug/pprof/\n") // the client went away
	})
	return mux
}
