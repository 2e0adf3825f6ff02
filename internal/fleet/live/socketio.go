package live

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// The packet types of socket.io 5, as they stand on the wire.
const (
	socketConnect      = '0'
	socketDisconnect   = '1'
	socketEvent        = '2'
	socketAck          = '3'
	socketConnectError = '4'
	socketBinaryEvent  = '5'
	socketBinaryAck    = '6'
)

// Limits of what a client may put into the head of a packet.
const (
	maxAttachments = 10
	maxNamespace   = 256
	maxAckDigits   = 16
)

var errBadPacket = errors.New("malformed socket.io packet")

// socketPacket is one socket.io packet: type, number of binary attachments that follow it,
// namespace, id of the answer that is wanted, payload.
type socketPacket struct {
	kind        byte
	attachments int
	namespace   string
	// ack is the id in digits, "" when no answer is wanted.
	ack string
	// data is JSON or empty, and part of what was parsed.
	data []byte
}

// parseSocket reads the text of a socket.io packet: <type>[<attachments>-][<namespace>,][<ack>][<json>].
func parseSocket(p []byte) (socketPacket, error) {
	if len(p) == 0 || p[0] < socketConnect || p[0] > socketBinaryAck {
		return socketPacket{}, errBadPacket
	}
	s := socketPacket{kind: p[0], namespace: "/"}
	p = p[1:]
	if s.kind == socketBinaryEvent || s.kind == socketBinaryAck {
		n := digits(p)
		count, err := strconv.Atoi(string(p[:n]))
		if err != nil || count > maxAttachments || n == len(p) || p[n] != '-' {
			return socketPacket{}, errBadPacket
		}
		s.attachments, p = count, p[n+1:]
	}
	if len(p) > 0 && p[0] == '/' {
		name, rest, _ := bytes.Cut(p, []byte{','})
		name, _, _ = bytes.Cut(name, []byte{'?'})
		if len(name) > maxNamespace {
			return socketPacket{}, errBadPacket
		}
		s.namespace, p = strings.ToValidUTF8(string(name), "\uFFFD"), rest
	}
	n := digits(p)
	if n > maxAckDigits {
		return socketPacket{}, errBadPacket
	}
	s.ack, s.data = string(p[:n]), p[n:]
	if len(s.data) > 0 && !json.Valid(s.data) {
		return socketPacket{}, errBadPacket
	}
	return s, nil
}

func digits(p []byte) int {
	n := 0
	for n < len(p) && p[n] >= '0' && p[n] <= '9' {
		n++
	}
	return n
}

// event takes an event's payload apart: its name, and its first argument or nil.
func (s socketPacket) event() (name string, argument json.RawMessage, err error) {
	var list []json.RawMessage
	if json.Unmarshal(s.data, &list) != nil || len(list) == 0 || len(list[0]) == 0 || list[0][0] != '"' {
		return "", nil, errBadPacket
	}
	if err := json.Unmarshal(list[0], &name); err != nil {
		return "", nil, errBadPacket
	}
	if len(list) > 1 {
		argument = list[1]
	}
	return name, argument, nil
}

// roomOf reads {"room": "..."}; ok is false when there is no such text.
func roomOf(argument json.RawMessage) (room string, ok bool) {
	var in struct {
		Room *string `json:"room"`
	}
	if json.Unmarshal(argument, &in) != nil || in.Room == nil {
		return "", false
	}
	return unquote(*in.Room), true
}

// unquote decodes percent signs as the original does: what is no valid escape stays as it is.
func unquote(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if b, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				out = append(out, byte(b))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(bytes.ToValidUTF8(out, []byte("\uFFFD")))
}
