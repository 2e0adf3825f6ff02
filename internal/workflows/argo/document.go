package argo

import (
	"strings"

	"lodge/internal/workflows/spec"
)

// Manifest writes the document of a file as the YAML of a Workflow, with the components that load
// finds. What keeps it from being run is a finding, and then there is no YAML. A component or a
// workflow is written as a job without input values, to be given when it is submitted.
func Manifest(text []byte, load spec.Loader) ([]byte, spec.Findings, error) {
	doc, findings := spec.ReadDocument(text)
	if len(findings) > 0 {
		return nil, findings, nil
	}
	lib, findings, err := spec.CheckDocument(doc, load)
	if err != nil || len(findings.KeepFromRunning()) > 0 {
		return nil, findings, err
	}
	w, err := Transpile(doc.AsJob(), lib, doc.Options.Tags)
	if err != nil {
		return nil, append(findings, spec.Finding{Code: spec.CodeValue, Severity: spec.Error, Message: err.Error()}), nil //nolint:nilerr // it is about the document
	}
	w.Limit(doc.Options)
	wrong := Findings(w, doc.Job == nil)
	if findings = append(findings, wrong...); len(wrong) > 0 {
		return nil, findings, nil
	}
	yaml, err := w.YAML()
	return yaml, findings, err
}

// Prepare writes a job, which has passed spec.CheckJob, as the JSON of a Workflow. What Argo would
// refuse is a finding.
func Prepare(j *spec.Job, lib *spec.Library, options spec.JobOptions) ([]byte, spec.Findings, error) {
	w, err := Transpile(j, lib, options.Tags)
	if err != nil {
		return nil, spec.Findings{{Code: spec.CodeValue, Severity: spec.Error, Message: err.Error()}}, nil //nolint:nilerr // it is about the document
	}
	if wrong := Findings(w, false); len(wrong) > 0 {
		return nil, wrong, nil
	}
	text, err := w.JSON()
	return text, nil, err
}

// Findings are what Argo would refuse, as findings about the document. With open, input values may
// still be given.
func Findings(w *Workflow, open bool) spec.Findings {
	var all spec.Findings
	for _, p := range Check(w) {
		if open && p.Pointer == "/spec/arguments" && strings.HasSuffix(p.Message, "was not supplied") {
			continue
		}
		code := spec.CodeReference
		if p.Pointer == "" {
			code = spec.CodeSize
		}
		all = append(all, spec.Finding{Code: code, Severity: spec.Error, Message: "Argo would refuse this: " + p.String()})
	}
	return all
}
