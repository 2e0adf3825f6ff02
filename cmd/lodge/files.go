package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"lodge/internal/client"
	"lodge/internal/fault"
	"lodge/internal/identity/clilogin"
)

// defaultServer is where `make run` serves.
const defaultServer = "http://127.0.0.1:8080"

// remote is what the commands have in common that call a server.
type remote struct {
	Server string `help:"Address of the server; that of the last login, or http://127.0.0.1:8080." env:"LODGE_SERVER" placeholder:"URL"`
	CAFile string `name:"ca-file" help:"PEM file of further authorities to trust." placeholder:"FILE"`
	Quiet  bool   `short:"q" help:"Show no progress."`
}

func (t *terminal) logins() *clilogin.Store {
	return &clilogin.Store{Dir: filepath.Join(t.home, "lodge"), Now: t.now}
}

// client finds the server and the token: LODGE_TOKEN, else the stored login.
func (r *remote) client(t *terminal) (*client.Client, error) {
	store := t.logins()
	server := r.Server
	token := client.StaticToken(t.getenv("LODGE_TOKEN"))
	if t.getenv("LODGE_TOKEN") == "" {
		if server == "" {
			if login, err := store.Load(""); err == nil {
				server = login.Server
			}
		}
		server = cmp.Or(server, defaultServer)
		token = func(ctx context.Context) (string, error) {
			login, err := store.Token(ctx, server)
			if fault.Is(err, fault.Unauthenticated) {
				return "", fmt.Errorf("you are not logged in at %s: `lodge login --server %[1]s`, or set LODGE_TOKEN", server)
			}
			return login.Token.Reveal(), err
		}
	}
	return client.New(client.Config{Server: cmp.Or(server, defaultServer), Token: token, CAFile: r.CAFile})
}

// progress draws a bar on a terminal, and nothing elsewhere.
func (r *remote) progress(t *terminal, what string) (show client.Progress, done func()) {
	file, ok := t.errors.(*os.File)
	if r.Quiet || !ok || !term.IsTerminal(int(file.Fd())) {
		return nil, func() {}
	}
	var bar *progressbar.ProgressBar
	show = func(n, total int64) {
		if bar == nil {
			bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(file), progressbar.OptionSetDescription(what), progressbar.OptionShowBytes(true),
				progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionFullWidth(), progressbar.OptionClearOnFinish())
		}
		_ = bar.Set64(n)
	}
	return show, func() {
		if bar != nil {
			_ = bar.Clear()
		}
	}
}

type putCommand struct {
	remote
	File         string `arg:"" help:"The file to send."`
	Local        bool   `xor:"kind" help:"As a local result, for the analyses of the same project (the default)."`
	Final        bool   `xor:"kind" help:"As a final result, for the hub."`
	Intermediate bool   `xor:"kind" help:"As an intermediate result, for another node."`
	To           string `help:"The node that an intermediate result is encrypted for." placeholder:"NODE"`
	Tag          string `help:"A tag for a local result." placeholder:"T"`
	Name         string `help:"Another name for the file." placeholder:"NAME"`
}

func (c *putCommand) Run(ctx context.Context, t *terminal) error {
	lodge, err := c.client(t)
	if err != nil {
		return err
	}
	defer lodge.Close()
	kind := client.Local
	switch {
	case c.Final:
		kind = client.Final
	case c.Intermediate:
		kind = client.Intermediate
	}
	show, done := c.progress(t, "sending")
	stored, err := lodge.Put(ctx, client.PutOptions{File: c.File, Name: c.Name, Kind: kind, To: c.To, Tag: c.Tag}, show)
	done()
	if err != nil {
		return err
	}
	t.say("%s\n", stored)
	return nil
}

type getCommand struct {
	remote
	ID           string `arg:"" optional:"" help:"The result's id, or its address."`
	Tag          string `help:"Instead of an id: the newest local result with this tag." placeholder:"T"`
	Out          string `short:"o" help:"Where to write; - is standard output." placeholder:"FILE"`
	Local        bool   `xor:"kind" help:"Look among the local results alone."`
	Intermediate bool   `xor:"kind" help:"Look among the intermediate results alone."`
	From         string `help:"The node that an intermediate result was encrypted by." placeholder:"NODE"`
}

func (c *getCommand) Run(ctx context.Context, t *terminal) error {
	lodge, err := c.client(t)
	if err != nil {
		return err
	}
	defer lodge.Close()
	var kind client.Kind
	switch {
	case c.Local:
		kind = client.Local
	case c.Intermediate || c.From != "":
		kind = client.Intermediate
	}
	show, done := c.progress(t, "fetching")
	fetched, err := lodge.Get(ctx, client.GetOptions{ID: c.ID, Tag: c.Tag, Kind: kind, From: c.From, Out: c.Out, Stdout: t.out}, show)
	done()
	if err != nil {
		return err
	}
	if fetched.Path != "" {
		_, _ = io.WriteString(t.out, fetched.Path+"\n")
	}
	return nil
}
