package live_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"lodge/internal/fleet/live"
)

// Clients come, go, join and leave while others publish: whoever stays ends with the newest value,
// and in the end nothing is left.
func TestChurn(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{})
	const clients, rounds, rooms = 12, 20, 3
	stop := make(chan struct{})
	var publishers, readers sync.WaitGroup
	for r := range rooms {
		publishers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					s.Publish(fmt.Sprint("/state/", r), "", json.RawMessage(`"last"`))
					return
				default:
					s.Publish(fmt.Sprint("/state/", r), "", json.RawMessage(fmt.Sprint(n)))
				}
			}
		})
	}
	joined := make(chan *socket, clients)
	for range clients {
		readers.Go(func() {
			var c *socket
			for i := range rounds {
				if i%5 == 0 {
					if c != nil {
						_ = c.CloseNow()
					}
					c = s.known(t, "anna")
				}
				for r := range rooms {
					c.say(fmt.Sprintf(`42["subscribe",{"room":"/state/%d"}]`, r))
				}
				if i < rounds-1 {
					c.say(`427["unsubscribe",{"room":"/state/1"}]`)
					for !strings.HasPrefix(c.hear(), "437[{\"success\":true}]") {
					}
				}
			}
			c.sync()
			joined <- c
		})
	}
	readers.Wait()
	close(stop)
	publishers.Wait()
	close(joined)
	for c := range joined {
		for seen := map[string]bool{}; len(seen) < rooms; {
			if got := c.hear(); strings.HasSuffix(got, `,"last"]`) {
				seen[got] = true
			}
		}
		_ = c.CloseNow()
	}
	eventually(t, "nothing is left", func() bool {
		st := s.Stats()
		return st.WebSocket == 0 && st.Rooms == 0 && st.Subscriptions == 0 && st.Unknown == 0
	})
}
