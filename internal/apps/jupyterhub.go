package apps

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"lodge/internal/access"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
)

// The JupyterHub face serves app sessions by the REST API that JupyterHub's tools know: people are
// users, app sessions are servers. The unnamed server is the default app; others go by the app's id,
// or app~name. It decides nothing itself: whoever may do something here may do it by the part's own API.
const (
	hubPrefix = "/hub/api"
	userPath  = "/user/"
	// hubVersion is the level of JupyterHub's API that is kept to.
	hubVersion = "5.0.0"
	// hubPatience is how long a stop may take until it is answered as going on.
	hubPatience = 10 * time.Second
	maxHubBody  = 64 << 10
)

// HubMount is the JupyterHub face. Its clients may say "token" for "Bearer".
func (s *Service) HubMount() httpapi.Mount {
	return httpapi.Mount{
		Name: "jupyterhub", Prefix: hubPrefix, Title: "JupyterHub's API", Version: hubVersion,
		Description: "App sessions as JupyterHub's tools know them: people are users, app sessions are servers.",
		Routes:      s.hubRoutes(), Problem: writeHubProblem, ProblemDoc: HubProblem{},
	}
}

// HubPaths are those below which clients say "token" for "Bearer", as JupyterHub's do.
func HubPaths() []string { return []string{hubPrefix, userPath} }

// HubProblem is the shape of an error here.
type HubProblem struct {
	Status  int    `json:"status"`
	Message string `json:"message"`
}

// hubError is an answer whose status JupyterHub's clients depend on.
type hubError struct {
	status  int
	message string
	kind    fault.Kind
}

func (e *hubError) Error() string { return e.message }

// Unwrap gives the kind, by which the edge logs and counts.
func (e *hubError) Unwrap() error { return fault.New(e.kind, "%s", e.message) }

func badHub(message string) error {
	return &hubError{http.StatusBadRequest, message, fault.Invalid}
}

func writeHubProblem(w http.ResponseWriter, _ *http.Request, err error) {
	status := httpapi.Status(err)
	var own *hubError
	if errors.As(err, &own) {
		status = own.status
	}
	problem := HubProblem{status, sentence(err)}
	var f *fault.Error
	if errors.As(err, &f) && len(f.Fields) > 0 {
		problem.Message = strings.Join(f.Fields[0].Loc, ".") + ": " + f.Fields[0].Message
	}
	switch h := w.Header(); status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		wait := 5 * time.Second
		var limit *LimitError
		if errors.As(err, &limit) {
			wait = limit.Wait
		}
		h.Set("Retry-After", strconv.Itoa(max(1, int(wait.Round(time.Second)/time.Second))))
	}
	w.Header().Set("Cache-Control", "no-store")
	_ = httpapi.JSON(w, status, problem) // the client went away: there is nobody left to tell
}

type (
	hubUserPath struct {
		Name    string `path:"name" doc:"Somebody's name in host names, or the name that they log in with"`
		Stopped bool   `query:"include_stopped_servers"`
	}
	hubServerPath struct {
		Name   string `path:"name"`
		Server string `path:"server" doc:"An app's id, or app~name"`
	}
	hubTokenPath struct {
		Name string `path:"name"`
		ID   string `path:"token_id"`
	}
	hubGroupPath struct {
		Group string `path:"group"`
	}
	hubPageQuery struct {
		Offset int `query:"offset" minimum:"0"`
		Limit  int `query:"limit" minimum:"0" default:"50" doc:"200 at most"`
	}
	hubUsersQuery struct {
		hubPageQuery
		State   string `query:"state" enum:"active,ready,inactive"`
		Stopped bool   `query:"include_stopped_servers"`
		Filter  string `query:"name_filter"`
		Sort    string `query:"sort" enum:"id,-id,name,-name,last_activity,-last_activity"`
	}
)

