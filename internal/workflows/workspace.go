package workflows

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"lodge/internal/access"
	"lodge/internal/audit"
	"lodge/internal/database"
	"lodge/internal/fault"
)

// Workspace is a group of workflows, jobs, secrets and volumes, and who belongs to it.
type Workspace struct {
	Name        string
	Description string
	// Roles are alternatives; of one alternative a member has all roles.
	Roles  [][]string
	Labels map[string]string
	Hidden bool
}

const (
	// customMark is what custom roles contain, such as "a@b.c--$owner".
	customMark   = "--$"
	owner        = "--$owner"
	collaborator = "--$collaborator"
	pseudoUser   = "ws-collaborator"
	pseudoAdmin  = "ws-owner"
	adminSuffix  = "-admin"
)

// person is a caller as workspaces see them.
type person struct {
	email string
	roles []access.Role
}

func personOf(c *access.Caller) person {
	if c == nil {
		return person{}
	}
	p := person{email: emailOf(c), roles: c.Roles}
	if verified, told := c.Claims["email_verified"].(bool); told && !verified {
		p.email = "" // anybody could claim to be the owner
	}
	return p
}

// emailOf is the caller's address. Tokens without a subject are no users of Lodge, and may have one all the same.
func emailOf(c *access.Caller) string {
	if email, ok := c.Claims["email"].(string); ok && c.Email == "" {
		return email
	}
	return c.Email
}

func (p person) has(role string) bool { return slices.Contains(p.roles, access.Role(role)) }

// custom says whether the person is named in the workspace itself.
func (w Workspace) custom(p person, as string) bool {
	return p.email != "" && slices.ContainsFunc(w.Roles, func(all []string) bool { return slices.Contains(all, p.email+as) })
}

// Plain are an alternative's roles without those that name a person: each of these is an
// alternative of its own.
func plain(alternative []string) []string {
	return slices.DeleteFunc(slices.Clone(alternative), func(r string) bool { return strings.Contains(r, customMark) })
}

// member says whether a person may use the workspace: by all roles of one alternative, or by being
// named as its owner or collaborator.
func (w Workspace) member(p person) bool {
	if w.custom(p, owner) || w.custom(p, collaborator) {
		return true
	}
	return slices.ContainsFunc(w.Roles, func(alternative []string) bool {
		if slices.ContainsFunc(alternative, func(r string) bool { return strings.Contains(r, customMark) && p.has(r) }) {
			return true
		}
		roles := plain(alternative)
		return len(roles) > 0 && !slices.ContainsFunc(roles, func(r string) bool { return !p.has(r) })
	})
}

// admin says whether a person administers the workspace. That alone does not make a member.
func (w Workspace) admin(p person) bool {
	if w.custom(p, owner) {
		return true
	}
	return slices.ContainsFunc(w.Roles, func(alternative []string) bool {
		roles := plain(alternative)
		return len(roles) > 0 && !slices.ContainsFunc(roles, func(r string) bool { return !p.has(r + adminSuffix) })
	})
}

// The rules by which people have rights in workspaces, as decisions and the audit log name them.
const (
	memberRule  access.Role = "member of this workspace"
	adminRule   access.Role = "administrator of this workspace"
	creatorRule access.Role = "maker of workspaces"
)

// grants are a person's rights in the workspace by its rule.
func (w Workspace) grants(p person) []access.Grant {
	var all []access.Grant
	give := func(rule access.Role, actions ...access.Action) {
		for _, a := range actions {
			all = append(all, access.Grant{Role: rule, Group: access.Group(w.Name), Action: a})
		}
	}
	if w.member(p) {
		give(memberRule, Read, Write, Delete, Run, ReadSecrets, ReadVolumes)
	}
	if w.admin(p) {
		give(adminRule, ReadSecrets, WriteSecrets, ReadVolumes, WriteVolumes, WriteWorkspace)
	}
	return all
}

