package workflows

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"path"
	"strings"

	"github.com/google/uuid"

	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/work"
	"lodge/internal/workflows/spec"
)

// jobObject is the part of a Workflow that says where logs and files are.
type jobObject struct {
	Status struct {
		Nodes   map[string]jobNode `json:"nodes"`
		Outputs jobValues          `json:"outputs"`
	} `json:"status"`
}

type jobNode struct {
	ID           string    `json:"id"`
	Name         string    `json:"name"`
	TemplateName string    `json:"templateName"`
	FinishedAt   *string   `json:"finishedAt"`
	Inputs       jobValues `json:"inputs"`
	Outputs      jobValues `json:"outputs"`
}

type jobValues struct {
	Parameters []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"parameters"`
	Artifacts []struct {
		Name string `json:"name"`
		Path string `json:"path"`
		Size int64  `json:"size"`
		S3   struct {
			Key string `json:"key"`
		} `json:"s3"`
	} `json:"artifacts"`
}

// podName is what pages call a node whose pods are named by their templates.
func (n jobNode) podName(job uuid.UUID) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(n.Name)) // it never fails
	return fmt.Sprintf("%s-%s-%d", job, n.TemplateName, h.Sum32())
}

// object reads the last Workflow that was reported of a job.
func (s *Service) object(ctx context.Context, job uuid.UUID) (o jobObject, err error) {
	text, err := s.LastObject(ctx, job)
	if err != nil || text == nil {
		return o, err
	}
	return o, json.Unmarshal(text, &o)
}

// node finds a node of a job by its id, its name, or that of its pod.
func (o jobObject) node(job uuid.UUID, name string) (jobNode, error) {
	if n, ok := o.Status.Nodes[name]; ok {
		return n, nil
	}
	for _, n := range o.Status.Nodes {
		if n.Name == name || n.podName(job) == name {
			return n, nil
		}
	}
	return jobNode{}, fault.New(fault.Missing, "the job has no node %s, or not yet", clip(name))
}

// JobLog writes what a node has written so far.
func (s *Service) JobLog(ctx context.Context, id uuid.UUID, node string, to io.Writer) error {
	ctx, _, err := s.findJob(ctx, Read, id)
	if err != nil {
		return err
	}
	o, err := s.object(ctx, id)
	if err != nil {
		return err
	}
	n, err := o.node(id, node)
	if err != nil {
		return err
	}
	return s.readLog(ctx, id, StepKey(n.Name), 0, func(_ int64, text string) error {
		_, err := io.WriteString(to, text+"\n")
		return err
	})
}

// JobFile is a file that a node got or made.
type JobFile struct {
	Name string // as it was called where it was written
	Size int64
	key  string
}

// file finds one by its name.
func (v jobValues) file(job uuid.UUID, name string) (JobFile, error) {
	for _, a := range v.Artifacts {
		if a.Name != name {
			continue
		}
		if !strings.HasPrefix(a.S3.Key, ObjectsOf(job)) || path.Clean(a.S3.Key) != a.S3.Key {
			break
		}
		return JobFile{Name: called(a.Path, a.S3.Key), Size: a.Size, key: a.S3.Key}, nil
	}
	return JobFile{}, fault.New(fault.Missing, "there is no file %s", clip(name))
}

// called is what a file is called: as where it was written, if that is known, and packed if Argo has
// packed it.
func called(where, key string) string {
	name := path.Base(where)
	if where == "" {
		name = path.Base(key)
	}
	if packed := ".tgz"; path.Ext(key) == packed && path.Ext(name) != packed {
		name += packed
	}
	return name
}

// NodeFile finds a file that a node made, or got.
func (s *Service) NodeFile(ctx context.Context, id uuid.UUID, node, name string, input bool) (JobFile, error) {
	ctx, _, err := s.findJob(ctx, Read, id)
	if err != nil {
		return JobFile{}, err
	}
	o, err := s.object(ctx, id)
	if err != nil {
		return JobFile{}, err
	}
	n, err := o.node(id, node)
	if err != nil {
		return JobFile{}, err
	}
	if input {
		return n.Inputs.file(id, name)
	}
	return n.Outputs.file(id, name)
}

// OpenFile opens a file, and says how long it is: not every engine knows.
func (s *Service) OpenFile(ctx context.Context, f JobFile) (io.ReadCloser, int64, error) {
	body, info, err := s.bucket.Get(ctx, f.key, 0, -1)
	return body, info.Size, err
}

// JobOutput is what a job gives: a text, or the name of a file.
type JobOutput struct {
	Name  string        `json:"name"`
	Type  spec.DataType `json:"type" enum:"parameter,artifact"`
	Value string        `json:"value,omitempty"`
	File  string        `json:"file,omitempty" doc:"What the file was called where it was written"`
	Size  int64         `json:"size,omitempty"`
}

// JobOutputs lists what a job has given; nothing before it succeeded.
func (s *Service) JobOutputs(ctx context.Context, id uuid.UUID) ([]JobOutput, jobValues, error) {
	ctx, _, err := s.findJob(ctx, Read, id)
	if err != nil {
		return nil, jobValues{}, err
	}
	o, err := s.object(ctx, id)
	if err != nil {
		return nil, jobValues{}, err
	}
	given := o.Status.Outputs
	list := []JobOutput{}
	for _, p := range given.Parameters {
		list = append(list, JobOutput{Name: p.Name, Type: spec.Parameter, Value: p.Value})
	}
	for _, a := range given.Artifacts {
		list = append(list, JobOutput{Name: a.Name, Type: spec.Artifact, File: called(a.Path, a.S3.Key), Size: a.Size})
	}
	return list, given, nil
}

// RetryJob runs a job that did not succeed on, from what did.
func (s *Service) RetryJob(ctx context.Context, id uuid.UUID) error {
	ctx, r, err := s.findJob(ctx, Run, id)
	if err != nil {
		return err
	}
	if s.engine == nil {
		return errNoEngine()
	}
	if !r.finished || r.phase == Succeeded {
		return fault.New(fault.Conflict, "only a job that has failed can be retried, and this one is %s", r.phase)
	}
	err = s.db.Tx(ctx, func(tx *database.Tx) error {
		// Of two who retry one wins: the round is compared.
		done, err := changed(tx.Exec(ctx, `UPDATE wf_jobs SET phase = ?, message = ?, finished_at = NULL, stopping = 0, round = round + 1
			WHERE uid = ? AND finished_at IS NOT NULL AND round = ?`, string(Pending), "", id.String(), r.round))
		if err == nil && !done {
			err = fault.New(fault.Conflict, "somebody else has retried the job")
		}
		if err != nil {
			return err
		}
		if err := s.queue.Remove(ctx, tx, jobKind, id.String()); err != nil && !fault.Is(err, fault.Missing) {
			return err
		}
		if err := s.queue.Add(ctx, tx, jobKind, id.String(), s.now()); err != nil {
			return err
		}
		return s.record(ctx, tx, Run, r.workspace, "job "+id.String(), "retried")
	})
	if err == nil {
		s.queue.Wake(jobKind)
		s.tell(ctx, id)
	}
	return err
}

func errNoEngine() error {
	return &summarised{"cannot start the workflow job", fault.New(fault.Unavailable, "no engine is configured: this server keeps workflows and does not run them")}
}

// ResubmitJob submits a job again, with its components as they were then.
func (s *Service) ResubmitJob(ctx context.Context, id uuid.UUID) (uuid.UUID, error) {
	ctx, _, err := s.findJob(ctx, Run, id)
	if err != nil {
		return uuid.Nil, err
	}
	if s.engine == nil {
		return uuid.Nil, errNoEngine()
	}
	r, err := s.store.job(ctx, s.db, id)
	if err != nil {
		return uuid.Nil, err
	}
	o, err := r.order()
	if err != nil {
		return uuid.Nil, err
	}
	o.Round = 0
	if err := s.place(ctx, &o, "submitted again from "+id.String()); err != nil {
		return uuid.Nil, err
	}
	return o.Job.UID, nil
}

// forgetFiles removes the objects of a job.
func (s *Service) forgetFiles(ctx context.Context, id uuid.UUID) error {
	var failures []error
	for info, err := range s.bucket.List(ctx, ObjectsOf(id)) {
		if err == nil {
			err = s.bucket.Delete(ctx, info.Key)
		}
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}

// removeJob removes a job that has ended, with everything that is kept of it. It may be done again.
func (s *Service) removeJob(ctx context.Context, id uuid.UUID, record func(tx *database.Tx) error) error {
	if s.engine != nil {
		if err := s.engine.Forget(ctx, id); err != nil {
			return err
		}
	}
	if err := s.forgetFiles(ctx, id); err != nil {
		return err
	}
	return s.db.Tx(ctx, func(tx *database.Tx) error {
		if err := s.store.deleteJob(ctx, tx, id); err != nil {
			return err
		}
		if item, err := s.queue.Get(ctx, tx, jobKind, id.String()); err == nil && item.State != work.Running {
			if err := s.queue.Remove(ctx, tx, jobKind, id.String()); err != nil {
				return err
			}
		}
		return record(tx)
	})
}
