package results

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"lodge/internal/audit"
	"lodge/internal/database"
	"lodge/internal/fault"
)

var tagSyntax = regexp.MustCompile(`^(?:[a-z0-9]{1,2}|[a-z0-9][a-z0-9-]{0,30}[a-z0-9])$`)

// checkTag refuses what is no tag: up to 32 of a–z, 0–9 and hyphens, no hyphen at either end.
func checkTag(tag string) error {
	if !tagSyntax.MatchString(tag) {
		return fault.New(fault.Invalid, "Invalid tag `%s`", tag)
	}
	return nil
}

// tagLocal gives a stored result another tag.
func (s *Service) tagLocal(ctx context.Context, id, tag, filename string) (string, error) {
	if err := checkTag(tag); err != nil {
		return "", err
	}
	f, who, err := s.findLocal(ctx, Write, id, "")
	if err != nil {
		return "", err
	}
	var recorded string
	err = s.store.db.Tx(ctx, func(tx *database.Tx) error {
		client, known, err := s.store.resultOf(ctx, tx, id)
		switch {
		case errors.Is(err, errNoRow):
			client = nameOr(f.Client, who.name)
			recorded = nameOr(filename, nameOr(f.Filename, unnamed))
		case err != nil:
			return err
		case filename != "" && filename != known:
			return fault.New(fault.Invalid, "Object with ID %s has the file name '%s' already, it cannot become '%s'", id, known, filename)
		default:
			recorded = known
		}
		if err := checkName(recorded, maxTaggedName); err != nil {
			return err
		}
		if err := s.store.tagObject(ctx, tx, tag, f.Project, client, id, recorded); err != nil {
			return err
		}
		return s.audit.Record(ctx, tx, audit.Entry{
			Action: string(Write), Group: f.Project, Object: "local/" + id, Outcome: audit.Allowed, Rule: who.rule, Detail: "tag " + tag,
		})
	})
	if err != nil {
		return "", fmt.Errorf("tag local result: %w", err)
	}
	s.cfg.Changed("files", f.Project, id)
	return recorded, nil
}
