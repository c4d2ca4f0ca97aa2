// Package historytest writes random histories that look like those of real
// engines, with the oddities that the log takes and a projection must survive:
// NULs in texts, awkward ids, unknown event types, attributes of any content,
// times that run backwards, references to nothing.
//
// Everything follows from seeds, so that a failure can be repeated. Facts tells
// what the tables must hold of a workflow, counted from its events by plain code
// that does not use the fold.
package historytest
