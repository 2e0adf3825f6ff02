package access

import (
	"net/http"
	"net/url"

	"lodge/internal/httpapi"
)

// Routes are the platform's routes about users, roles and permissions.
func (s *Service) Routes() []httpapi.Route {
	route := func(method, path string, action Action, handle httpapi.Handler, doc httpapi.Doc) httpapi.Route {
		doc.Tags = []string{"access"}
		return httpapi.Route{Method: method, Path: path, Action: string(action), Handle: handle, Doc: doc}
	}
	const user, role = "/api/v1/users/{id}", "/api/v1/roles/{name}"
	return []httpapi.Route{
		route("GET", "/api/v1/users", "users.read", s.getUsers, httpapi.Doc{
			ID: "list-users", Summary: "List people", Request: usersRequest{}, Response: httpapi.Page[User]{},
		}),
		route("POST", "/api/v1/users", "users.write", s.postUser, httpapi.Doc{
			ID: "create-user", Summary: "Enter a person before their first login", Request: createUserRequest{}, Response: User{},
			Status: http.StatusCreated, Errors: []int{400, 403, 404, 409},
		}),
		route("GET", user, "users.read", s.getUser, httpapi.Doc{
			ID: "get-user", Summary: "Show a person", Request: userRequest{}, Response: User{}, Errors: []int{404},
		}),
		route("PATCH", user, "users.write", s.patchUser, httpapi.Doc{
			ID: "change-user", Summary: "Disable or enable a person, change their roles, make an administrator",
			Description: "What is left out stays as it is. Only administrators change administrators; the last one stays; nobody can give a right that they do not have.",
			Request:     changeUserRequest{}, Response: User{}, Errors: []int{400, 403, 404, 409},
		}),
		route("PUT", user+"/roles/{role}", "users.write", s.putUserRole, httpapi.Doc{
			ID: "give-role", Summary: "Give a person a role", Request: userRoleRequest{}, Errors: []int{403, 404},
		}),
		route("DELETE", user+"/roles/{role}", "users.write", s.deleteUserRole, httpapi.Doc{
			ID: "take-role", Summary: "Take a role from a person", Request: userRoleRequest{}, Errors: []int{403, 404},
		}),
		route("GET", "/api/v1/roles", "roles.read", s.getRoles, httpapi.Doc{
			ID: "list-roles", Summary: "List roles", Request: rolesRequest{}, Response: httpapi.Page[RoleInfo]{},
		}),
		route("POST", "/api/v1/roles", "roles.write", s.postRole, httpapi.Doc{
			ID: "create-role", Summary: "Create a role", Request: createRoleRequest{}, Response: RoleInfo{},
			Status: http.StatusCreated, Errors: []int{400, 409},
		}),
		route("GET", role, "roles.read", s.getRole, httpapi.Doc{
			ID: "get-role", Summary: "Show a role", Request: roleRequest{}, Response: RoleInfo{}, Errors: []int{404},
		}),
		route("PATCH", role, "roles.write", s.patchRole, httpapi.Doc{
			ID: "describe-role", Summary: "Change a role's description", Request: changeRoleRequest{}, Response: RoleInfo{}, Errors: []int{400, 404},
		}),
		route("DELETE", role, "roles.write", s.deleteRole, httpapi.Doc{
			ID: "delete-role", Summary: "Delete a role, its permissions, and take it from everybody", Request: roleRequest{}, Errors: []int{404},
		}),
		route("GET", "/api/v1/permissions", "permissions.read", s.getPermissions, httpapi.Doc{
			ID: "list-permissions", Summary: "List what roles may do", Request: permissionsRequest{}, Response: httpapi.Page[Permission]{},
		}),
		route("POST", "/api/v1/permissions", "permissions.write", s.postPermission, httpapi.Doc{
			ID: "permit", Summary: "Let a role do an action on a group",
			Description: `The group is the resource's, such as a project, "site", or "*" for everywhere. Permitting twice changes nothing.`,
			Request:     permitRequest{}, Response: Permission{}, Status: http.StatusCreated, Errors: []int{400, 403, 404},
		}),
		route("DELETE", "/api/v1/permissions", "permissions.write", s.deletePermission, httpapi.Doc{
			ID: "forbid", Summary: "Take a permission from a role", Request: forbidRequest{}, Errors: []int{404},
		}),
		route("GET", "/api/v1/actions", Self, s.getActions, httpapi.Doc{
			ID: "list-actions", Summary: "List every action that can be permitted, with what it means", Response: actionsResponse{},
		}),
		route("GET", "/api/v1/access/explain", "access.explain", s.getExplain, httpapi.Doc{
			ID: "explain-access", Summary: "Who can do what, and by which rule?",
			Description: "With user, action and group: whether, and by which rule. Without a user: everyone who can. With a user and not both others: what they can do.",
			Request:     explainRequest{}, Response: Explanation{}, Errors: []int{400, 404, 409},
		}),
	}
}