// entitled gives the caller the rights that workspaces give by their rules.
func (s *Service) entitled(ctx context.Context) (context.Context, []Workspace, error) {
	all, err := s.store.workspaces(ctx, s.db)
	if err != nil {
		return ctx, nil, fmt.Errorf("read workspaces: %w", err)
	}
	p := personOf(access.CallerFrom(ctx))
	var grants []access.Grant
	for _, w := range all {
		grants = append(grants, w.grants(p)...)
	}
	if slices.ContainsFunc(s.cfg.CreatorRoles, func(r access.Role) bool { return p.has(string(r)) }) {
		grants = append(grants, access.Grant{Role: creatorRule, Group: access.Site, Action: CreateWorkspace})
	}
	return access.WithGrants(ctx, grants...), all, nil
}

// require asks whether the caller may do this in the workspace, and writes a refusal down. A
// workspace that there is not refuses like one that is not the caller's. The context it returns
// carries the decision.
func (s *Service) require(ctx context.Context, action access.Action, workspace, object string) (context.Context, error) {
	ctx, all, err := s.entitled(ctx)
	if err != nil {
		return ctx, err
	}
	group := access.Group(workspace)
	if workspace == "" {
		group = access.Site
	}
	d, err := s.access.Require(ctx, action, group)
	ctx = access.WithDecision(ctx, d)
	if err == nil && workspace != "" && !slices.ContainsFunc(all, func(w Workspace) bool { return w.Name == workspace }) {
		return ctx, fault.New(fault.Missing, "there is no workspace (%s)", clip(workspace))
	}
	if !fault.Is(err, fault.Denied) {
		return ctx, err
	}
	refused := s.audit.Refused(ctx, audit.Entry{Action: string(action), Group: string(group), Object: object, Outcome: audit.Denied, Rule: d.Rule})
	if workspace != "" {
		err = fault.Wrap(err, fault.Denied, "user has no access to workspace (%s)", clip(workspace))
	}
	return ctx, errors.Join(err, refused)
}

// requireObject asks the same about an object that the caller named by its id: if it is not theirs to
// read, it does not exist for them.
func (s *Service) requireObject(ctx context.Context, action access.Action, workspace, object string) (context.Context, error) {
	allowed, err := s.require(ctx, action, workspace, object)
	if !fault.Is(err, fault.Denied) {
		return allowed, err
	}
	if action != Read {
		if _, unseen := s.access.Require(allowed, Read, access.Group(workspace)); unseen == nil {
			return allowed, err
		}
	}
	return allowed, fault.Wrap(err, fault.Missing, "not found")
}

func clip(text string) string {
	if r := []rune(text); len(r) > 80 {
		return string(r[:80]) + "…"
	}
	return text
}

// readable are the workspaces whose workflows and jobs the caller may read; all says every one.
func (s *Service) readable(ctx context.Context) (names []string, all bool, err error) {
	ctx, _, err = s.entitled(ctx)
	if err != nil {
		return nil, false, err
	}
	groups, all, err := s.access.Groups(ctx, Read)
	for _, g := range groups {
		names = append(names, string(g))
	}
	return names, all, err
}

// WorkspaceInfo is a workspace as its list shows it: Roles are what the caller is there.
type WorkspaceInfo struct {
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Roles       []string `json:"roles" nullable:"false" doc:"ws-collaborator and ws-owner for what the caller is there, and the custom roles that the caller may see"`
}

