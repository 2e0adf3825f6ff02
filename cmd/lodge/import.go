package main

import (
	"context"

	"lodge/internal/lodge"
	"lodge/internal/secret"
)

type importCommands struct {
	RMF importRMFCommand `cmd:"" name:"rmf" help:"Take over users, tasks, schedules and all else from the database of an Open-RMF API server. It only reads there, and can be run again."`
}

type importRMFCommand struct {
	beside
	From secret.String `help:"The database's URL, such as sqlite:///run/db.sqlite3; the site's own when empty." placeholder:"URL"`
}

func (c *importRMFCommand) Run(ctx context.Context, t *terminal, all *commands) error {
	return c.office(ctx, t, all, func(o *lodge.Office) error {
		done, err := o.ImportRMF(ctx, t.operator, c.From)
		for _, step := range done {
			t.say("%d %s\n", step.N, step.What)
		}
		return err
	})
}
