package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
)

// A delivery alert waits for somebody to say how to go on. The original forgets those that nobody saw;
// here they are kept until they are answered, by ROS or by a client, so that whoever comes later sees
// them too.

const deliveryWaiting = "waiting"

// rosDelivery is a delivery alert as ROS has it.
type rosDelivery struct {
	ID       string `json:"id"`
	Category valued `json:"category"`
	Tier     valued `json:"tier"`
	TaskID   string `json:"task_id"`
	Action   valued `json:"action"`
	Message  string `json:"message"`
}

type valued struct {
	Value int `json:"value"`
}

func (s *Service) takeDeliveryAlert(ctx context.Context, msg json.RawMessage) error {
	m, err := rosMessage[rosDelivery](msg)
	if err != nil {
		return err
	}
	word := func(v valued, words []string) string {
		if v.Value < 0 || v.Value >= len(words) {
			return ""
		}
		return words[v.Value]
	}
	a := DeliveryAlert{
		ID: m.ID, Category: word(m.Category, deliveryCategories), Tier: word(m.Tier, deliveryTiers), Action: word(m.Action, deliveryActions),
		TaskID: m.TaskID, Message: m.Message,
	}
	if a.Category == "" || a.Tier == "" || a.Action == "" {
		return fault.New(fault.Invalid, "a delivery alert with an unknown category, tier or action")
	}
	if err := badKey(a.ID); err != nil {
		return err
	}
	// It is rare, and a latched topic tells again what was answered long ago, so it is looked up first.
	go func() {
		ctx, cancel := context.WithTimeout(ctx, settled)
		defer cancel()
		if err := s.keepDelivery(ctx, a); err != nil {
			s.log.WarnContext(ctx, "a delivery alert could not be stored", "alert", a.ID, "error", err)
		}
	}()
	return nil
}

// keepDelivery passes on and stores an alert, unless it was answered already.
func (s *Service) keepDelivery(ctx context.Context, a DeliveryAlert) error {
	if err := s.writer.settle(ctx); err != nil {
		return err
	}
	stored, err := s.store.state(ctx, s.store.db, thing{kindDelivery, a.ID})
	if err != nil && !errors.Is(err, errNotFound) {
		return err
	}
	var before DeliveryAlert
	if err == nil && json.Unmarshal(stored, &before) == nil && before.Action != deliveryWaiting && a.Action == deliveryWaiting {
		return nil
	}
	data := document(a)
	s.feed.publishHere(roomDelivery, a.ID, data)
	return s.writer.addState(ctx, thing{kindDelivery, a.ID}, data)
}

// waitingDeliveries are the alerts that nobody has answered.
func (s *Service) waitingDeliveries(ctx context.Context) ([]json.RawMessage, error) {
	if err := s.writer.settle(ctx); err != nil {
		return nil, err
	}
	all, err := s.store.states(ctx, listed{kind: kindDelivery})
	return slices.DeleteFunc(all, func(data json.RawMessage) bool {
		var a DeliveryAlert
		return json.Unmarshal(data, &a) != nil || a.Action != deliveryWaiting
	}), err
}

type deliveryQuery struct {
	ID       string `path:"delivery_alert_id"`
	Category string `query:"category" required:"true" enum:"missing,wrong,obstructed,cancelled"`
	Tier     string `query:"tier" required:"true" enum:"warning,error"`
	TaskID   string `query:"task_id" required:"true"`
	Action   string `query:"action" required:"true" enum:"waiting,cancel,override,resume"`
	Message  string `query:"message" required:"true"`
}

func (s *Service) handleDeliveryResponse(w http.ResponseWriter, r *http.Request) error {
	q, err := read[deliveryQuery](r)
	if err != nil {
		return err
	}
	if !keyable(q.ID) {
		return unprocessable("the id of a delivery alert must be a text of at most 255 characters")
	}
	group, err := s.taskGroup(r.Context(), q.TaskID)
	if err != nil {
		return err
	}
	ctx, err := s.permit(r.Context(), AnswerAlerts, group, true, "delivery_alerts/"+q.ID)
	if err != nil {
		return err
	}
	number := func(word string, words []string) valued { return valued{slices.Index(words, word)} }
	err = s.ros.Publish(ctx, topicDeliveryResponse, rosDelivery{
		ID: q.ID, Category: number(q.Category, deliveryCategories), Tier: number(q.Tier, deliveryTiers), TaskID: q.TaskID,
		Action: number(q.Action, deliveryActions), Message: q.Message,
	})
	if err := s.recordCommand(ctx, AnswerAlerts, "delivery_alerts/"+q.ID, q.Action, rosFault(err)); err != nil {
		return err
	}
	a := DeliveryAlert{ID: q.ID, Category: q.Category, Tier: q.Tier, Action: q.Action, TaskID: q.TaskID, Message: q.Message}
	if err := s.answerDelivery(ctx, a); err != nil {
		return err
	}
	s.feed.publish(roomDelivery, a.ID, document(a))
	return httpapi.JSON(w, http.StatusOK, a)
}

// answerDelivery notes the answer to an alert that is kept, so that it does not wait any more.
func (s *Service) answerDelivery(ctx context.Context, a DeliveryAlert) error {
	if err := s.writer.settle(ctx); err != nil {
		return err
	}
	return s.store.db.Tx(ctx, func(tx *database.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE fleet_states SET data = ? WHERE kind = ? AND id = ?", string(document(a)), kindDelivery, a.ID)
		return err
	})
}
