package demo

import (
	"errors"
	"fmt"
)

// WorkerError occurs when a worker process ends that should go on, or does not
// begin. What it wrote to standard error says more.
type WorkerError struct {
	Worker int // from 1
	Cause  error
}

func (e *WorkerError) Error() string { return fmt.Sprintf("worker %d: %v", e.Worker, e.Cause) }
func (e *WorkerError) Unwrap() error { return e.Cause }

// AsideError occurs when a worker finds a workflow that cannot go on: the code
// of a workflow is not what its history records, or the log is damaged.
type AsideError struct {
	Workflow string
	Reason   string
}

func (e *AsideError) Error() string {
	return fmt.Sprintf("workflow %s cannot go on: %s", e.Workflow, e.Reason)
}

var (
	// errNotHeld: all is done, and there was no moment at which a worker held
	// enough. More workflows, or fewer workers, help.
	errNotHeld = fmt.Errorf("the workflows ended before a worker held %d open runs: show more of them", minHeld)
	// errEndedSilently: a worker process has closed its standard output.
	errEndedSilently = errors.New("it has ended")
	errNotStopped    = errors.New("it did not end when it was asked to, and was killed")
)
