// Package importer takes Temporal histories into a log, from files or from a server.
//
// # What is what
//
// The workflow id is the start event's, else the file's base name without its
// extension; with Config.IDsFromFiles always the latter. The run id is the new
// run id of the last WorkflowTaskFailed with cause ResetWorkflow, else the start
// event's original run id, else derived from the start event as it is. Events,
// ids and times are kept as they are.
//
// # Doing it again
//
// A run that is stored is compared with the file, event by event. The file has
// no more: it is present. It goes on, and the run is open: the run is extended.
// They differ: the file is refused, and the first event that differs is named.
//
// Commits end where the events before say so, never the file's length: after
// each event whose id is a multiple of 100, and before one that would make the
// commit larger than 1 MiB. A commit's id is derived from what it holds, so that
// the log recognises an append that is repeated, whoever repeats it.
//
// # Order
//
// Runs of one workflow go in by their start time, a reset after the run that it
// was reset from, whose start time it has. A run that cannot go in (another one
// is open, or a newer one is there) is refused. Workflows go in side by side.
//
// A file that does not begin at a start is taken only as what continues a
// stored run exactly.
//
// # From a server
//
// The workflow and the run are what the server says. Its events come page by page, and
// are compared and appended as they come, so that a run that the log cannot take whole
// may be there in part. Runs of one workflow go in by when the server began them, a
// reset by when it was reset. A run that is open in the log, while the server began
// another one, is finished first. FollowServer says what it keeps up with:
//
//	          a page                     an event, or nothing for a while
//	ready ────────────▶ waiting ◀──────┐
//	  ▲     (it is open)   │ long poll │
//	  │                    └───────────┘
//	  │                    │ it ends, or the next run of its workflow is there
//	  └────────────────────┘
//	ready ────▶ reported: closed, refused or gone; then the next run of its workflow
package importer
