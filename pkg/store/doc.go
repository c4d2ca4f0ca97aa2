// Package store is the persistence interface of a workflow engine: start an
// execution, load it with its history, record events, change its status, keep
// its activities' heartbeats, find executions.
//
// It has two implementations, which answer the same: pipeline, on the log and
// the tables in Postgres, and memstore, in memory. Engines that need more of the
// log than this (another start policy, the change feed) use package events on
// the same log: nothing is written that it does not show.
//
// # What a Store promises
//
// Writing. Each write is one commit of the log, all or nothing, durable when it
// returns as far as the log is, and never applied twice if it is repeated with
// its commit id. It returns a position. Where the outcome is unknown it says so
// (events.ErrOutcomeUnknown, whose error names the commit id): call again with
// that commit id and the same content, now or later, from anywhere.
//
// Deciding. UpdateState and SaveExecution decide on what the log says at that
// moment, by compare-and-set: of several that cannot all be, one is done and the
// others are refused by name. For decisions of the engine's own, load, decide,
// and append with events.After(loaded.Cursor); at events.ErrConflict do so again.
//
// Reading. Loads and histories come from the log: everything acknowledged is in
// them. Queries come from tables that follow the log. A handle's query includes
// what that handle wrote, and what it found written; Query.After adds positions
// that others wrote. It waits for them, bounded, and then fails with ErrBehind
// rather than leave them out.
//
// # The statuses of a run
//
//	          ┌────── WorkflowExecutionPaused ──────┐
//	  start   │                                     ▼
//	────▶ Running ◀── WorkflowExecutionUnpaused ── Paused
//	          │                                     │
//	          └──────────────────┬──────────────────┘
//	                             ▼
//	Completed, Failed, Canceled, Terminated, TimedOut, ContinuedAsNew
//
// UpdateState takes a run along these arrows and no others. To go where one is
// already is no transition. [Allowed] and [TransitionEvent] are the same table as
// functions.
//
//	from             to               event                            takes
//	Running          Paused           WorkflowExecutionPaused          Reason, Identity
//	Paused           Running          WorkflowExecutionUnpaused        Reason, Identity
//	Running, Paused  Completed        WorkflowExecutionCompleted       Result
//	Running, Paused  Failed           WorkflowExecutionFailed          Failure
//	Running, Paused  Canceled         WorkflowExecutionCanceled        Details
//	Running, Paused  Terminated       WorkflowExecutionTerminated      Reason, Identity, Details
//	Running, Paused  TimedOut         WorkflowExecutionTimedOut
//	Running, Paused  ContinuedAsNew   WorkflowExecutionContinuedAsNew  Next
//	                                  and the next run's start
//	all others       nothing
//
// All of what a status takes may be left out. Why the table is as it is, and what
// tags are: docs/adr/0010-store.md.
package store
