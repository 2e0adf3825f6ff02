package httpapi

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts by mount, route pattern, method and class of status: all of them bounded, none
// of them chosen by a client.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
}

// routeMetrics are one route's series, found at the first request instead of at every one: a route
// that nobody uses has none.
type routeMetrics struct {
	all      *metrics
	labels   [3]string
	classes  [6]atomic.Pointer[prometheus.Counter]
	duration atomic.Pointer[prometheus.Observer]
}

func newMetrics(reg prometheus.Registerer) *metrics {
	labels := []string{"mount", "route", "method"}
	return &metrics{
		requests: registered(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lodge_http_requests_total", Help: "Requests answered, by class of status.",
		}, append(labels, "status"))),
		duration: registered(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "lodge_http_request_duration_seconds", Help: "Time from the request's headers to the end of its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, labels)),
		inFlight: registered(reg, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "lodge_http_requests_in_flight", Help: "Requests being answered now.",
		})),
	}
}

// registered registers c, or finds what a server before this one registered.
func registered[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	if reg == nil {
		return c
	}
	var already prometheus.AlreadyRegisteredError
	if err := reg.Register(c); errors.As(err, &already) {
		if same, ok := already.ExistingCollector.(C); ok {
			return same
		}
	} else if err != nil {
		panic(err) // a name that means two things: no server should start like that
	}
	return c
}

func (m *metrics) route(mount, route, method string) *routeMetrics {
	return &routeMetrics{all: m, labels: [3]string{mount, route, method}}
}

func (rm *routeMetrics) observe(status int, took time.Duration) {
	duration := rm.duration.Load()
	if duration == nil {
		found := rm.all.duration.WithLabelValues(rm.labels[:]...)
		duration = &found
		rm.duration.Store(duration)
	}
	(*duration).Observe(took.Seconds())

	class := min(max(status/100, 1), 5)
	counter := rm.classes[class].Load()
	if counter == nil {
		found := rm.all.requests.WithLabelValues(rm.labels[0], rm.labels[1], rm.labels[2], string(rune('0'+class))+"xx")
		counter = &found
		rm.classes[class].Store(counter)
	}
	(*counter).Inc()
}

// observe counts and logs one finished request.
func (s *Server) observe(x *exchange, r *http.Request, took time.Duration) {
	status := x.w.status
	if status == 0 {
		status = http.StatusOK
	}
	if x.metrics != nil {
		x.metrics.observe(status, took)
	}
	level := slog.LevelInfo
	if quiet[x.pattern] && status < 400 {
		level = slog.LevelDebug
	}
	if !s.cfg.AccessLog || !s.log.Enabled(r.Context(), level) {
		return
	}
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(attrs,
		slog.String("request_id", x.id), slog.String("client", x.client), slog.String("method", clip(r.Method)),
		slog.String("path", clip(r.URL.Path)), slog.String("mount", x.mount), slog.String("route", x.pattern),
		slog.Int("status", status), slog.Int64("bytes", x.w.bytes), slog.Duration("took", took))
	if r.URL.RawQuery != "" {
		attrs = append(attrs, slog.String("query", clip(redact(r.URL.RawQuery))))
	}
	if x.caller != "" {
		attrs = append(attrs, slog.String("caller", clip(x.caller)))
	}
	attrs = append(attrs, x.notes...)
	// Without the place in the code, which is always this one and takes longer to find than the rest.
	line := slog.NewRecord(s.now(), level, "request", 0)
	line.AddAttrs(attrs...)
	_ = s.log.Handler().Handle(r.Context(), line) // as a logger does with it
}

// quiet are the addresses that machines ask for every few seconds.
var quiet = map[string]bool{"/healthz": true, "/readyz": true, "/metrics": true, "GET /metrics": true}

// clip keeps what a client chose from filling the log.
func clip(text string) string {
	const most = 512
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// secretNames are query parameters whose values are as good as a password.
var secretNames = map[string]bool{
	"token": true, "access_token": true, "id_token": true, "refresh_token": true, "code": true, "state": true,
	"password": true, "secret": true, "client_secret": true, "session": true, "signature": true, "x-amz-signature": true,
}

// redact hides the values of secret parameters, in any spelling of their names.
func redact(query string) string {
	pairs := strings.FieldsFunc(query, func(c rune) bool { return c == '&' || c == ';' })
	for i, pair := range pairs {
		name, _, _ := strings.Cut(pair, "=")
		plain, err := url.QueryUnescape(name)
		if err != nil || secretNames[strings.ToLower(strings.TrimSpace(plain))] {
			pairs[i] = name + "=***"
		}
	}
	return strings.Join(pairs, "&")
}
