package apps

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"lodge/internal/access"
	"lodge/internal/httpapi"
)

// HubInfo says what answers.
type HubInfo struct {
	Version       string    `json:"version"`
	Python        string    `json:"python,omitempty"`
	SysExecutable string    `json:"sys_executable,omitempty"`
	Authenticator *HubClass `json:"authenticator,omitempty"`
	Spawner       *HubClass `json:"spawner,omitempty"`
}

// HubClass is what JupyterHub says of its plug-ins.
type HubClass struct {
	Class   string `json:"class"`
	Version string `json:"version"`
}

// HubUser is a person. What JupyterHub answers as null is null.
type HubUser struct {
	Kind         string               `json:"kind" enum:"user"`
	Name         string               `json:"name"`
	Admin        bool                 `json:"admin"`
	Roles        []access.Role        `json:"roles" nullable:"false"`
	Groups       []access.Role        `json:"groups" nullable:"false" doc:"The same: roles are the groups here"`
	Server       *string              `json:"server" doc:"Where the unnamed server is, while it is ready"`
	Pending      *string              `json:"pending" enum:"spawn,stop"`
	Created      *time.Time           `json:"created"`
	LastActivity *time.Time           `json:"last_activity"`
	Servers      map[string]HubServer `json:"servers"`
}

// HubServer is an app session.
type HubServer struct {
	Name            string         `json:"name"`
	FullName        string         `json:"full_name"`
	URL             string         `json:"url" doc:"Where programs with a token reach it on this host; browsers are led on to the app's own"`
	FullURL         string         `json:"full_url"`
	ProgressURL     string         `json:"progress_url"`
	FullProgressURL string         `json:"full_progress_url"`
	Ready           bool           `json:"ready"`
	Stopped         bool           `json:"stopped"`
	Pending         *string        `json:"pending" enum:"spawn,stop"`
	Started         *time.Time     `json:"started"`
	LastActivity    *time.Time     `json:"last_activity"`
	UserOptions     map[string]any `json:"user_options"`
}

// HubIdentity is the caller: a person, or the holder of a service token.
type HubIdentity struct {
	Kind      string               `json:"kind" enum:"user,service"`
	Name      string               `json:"name"`
	Admin     bool                 `json:"admin"`
	Roles     []access.Role        `json:"roles" nullable:"false"`
	Groups    []access.Role        `json:"groups,omitempty"`
	Servers   map[string]HubServer `json:"servers,omitempty"`
	SessionID *string              `json:"session_id"`
	TokenID   *string              `json:"token_id"`
	Scopes    []string             `json:"scopes" nullable:"false" doc:"What the caller may do, by Lodge's names"`
}

// HubGroup is a role.
type HubGroup struct {
	Kind  string        `json:"kind" enum:"group"`
	Name  access.Role   `json:"name"`
	Users []string      `json:"users" nullable:"false"`
	Roles []access.Role `json:"roles" nullable:"false"`
}

// hubPending is what is under way in a state, as JupyterHub says it.
func hubPending(state State) *string {
	spawn, stop := "spawn", "stop"
	switch state {
	case Queued, Starting:
		return &spawn
	case Stopping:
		return &stop
	default:
		return nil
	}
}

// hubServerPathOf is where programs reach a server on Lodge's own host.
func hubServerPathOf(person, server string) string {
	path := userPath + url.PathEscape(person) + "/"
	if server != "" {
		path += url.PathEscape(server) + "/"
	}
	return path
}

func (s *Service) hubServer(ctx context.Context, person string, row Session) HubServer {
	name := hubServerName(row, s.hubDefault(ctx))
	progress := hubPrefix + "/users/" + url.PathEscape(person) + "/server/progress"
	if name != "" {
		progress = hubPrefix + "/users/" + url.PathEscape(person) + "/servers/" + url.PathEscape(name) + "/progress"
	}
	out := HubServer{
		Name: name, FullName: strings.TrimSuffix(person+"/"+name, "/"), URL: hubServerPathOf(person, name), FullURL: s.url(row),
		ProgressURL: progress, FullProgressURL: strings.TrimSuffix(s.cfg.PublicURL, "/") + progress,
		Ready: row.State == Running, Pending: hubPending(row.State), Started: optional(row.Started), UserOptions: row.Options,
	}
	out.Stopped = !out.Ready && out.Pending == nil
	if out.Started == nil {
		out.Started = optional(row.Queued)
	}
	if out.LastActivity = s.info(ctx, row).LastActivity; out.LastActivity == nil {
		out.LastActivity = optional(row.Ready)
	}
	if out.UserOptions == nil {
		out.UserOptions = map[string]any{}
	}
	return out
}

// hubUser shows somebody with those of their app sessions that the caller may see.
func (s *Service) hubUser(ctx context.Context, who hubPerson, rows []Session, stopped bool) HubUser {
	out := HubUser{
		Kind: "user", Name: who.name, Admin: who.user.Admin, Roles: append([]access.Role{}, who.user.Roles...), Groups: append([]access.Role{}, who.user.Roles...),
		Created: optional(who.user.Created), LastActivity: optional(who.user.Seen), Servers: map[string]HubServer{},
	}
	for _, row := range rows {
		one := s.hubServer(ctx, who.name, row)
		if one.LastActivity != nil && (out.LastActivity == nil || one.LastActivity.After(*out.LastActivity)) {
			out.LastActivity = one.LastActivity
		}
		if one.Stopped && !stopped {
			continue
		}
		out.Servers[one.Name] = one
		if one.Name == "" {
			if out.Pending = one.Pending; one.Ready {
				out.Server = &one.URL
			}
		}
	}
	return out
}

