package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"lodge/internal/access"
	"lodge/internal/identity"
	"lodge/internal/lodge"
)

type tokenCommands struct {
	Create tokenCreateCommand `cmd:"" help:"Make a token and print it, this once."`
	List   tokenListCommand   `cmd:"" help:"List tokens; what they are is kept nowhere."`
	Revoke tokenRevokeCommand `cmd:"" help:"Make a token worthless, within a second."`
}

type tokenCreateCommand struct {
	beside
	Name  string        `required:"" help:"What it is for; also its client_id, unless --claim says otherwise."`
	Role  []string      `help:"A role that it has; may be repeated." placeholder:"R"`
	Admin bool          `help:"Let it do everything."`
	Claim []string      `help:"A further claim, such as project_id=p7; may be repeated." placeholder:"K=V" sep:"none"`
	TTL   time.Duration `name:"ttl" help:"How long it is good, such as 720h (a year)." placeholder:"D"`
}

func (c *tokenCreateCommand) Run(ctx context.Context, t *terminal, all *commands) error {
	req := identity.TokenRequest{Name: c.Name, Admin: c.Admin, TTL: c.TTL, Claims: map[string]any{}}
	for _, role := range c.Role {
		req.Roles = append(req.Roles, access.Role(role))
	}
	for _, claim := range c.Claim {
		key, value, ok := strings.Cut(claim, "=")
		if !ok {
			return fmt.Errorf("--claim %s: write it as name=value", claim)
		}
		req.Claims[key] = claimValue(value)
	}
	return c.office(ctx, t, all, func(o *lodge.Office) error {
		jwt, err := o.CreateToken(ctx, t.operator, req)
		if err == nil {
			t.say("%s\n", jwt.Reveal())
		}
		return err
	})
}

// claimValue takes lists and truths as JSON, such as ["a","b"] and true, and all else as text: an
// id that is made of digits is still a text.
func claimValue(text string) any {
	var value any
	if json.Unmarshal([]byte(text), &value) == nil {
		switch value.(type) {
		case []any, map[string]any, bool:
			return value
		}
	}
	return text
}

type tokenListCommand struct{ beside }

func (c *tokenListCommand) Run(ctx context.Context, t *terminal, all *commands) error {
	return c.office(ctx, t, all, func(o *lodge.Office) error {
		tokens, err := o.Tokens(ctx, t.operator)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "ID\tNAME\tRIGHTS\tSTATE\tUSED")
		for _, token := range tokens {
			_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", token.ID, token.Name, rights(token), tokenState(token, t.now()), when(token.Used))
		}
		return table.Flush()
	})
}

func rights(t identity.Token) string {
	if t.Admin {
		return "administrator"
	}
	names := make([]string, len(t.Roles))
	for i, r := range t.Roles {
		names[i] = string(r)
	}
	return cmp.Or(strings.Join(names, ","), "-")
}

func tokenState(t identity.Token, now time.Time) string {
	switch {
	case t.Revoked != nil:
		return "revoked " + when(t.Revoked)
	case t.Expires != nil && t.Expires.Before(now):
		return "expired " + when(t.Expires)
	}
	return "good until " + when(t.Expires)
}

func when(at *time.Time) string {
	if at == nil || at.IsZero() {
		return "never"
	}
	return at.Local().Format("2006-01-02 15:04")
}

type tokenRevokeCommand struct {
	beside
	ID string `arg:"" help:"The token's id; lodge token list tells it."`
}

func (c *tokenRevokeCommand) Run(ctx context.Context, t *terminal, all *commands) error {
	return c.office(ctx, t, all, func(o *lodge.Office) error { return o.RevokeToken(ctx, t.operator, c.ID) })
}