func (s *Service) hubRoutes() []httpapi.Route {
	route := func(method, path string, action access.Action, handle httpapi.Handler, doc httpapi.Doc) httpapi.Route {
		doc.Tags = []string{"jupyterhub"}
		site := action == "roles.read" || action == Admin || action == access.Self || action == httpapi.Public
		return httpapi.Route{Method: method, Path: path, Action: string(action), InService: !site, Handle: handle, Doc: doc}
	}
	stream := func(r httpapi.Route) httpapi.Route { r.Limits.Timeout = -1; return r }
	const user, server, servers, one = "/users/{name}", "/users/{name}/server", "/users/{name}/servers", "/users/{name}/servers/{server}"
	list := []httpapi.Route{
		route("GET", "/", httpapi.Public, s.handleHub, httpapi.Doc{ID: "getHub", Summary: "The version of the API", Response: HubInfo{}}),
		route("GET", "/info", access.Self, s.handleHubInfo, httpapi.Doc{ID: "getHubInfo", Summary: "What runs the servers", Response: HubInfo{}}),
		route("GET", "/user", access.Self, s.handleHubSelf, httpapi.Doc{ID: "getHubSelf", Summary: "Who am I?", Response: HubIdentity{}}),
		route("GET", "/users", ReadAny, s.handleHubUsers, httpapi.Doc{ID: "listHubUsers", Summary: "People and their servers", Request: hubUsersQuery{}, Response: []HubUser{}}),
		route("POST", "/users", "users.write", s.handleHubNewUsers, httpapi.Doc{ID: "createHubUsers", Summary: "Make people known", Response: []HubUser{}, Status: 201, Errors: []int{409}}),
		route("GET", user, List, s.handleHubUser, httpapi.Doc{ID: "getHubUser", Summary: "Somebody and their servers", Request: hubUserPath{}, Response: HubUser{}, Errors: []int{404}}),
		route("POST", user, "users.write", s.handleHubNewUser, httpapi.Doc{ID: "createHubUser", Summary: "Make somebody known", Request: hubUserPath{}, Response: HubUser{}, Status: 201, Errors: []int{409}}),
		route("PATCH", user, "users.write", s.handleHubChangeUser, httpapi.Doc{ID: "changeHubUser", Summary: "Make somebody an administrator, or none", Request: hubUserPath{}, Response: HubUser{}, Errors: []int{404}}),
		route("DELETE", user, "users.write", s.handleHubDeleteUser, httpapi.Doc{ID: "deleteHubUser", Summary: "Stop somebody's servers and forget them", Request: hubUserPath{}, Errors: []int{404}}),
		route("POST", user+"/activity", Open, s.handleHubActivity, httpapi.Doc{ID: "noteHubActivity", Summary: "Say when servers were last used", Request: hubUserPath{}, Stream: "text/plain", Errors: []int{400, 404}}),
		route("GET", user+"/tokens", access.Self, s.handleHubTokens, httpapi.Doc{ID: "listHubTokens", Summary: "One's own tokens", Request: hubUserPath{}, Response: HubTokens{}, Errors: []int{404}}),
		route("POST", user+"/tokens", access.Self, s.handleHubNewToken, httpapi.Doc{ID: "createHubToken", Summary: "Make a token of one's own", Request: hubUserPath{}, Response: HubToken{}, Status: 201, Errors: []int{404}}),
		route("GET", user+"/tokens/{token_id}", access.Self, s.handleHubToken, httpapi.Doc{ID: "getHubToken", Summary: "One of one's own tokens", Request: hubTokenPath{}, Response: HubToken{}, Errors: []int{404}}),
		route("DELETE", user+"/tokens/{token_id}", access.Self, s.handleHubRevoke, httpapi.Doc{ID: "deleteHubToken", Summary: "Revoke one of one's own tokens", Request: hubTokenPath{}, Errors: []int{404}}),
		route("GET", "/groups", "roles.read", s.handleHubGroups, httpapi.Doc{ID: "listHubGroups", Summary: "Roles and who has them", Request: hubPageQuery{}, Response: []HubGroup{}}),
		route("GET", "/groups/{group}", "roles.read", s.handleHubGroup, httpapi.Doc{ID: "getHubGroup", Summary: "A role and who has it", Request: hubGroupPath{}, Response: HubGroup{}, Errors: []int{404}}),
		route("POST", "/shutdown", Admin, s.handleHubShutdown, httpapi.Doc{ID: "shutdownHub", Summary: "Not offered", Errors: []int{405}}),
	}
	// The unnamed server has two addresses of its own, the others one each.
	for _, at := range []struct {
		path, id string
		request  any
	}{{server, "", hubUserPath{}}, {servers, "Unnamed", hubUserPath{}}, {one, "Named", hubServerPath{}}} {
		if at.path != server {
			list = append(list, route("GET", at.path, List, s.handleHubServer, httpapi.Doc{ID: "get" + at.id + "HubServer", Summary: "A server", Request: at.request, Response: HubServer{}, Errors: []int{404}}))
		}
		list = append(list,
			route("POST", at.path, Launch, s.handleHubStart, httpapi.Doc{ID: "start" + at.id + "HubServer", Summary: "Start a server", Description: "201: it is ready; 202: it is starting. The body has the launch form's options.", Request: at.request, Status: 202, Errors: []int{400, 404, 429}}),
			route("DELETE", at.path, Stop, s.handleHubStop, httpapi.Doc{ID: "stop" + at.id + "HubServer", Summary: "Stop a server", Description: `204: it has stopped; 202: it is stopping. {"remove": true} forgets it as well.`, Request: at.request, Errors: []int{404}}),
			stream(route("GET", at.path+"/progress", List, s.handleHubProgress, httpapi.Doc{ID: "stream" + at.id + "HubServer", Summary: "How the start goes on", Request: at.request, Stream: "text/event-stream", Errors: []int{400, 404}})),
		)
	}
	return list
}

