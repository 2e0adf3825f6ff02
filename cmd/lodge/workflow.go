package main

import (
	"errors"
	"fmt"
	"os"

	"lodge/internal/workflows/argo"
	"lodge/internal/workflows/spec"
)

type workflowCommands struct {
	Validate  workflowValidateCommand  `cmd:"" help:"Say everything that is wrong with a component, workflow or job."`
	Transpile workflowTranspileCommand `cmd:"" help:"Write a component, workflow or job as an Argo Workflow."`
	Push      workflowPushCommand      `cmd:"" help:"Keep a component or workflow on a server: as a new version if it is there."`
	Pull      workflowPullCommand      `cmd:"" help:"Fetch a component or workflow from a server."`
}

// workflowFile is a document with the components that it refers to. No server is asked.
type workflowFile struct {
	File string   `arg:"" help:"The document as JSON; - reads standard input." placeholder:"FILE"`
	With []string `help:"Components that the document refers to." placeholder:"FILE" type:"existingfile"`
}

// read reads the document's text, and its components.
func (f workflowFile) read(t *terminal) ([]byte, spec.Loader, error) {
	var components []*spec.Component
	for _, name := range f.With {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, nil, err
		}
		doc, findings := spec.ReadDocument(text)
		if len(findings) > 0 {
			return nil, nil, fmt.Errorf("%s:\n%s", name, findings)
		}
		if doc.Component == nil {
			return nil, nil, fmt.Errorf("%s is no component", name)
		}
		components = append(components, doc.Component)
	}
	text, err := readFile(t, f.File)
	return text, spec.Shelf(components...), err
}

type workflowValidateCommand struct{ workflowFile }

func (c *workflowValidateCommand) Run(t *terminal) error {
	text, load, err := c.read(t)
	if err != nil {
		return err
	}
	doc, findings := spec.ReadDocument(text)
	if len(findings) == 0 {
		if _, findings, err = spec.CheckDocument(doc, load); err != nil {
			return err
		}
	}
	for _, f := range findings {
		t.say("%s: %s\n", f.Severity, f)
	}
	bad := findings.KeepFromPublishing()
	if doc.Job != nil {
		bad = findings.KeepFromRunning()
	}
	if len(bad) > 0 {
		return fmt.Errorf("%s is not valid", c.File)
	}
	t.say("%s is valid.\n", c.File)
	return nil
}

type workflowTranspileCommand struct{ workflowFile }

func (c *workflowTranspileCommand) Run(t *terminal) error {
	text, load, err := c.read(t)
	if err != nil {
		return err
	}
	yaml, findings, err := argo.Manifest(text, load)
	if err != nil {
		return err
	}
	if yaml == nil {
		return errors.New(c.File + " cannot be run:\n" + findings.KeepFromRunning().String())
	}
	t.say("%s", yaml)
	return nil
}
