package lodge

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"lodge/internal/httpapi"
	"lodge/internal/work"
)

// scrapeTimeout bounds what a scrape may ask of the database.
const scrapeTimeout = 5 * time.Second

// siteMetrics tells what only the site as a whole knows, when it is asked.
type siteMetrics struct {
	queue  *work.Queue
	checks *httpapi.Checks
	items  *prometheus.Desc
	up     *prometheus.Desc
}

// enterSite adds what only the site knows to the metrics of the parts.
func enterSite(registry *prometheus.Registry, version string, queue *work.Queue, checks *httpapi.Checks) {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "lodge_build_info", Help: "Always 1; the label says which version runs.", ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	site := &siteMetrics{
		queue: queue, checks: checks,
		items: prometheus.NewDesc("lodge_work_items", "Durable work that is not done, by kind and state.", []string{"kind", "state"}, nil),
		up:    prometheus.NewDesc("lodge_dependency_up", "Whether a system that Lodge works with is fine.", []string{"name"}, nil),
	}
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), info, site)
}

// Describe implements prometheus.Collector.
func (m *siteMetrics) Describe(to chan<- *prometheus.Desc) {
	to <- m.items
	to <- m.up
}

// Collect implements prometheus.Collector. What cannot be found out is left out: lodge_dependency_up
// says why.
func (m *siteMetrics) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	for _, check := range m.checks.States(ctx).Checks {
		up := 0.0
		if check.State == "ok" {
			up = 1
		}
		to <- prometheus.MustNewConstMetric(m.up, prometheus.GaugeValue, up, check.Name)
	}
	backlog, err := m.queue.Backlog(ctx)
	if err != nil {
		return
	}
	for _, b := range backlog {
		to <- prometheus.MustNewConstMetric(m.items, prometheus.GaugeValue, float64(b.Items), b.Kind, string(b.State))
	}
}
