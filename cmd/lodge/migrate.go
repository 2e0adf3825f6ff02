package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"lodge/internal/lodge"
)

type migrateCommands struct {
	Status migrateStatusCommand `cmd:"" help:"List the steps of the schema."`
	Up     migrateUpCommand     `cmd:"" help:"Bring the schema up to date; the server does so at its start."`
}

type migrateStatusCommand struct{ beside }

func (c *migrateStatusCommand) Run(ctx context.Context, t *terminal, all *commands) error {
	cfg, err := all.load(t, map[string]string{"data": c.Data})
	if err == nil {
		err = lodge.Exists(cfg)
	}
	if err != nil {
		return err
	}
	steps, err := lodge.Migrations(ctx, cfg, t.now, t.logger(cfg, false))
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	for _, step := range steps {
		state := "to do"
		if step.Applied {
			state = "done " + when(&step.At)
		}
		name := step.Name
		if name == "" {
			name = "unknown: a newer release made it"
		}
		_, _ = fmt.Fprintf(table, "%d\t%s\t%s\n", step.Version, name, state)
	}
	return table.Flush()
}

type migrateUpCommand struct{ beside }

func (c *migrateUpCommand) Run(ctx context.Context, t *terminal, all *commands) error {
	cfg, err := all.load(t, map[string]string{"data": c.Data})
	if err != nil {
		return err
	}
	if err := lodge.Migrate(ctx, cfg, t.now, t.logger(cfg, false)); err != nil {
		return err
	}
	t.say("The schema is up to date.\n")
	return nil
}
