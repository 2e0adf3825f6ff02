package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"

	"lodge/internal/client"
	"lodge/internal/workflows/spec"
)

type runCommand struct {
	remote
	File      string   `arg:"" help:"A component, workflow or job as JSON; - reads standard input." placeholder:"FILE"`
	Parameter []string `short:"p" sep:"none" help:"An input value; @FILE takes it from a file. A list is written as JSON, or element by element." placeholder:"NAME=VALUE"`
	Workspace string   `help:"Where to run it; that of the file, or the only one that you may use." env:"LODGE_WORKSPACE" placeholder:"NAME"`
	Watch     bool     `short:"w" help:"Show the job until it has ended, and save what it gives."`
	Output    string   `short:"o" help:"The folder for what the job gives; waits for it." placeholder:"DIR"`
	Logs      bool     `help:"Print what the steps wrote when the job has ended."`
	Timeout   int      `help:"End the job after so many seconds." placeholder:"SECONDS"`
	Retries   int      `help:"How often a step that fails is run again." placeholder:"N"`
}

// errJobFailed is the end of a job that did not succeed. What became of it has been said.
type errJobFailed struct{ phase, message string }

func (e *errJobFailed) Error() string {
	if e.message == "" {
		return "the job ended as " + e.phase
	}
	return "the job ended as " + e.phase + ": " + e.message
}

func (c *runCommand) Run(ctx context.Context, t *terminal) error {
	lodge, err := c.client(t)
	if err != nil {
		return err
	}
	defer lodge.Close()
	request, err := c.request(ctx, t, lodge)
	if err != nil {
		return err
	}
	uid, err := lodge.SubmitJob(ctx, request)
	if err != nil {
		return err
	}
	if !c.Watch && c.Output == "" && !c.Logs {
		t.say("%s\n", uid)
		return nil
	}
	show := newTree(t, c.Quiet || !c.Watch)
	_, _ = fmt.Fprintf(t.errors, "job %s\n", uid)
	var last client.Job
	err = lodge.Watch(ctx, uid, func(j client.Job) {
		last = j
		show.draw(j)
	})
	show.done()
	if err != nil {
		return fmt.Errorf("the job %s goes on without us: %w", uid, err)
	}
	failed := last.Status.Phase != "Succeeded"
	if c.Logs || failed {
		c.logs(ctx, t, lodge, uid, last, failed && !c.Logs)
	}
	if failed {
		return &errJobFailed{last.Status.Phase, last.Status.Message}
	}
	return c.save(ctx, t, lodge, uid)
}

// request is the job as it is posted.
func (c *runCommand) request(ctx context.Context, t *terminal, lodge *client.Client) ([]byte, error) {
	text, err := readFile(t, c.File)
	if err != nil {
		return nil, err
	}
	doc, findings := spec.ReadDocument(text)
	if len(findings) > 0 {
		return nil, fmt.Errorf("%s cannot be read:\n%s", c.File, findings)
	}
	job, options := doc.AsJob(), doc.Options
	if c.Timeout > 0 {
		options.Timeout = c.Timeout
	}
	if c.Retries > 0 {
		options.Retries = c.Retries
	}
	if err := c.values(job); err != nil {
		return nil, err
	}
	if job.Workflow.Workspace = cmp.Or(c.Workspace, job.Workflow.Workspace); job.Workflow.Workspace == "" {
		names, err := lodge.Workspaces(ctx)
		if err != nil {
			return nil, err
		}
		if len(names) != 1 {
			return nil, fmt.Errorf("name the workspace with --workspace: you may use %s", orNone(names))
		}
		job.Workflow.Workspace = names[0]
	}
	return spec.Encode(map[string]any{"job": job, "options": options})
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func readFile(t *terminal, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(t.in)
	}
	return os.ReadFile(name)
}

