package workflows

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"lodge/internal/access"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
)

// UserInfo is who the caller is.
type UserInfo struct {
	Name    string   `json:"name"`
	Email   string   `json:"email"`
	OID     string   `json:"oid"`
	Roles   []string `json:"roles" nullable:"false"`
	Issuer  string   `json:"iss"`
	Subject string   `json:"sub,omitempty"`
	ID      string   `json:"jti,omitempty"`
	Aud     []string `json:"aud,omitempty" nullable:"false"`
	Exp     int64    `json:"exp,omitempty"`
	Nbf     int64    `json:"nbf,omitempty"`
	Iat     int64    `json:"iat,omitempty"`
}

func userInfo(c *access.Caller) UserInfo {
	u := UserInfo{Name: c.Name, Email: emailOf(c), Issuer: c.Issuer, Subject: c.Subject, Roles: []string{}}
	if c.Claims != nil {
		u.Subject, _ = c.Claims["sub"].(string)
	}
	u.OID, _ = c.Claims["oid"].(string)
	if u.OID == "" {
		u.OID = c.UserID
	}
	if name, ok := c.Claims["name"].(string); ok && name != "" {
		u.Name = name
	}
	u.ID, _ = c.Claims["jti"].(string)
	for _, r := range c.Roles {
		u.Roles = append(u.Roles, string(r))
	}
	if c.Admin && !slices.Contains(u.Roles, "admin") {
		u.Roles = append(u.Roles, "admin") // pages show by it what an administrator can do
	}
	switch aud := c.Claims["aud"].(type) {
	case string:
		u.Aud = []string{aud}
	case []any:
		for _, a := range aud {
			if text, ok := a.(string); ok {
				u.Aud = append(u.Aud, text)
			}
		}
	}
	for name, into := range map[string]*int64{"exp": &u.Exp, "nbf": &u.Nbf, "iat": &u.Iat} {
		if at, ok := c.Claims[name].(float64); ok {
			*into = int64(at)
		}
	}
	return u
}

func (s *Service) accountRoutes() []httpapi.Route {
	plain := func(path, text string) httpapi.Route {
		return httpapi.Route{
			Method: "GET", Path: path, Action: httpapi.Public,
			Handle: func(w http.ResponseWriter, _ *http.Request) error {
				w.Header().Set("Content-Type", "text/plain; charset=utf-8")
				s.headers(w.Header())
				_, err := w.Write([]byte(text))
				return err
			},
			Doc: httpapi.Doc{ID: "get" + strings.ToUpper(path[1:2]) + path[2:], Tags: []string{"health"}, Summary: "Say " + strings.Trim(path, "/"), Stream: "text/plain"},
		}
	}
	user, workspaces := []string{"user"}, []string{"workspaces"}
	routes := []httpapi.Route{
		plain("/livez", "alive"), plain("/versionz", s.cfg.Commit),
		s.moved("/spec/", "/docs"), s.moved("/spec/flowify.json", "/openapi.json"),
		s.route(endpoint{
			method: "GET", path: "/userinfo/", action: access.Self, summary: "error retrieving user",
			handle: func(w http.ResponseWriter, r *http.Request) error {
				c := access.CallerFrom(r.Context())
				if c == nil {
					return fault.New(fault.Unauthenticated, "log in first")
				}
				return httpapi.JSON(w, http.StatusOK, userInfo(c))
			},
			doc: httpapi.Doc{ID: "getUserInfo", Tags: user, Summary: "Who the caller is", Response: UserInfo{}},
		}),
		s.route(endpoint{
			method: "GET", path: "/workspaces/", action: access.Self, summary: "error listing workspaces",
			handle: func(w http.ResponseWriter, r *http.Request) error {
				list, err := s.Workspaces(r.Context())
				if err != nil {
					return err
				}
				return httpapi.JSON(w, http.StatusOK, items[WorkspaceInfo]{list})
			},
			doc: httpapi.Doc{ID: "listWorkspaces", Tags: workspaces, Summary: "List the workspaces that the caller may see", Response: items[WorkspaceInfo]{}},
		}),
	}
	routes = append(routes, s.route(endpoint{
		method: "GET", path: "/workspaces/{name}", action: WriteWorkspace, summary: "error retrieving workspace",
		handle: func(w http.ResponseWriter, r *http.Request) error {
			detail, err := s.Workspace(r.Context(), r.PathValue("name"))
			if err != nil {
				return err
			}
			return httpapi.JSON(w, http.StatusOK, detail)
		},
		doc: httpapi.Doc{ID: "getWorkspace", Tags: workspaces, Summary: "One workspace with who belongs to it, for its administrators", Response: WorkspaceDetail{}, Errors: []int{404}},
	}))
	if s.cfg.Prefix != "" { // alone at the root, the platform's own /readyz is there and knows more
		routes = append(routes, plain("/readyz", "ready"))
	}
	write := func(method, id, doing, done string, status int, action access.Action, do func(*http.Request, WorkspaceChange) error) httpapi.Route {
		return s.route(endpoint{
			method: method, path: "/workspaces/", action: action,
			handle: func(w http.ResponseWriter, r *http.Request) error {
				text, err := s.body(r)
				if err != nil {
					return &workspaceFailure{doing, err}
				}
				change, err := readWorkspace(text)
				if err == nil {
					err = do(r, change)
				}
				if err != nil {
					return &workspaceFailure{doing, err}
				}
				if done == "" {
					return httpapi.JSON(w, status, map[string]string{"Workspace": "Success: Success"})
				}
				return httpapi.JSON(w, status, map[string]string{"Workspace": "Success: The workspace " + change.Name + " has been " + done})
			},
			doc: httpapi.Doc{ID: id, Tags: workspaces, Summary: "A workspace, named in the body: " + method, Response: map[string]string{}, Status: status},
		})
	}
	return append(routes,
		write("POST", "createWorkspace", "creating", "created", http.StatusCreated, CreateWorkspace, func(r *http.Request, c WorkspaceChange) error {
			return s.CreateWorkspace(r.Context(), c)
		}),
		write("PUT", "editWorkspace", "updating", "updated", http.StatusOK, WriteWorkspace, func(r *http.Request, c WorkspaceChange) error {
			return s.EditWorkspace(r.Context(), c)
		}),
		write("DELETE", "deleteWorkspace", "deleting", "", http.StatusOK, WriteWorkspace, func(r *http.Request, c WorkspaceChange) error {
			return s.DeleteWorkspace(r.Context(), c.Name)
		}),
	)
}

