package workflows

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"lodge/internal/access"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
	"lodge/internal/workflows/spec"
)

// JobStatus is where a job stands.
type JobStatus struct {
	UID    string `json:"uid"`
	Status Phase  `json:"status"`
}

// Verdict is what a dry run finds.
type Verdict struct {
	Valid    bool          `json:"valid" doc:"Whether it could be published, or run if it is a job"`
	Findings spec.Findings `json:"findings" nullable:"false"`
}

func (s *Service) jobRoutes() []httpapi.Route {
	tags := []string{"jobs"}
	return []httpapi.Route{
		s.route(endpoint{
			method: "GET", path: "/jobs/", action: access.Self, summary: "error listing jobs",
			handle: func(w http.ResponseWriter, r *http.Request) error {
				q, err := s.parseQuery(r)
				if err != nil {
					return err
				}
				list, err := s.Jobs(r.Context(), q)
				if err != nil {
					return err
				}
				return httpapi.JSON(w, http.StatusOK, list)
			},
			doc: httpapi.Doc{ID: "listJobs", Tags: tags, Summary: "List jobs", Request: listQuery{}, Stream: jsonMedia},
		}),
		s.route(endpoint{
			method: "POST", path: "/jobs/", action: Run, summary: "error storing job",
			handle: func(w http.ResponseWriter, r *http.Request) error {
				text, err := s.body(r)
				if err != nil {
					return err
				}
				job, options, findings := spec.JobRequest(text)
				if err := unreadable(findings); err != nil {
					return err
				}
				if err := s.Submit(r.Context(), job, options); err != nil {
					return err
				}
				return httpapi.Created(w, s.location("jobs", job.UID.String()), nil)
			},
			doc: httpapi.Doc{ID: "submitJob", Tags: tags, Summary: "Submit a job; Location ends in its uid", Stream: jsonMedia, Status: http.StatusCreated, Errors: []int{503}},
		}),
		s.route(endpoint{
			method: "GET", path: "/jobs/{id}", action: Read, summary: "error retrieving job",
			handle: func(w http.ResponseWriter, r *http.Request) error {
				id, err := pathID(r)
				if err != nil {
					return err
				}
				job, err := s.Job(r.Context(), id)
				if err != nil {
					return err
				}
				return httpapi.JSON(w, http.StatusOK, job)
			},
			doc: httpapi.Doc{ID: "getJob", Tags: tags, Summary: "A job as it was submitted, with its events once it has ended", Stream: jsonMedia, Errors: []int{404}},
		}),
		s.route(endpoint{
			method: "DELETE", path: "/jobs/{id}", action: Run, summary: "error deleting job",
			handle: func(w http.ResponseWriter, r *http.Request) error {
				id, err := pathID(r)
				if err != nil {
					return err
				}
				if err := s.DeleteJob(r.Context(), id); err != nil {
					return err
				}
				return httpapi.JSON(w, http.StatusOK, id.String())
			},
			doc: httpapi.Doc{ID: "deleteJob", Tags: tags, Summary: "Delete a job that has ended", Response: "", Errors: []int{404, 423}},
		}),
		s.route(endpoint{
			method: "POST", path: "/jobs/{id}/terminate", action: Run, summary: "error terminating job",
			handle: func(w http.ResponseWriter, r *http.Request) error {
				id, err := pathID(r)
				if err != nil {
					return err
				}
				if err := s.Terminate(r.Context(), id); err != nil {
					return err
				}
				return httpapi.JSON(w, http.StatusAccepted, id.String())
			},
			doc: httpapi.Doc{ID: "terminateJob", Tags: tags, Summary: "Stop a job", Response: "", Status: http.StatusAccepted, Errors: []int{404, 409}},
		}),
		s.route(endpoint{
			method: "GET", path: "/jobs/{id}/status", action: Read, summary: "error retrieving job status",
			handle: func(w http.ResponseWriter, r *http.Request) error {
				id, err := pathID(r)
				if err != nil {
					return err
				}
				phase, err := s.JobStatus(r.Context(), id)
				if err != nil {
					return err
				}
				return httpapi.JSON(w, http.StatusOK, JobStatus{id.String(), phase})
			},
			doc: httpapi.Doc{ID: "getJobStatus", Tags: tags, Summary: "Where a job stands", Response: JobStatus{}, Errors: []int{404}},
		}),
		s.route(endpoint{
			method: "GET", path: "/jobs/{id}/events/", action: Read, summary: "error monitoring job events", media: streamMedia, handle: s.streamEvents,
			doc: httpapi.Doc{ID: "streamJobEvents", Tags: tags, Summary: "The job's Workflow, whole, at every change; resumed by Last-Event-ID", Stream: streamMedia, Errors: []int{404}},
		}),
		s.route(endpoint{
			method: "POST", path: dryRun, action: access.Self, summary: "cannot validate", handle: s.validate,
			doc: httpapi.Doc{ID: "validate", Tags: []string{"validation"}, Summary: "Check a component, a workflow or a job without storing it", Response: Verdict{}},
		}),
	}
}

