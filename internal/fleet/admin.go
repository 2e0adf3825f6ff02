package fleet

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"lodge/internal/access"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
)

// The administration of the original, on the platform's users, roles and permissions. A user is
// known by name here; the platform knows them by issuer and subject, so a name may mean several.

// User is somebody who logged in, or was entered.
type User struct {
	Username string   `json:"username"`
	IsAdmin  bool     `json:"is_admin"`
	Roles    []string `json:"roles" nullable:"false"`
}

// Permission is to do something with what is in a group.
type Permission struct {
	AuthzGrp string `json:"authz_grp"`
	Action   string `json:"action"`
}

// The platform's actions for this.
const (
	readUsers        access.Action = "users.read"
	writeUsers       access.Action = "users.write"
	readRoles        access.Action = "roles.read"
	writeRoles       access.Action = "roles.write"
	readPermissions  access.Action = "permissions.read"
	writePermissions access.Action = "permissions.write"
)

type (
	roleName struct {
		Name string `json:"name"`
	}
	newUser struct {
		Username string `json:"username"`
		IsAdmin  bool   `json:"is_admin" required:"false"`
	}
	makeAdmin struct {
		Admin bool `json:"admin"`
	}
	userPath struct {
		Username string `path:"username"`
	}
	rolePath struct {
		Role string `path:"role"`
	}
	usersQuery struct {
		Username *string `query:"username" doc:"filters username that starts with the value"`
		IsAdmin  *bool   `query:"is_admin"`
		pageQuery
	}
)

func (s *Service) adminRoutes() []httpapi.Route {
	admin := func(method, path string, action access.Action, fn, summary string, handle httpapi.Handler, request, response any) httpapi.Route {
		return s.route(method, path, action, onSite, handle, operation{
			fn: fn, tag: "Admin", summary: summary, request: request, response: response, errors: []int{404},
		})
	}
	type named struct {
		userPath
		Body roleName
	}
	type roles struct {
		userPath
		Body []roleName
	}
	type admins struct {
		userPath
		Body makeAdmin
	}
	type permission struct {
		rolePath
		Body Permission
	}
	return []httpapi.Route{
		admin("GET", "/admin/users", readUsers, "get_users", "List user names", s.handleUsers, usersQuery{}, []string{}),
		admin("POST", "/admin/users", writeUsers, "create_user", "Enter a user", s.handleCreateUser, struct{ Body newUser }{}, nil),
		admin("GET", "/admin/users/{username}", readUsers, "get_user", "Get a user", s.handleGetUser, userPath{}, User{}),
		admin("DELETE", "/admin/users/{username}", writeUsers, "delete_user", "Delete a user", s.handleDeleteUser, userPath{}, nil),
		admin("POST", "/admin/users/{username}/make_admin", writeUsers, "make_admin", "Make a user an administrator, or not", s.handleMakeAdmin, admins{}, nil),
		admin("POST", "/admin/users/{username}/roles", writeUsers, "add_user_role", "Give a user a role", s.handleAddUserRole, named{}, nil),
		admin("PUT", "/admin/users/{username}/roles", writeUsers, "set_user_roles", "Set the roles of a user", s.handleSetUserRoles, roles{}, nil),
		admin("DELETE", "/admin/users/{username}/roles/{role}", writeUsers, "delete_user_role", "Take a role from a user", s.handleDeleteUserRole, struct {
			userPath
			rolePath
		}{}, nil),
		admin("GET", "/admin/roles", readRoles, "get_roles", "List roles", s.handleRoles, nil, []string{}),
		admin("POST", "/admin/roles", writeRoles, "create_role", "Create a role", s.handleCreateRole, struct{ Body roleName }{}, nil),
		admin("DELETE", "/admin/roles/{role}", writeRoles, "delete_role", "Delete a role", s.handleDeleteRole, rolePath{}, nil),
		admin("GET", "/admin/roles/{role}/permissions", readPermissions, "get_role_permissions", "List the permissions of a role", s.handleRolePermissions, rolePath{}, []Permission{}),
		admin("POST", "/admin/roles/{role}/permissions", writePermissions, "add_role_permission", "Give a role a permission", s.handleAddPermission, permission{}, nil),
		admin("POST", "/admin/roles/{role}/permissions/remove", writePermissions, "remove_role_permission", "Take a permission from a role", s.handleRemovePermission, permission{}, nil),
	}
}

func roleNames(roles []access.Role) []string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	slices.Sort(names)
	return names
}

// handleUser tells callers who they are.
func (s *Service) handleUser(w http.ResponseWriter, r *http.Request) error {
	c := access.CallerFrom(r.Context())
	return httpapi.JSON(w, http.StatusOK, User{c.Name, c.Admin, roleNames(c.Roles)})
}

