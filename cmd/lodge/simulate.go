package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"lodge/internal/fleet/simulator"
	"lodge/internal/results/hubsim"
	"lodge/internal/secret"
)

type simulateCommand struct {
	Hub  simulateHubCommand  `cmd:"" help:"Be a FLAME hub: /auth, /core and /storage under one address; /received lists what came, /control lets it fail."`
	Site simulateSiteCommand `cmd:"" help:"Be a building with robots, doors and lifts: serves rosbridge, and reports to a fleet server as adapters do."`
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

type simulateSiteCommand struct {
	Listen    string  `help:"Address and port to serve rosbridge and /control on." default:"127.0.0.1:9091" placeholder:"HOST:PORT"`
	Lodge     string  `help:"The server that adapters report to, such as http://127.0.0.1:8080; nobody reports without. With a path, the fleet API is there." placeholder:"URL"`
	Token     string  `help:"The adapters' token." env:"LODGE_TOKEN" placeholder:"T"`
	Map       string  `help:"Building map; examples/building when empty." placeholder:"FILE"`
	Seed      uint64  `help:"Decides everything that is left to chance." default:"1" placeholder:"N"`
	Speed     float64 `help:"How much faster than life it lives." default:"1" placeholder:"X"`
	Robots    int     `help:"How many robots; as the map says when 0." placeholder:"N"`
	Rate      float64 `help:"How many times a second each fleet reports." default:"1" placeholder:"X"`
	Trouble   float64 `help:"How many times an hour of driving a robot gets stuck." placeholder:"X"`
	Errands   float64 `help:"How many tasks an hour the site gives itself." placeholder:"X"`
	Inherited bool    `hidden:"" help:"Serve on the socket that was inherited, and end with standard input."`
}

func (c *simulateSiteCommand) Run(ctx context.Context, t *terminal) error {
	log := slog.New(slog.NewTextHandler(t.errors, &slog.HandlerOptions{Level: slog.LevelWarn}))
	api, err := fleetAPI(ctx, c.Lodge)
	if err != nil {
		return err
	}
	site, err := simulator.New(simulator.Options{
		Server: api, Token: secret.String(c.Token), Map: c.Map, Seed: c.Seed, Speed: c.Speed, Robots: c.Robots, Rate: c.Rate,
		Trouble: c.Trouble, Errands: c.Errands,
	}, t.now, log)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	listener, err := c.listen(ctx)
	if err != nil {
		return err
	}
	if c.Inherited {
		// Whoever started us holds the other end: it closes when they end, in whatever way.
		go func() {
			_, _ = io.Copy(io.Discard, t.in)
			stop()
		}()
	}
	t.say("A simulated site is at ws://%s\n", listener.Addr())
	server := &http.Server{Handler: site.Handler(), ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return site.Run(ctx) })
	g.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	})
	return g.Wait()
}

// fleetAPI finds the fleet below a server's address: under its name, or at the root when it is alone
// there. It waits for a server that is not there yet.
func fleetAPI(ctx context.Context, address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || address != "" && u.Host == "" {
		return "", fmt.Errorf("--lodge: %q is not an address such as http://127.0.0.1:8080", address)
	}
	if address == "" || u.Path != "" {
		return strings.TrimSuffix(address, "/"), nil
	}
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		for _, path := range []string{"/fleet", ""} {
			if answers(ctx, address+path+"/time") {
				return address + path, nil
			}
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("%s has no fleet", address)
		case <-look.C:
		}
	}
}

func answers(ctx context.Context, address string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// inherited is the number of the first file that a process gets beside the standard ones.
const inherited = 3

func (c *simulateSiteCommand) listen(ctx context.Context) (net.Listener, error) {
	if !c.Inherited {
		return (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	}
	socket := os.NewFile(inherited, "socket")
	defer func() { _ = socket.Close() }()
	return net.FileListener(socket)
}
