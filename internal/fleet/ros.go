package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/fleet/fastapi"
)

// Topic is a ROS topic that this part hears or speaks on.
type Topic struct {
	Name, Type string
	// QoS is what a bridge that understands it is asked for.
	QoS map[string]any
	// Latched says that a publisher keeps the last message for those who come late.
	Latched bool
	// ThrottleMS is the least time between two messages.
	ThrottleMS int
	// Queue is how many messages may wait.
	Queue int
}

func qos(depth int, durability string) map[string]any {
	return map[string]any{"depth": depth, "reliability": "reliable", "durability": durability, "history": "keep_last"}
}

const (
	volatile  = "volatile"
	transient = "transient_local"
)

// Subscriptions are the topics to subscribe to; give their messages to FromROS.
func (s *Service) Subscriptions() []Topic {
	topics := []Topic{
		{Name: "/door_states", Type: "rmf_door_msgs/msg/DoorState", QoS: qos(100, volatile), Queue: 100},
		{Name: "/lift_states", Type: "rmf_lift_msgs/msg/LiftState", QoS: qos(10, volatile), Queue: 10},
		{Name: "/dispenser_states", Type: "rmf_dispenser_msgs/msg/DispenserState", QoS: qos(10, volatile), Queue: 10},
		{Name: "/ingestor_states", Type: "rmf_ingestor_msgs/msg/IngestorState", QoS: qos(10, volatile), Queue: 10},
		{Name: "/map", Type: "rmf_building_map_msgs/msg/BuildingMap", QoS: qos(1, transient), Latched: true, Queue: 1},
		{Name: "/beacon_state", Type: "rmf_fleet_msgs/msg/BeaconState", QoS: qos(100, volatile), Queue: 100},
		{Name: "/delivery_alert_request", Type: "rmf_fleet_msgs/msg/DeliveryAlert", QoS: qos(10, transient), Latched: true, Queue: 10},
		{Name: "/alert", Type: "rmf_task_msgs/msg/Alert", QoS: qos(10, transient), Latched: true, Queue: 10},
		{Name: "/alert_response", Type: "rmf_task_msgs/msg/AlertResponse", QoS: qos(10, transient), Latched: true, Queue: 10},
		{Name: "/fire_alarm_trigger", Type: "std_msgs/msg/Bool", QoS: qos(10, transient), Latched: true, Queue: 10},
		{Name: "/task_api_responses", Type: "rmf_task_msgs/msg/ApiResponse", QoS: qos(10, transient), Latched: true, Queue: 100},
	}
	if s.cfg.SimTime {
		clock := Topic{Name: "/clock", Type: "rosgraph_msgs/msg/Clock", ThrottleMS: 100, Queue: 1}
		clock.QoS = map[string]any{"depth": 1, "reliability": "best_effort", "durability": volatile, "history": "keep_last"}
		topics = append(topics, clock)
	}
	return topics
}

// The topics that this part speaks on.
const (
	topicDoorRequests     = "/adapter_door_requests"
	topicLiftRequests     = "/adapter_lift_requests"
	topicDeliveryResponse = "/delivery_alert_response"
	topicMutexRelease     = "/mutex_group_manual_release"
	topicFireAlarm        = "/fire_alarm_trigger"
	topicAlertResponse    = "/alert_response"
	topicTaskRequests     = "/task_api_requests"
)

// Adverts are the topics to advertise.
func (s *Service) Adverts() []Topic {
	return []Topic{
		{Name: topicDoorRequests, Type: "rmf_door_msgs/msg/DoorRequest", QoS: qos(10, volatile), Queue: 100},
		{Name: topicLiftRequests, Type: "rmf_lift_msgs/msg/LiftRequest", QoS: qos(100, transient), Queue: 100},
		{Name: topicDeliveryResponse, Type: "rmf_fleet_msgs/msg/DeliveryAlert", QoS: qos(10, transient), Queue: 100},
		{Name: topicMutexRelease, Type: "rmf_fleet_msgs/msg/MutexGroupManualRelease", QoS: qos(10, transient), Queue: 100},
		{Name: topicFireAlarm, Type: "std_msgs/msg/Bool", QoS: qos(10, transient), Latched: true, Queue: 1},
		{Name: topicAlertResponse, Type: "rmf_task_msgs/msg/AlertResponse", QoS: qos(10, transient), Queue: 100},
		// Never latched: a node that restarts would dispatch old requests anew.
		{Name: topicTaskRequests, Type: "rmf_task_msgs/msg/ApiRequest", QoS: qos(10, transient), Queue: 100},
	}
}

