package main

import (
	"context"
	"errors"

	"lodge/internal/lodge"
)

// beside is what the commands have in common that administer a site without a login: whoever owns
// the data folder may do everything anyway.
type beside struct {
	Data string `help:"The site's data folder (./lodge-data)." placeholder:"DIR"`
}

// office opens the site for the length of a function.
func (b *beside) office(ctx context.Context, t *terminal, all *commands, do func(*lodge.Office) error) error {
	cfg, err := all.load(t, map[string]string{"data": b.Data})
	if err != nil {
		return err
	}
	office, err := lodge.OpenOffice(ctx, cfg, t.now, t.logger(cfg, false))
	if err != nil {
		return err
	}
	return errors.Join(do(office), office.Close())
}
