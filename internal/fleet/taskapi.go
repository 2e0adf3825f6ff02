package fleet

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/google/uuid"

	"lodge/internal/fault"
)

// calls are the requests to RMF that wait for an answer. The first answer counts; others, and those
// to nobody's question, are dropped.
type calls struct {
	mu      sync.Mutex
	waiting map[string]chan answer
}

// answer is what RMF says to a request.
type answer struct {
	kind int
	text string
}

// The kinds of answers.
const (
	answerAcknowledge = 1
	answerResult      = 2
)

func newCalls() *calls { return &calls{waiting: map[string]chan answer{}} }

func (c *calls) expect(id string) chan answer {
	// There is room for an acknowledgement and the result; more does not matter.
	ch := make(chan answer, 2)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting[id] = ch
	return ch
}

func (c *calls) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, id)
}

func (c *calls) tell(id string, a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case c.waiting[id] <- a:
	default: // nobody asked, or it was answered
	}
}

// apiRequest is a request to RMF on its topic.
type apiRequest struct {
	JSONMsg   string `json:"json_msg"`
	RequestID string `json:"request_id"`
}

// call asks RMF and gives its answer as it came. It fails as errTimedOut when there is none in
// time, and as fault.Unavailable while ROS cannot be reached.
func (s *Service) call(ctx context.Context, payload []byte) (string, error) {
	return s.callAs(ctx, uuid.NewString(), payload)
}

// callAs is call with a request id of the caller's. The dispatcher answers an id that it knows as
// before, so that asking again dispatches once.
func (s *Service) callAs(ctx context.Context, id string, payload []byte) (string, error) {
	answers := s.calls.expect(id)
	defer s.calls.forget(id)
	if err := s.ros.Publish(ctx, topicTaskRequests, apiRequest{string(payload), id}); err != nil {
		return "", rosFault(err)
	}
	patience := time.NewTimer(s.cfg.TaskAPITimeout)
	defer patience.Stop()
	for {
		select {
		case a := <-answers:
			switch a.kind {
			case answerAcknowledge:
				patience.Reset(s.cfg.TaskAPITimeout)
			case answerResult:
				return a.text, nil
			default:
				return "", fault.New(fault.Upstream, "RMF could not handle the request")
			}
		case <-patience.C:
			return "", errTimedOut
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// rosFault is why nothing could be published, in words for the client.
func rosFault(err error) error {
	if fault.Is(err, fault.Unavailable) {
		return fault.Wrap(err, fault.Unavailable, "the ROS bridge is not connected")
	}
	return err
}

// takeAnswer takes an answer of RMF.
func (s *Service) takeAnswer(msg json.RawMessage) error {
	m, err := rosMessage[struct {
		Type      *int   `json:"type"`
		JSONMsg   string `json:"json_msg"`
		RequestID string `json:"request_id"`
	}](msg)
	if err != nil {
		return err
	}
	kind := answerResult
	if m.Type != nil {
		kind = *m.Type
	}
	s.calls.tell(m.RequestID, answer{kind, m.JSONMsg})
	return nil
}
