package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"lodge/internal/client"
	"lodge/internal/fault"
	"lodge/internal/workflows/spec"
)

type workflowPushCommand struct {
	remote
	File string `arg:"" help:"The component or workflow as JSON; - reads standard input." placeholder:"FILE"`
	Save bool   `help:"Write what the server keeps back to the file, with its uid and version."`
}

func (c *workflowPushCommand) Run(ctx context.Context, t *terminal) error {
	text, err := readFile(t, c.File)
	if err != nil {
		return err
	}
	doc, findings := spec.ReadDocument(text)
	if len(findings) > 0 {
		return fmt.Errorf("%s cannot be read:\n%s", c.File, findings)
	}
	var kind, member string
	var meta *spec.Metadata
	var document any
	switch {
	case doc.Component != nil:
		kind, member, meta, document = "components", "component", &doc.Component.Metadata, doc.Component
	case doc.Workflow != nil:
		kind, member, meta, document = "workflows", "workflow", &doc.Workflow.Metadata, doc.Workflow
	default:
		return errors.New(c.File + " is a job: `lodge run` runs it")
	}
	lodge, err := c.client(t)
	if err != nil {
		return err
	}
	defer lodge.Close()
	stored, err := push(ctx, lodge, kind, member, meta, document)
	if err != nil {
		return err
	}
	var kept spec.Metadata
	if err := json.Unmarshal(stored, &kept); err != nil {
		return fmt.Errorf("the server's answer cannot be read: %w", err)
	}
	if c.Save && c.File != "-" {
		if err := saveOne(c.File, func(to io.Writer) error { return indent(to, stored) }); err != nil {
			return err
		}
	}
	t.say("%s %s version %d\n", member, kept.UID, kept.Version.Current)
	return nil
}

// push publishes a document that the server has, and makes one that it has not.
func push(ctx context.Context, lodge *client.Client, kind, member string, meta *spec.Metadata, document any) (json.RawMessage, error) {
	request := func() ([]byte, error) { return spec.Encode(map[string]any{member: document}) }
	uid := meta.UID.String()
	if meta.UID != uuid.Nil {
		switch _, err := lodge.Document(ctx, kind, uid, 0); {
		case err == nil:
			body, err := request()
			if err != nil {
				return nil, err
			}
			if err := lodge.Publish(ctx, kind, uid, body); err != nil {
				return nil, err
			}
			return lodge.Document(ctx, kind, uid, 0)
		case !fault.Is(err, fault.Missing):
			return nil, err
		}
	}
	// The server gives the uid and counts the versions.
	meta.UID, meta.Version = uuid.Nil, spec.Version{Tags: meta.Version.Tags}
	body, err := request()
	if err != nil {
		return nil, err
	}
	return lodge.Create(ctx, kind, body)
}

type workflowPullCommand struct {
	remote
	UID  string `arg:"" help:"The document's uid; UID@3 is its third version." placeholder:"UID"`
	Kind string `help:"What to look for: component, or workflow." enum:"any,component,workflow" default:"any"`
	Out  string `short:"o" help:"Where to write; standard output otherwise." placeholder:"FILE"`
}

func (c *workflowPullCommand) Run(ctx context.Context, t *terminal) error {
	uid, number, has := strings.Cut(c.UID, "@")
	version := 0
	if has {
		var err error
		if version, err = strconv.Atoi(number); err != nil || version < 1 {
			return fmt.Errorf("%q is no version", number)
		}
	}
	lodge, err := c.client(t)
	if err != nil {
		return err
	}
	defer lodge.Close()
	var text json.RawMessage
	for _, kind := range []string{"component", "workflow"} {
		if c.Kind != "any" && c.Kind != kind {
			continue
		}
		if text, err = lodge.Document(ctx, kind+"s", uid, version); err == nil || !fault.Is(err, fault.Missing) {
			break
		}
	}
	if err != nil {
		return err
	}
	if c.Out == "" {
		return indent(t.out, text)
	}
	return saveOne(c.Out, func(to io.Writer) error { return indent(to, text) })
}

// indent writes JSON for people.
func indent(to io.Writer, text []byte) error {
	var out bytes.Buffer
	if err := json.Indent(&out, bytes.TrimSpace(text), "", "  "); err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err := to.Write(out.Bytes())
	return err
}
