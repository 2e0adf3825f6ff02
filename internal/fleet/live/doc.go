// Package live pushes events to browsers and programs by socket.io: version 5 of its protocol on
// version 4 of Engine.IO, over WebSocket, HTTP long polling, and the upgrade from one to the other.
// It knows rooms, callers and JSON, and nothing of what they mean.
//
// # Model
//
// A session is one Engine.IO connection. It starts unknown and gets a caller when its socket.io
// CONNECT passes Auth; without that it ends after the handshake time-out. A known session listens
// to rooms: Subscribe says whether it may, what it gets at first, and whether the room is a State
// or a Log.
//
// Publish encodes an event once, as the very bytes of a WebSocket frame, and puts a pointer into
// the outbox of every listener. It never waits: one goroutine per session that has something to
// send does the writing, and ends when the outbox is empty. An idle session costs one goroutine
// that reads, or none when it polls.
//
// # What is always true
//
//   - No event is lost between the replay and the live events of a subscription: the subscription
//     stands before Subscribe is asked, and holds back what arrives meanwhile.
//   - After the last event of a State room every listener ends with its newest value per key. A
//     listener that is slow skips values; it never gets an old one after a newer one.
//   - A listener gets every event of a Log room in order, or loses its connection with a reason.
//   - A slow listener holds up nobody else, and its outbox is bounded in number and bytes.
//   - A session whose credentials ended is closed within about a second, and one that may no longer
//     listen to a room stops listening to it.
//
// # Coming back
//
// The stock client does not subscribe again after it lost its connection. CONNECT therefore answers
// with a private id (pid), which the stock client sends along when it comes back; the rooms of that
// pid are attached again, each asked for permission anew. A pid is remembered for some minutes.
package live
