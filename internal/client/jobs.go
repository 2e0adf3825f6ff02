package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"lodge/internal/fault"
)

// workflows gives an address of the workflows part's API. Elements are what stands between slashes;
// an empty one at the end makes the slash that lists end in.
func (c *Client) workflows(ctx context.Context, elements ...string) (string, error) {
	return c.below(ctx, "workflows", "/livez", append([]string{"api", "v1"}, elements...)...)
}

// call sends a document and reads the answer; into may be nil.
func (c *Client) call(ctx context.Context, method string, body []byte, into any, elements ...string) (http.Header, error) {
	address, err := c.workflows(ctx, elements...)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeoutCause(ctx, c.cfg.Idle, errSlow)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if err := c.authorize(req); err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.failure(ctx, err)
	}
	defer drain(resp)
	if resp.StatusCode/100 != 2 {
		return nil, refused(resp)
	}
	if into != nil {
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			return nil, c.failure(ctx, err)
		}
	}
	return resp.Header, nil
}

// Workspaces lists the workspaces where the caller may run jobs.
func (c *Client) Workspaces(ctx context.Context) (names []string, err error) {
	var list struct {
		Items []struct {
			Name  string
			Roles []string
		}
	}
	if _, err := c.call(ctx, http.MethodGet, nil, &list, "workspaces", ""); err != nil {
		return nil, err
	}
	for _, w := range list.Items {
		for _, r := range w.Roles {
			if r == "ws-collaborator" {
				names = append(names, w.Name)
			}
		}
	}
	return names, nil
}

// SubmitJob submits a job as it is posted, and gives its uid.
func (c *Client) SubmitJob(ctx context.Context, request []byte) (uid string, err error) {
	head, err := c.call(ctx, http.MethodPost, request, nil, "jobs", "")
	if err != nil {
		return "", err
	}
	return lastElement(head.Get("Location")), nil
}

// Terminate stops a job.
func (c *Client) Terminate(ctx context.Context, uid string) error {
	_, err := c.call(ctx, http.MethodPost, []byte("{}"), nil, "jobs", uid, "terminate")
	return err
}

// Document reads a component or a workflow as it is stored; version 0 is the newest.
func (c *Client) Document(ctx context.Context, kind, uid string, version int) (json.RawMessage, error) {
	elements := []string{kind, uid}
	if version > 0 {
		elements = append(elements, strconv.Itoa(version))
	}
	var text json.RawMessage
	_, err := c.call(ctx, http.MethodGet, nil, &text, elements...)
	return text, err
}

// Publish makes a document a new version of the one with its uid.
func (c *Client) Publish(ctx context.Context, kind, uid string, request []byte) error {
	_, err := c.call(ctx, http.MethodPut, request, nil, kind, uid)
	return err
}

// Create makes a new document, and gives it as it is stored.
func (c *Client) Create(ctx context.Context, kind string, request []byte) (json.RawMessage, error) {
	var text json.RawMessage
	_, err := c.call(ctx, http.MethodPost, request, &text, kind, "")
	return text, err
}

// Job is where a job stands.
type Job struct {
	Metadata struct {
		Name, Namespace string
		Annotations     map[string]string
	}
	Status struct {
		Phase, Message, Progress string
		StartedAt                time.Time
		FinishedAt               *time.Time
		Nodes                    map[string]JobNode
	}
}

// JobNode is one thing that happens in a job.
type JobNode struct {
	ID, Name, DisplayName, Type, Phase, Message, BoundaryID string
	StartedAt                                               time.Time
	FinishedAt                                              *time.Time
	Children                                                []string
}

// Over says whether the job has ended.
func (j Job) Over() bool { return j.Status.FinishedAt != nil }

// Watch tells of a job's changes until it has ended. It goes on where a connection broke.
func (c *Client) Watch(ctx context.Context, uid string, tell func(Job)) error {
	address, err := c.workflows(ctx, "jobs", uid, "events", "")
	if err != nil {
		return err
	}
	last, failures := "", 0
	for {
		over, heard, err := c.listen(ctx, address, &last, tell)
		if over {
			return nil
		}
		if heard {
			failures = 0
		}
		if failures++; failures > c.cfg.Attempts || ctx.Err() != nil || err != nil && !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Timeout) {
			if err == nil {
				err = fault.New(fault.Unavailable, "Lodge stopped telling of the job %s.", uid)
			}
			return err
		}
		pause := time.NewTimer(c.cfg.Pause << min(failures-1, 5))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return c.failure(ctx, ctx.Err())
		}
	}
}

// maxEvent bounds one event: a job of many nodes is long.
const maxEvent = 256 << 20

// listen reads events of one connection.
func (c *Client) listen(ctx context.Context, address string, last *string, tell func(Job)) (over, heard bool, err error) {
	ctx, progress, stop := c.watch(ctx)
	defer stop()
	head := http.Header{"Accept": {"text/event-stream"}}
	if *last != "" {
		head.Set("Last-Event-ID", *last)
	}
	resp, err := c.get(ctx, address, head)
	if err != nil {
		return false, false, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode/100 != 2 {
		return false, false, refused(resp)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 64<<10), maxEvent)
	for lines.Scan() {
		progress()
		line := lines.Text()
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			*last = id
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		var j Job
		if err := json.Unmarshal([]byte(data), &j); err != nil {
			return false, heard, fault.Wrap(err, fault.Upstream, "Lodge told of the job what cannot be read")
		}
		heard = true
		if tell(j); j.Over() {
			return true, true, nil
		}
	}
	if err := lines.Err(); err != nil {
		return false, heard, c.failure(ctx, err)
	}
	return false, heard, nil
}

// JobOutput is what a job gives.
type JobOutput struct {
	Name, Type, Value, File string
	Size                    int64
}

// Outputs lists what a job has given.
func (c *Client) Outputs(ctx context.Context, uid string) ([]JobOutput, error) {
	var list struct{ Items []JobOutput }
	_, err := c.call(ctx, http.MethodGet, nil, &list, "jobs", uid, "outputs", "")
	return list.Items, err
}

// Output copies one of a job's outputs.
func (c *Client) Output(ctx context.Context, uid, name string, to io.Writer) error {
	return c.copy(ctx, to, "jobs", uid, "outputs", name)
}

// Log copies what a node of a job has written.
func (c *Client) Log(ctx context.Context, uid, node string, to io.Writer) error {
	return c.copy(ctx, to, "jobs", uid, "logs", node, "text")
}

func (c *Client) copy(ctx context.Context, to io.Writer, elements ...string) error {
	address, err := c.workflows(ctx, elements...)
	if err != nil {
		return err
	}
	ctx, progress, stop := c.watch(ctx)
	defer stop()
	resp, err := c.get(ctx, address, nil)
	if err != nil {
		return err
	}
	defer drain(resp)
	if resp.StatusCode/100 != 2 {
		return refused(resp)
	}
	written, err := io.Copy(to, &heartbeat{resp.Body, progress})
	if err == nil && resp.ContentLength >= 0 && written != resp.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	var own *url.Error
	if err != nil && (errors.As(err, &own) || ctx.Err() != nil || errors.Is(err, io.ErrUnexpectedEOF)) {
		return c.failure(ctx, err)
	}
	return err
}

// heartbeat tells that something came.
type heartbeat struct {
	from io.Reader
	tell func()
}

func (h *heartbeat) Read(p []byte) (int, error) {
	n, err := h.from.Read(p)
	h.tell()
	return n, err
}
