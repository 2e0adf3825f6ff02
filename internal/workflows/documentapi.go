package workflows

import (
	"net/http"

	"github.com/google/uuid"

	"lodge/internal/access"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
	"lodge/internal/workflows/spec"
)

// readRequest reads what is posted for a component or a workflow.
func (s *Service) readRequest(r *http.Request, kind string) (document, error) {
	text, err := s.body(r)
	if err != nil {
		return document{}, err
	}
	if kind == kindWorkflow {
		w, findings := spec.WorkflowRequest(text)
		return ofWorkflow(w), unreadable(findings)
	}
	c, findings := spec.ComponentRequest(text)
	return ofComponent(c), unreadable(findings)
}

func unreadable(f spec.Findings) error {
	if len(f) == 0 {
		return nil
	}
	return &summarised{"cannot read request", fault.Wrap(&InvalidError{f}, fault.Invalid, "cannot unmarshal item: %s", f)}
}

// documentRoutes are those of components or of workflows.
func (s *Service) documentRoutes(kind string) []httpapi.Route {
	root := "/" + kind + "s/"
	tags := []string{kind + "s"}
	read, write, remove := access.Self, access.Self, access.Self // whatever is asked for after the document is found
	if kind == kindWorkflow {
		read, write, remove = Read, Write, Delete
	}
	named := func(id string) string {
		return id + map[string]string{kindComponent: "Component", kindWorkflow: "Workflow"}[kind]
	}
	return []httpapi.Route{
		s.route(endpoint{
			method: "GET", path: root, action: access.Self, summary: "error listing " + kind + "s",
			handle: func(w http.ResponseWriter, r *http.Request) error {
				q, err := s.parseQuery(r)
				if err != nil {
					return err
				}
				list, err := s.documents(r.Context(), kind, q)
				if err != nil {
					return err
				}
				return httpapi.JSON(w, http.StatusOK, list)
			},
			doc: httpapi.Doc{ID: named("list") + "s", Tags: tags, Summary: "List every version", Request: listQuery{}, Stream: jsonMedia},
		}),
		s.route(endpoint{
			method: "POST", path: root, action: write, summary: "cannot create " + kind,
			handle: func(w http.ResponseWriter, r *http.Request) error {
				d, err := s.readRequest(r, kind)
				if err != nil {
					return err
				}
				if d, err = s.create(r.Context(), d); err != nil {
					return err
				}
				return httpapi.Created(w, s.location(kind+"s", d.meta().UID.String()), d.body())
			},
			doc: httpapi.Doc{ID: named("create"), Tags: tags, Summary: "Create; the server gives the uid", Stream: jsonMedia, Status: http.StatusCreated},
		}),
		s.route(endpoint{
			method: "GET", path: root + "{id}", action: read, summary: "error retrieving " + kind, handle: s.getDocument(kind),
			doc: httpapi.Doc{ID: named("get"), Tags: tags, Summary: "The newest version", Stream: jsonMedia, Errors: []int{404}},
		}),
		s.route(endpoint{
			method: "GET", path: root + "{id}/{version}", action: read, summary: "error retrieving " + kind, handle: s.getDocument(kind),
			doc: httpapi.Doc{ID: named("get") + "Version", Tags: tags, Summary: "One version", Stream: jsonMedia, Errors: []int{404}},
		}),
		s.route(endpoint{
			method: "GET", path: root + "{id}/versions/", action: read, summary: "error retrieving " + kind + " versions", handle: s.listVersions(kind),
			doc: httpapi.Doc{ID: named("list") + "Versions", Tags: tags, Summary: "List the versions", Request: listQuery{}, Stream: jsonMedia},
		}),
		s.route(endpoint{
			method: "PUT", path: root + "{id}", action: write, summary: "could not handle put request",
			handle: func(w http.ResponseWriter, r *http.Request) error {
				d, err := s.namedRequest(r, kind)
				if err != nil {
					return err
				}
				if d, err = s.publish(r.Context(), d); err != nil {
					return err
				}
				w.Header().Set("Location", s.location(kind+"s", d.meta().UID.String()))
				return httpapi.NoContent(w)
			},
			doc: httpapi.Doc{ID: named("publish"), Tags: tags, Summary: "Publish a new version", Errors: []int{404, 409}},
		}),
		s.route(endpoint{
			method: "PATCH", path: root + "{id}", action: write, summary: "could not handle patch request",
			handle: func(w http.ResponseWriter, r *http.Request) error {
				d, err := s.namedRequest(r, kind)
				if err != nil {
					return err
				}
				if d, err = s.save(r.Context(), d); err != nil {
					return err
				}
				w.Header().Set("Location", s.location(kind+"s", d.meta().UID.String()))
				return httpapi.JSON(w, http.StatusOK, d.body())
			},
			doc: httpapi.Doc{ID: named("save"), Tags: tags, Summary: "Write over the newest version", Stream: jsonMedia, Errors: []int{404, 409}},
		}),
		s.route(endpoint{
			method: "DELETE", path: root + "{id}/{version}", action: remove, summary: "error deleting " + kind,
			handle: func(w http.ResponseWriter, r *http.Request) error {
				id, err := pathID(r)
				if err != nil {
					return err
				}
				version, err := pathVersion(r)
				if err != nil {
					return err
				}
				if version == 0 {
					return fault.New(fault.Invalid, "name the version to delete")
				}
				if err := s.remove(r.Context(), kind, id, version); err != nil {
					return err
				}
				return httpapi.NoContent(w)
			},
			doc: httpapi.Doc{ID: named("delete") + "Version", Tags: tags, Summary: "Delete one version that nothing refers to", Errors: []int{404, 409}},
		}),
	}
}

