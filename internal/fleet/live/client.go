package live

import (
	"bytes"
	"context"
	"encoding/json"
)

// maxRoomName bounds what is kept and echoed of a client's words.
const maxRoomName = 1024

// handle acts on one socket.io packet, or on a binary attachment of one. An error means that the
// client does not speak the protocol.
func (x *session) handle(p packet) error {
	if p.binary {
		// Attachments are counted off, not kept: no event of a client has a use for bytes.
		if x.missing == 0 {
			return errBadPacket
		}
		if x.missing--; x.missing > 0 {
			return nil
		}
		parts := x.parts
		x.parts = socketPacket{}
		return x.dispatch(parts)
	}
	if x.missing > 0 {
		return errBadPacket
	}
	s, err := parseSocket(p.data)
	if err != nil {
		return err
	}
	if s.attachments > 0 {
		s.data = bytes.Clone(s.data)
		x.missing, x.parts = s.attachments, s
		return nil
	}
	return x.dispatch(s)
}

func (x *session) dispatch(s socketPacket) error {
	if s.namespace != "/" {
		if s.kind == socketConnect {
			x.reply("44" + s.namespace + `,"Unable to connect"`)
		}
		return nil
	}
	switch s.kind {
	case socketConnect:
		x.connect(bytes.Clone(s.data))
	case socketDisconnect:
		x.end(reasonClient)
	case socketEvent, socketBinaryEvent:
		return x.event(s)
	case socketAck, socketBinaryAck: // we never ask for one
	default:
		return errBadPacket
	}
	return nil
}

// detached lives as long as the connection and has the values of the request or of the caller.
type detached struct {
	context.Context
	values context.Context //nolint:containedctx // only for its values
}

// Value asks the lifetime first, so that contexts derived from it are cancelled with it.
func (d detached) Value(key any) any {
	if v := d.Context.Value(key); v != nil {
		return v
	}
	return d.values.Value(key)
}

// connect asks who the client is.
func (x *session) connect(auth json.RawMessage) {
	x.mu.Lock()
	if x.id != "" || x.over != "" {
		x.mu.Unlock()
		return
	}
	life, cancel := context.WithCancel(context.Background())
	x.cancel = cancel
	x.mu.Unlock()

	caller, err := x.server.auth(x.request.WithContext(detached{life, x.request.Context()}), auth)
	if err != nil {
		cancel()
		x.reply("44" + marshal(map[string]string{"message": text(err, connectRefused)}))
		return
	}
	pid := pidOf(auth)
	old, back, known := x.server.recovery.comeBack(pid)
	if !known {
		pid = newID()
	}

	x.mu.Lock()
	if x.over != "" {
		x.mu.Unlock()
		return
	}
	x.id, x.pid, x.request = newID(), pid, nil
	x.caller = detached{life, caller}
	x.timer.Reset(x.server.opts.PingInterval)
	x.send(newPacket("40" + marshal(struct {
		SID string `json:"sid"`
		PID string `json:"pid"`
	}{x.id, x.pid})))
	x.mu.Unlock()
	x.server.count(-1)
	x.server.recovery.enter(pid, x)

	if old != nil {
		back = old.names()
		old.end(reasonReplaced)
	}
	for _, room := range back {
		if err := x.join(room); err != nil {
			x.tell("subscribe", "", failed(text(err, subscribeRefused)))
		}
	}
}

// pidOf is what a client that comes back says it was.
func pidOf(auth json.RawMessage) string {
	var in struct {
		PID string `json:"pid"`
	}
	if json.Unmarshal(auth, &in) != nil || len(in.PID) > 64 {
		return ""
	}
	return in.PID
}

// result is the answer to subscribe and unsubscribe.
type result struct {
	Success bool   `json:"success"`
	Error   string `json:"error,omitempty"`
}

func failed(why string) result { return result{Error: why} }

// event acts on the two events that clients send; others are none of ours.
func (x *session) event(s socketPacket) error {
	name, argument, err := s.event()
	if err != nil {
		return err
	}
	x.mu.Lock()
	known := x.id != ""
	x.mu.Unlock()
	if !known {
		return nil
	}
	switch name {
	case "subscribe":
		x.onSubscribe(argument, s.ack)
	case "unsubscribe":
		x.onUnsubscribe(argument, s.ack)
	}
	return nil
}

// onSubscribe says nothing without being asked when all went well, as the original does.
func (x *session) onSubscribe(argument json.RawMessage, ack string) {
	room, ok := roomOf(argument)
	if !ok {
		x.answer(ack, failed("missing 'room'"))
		return
	}
	if err := x.join(room); err != nil {
		x.tell("subscribe", ack, failed(text(err, subscribeRefused)))
		return
	}
	x.answer(ack, result{Success: true})
}

func (x *session) onUnsubscribe(argument json.RawMessage, ack string) {
	room, ok := roomOf(argument)
	switch {
	case !ok:
		x.tell("unsubscribe", ack, failed("missing 'room'"))
	case !x.unsubscribe(room):
		x.tell("unsubscribe", ack, failed("not subscribed to topic"))
	default:
		x.tell("unsubscribe", ack, result{Success: true})
	}
}

// join subscribes within the time that a login may take: the client's other packets wait for it.
func (x *session) join(room string) error {
	if len(room) > maxRoomName {
		return ErrNoRoom
	}
	ctx, cancel := context.WithTimeout(x.caller, x.server.opts.HandshakeTimeout)
	defer cancel()
	return x.subscribe(ctx, room)
}

// tell answers with an event, as the original does, and with an acknowledgement if one is wanted.
func (x *session) tell(event, ack string, r result) {
	x.reply("42" + marshal([]any{event, r}))
	x.answer(ack, r)
}

func (x *session) answer(ack string, r result) {
	if ack != "" {
		x.reply("43" + ack + marshal([]any{r}))
	}
}
