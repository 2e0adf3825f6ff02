package fleet

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"lodge/internal/access"
	"lodge/internal/fleet/fastapi"
	"lodge/internal/httpapi"
)

// stream is for what lasts until somebody goes away.
var stream = httpapi.Limits{Timeout: -1}

// notWord is what operation ids have no place for.
var notWord = regexp.MustCompile(`\W`)

// operation describes a route. fn is the name of the original's handler, by which generated clients
// name their methods.
type operation struct {
	fn, tag, summary string
	request          any
	response         any
	status           int
	errors           []int
}

// route makes a route: the permission first, then the handler.
func (s *Service) route(method, path string, action access.Action, at where, handle httpapi.Handler, op operation) httpapi.Route {
	doc := httpapi.Doc{
		ID:      notWord.ReplaceAllString(op.fn+path, "_") + "_" + strings.ToLower(method),
		Summary: op.summary, Tags: []string{}, Request: op.request, Response: op.response, Status: op.status,
		Errors: append(slices.Clone(op.errors), http.StatusUnprocessableEntity),
	}
	if op.tag != "" {
		doc.Tags = []string{op.tag}
	}
	if op.response == nil {
		doc.Response = json.RawMessage(nil)
	}
	if action == httpapi.Public {
		return httpapi.Route{Method: method, Path: path, Action: httpapi.Public, Handle: handle, Doc: doc}
	}
	return httpapi.Route{
		Method: method, Path: path, Action: string(action), InService: true, Doc: doc,
		Handle: func(w http.ResponseWriter, r *http.Request) error {
			if reserved(r.Context()) {
				return errReserved
			}
			if action != access.Self {
				group, err := at.group(r)
				if err != nil {
					return err
				}
				ctx, err := s.permit(r.Context(), action, group, at.hidden, r.Method+" "+r.URL.Path)
				if err != nil {
					return err
				}
				r = r.WithContext(ctx)
			}
			return handle(w, r)
		},
	}
}

// routes is the original's API, and behind it what the console needs beside.
func (s *Service) routes() []httpapi.Route {
	return slices.Concat(s.rootRoutes(), s.alertRoutes(), s.deviceRoutes(), s.fleetRoutes(), s.taskRoutes(), s.commandRoutes(),
		s.scheduleRoutes(), s.favoriteRoutes(), s.adminRoutes(), s.ownRoutes())
}

func (s *Service) rootRoutes() []httpapi.Route {
	socket := s.route("GET", "/socket.io", httpapi.Public, onSite, handleSocketDoc, operation{
		fn: "lambda", summary: "Socket.io endpoint",
	})
	socket.Doc.ID = "_lambda__socket_io_get"
	socket.Doc.Description = roomsText()
	socket.NoSlash = true
	return []httpapi.Route{
		s.route("GET", "/user", access.Self, onSite, s.handleUser, operation{fn: "get_user", summary: "Get the currently logged in user", response: User{}}),
		s.route("GET", "/permissions", access.Self, onSite, s.handlePermissions, operation{
			fn: "get_effective_permissions", summary: "Get the effective permissions of the current user", response: []Permission{},
		}),
		s.route("GET", "/time", httpapi.Public, onSite, s.handleTime, operation{fn: "get_time", summary: "Get the current rmf time in unix milliseconds", response: int64(0)}),
		socket,
	}
}

