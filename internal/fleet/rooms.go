package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"lodge/internal/access"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
)

// Kind says what a room does when a subscriber is slow.
type Kind int

// The kinds of rooms.
const (
	// State rooms keep the newest event of each key.
	State Kind = iota
	// Log rooms drop a subscriber who falls behind: what is missed cannot be made up.
	Log
)

// room is a kind of room.
type room struct {
	// path is its name, with one {} for the thing that it is about.
	path   string
	kind   Kind
	action access.Action
	// thing is the kind of thing that {} names; "" for none, "task" for tasks.
	thing string
	// example is a zero value of its events, for the description.
	example any
}

// rooms are all there are.
var rooms = []room{
	{"/alerts/requests", State, ReadAlerts, "", AlertRequest{}},
	{"/alerts/responses", State, ReadAlerts, "", AlertResponse{}},
	{"/beacons", State, ReadBeacons, "", BeaconState{}},
	{"/building_map", State, ReadMap, "", BuildingMap{}},
	{"/building_map/fire_alarm_trigger", State, ReadMap, "", FireAlarmTriggerState{}},
	{roomDelivery, State, ReadAlerts, "", DeliveryAlert{}},
	{"/doors/{}/state", State, ReadDoors, kindDoor, DoorState{}},
	{"/lifts/{}/state", State, ReadLifts, kindLift, LiftState{}},
	{"/dispensers/{}/state", State, ReadWorkcells, kindDispenser, DispenserState{}},
	{"/ingestors/{}/state", State, ReadWorkcells, kindIngestor, IngestorState{}},
	{"/tasks/{}/state", State, ReadTasks, "task", TaskState{}},
	{"/tasks/{}/log", Log, ReadTasks, "task", TaskEventLog{}},
	{"/fleets/{}/state", State, ReadFleets, kindFleet, FleetState{}},
	{"/fleets/{}/log", Log, ReadFleets, kindFleet, FleetLog{}},
	{"/rios", State, ReadRios, "", Rio{}},
}

// roomDelivery is about troubles with deliveries; those that wait for an answer come first.
const roomDelivery = "/delivery_alerts"

// errNoRoom is what subscribers to no room are told, in the words that they know.
var errNoRoom = fault.New(fault.Missing, "no events in path")

// findRoom finds the room of a name, and the thing that it is about.
func findRoom(name string) (room, string, bool) {
	for _, r := range rooms {
		before, after, about := strings.Cut(r.path, "{}")
		if !about {
			if name == r.path {
				return r, "", true
			}
			continue
		}
		id, begins := strings.CutPrefix(name, before)
		id, ends := strings.CutSuffix(id, after)
		if begins && ends && id != "" && !strings.Contains(id, "/") {
			return r, id, true
		}
	}
	return room{}, "", false
}

// Subscribe decides whether the context's caller may listen in a room, by the same rule as for the
// request that reads the same, and gives what to send first. Attach the subscriber before: what
// passes in between then comes after. A thing without a state yet gives nothing. An error reads as
// clients of the original know it: "no events in path", or a status and a sentence.
func (s *Service) Subscribe(ctx context.Context, name string) (Kind, []json.RawMessage, error) {
	r, id, err := s.mayListen(ctx, name, s.taskGroup)
	if err != nil {
		return r.kind, nil, roomError(err)
	}
	replay, err := s.replay(ctx, r, id, name)
	return r.kind, replay, roomError(err)
}

// MayListen decides again whether the caller may listen in a room, for those who do already. It
// answers from memory, but for tasks that are not known.
func (s *Service) MayListen(ctx context.Context, name string) error {
	_, _, err := s.mayListen(ctx, name, func(ctx context.Context, task string) (access.Group, error) {
		group, err := s.knownGroup(ctx, task)
		if errors.Is(err, errNotFound) {
			return access.Site, nil
		}
		return group, err
	})
	return roomError(err)
}

