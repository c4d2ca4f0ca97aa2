package store

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution"
)

// NewExecution is a run to be started.
type NewExecution struct {
	Workflow events.Workflow
	// RunID is the new run's, which no earlier run of the workflow may have;
	// empty: a UUIDv7 is made.
	RunID events.RunID
	// Type is what the engine calls this kind of workflow: 1 to
	// events.MaxWorkflowTypeBytes of UTF-8.
	Type string
	// TaskQueue is where workers look for its tasks: up to MaxTaskQueueBytes of
	// UTF-8; empty for an engine that has none.
	TaskQueue string
	// StartedAt is the start event's time, in the years 1 to 9999; zero: now, by
	// this process's clock.
	StartedAt time.Time
	// ExecutionTimeout is for the whole chain of runs, RunTimeout for this one,
	// TaskTimeout for one workflow task. Zero: none.
	ExecutionTimeout time.Duration
	RunTimeout       time.Duration
	TaskTimeout      time.Duration
	// Tags are kept in the memo of the start event, each as a JSON string, and
	// come back as they are. A key is UTF-8, not empty and without NUL, up to
	// MaxTagKeyBytes; a value is UTF-8.
	Tags map[string]string
	// Input are the workflow's arguments; each value becomes a payload as
	// events.Payload makes it.
	Input []any
	// Identity says who starts it; at most events.MaxIdentityBytes of UTF-8, may
	// be empty.
	Identity string
	// CommitID makes a repetition recognisable; empty: a UUIDv7 is made.
	CommitID events.CommitID
	// Events follow the start in the same commit. If one of them is refused,
	// nothing is stored.
	Events []*events.Event
}

// Limits of texts, in bytes.
const (
	MaxTaskQueueBytes = 1000
	MaxTagKeyBytes    = 1000
)

// Validate refuses, as *events.InvalidError naming the field, what no log could
// take. What Events and the values of Input hold is left to the log.
func (n *NewExecution) Validate() error {
	if err := n.Workflow.Validate(); err != nil {
		return err
	}
	if err := checkOptionalID("runId", string(n.RunID), events.MaxRunIDBytes); err != nil {
		return err
	}
	if n.Type == "" {
		return invalid("type", "is empty")
	}
	if err := checkText("type", n.Type, events.MaxWorkflowTypeBytes); err != nil {
		return err
	}
	if err := checkText("taskQueue", n.TaskQueue, MaxTaskQueueBytes); err != nil {
		return err
	}
	if err := checkTime("startedAt", n.StartedAt); err != nil {
		return err
	}
	for _, t := range []struct {
		field string
		d     time.Duration
	}{{"executionTimeout", n.ExecutionTimeout}, {"runTimeout", n.RunTimeout}, {"taskTimeout", n.TaskTimeout}} {
		if t.d < 0 {
			return invalid(t.field, "is %s, less than nothing", t.d)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(n.Tags)) {
		if err := checkTag(k, n.Tags[k]); err != nil {
			return err
		}
	}
	if err := checkText("identity", n.Identity, events.MaxIdentityBytes); err != nil {
		return err
	}
	return checkOptionalID("commitId", string(n.CommitID), events.MaxCommitIDBytes)
}

func checkTag(key, value string) error {
	field := fmt.Sprintf("tags[%.40q]", key)
	if err := events.CheckID(field, key, MaxTagKeyBytes); err != nil {
		return err
	}
	return checkText(field, value, maxCommitText)
}

// Execution is a run, as a query lists it and a load describes it. Times are in
// UTC, and zero where there is none.
//
// A loaded one is exact. In a query's answer times and timeouts are cut to the
// microsecond, and a NUL in a text (not in a tag's value) stands as U+FFFD: the
// tables hold no other.
type Execution struct {
	Workflow  events.Workflow
	RunID     events.RunID
	Type      string
	TaskQueue string
	Status    events.Status

	StartedAt time.Time
	ClosedAt  time.Time // zero while the run is open
	UpdatedAt time.Time // of the last event; may run backwards

	ExecutionTimeout time.Duration // of the whole chain of runs; 0: none
	RunTimeout       time.Duration
	TaskTimeout      time.Duration // of one workflow task

	// Tags are the memo's fields that hold a text: those that the run was saved
	// with, and what events made of them since. Nil if there are none.
	Tags map[string]string

	HistoryLength    int64 // events
	HistorySizeBytes int64 // of the events, as the log keeps them

	FirstRunID         events.RunID // of the chain of runs; its own for a run that continues none
	ContinuedFromRunID events.RunID // empty: none
	ContinuedToRunID   events.RunID // empty: none

	// Quarantined says, in the answer to a query, that a commit of the workflow
	// could not be applied: the rest is as it was before it. What was written
	// since is in the history, and in no query until the workflow is mended.
	Quarantined bool
}

// Loaded is a run with its history.
type Loaded struct {
	Execution Execution
	// State is what the events add up to. It shares messages with Events:
	// neither may be changed.
	State *execution.State
	// Cursor is the end of the history, for events.After. It is zero, and no
	// expectation, where a later run follows: this one takes no more events.
	Cursor events.Cursor
	// Events are all of the run's, in order.
	Events []*events.Event
}
