package fleet

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"path"

	"lodge/internal/access"
	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
	"lodge/internal/objects"
)

func (s *Service) deviceRoutes() []httpapi.Route {
	type doorPath struct {
		Name string `path:"door_name"`
	}
	type liftPath struct {
		Name string `path:"lift_name"`
	}
	type guidPath struct {
		GUID string `path:"guid"`
	}
	type beaconPath struct {
		ID string `path:"beacon_id"`
	}
	return []httpapi.Route{
		s.route("GET", "/beacons", ReadBeacons, anywhere, s.listStates(kindBeacon, ReadBeacons), operation{
			fn: "get_beacons", tag: "Beacons", summary: "List the beacons", request: optionalPage{}, response: []BeaconState{},
		}),
		s.route("POST", "/beacons", WriteBeacons, anywhere, s.handleSaveBeacon, operation{
			fn: "save_beacon_state", tag: "Beacons", summary: "Save the state of a beacon", request: beaconQuery{}, response: BeaconState{}, status: 201,
		}),
		s.route("GET", "/beacons/{beacon_id}", ReadBeacons, s.on(kindBeacon, "beacon_id"), s.handleBeacon, operation{
			fn: "get_beacon", tag: "Beacons", summary: "Get a beacon", request: beaconPath{}, response: BeaconState{}, errors: []int{404},
		}),
		s.route("GET", "/building_map", ReadMap, onSite, s.handleMap, operation{
			fn: "get_building_map", tag: "Building", summary: "Get the building map", response: BuildingMap{}, errors: []int{404},
		}),
		s.route("GET", "/building_map/previous_fire_alarm_trigger", ReadMap, onSite, s.handleAlarm, operation{
			fn: "get_previous_fire_alarm_trigger", tag: "Building", summary: "Get what the fire alarm said last", response: FireAlarmTriggerState{}, errors: []int{404},
		}),
		s.route("POST", "/building_map/reset_fire_alarm_trigger", ResetAlarm, onSite, s.handleResetAlarm, operation{
			fn: "reset_fire_alarm_trigger", tag: "Building", summary: "Reset the fire alarm", response: FireAlarmTriggerState{}, errors: []int{503},
		}),
		s.route("GET", "/doors", ReadDoors, anywhere, s.handleDoors, operation{fn: "get_doors", tag: "Doors", summary: "List the doors of the map", response: []Door{}}),
		s.route("GET", "/doors/{door_name}/state", ReadDoors, s.on(kindDoor, "door_name"), s.stateOf(kindDoor, "door_name"), operation{
			fn: "get_door_state", tag: "Doors", summary: "Get the state of a door", request: doorPath{}, response: DoorState{}, errors: []int{404},
		}),
		s.route("POST", "/doors/{door_name}/request", ControlDoors, s.on(kindDoor, "door_name"), s.handleDoorRequest, operation{
			fn: "post_door_request", tag: "Doors", summary: "Open or close a door", request: doorCommand{}, errors: []int{503},
		}),
		s.route("GET", "/lifts", ReadLifts, anywhere, s.handleLifts, operation{fn: "get_lifts", tag: "Lifts", summary: "List the lifts of the map", response: []Lift{}}),
		s.route("GET", "/lifts/{lift_name}/state", ReadLifts, s.on(kindLift, "lift_name"), s.stateOf(kindLift, "lift_name"), operation{
			fn: "get_lift_state", tag: "Lifts", summary: "Get the state of a lift", request: liftPath{}, response: LiftState{}, errors: []int{404},
		}),
		s.route("POST", "/lifts/{lift_name}/request", ControlLifts, s.on(kindLift, "lift_name"), s.handleLiftRequest, operation{
			fn: "post_lift_request", tag: "Lifts", summary: "Call a lift, or let it go", request: liftCommand{}, errors: []int{503},
		}),
		s.route("GET", "/dispensers", ReadWorkcells, anywhere, s.handleWorkcells(kindDispenser), operation{
			fn: "get_dispensers", tag: "Dispensers", summary: "List the dispensers", response: []Dispenser{},
		}),
		s.route("GET", "/dispensers/{guid}/state", ReadWorkcells, s.on(kindDispenser, "guid"), s.stateOf(kindDispenser, "guid"), operation{
			fn: "get_dispenser_state", tag: "Dispensers", summary: "Get the state of a dispenser", request: guidPath{}, response: DispenserState{}, errors: []int{404},
		}),
		s.route("GET", "/ingestors", ReadWorkcells, anywhere, s.handleWorkcells(kindIngestor), operation{
			fn: "get_ingestors", tag: "Ingestors", summary: "List the ingestors", response: []Ingestor{},
		}),
		s.route("GET", "/ingestors/{guid}/state", ReadWorkcells, s.on(kindIngestor, "guid"), s.stateOf(kindIngestor, "guid"), operation{
			fn: "get_ingestor_state", tag: "Ingestors", summary: "Get the state of an ingestor", request: guidPath{}, response: IngestorState{}, errors: []int{404},
		}),
		s.route("GET", "/rios", ReadRios, anywhere, s.handleRios, operation{fn: "query_rios", tag: "RIOs", summary: "List inputs and outputs", request: rioQuery{}, response: []Rio{}}),
		s.route("PUT", "/rios", WriteRios, anywhere, s.handlePutRio, operation{
			fn: "put_rio", tag: "RIOs", summary: "Save the state of an input or output: 201 if it is new", request: struct{ Body Rio }{},
		}),
	}
}

