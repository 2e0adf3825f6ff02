package workflows

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"lodge/internal/fault"
	"lodge/internal/httpapi"
)

// mainLogs is the artifact that pages know a node's whole log by.
const mainLogs = "main-logs"

// octets are files of whatever kind.
const octets = "*/*"

func (s *Service) jobFileRoutes() []httpapi.Route {
	tags := []string{"jobs"}
	post := func(path, id, summary string, do httpapi.Handler, status int) httpapi.Route {
		return s.route(endpoint{
			method: "POST", path: path, action: Run, summary: "error " + summary + " job", handle: do,
			doc: httpapi.Doc{ID: id, Tags: tags, Summary: map[string]string{"retrying": "Run a job that failed on, from what succeeded", "resubmitting": "Submit a job again; Location ends in the new uid"}[summary], Response: "", Status: status, Errors: []int{404, 409, 503}},
		})
	}
	get := func(path, id, summary, media string, handle httpapi.Handler) httpapi.Route {
		return s.route(endpoint{
			method: "GET", path: path, action: Read, summary: "error reading " + media, media: media, handle: handle,
			doc: httpapi.Doc{ID: id, Tags: tags, Summary: summary, Stream: media, Errors: []int{404}},
		})
	}
	routes := []httpapi.Route{
		post("/jobs/{id}/retry", "retryJob", "retrying", s.handleRetry, http.StatusAccepted),
		post("/jobs/{id}/resubmit", "resubmitJob", "resubmitting", s.handleResubmit, http.StatusCreated),
		get("/jobs/{id}/logs/{node}", "streamJobLog", "What a node writes, line by line; resumed by Last-Event-ID, the number of a line", streamMedia, s.handleLog),
		get("/jobs/{id}/logs/{node}/text", "getJobLog", "What a node has written so far", "text/plain", s.handleLogText),
		get("/jobs/{id}/artifacts/{node}/{artifact}", "getJobArtifact", "A file that a node made; main-logs is its log", octets, s.handleArtifact(pathJob, false)),
		get("/jobs/{id}/input-artifacts/{node}/{artifact}", "getJobInputArtifact", "A file that a node got", octets, s.handleArtifact(pathJob, true)),
		s.route(endpoint{
			method: "GET", path: "/jobs/{id}/outputs/", action: Read, summary: "error retrieving outputs", handle: s.handleOutputs,
			doc: httpapi.Doc{ID: "listJobOutputs", Tags: tags, Summary: "What a job has given", Response: items[JobOutput]{}, Errors: []int{404}},
		}),
		get("/jobs/{id}/outputs/{name}", "getJobOutput", "One of a job's outputs, as it is", octets, s.handleOutput),
		get("/workflows/{id}/{version}/log", "streamWorkflowLog", "The log of a pod, as Argo's server streams it: {workspace}/{job}", streamMedia, s.handleArgoLog),
	}
	// Where pages look for files: beside the API, as Argo's server has them.
	for _, input := range []bool{false, true} {
		name := map[bool]string{false: "artifacts", true: "input-artifacts"}[input]
		for path, find := range map[string]func(*http.Request) (uuid.UUID, string, error){
			"/" + name + "/{workspace}/{job}/{node}/{artifact}": pathWorkspaceJob, "/" + name + "-by-uid/{id}/{node}/{artifact}": pathJob,
		} {
			r := s.route(endpoint{
				method: "GET", path: path, action: Read, summary: "error retrieving artifact", media: octets, handle: s.handleArtifact(find, input),
				doc: httpapi.Doc{Tags: tags, Summary: "A file of a job, where Argo's own server has it", Stream: octets, Errors: []int{404}},
			})
			r.Path = path
			routes = append(routes, r)
		}
	}
	return routes
}

// pathJob reads the job of a path; any workspace will do.
func pathJob(r *http.Request) (uuid.UUID, string, error) {
	id, err := pathID(r)
	return id, "", err
}

// pathWorkspaceJob reads a job with its workspace.
func pathWorkspaceJob(r *http.Request) (uuid.UUID, string, error) {
	id, err := uuid.Parse(r.PathValue("job"))
	if err != nil {
		err = fault.New(fault.Missing, "no such job")
	}
	return id, r.PathValue("workspace"), err
}

func (s *Service) handleRetry(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if err := s.RetryJob(r.Context(), id); err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusAccepted, id.String())
}

func (s *Service) handleResubmit(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	anew, err := s.ResubmitJob(r.Context(), id)
	if err != nil {
		return err
	}
	return httpapi.Created(w, s.location("jobs", anew.String()), anew.String())
}

func (s *Service) handleOutputs(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	list, _, err := s.JobOutputs(r.Context(), id)
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, items[JobOutput]{list})
}

func (s *Service) handleOutput(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	list, given, err := s.JobOutputs(r.Context(), id)
	if err != nil {
		return err
	}
	name := r.PathValue("name")
	for _, o := range list {
		if o.Name == name && o.File == "" {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, err := io.WriteString(w, o.Value)
			return err
		}
	}
	f, err := given.file(id, name)
	if err != nil {
		return err
	}
	return s.serveFile(w, r, f)
}

func (s *Service) handleLogText(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	return s.JobLog(r.Context(), id, r.PathValue("node"), &lateText{w: w})
}

// lateText says that it is a text when there is something to write, so that an error still can be answered.
type lateText struct {
	w    http.ResponseWriter
	told bool
}