// hubBody reads a JSON object that may be left out.
func hubBody(w http.ResponseWriter, r *http.Request, into any) error {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxHubBody))
	if err != nil {
		return err
	}
	if len(strings.TrimSpace(string(text))) == 0 {
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return badHub("Invalid JSON in body of request")
	}
	return nil
}

// hubDefault is the app that the unnamed server is: the configured one, or the only one there is.
func (s *Service) hubDefault(ctx context.Context) AppID {
	if s.cfg.DefaultApp != "" {
		return s.cfg.DefaultApp
	}
	if all, err := s.entries.all(ctx); err == nil && len(all) == 1 {
		for id := range all {
			return id
		}
	}
	return ""
}

// hubServerName is what an app session is called here, parseHubServer what a name means.
func hubServerName(row Session, unnamed AppID) string {
	switch {
	case row.Name != "":
		return string(row.App) + "~" + row.Name
	case row.App == unnamed:
		return ""
	}
	return string(row.App)
}

func parseHubServer(name string, unnamed AppID) (app AppID, session string) {
	id, session, _ := strings.Cut(name, "~")
	return cmp.Or(AppID(id), unnamed), session
}

// hubSession finds the app session that an address names; the row's State is Absent if there is none.
func (s *Service) hubSession(r *http.Request) (hubPerson, Session, error) {
	ctx := r.Context()
	who, err := s.hubPerson(ctx, r.PathValue("name"))
	if err != nil {
		return who, Session{}, err
	}
	app, name := parseHubServer(r.PathValue("server"), s.hubDefault(ctx))
	if !validName(name) {
		return who, Session{}, errHidden
	}
	row, err := s.store.sessionOf(ctx, s.store.db, who.id, app, name)
	if errors.Is(err, errNoRow) {
		return who, Session{OwnerID: who.id, App: app, Name: name}, nil
	}
	if err == nil {
		_, _, err = s.find(ctx, row.ID, List, ReadAny)
	}
	return who, row, err
}

func (s *Service) handleHubServer(w http.ResponseWriter, r *http.Request) error {
	who, row, err := s.hubSession(r)
	if err != nil {
		return err
	}
	if row.ID == "" {
		return errHidden
	}
	return httpapi.JSON(w, http.StatusOK, s.hubServer(r.Context(), who.name, row))
}

