package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"lodge/internal/client"
)

// tree shows a job: as a tree that is drawn over itself on a terminal, and a line for each change
// elsewhere.
type tree struct {
	out   io.Writer
	now   func() time.Time
	quiet bool
	live  bool
	size  func() (width, height int)
	drawn int // lines on the terminal
	seen  map[string]string
}

func newTree(t *terminal, quiet bool) *tree {
	v := &tree{out: t.errors, now: t.now, quiet: quiet, seen: map[string]string{}}
	if f, ok := isTerminal(t.errors); ok {
		v.live = true
		v.size = func() (int, int) {
			width, height, err := term.GetSize(int(f.Fd()))
			if err != nil {
				return 80, 24
			}
			return width, height
		}
	}
	return v
}

// marks are the phases as one sees them at a glance.
func mark(phase string) string {
	switch phase {
	case "Succeeded":
		return "✔"
	case "Running":
		return "●"
	case "Failed", "Error":
		return "✖"
	case "Skipped", "Omitted":
		return "–"
	default:
		return "○"
	}
}

// ordered are a job's nodes as they began, each graph before what is in it.
func ordered(j client.Job) []client.JobNode {
	// An element of a list stands below its group.
	group := map[string]string{}
	for _, g := range j.Status.Nodes {
		for _, id := range g.Children {
			if g.Type == "TaskGroup" && strings.HasPrefix(j.Status.Nodes[id].Name, g.Name+"(") {
				group[id] = g.ID
			}
		}
	}
	inside := map[string][]client.JobNode{}
	for _, n := range j.Status.Nodes {
		up := cmp.Or(group[n.ID], n.BoundaryID)
		inside[up] = append(inside[up], n)
	}
	var all []client.JobNode
	var walk func(up string)
	walk = func(up string) {
		list := inside[up]
		slices.SortFunc(list, func(a, b client.JobNode) int {
			return cmp.Or(a.StartedAt.Compare(b.StartedAt), strings.Compare(a.Name, b.Name))
		})
		for _, n := range list {
			all = append(all, n)
			walk(n.ID)
		}
	}
	walk("")
	return all
}

// pathOf is a node's place in its job.
func pathOf(n client.JobNode) string {
	_, path, ok := strings.Cut(n.Name, ".")
	if !ok {
		return n.DisplayName
	}
	return printable(path)
}

// depth is how many graphs a node stands in.
func depth(n client.JobNode) int { return strings.Count(pathOf(n), ".") }

func (v *tree) draw(j client.Job) {
	switch {
	case v.quiet:
	case v.live:
		v.over(j)
	default:
		v.changes(j)
	}
}

// changes writes a line for each node whose phase is another.
func (v *tree) changes(j client.Job) {
	for _, n := range ordered(j) {
		if n.ID == j.Metadata.Name || v.seen[n.ID] == n.Phase || n.Phase == "Pending" {
			continue
		}
		v.seen[n.ID] = n.Phase
		_, _ = fmt.Fprintln(v.out, v.line(n, pathOf(n)))
	}
}

func (v *tree) line(n client.JobNode, name string) string {
	text := fmt.Sprintf("%s %s  %s", mark(n.Phase), name, strings.ToLower(n.Phase))
	if n.Phase != "Pending" && n.Phase != "Skipped" && n.Phase != "Omitted" {
		text += "  " + since(n.StartedAt, n.FinishedAt, v.now())
	}
	if n.Message != "" {
		text += "  " + printable(n.Message)
	}
	return text
}

// over draws the tree anew over the old one, as much of it as there is room for: what runs and failed first.
func (v *tree) over(j client.Job) {
	width, height := v.size()
	var lines []string
	nodes := ordered(j)
	if room := height - 3; len(nodes) > room {
		nodes = slices.DeleteFunc(nodes, func(n client.JobNode) bool { return n.Phase == "Succeeded" || n.Phase == "Pending" })
		nodes = nodes[max(0, len(nodes)-room):]
	}
	for _, n := range nodes {
		if n.ID == j.Metadata.Name && n.Type != "Pod" {
			continue
		}
		lines = append(lines, cut(strings.Repeat("  ", depth(n))+v.line(n, printable(n.DisplayName)), width))
	}
	s := j.Status
	lines = append(lines, cut(fmt.Sprintf("%s %s  %s  %s", mark(s.Phase), strings.ToLower(s.Phase), s.Progress, since(s.StartedAt, s.FinishedAt, v.now())), width))
	var out strings.Builder
	if v.drawn > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", v.drawn)
	}
	for _, line := range lines {
		out.WriteString("\x1b[2K" + line + "\n")
	}
	out.WriteString("\x1b[J")
	v.drawn = len(lines)
	_, _ = io.WriteString(v.out, out.String())
}

func cut(line string, width int) string {
	if r := []rune(line); width > 1 && len(r) >= width {
		return string(r[:width-1])
	}
	return line
}

// done leaves what was drawn as it is.
func (v *tree) done() { v.drawn = 0 }