// stateOf answers with the stored state of the thing that the path names.
func (s *Service) stateOf(kind, param string) httpapi.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := s.writer.settle(r.Context()); err != nil {
			return err
		}
		data, err := s.store.state(r.Context(), s.store.db, thing{kind, r.PathValue(param)})
		if err != nil {
			return err
		}
		return httpapi.JSONText(w, http.StatusOK, data)
	}
}

// shown is the list of things of a kind that the caller may see.
func (s *Service) shown(ctx context.Context, kind string, action access.Action) (listed, error) {
	visible, args, err := s.visible(ctx, action, groupColumn)
	if err == nil {
		err = s.writer.settle(ctx)
	}
	return listed{kind: kind, visible: visible, visibleArgs: args}, err
}

// listStates answers with the states of all things of a kind.
func (s *Service) listStates(kind string, action access.Action) httpapi.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		q, err := read[optionalPage](r)
		if err != nil {
			return err
		}
		l, err := s.shown(r.Context(), kind, action)
		if err != nil {
			return err
		}
		l.page = q.page()
		list, err := s.store.states(r.Context(), l)
		if err != nil {
			return err
		}
		return documents(w, list)
	}
}

func (s *Service) handleWorkcells(kind string) httpapi.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		l, err := s.shown(r.Context(), kind, ReadWorkcells)
		if err != nil {
			return err
		}
		ids, err := s.store.stateIDs(r.Context(), l)
		if err != nil {
			return err
		}
		list := make([]Dispenser, 0, len(ids))
		for _, id := range ids {
			list = append(list, Dispenser{id})
		}
		return httpapi.JSON(w, http.StatusOK, list)
	}
}

func (s *Service) handleBeacon(w http.ResponseWriter, r *http.Request) error {
	err := s.stateOf(kindBeacon, "beacon_id")(w, r)
	if errors.Is(err, errNotFound) {
		return fault.New(fault.Missing, "Beacon with ID %s not found", r.PathValue("beacon_id"))
	}
	return err
}

type beaconQuery struct {
	ID        string `query:"beacon_id" required:"true"`
	Online    bool   `query:"online" required:"true"`
	Category  string `query:"category" required:"true"`
	Activated bool   `query:"activated" required:"true"`
	Level     string `query:"level" required:"true"`
}

func (s *Service) handleSaveBeacon(w http.ResponseWriter, r *http.Request) error {
	q, err := read[beaconQuery](r)
	if err != nil {
		return err
	}
	b := BeaconState(q)
	if _, err := s.saveThing(r.Context(), WriteBeacons, thing{kindBeacon, b.ID}, "", document(b)); err != nil {
		return err
	}
	s.feed.publish("/beacons", b.ID, document(b))
	return httpapi.JSON(w, http.StatusCreated, b)
}

// saveThing writes the state of a thing that a client reports, durably, and tells whether it is new.
func (s *Service) saveThing(ctx context.Context, action access.Action, t thing, subtype string, data []byte) (created bool, err error) {
	if !keyable(t.id) || len(subtype) > maxKey || !storable(subtype) {
		return false, unprocessable("the id must be a text of at most 255 characters, and so must the type")
	}
	group, err := s.groups.of(ctx, t.kind, t.id)
	if err != nil {
		return false, err
	}
	if ctx, err = s.permit(ctx, action, group, true, t.kind+"s/"+t.id); err != nil {
		return false, err
	}
	// What came before must not be written after it.
	if err := s.writer.settle(ctx); err != nil {
		return false, err
	}
	err = s.store.db.Tx(ctx, func(tx *database.Tx) error {
		_, err := s.store.state(ctx, tx, t)
		if created = errors.Is(err, errNotFound); err != nil && !created {
			return err
		}
		if err := s.store.putState(ctx, tx, t, subtype, data, s.now()); err != nil {
			return err
		}
		return s.record(ctx, tx, action, group, t.kind+"s/"+t.id, "saved")
	})
	return created, err
}

