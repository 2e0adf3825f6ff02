// Package rosbridge speaks to ROS 2 as a client of rosbridge, version 2 of its protocol: one JSON
// object per WebSocket text frame. It knows topics by configuration only.
//
// rosbridge acknowledges nothing. Run keeps one connection alive, advertises and subscribes anew on
// each, and connects again with growing pauses when it broke. Publish never waits for a connection:
// it fails as fault.Unavailable at once, so that a person hears it.
//
// # Retained messages
//
// rosbridge chooses the durability of a subscription by the publishers that exist when it is made. A
// subscription made before the publisher of a latched topic can therefore miss its only message. So
// for topics marked Latched the client subscribes again, ever more rarely, until a message came;
// rosbridge replays what is retained each time. Whoever handles messages must bear to see one twice.
//
// # Large messages
//
// A building map with its images can be many megabytes. The client asks for fragments of moderate size
// and puts them together, so that a message over its limit costs that message and not the connection.
// Compression is never asked for; what comes as PNG or CBOR is dropped.
package rosbridge
