package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"lodge/internal/lodge"
)

type doctorCommand struct{ beside }

func (c *doctorCommand) Run(ctx context.Context, t *terminal, all *commands) error {
	cfg, err := all.load(t, map[string]string{"data": c.Data})
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	failures := 0
	_, _ = fmt.Fprintf(table, "%s\tsettings\tcan be read\n", lodge.Well)
	for _, notice := range cfg.Notices {
		_, _ = fmt.Fprintf(table, "%s\tsettings\t%s\n", lodge.Warning, notice)
	}
	for _, f := range lodge.Examine(ctx, cfg, t.now, t.logger(cfg, false)) {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", f.State, f.Subject, f.Text)
		if f.State == lodge.Failure {
			failures++
		}
	}
	if err := table.Flush(); err != nil || failures == 0 {
		return err
	}
	return fmt.Errorf("%d of these must be mended before the site works", failures)
}