// moved sends readers of the original's documents to ours, which are made from the routes.
func (s *Service) moved(path, to string) httpapi.Route {
	return httpapi.Route{
		Method: "GET", Path: base + path, Action: httpapi.Public,
		Handle: func(w http.ResponseWriter, r *http.Request) error {
			http.Redirect(w, r, s.cfg.Prefix+to, http.StatusFound)
			return nil
		},
		Doc: httpapi.Doc{Tags: []string{"documents"}, Summary: "The documents of this API", Stream: "text/html", Status: http.StatusFound},
	}
}

// items is a list without pages.
type items[T any] struct {
	Items []T `json:"items" nullable:"false"`
}

// readWorkspace reads what is posted about a workspace: member names in any case, unknown ones
// ignored, roles flat or as a list of lists, truths also as texts.
func readWorkspace(text []byte) (WorkspaceChange, error) {
	var sent struct {
		Name                string
		Description         *string
		Roles               json.RawMessage
		HideForUnauthorized any
		Labels              [][]string
	}
	var c WorkspaceChange
	if err := json.Unmarshal(text, &sent); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return c, fault.New(fault.Invalid, "%s: a %s does not fit here", wrong.Field, wrong.Value)
		}
		return c, fault.New(fault.Invalid, "the body is not valid JSON")
	}
	c.Name, c.Description = sent.Name, sent.Description
	if c.Name == "" {
		return c, fault.New(fault.Invalid, "name the workspace")
	}
	roles, err := readRoles(sent.Roles)
	if err != nil {
		return c, err
	}
	c.Roles = roles
	switch hide := sent.HideForUnauthorized.(type) {
	case nil:
	case bool:
		c.Hidden = &hide
	case string:
		if hide != "" && hide != "true" && hide != "false" {
			return c, fault.New(fault.Invalid, "hideForUnauthorized is \"true\" or \"false\"")
		}
		hidden := hide == "true"
		c.Hidden = &hidden
	default:
		return c, fault.New(fault.Invalid, "hideForUnauthorized is \"true\" or \"false\"")
	}
	for _, l := range sent.Labels {
		if len(l) == 0 {
			continue
		}
		if c.Labels == nil {
			c.Labels = map[string]string{}
		}
		c.Labels[l[0]] = l[len(l)-1]
	}
	return c, nil
}

func readRoles(text json.RawMessage) ([][]string, error) {
	if len(bytes.TrimSpace(text)) == 0 || string(text) == "null" {
		return nil, nil
	}
	var flat []string
	if json.Unmarshal(text, &flat) == nil {
		return [][]string{flat}, nil
	}
	var nested [][]string
	if json.Unmarshal(text, &nested) != nil {
		return nil, fault.New(fault.Invalid, "roles is a list of texts, or a list of such lists")
	}
	return append([][]string{}, nested...), nil
}