// handlePermissions tells callers what their roles permit, each thing once.
func (s *Service) handlePermissions(w http.ResponseWriter, r *http.Request) error {
	list := []Permission{}
	for _, role := range access.CallerFrom(r.Context()).Roles {
		more, err := s.permissionsOf(r.Context(), role)
		if err != nil {
			return err
		}
		for _, p := range more {
			if !slices.Contains(list, p) {
				list = append(list, p)
			}
		}
	}
	return httpapi.JSON(w, http.StatusOK, list)
}

// most is how many of anything are read at once.
const most = 1000

func (s *Service) permissionsOf(ctx context.Context, role access.Role) ([]Permission, error) {
	list := []Permission{}
	for {
		part, total, err := s.access.Permissions(ctx, access.PermissionFilter{Role: role, Limit: most, Offset: len(list)})
		if err != nil {
			return nil, err
		}
		for _, p := range part {
			list = append(list, Permission{legacyGroup(p.Group), legacyName(p.Action)})
		}
		if len(part) == 0 || int64(len(list)) >= total {
			return list, nil
		}
	}
}

// userNamed finds the user that a name means.
func (s *Service) userNamed(ctx context.Context, name string) (access.User, error) {
	users, _, err := s.access.Users(ctx, access.UserFilter{Name: name, Limit: 2})
	switch {
	case err != nil:
		return access.User{}, err
	case name == "" || len(users) == 0:
		return access.User{}, errNotFound
	case len(users) > 1:
		return access.User{}, fault.New(fault.Conflict, "Several users are called %s; tell them apart in the console", name)
	}
	return users[0], nil
}

func (s *Service) handleUsers(w http.ResponseWriter, r *http.Request) error {
	q, err := read[usersQuery](r)
	if err != nil {
		return err
	}
	f := access.UserFilter{Prefix: deref(q.Username), Admin: q.IsAdmin, Limit: int(q.Limit), Offset: int(q.Offset)}
	keys, err := sortKeys(q.OrderBy, map[string]string{"username": "name", "is_admin": "admin"}, false)
	if err != nil {
		return err
	}
	for _, key := range keys {
		switch {
		case key.column == "name":
			f.Down = key.down
		case key.down:
			f.AdminsFirst = true
		default:
			f.AdminsLast = true
		}
	}
	users, _, err := s.access.Users(r.Context(), f)
	if err != nil {
		return err
	}
	names := make([]string, len(users))
	for i, u := range users {
		names[i] = u.Name
	}
	return httpapi.JSON(w, http.StatusOK, names)
}

func (s *Service) handleCreateUser(w http.ResponseWriter, r *http.Request) error {
	q, err := read[struct{ Body newUser }](r)
	if err != nil {
		return err
	}
	name := q.Body.Username
	if strings.HasPrefix(name, "_") {
		return unprocessable("Usernames cannot begin with _")
	}
	known, _, err := s.access.Users(r.Context(), access.UserFilter{Name: name, Limit: 1})
	if err != nil {
		return err
	}
	if name != "" && len(known) > 0 {
		return unprocessable("User " + name + " already exists")
	}
	_, err = s.access.CreateUser(r.Context(), access.NewUser{Issuer: s.cfg.UserIssuer, Subject: name, Name: name, Admin: q.Body.IsAdmin})
	if fault.Is(err, fault.Conflict) {
		return unprocessable("User " + name + " already exists")
	}
	if err != nil {
		return err
	}
	return null(w)
}

func (s *Service) handleGetUser(w http.ResponseWriter, r *http.Request) error {
	u, err := s.userNamed(r.Context(), r.PathValue("username"))
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, User{u.Name, u.Admin, roleNames(u.Roles)})
}

// changeUser does something to the user that the path names, and answers null.
func (s *Service) changeUser(w http.ResponseWriter, r *http.Request, change func(access.User) error) error {
	u, err := s.userNamed(r.Context(), r.PathValue("username"))
	if err != nil {
		return err
	}
	if err := change(u); err != nil {
		return err
	}
	return null(w)
}

func (s *Service) handleDeleteUser(w http.ResponseWriter, r *http.Request) error {
	return s.changeUser(w, r, func(u access.User) error { return s.access.DeleteUser(r.Context(), u.ID) })
}

func (s *Service) handleMakeAdmin(w http.ResponseWriter, r *http.Request) error {
	q, err := read[struct{ Body makeAdmin }](r)
	if err != nil {
		return err
	}
	return s.changeUser(w, r, func(u access.User) error {
		_, err := s.access.ChangeUser(r.Context(), u.ID, access.UserChange{Admin: &q.Body.Admin})
		return err
	})
}

