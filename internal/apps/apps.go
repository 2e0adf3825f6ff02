// Package apps gives every person a private running copy of the apps in a catalogue, behind one
// login. It keeps the catalogue, starts and stops app sessions through drivers, leads requests to
// them, and ends those that nobody uses.
//
// What always holds:
//
//   - An app session belongs to one person, and every request and upgrade is compared with that
//     person, from the row. Another's app session and a missing one look the same.
//   - However many requests race, there is one row for a person, app and name, and one start.
//   - No credential of Lodge reaches an app, and nothing that a client says about who it is does.
//   - The rows are the truth. Instances outlive Lodge; whoever comes back finds them by their marks.
package apps
