package results

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"lodge/internal/access"
	"lodge/internal/audit"
	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/results/hub"
)

// author finds the analysis in whose name the caller submits: its own, or the one that a person names
// and may write for. typ is the bucket that the result is for.
func (s *Service) author(ctx context.Context, typ hub.BucketType, named string) (actor, error) {
	who, err := s.identify(ctx)
	if err != nil {
		return actor{}, err
	}
	if who.isAnalysis && (named == "" || named == who.analysis) {
		project, err := s.projectNow(ctx, who.analysis)
		if err != nil {
			return actor{}, bucketMissing(err, typ, who.analysis)
		}
		// The rule needs no project: every analysis may submit its own results.
		group := nameOr(project, who.analysis)
		rule, err := s.require(asAnalysis(ctx, group), Write, group, "analysis/"+who.analysis)
		return actor{who, project, rule}, err
	}
	if named == "" {
		return actor{}, fault.InvalidFields(missingField("query", "analysis_id"))
	}
	project, err := s.projectOf(ctx, named)
	if err != nil {
		return actor{}, err
	}
	rule, err := s.require(ctx, Write, project, "analysis/"+named)
	who.analysis = named
	return actor{who, project, rule}, err
}

// projectNow is the project of an analysis if that is known without waiting for the hub, or "".
// fault.Missing says that there can be no such analysis.
func (s *Service) projectNow(ctx context.Context, analysis string) (string, error) {
	if s.hub == nil {
		return s.projectOf(ctx, analysis)
	}
	id, ok := parseUUID(analysis)
	if !ok {
		return "", fault.New(fault.Missing, "Analysis with ID %s not found", analysis)
	}
	return s.projects.peek(id), nil
}

// bucketMissing says of an analysis that does not exist what the original says: that it has no bucket.
func bucketMissing(err error, typ hub.BucketType, analysis string) error {
	if !fault.Is(err, fault.Missing) {
		return err
	}
	name := "Result"
	if typ == hub.Temp {
		name = "Temp"
	}
	return fault.Wrap(err, fault.Missing, "%s bucket for analysis with ID %s was not found", name, analysis)
}

// submission is what became of a final result.
type submission struct {
	// ID is the upload's; "" when it went to the hub without the queue.
	ID string
	// Waits says that it is accepted and not on the hub yet, Why what the first attempt failed by.
	Waits bool
	Why   string
}

// submit queues a stored final result and waits a while for its delivery. The result is safe once its
// rows are, whatever the hub does.
func (s *Service) submit(ctx context.Context, who actor, kind string, d *draft) (submission, error) {
	d.Project, d.Client = who.project, who.analysis
	u := upload{
		ID: d.ID, FileID: d.ID, Kind: kind, Analysis: canonicalOr(who.analysis), Project: who.project,
		Filename: d.Filename, Size: d.Size, Created: d.Created,
	}
	heard, forget := s.expect(u.ID)
	defer forget()
	err := s.store.db.Tx(ctx, func(tx *database.Tx) error {
		if err := s.store.insertFile(ctx, tx, d.storedFile); err != nil {
			return err
		}
		if err := s.store.insertUpload(ctx, tx, u); err != nil {
			return err
		}
		if err := s.queue.Add(ctx, tx, uploadKind, u.ID, d.Created); err != nil {
			return err
		}
		return s.audit.Record(ctx, tx, audit.Entry{
			Action: string(Write), Group: nameOr(who.project, string(access.Site)), Object: "uploads/" + u.ID,
			Outcome: audit.Allowed, Rule: who.rule, Detail: detail(d.storedFile, nil),
		})
	})
	if err != nil {
		return submission{}, fmt.Errorf("queue final result: %w", err)
	}
	d.key = "" // the rows speak of it
	s.cfg.Changed("uploads", who.project, u.ID)
	if s.hub == nil {
		return submission{ID: u.ID, Waits: true}, nil
	}
	s.queue.Wake(uploadKind)
	waits, why, err := s.await(ctx, u.ID, heard)
	if err != nil {
		// The hub will never take it, and the caller is told so: nothing of it stays.
		if gone := s.removeUpload(context.WithoutCancel(ctx), u.ID, "analysis/"+who.analysis, "the hub refused it"); gone != nil {
			return submission{}, errors.Join(err, gone)
		}
		return submission{}, hubFault(bucketMissing(err, hub.Result, who.analysis))
	}
	return submission{ID: u.ID, Waits: waits, Why: why}, nil
}

// maxNumber is far more than any number needs that somebody wants to protect.
const maxNumber = 64 << 10

// noised gives the one number that a file is to contain back with noise, as text.
func noised(raw string, p privacy) (string, error) {
	value, ok := parseFloat([]byte(raw))
	if !ok || len(raw) > maxNumber {
		return "", fault.New(fault.Invalid, "Uploaded file must contain a single numerical value.")
	}
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return "", fault.New(fault.Invalid, "The value in the file must be finite")
	}
	scale, err := p.scale()
	if err != nil {
		return "", err
	}
	noised, err := addNoise(rand.Reader, value, scale)
	if err != nil {
		return "", err
	}
	return formatFloat(noised), nil
}

// submitNumber queues a noised number as a final result, or sends it at once where there is no queue.
func (s *Service) submitNumber(ctx context.Context, who actor, filename, text string) (submission, error) {
	if s.cfg.MaxSubmissions > 0 {
		if err := s.store.countSubmission(ctx, who.analysis, s.cfg.MaxSubmissions, s.now()); err != nil {
			return submission{}, err
		}
	}
	if s.cfg.NoQueue {
		return submission{}, s.sendFinal(ctx, who, content{
			filename: filename, contentType: octetStream, size: int64(len(text)),
			open: func() (io.Reader, error) { return strings.NewReader(text), nil },
		})
	}
	d, take := s.receive(ctx, kindFinal, finalKey, func(form, part) error { return nil })
	if err := take(nil, part{filename: filename, contentType: octetStream, body: strings.NewReader(text)}); err != nil {
		return submission{}, err
	}
	sub, err := s.submit(ctx, who, uploadNoised, d)
	if err != nil {
		s.discard(ctx, d.key)
	}
	return sub, err
}

const octetStream = "application/octet-stream"

// sendFinal sends a final result without the queue.
func (s *Service) sendFinal(ctx context.Context, who actor, c content) error {
	f, err := s.sendNow(ctx, hub.Result, who.analysis, c)
	if err != nil {
		return err
	}
	return s.recordSent(ctx, who, f, c)
}

// recordSent writes down that a file went to the hub. It is there by now, so the caller's patience does
// not matter.
func (s *Service) recordSent(ctx context.Context, who actor, f hub.File, c content) error {
	ctx = context.WithoutCancel(ctx)
	return s.store.db.Tx(ctx, func(tx *database.Tx) error {
		return s.audit.Record(ctx, tx, audit.Entry{
			Action: string(Write), Group: nameOr(who.project, string(access.Site)), Object: "hub/" + f.ID, Outcome: audit.Allowed, Rule: who.rule,
			Detail: fmt.Sprintf("file %q, %d bytes, of analysis %s", c.filename, c.size, who.analysis),
		})
	})
}
