package live

import (
	"bytes"
	"encoding/base64"
	"errors"
	"iter"
)

// The packet types of Engine.IO 4, as they stand on the wire.
const (
	engineOpen    = '0'
	engineClose   = '1'
	enginePing    = '2'
	enginePong    = '3'
	engineMessage = '4'
	engineUpgrade = '5'
	engineNoop    = '6'
)

// separator stands between the packets of one polling body.
const separator = 0x1e

var (
	errEmptyPacket   = errors.New("empty packet")
	errUnknownPacket = errors.New("unknown packet type")
	errBadBase64     = errors.New("binary packet is not base64")
)

// packet is one Engine.IO packet. Binary ones are always messages.
type packet struct {
	kind   byte
	data   []byte
	binary bool
}

// parsePacket reads a text packet. Its data is part of p.
func parsePacket(p []byte) (packet, error) {
	if len(p) == 0 {
		return packet{}, errEmptyPacket
	}
	if p[0] < engineOpen || p[0] > engineNoop {
		return packet{}, errUnknownPacket
	}
	return packet{kind: p[0], data: p[1:]}, nil
}

// parsePayload reads the packets of a polling body, in which binary packets are base64 after a "b".
// It ends with the first error.
func parsePayload(body []byte) iter.Seq2[packet, error] {
	return func(yield func(packet, error) bool) {
		for more := true; more; {
			var piece []byte
			piece, body, more = bytes.Cut(body, []byte{separator})
			p, err := parsePiece(piece)
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}

func parsePiece(piece []byte) (packet, error) {
	if len(piece) == 0 || piece[0] != 'b' {
		return parsePacket(piece)
	}
	data, err := base64.StdEncoding.AppendDecode(nil, piece[1:])
	if err != nil {
		return packet{}, errBadBase64
	}
	return packet{kind: engineMessage, data: data, binary: true}, nil
}
