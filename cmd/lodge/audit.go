package main

import (
	"context"
	"errors"
	"time"

	"lodge/internal/lodge"
)

type auditCommands struct {
	Verify auditVerifyCommand `cmd:"" help:"Read the whole audit log and say whether its chain holds."`
}

type auditVerifyCommand struct{ beside }

func (c *auditVerifyCommand) Run(ctx context.Context, t *terminal, all *commands) error {
	cfg, err := all.load(t, map[string]string{"data": c.Data})
	if err == nil {
		err = lodge.Exists(cfg)
	}
	if err != nil {
		return err
	}
	return c.office(ctx, t, all, func(o *lodge.Office) error {
		report, err := o.VerifyAudit(ctx)
		if err != nil {
			return err
		}
		if !report.OK {
			t.say("The audit log does NOT hold: %d fault(s) in %d sealed records.\n", report.Faults, report.Records)
			if f := report.First; f != nil {
				t.say("The first, at %d: %s\n", f.Seq, f.Message)
			}
			return errors.New("the audit log was changed")
		}
		t.say("The audit log holds: %d sealed records, %d checkpoints, %d records wait to be sealed.\n", report.Records, report.Checkpoints, report.Unsealed)
		if last := report.Last; last != nil {
			t.say("Last checkpoint: %d at %s, hash %s, key %s\nKept elsewhere, it shows later whether the end was cut off.\n",
				last.Seq, last.At.Format(time.RFC3339), last.Hash, last.KeyID)
		}
		return nil
	})
}