func (s *Service) handleMap(w http.ResponseWriter, r *http.Request) error {
	_, data, err := s.buildingMap(r.Context())
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, data)
}

func (s *Service) handleAlarm(w http.ResponseWriter, r *http.Request) error {
	if err := s.writer.settle(r.Context()); err != nil {
		return err
	}
	data, err := s.store.state(r.Context(), s.store.db, thing{kindAlarm, ""})
	if errors.Is(err, errNotFound) {
		return fault.New(fault.Missing, "previous fire alarm trigger not available")
	}
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, data)
}

func (s *Service) handleResetAlarm(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	err := s.ros.Publish(ctx, topicFireAlarm, struct {
		Data bool `json:"data"`
	}{})
	if err := s.recordCommand(ctx, ResetAlarm, "fire_alarm", "reset", rosFault(err)); err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, FireAlarmTriggerState{UnixMillisTime: s.now().UnixMilli()})
}

func (s *Service) handleDoors(w http.ResponseWriter, r *http.Request) error {
	m, err := s.mapOrEmpty(r.Context())
	if err != nil {
		return err
	}
	doors := []Door{}
	for _, level := range m.Levels {
		for _, door := range level.Doors {
			if may, err := s.sees(r.Context(), ReadDoors, kindDoor, door.Name); err != nil {
				return err
			} else if may {
				doors = append(doors, door)
			}
		}
	}
	return httpapi.JSON(w, http.StatusOK, doors)
}

func (s *Service) handleLifts(w http.ResponseWriter, r *http.Request) error {
	m, err := s.mapOrEmpty(r.Context())
	if err != nil {
		return err
	}
	lifts := []Lift{}
	for _, lift := range m.Lifts {
		if may, err := s.sees(r.Context(), ReadLifts, kindLift, lift.Name); err != nil {
			return err
		} else if may {
			lifts = append(lifts, lift)
		}
	}
	return httpapi.JSON(w, http.StatusOK, lifts)
}

func (s *Service) mapOrEmpty(ctx context.Context) (*BuildingMap, error) {
	m, _, err := s.buildingMap(ctx)
	if errors.Is(err, errNotFound) {
		return &BuildingMap{}, nil
	}
	return m, err
}

// sees tells whether the caller may see one thing of a list that is not in the database by itself.
func (s *Service) sees(ctx context.Context, action access.Action, kind, id string) (bool, error) {
	if s.cfg.OpenPermissions {
		return true, nil
	}
	group, err := s.groups.of(ctx, kind, id)
	if err != nil {
		return false, err
	}
	_, err = s.access.Require(ctx, action, group)
	if fault.Is(err, fault.Denied) {
		return false, nil
	}
	return err == nil, err
}