func (s *Service) handleHub(w http.ResponseWriter, _ *http.Request) error {
	return httpapi.JSON(w, http.StatusOK, HubInfo{Version: hubVersion})
}

func (s *Service) handleHubInfo(w http.ResponseWriter, _ *http.Request) error {
	return httpapi.JSON(w, http.StatusOK, HubInfo{
		Version: hubVersion, Python: "none", SysExecutable: "lodge", Authenticator: &HubClass{"lodge", hubVersion}, Spawner: &HubClass{"lodge." + s.cfg.Driver, hubVersion},
	})
}

func (s *Service) handleHubSelf(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	c := access.CallerFrom(ctx)
	out := HubIdentity{Kind: "service", Name: c.Name, Admin: c.Admin, Roles: append([]access.Role{}, c.Roles...), Scopes: []string{}}
	for _, info := range s.access.Catalogue() {
		groups, all, err := s.access.Groups(ctx, info.Action)
		if err != nil {
			return err
		}
		if all || len(groups) > 0 {
			out.Scopes = append(out.Scopes, string(info.Action))
		}
	}
	switch c.Credential.Kind {
	case "session":
		out.SessionID = &c.Credential.ID
	case "token":
		out.TokenID = &c.Credential.ID
	}
	if c.UserID != "" {
		who, err := s.hubPersonOf(ctx, c.UserID)
		if err != nil {
			return err
		}
		rows, err := s.own(ctx, "")
		if err != nil {
			return err
		}
		user := s.hubUser(ctx, who, rows, false)
		out.Kind, out.Name, out.Groups, out.Servers = "user", user.Name, user.Groups, user.Servers
	}
	return httpapi.JSON(w, http.StatusOK, out)
}

// hubPage is how lists are answered for clients that ask for pages; the others get the bare list.
type hubPage struct {
	Items any `json:"items"`
	Page  struct {
		Offset int      `json:"offset"`
		Limit  int      `json:"limit"`
		Total  int      `json:"total"`
		Next   *hubNext `json:"next"`
	} `json:"_pagination"`
}

type hubNext struct {
	Offset int    `json:"offset"`
	Limit  int    `json:"limit"`
	URL    string `json:"url"`
}

const (
	hubPages    = "application/jupyterhub-pagination+json"
	maxHubLimit = 200
)

// limit is how many of a list are given.
func (q hubPageQuery) limit() int { return min(cmp.Or(q.Limit, 50), maxHubLimit) }

// cut is the page's part of a list.
func cut[T any](q hubPageQuery, all []T) []T {
	from := min(q.Offset, len(all))
	return all[from:min(from+q.limit(), len(all))]
}

// answerHubList answers a page of a list of so many.
func (s *Service) answerHubList(w http.ResponseWriter, r *http.Request, q hubPageQuery, items any, total int) error {
	if !strings.Contains(r.Header.Get("Accept"), hubPages) {
		return httpapi.JSON(w, http.StatusOK, items)
	}
	out := hubPage{Items: items}
	out.Page.Offset, out.Page.Limit, out.Page.Total = q.Offset, q.limit(), total
	if next := q.Offset + q.limit(); next < total {
		query := r.URL.Query()
		query.Set("offset", strconv.Itoa(next))
		query.Set("limit", strconv.Itoa(q.limit()))
		out.Page.Next = &hubNext{next, q.limit(), strings.TrimSuffix(s.cfg.PublicURL, "/") + r.URL.Path + "?" + query.Encode()}
	}
	text, err := json.Marshal(out)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", hubPages)
	_, err = w.Write(text)
	return err
}

func (s *Service) handleHubGroups(w http.ResponseWriter, r *http.Request) error {
	q, err := httpapi.Decode[hubPageQuery](r)
	if err != nil {
		return err
	}
	roles, total, err := s.access.Roles(r.Context(), "", q.limit(), q.Offset)
	if err != nil {
		return err
	}
	out := make([]HubGroup, 0, len(roles))
	for _, role := range roles {
		one, err := s.hubGroup(r.Context(), role.Name)
		if err != nil {
			return err
		}
		out = append(out, one)
	}
	return s.answerHubList(w, r, q, out, int(total))
}

func (s *Service) handleHubGroup(w http.ResponseWriter, r *http.Request) error {
	role, err := s.access.Role(r.Context(), access.Role(r.PathValue("group")))
	if err != nil {
		return err
	}
	one, err := s.hubGroup(r.Context(), role.Name)
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, one)
}

func (s *Service) hubGroup(ctx context.Context, role access.Role) (HubGroup, error) {
	out := HubGroup{Kind: "group", Name: role, Users: []string{}, Roles: []access.Role{role}}
	users, err := s.everybody(ctx, access.UserFilter{Role: role})
	if err != nil {
		return out, err
	}
	people := make([]hubPerson, len(users))
	for i, u := range users {
		people[i] = hubPerson{id: u.ID, user: u}
	}
	if err := s.enterAll(ctx, people); err != nil {
		return out, err
	}
	for _, p := range people {
		out.Users = append(out.Users, p.name)
	}
	slices.Sort(out.Users)
	return out, nil
}