type usersRequest struct {
	httpapi.PageQuery
	Q        string `query:"q" doc:"Part of the name, e-mail address or subject"`
	Role     string `query:"role" doc:"Only people with this role"`
	Disabled *bool  `query:"disabled" doc:"Only people who are, or are not, disabled"`
	Admin    *bool  `query:"admin" doc:"Only people who are, or are not, administrators"`
}

func (s *Service) getUsers(w http.ResponseWriter, r *http.Request) error {
	in, err := httpapi.Decode[usersRequest](r)
	if err != nil {
		return err
	}
	users, total, err := s.Users(r.Context(), UserFilter{
		Text: in.Q, Role: Role(in.Role), Disabled: in.Disabled, Admin: in.Admin, Limit: in.Limit, Offset: in.Offset,
	})
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, httpapi.NewPage(in.PageQuery, users, total))
}

type createUserRequest struct {
	Body struct {
		Issuer  string `json:"issuer" minLength:"1" maxLength:"255" doc:"The issuer of their tokens, exactly as tokens say it"`
		Subject string `json:"subject" minLength:"1" maxLength:"255" doc:"Their sub claim"`
		Name    string `json:"name,omitempty" maxLength:"255"`
		Email   string `json:"email,omitempty" maxLength:"255"`
		Admin   bool   `json:"admin,omitempty"`
		Roles   []Role `json:"roles,omitempty" maxItems:"200"`
	}
}

func (s *Service) postUser(w http.ResponseWriter, r *http.Request) error {
	in, err := httpapi.Decode[createUserRequest](r)
	if err != nil {
		return err
	}
	u, err := s.CreateUser(r.Context(), NewUser(in.Body))
	if err != nil {
		return err
	}
	return httpapi.Created(w, "/api/v1/users/"+u.ID, u)
}

type userRequest struct {
	ID string `path:"id"`
}

func (s *Service) getUser(w http.ResponseWriter, r *http.Request) error {
	u, err := s.User(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, u)
}

type changeUserRequest struct {
	ID   string `path:"id"`
	Body struct {
		Admin    *bool   `json:"admin,omitempty"`
		Disabled *bool   `json:"disabled,omitempty"`
		Roles    *[]Role `json:"roles,omitempty" maxItems:"200" doc:"All of their roles from now on"`
	}
}

func (s *Service) patchUser(w http.ResponseWriter, r *http.Request) error {
	in, err := httpapi.Decode[changeUserRequest](r)
	if err != nil {
		return err
	}
	u, err := s.ChangeUser(r.Context(), in.ID, UserChange(in.Body))
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, u)
}

type userRoleRequest struct {
	ID   string `path:"id"`
	Role string `path:"role"`
}

func (s *Service) putUserRole(w http.ResponseWriter, r *http.Request) error {
	if err := s.GiveRole(r.Context(), r.PathValue("id"), Role(r.PathValue("role"))); err != nil {
		return err
	}
	return httpapi.NoContent(w)
}

func (s *Service) deleteUserRole(w http.ResponseWriter, r *http.Request) error {
	if err := s.TakeRole(r.Context(), r.PathValue("id"), Role(r.PathValue("role"))); err != nil {
		return err
	}
	return httpapi.NoContent(w)
}

type rolesRequest struct {
	httpapi.PageQuery
	Q string `query:"q" doc:"Part of the name or the description"`
}

func (s *Service) getRoles(w http.ResponseWriter, r *http.Request) error {
	in, err := httpapi.Decode[rolesRequest](r)
	if err != nil {
		return err
	}
	roles, total, err := s.Roles(r.Context(), in.Q, in.Limit, in.Offset)
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, httpapi.NewPage(in.PageQuery, roles, total))
}

