// Package replay answers questions about the past from the log alone: the state
// of a run after any event or at any time, what changed between two, whether
// code still does what histories have recorded, and whether the log still is what
// it was written as.
//
// It never reads the tables. A run's history itself is events.Reader.Read.
package replay
