package spec

// Shelf loads from components that are at hand, such as those of files.
func Shelf(components ...*Component) Loader {
	byRef := map[CRefVersion]*Component{}
	for _, c := range components {
		byRef[CRefVersion{c.UID, c.Version.Current}] = c
		newest := CRefVersion{UID: c.UID}
		if known := byRef[newest]; known == nil || known.Version.Current <= c.Version.Current {
			byRef[newest] = c
		}
	}
	return func(r CRefVersion) (*Component, error) { return byRef[r], nil }
}

// Root is the component that the document is about.
func (d Document) Root() *Component {
	switch {
	case d.Component != nil:
		return d.Component
	case d.Workflow != nil:
		return d.Workflow.Component
	case d.Job != nil:
		return d.Job.Workflow.Component
	default:
		return nil
	}
}

// AsJob is the document as a job: what is none yet becomes one without input values.
func (d Document) AsJob() *Job {
	w := d.Workflow
	switch {
	case d.Job != nil:
		return d.Job
	case w == nil:
		w = &Workflow{Metadata: Metadata{Name: d.Component.Name}, Component: d.Component}
	}
	return &Job{Workflow: w}
}

// CheckDocument checks what was read without findings, with the components that load finds. For a
// component or a workflow the input values of a run are still open.
func CheckDocument(d Document, load Loader) (*Library, Findings, error) {
	lib, err := Gather(d.Root(), load)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case d.Job != nil:
		return lib, CheckJob(d.Job, lib), nil
	case d.Workflow != nil:
		return lib, CheckWorkflow(d.Workflow, lib), nil
	default:
		return lib, Check(d.Component, lib), nil
	}
}
