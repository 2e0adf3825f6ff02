package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"

	"lodge/internal/access"
	"lodge/internal/lodge"
	"lodge/internal/secret"
)

type userCommands struct {
	Add     userAddCommand     `cmd:"" help:"Make an account."`
	Passwd  userPasswdCommand  `cmd:"" help:"Give an account another password, and end its sessions."`
	List    userListCommand    `cmd:"" help:"List everybody with an account or seen here."`
	Disable userDisableCommand `cmd:"" help:"Keep somebody out, with all that they have open."`
	Enable  userEnableCommand  `cmd:"" help:"Let somebody in again."`
}

// password is asked for on a terminal, or read from standard input, unless it is given.
type password struct {
	Password string `help:"The password; asked for when it is not given. Others on this machine can see what is given here." placeholder:"P"`
}

func (p *password) read(t *terminal) (string, error) {
	if p.Password != "" {
		return p.Password, nil
	}
	if file, ok := t.in.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		_, _ = fmt.Fprint(t.errors, "Password: ")
		text, err := term.ReadPassword(int(file.Fd()))
		_, _ = fmt.Fprintln(t.errors)
		return string(text), err
	}
	line, err := bufio.NewReader(t.in).ReadString('\n')
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", errors.Join(errors.New("there is no password: give it by --password or on standard input"), err)
	}
	return line, nil
}

type userAddCommand struct {
	beside
	password
	Name  string   `arg:"" help:"The name to log in with."`
	Email string   `help:"Their e-mail address."`
	Admin bool     `help:"Let them do everything."`
	Role  []string `help:"A role that they have; may be repeated." placeholder:"R"`
}

func (c *userAddCommand) Run(ctx context.Context, t *terminal, all *commands) error {
	password, err := c.read(t)
	if err != nil {
		return err
	}
	n := lodge.NewPerson{Name: c.Name, Email: c.Email, Password: secret.String(password), Admin: c.Admin}
	for _, role := range c.Role {
		n.Roles = append(n.Roles, access.Role(role))
	}
	return c.office(ctx, t, all, func(o *lodge.Office) error { return o.AddPerson(ctx, t.operator, n) })
}

type userPasswdCommand struct {
	beside
	password
	Name string `arg:"" help:"The account."`
}

func (c *userPasswdCommand) Run(ctx context.Context, t *terminal, all *commands) error {
	password, err := c.read(t)
	if err != nil {
		return err
	}
	return c.office(ctx, t, all, func(o *lodge.Office) error {
		return o.SetPassword(ctx, t.operator, c.Name, secret.String(password))
	})
}

type userListCommand struct{ beside }

func (c *userListCommand) Run(ctx context.Context, t *terminal, all *commands) error {
	return c.office(ctx, t, all, func(o *lodge.Office) error {
		people, err := o.People(ctx, t.operator)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "NAME\tEMAIL\tRIGHTS\tSTATE\tSEEN\tID")
		for _, p := range people {
			_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", p.Name, p.Email, personRights(p), personState(p), when(&p.Seen), cmp.Or(p.ID, "-"))
		}
		return table.Flush()
	})
}

func personRights(u access.User) string {
	var list []string
	if u.Admin {
		list = append(list, "administrator")
	}
	for _, r := range u.Roles {
		list = append(list, string(r))
	}
	return cmp.Or(strings.Join(list, ","), "-")
}

func personState(u access.User) string {
	if u.Disabled {
		return "disabled"
	}
	return "active"
}

type userDisableCommand struct {
	beside
	Name string `arg:"" help:"The account's name, or the person's id."`
}

func (c *userDisableCommand) Run(ctx context.Context, t *terminal, all *commands) error {
	return c.office(ctx, t, all, func(o *lodge.Office) error { return o.SetDisabled(ctx, t.operator, c.Name, true) })
}

type userEnableCommand struct {
	beside
	Name string `arg:"" help:"The account's name, or the person's id."`
}

func (c *userEnableCommand) Run(ctx context.Context, t *terminal, all *commands) error {
	return c.office(ctx, t, all, func(o *lodge.Office) error { return o.SetDisabled(ctx, t.operator, c.Name, false) })
}
