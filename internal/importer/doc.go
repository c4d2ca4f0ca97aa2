// Package importer takes Temporal histories from files into a log.
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
package importer
