// Package events is the contract of a log of workflow histories: what an
// event, a commit and a cursor are, what an append promises, and how a commit
// is written as one message.
//
// # What a Log promises
//
// Order. All commits of a workflow are totally ordered, whatever run they
// belong to. Commits of different workflows have no order.
//
// Atomicity. The events of one append are one commit: all of them are read, or
// none. A commit may close a run and open the next one.
//
// Compare-and-set. Every append says what it expects of the workflow
// (Expectation) and is refused with ErrConflict if that is not so. At most one
// run of a workflow is open. Start and SignalWithStart decide what that means for a
// workflow id that is taken, as Temporal's policies do, and append at most one
// commit.
//
// No loss, no double. An append ends in one of three ways: done (a Result),
// known not to be done (any other error), or unknown (ErrOutcomeUnknown, with
// the expectation that settles it when it is sent again with the same commit
// id). A commit id that was stored is recognised and answered with the position
// it has, so appends are safe to repeat.
//
// Completeness. A read yields the whole range that was asked for, or an error
// that ends it. It never yields part of a history as if it were all.
//
// Mending. A message that was written past the library makes its workflow
// ErrCorrupt, and nothing else; a void (Voider) declares it void, and every
// reader passes it over. A void never takes a commit back.
//
// Resets. A run may begin with the events of another one, up to any of them
// (Request.Base). They are not stored again: reads splice.
//
// Heartbeats of activities are beside the histories, not in them: only the newest
// of each activity is kept, and only for an age (Heartbeats).
//
// Decisions that are no events (Control) are beside the histories, too, and kept for
// ever: whatever is made from the log must honour them.
//
// What "done" survives (a killed process, a power cut, a lost disk) is the
// server's configuration, not this package's: see ARCHITECTURE.md.
//
// # The states of a workflow
//
//	            start                    closing event
//	(nothing) ─────────▶ open ◀──┐ ─────────────────────▶ closed
//	                      │ any  │                          │
//	                      └──────┘ ◀────────────────────────┘
//	                        event            start (next run)
//
// The message that a commit becomes is specified, with golden vectors, in
// docs/adr/0003-wire-format.md.
package events
