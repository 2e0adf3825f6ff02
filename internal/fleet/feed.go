package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// feed passes events on to the subscribers of this process and of the others, and remembers the
// states that passed a moment ago: until a state is sure to be in the database, whoever subscribes
// gets it from here, so that nothing is lost between the two.
type feed struct {
	service *Service
	// id tells this process's own events on the bus from those of others.
	id string

	mu     sync.Mutex
	recent map[string]passed // by room
}

// passed is a state that went by.
type passed struct {
	data json.RawMessage
	at   time.Time
}

const (
	feedSubject = "fleet.live"
	// feedQueue is how many events of other replicas may wait.
	feedQueue = 8192
	// remembered is how long a state is held, far longer than a batch takes to be written.
	remembered = 15 * time.Second
)

func newFeed(s *Service) *feed {
	return &feed{service: s, id: uuid.NewString(), recent: map[string]passed{}}
}

// publish passes an event on to the subscribers of all replicas. data is encoded once.
func (f *feed) publish(room, key string, data json.RawMessage) {
	f.publishHere(room, key, data)
	header := f.id + "\n" + room + "\n" + key + "\n"
	// The bus carries news only: who misses it hears the next.
	_ = f.service.bus.Publish(feedSubject, append([]byte(header), data...))
}

// publishHere is for what every replica hears by itself.
func (f *feed) publishHere(room, key string, data json.RawMessage) {
	// Together, so that what is replayed last is also what was passed on last.
	f.mu.Lock()
	defer f.mu.Unlock()
	if isState(room) {
		f.recent[room] = passed{data, f.service.now()}
	}
	f.service.live.Publish(room, key, data)
}

// last is the state that passed a moment ago, or nil.
func (f *feed) last(room string) json.RawMessage {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.recent[room].data
}

// forget drops what is old.
func (f *feed) forget() {
	before := f.service.now().Add(-remembered)
	f.mu.Lock()
	defer f.mu.Unlock()
	for room, p := range f.recent {
		if p.at.Before(before) {
			delete(f.recent, room)
		}
	}
}

// run hears what other replicas publish, until ctx ends.
func (f *feed) run(ctx context.Context) error {
	news, err := f.service.bus.Subscribe(ctx, feedSubject, feedQueue)
	if err != nil {
		return err
	}
	tick := time.NewTicker(remembered / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case m, ok := <-news:
			if !ok {
				return nil
			}
			f.hear(m.Data)
		case <-tick.C:
			f.forget()
		}
	}
}

func (f *feed) hear(message []byte) {
	parts := bytes.SplitN(message, []byte("\n"), 4)
	if len(parts) == 4 && string(parts[0]) != f.id {
		f.publishHere(string(parts[1]), string(parts[2]), parts[3])
	}
}

// isState says that only the newest event of the room matters, as the room is about one thing.
func isState(room string) bool {
	return strings.HasSuffix(room, "/state") || strings.HasPrefix(room, "/building_map")
}