// FromROS takes a message of a topic. It does not wait for the database. What is wrong with a
// message is logged: nobody waits for an answer.
func (s *Service) FromROS(topic string, msg json.RawMessage) {
	ctx := context.Background()
	if !utf8.Valid(msg) {
		msg = bytes.ToValidUTF8(msg, []byte("\uFFFD"))
	}
	if err := s.takeROS(ctx, topic, msg); err != nil {
		s.log.Warn("a message from ROS could not be taken", "topic", topic, "error", err)
	}
}

func (s *Service) takeROS(ctx context.Context, topic string, msg json.RawMessage) error {
	switch topic {
	case "/door_states":
		return takeState(ctx, s, msg, "/doors/", kindDoor, func(d *DoorState) string { return d.DoorName })
	case "/lift_states":
		return takeState(ctx, s, msg, "/lifts/", kindLift, func(l *LiftState) string { return l.LiftName })
	case "/dispenser_states":
		return takeState(ctx, s, msg, "/dispensers/", kindDispenser, func(d *DispenserState) string { return d.GUID })
	case "/ingestor_states":
		return takeState(ctx, s, msg, "/ingestors/", kindIngestor, func(i *IngestorState) string { return i.GUID })
	case "/beacon_state":
		b, err := rosMessage[BeaconState](msg)
		if err != nil || !keyable(b.ID) {
			return errors.Join(err, badKey(b.ID))
		}
		data := document(b)
		s.feed.publishHere("/beacons", b.ID, data)
		return s.writer.addState(ctx, thing{kindBeacon, b.ID}, data)
	case "/map":
		s.maps.offer(msg)
		return nil
	case "/alert":
		return s.takeAlert(ctx, msg)
	case "/alert_response":
		return s.takeAlertResponse(ctx, msg)
	case "/delivery_alert_request":
		return s.takeDeliveryAlert(ctx, msg)
	case "/fire_alarm_trigger":
		return s.takeFireAlarm(ctx, msg)
	case "/task_api_responses":
		return s.takeAnswer(msg)
	case "/clock":
		return s.takeClock(msg)
	default:
		return fmt.Errorf("nobody listens to %s", topic)
	}
}

func badKey(id string) error {
	if keyable(id) {
		return nil
	}
	return fault.New(fault.Invalid, "its id must be a text of at most 255 characters, not %.60q", id)
}

// rosMessage reads a message; lists that are missing are empty.
func rosMessage[T any](msg json.RawMessage) (T, error) {
	var v T
	if err := json.Unmarshal(msg, &v); err != nil {
		return v, fault.Wrap(err, fault.Invalid, "the message does not have its type")
	}
	fastapi.Complete(&v)
	return v, nil
}

// takeState passes on and stores the state of a thing. Every replica hears ROS itself.
func takeState[T any](ctx context.Context, s *Service, msg json.RawMessage, room, kind string, key func(*T) string) error {
	v, err := rosMessage[T](msg)
	if err != nil {
		return err
	}
	id := key(&v)
	if err := badKey(id); err != nil {
		return err
	}
	data := document(v)
	s.feed.publishHere(room+id+"/state", "", data)
	return s.writer.addState(ctx, thing{kind, id}, data)
}

