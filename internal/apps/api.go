package apps

import (
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

// maxEntry bounds an entry of the catalogue, maxLogTail how many lines of a log are given.
const (
	maxEntry   = 256 << 10
	maxLogTail = 10_000
)

// apiRoutes are the part's share of the platform's API.
func (s *Service) apiRoutes() []httpapi.Route {
	tags := []string{"apps"}
	route := func(method, path string, action access.Action, handle httpapi.Handler, doc httpapi.Doc) httpapi.Route {
		doc.Tags = tags
		return httpapi.Route{Method: method, Path: path, Action: string(action), InService: true, Handle: handle, Doc: doc}
	}
	stream := func(r httpapi.Route) httpapi.Route { r.Limits.Timeout = -1; return r }
	return []httpapi.Route{
		route("GET", "/api/v1/apps", List, s.handleApps, httpapi.Doc{ID: "listApps", Summary: "The catalogue, each app with one's own app sessions", Response: AppList{}}),
		route("GET", "/api/v1/apps/{app}", List, s.handleApp, httpapi.Doc{ID: "getApp", Summary: "One app; its ETag is for changing it", Request: appPath{}, Response: AppInfo{}, Errors: []int{404}}),
		route("PUT", "/api/v1/apps/{app}", Admin, s.handlePutApp, httpapi.Doc{ID: "putApp", Summary: "Make or change an app", Description: "The body is an entry as in the configuration's catalogue.", Request: putAppRequest{}, Response: AppInfo{}, Errors: []int{409, 412, 422}}),
		route("DELETE", "/api/v1/apps/{app}", Admin, s.handleDeleteApp, httpapi.Doc{ID: "deleteApp", Summary: "Take an app out of the catalogue", Request: appPath{}, Errors: []int{404, 409}}),
		route("POST", "/api/v1/apps/{app}/sessions", Launch, s.handleLaunch, httpapi.Doc{
			ID: "launchApp", Summary: "Start an app", Description: "200: it is there already; 201: it is ready; 202: it is starting, see its events.",
			Request: launchRequest{}, Response: SessionInfo{}, Status: 202, Errors: []int{404, 409, 422, 429, 503},
		}),
		route("GET", "/api/v1/app-sessions", List, s.handleSessions, httpapi.Doc{ID: "listAppSessions", Summary: "One's own app sessions; everybody's with apps.read-any", Request: sessionsQuery{}, Response: httpapi.Page[SessionInfo]{}}),
		route("GET", "/api/v1/app-sessions/{id}", List, s.handleSession, httpapi.Doc{ID: "getAppSession", Summary: "One app session", Request: sessionPath{}, Response: SessionInfo{}, Errors: []int{404}}),
		route("DELETE", "/api/v1/app-sessions/{id}", Stop, s.handleStop, httpapi.Doc{ID: "stopAppSession", Summary: "Stop an app session", Description: "204: it has ended; 202: it is being stopped.", Request: stopRequest{}, Errors: []int{404}}),
		stream(route("POST", "/api/v1/app-sessions/{id}/restart", Launch, s.handleRestart, httpapi.Doc{ID: "restartAppSession", Summary: "Stop it if need be and start it again", Request: sessionPath{}, Response: SessionInfo{}, Status: 202, Errors: []int{404, 409, 429}})),
		route("POST", "/api/v1/app-sessions/{id}/extend", Launch, s.handleExtend, httpapi.Doc{ID: "extendAppSession", Summary: "Put off its end", Request: extendRequest{}, Response: SessionInfo{}, Errors: []int{404, 409}}),
		route("POST", "/api/v1/app-sessions/{id}/activity", Open, s.handleActivity, httpapi.Doc{ID: "noteAppActivity", Summary: "Say when the app was last used", Request: activityRequest{}, Errors: []int{404, 409, 422}}),
		stream(route("GET", "/api/v1/app-sessions/{id}/events", List, s.handleEvents, httpapi.Doc{ID: "streamAppSession", Summary: "How it goes on, until it is ready, failed or stopped", Request: sessionPath{}, Stream: "text/event-stream", Errors: []int{404}})),
		stream(route("GET", "/api/v1/app-sessions/{id}/logs", ReadLogs, s.handleLogs, httpapi.Doc{ID: "readAppLogs", Summary: "What it writes", Request: logsRequest{}, Stream: "text/plain", Errors: []int{404}})),
		route("GET", "/api/v1/app-sessions/{id}/stats", List, s.handleStats, httpapi.Doc{ID: "getAppStats", Summary: "What it uses now", Request: sessionPath{}, Response: StatsInfo{}, Errors: []int{404, 409}}),
		route("GET", "/api/v1/app-capacity", List, s.handleCapacity, httpapi.Doc{ID: "getAppCapacity", Summary: "How much room there is", Response: Capacity{}}),
		{Method: "GET", Path: "/api/v1/app-drivers", Action: string(Admin), Handle: s.handleDrivers, Doc: httpapi.Doc{ID: "listAppDrivers", Tags: tags, Summary: "The drivers, and which limits they truly enforce", Response: DriverList{}}},
		{Method: "POST", Path: "/api/v1/apps/-/reconcile", Action: string(Admin), Handle: s.handleReconcile, Doc: httpapi.Doc{ID: "reconcileApps", Tags: tags, Summary: "Compare the app sessions with what runs, now", Errors: []int{503}}},
		// The login's hand-over and the way to one's own copy lead those who are nobody yet to the login.
		{Method: "GET", Path: "/auth/app", Action: httpapi.Public, Handle: s.asPage(s.handleAuthApp), Doc: httpapi.Doc{ID: "enterApp", Tags: tags, Summary: "Lead a browser's login to an app's host", Stream: "text/html", Status: 302}},
		{Method: "GET", Path: "/open/{app}", Action: httpapi.Public, Handle: s.asPage(s.handleOpen), Doc: httpapi.Doc{ID: "openApp", Tags: tags, Summary: "Lead everybody to their own copy of an app", Request: openRequest{}, Stream: "text/html", Status: 303}},
	}
}

type (
	appPath struct {
		App AppID `path:"app"`
	}
	putAppRequest struct {
		App     AppID  `path:"app"`
		DryRun  bool   `query:"dry_run" doc:"Only look for what is wrong with it; nothing is changed"`
		IfMatch string `header:"If-Match" doc:"The ETag that was read; * for any; leave it out to make a new one"`
	}
	launchRequest struct {
		App  AppID `path:"app"`
		Body *struct {
			Name    string         `json:"name,omitempty" maxLength:"15" doc:"For named app sessions"`
			Options map[string]any `json:"options,omitempty" doc:"What was chosen in the launch form"`
			For     string         `json:"for,omitempty" maxLength:"36" doc:"The id of another person, for whoever has apps.launch-any"`
		}
	}
	sessionsQuery struct {
		httpapi.PageQuery
		User   string `query:"user" doc:"The owner's id; * for everybody"`
		App    string `query:"app"`
		State  string `query:"state" enum:"queued,starting,ready,stopping,stopped,failed"`
		Driver string `query:"driver"`
	}
	sessionPath struct {
		ID string `path:"id" maxLength:"36"`
	}
	stopRequest struct {
		ID     string `path:"id" maxLength:"36"`
		Forget bool   `query:"forget" doc:"Remove its row, logs and storage of its own as well"`
	}
	extendRequest struct {
		ID   string `path:"id" maxLength:"36"`
		Body *struct {
			Until time.Time `json:"until,omitzero"`
		}
	}
	activityRequest struct {
		ID   string `path:"id" maxLength:"36"`
		Body struct {
			LastActivity time.Time `json:"last_activity"`
		}
	}
	logsRequest struct {
		ID     string `path:"id" maxLength:"36"`
		Tail   int    `query:"tail" minimum:"1" maximum:"10000" default:"500"`
		Follow bool   `query:"follow"`
	}
	openRequest struct {
		App  AppID  `path:"app"`
		Path string `query:"path" doc:"Where in the app"`
		Name string `query:"name" doc:"For named app sessions"`
	}
)

func (s *Service) handleApps(w http.ResponseWriter, r *http.Request) error {
	list, err := s.Apps(r.Context())
	if err != nil {
		return err
	}
	own, err := s.own(r.Context(), "")
	if err != nil {
		return err
	}
	out := AppList{Items: []AppInfo{}}
	for _, one := range list {
		out.Items = append(out.Items, s.appInfo(r.Context(), one, own))
	}
	return httpapi.JSON(w, http.StatusOK, out)
}

func (s *Service) handleApp(w http.ResponseWriter, r *http.Request) error {
	all, err := s.entries.all(r.Context())
	if err != nil {
		return err
	}
	one, ok := all[AppID(r.PathValue("app"))]
	if !ok || !s.mayList(r.Context(), one.App) {
		return errHidden
	}
	own, err := s.own(r.Context(), one.ID)
	if err != nil {
		return err
	}
	w.Header().Set("Etag", etag(one.Version))
	return httpapi.JSON(w, http.StatusOK, s.appInfo(r.Context(), one, own))
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

func (s *Service) handlePutApp(w http.ResponseWriter, r *http.Request) error {
	if groups, all, err := s.access.Groups(r.Context(), Admin); err != nil || len(groups) == 0 && !all {
		_, denied := s.access.Require(r.Context(), Admin, DefaultGroup)
		return errors.Join(err, denied) // before the body of somebody who may change nothing is looked at
	}
	req, err := httpapi.Decode[putAppRequest](r)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEntry))
	if err != nil {
		return err
	}
	a, err := ParseApp(body)
	if err == nil && a.ID != req.App {
		err = errors.New("id is not the one in the address")
	}
	if err != nil {
		return entryFault(err)
	}
	if req.DryRun {
		one, err := s.mayPutApp(r.Context(), a)
		if err != nil {
			return err
		}
		return httpapi.JSON(w, http.StatusOK, s.appInfo(r.Context(), Entry{App: a, Version: one.Version}, nil))
	}
	expect := int64(0)
	switch match := strings.TrimSpace(req.IfMatch); match {
	case "":
	case "*":
		expect = -1
	default:
		if expect, err = strconv.ParseInt(strings.Trim(match, `"`), 10, 64); err != nil {
			return errChanged
		}
	}
	one, created, err := s.PutApp(r.Context(), a, expect)
	if err != nil {
		return err
	}
	w.Header().Set("Etag", etag(one.Version))
	info := s.appInfo(r.Context(), one, nil)
	if created {
		return httpapi.Created(w, "/api/v1/apps/"+string(a.ID), info)
	}
	return httpapi.JSON(w, http.StatusOK, info)
}

