package rosbridge

import (
	"encoding/json"
	"errors"
	"math"
)

// The frames that we send.
type (
	advertiseFrame struct {
		Op        string         `json:"op"`
		ID        string         `json:"id"`
		Topic     string         `json:"topic"`
		Type      string         `json:"type"`
		QueueSize int            `json:"queue_size"`
		Latch     bool           `json:"latch"`
		QoS       map[string]any `json:"qos,omitempty"`
	}
	subscribeFrame struct {
		Op          string `json:"op"`
		ID          string `json:"id"`
		Topic       string `json:"topic"`
		Type        string `json:"type"`
		Throttle    int    `json:"throttle_rate,omitempty"`
		QueueLength int    `json:"queue_length,omitempty"`
		Compression string `json:"compression"`
		// FragmentSize is how large a frame may be before the bridge takes it apart.
		FragmentSize int64          `json:"fragment_size"`
		QoS          map[string]any `json:"qos,omitempty"`
	}
	unsubscribeFrame struct {
		Op    string `json:"op"`
		ID    string `json:"id"`
		Topic string `json:"topic"`
	}
	publishFrame struct {
		Op    string `json:"op"`
		Topic string `json:"topic"`
		Msg   any    `json:"msg"`
		// Latch repeats the advert's, or the bridge complains each time.
		Latch bool `json:"latch,omitempty"`
	}
)

// incoming is any frame that we may get; Op says which fields matter.
type incoming struct {
	Op    string          `json:"op"`
	ID    json.RawMessage `json:"id"`
	Topic string          `json:"topic"`
	// Msg is the message of a publish, and the sentence of a status.
	Msg   json.RawMessage `json:"msg"`
	Level string          `json:"level"`
	Data  string          `json:"data"`
	Num   int             `json:"num"`
	Total float64         `json:"total"`
}

// maxLogged bounds what is logged of the bridge's words.
const maxLogged = 500

func (f incoming) sentence() string {
	var text string
	if json.Unmarshal(f.Msg, &text) != nil {
		text = string(f.Msg)
	}
	return text[:min(len(text), maxLogged)]
}

var (
	errFragments = errors.New("fragments do not fit together")
	errTooLarge  = errors.New("larger than the limit")
)

// assembly puts the fragments of one message together. The bridge numbers all its messages 0, so only
// the order tells them apart.
type assembly struct {
	data []byte
	next int
	max  int64
}

// add takes the next fragment and returns the message when it is whole. After an error the rest of
// the message is refused until one begins anew.
func (a *assembly) add(f incoming) (whole []byte, err error) {
	total := math.Floor(f.Total) // the bridge divides without rounding
	if f.Num == 0 {
		a.data, a.next = nil, 0
	}
	switch {
	case f.Num != a.next || f.Num < 0 || !(float64(f.Num) < total):
		err = errFragments
	case int64(len(a.data)+len(f.Data)) > a.max:
		err = errTooLarge
	}
	if err != nil {
		a.data, a.next = nil, -1
		return nil, err
	}
	a.data = append(a.data, f.Data...)
	a.next++
	if float64(a.next) < total {
		return nil, nil
	}
	whole = a.data
	a.data, a.next = nil, -1
	return whole, nil
}