// roleExists fails as errNotFound when there is no such role.
func (s *Service) roleExists(ctx context.Context, name string) error {
	_, err := s.access.Role(ctx, access.Role(name))
	if fault.Is(err, fault.Missing) {
		return errNotFound
	}
	return err
}

func (s *Service) handleAddUserRole(w http.ResponseWriter, r *http.Request) error {
	q, err := read[struct{ Body roleName }](r)
	if err != nil {
		return err
	}
	return s.changeUser(w, r, func(u access.User) error {
		if err := s.roleExists(r.Context(), q.Body.Name); err != nil {
			return err
		}
		return s.access.GiveRole(r.Context(), u.ID, access.Role(q.Body.Name))
	})
}

func (s *Service) handleSetUserRoles(w http.ResponseWriter, r *http.Request) error {
	q, err := read[struct{ Body []roleName }](r)
	if err != nil {
		return err
	}
	return s.changeUser(w, r, func(u access.User) error {
		unknown := unprocessable("one or more roles does not exist")
		roles := []access.Role{}
		for _, name := range q.Body {
			role := access.Role(name.Name)
			if slices.Contains(roles, role) {
				return unknown
			}
			roles = append(roles, role)
		}
		_, err := s.access.ChangeUser(r.Context(), u.ID, access.UserChange{Roles: &roles})
		if fault.Is(err, fault.Missing) || fault.Is(err, fault.Invalid) {
			return unknown
		}
		return err
	})
}

func (s *Service) handleDeleteUserRole(w http.ResponseWriter, r *http.Request) error {
	return s.changeUser(w, r, func(u access.User) error {
		role := r.PathValue("role")
		if err := s.roleExists(r.Context(), role); err != nil {
			return err
		}
		return s.access.TakeRole(r.Context(), u.ID, access.Role(role))
	})
}

func (s *Service) handleRoles(w http.ResponseWriter, r *http.Request) error {
	names := []string{}
	for {
		part, total, err := s.access.Roles(r.Context(), "", most, len(names))
		if err != nil {
			return err
		}
		for _, role := range part {
			names = append(names, string(role.Name))
		}
		if len(part) == 0 || int64(len(names)) >= total {
			return httpapi.JSON(w, http.StatusOK, names)
		}
	}
}

func (s *Service) handleCreateRole(w http.ResponseWriter, r *http.Request) error {
	q, err := read[struct{ Body roleName }](r)
	if err != nil {
		return err
	}
	_, err = s.access.CreateRole(r.Context(), access.Role(q.Body.Name), "")
	if fault.Is(err, fault.Conflict) {
		return unprocessable("Role " + q.Body.Name + " already exists")
	}
	if err != nil {
		return err
	}
	return null(w)
}

func (s *Service) handleDeleteRole(w http.ResponseWriter, r *http.Request) error {
	role := r.PathValue("role")
	if err := s.roleExists(r.Context(), role); err != nil {
		return err
	}
	if err := s.access.DeleteRole(r.Context(), access.Role(role)); err != nil {
		return err
	}
	return null(w)
}

func (s *Service) handleRolePermissions(w http.ResponseWriter, r *http.Request) error {
	role := r.PathValue("role")
	if err := s.roleExists(r.Context(), role); err != nil {
		return err
	}
	list, err := s.permissionsOf(r.Context(), access.Role(role))
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, list)
}

// grant reads a permission of the role in the path.
func (s *Service) grant(r *http.Request) (access.Grant, error) {
	q, err := read[struct{ Body Permission }](r)
	if err != nil {
		return access.Grant{}, err
	}
	role := r.PathValue("role")
	if err := s.roleExists(r.Context(), role); err != nil {
		return access.Grant{}, err
	}
	return access.Grant{Role: access.Role(role), Group: groupNamed(q.Body.AuthzGrp), Action: actionNamed(q.Body.Action)}, nil
}

func (s *Service) handleAddPermission(w http.ResponseWriter, r *http.Request) error {
	g, err := s.grant(r)
	if err != nil {
		return err
	}
	if _, err := s.access.Permit(r.Context(), g); err != nil {
		return err
	}
	return null(w)
}

func (s *Service) handleRemovePermission(w http.ResponseWriter, r *http.Request) error {
	g, err := s.grant(r)
	if err != nil {
		return err
	}
	if err := s.access.Forbid(r.Context(), g); err != nil && !fault.Is(err, fault.Missing) {
		return err
	}
	return null(w)
}
