// Package engine is a small workflow engine on the log: workflows are plain Go
// functions whose histories are the log's, and a worker can be killed at any
// moment and goes on where each of them was.
//
// It is an example of what a worker needs, written on the public packages only.
//
//	           log                                  worker
//	┌────────────────────────┐   Follow    ┌───────────────────────────┐
//	│ one subject a workflow │ ──────────▶ │ a goroutine an open run:  │
//	│ one message a commit   │   Read      │  replay ▶ decide ▶ append │
//	│                        │ ──────────▶ │  attempts, timers,        │
//	│                        │ ◀────────── │  children ▶ append        │
//	└────────────────────────┘   Append    └───────────────────────────┘
//
// # Workflows are deterministic
//
// A workflow function asks for activities, timers, children and whatever else
// leaves a trace only by its [Context]; each such command becomes one event.
// To decide what comes next, the worker runs the function from the start, over
// the history: what it asks for must be what the history records, in the same
// order ([NondeterminismError] if not), and what it waits for is answered from
// there. Where the history ends, new commands begin.
//
// # What is one commit
//
// A workflow task (scheduled, started, completed) with its commands is one
// commit, after exactly the history that was decided on. So no signal can come
// between what was known and what was decided: if one is quicker, the append
// is refused by events.ErrConflict, and the worker reads again and decides
// again. An activity's start and its outcome are one commit, when the outcome
// is there: attempts before it leave no events. Continuing as new closes the
// run and opens the next one in one commit.
//
// # What a killed worker leaves
//
// A history that ends at a commit. Whoever takes over finds there which
// activities have no outcome (they are attempted again: at least once, as
// everywhere), which timers are to fire, which children are to be started (an
// id derived from the parent makes that recognisable) and which are to be
// waited for. An activity is never scheduled again: its event is there.
//
// Two workers that own the same workflow do no harm but work twice: of two
// appends after the same event, one is refused.
package engine
