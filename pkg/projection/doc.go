// Package projection folds the log into tables, exactly once.
//
// A Projector follows each partition of the log from the checkpoint of its
// Target, and hands over decoded commits in order. The target folds them and
// writes their rows and the new checkpoint in one transaction, in which the
// checkpoint moves by compare-and-set: on its sequence, its epoch, the log's id
// and the log's epoch. Whatever another projector believes, whatever crashes,
// only one of two can move it, and rows without the checkpoint that covers them
// are never seen.
//
// # The life of a partition
//
//	         ┌────────── fenced, connection lost, … ──────────┐
//	         ▼                                                │
//	read the checkpoint ▶ check it against the log ▶ follow, fold, write
//	     ▲   ▲                      │                         │
//	     │   └─ wait (backoff) ◀────┴── cannot be reached     ├── not the same log,
//	     │                          │                         │   too much quarantined
//	     │                          └────────▶ stopped ◀──────┤
//	     └──────────── quarantine, for one subject ◀──────────┴── cannot be applied
//
// Going on always begins at the stored checkpoint with nothing cached: an
// outcome of a transaction that was never learnt needs no other care.
//
// A partition that stops says so in its status and its log line and leaves the
// others running.
//
// # Quarantine
//
// A commit that cannot be applied never blocks other workflows and is never
// skipped silently. Its subject is quarantined, in the transaction that moves the
// checkpoint past it; later messages of the subject are only counted. The log is
// their queue: healing folds the workflow from the log again, once the cause is
// gone, and raises the checkpoint's epoch, so that no projector goes on from what
// was before.
//
// # Several processes
//
// With a Membership, projectors in any number of processes share the partitions by
// leases, which expire by the clock of where they lie. Of a partition that is
// another's the phase is PhaseStandingBy. A lease only shares the work: whoever
// takes one raises the checkpoint's epoch, so that the compare-and-set refuses
// what its former holder had begun. A projector that begins again reads the
// checkpoint first and asks whether it has the lease second, so it never goes on
// with the epoch of its successor.
//
// # Heartbeats
//
// A HeartbeatKeeper does for the heartbeats of activities what is needed for them:
// they are no history, so it keeps the newest of each, passes over what cannot be
// kept, and says so. Its checkpoint moves in the same transaction as its rows, by
// compare-and-set, too.
package projection
