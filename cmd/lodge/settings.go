package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"lodge/internal/config"
)

type settingCommands struct {
	Show    settingsShowCommand    `cmd:"" help:"Print the effective settings, secrets masked, and where each came from."`
	Init    settingsInitCommand    `cmd:"" help:"Write a lodge.yaml from a few questions."`
	Example settingsExampleCommand `cmd:"" help:"Print a lodge.yaml with every setting explained."`
}

type settingsShowCommand struct{}

func (c *settingsShowCommand) Run(t *terminal, all *commands) error {
	cfg, err := all.load(t, nil)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	for _, item := range cfg.Items() {
		_, _ = fmt.Fprintf(table, "%s\t%s\t(%s)\n", item.Key, item.Value, item.Source)
	}
	for _, notice := range cfg.Notices {
		_, _ = fmt.Fprintln(t.errors, "note:", notice)
	}
	return table.Flush()
}

type settingsExampleCommand struct{}

func (c *settingsExampleCommand) Run(t *terminal) error {
	_, err := io.WriteString(t.out, config.Example())
	return err
}
