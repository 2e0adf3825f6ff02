package live

import "github.com/coder/websocket"

// reason is why a listener ended. It is sent to the client where the transport can say it, logged
// and counted.
type reason string

const (
	reasonClient      reason = "the client left"
	reasonClosed      reason = "the client closed the connection"
	reasonTransport   reason = "the connection broke"
	reasonProtocol    reason = "malformed packet"
	reasonTooLarge    reason = "message too large"
	reasonOverlap     reason = "two polls or posts at a time"
	reasonHandshake   reason = "no login in time"
	reasonPing        reason = "no answer to pings"
	reasonBehind      reason = "fell behind"
	reasonCredentials reason = "credentials ended"
	reasonReplaced    reason = "the client came back on a new connection"
	reasonShutdown    reason = "the server restarts"
	reasonInternal    reason = "something went wrong on our side"
)

// flushes says whether what waits is still worth sending.
func (r reason) flushes() bool { return r == reasonShutdown || r == reasonHandshake }

// recovers says whether the client may want its rooms back: a connection that it closes without a
// goodbye before is one that it found broken.
func (r reason) recovers() bool { return r != reasonClient && r != reasonReplaced }

func (r reason) code() websocket.StatusCode {
	switch r {
	case reasonProtocol, reasonOverlap:
		return websocket.StatusProtocolError
	case reasonTooLarge:
		return websocket.StatusMessageTooBig
	case reasonHandshake, reasonCredentials:
		return websocket.StatusPolicyViolation
	case reasonBehind:
		return websocket.StatusTryAgainLater
	case reasonShutdown:
		return websocket.StatusGoingAway
	case reasonInternal:
		return websocket.StatusInternalError
	default:
		return websocket.StatusNormalClosure
	}
}