// entryFault says at which keys an entry is wrong.
func entryFault(err error) error {
	var wrong *specError
	if !errors.As(err, &wrong) {
		return fault.InvalidFields(fault.Field{Loc: []string{"body"}, Type: "invalid", Message: err.Error()})
	}
	fields := make([]fault.Field, 0, len(wrong.list))
	for _, one := range wrong.list {
		fields = append(fields, fault.Field{Loc: append([]string{"body"}, strings.Split(one.key, ".")...), Type: "invalid", Message: one.message})
	}
	return fault.InvalidFields(fields...)
}

func (s *Service) handleDeleteApp(w http.ResponseWriter, r *http.Request) error {
	if err := s.DeleteApp(r.Context(), AppID(r.PathValue("app"))); err != nil {
		return err
	}
	return httpapi.NoContent(w)
}

func (s *Service) handleLaunch(w http.ResponseWriter, r *http.Request) error {
	req, err := httpapi.Decode[launchRequest](r)
	if err != nil {
		return err
	}
	want := Request{App: req.App}
	if req.Body != nil {
		want.Name, want.Options, want.For = req.Body.Name, req.Body.Options, req.Body.For
	}
	row, created, err := s.Launch(r.Context(), want)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/api/v1/app-sessions/"+row.ID)
	status := http.StatusAccepted
	switch {
	case !created:
		status = http.StatusOK
	case row.State == Running:
		status = http.StatusCreated
	}
	return httpapi.JSON(w, status, s.info(r.Context(), row))
}

