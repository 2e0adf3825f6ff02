package apps

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics tell how starts, stops and requests go. No label has one value per person.
type metrics struct {
	start    *prometheus.HistogramVec
	steps    *prometheus.HistogramVec
	stops    *prometheus.CounterVec
	failures *prometheus.CounterVec
	refusals *prometheus.CounterVec
	requests *prometheus.CounterVec
	bytes    *prometheus.CounterVec
	sockets  prometheus.Gauge
	flush    prometheus.Histogram
	sweep    prometheus.Histogram
	up       *prometheus.GaugeVec
	ours     prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) *metrics {
	seconds := []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}
	m := &metrics{
		start:    prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "lodge_apps_start_seconds", Help: "From launch to answer.", Buckets: seconds}, []string{"app", "driver", "outcome"}),
		steps:    prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "lodge_apps_start_step_seconds", Help: "Each step of a start.", Buckets: seconds}, []string{"app", "driver", "step"}),
		stops:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lodge_apps_stops_total", Help: "App sessions stopped."}, []string{"cause"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lodge_apps_failures_total", Help: "App sessions that failed."}, []string{"app", "cause"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lodge_apps_refusals_total", Help: "Launches refused by a limit."}, []string{"limit"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lodge_apps_proxy_requests_total", Help: "Requests to apps."}, []string{"app", "code"}),
		bytes:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lodge_apps_proxy_bytes_total", Help: "Bytes to and from apps."}, []string{"app", "direction"}),
		sockets:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "lodge_apps_websockets", Help: "Open upgraded connections."}),
		flush:    prometheus.NewHistogram(prometheus.HistogramOpts{Name: "lodge_apps_activity_flush_seconds", Help: "Writing down activity."}),
		sweep:    prometheus.NewHistogram(prometheus.HistogramOpts{Name: "lodge_apps_reconcile_seconds", Help: "Comparing rows with what runs."}),
		up:       prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "lodge_driver_up", Help: "Whether a driver answers."}, []string{"driver"}),
		ours: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "lodge_apps_proxy_seconds", Help: "What Lodge adds before a request goes to its app.", Buckets: []float64{1e-5, 5e-5, 1e-4, 5e-4, 1e-3, 5e-3, 1e-2, .1},
		}),
	}
	if reg != nil {
		reg.MustRegister(m.start, m.steps, m.stops, m.failures, m.refusals, m.requests, m.bytes, m.sockets, m.flush, m.sweep, m.up, m.ours)
	}
	return m
}

func (m *metrics) moved(row Session) {
	if row.State == Failed {
		m.failures.WithLabelValues(string(row.App), string(row.Cause)).Inc()
		m.start.WithLabelValues(string(row.App), row.Driver, string(row.Cause)).Observe(row.Ended.Sub(row.Queued).Seconds())
	}
}

func (m *metrics) started(row Session) {
	m.start.WithLabelValues(string(row.App), row.Driver, "ready").Observe(row.Ready.Sub(row.Queued).Seconds())
}

func (m *metrics) stepped(row Session, step string, from, to time.Time) time.Time {
	m.steps.WithLabelValues(string(row.App), row.Driver, step).Observe(to.Sub(from).Seconds())
	return to
}

func (m *metrics) stopped(row Session) { m.stops.WithLabelValues(string(row.Cause)).Inc() }

func (m *metrics) refused(err error) {
	var l *LimitError
	if errors.As(err, &l) {
		m.refusals.WithLabelValues(l.Limit).Inc()
	}
}

func (m *metrics) proxied(app AppID, status int, in, out int64) {
	m.requests.WithLabelValues(string(app), strconv.Itoa(status)).Inc()
	m.bytes.WithLabelValues(string(app), "in").Add(float64(in))
	m.bytes.WithLabelValues(string(app), "out").Add(float64(out))
}

// Describe implements prometheus.Collector for what the database knows.
func (s *Service) Describe(to chan<- *prometheus.Desc) { to <- sessionsDesc() }

func sessionsDesc() *prometheus.Desc {
	return prometheus.NewDesc("lodge_apps_sessions", "App sessions by app and state.", []string{"app", "state"}, nil)
}

// Collect implements prometheus.Collector. What cannot be read is left out.
func (s *Service) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	counts, err := s.store.byState(ctx)
	if err != nil {
		return
	}
	desc := sessionsDesc()
	for key, n := range counts {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(n), string(key.app), string(key.state))
	}
}

type appState struct {
	app   AppID
	state State
}

func (st *store) byState(ctx context.Context) (map[appState]int64, error) {
	rows, err := st.db.Query(ctx, "SELECT app, state, COUNT(*) FROM app_sessions GROUP BY app, state")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	counts := map[appState]int64{}
	for rows.Next() {
		var key appState
		var n int64
		if err := rows.Scan(&key.app, &key.state, &n); err != nil {
			return nil, err
		}
		counts[key] = n
	}
	return counts, rows.Err()
}
