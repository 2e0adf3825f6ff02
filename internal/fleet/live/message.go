package live

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"unicode/utf8"
)

// message is one Engine.IO text packet, encoded once for everybody it goes to. It never changes.
type message struct {
	// frame is the packet as a WebSocket frame; servers do not mask, so all listeners share it.
	frame []byte
	// packet is the part of frame behind its header, as polling sends it.
	packet []byte
	// data is the event's JSON within packet.
	data []byte
	slot slot
}

// slot names what a State event is the newest value of.
type slot struct{ room, key string }

// newPacket makes a message that is no event.
func newPacket(text string) *message {
	frame := append(frameHeader(len(text)), text...)
	return &message{frame: frame, packet: frame[len(frame)-len(text):]}
}

// newEvent makes the event of a room.
func newEvent(room, key string, data json.RawMessage) *message {
	data = clean(data)
	name, _ := json.Marshal(room) // a string always can be
	size := len(`42[`) + len(name) + len(`,`) + len(data) + len(`]`)
	frame := frameHeader(size)
	head := len(frame)
	frame = append(frame, `42[`...)
	frame = append(frame, name...)
	frame = append(frame, ',')
	at := len(frame)
	frame = append(frame, data...)
	frame = append(frame, ']')
	return &message{frame: frame, packet: frame[head:], data: frame[at : len(frame)-1], slot: slot{room, key}}
}

// clean makes sure that a publisher's mistake cannot end its listeners' connections: a text frame
// must be UTF-8, and the separator of polling is no part of JSON.
func clean(data json.RawMessage) json.RawMessage {
	if len(data) == 0 {
		return json.RawMessage("null")
	}
	if !utf8.Valid(data) {
		data = bytes.ToValidUTF8(data, []byte("\uFFFD"))
	}
	if bytes.IndexByte(data, separator) >= 0 {
		data = bytes.ReplaceAll(data, []byte{separator}, []byte{' '})
	}
	return data
}

// frameHeader is the header of a whole text frame from a server (RFC 6455, 5.2), with room for the rest.
func frameHeader(size int) []byte {
	const wholeText = 0x81
	switch {
	case size < 126:
		return append(make([]byte, 0, 2+size), wholeText, byte(size))
	case size < 1<<16:
		return binary.BigEndian.AppendUint16(append(make([]byte, 0, 4+size), wholeText, 126), uint16(size))
	default:
		return binary.BigEndian.AppendUint64(append(make([]byte, 0, 10+size), wholeText, 127), uint64(size))
	}
}
