package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"lodge/internal/access"
	"lodge/internal/fault"
	"lodge/internal/fleet/fastapi"
)

// admitAdapter decides whether whoever opens the adapter socket may report: by a token, in the
// header or, as stock adapters can only be given an address, in the query; or because the peer is
// listed, when listed says so.
func (s *Service) admitAdapter(r *http.Request, listed bool) (context.Context, error) {
	if token := r.URL.Query().Get("token"); token != "" && r.Header.Get("Authorization") == "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+token)
	}
	ctx, err := s.gate.Authenticate(r)
	if err != nil {
		return ctx, err
	}
	if listed && access.CallerFrom(ctx) == nil {
		return access.WithCaller(ctx, &access.Caller{
			Issuer: "lodge", Subject: "fleet.adapter", Name: "adapter without a token", Credential: access.Credential{Kind: "peer"},
		}), nil
	}
	if access.CallerFrom(ctx) == nil {
		return ctx, fault.New(fault.Unauthenticated, "Not authenticated")
	}
	// That permissions are open does not make everybody an adapter.
	_, err = s.access.Require(ctx, Report, access.Site)
	return ctx, err
}

// TakeMessage takes a message of a fleet adapter or the dispatcher. An error, of the kind
// fault.Invalid, says what is wrong with it; the next message is welcome.
func (s *Service) TakeMessage(ctx context.Context, raw []byte) error {
	if !utf8.Valid(raw) {
		raw = bytes.ToValidUTF8(raw, []byte("\uFFFD")) // not every database would take the rest
	}
	quoted, data, ok := envelope(raw)
	if !ok {
		return fault.New(fault.Invalid, "the message is no JSON object with type and data")
	}
	var kind string
	if len(quoted) == 0 || json.Unmarshal(quoted, &kind) != nil {
		return fault.New(fault.Invalid, "the message has no type")
	}
	switch kind {
	case "task_state_update":
		return take(data, func(t *TaskState) error { return s.takeTask(ctx, t) })
	case "task_log_update":
		return take(data, func(l *TaskEventLog) error { return s.takeTaskLog(ctx, l) })
	case "fleet_state_update":
		return take(data, func(f *FleetState) error { return s.takeFleet(ctx, f) })
	case "fleet_log_update":
		return take(data, func(l *FleetLog) error { return s.takeFleetLog(ctx, l) })
	default:
		return fault.New(fault.Invalid, "the message has the unknown type %.60q", kind)
	}
}

// take reads data and passes it on. What does not fit at once is read as leniently as the original
// does. Values out of their range or list are kept as they are; a wrong type is not.
func take[T any](raw json.RawMessage, pass func(*T) error) error {
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || raw[0] != '{' {
		return fault.New(fault.Invalid, "data must be an object")
	}
	v := new(T)
	if err := json.Unmarshal(raw, v); err != nil {
		v = new(T)
		var wrong fastapi.Findings
		for _, f := range fastapi.Unmarshal(raw, v) {
			switch f.Type {
			case "enum", "greater_than_equal", "less_than_equal":
			default:
				wrong = append(wrong, f)
			}
		}
		if len(wrong) > 0 {
			return fault.New(fault.Invalid, "data.%s", wrong.Error())
		}
	}
	return pass(v)
}

// takeTask passes on and stores what is known of a task.
func (s *Service) takeTask(ctx context.Context, t *TaskState) error {
	id := t.Booking.ID
	if !keyable(id) {
		return fault.New(fault.Invalid, "data.booking.id must be a text of at most 255 characters")
	}
	t.mend()
	data := document(t)
	s.feed.publish("/tasks/"+id+"/state", "", data)
	return s.writer.addTask(ctx, t, data, s.endAlert(t))
}

// endAlert is the alert about a task that was completed or has failed, or nil. There is one for each
// task and status, however often the status is reported: its id follows from both.
func (s *Service) endAlert(t *TaskState) *AlertRequest {
	status := deref(t.Status)
	if status != statusCompleted && status != statusFailed {
		return nil
	}
	id := t.Booking.ID
	a := &AlertRequest{
		ID:                  uuid.NewSHA1(uuid.NameSpaceURL, []byte("lodge:fleet:task:"+status+":"+id)).String(),
		UnixMillisAlertTime: s.now().UnixMilli(), Title: "Task completed", Subtitle: "ID: " + id, Display: true, Tier: "info",
		ResponsesAvailable: []string{"Acknowledge"}, AlertParameters: []AlertParameter{}, TaskID: &id,
	}
	if status == statusFailed {
		a.Title, a.Tier = "Task failed", "error"
		if t.Dispatch != nil && t.Dispatch.Status == "failed_to_assign" {
			var b strings.Builder
			b.WriteString("Failed to assign\n")
			for _, e := range t.Dispatch.Errors {
				b.Write(document(e))
				b.WriteByte('\n')
			}
			a.Message = b.String()
		}
	}
	return a
}

// announce tells of an alert that is stored.
func (s *Service) announce(a AlertRequest) { s.feed.publish("/alerts/requests", a.ID, document(a)) }

func (s *Service) takeTaskLog(ctx context.Context, l *TaskEventLog) error {
	if flaw := l.flaw(); flaw != "" {
		return fault.New(fault.Invalid, "%s", flaw)
	}
	s.feed.publish("/tasks/"+l.TaskID+"/log", "", document(l))
	return s.writer.addTaskLog(ctx, l)
}

func (s *Service) takeFleet(ctx context.Context, f *FleetState) error {
	name := deref(f.Name)
	if !keyable(name) {
		return fault.New(fault.Invalid, "data.name must be a text of at most 255 characters")
	}
	f.mend()
	data := document(f)
	s.feed.publish("/fleets/"+name+"/state", "", data)
	return s.writer.addState(ctx, thing{kindFleet, name}, data)
}

func (s *Service) takeFleetLog(ctx context.Context, l *FleetLog) error {
	if !keyable(deref(l.Name)) {
		return fault.New(fault.Invalid, "data.name must be a text of at most 255 characters")
	}
	s.feed.publish("/fleets/"+*l.Name+"/log", "", document(l))
	return s.writer.addFleetLog(ctx, l)
}

// mustJSON encodes what is always encodable: our own types, made from JSON.
func mustJSON(v any) json.RawMessage {
	data, err := fastapi.JSON(v)
	if err != nil {
		panic(errors.Join(errors.New("fleet: a document that cannot be encoded"), err))
	}
	return data
}