func (s *Service) handleSessions(w http.ResponseWriter, r *http.Request) error {
	q, err := httpapi.Decode[sessionsQuery](r)
	if err != nil {
		return err
	}
	f := filter{app: q.App, driver: q.Driver, limit: q.Limit, offset: q.Offset}
	if q.State != "" {
		f.states = []State{State(q.State)}
	}
	owner, _ := ownerOf(access.CallerFrom(r.Context()))
	f.owner = owner.ID
	if q.User != "" && q.User != owner.ID {
		groups, all, err := s.access.Groups(r.Context(), ReadAny)
		if err != nil {
			return err
		}
		switch f.owner = strings.TrimPrefix(q.User, "*"); {
		case all:
		case len(groups) == 0:
			return httpapi.JSON(w, http.StatusOK, httpapi.NewPage[SessionInfo](q.PageQuery, nil, 0))
		default:
			if f.apps, err = s.appsOf(r.Context(), groups); err != nil {
				return err
			}
			if len(f.apps) == 0 {
				return httpapi.JSON(w, http.StatusOK, httpapi.NewPage[SessionInfo](q.PageQuery, nil, 0))
			}
		}
	} else if f.owner == "" {
		return httpapi.JSON(w, http.StatusOK, httpapi.NewPage[SessionInfo](q.PageQuery, nil, 0))
	}
	rows, err := s.store.sessions(r.Context(), s.store.db, f)
	if err != nil {
		return err
	}
	total, err := s.store.countSessions(r.Context(), s.store.db, f)
	if err != nil {
		return err
	}
	items := make([]SessionInfo, 0, len(rows))
	for _, row := range rows {
		items = append(items, s.info(r.Context(), row))
	}
	return httpapi.JSON(w, http.StatusOK, httpapi.NewPage(q.PageQuery, items, total))
}