// handleImage answers with a floor plan. Its address has a fingerprint of what is in it, so it never
// changes.
func (s *Service) handleImage(w http.ResponseWriter, r *http.Request) error {
	at := r.PathValue("map") + "/" + r.PathValue("image")
	key, err := s.store.mapImage(r.Context(), at)
	if err != nil {
		return err
	}
	_, info, err := s.openObject(r.Context(), key, 0, 0)
	if err != nil {
		return err
	}
	kind := mime.TypeByExtension(path.Ext(at))
	if kind == "" {
		kind = "application/octet-stream"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("ETag", `"`+path.Base(key)+`"`)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	body := &objectReader{ctx: r.Context(), service: s, key: key, size: info.Size}
	defer body.close()
	http.ServeContent(w, r, "", info.Modified, body)
	return nil
}

func (s *Service) openObject(ctx context.Context, key string, offset, length int64) (io.ReadCloser, objects.Info, error) {
	body, info, err := s.bucket.Get(ctx, key, offset, length)
	if err == nil && length == 0 {
		_ = body.Close()
	}
	if fault.Is(err, fault.Missing) {
		err = errNotFound
	}
	return body, info, err
}

// objectReader reads an object from anywhere, as ranges need.
type objectReader struct {
	ctx     context.Context //nolint:containedctx // it lives as long as its request
	service *Service
	key     string
	size    int64
	at      int64
	body    io.ReadCloser
}

// Seek only remembers where to read next.
func (o *objectReader) Seek(offset int64, whence int) (int64, error) {
	o.close()
	switch whence {
	case io.SeekCurrent:
		offset += o.at
	case io.SeekEnd:
		offset += o.size
	}
	o.at = offset
	return offset, nil
}

// Read reads on.
func (o *objectReader) Read(p []byte) (int, error) {
	if o.at >= o.size {
		return 0, io.EOF
	}
	if o.body == nil {
		body, _, err := o.service.openObject(o.ctx, o.key, o.at, -1)
		if err != nil {
			return 0, err
		}
		o.body = body
	}
	n, err := o.body.Read(p)
	o.at += int64(n)
	return n, err
}

func (o *objectReader) close() {
	if o.body != nil {
		_ = o.body.Close()
		o.body = nil
	}
}

// requester is whom door and lift requests name.
func (s *Service) requester(ctx context.Context) string {
	if name := callerName(ctx); s.cfg.NameRequester && name != "" {
		return name
	}
	return "rmf_api_server"
}

type doorCommand struct {
	Name string `path:"door_name"`
	Body DoorRequest
}

func (s *Service) handleDoorRequest(w http.ResponseWriter, r *http.Request) error {
	q, err := read[doorCommand](r)
	if err != nil {
		return err
	}
	err = s.ros.Publish(r.Context(), topicDoorRequests, struct {
		RequestTime   Time     `json:"request_time"`
		RequesterID   string   `json:"requester_id"`
		DoorName      string   `json:"door_name"`
		RequestedMode DoorMode `json:"requested_mode"`
	}{rosTime(s.rmfNow()), s.requester(r.Context()), q.Name, DoorMode{q.Body.Mode}})
	if err := s.recordCommand(r.Context(), ControlDoors, "doors/"+q.Name, "mode "+number(q.Body.Mode), rosFault(err)); err != nil {
		return err
	}
	return null(w)
}

type liftCommand struct {
	Name string `path:"lift_name"`
	Body LiftRequest
}

func (s *Service) handleLiftRequest(w http.ResponseWriter, r *http.Request) error {
	q, err := read[liftCommand](r)
	if err != nil {
		return err
	}
	at := rosTime(s.rmfNow())
	for _, session := range append([]string{s.requester(r.Context())}, q.Body.AdditionalSessionIDs...) {
		err = s.ros.Publish(r.Context(), topicLiftRequests, struct {
			LiftName         string `json:"lift_name"`
			RequestTime      Time   `json:"request_time"`
			SessionID        string `json:"session_id"`
			RequestType      uint8  `json:"request_type"`
			DestinationFloor string `json:"destination_floor"`
			DoorState        uint8  `json:"door_state"`
		}{q.Name, at, session, q.Body.RequestType, q.Body.Destination, q.Body.DoorMode})
		if err != nil {
			break
		}
	}
	detail := "to " + q.Body.Destination + ", type " + number(q.Body.RequestType)
	if err := s.recordCommand(r.Context(), ControlLifts, "lifts/"+q.Name, detail, rosFault(err)); err != nil {
		return err
	}
	return null(w)
}

type rioQuery struct {
	ID   *string `query:"id" doc:"comma separated list of ids"`
	Type *string `query:"type" doc:"comma separated list of types"`
	optionalPage
}

func (s *Service) handleRios(w http.ResponseWriter, r *http.Request) error {
	q, err := read[rioQuery](r)
	if err != nil {
		return err
	}
	l, err := s.shown(r.Context(), kindRio, ReadRios)
	if err != nil {
		return err
	}
	l.ids, l.subtypes, l.page = splitList(q.ID), splitList(q.Type), q.page()
	list, err := s.store.states(r.Context(), l)
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, list)
}

func (s *Service) handlePutRio(w http.ResponseWriter, r *http.Request) error {
	q, err := read[struct{ Body Rio }](r)
	if err != nil {
		return err
	}
	data := document(q.Body)
	created, err := s.saveThing(r.Context(), WriteRios, thing{kindRio, q.Body.ID}, q.Body.Type, data)
	if err != nil {
		return err
	}
	s.feed.publish("/rios", q.Body.ID, data)
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return httpapi.JSON(w, status, nil)
}