// namedRequest reads a document whose uid must be the path's.
func (s *Service) namedRequest(r *http.Request, kind string) (document, error) {
	id, err := pathID(r)
	if err != nil {
		return document{}, err
	}
	d, err := s.readRequest(r, kind)
	if err != nil {
		return d, err
	}
	if d.meta().UID != id {
		return d, fault.New(fault.Invalid, "the %s's uid (%s) is not the one of the address (%s)", kind, d.meta().UID, id)
	}
	if id == uuid.Nil {
		return d, fault.New(fault.Invalid, "the uid must not be zero")
	}
	return d, nil
}

func (s *Service) getDocument(kind string) httpapi.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, err := pathID(r)
		if err != nil && kind == kindWorkflow && r.PathValue("version") != "" {
			// Pages ask so for the Workflow of a job: {workspace}/{job}. No uuid is a workspace's name.
			object, err := s.JobObject(r.Context(), r.PathValue("id"), r.PathValue("version"))
			if err != nil {
				return err
			}
			return httpapi.JSON(w, http.StatusOK, object)
		}
		if err != nil {
			return err
		}
		version := 0
		if r.PathValue("version") != "" {
			if version, err = pathVersion(r); err != nil {
				return err
			}
		}
		_, d, err := s.find(r.Context(), Read, kind, id, version)
		if err != nil {
			return err
		}
		return httpapi.JSON(w, http.StatusOK, d.body())
	}
}

// listVersions lists the versions of one thing; what is not the caller's has none.
func (s *Service) listVersions(kind string) httpapi.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, err := pathID(r)
		if err != nil {
			return err
		}
		q, err := s.parseQuery(r)
		if err != nil {
			return err
		}
		q.terms = []term{{field: "uid", op: "==", value: id.String()}}
		if len(q.sort) == 0 {
			q.sort = []order{{field: "version.current", descending: true}}
		}
		list, err := s.documents(r.Context(), kind, q)
		if err != nil {
			return err
		}
		return httpapi.JSON(w, http.StatusOK, list)
	}
}