func (s *Service) takeAlert(ctx context.Context, msg json.RawMessage) error {
	m, err := rosMessage[struct {
		ID                 string           `json:"id"`
		Title              string           `json:"title"`
		Subtitle           string           `json:"subtitle"`
		Message            string           `json:"message"`
		Display            bool             `json:"display"`
		Tier               int              `json:"tier"`
		ResponsesAvailable []string         `json:"responses_available"`
		AlertParameters    []AlertParameter `json:"alert_parameters"`
		TaskID             string           `json:"task_id"`
	}](msg)
	if err := errors.Join(err, badKey(m.ID)); err != nil {
		return err
	}
	a := AlertRequest{
		ID: m.ID, UnixMillisAlertTime: s.now().UnixMilli(), Title: m.Title, Subtitle: m.Subtitle, Message: m.Message, Display: m.Display,
		Tier: alertTiers[0], ResponsesAvailable: m.ResponsesAvailable, AlertParameters: m.AlertParameters,
	}
	if m.Tier >= 0 && m.Tier < len(alertTiers) {
		a.Tier = alertTiers[m.Tier]
	}
	if m.TaskID != "" {
		a.TaskID = &m.TaskID
	}
	return s.writer.add(ctx, neverFull, func(b *batch) {
		if _, there := b.alerts[a.ID]; !there {
			b.alerts[a.ID] = a
		}
	})
}

func (s *Service) takeAlertResponse(ctx context.Context, msg json.RawMessage) error {
	m, err := rosMessage[struct {
		ID       string `json:"id"`
		Response string `json:"response"`
	}](msg)
	if err := errors.Join(err, badKey(m.ID)); err != nil {
		return err
	}
	// The answer may follow its alert closely; and it is rare, so it is written by itself.
	go func() {
		ctx, cancel := context.WithTimeout(ctx, settled)
		defer cancel()
		if err := s.writer.settle(ctx); err != nil {
			return
		}
		_, err := s.storeAnswer(ctx, AlertResponse{ID: m.ID, UnixMillisResponseTime: s.now().UnixMilli(), Response: m.Response}, nil)
		if err != nil && !fault.Is(err, fault.Conflict) {
			s.log.WarnContext(ctx, "the answer to an alert could not be stored", "alert", m.ID, "error", err)
		}
	}()
	return nil
}

func (s *Service) takeFireAlarm(ctx context.Context, msg json.RawMessage) error {
	m, err := rosMessage[struct {
		Data bool `json:"data"`
	}](msg)
	if err != nil {
		return err
	}
	data := document(FireAlarmTriggerState{UnixMillisTime: s.now().UnixMilli(), Trigger: m.Data})
	s.feed.publishHere("/building_map/fire_alarm_trigger", "", data)
	return s.writer.addState(ctx, thing{kindAlarm, ""}, data)
}

func (s *Service) takeClock(msg json.RawMessage) error {
	m, err := rosMessage[struct {
		Clock Time `json:"clock"`
	}](msg)
	if err == nil {
		s.clock.Store(m.Clock.time().UnixNano())
	}
	return err
}

// rosTime is a time as ROS has it.
func rosTime(at time.Time) Time {
	return Time{Sec: int32(at.Unix()), Nanosec: uint32(at.Nanosecond())} // until 2038, as ROS
}

func (t Time) time() time.Time { return time.Unix(int64(t.Sec), int64(t.Nanosec)) }

// storeAnswer writes the answer to an alert down and tells of it. record, if not nil, writes the
// audit record.
func (s *Service) storeAnswer(ctx context.Context, r AlertResponse, record func(*database.Tx) error) (AlertResponse, error) {
	var before AlertResponse
	err := s.store.db.Tx(ctx, func(tx *database.Tx) error {
		stored, err := s.store.answerAlert(ctx, tx, r)
		if err != nil {
			return err
		}
		if !stored {
			before, err = s.answerBefore(ctx, tx, r.ID)
			if err != nil {
				return err
			}
			return fault.New(fault.Conflict, "Alert with ID %s already has a response of %s", r.ID, before.Response)
		}
		if record != nil {
			return record(tx)
		}
		return nil
	})
	if err != nil {
		return r, err
	}
	s.feed.publish("/alerts/responses", r.ID, document(r))
	return r, nil
}
