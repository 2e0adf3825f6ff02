// Command lodge is the server and everything that goes with it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"os/user"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"lodge/internal/config"
	"lodge/internal/fault"
)

// version is set by the linker.
var version = "unreleased"

// commands is everything that can be typed; a command is a file here.
type commands struct {
	Config  string           `help:"Configuration file; ./lodge.yaml if there is one." placeholder:"FILE" env:"LODGE_CONFIG"`
	Version kong.VersionFlag `help:"Print the version."`

	Serve    serveCommand    `cmd:"" help:"Serve the site."`
	Put      putCommand      `cmd:"" help:"Send a file to the results part."`
	Get      getCommand      `cmd:"" help:"Fetch a file from the results part."`
	Login    loginCommand    `cmd:"" help:"Log in, so that put and get need no token."`
	Logout   logoutCommand   `cmd:"" help:"Forget the login."`
	Token    tokenCommands   `cmd:"" help:"Make, list and revoke service tokens, beside the server."`
	User     userCommands    `cmd:"" help:"Look after the embedded provider's accounts, beside the server."`
	Settings settingCommands `cmd:"" name:"config" help:"Show the settings, or write the first ones."`
	Doctor   doctorCommand   `cmd:"" help:"Look for what is misconfigured, and say how to mend it."`
	Audit    auditCommands   `cmd:"" help:"Verify the audit log."`
	Migrate  migrateCommands `cmd:"" help:"Look at the database's schema, and bring it up to date."`
	Simulate simulateCommand `cmd:"" help:"Pretend to be a system that Lodge works with."`
}

// terminal is the world outside, handed in so that tests can bring their own.
type terminal struct {
	environ        []string
	getenv         func(string) string
	in             io.Reader
	out, errors    io.Writer
	now            func() time.Time
	home, operator string
}

func main() {
	if isApp(os.Args[1:]) {
		if err := runApp(os.Args[1:], os.Getenv, os.Stdout); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, "lodge:", err)
			os.Exit(127)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	t := &terminal{environ: os.Environ(), getenv: os.Getenv, in: os.Stdin, out: os.Stdout, errors: os.Stderr, now: time.Now, operator: "command line"}
	if dir, err := os.UserConfigDir(); err == nil {
		t.home = dir
	}
	if u, err := user.Current(); err == nil {
		t.operator = u.Username + " at the command line"
	}
	if err := run(ctx, os.Args[1:], t); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "lodge:", describe(err))
		os.Exit(1)
	}
}

// describe adds the findings about what was typed, which the error itself only counts.
func describe(err error) string {
	text := err.Error()
	var f *fault.Error
	if errors.As(err, &f) {
		for _, field := range f.Fields {
			text += fmt.Sprintf("\n  %s %s", strings.TrimPrefix(strings.Join(field.Loc, "."), "body."), field.Message)
		}
	}
	return text
}

// run does what the arguments say.
func run(ctx context.Context, args []string, t *terminal) error {
	var all commands
	ended := errors.New("help or the version was printed")
	parser, err := kong.New(&all,
		kong.Name("lodge"), kong.Description("The porter's lodge of an automated research site."),
		kong.Vars{"version": "lodge " + version}, kong.Writers(t.out, t.errors),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.Exit(func(int) { panic(ended) }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(t, &all),
	)
	if err != nil {
		return err
	}
	command, err := parse(parser, args, ended)
	if err != nil {
		if errors.Is(err, ended) {
			return nil
		}
		return fmt.Errorf("%w; `lodge --help` tells more", err)
	}
	return command.Run()
}

// parse turns kong's exit after --help and --version into an error.
func parse(parser *kong.Kong, args []string, ended error) (command *kong.Context, err error) {
	defer func() {
		if thrown := recover(); thrown == ended { //nolint:errorlint // it is this very value that Exit throws
			err = ended
		} else if thrown != nil {
			panic(thrown)
		}
	}()
	return parser.Parse(args)
}

// load reads the configuration with what the command line says on top.
func (c *commands) load(t *terminal, flags map[string]string) (*config.Loaded, error) {
	return c.loadServed(t, "", flags)
}

// loadServed is load for a server that may be a ServiceHub's heir.
func (c *commands) loadServed(t *terminal, serviceHub string, flags map[string]string) (*config.Loaded, error) {
	for key, value := range flags {
		if value == "" {
			delete(flags, key)
		}
	}
	return config.Load(config.Input{File: c.Config, ServiceHub: serviceHub, Environ: t.environ, DotEnv: ".env", Flags: flags})
}

// logger writes as the configuration says; commands beside the server tell of warnings alone.
func (t *terminal) logger(cfg *config.Loaded, serving bool) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Log.Level)); err != nil || !serving && level < slog.LevelWarn {
		level = slog.LevelWarn
	}
	options := &slog.HandlerOptions{Level: level}
	to := newLines(t.errors)
	if cfg.Log.Format == "json" {
		return slog.New(&patient{slog.NewJSONHandler(to, options), to})
	}
	return slog.New(&patient{slog.NewTextHandler(to, options), to})
}

// say prints for people; that a terminal is gone is no error of the command.
func (t *terminal) say(format string, args ...any) {
	_, _ = fmt.Fprintf(t.out, format, args...)
}
