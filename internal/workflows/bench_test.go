package workflows

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"lodge/internal/database"
	"lodge/internal/workflows/spec"
)

// BenchmarkLists lists among 10,000 versions and 100,000 jobs, as the pages do.
func BenchmarkLists(b *testing.B) {
	s := newSite(b, func(set *setup) { set.asleep = true })
	ctx := b.Context()
	at := func(i int) spec.Timestamp { return spec.At(time.Date(2024, 1, 1, 0, 0, i, 0, time.UTC)) }
	noError(b, s.db.Tx(ctx, func(tx *database.Tx) error {
		for i := range 10_000 {
			c := &spec.Component{Implementation: &spec.Any{}, Metadata: spec.Metadata{
				UID: uuid.New(), Name: fmt.Sprint("component ", i), Timestamp: at(i), ModifiedBy: spec.ModifiedBy{OID: "o", Email: fmt.Sprintf("p%d@x", i%50)},
				Version: spec.Version{Current: 1, Tags: []string{spec.Latest}},
			}}
			if err := s.svc.store.insertVersion(ctx, tx, ofComponent(c)); err != nil {
				return err
			}
		}
		flow := uuid.New()
		for i := range 100_000 {
			j := &spec.Job{
				Metadata: spec.Metadata{UID: uuid.New(), Timestamp: at(i), Name: fmt.Sprintf("fit %d of %d", i*7919%100_000, i), Description: fmt.Sprint("run ", i), ModifiedBy: spec.ModifiedBy{OID: "o", Email: fmt.Sprintf("p%d@x", i%50)}},
				Workflow: &spec.Workflow{Metadata: spec.Metadata{UID: flow}, Workspace: fmt.Sprintf("ws%d", i%5+1), Component: &spec.Component{Implementation: &spec.Any{}}},
			}
			if err := s.svc.store.insertJob(ctx, tx, Order{Job: j, Library: &spec.Library{}}); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `UPDATE wf_jobs SET phase = CASE modified_at / 1000000 % 3 WHEN 0 THEN 'Failed' ELSE 'Succeeded' END,
			started_at = modified_at + 1000000, finished_at = modified_at + 2000000 WHERE modified_at / 1000000 % 10 <> 9`)
		return err
	}))
	me := token(b, nil)
	for name, path := range map[string]string{
		"components newest":    "/components/?limit=12&sort=-timestamp",
		"components by author": "/components/?limit=12&sort=-timestamp&filter=modifiedBy.email[==]=p7@x",
		"components by name":   "/components/?limit=12&sort=-timestamp&filter=name[search]=99",
		"components latest":    "/components/?filter=version.tags[==]=latest",
		"jobs newest":          "/jobs/?limit=10&sort=-timestamp",
		"jobs of a workspace":  "/jobs/?limit=10&sort=-timestamp&filter=workflow.workspace[==]=ws1",
		"jobs by description":  "/jobs/?limit=10&sort=-timestamp&filter=workflow.workspace[==]=ws1&filter=description[search]=77",
		"jobs by name":         "/jobs/?limit=10&sort=%2Bname",
		"jobs by name there":   "/jobs/?limit=10&sort=%2Bname&filter=workflow.workspace[==]=ws1",
		"jobs by status":       "/jobs/?limit=10&sort=-status",
		"jobs by end":          "/jobs/?limit=10&sort=-finished",
		"jobs that failed":     "/jobs/?limit=10&sort=-timestamp&filter=status[==]=Failed",
		"jobs that never ran":  "/jobs/?limit=10&sort=-timestamp&filter=status[==]=Error",
		"jobs deep down":       "/jobs/?limit=10&offset=90000&sort=-timestamp",
	} {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				s.do("GET", path, me, "").is(b, 200, "")
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
		})
	}
}