func (s *Service) handleHubStart(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	who, err := s.hubPerson(ctx, r.PathValue("name"))
	if err != nil {
		return err
	}
	var options map[string]any
	if err := hubBody(w, r, &options); err != nil {
		return err
	}
	app, name := parseHubServer(r.PathValue("server"), s.hubDefault(ctx))
	row, created, err := s.Launch(ctx, Request{App: app, Name: name, Options: options, For: who.id})
	switch {
	case fault.Is(err, fault.Conflict):
		return badHub(strings.TrimSuffix(who.name+":"+r.PathValue("server"), ":") + " is pending stop")
	case err != nil:
		return err
	case !created && row.State == Running:
		return badHub(strings.TrimSuffix(who.name+":"+r.PathValue("server"), ":") + " is already running")
	case row.State == Running:
		w.WriteHeader(http.StatusCreated)
	default:
		w.WriteHeader(http.StatusAccepted)
	}
	return nil
}

func (s *Service) handleHubStop(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Remove bool `json:"remove"`
	}
	if err := hubBody(w, r, &body); err != nil {
		return err
	}
	_, row, err := s.hubSession(r)
	if err != nil {
		return err
	}
	if row.ID == "" {
		return httpapi.NoContent(w)
	}
	if row, err = s.StopSession(r.Context(), row.ID, body.Remove); err != nil {
		return err
	}
	if row.State == Stopping {
		if row, err = s.waitFor(r.Context(), row.ID, hubPatience, func(now Session) bool { return now.State != Stopping }); err != nil {
			return missing(err)
		}
	}
	if row.State == Stopping {
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
	return httpapi.NoContent(w)
}

// hubProgress is an event as JupyterHub's clients read it: the address is a path of the hub's host.
type hubProgress struct {
	Progress
	URL string `json:"url,omitempty"`
}

func (s *Service) handleHubProgress(w http.ResponseWriter, r *http.Request) error {
	who, row, err := s.hubSession(r)
	if err != nil {
		return err
	}
	if row.ID == "" || row.State == Stopped || row.State == Stopping {
		return badHub(who.name + " is not starting...")
	}
	path := hubServerPathOf(who.name, hubServerName(row, s.hubDefault(r.Context())))
	return s.streamTold(w, r, row, func(p Progress) any {
		out := hubProgress{Progress: p}
		if p.Ready {
			out.URL = path
		}
		return out
	})
}

func (s *Service) handleHubActivity(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	who, err := s.hubPerson(ctx, r.PathValue("name"))
	if err != nil {
		return err
	}
	type use struct {
		Last time.Time `json:"last_activity"`
	}
	var body struct {
		use
		Servers map[string]use `json:"servers"`
	}
	if err := hubBody(w, r, &body); err != nil {
		return err
	}
	if body.Last.IsZero() && len(body.Servers) == 0 {
		return badHub("body must contain at least one of `last_activity` or `servers`")
	}
	now := s.now()
	for name, one := range body.Servers {
		if one.Last.Sub(now) > time.Hour || body.Last.Sub(now) > time.Hour {
			return badHub("last_activity must not be in the future")
		}
		app, session := parseHubServer(name, s.hubDefault(ctx))
		row, err := s.store.sessionOf(ctx, s.store.db, who.id, app, session)
		if errors.Is(err, errNoRow) {
			return badHub("No such server '" + name + "' for user " + who.name)
		}
		if err != nil {
			return err
		}
		if row.State != Running {
			continue
		}
		if one.Last.After(now) {
			one.Last = now // clocks differ
		}
		if err := s.NoteActivity(ctx, row.ID, one.Last); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Service) handleHubShutdown(http.ResponseWriter, *http.Request) error {
	return &hubError{http.StatusMethodNotAllowed, "Lodge is stopped by whoever started it", fault.Unsupported}
}
