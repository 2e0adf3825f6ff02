package main

import (
	"context"
	"errors"
	"runtime/debug"

	"lodge/internal/lodge"
)

type serveCommand struct {
	Parts       []string `arg:"" optional:"" name:"part" help:"Parts to serve; all of them when none is named. A single one stands at the root, where the service stood that it replaces."`
	Data        string   `help:"Folder for everything that is kept on this machine (./lodge-data)." placeholder:"DIR"`
	Listen      string   `help:"Address and port to listen on (127.0.0.1:8080)." placeholder:"HOST:PORT"`
	ServiceHub  string   `name:"servicehub-conf" help:"A servicehub.conf whose apps to serve as ServiceHub did, behind the proxy that stood in front of it." placeholder:"FILE" env:"SERVICEHUB_CONFIG"`
	NoSimulator bool     `help:"Start no simulated site beside the server."`
}

func (c *serveCommand) Run(ctx context.Context, t *terminal, all *commands) error {
	cfg, err := all.loadServed(t, c.ServiceHub, map[string]string{"data": c.Data, "listen": c.Listen})
	if err != nil {
		return err
	}
	if t.getenv("GOGC") == "" {
		// A quarter of the collecting for some tens of megabytes: what lives is little, so that a busy server would
		// collect ten times a second, and its requests want the time.
		debug.SetGCPercent(400)
	}
	log := t.logger(cfg, true)
	for _, notice := range cfg.Notices {
		log.Warn(notice)
	}
	server, err := lodge.Open(ctx, cfg, lodge.Options{Parts: c.Parts, Version: version, Simulate: !c.NoSimulator, Out: t.out, Now: t.now, Log: log})
	if err != nil {
		return err
	}
	err = errors.Join(server.Serve(ctx), server.Close())
	log.Info("ended") // and with it the last lines of the access log
	return err
}
