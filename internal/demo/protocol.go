package demo

import "github.com/annals-io/annals/pkg/events"

// message is a line that a worker process writes to its standard output: one
// of the two.
type message struct {
	Ready *ready `json:"ready,omitempty"`
	Aside *aside `json:"aside,omitempty"`
}

// ready is the first message: the worker goes on with these open runs.
type ready struct {
	Resumed []ResumedRun `json:"resumed"`
}

// aside is a workflow that cannot go on.
type aside struct {
	Workflow string `json:"workflow"`
	Reason   string `json:"reason"`
}

// ResumedRun is an open run that a worker found in the log when it was started
// again.
type ResumedRun struct {
	WorkflowID string         `json:"workflowId"`
	RunID      events.RunID   `json:"runId"`
	Type       string         `json:"workflowType"`
	EventID    events.EventID `json:"eventId"` // after which it went on
	Status     string         `json:"status"`  // in which it has ended; from the demo, not the worker
}