func (s *Service) mayListen(ctx context.Context, name string, taskGroup func(context.Context, string) (access.Group, error)) (r room, id string, err error) {
	r, id, ok := findRoom(name)
	if !ok {
		return r, id, errNoRoom
	}
	group, hidden := access.Site, r.thing != ""
	switch r.thing {
	case "":
		// Rooms about things of every group are open to those who may see them all.
	case "task":
		group, err = taskGroup(ctx, id)
	default:
		group, err = s.groups.of(ctx, r.thing, id)
	}
	if err == nil {
		_, err = s.permit(ctx, r.action, group, hidden, name)
	}
	return r, id, err
}

// roomError is an error in the words of socket.io's clients.
func roomError(err error) error {
	if err == nil || errors.Is(err, errNoRoom) {
		return err
	}
	status, detail := problem(nil, err)
	if p := permissionOf(err); status == http.StatusForbidden && p != "" {
		return fault.Wrap(err, fault.Denied, "%d %v: needs %s", status, detail, p)
	}
	return fault.Wrap(err, fault.KindOf(err), "%d %v", status, detail)
}

// replay is the newest state of the room's thing.
func (s *Service) replay(ctx context.Context, r room, id, name string) ([]json.RawMessage, error) {
	if r.path == roomDelivery {
		return s.waitingDeliveries(ctx)
	}
	if !isState(name) {
		return nil, nil
	}
	if data := s.feed.last(name); data != nil {
		return []json.RawMessage{data}, nil
	}
	if err := s.writer.settle(ctx); err != nil {
		return nil, err
	}
	var data json.RawMessage
	var err error
	switch {
	case r.path == "/building_map":
		_, data, err = s.buildingMap(ctx)
	case r.path == "/building_map/fire_alarm_trigger":
		data, err = s.store.state(ctx, s.store.db, thing{kindAlarm, ""})
	case r.thing == "task":
		data, err = s.store.task(ctx, id)
	default:
		data, err = s.store.state(ctx, s.store.db, thing{r.thing, id})
	}
	switch {
	case fault.Is(err, fault.Missing):
		return nil, nil
	case err != nil:
		return nil, err
	}
	// What passed meanwhile is newer.
	if newer := s.feed.last(name); newer != nil {
		data = newer
	}
	return []json.RawMessage{data}, nil
}

// Authenticate finds the caller of a live connection. auth is what it sent at the beginning: the
// token stands in it, or in the header of the request.
func (s *Service) Authenticate(r *http.Request, auth json.RawMessage) (context.Context, error) {
	var sent struct {
		Token string `json:"token"`
	}
	if len(auth) > 0 && json.Unmarshal(auth, &sent) != nil {
		return nil, fault.New(fault.Unauthenticated, "Not authenticated")
	}
	if sent.Token != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+sent.Token)
	}
	ctx, err := s.gate.Authenticate(r)
	if err != nil {
		return ctx, err
	}
	caller := access.CallerFrom(ctx)
	if caller == nil {
		return ctx, fault.New(fault.Unauthenticated, "Not authenticated")
	}
	if reserved(ctx) {
		return ctx, errReserved
	}
	// What browsers send by themselves, any page can make them send.
	ambient := caller.Credential.Kind == "session" || caller.Credential.Kind == "header"
	if origin := r.Header.Get("Origin"); ambient && origin != "" && !strings.EqualFold(origin, httpapi.PublicURL(r)) {
		return ctx, fault.New(fault.Denied, "a page of another site cannot listen here without a token")
	}
	return ctx, nil
}

// handleEvents is a room as server-sent events.
func (s *Service) handleEvents(w http.ResponseWriter, r *http.Request) error {
	name := "/" + r.PathValue("room")
	if _, _, err := s.mayListen(r.Context(), name, s.taskGroup); err != nil {
		return err // in the words of HTTP
	}
	events, stop, err := s.live.Listen(r.Context(), name)
	if err != nil {
		return err
	}
	defer stop()
	stream, err := httpapi.Events(w, r)
	if err != nil {
		return err
	}
	for {
		select {
		case <-stream.Done():
			return nil
		case data, more := <-events:
			if !more || stream.Send("", "", data) != nil {
				return nil // the listener went away, was too slow or may not listen any more, or the server stops
			}
		}
	}
}
