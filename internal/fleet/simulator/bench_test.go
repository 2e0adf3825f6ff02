package simulator

import (
	"encoding/json"
	"fmt"
	"testing"

	example "lodge/examples/building"
)

// One second of a thousand robots, all at work, with everything that they tell written
// as JSON. The time of one operation is the share of a core that a site takes.
func BenchmarkThousandRobots(b *testing.B) {
	for _, rate := range []float64{1, 2} {
		b.Run(fmt.Sprintf("%gHz", rate), func(b *testing.B) {
			site, err := parseMap(example.Site())
			if err != nil {
				b.Fatal(err)
			}
			opts := Options{Robots: 1000, Rate: rate}
			if err := opts.complete(); err != nil {
				b.Fatal(err)
			}
			size, messages := 0, 0
			written := func(data any) {
				text, err := json.Marshal(data)
				if err != nil {
					b.Fatal(err)
				}
				size, messages = size+len(text), messages+1
			}
			w := newWorld(site, opts, start(), output{
				ros: func(_ string, msg any) { written(msg) },
				api: func(_ int, _, _ string, data any) { written(data) },
			})
			for _, r := range w.robots {
				text := fmt.Sprintf(`{"type":"robot_task_request","robot":%q,"fleet":%q,"request":{"category":"patrol","description":{"places":["lobby","workshop","supply"],"rounds":10}}}`, r.name, r.fleet.name)
				w.answer(apiMessage{JSON: text, Request: r.session})
			}
			for range 600 {
				w.step()
			}
			size, messages = 0, 0
			b.ResetTimer()
			for range b.N {
				for range int(1 / w.dt) {
					w.step()
				}
			}
			b.ReportMetric(float64(size)/float64(b.N), "bytes/s")
			b.ReportMetric(float64(messages)/float64(b.N), "messages/s")
		})
	}
}