// Workspaces lists those that the caller may see, by name.
func (s *Service) Workspaces(ctx context.Context) ([]WorkspaceInfo, error) {
	ctx, all, err := s.entitled(ctx)
	if err != nil {
		return nil, err
	}
	c := access.CallerFrom(ctx)
	p := personOf(c)
	seesAll := c != nil && c.Admin || slices.ContainsFunc(s.cfg.CreatorRoles, func(r access.Role) bool { return p.has(string(r)) })
	list := []WorkspaceInfo{}
	for _, w := range all {
		_, notRead := s.access.Require(ctx, Read, access.Group(w.Name))
		_, notAdmin := s.access.Require(ctx, WriteWorkspace, access.Group(w.Name))
		if w.Hidden && notRead != nil && notAdmin != nil {
			continue
		}
		info := WorkspaceInfo{Name: w.Name, Description: w.Description, Roles: []string{}}
		if notRead == nil {
			info.Roles = append(info.Roles, pseudoUser)
		}
		if notAdmin == nil {
			info.Roles = append(info.Roles, pseudoAdmin)
		}
		for _, r := range slices.Concat(w.Roles...) {
			own := p.email != "" && (r == p.email+owner || r == p.email+collaborator)
			if strings.Contains(r, customMark) && (seesAll || own) && !slices.Contains(info.Roles, r) {
				info.Roles = append(info.Roles, r)
			}
		}
		list = append(list, info)
	}
	return list, nil
}

// WorkspaceDetail is a workspace as its administrators see it.
type WorkspaceDetail struct {
	Name        string     `json:"name"`
	Description string     `json:"description"`
	Roles       [][]string `json:"roles" nullable:"false" doc:"Alternatives; of one alternative a member has all roles"`
	Hidden      bool       `json:"hidden" doc:"Whether those who may not use it do not see it either"`
}

// Workspace is one workspace with who belongs to it, for those who may change that.
func (s *Service) Workspace(ctx context.Context, name string) (WorkspaceDetail, error) {
	ctx, err := s.requireObject(ctx, WriteWorkspace, name, name)
	if err != nil {
		return WorkspaceDetail{}, err
	}
	w, err := s.store.workspace(ctx, s.db, name)
	return WorkspaceDetail{w.Name, w.Description, append([][]string{}, w.Roles...), w.Hidden}, err
}

// WorkspaceChange is what is posted about a workspace. What is nil stays as it is.
type WorkspaceChange struct {
	Name        string
	Description *string
	Roles       [][]string
	Labels      map[string]string
	Hidden      *bool
}

var workspaceName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// reserved are groups of another meaning.
var reserved = []string{string(access.Site), "default"}

// cleanRoles drops what lists of workspaces say about the caller and clients send back.
func cleanRoles(roles [][]string) ([][]string, error) {
	var all [][]string
	for _, alternative := range roles {
		kept := slices.DeleteFunc(slices.Clone(alternative), func(r string) bool { return r == pseudoUser || r == pseudoAdmin || r == "" })
		if len(kept) > 0 {
			all = append(all, kept)
		}
	}
	if len(all) == 0 {
		return nil, fault.New(fault.Invalid, "name the roles that belong to the workspace: without any, nobody could use it")
	}
	return all, nil
}

// CreateWorkspace makes a workspace.
func (s *Service) CreateWorkspace(ctx context.Context, change WorkspaceChange) error {
	ctx, err := s.require(ctx, CreateWorkspace, "", change.Name)
	if err != nil {
		return err
	}
	if !workspaceName.MatchString(change.Name) || slices.Contains(reserved, change.Name) || strings.HasPrefix(change.Name, "kube-") {
		return fault.New(fault.Invalid, "%q is no name for a workspace: use at most 63 small letters, digits and -, not %s, and not kube-…", clip(change.Name), strings.Join(reserved, ", "))
	}
	w := Workspace{Name: change.Name}
	if err := w.apply(change, true); err != nil {
		return err
	}
	put := s.store.insertWorkspace
	if s.cfg.Places != nil {
		if err := s.cfg.Places.CreateWorkspace(ctx, w); err != nil {
			return err
		}
		put = s.store.putWorkspace // who follows the places may have been quicker
	}
	err = s.db.Tx(ctx, func(tx *database.Tx) error {
		if err := put(ctx, tx, w, s.now()); err != nil {
			return err
		}
		return s.record(ctx, tx, CreateWorkspace, string(access.Site), w.Name, "")
	})
	if database.IsDuplicate(err) {
		return fault.New(fault.Conflict, "there is a workspace %s already", w.Name)
	}
	if err != nil && s.cfg.Places != nil {
		return errors.Join(err, s.cfg.Places.DeleteWorkspace(context.WithoutCancel(ctx), w.Name))
	}
	return err
}