type createRoleRequest struct {
	Body struct {
		Name        string `json:"name" minLength:"1" maxLength:"100"`
		Description string `json:"description,omitempty" maxLength:"1000"`
	}
}

func (s *Service) postRole(w http.ResponseWriter, r *http.Request) error {
	in, err := httpapi.Decode[createRoleRequest](r)
	if err != nil {
		return err
	}
	role, err := s.CreateRole(r.Context(), Role(in.Body.Name), in.Body.Description)
	if err != nil {
		return err
	}
	return httpapi.Created(w, "/api/v1/roles/"+url.PathEscape(in.Body.Name), role)
}

type roleRequest struct {
	Name string `path:"name"`
}

func (s *Service) getRole(w http.ResponseWriter, r *http.Request) error {
	role, err := s.Role(r.Context(), Role(r.PathValue("name")))
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, role)
}

type changeRoleRequest struct {
	Name string `path:"name"`
	Body struct {
		Description string `json:"description" maxLength:"1000"`
	}
}

func (s *Service) patchRole(w http.ResponseWriter, r *http.Request) error {
	in, err := httpapi.Decode[changeRoleRequest](r)
	if err != nil {
		return err
	}
	role, err := s.DescribeRole(r.Context(), Role(in.Name), in.Body.Description)
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, role)
}

func (s *Service) deleteRole(w http.ResponseWriter, r *http.Request) error {
	if err := s.DeleteRole(r.Context(), Role(r.PathValue("name"))); err != nil {
		return err
	}
	return httpapi.NoContent(w)
}

type permissionsRequest struct {
	httpapi.PageQuery
	Role   string `query:"role"`
	Group  string `query:"group"`
	Action string `query:"action"`
}

func (s *Service) getPermissions(w http.ResponseWriter, r *http.Request) error {
	in, err := httpapi.Decode[permissionsRequest](r)
	if err != nil {
		return err
	}
	list, total, err := s.Permissions(r.Context(), PermissionFilter{
		Role: Role(in.Role), Group: Group(in.Group), Action: Action(in.Action), Limit: in.Limit, Offset: in.Offset,
	})
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, httpapi.NewPage(in.PageQuery, list, total))
}

type permitRequest struct {
	Body struct {
		Role   Role   `json:"role" minLength:"1" maxLength:"100"`
		Group  Group  `json:"group" minLength:"1" maxLength:"191"`
		Action Action `json:"action" minLength:"1" maxLength:"100"`
	}
}

func (s *Service) postPermission(w http.ResponseWriter, r *http.Request) error {
	in, err := httpapi.Decode[permitRequest](r)
	if err != nil {
		return err
	}
	p, err := s.Permit(r.Context(), Grant(in.Body))
	if err != nil {
		return err
	}
	return httpapi.Created(w, "", p)
}

type forbidRequest struct {
	Role   string `query:"role" required:"true"`
	Group  string `query:"group" required:"true"`
	Action string `query:"action" required:"true"`
}

func (s *Service) deletePermission(w http.ResponseWriter, r *http.Request) error {
	in, err := httpapi.Decode[forbidRequest](r)
	if err != nil {
		return err
	}
	if err := s.Forbid(r.Context(), Grant{Role: Role(in.Role), Group: Group(in.Group), Action: Action(in.Action)}); err != nil {
		return err
	}
	return httpapi.NoContent(w)
}

type actionsResponse struct {
	Items []ActionInfo `json:"items" nullable:"false"`
}

func (s *Service) getActions(w http.ResponseWriter, _ *http.Request) error {
	items := s.Catalogue()
	if items == nil {
		items = []ActionInfo{}
	}
	return httpapi.JSON(w, http.StatusOK, actionsResponse{items})
}

type explainRequest struct {
	httpapi.PageQuery
	User   string `query:"user" doc:"A person's id, or a name that only one has"`
	Action string `query:"action"`
	Group  string `query:"group"`
}

func (s *Service) getExplain(w http.ResponseWriter, r *http.Request) error {
	in, err := httpapi.Decode[explainRequest](r)
	if err != nil {
		return err
	}
	answer, err := s.Explain(r.Context(), Question{
		User: in.User, Action: Action(in.Action), Group: Group(in.Group), Limit: in.Limit, Offset: in.Offset,
	})
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, answer)
}