// values puts the parameters of the command line into the job.
func (c *runCommand) values(job *spec.Job) error {
	given := map[string]bool{}
	for _, p := range c.Parameter {
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			return fmt.Errorf("-p %s: write NAME=VALUE", p)
		}
		input, ok := job.Workflow.Component.Input(name)
		if !ok {
			return fmt.Errorf("-p %s: there is no input %q; there are %s", p, name, orNone(inputNames(job.Workflow.Component)))
		}
		if file, ok := strings.CutPrefix(value, "@"); ok {
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			value = strings.TrimSuffix(string(text), "\n")
		}
		v := spec.InputText{Text: value}
		if input.Type == spec.ParameterArray {
			v = spec.InputText{List: []string{value}}
			if strings.HasPrefix(value, "[") {
				if err := json.Unmarshal([]byte(value), &v.List); err != nil {
					return fmt.Errorf("-p %s: a list is written as [\"a\",\"b\"]", name)
				}
			}
		}
		job.InputValues = put(job.InputValues, spec.Value{Target: name, Value: v}, given[name])
		given[name] = true
	}
	return nil
}

func inputNames(c *spec.Component) (names []string) {
	for _, d := range c.Inputs {
		names = append(names, d.Name)
	}
	return names
}

// put sets a value; a list that was given before goes on.
func put(all []spec.Value, v spec.Value, goOn bool) []spec.Value {
	for i := range all {
		if all[i].Target != v.Target {
			continue
		}
		if goOn && v.Value.List != nil {
			v.Value.List = append(all[i].Value.List, v.Value.List...)
		}
		all[i] = v
		return all
	}
	return append(all, v)
}

// lastLines is how much of a step's log is shown when it failed.
const lastLines = 20

// logs prints what steps wrote; of those that failed alone, and their last lines.
func (c *runCommand) logs(ctx context.Context, t *terminal, lodge *client.Client, uid string, j client.Job, failed bool) {
	for _, n := range ordered(j) {
		if n.Type != "Pod" || failed && n.Phase != "Failed" && n.Phase != "Error" {
			continue
		}
		var text strings.Builder
		if err := lodge.Log(ctx, uid, n.ID, &text); err != nil || text.Len() == 0 {
			continue
		}
		lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
		if failed && len(lines) > lastLines {
			lines = lines[len(lines)-lastLines:]
		}
		_, _ = fmt.Fprintf(t.errors, "── %s\n", pathOf(n))
		for _, line := range lines {
			_, _ = fmt.Fprintln(t.errors, printable(line))
		}
	}
}

// printable keeps a step from taking the terminal over.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 {
			return -1
		}
		return r
	}, text)
}

// save writes the job's outputs into a folder.
func (c *runCommand) save(ctx context.Context, t *terminal, lodge *client.Client, uid string) error {
	outputs, err := lodge.Outputs(ctx, uid)
	if err != nil || len(outputs) == 0 {
		return err
	}
	dir := cmp.Or(c.Output, ".")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for _, o := range outputs {
		// The name is a port's, without slashes; the kind of file follows from what it was called.
		name := o.Name + ".txt"
		if o.Type == "artifact" {
			name = o.Name + filepath.Ext(filepath.Base(o.File))
		}
		path := filepath.Join(dir, filepath.Base(name))
		if err := saveOne(path, func(to io.Writer) error { return lodge.Output(ctx, uid, o.Name, to) }); err != nil {
			return err
		}
		t.say("%s\n", path)
	}
	return nil
}

// saveOne writes a file whole or not at all.
func saveOne(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".lodge-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	err = write(f)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// since is how long something took, or takes.
func since(started time.Time, finished *time.Time, now time.Time) string {
	if started.IsZero() {
		return ""
	}
	end := now
	if finished != nil {
		end = *finished
	}
	d := max(end.Sub(started), 0)
	if d < 10*time.Second {
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// isTerminal says whether people look at what is written there.
func isTerminal(w io.Writer) (*os.File, bool) {
	f, ok := w.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}
