package main

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"runtime"

	"lodge/internal/identity/clilogin"
)

type loginCommand struct {
	Server   string `help:"Address of the server." env:"LODGE_SERVER" default:"http://127.0.0.1:8080" placeholder:"URL"`
	Issuer   string `help:"The identity provider; the server's own when empty." placeholder:"URL"`
	ClientID string `name:"client-id" help:"The command line's client there." placeholder:"ID"`
	Device   bool   `help:"Show a code to type in on another machine, instead of opening a browser."`
}

func (c *loginCommand) Run(ctx context.Context, t *terminal) error {
	options := clilogin.Options{
		Server: c.Server, Issuer: c.Issuer, ClientID: cmp.Or(c.ClientID, clilogin.DefaultClient),
		Show: func(text string) { t.say("%s\n", text) },
	}
	if c.Device {
		options.Flow = clilogin.Device
	} else {
		options.Open = t.browser()
	}
	login, err := clilogin.Login(ctx, options)
	if err != nil {
		return err
	}
	if err := t.logins().Save(login); err != nil {
		return err
	}
	t.say("You are logged in at %s.\n", login.Server)
	return nil
}

// browser opens an address in the person's browser; nil where there is none.
func (t *terminal) browser() func(address string) error {
	name := "xdg-open"
	if runtime.GOOS == "darwin" {
		name = "open"
	} else if t.getenv("DISPLAY") == "" && t.getenv("WAYLAND_DISPLAY") == "" {
		return nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return nil
	}
	return func(address string) error {
		command := exec.Command(path, address) //nolint:gosec,noctx // our own address, in a program that outlives this one
		if err := command.Start(); err != nil {
			return fmt.Errorf("open a browser: %w", err)
		}
		return command.Process.Release()
	}
}

type logoutCommand struct {
	Server string `help:"Address of the server; that of the last login when empty." env:"LODGE_SERVER" placeholder:"URL"`
}

func (c *logoutCommand) Run(t *terminal) error { return t.logins().Forget(c.Server) }
