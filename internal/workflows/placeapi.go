package workflows

import (
	"encoding/json"
	"errors"
	"net/http"

	"lodge/internal/access"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
	"lodge/internal/secret"
	"lodge/internal/workflows/spec"
)

// placeRoutes are those of a workspace's secrets and volumes.
func (s *Service) placeRoutes() []httpapi.Route {
	secrets, volumes := []string{"secrets"}, []string{"volumes"}
	return []httpapi.Route{
		s.route(endpoint{
			method: "GET", path: "/secrets/{workspace}/", action: ReadSecrets, summary: "error listing secrets",
			handle: func(w http.ResponseWriter, r *http.Request) error {
				names, err := s.SecretNames(r.Context(), r.PathValue("workspace"))
				if err != nil {
					return err
				}
				return httpapi.JSON(w, http.StatusOK, items[string]{names})
			},
			doc: httpapi.Doc{ID: "listSecrets", Tags: secrets, Summary: "List the names of the secrets", Response: items[string]{}, Errors: []int{401}},
		}),
		s.route(endpoint{
			method: "PUT", path: "/secrets/{workspace}/{key}", action: WriteSecrets, summary: "error writing secret", handle: s.putSecret,
			doc: httpapi.Doc{ID: "putSecret", Tags: secrets, Summary: "Set a secret: 201 if it is new, else 204", Status: http.StatusCreated, Stream: jsonMedia, Errors: []int{401}},
		}),
		s.route(endpoint{
			method: "DELETE", path: "/secrets/{workspace}/{key}", action: WriteSecrets, summary: "error deleting secret",
			handle: func(w http.ResponseWriter, r *http.Request) error {
				if err := s.DeleteSecret(r.Context(), r.PathValue("workspace"), r.PathValue("key")); err != nil {
					return err
				}
				return httpapi.NoContent(w)
			},
			doc: httpapi.Doc{ID: "deleteSecret", Tags: secrets, Summary: "Delete a secret", Errors: []int{401, 404}},
		}),
		s.route(endpoint{
			method: "GET", path: "/volumes/{workspace}/", action: ReadVolumes, summary: "error listing volumes",
			handle: func(w http.ResponseWriter, r *http.Request) error {
				q, err := s.parseQuery(r)
				if err != nil {
					return err
				}
				if q.limit == 0 {
					q.limit = defaultLimit
				}
				list, total, err := s.Volumes(r.Context(), r.PathValue("workspace"), q.limit, q.offset)
				if err != nil {
					return err
				}
				return httpapi.JSON(w, http.StatusOK, List[*spec.Volume]{append([]*spec.Volume{}, list...), PageInfo{total, q.limit, q.offset}})
			},
			doc: httpapi.Doc{ID: "listVolumes", Tags: volumes, Summary: "List the volumes", Stream: jsonMedia, Errors: []int{401}},
		}),
		s.route(endpoint{
			method: "POST", path: "/volumes/{workspace}/", action: WriteVolumes, summary: "could not create volume",
			handle: func(w http.ResponseWriter, r *http.Request) error {
				v, err := s.readVolume(r, WriteVolumes)
				if err != nil {
					return err
				}
				if err := s.CreateVolume(r.Context(), v); err != nil {
					return err
				}
				return httpapi.Created(w, s.location("volumes", v.Workspace, v.UID.String()), nil)
			},
			doc: httpapi.Doc{ID: "createVolume", Tags: volumes, Summary: "Register a volume", Stream: jsonMedia, Status: http.StatusCreated, Errors: []int{401}},
		}),
		s.route(endpoint{
			method: "GET", path: "/volumes/{workspace}/{id}", action: ReadVolumes, summary: "could not get volume",
			handle: func(w http.ResponseWriter, r *http.Request) error {
				id, err := pathID(r)
				if err != nil {
					return err
				}
				v, err := s.Volume(r.Context(), r.PathValue("workspace"), id)
				if err != nil {
					return err
				}
				return httpapi.JSON(w, http.StatusOK, v)
			},
			doc: httpapi.Doc{ID: "getVolume", Tags: volumes, Summary: "One volume", Stream: jsonMedia, Errors: []int{401, 404}},
		}),
		s.route(endpoint{
			method: "PUT", path: "/volumes/{workspace}/{id}", action: WriteVolumes, summary: "could not put volume",
			handle: func(w http.ResponseWriter, r *http.Request) error {
				id, err := pathID(r)
				if err != nil {
					return err
				}
				v, err := s.readVolume(r, WriteVolumes)
				if err != nil {
					return err
				}
				if v.UID != id {
					return fault.New(fault.Invalid, "the volume's uid (%s) is not the one of the address (%s)", v.UID, id)
				}
				if err := s.PutVolume(r.Context(), v); err != nil {
					return err
				}
				return httpapi.NoContent(w)
			},
			doc: httpapi.Doc{ID: "putVolume", Tags: volumes, Summary: "Register or replace a volume", Errors: []int{401, 404}},
		}),
		s.route(endpoint{
			method: "DELETE", path: "/volumes/{workspace}/{id}", action: WriteVolumes, summary: "could not delete volume",
			handle: func(w http.ResponseWriter, r *http.Request) error {
				id, err := pathID(r)
				if err != nil {
					return err
				}
				if err := s.DeleteVolume(r.Context(), r.PathValue("workspace"), id); err != nil {
					return err
				}
				return httpapi.JSON(w, http.StatusOK, nil)
			},
			doc: httpapi.Doc{ID: "deleteVolume", Tags: volumes, Summary: "Remove a volume", Stream: jsonMedia, Errors: []int{401, 404}},
		}),
	}
}

// readVolume reads a volume for a workspace. Who may not write there learns nothing about the body.
func (s *Service) readVolume(r *http.Request, action access.Action) (*spec.Volume, error) {
	workspace := r.PathValue("workspace")
	if _, err := s.require(r.Context(), action, workspace, "volume"); err != nil {
		return nil, err
	}
	text, err := s.body(r)
	if err != nil {
		return nil, err
	}
	v, findings := spec.ReadVolume(text)
	if err := unreadable(findings); err != nil {
		return nil, err
	}
	if v.Workspace != workspace {
		return nil, fault.New(fault.Invalid, "the volume's workspace (%s) is not the one of the address (%s)", clip(v.Workspace), clip(workspace))
	}
	return v, nil
}

func (s *Service) putSecret(w http.ResponseWriter, r *http.Request) error {
	workspace, key := r.PathValue("workspace"), r.PathValue("key")
	if _, err := s.require(r.Context(), WriteSecrets, workspace, "secret "+clip(key)); err != nil {
		return err
	}
	text, err := s.body(r)
	if err != nil {
		return err
	}
	var sent struct {
		Key   string  `json:"key"`
		Value *string `json:"value"`
	}
	if err := json.Unmarshal(text, &sent); err != nil {
		// What was sent may hold a secret: nothing of it is repeated.
		return &summarised{"cannot read request", fault.Wrap(errors.New("no JSON"), fault.Invalid, "the body must be {\"key\": …, \"value\": …}")}
	}
	if sent.Key != key {
		return &summarised{"secret key URL mismatch", fault.New(fault.Invalid, "the key of the body is not the one of the address")}
	}
	if sent.Value == nil {
		return fault.New(fault.Invalid, "the value is missing")
	}
	isNew, err := s.PutSecret(r.Context(), workspace, key, secret.String(*sent.Value))
	if err != nil {
		return err
	}
	if !isNew {
		return httpapi.NoContent(w)
	}
	return httpapi.Created(w, s.location("secrets", workspace, key), map[string]string{"key": key})
}