// FirstWorkspace makes a workspace for the roles while there is none at all, so that a new site can be
// used. Making it is nobody's act and asks no permission.
func (s *Service) FirstWorkspace(ctx context.Context, name string, roles ...string) error {
	all, err := s.store.workspaces(ctx, s.db)
	if err != nil || len(all) > 0 {
		return err
	}
	if !workspaceName.MatchString(name) || slices.Contains(reserved, name) {
		return fault.New(fault.Invalid, "%q is no name for a workspace", clip(name))
	}
	w := Workspace{Name: name, Description: "For trying things out", Roles: [][]string{roles}}
	err = s.db.Tx(ctx, func(tx *database.Tx) error { return s.store.insertWorkspace(ctx, tx, w, s.now()) })
	if database.IsDuplicate(err) {
		return nil // another replica was quicker
	}
	return err
}

func (w *Workspace) apply(change WorkspaceChange, all bool) (err error) {
	if change.Roles != nil || all {
		if w.Roles, err = cleanRoles(change.Roles); err != nil {
			return err
		}
	}
	if change.Description != nil {
		w.Description = *change.Description
	}
	if change.Hidden != nil {
		w.Hidden = *change.Hidden
	}
	if change.Labels != nil {
		w.Labels = change.Labels
	}
	return nil
}

// EditWorkspace changes what was given.
func (s *Service) EditWorkspace(ctx context.Context, change WorkspaceChange) error {
	ctx, err := s.require(ctx, WriteWorkspace, change.Name, change.Name)
	if err != nil {
		return err
	}
	if s.cfg.Places != nil {
		w, err := s.store.workspace(ctx, s.db, change.Name)
		if err != nil {
			return err
		}
		if err := w.apply(change, false); err != nil {
			return err
		}
		if err := s.cfg.Places.EditWorkspace(ctx, w); err != nil {
			return err
		}
	}
	return s.db.Tx(ctx, func(tx *database.Tx) error {
		w, err := s.store.workspace(ctx, tx, change.Name)
		if err != nil {
			return err
		}
		if err := w.apply(change, false); err != nil {
			return err
		}
		if err := s.store.updateWorkspace(ctx, tx, w, s.now()); err != nil {
			return err
		}
		return s.record(ctx, tx, WriteWorkspace, w.Name, w.Name, "edited")
	})
}

// DeleteWorkspace removes a workspace with everything in it, unless a job is under way.
func (s *Service) DeleteWorkspace(ctx context.Context, name string) error {
	ctx, err := s.require(ctx, WriteWorkspace, name, name)
	if err != nil {
		return err
	}
	idle := func(q database.Querier) error {
		running, err := number(ctx, q, "SELECT COUNT(*) FROM wf_jobs WHERE workspace = ? AND finished_at IS NULL", name)
		if err == nil && running > 0 {
			err = fault.New(fault.Conflict, "%d jobs of the workspace %s are under way: stop them first", running, name)
		}
		return err
	}
	if s.cfg.Places != nil {
		if err := idle(s.db); err != nil {
			return err
		}
		if err := s.cfg.Places.DeleteWorkspace(ctx, name); err != nil {
			return err
		}
	}
	return s.db.Tx(ctx, func(tx *database.Tx) error {
		if err := idle(tx); err != nil {
			return err
		}
		if err := s.store.deleteWorkspace(ctx, tx, name); err != nil {
			return err
		}
		return s.record(ctx, tx, WriteWorkspace, name, name, "deleted")
	})
}

// record writes the audit record of a change in its transaction.
func (s *Service) record(ctx context.Context, tx *database.Tx, action access.Action, group, object, detail string) error {
	return s.audit.Record(ctx, tx, audit.Entry{Action: string(action), Group: group, Object: object, Detail: detail})
}