func (l *lateText) Write(p []byte) (int, error) {
	if !l.told {
		l.told = true
		l.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	return l.w.Write(p)
}

func (s *Service) handleArtifact(find func(*http.Request) (uuid.UUID, string, error), input bool) httpapi.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx := r.Context()
		id, workspace, err := find(r)
		if err != nil {
			return err
		}
		if workspace != "" {
			if _, job, err := s.findJob(ctx, Read, id); err != nil || job.workspace != workspace {
				return errors.Join(err, fault.New(fault.Missing, "no such job"))
			}
		}
		node, name := r.PathValue("node"), r.PathValue("artifact")
		if name == mainLogs && !input {
			return s.JobLog(ctx, id, node, &lateText{w: w})
		}
		f, err := s.NodeFile(ctx, id, node, name, input)
		if err != nil {
			return err
		}
		return s.serveFile(w, r, f)
	}
}

// harmless are the types that a page may show as they are: a browser runs nothing in them.
func harmless() map[string]string {
	return map[string]string{
		".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp",
		".txt": "text/plain; charset=utf-8", ".csv": "text/plain; charset=utf-8", ".log": "text/plain; charset=utf-8", ".json": "application/json",
	}
}

// serveFile sends a file of a job. What steps write is theirs: a browser must not run it in our name.
func (s *Service) serveFile(w http.ResponseWriter, r *http.Request, f JobFile) error {
	body, size, err := s.OpenFile(r.Context(), f)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	kind, show := harmless()[strings.ToLower(path.Ext(f.Name))]
	how := "inline"
	if !show {
		kind, how = "application/octet-stream", "attachment"
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", how+"; filename*=UTF-8''"+url.PathEscape(f.Name))
	h.Set("Content-Length", strconv.FormatInt(size, 10))
	_, err = io.Copy(w, body)
	return err
}

// logLine is a line as Argo's server sends it.
type logLine struct {
	Result struct {
		Content string `json:"content"`
		PodName string `json:"podName"`
	} `json:"result"`
}

// handleArgoLog streams a log where pages ask for it: {workspace}/{job}, with the pod as a parameter.
func (s *Service) handleArgoLog(w http.ResponseWriter, r *http.Request) error {
	id, err := uuid.Parse(r.PathValue("version"))
	if err != nil {
		return fault.New(fault.Missing, "no such job")
	}
	if _, job, err := s.findJob(r.Context(), Read, id); err != nil || job.workspace != r.PathValue("id") {
		return errors.Join(err, fault.New(fault.Missing, "no such job"))
	}
	q := r.URL.Query()
	return s.streamLog(w, r, id, q.Get("podName"), q.Get("grep"), q.Get("logOptions.follow") == "true")
}

func (s *Service) handleLog(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	return s.streamLog(w, r, id, r.PathValue("node"), q.Get("grep"), q.Get("follow") != "false")
}

// How often a log is looked at while a node writes, and how long an expression may be.
const (
	lookAtLog = 300 * time.Millisecond
	maxGrep   = 1000
)

// errEnough ends a reading.
var errEnough = errors.New("enough")

// streamLog sends the lines of a node's log with their numbers, as they come, and ends with the node.
func (s *Service) streamLog(w http.ResponseWriter, r *http.Request, id uuid.UUID, node, grep string, follow bool) error {
	ctx := r.Context()
	if len(grep) > maxGrep {
		return fault.New(fault.Invalid, "grep is longer than %d characters", maxGrep)
	}
	only, err := regexp.Compile(grep)
	if err != nil {
		return fault.New(fault.Invalid, "grep is no regular expression: %v", err)
	}
	state := logState{node: node}
	if err := s.look(ctx, id, &state); err != nil {
		return err
	}
	next := int64(0)
	if seen, err := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64); err == nil && seen >= 0 {
		next = seen + 1
	}
	stream, err := httpapi.Events(w, r)
	if err != nil {
		return nil // the listener went away
	}
	send := func(line int64, text string) error {
		if next = line + 1; !only.MatchString(text) {
			return nil
		}
		var event logLine
		event.Result.Content, event.Result.PodName = text, node
		if stream.Send("", strconv.FormatInt(line, 10), event) != nil {
			return errEnough
		}
		return nil
	}
	look := time.NewTicker(lookAtLog)
	defer look.Stop()
	for {
		// Whether it is over is asked before the last lines are read.
		if err := s.readLog(ctx, id, StepKey(state.found.Name), next, send); errors.Is(err, errEnough) || ctx.Err() != nil {
			return nil
		} else if err != nil {
			s.log.WarnContext(ctx, "a log cannot be read; trying again", "job", id.String(), "error", err)
		} else if state.over || !follow {
			return nil
		}
		select {
		case <-stream.Done():
			return nil
		case <-look.C:
		}
		// Who may listen is asked again: it may have been withdrawn.
		if err := s.look(ctx, id, &state); fault.Is(err, fault.Missing) || fault.Is(err, fault.Denied) {
			return nil
		}
	}
}

// logState is what is known of a node whose log is read.
type logState struct {
	node  string // as it was asked for
	seq   int64  // of the event that said so
	found jobNode
	over  bool // it writes no more
}

// look asks how a node stands, if something was told since the last time.
func (s *Service) look(ctx context.Context, id uuid.UUID, state *logState) error {
	ctx, job, err := s.findJob(ctx, Read, id)
	if err != nil {
		return err
	}
	last, err := s.store.lastEvent(ctx, s.db, id)
	if err != nil {
		return err
	}
	if last != state.seq || last == 0 {
		o, err := s.object(ctx, id)
		if err != nil {
			return err
		}
		if state.found, err = o.node(id, state.node); err != nil {
			return err
		}
		state.seq = last
	}
	state.over = state.found.FinishedAt != nil || job.finished
	return nil
}