// eventsPerRead is how many events are read at a time.
const eventsPerRead = 50

// lookAgain is how often a stream looks for events that no message told of.
const lookAgain = 3 * time.Second

// streamEvents sends a job's events as they come, and ends with the job. A listener who begins anew
// gets the present state; one who comes back gets what was missed.
func (s *Service) streamEvents(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	ctx := r.Context()
	if _, _, err := s.findJob(ctx, Read, id); err != nil {
		return err
	}
	news, err := s.bus.Subscribe(ctx, jobSubject(id), 1)
	if err != nil {
		return err
	}
	last, err := s.store.lastEvent(ctx, s.db, id)
	if err != nil {
		return err
	}
	seen := max(0, last-1)
	if resumed, err := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64); err == nil && resumed >= 0 && resumed <= last {
		seen = resumed
	}
	w.Header().Set("Connection", "keep-alive")
	stream, err := httpapi.Events(w, r)
	if err != nil {
		return nil // the listener went away
	}
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	for {
		// Who may listen is asked at every look: it may have been withdrawn.
		_, job, err := s.findJob(ctx, Read, id)
		if fault.Is(err, fault.Missing) || fault.Is(err, fault.Denied) {
			return nil
		}
		if err == nil {
			if seen, err = s.sendEvents(ctx, stream, job, seen); err == nil && job.finished {
				return nil
			}
		}
		if errors.Is(err, httpapi.ErrStreamOver) {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "events of a job cannot be read; trying again", "job", id.String(), "error", err)
		}
		select {
		case <-stream.Done():
			return nil
		case _, open := <-news:
			if !open {
				news = nil
			}
		case <-look.C:
		}
	}
}

func (s *Service) sendEvents(ctx context.Context, stream *httpapi.EventStream, job jobRow, seen int64) (int64, error) {
	for {
		events, err := s.store.events(ctx, s.db, job.uid, seen, eventsPerRead)
		if err != nil {
			return seen, err
		}
		for _, e := range events {
			if err := stream.Send("", strconv.FormatInt(e.seq, 10), e.body); err != nil {
				return seen, err
			}
			seen = e.seq
		}
		if len(events) < eventsPerRead {
			return seen, nil
		}
	}
}

// validate is a dry run: nothing is stored, whatever is found is the answer.
func (s *Service) validate(w http.ResponseWriter, r *http.Request) error {
	text, err := s.body(r)
	if err != nil {
		return err
	}
	doc, findings := spec.ReadDocument(text)
	if len(findings) == 0 {
		if findings, err = s.dryRun(r.Context(), doc); err != nil {
			return err
		}
	}
	bad := findings.KeepFromPublishing()
	if doc.Job != nil {
		bad = findings.KeepFromRunning()
	}
	return httpapi.JSON(w, http.StatusOK, Verdict{Valid: len(bad) == 0, Findings: append(spec.Findings{}, findings...)})
}

func (s *Service) dryRun(ctx context.Context, doc spec.Document) (spec.Findings, error) {
	switch {
	case doc.Job != nil:
		// It says which secrets and volumes there are.
		ctx, err := s.require(ctx, Read, doc.Job.Workflow.Workspace, "job")
		if err != nil {
			return nil, err
		}
		return s.CheckJob(ctx, doc.Job, doc.Options)
	case doc.Workflow != nil:
		return s.check(ctx, ofWorkflow(doc.Workflow))
	default:
		return s.check(ctx, ofComponent(doc.Component))
	}
}
