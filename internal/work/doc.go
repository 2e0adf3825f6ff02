// Package work does durable work: rows of the table work with a state, a time for the
// next attempt and a lease. Everything resumes from the rows after a restart; the bus
// only wakes workers earlier.
//
// # The model
//
// An item is a kind and an id. The kind names the worker that does it ("results.upload"),
// the id names the row of a part that it is about. What there is to do stands in the
// part's own tables, written in the same transaction as the item: an item is there if and
// only if the change that wants it is.
//
// Every replica runs a Worker for each kind. A worker looks for items that are due, claims
// them, calls the part's function for each, and writes down what came of it.
//
// # The states
//
//	            Add
//	             │
//	             ▼      claimed when due
//	┌───────► queued ───────────────────► running ──── the function returned nil ───► done
//	│            ▲                         │ │ │                                       │
//	│            └── failed, not for good ─┘ │ └── failed for good, the last attempt,  │
//	│                (due after a backoff)   │     or a panic ──────► failed           │
//	│                                        │                           │             │
//	│              lease ran out: running    │                           │             │
//	│              again by another worker ──┘                           │             │
//	└──────────────────────────── Retry ─────────────────────────────────┴─────────────┘
//
// Items that are done or failed stay until Remove.
//
// # Claiming
//
// A claim is one UPDATE that sets running, a token and the end of the lease, and matches
// only an item that is still due; whoever changes the row has it. That needs neither SKIP
// LOCKED nor any lock that outlives the statement, so it is the same on every database.
// The token is new for every claim, and each later write names it: a worker whose lease
// was taken over can neither renew it nor overwrite what its successor found out.
//
// # What can go wrong
//
//   - A worker dies. Its lease runs out, and another worker claims the item. Attempts are
//     counted when they begin, so an item that kills every worker is set aside after
//     MaxAttempts. A server that is alone on its database need not wait: see Inherit.
//   - A worker hangs, or is cut off from the database. It cannot renew its lease: the
//     context of its function is cancelled, its outcome is dropped, another one takes over.
//     For a moment both may run.
//   - The outcome cannot be written. It is tried until the lease ends, then the item
//     is done once more.
//   - The function panics. The item is set aside with the panic as its error: it would only
//     panic again. Everything else goes on.
//   - The process is told to stop. Functions see their context end; an attempt that fails
//     then does not count, and is due at once on another replica.
//   - A wake-up is lost, or all are. Workers look every Poll by themselves.
//   - Clocks differ between replicas. Leases end too early or too late by as much: keep
//     them much longer than clocks may differ, and see below.
//
// So an item is done at least once, and now and then twice, even at the same time. The
// function must bear that: it looks how far the last attempt came and goes on from there.
//
// What is never allowed: to take the end of a function for the end of the item without
// its row, to do work without a claim, or to keep what an item needs in memory only.
//
// # Duties
//
// A Lease gives a duty, such as a schedule, to one replica at a time, in the same way: a
// row with an owner and an end. The duty's context is cancelled well before the row's end
// when it cannot be renewed. A duty that must never run twice at once, not even when clocks
// are wrong, checks that in its own writes.
package work
