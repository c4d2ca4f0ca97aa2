// Package execution folds the events of one run into the state of that
// execution.
//
// The fold is pure: no I/O, no clock, no randomness. The same events in the
// same order give the same [State] and the same bytes of it, in the projector,
// in replay and in memory alike.
//
// # Life of a run
//
//	          ┌──────── paused ───────┐
//	          ▼                       │
//	started ▶ Running ◀─ unpaused ─ Paused
//	          │                       │
//	          └──────────┬────────────┘
//	                     ▼
//	Completed, Failed, Canceled, Terminated, ContinuedAsNew, TimedOut
//
// Paused is open. Before its first event a run has status zero.
//
// # What the fold promises
//
//   - It takes any event, in any order, without an error or a panic. Attributes
//     that are absent or belong to another type count as empty. An event type
//     that this version does not know changes the counts and updated_at only.
//   - A reference to an event that is not there, or that is over already, is
//     counted in Counts.MissingReferences and otherwise has no effect. Engines
//     that write no workflow tasks leave those references at zero, which counts
//     as no reference.
//   - No payload is read, but to see whether an upsert of a memo or of a search
//     attribute deletes its key, for [State.ChangeVersions], and for what Temporal itself
//     keeps of builds in search attributes. A codec
//     (encryption, compression) therefore never disturbs the fold.
//   - State stays bounded by what is pending: an activity, timer, child, Nexus
//     operation, update, external signal or external cancel leaves it with its
//     closing event. [State.ApplyTo] hands the last value of those that have
//     tables of their own to [Changes].
//   - What is pending when the run closes stays pending in the State of the
//     closed run: the history says nothing more about it, and neither does the
//     fold. Readers who want what is still to be waited for look at the run's
//     status too.
//   - Temporal's reset histories (a prefix of the base run, a WorkflowTaskFailed
//     with cause ResetWorkflow, the signals and updates applied again) fold as
//     they are: the prefix counts as the new run's own, the task that the reset
//     cut off is over without being a failure, and [State.Reset] says whence.
//
// # The state at a time
//
// The state after event n is the fold of events 1 to n, inclusive. The state at
// time T is the fold of the longest prefix before the first event whose time is
// later than T; an event at exactly T is included. Event times run backwards
// in real histories, so later events with earlier times do not come back in
// once the prefix has ended. [EndsBefore] is that rule for one event.
//
// # Sharing
//
// A State shares sub-messages (payloads, failures, policies) with the events
// that it was given. Neither may be changed afterwards, by anyone. A State is
// not safe for concurrent use while it is being folded.
package execution
