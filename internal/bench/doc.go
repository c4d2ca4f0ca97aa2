// Package bench measures what the pipeline does beside what the machine allows:
// each case is measured twice in the same run, once by our code and once by the
// client libraries alone (package raw), in turns, so that whatever else the
// machine does falls on both.
package bench
