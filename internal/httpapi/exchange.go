package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"lodge/internal/fault"
)

// exchange is what the chain knows about one request. It travels in the context, so that one
// value serves the log, the metrics, the error shapes and the handlers.
type exchange struct {
	server *Server
	id     string
	// client is where the request comes from, as far as trusted proxies tell.
	client string
	// proxied says that the peer is a trusted proxy.
	proxied bool
	start   time.Time
	w       *responseWriter

	// mount, pattern and metrics are known once a route was found.
	mount   string
	pattern string
	problem func(http.ResponseWriter, *http.Request, error)
	metrics *routeMetrics
	caller  string
	notes   []slog.Attr
	// bodyLimit is the route's, 0 for none.
	bodyLimit int64
	stream    *EventStream
	// reported keeps an error from being logged twice.
	reported bool
}

type exchangeKey struct{}

func exchangeFrom(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// WithRequest returns a context as the chain makes it, for work that comes from elsewhere than
// HTTP and is still recorded with a request id and an address.
func WithRequest(ctx context.Context, id, clientAddress string) context.Context {
	return context.WithValue(ctx, exchangeKey{}, &exchange{id: id, client: clientAddress})
}

// RequestID is the id of the request that ctx belongs to, or "".
func RequestID(ctx context.Context) string {
	if x := exchangeFrom(ctx); x != nil {
		return x.id
	}
	return ""
}

// ClientAddress is the IP address that the request came from, or "".
func ClientAddress(ctx context.Context) string {
	if x := exchangeFrom(ctx); x != nil {
		return x.client
	}
	return ""
}

// report logs an error that is ours rather than the client's. Only the first call for a request does.
func (x *exchange) report(r *http.Request, err error) {
	if x == nil || x.server == nil || x.reported {
		return
	}
	status := Status(err)
	if status < http.StatusInternalServerError {
		return
	}
	x.reported = true
	level := slog.LevelWarn
	if status == http.StatusInternalServerError {
		level = slog.LevelError
	}
	x.server.log.LogAttrs(r.Context(), level, "request failed",
		slog.String("request_id", x.id), slog.String("method", r.Method), slog.String("route", x.pattern),
		slog.String("kind", fault.KindOf(err).String()), slog.String("error", err.Error()))
}
