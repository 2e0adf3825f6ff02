package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"lodge/internal/results/hubsim"
)

type simulateCommand struct {
	Hub simulateHubCommand `cmd:"" help:"Be a FLAME hub: /auth, /core and /storage under one address; /received lists what came, /control lets it fail."`
}

type simulateHubCommand struct {
	Listen     string `help:"Address and port to listen on." default:"127.0.0.1:9090" placeholder:"HOST:PORT"`
	Generation string `help:"Generation of the hub's API: a, b or c." default:"a" enum:"a,b,c"`
	Secret     string `help:"The only secret or password that logs in; any when empty."`
	Dir        string `help:"Folder to keep files in; a temporary one when empty."`
}

func (c *simulateHubCommand) Run(ctx context.Context, t *terminal) error {
	log := slog.New(slog.NewTextHandler(t.errors, nil))
	hub := hubsim.New(hubsim.Options{Dir: c.Dir, Generation: c.Generation, Secret: c.Secret, Now: t.now, Log: log})
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return errors.Join(err, hub.Close())
	}
	server := &http.Server{Handler: hub.Handler(), ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	t.say("A simulated hub is at http://%s\nWhat it received: http://%[1]s/received\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(fmt.Errorf("serve: %w", err), hub.Close())
	}
	return hub.Close()
}