func (s *Service) handleSession(w http.ResponseWriter, r *http.Request) error {
	row, ctx, err := s.find(r.Context(), r.PathValue("id"), List, ReadAny)
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, s.info(ctx, row))
}

func (s *Service) handleStop(w http.ResponseWriter, r *http.Request) error {
	req, err := httpapi.Decode[stopRequest](r)
	if err != nil {
		return err
	}
	row, err := s.StopSession(r.Context(), req.ID, req.Forget)
	if err != nil {
		return err
	}
	if row.State == Stopping {
		return httpapi.JSON(w, http.StatusAccepted, s.info(r.Context(), row))
	}
	return httpapi.NoContent(w)
}

func (s *Service) handleRestart(w http.ResponseWriter, r *http.Request) error {
	row, err := s.Restart(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusAccepted, s.info(r.Context(), row))
}

func (s *Service) handleExtend(w http.ResponseWriter, r *http.Request) error {
	req, err := httpapi.Decode[extendRequest](r)
	if err != nil {
		return err
	}
	var until time.Time
	if req.Body != nil {
		until = req.Body.Until
	}
	row, err := s.Extend(r.Context(), req.ID, until)
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, s.info(r.Context(), row))
}

func (s *Service) handleActivity(w http.ResponseWriter, r *http.Request) error {
	if _, _, err := s.find(r.Context(), r.PathValue("id"), Open, StopAny); err != nil {
		return err
	}
	req, err := httpapi.Decode[activityRequest](r)
	if err != nil {
		return err
	}
	if err := s.NoteActivity(r.Context(), req.ID, req.Body.LastActivity); err != nil {
		return err
	}
	return httpapi.NoContent(w)
}

func (s *Service) handleEvents(w http.ResponseWriter, r *http.Request) error {
	row, _, err := s.find(r.Context(), r.PathValue("id"), List, ReadAny)
	if err != nil {
		return err
	}
	return s.streamEvents(w, r, row)
}

func (s *Service) handleLogs(w http.ResponseWriter, r *http.Request) error {
	req, err := httpapi.Decode[logsRequest](r)
	if err != nil {
		return err
	}
	row, ctx, err := s.find(r.Context(), req.ID, ReadLogs, LogsAny)
	if err != nil {
		return err
	}
	d, err := s.driver(row.Driver)
	if err != nil {
		return err
	}
	logs, err := d.Logs(ctx, row.ID, min(req.Tail, maxLogTail), req.Follow)
	if fault.Is(err, fault.Missing) {
		logs, err = io.NopCloser(strings.NewReader(row.LogTail)), nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = logs.Close() }()
	secrets, err := row.Entry.secrets()
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "the log may hold secrets that cannot be masked at the moment")
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	return copyMasked(w, logs, secrets)
}

func (s *Service) handleStats(w http.ResponseWriter, r *http.Request) error {
	row, ctx, err := s.find(r.Context(), r.PathValue("id"), List, ReadAny)
	if err != nil {
		return err
	}
	if row.State != Running {
		return fault.New(fault.Conflict, "the app session does not run")
	}
	d, err := s.driver(row.Driver)
	if err != nil {
		return err
	}
	stats, err := d.Stats(ctx, row.ID)
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, StatsInfo{CPUSeconds: stats.CPU.Seconds(), Memory: stats.Memory, PIDs: stats.PIDs, MemoryLimit: row.Memory})
}

func (s *Service) handleReconcile(w http.ResponseWriter, r *http.Request) error {
	if err := s.Reconcile(r.Context()); err != nil {
		return fault.Wrap(err, fault.Unavailable, "not every driver answers")
	}
	return httpapi.NoContent(w)
}

// copyMasked copies a log line by line, so that a secret is found wherever a piece ends.
func copyMasked(w http.ResponseWriter, logs io.Reader, secrets map[string]string) error {
	flush := http.NewResponseController(w)
	buf := make([]byte, 32<<10)
	var line []byte
	for {
		n, err := logs.Read(buf)
		line = append(line, buf[:n]...)
		cut := strings.LastIndexByte(string(line), '\n') + 1
		if err != nil || cut == 0 && len(line) > 64<<10 {
			cut = len(line)
		}
		if cut > 0 {
			if _, werr := io.WriteString(w, mask(string(line[:cut]), secrets)); werr != nil {
				return nil //nolint:nilerr // the reader went away
			}
			line = append(line[:0], line[cut:]...)
			_ = flush.Flush() // as above
		}
		if err != nil {
			return nil //nolint:nilerr // the end, or what follows cannot be had: what was sent stands
		}
	}
}