// ownRoutes are those that the original does not have.
func (s *Service) ownRoutes() []httpapi.Route {
	events := httpapi.Route{
		Method: "GET", Path: "/events/{room...}", Action: string(access.Self), InService: true, Handle: s.handleEvents, Limits: stream,
		Doc: httpapi.Doc{ID: "listen", Tags: []string{"Live"}, Summary: "A room of socket.io as server-sent events", Stream: "text/event-stream", Errors: []int{404}},
	}
	cache := httpapi.Route{
		Method: "GET", Path: "/cache/{map}/{image}", Action: httpapi.Public, Handle: s.handleImage,
		Doc: httpapi.Doc{ID: "getMapImage", Tags: []string{"Building"}, Summary: "A floor plan of the building map", Stream: "image/png", Errors: []int{404}},
	}
	internal := httpapi.Route{
		Method: "GET", Path: "/_internal", Action: httpapi.Public, NoSlash: true, Handle: s.adapter.Handle, Limits: stream,
		Doc: httpapi.Doc{
			ID: "connectAdapter", Tags: []string{"Adapters"}, Summary: "The WebSocket of fleet adapters and the dispatcher",
			Description: "Needs a token with " + string(Report) + ", in the Authorization header or as ?token=, or a listed address.", Errors: []int{401, 403},
		},
	}
	list := s.route("GET", "/admin/groups", ReadGroups, onSite, s.handleGroups, operation{
		fn: "get_groups", tag: "Admin", summary: "Which thing belongs to which authorization group; all others are the site's", response: []groupAssignment{},
	})
	assign := s.route("PUT", "/admin/groups", WriteGroups, onSite, s.handleAssign, operation{
		fn: "set_group", tag: "Admin", summary: "Put a thing into an authorization group", request: struct{ Body groupAssignment }{},
	})
	things := s.route("GET", "/admin/things", ReadGroups, onSite, s.handleThings, operation{
		fn: "get_things", tag: "Admin", summary: "Everything that was heard of, when, and its authorization group", response: []Thing{},
	})
	forget := s.route("DELETE", "/admin/things/{kind}/{id}", WriteGroups, onSite, s.handleForget, operation{
		fn: "forget_thing", tag: "Admin", summary: "Forget a thing that is no more", errors: []int{404},
	})
	search := s.route("GET", "/task_logs", ReadTasks, anywhere, s.handleSearchLogs, operation{
		fn: "search_task_logs", tag: "Tasks", summary: "Search the texts of task logs, the newest first", request: logSearch{}, response: []FoundEntry{},
	})
	return []httpapi.Route{events, cache, internal, list, assign, things, forget, search}
}

// handleSocketDoc answers for the documentation; the socket itself is at /socket.io/.
func handleSocketDoc(w http.ResponseWriter, _ *http.Request) error {
	return httpapi.JSON(w, http.StatusOK, nil)
}

func roomsText() string {
	var b strings.Builder
	b.WriteString("Emit `subscribe` with {\"room\": ROOM} and listen to events named as the room. Rooms:\n\n")
	for _, r := range rooms {
		name := r.thing
		if name != "" {
			name += "_id"
		}
		b.WriteString("- `" + strings.ReplaceAll(r.path, "{}", "{"+name+"}") + "`\n")
	}
	return b.String()
}

func (s *Service) handleTime(w http.ResponseWriter, _ *http.Request) error {
	return httpapi.JSON(w, http.StatusOK, s.rmfNow())
}

// null is what handlers answer that have nothing to say.
func null(w http.ResponseWriter) error { return httpapi.JSON(w, http.StatusOK, nil) }

// documents answers with a list of documents as they are stored, which is as they are sent: to encode
// them again would be most of the work.
func documents(w http.ResponseWriter, list []json.RawMessage) error {
	size := 2
	for _, d := range list {
		size += len(d) + 1
	}
	text := append(make([]byte, 0, size), '[')
	for i, d := range list {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, d...)
	}
	return httpapi.JSONText(w, http.StatusOK, append(text, ']'))
}

// read reads a request in the original's way.
func read[T any](r *http.Request) (T, error) { return fastapi.Read[T](r) }

func (s *Service) handleGroups(w http.ResponseWriter, r *http.Request) error {
	all, err := s.groups.list(r.Context())
	if err != nil {
		return err
	}
	list := make([]groupAssignment, 0, len(all))
	for t, group := range all {
		list = append(list, groupAssignment{t.kind, t.id, legacyGroup(group)})
	}
	slices.SortFunc(list, func(a, b groupAssignment) int { return strings.Compare(a.Kind+"\x00"+a.ID, b.Kind+"\x00"+b.ID) })
	return httpapi.JSON(w, http.StatusOK, list)
}

func (s *Service) handleThings(w http.ResponseWriter, r *http.Request) error {
	if err := s.writer.settle(r.Context()); err != nil {
		return err
	}
	list, err := s.store.things(r.Context())
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, list)
}

func (s *Service) handleForget(w http.ResponseWriter, r *http.Request) error {
	kind := r.PathValue("kind")
	if kind == kindMap || kind == kindAlarm || kind == kindDelivery {
		return errNotFound // they are replaced, not forgotten
	}
	if err := s.forget(r.Context(), thing{kind, r.PathValue("id")}); err != nil {
		return err
	}
	return null(w)
}

func (s *Service) handleAssign(w http.ResponseWriter, r *http.Request) error {
	q, err := read[struct{ Body groupAssignment }](r)
	if err != nil {
		return err
	}
	if err := s.assign(r.Context(), thing{q.Body.Kind, q.Body.ID}, groupNamed(q.Body.Group)); err != nil {
		return err
	}
	return null(w)
}
