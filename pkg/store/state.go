package store

import (
	"fmt"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"

	"github.com/annals-io/annals/pkg/events"
)

// StateUpdate takes a run to another status. Which of its data goes with which
// status is in the package's doc; what does not is refused.
type StateUpdate struct {
	Workflow events.Workflow
	// RunID is the run; empty: the one that is the newest when the call begins.
	RunID events.RunID
	To    events.Status
	// CommitID makes a repetition recognisable; empty: a UUIDv7 is made. A
	// UUIDv7 of the caller's own is found fastest.
	CommitID events.CommitID
	// At is the event's time, in the years 1 to 9999; zero: now, by this
	// process's clock.
	At time.Time

	// Result is what a completed run gives, Details why it was canceled or
	// terminated; each value becomes a payload as events.Payload makes it.
	Result  []any
	Details []any
	// Failure is why a run failed; events.Failure makes one of an error.
	Failure *failurepb.Failure
	// Reason says why a run is paused, unpaused or terminated, and Identity who
	// did it, at most events.MaxIdentityBytes: both UTF-8, and may be empty.
	Reason   string
	Identity string
	// Next is the run that continues this one as new, in the same commit. What
	// it leaves empty (Type, TaskQueue, the timeouts; Tags if nil, and with them
	// memo and search attributes) is as in the run that ends. Its Workflow may
	// be left empty and is the same; it has no CommitID. Nil: all as in the run
	// that ends, without input.
	Next *NewExecution
}

// Statuses are those that a run can have, in the order of their numbers.
func Statuses() []events.Status {
	return []events.Status{
		enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED,
		enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED,
		enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED, enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW,
		enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT, enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED,
	}
}

// recordedBy is the event that takes an open run to a status.
var recordedBy = map[events.Status]enumspb.EventType{
	enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:          enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED,
	enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED:           enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED,
	enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:        enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
	enumspb.WORKFLOW_EXECUTION_STATUS_FAILED:           enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
	enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED:         enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
	enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED:       enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
	enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:        enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT,
	enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
}

// Allowed are the statuses that a run can go to, in the order of their numbers:
// from an open one to every other, from a closed or unknown one to none.
func Allowed(from events.Status) []events.Status {
	if !events.IsOpen(from) {
		return nil
	}
	return slices.DeleteFunc(Statuses(), func(to events.Status) bool { return to == from })
}

// TransitionEvent is the type of the event by which a run goes from one status
// to another. It is false where it cannot.
func TransitionEvent(from, to events.Status) (enumspb.EventType, bool) {
	if !slices.Contains(Allowed(from), to) {
		return enumspb.EVENT_TYPE_UNSPECIFIED, false
	}
	return recordedBy[to], true
}

// Validate refuses, as *events.InvalidError naming the field, an update that no
// run could take.
func (u *StateUpdate) Validate() error {
	if err := u.Workflow.Validate(); err != nil {
		return err
	}
	if err := checkOptionalID("runId", string(u.RunID), events.MaxRunIDBytes); err != nil {
		return err
	}
	if err := checkStatus("to", u.To); err != nil {
		return err
	}
	if err := checkOptionalID("commitId", string(u.CommitID), events.MaxCommitIDBytes); err != nil {
		return err
	}
	if err := checkTime("at", u.At); err != nil {
		return err
	}
	for _, d := range u.data() {
		if d.given && !slices.Contains(d.with, u.To) {
			return invalid(d.field, "does not go with %s, but with %s", u.To, statusList(d.with))
		}
	}
	if err := checkText("reason", u.Reason, maxCommitText); err != nil {
		return err
	}
	if err := checkText("identity", u.Identity, events.MaxIdentityBytes); err != nil {
		return err
	}
	if err := events.CheckFailure("failure", u.Failure); err != nil {
		return err
	}
	if u.Next != nil {
		return u.validateNext()
	}
	return nil
}

// datum is a field of an update that goes with some statuses only.
type datum struct {
	field string
	given bool
	with  []events.Status
}

func (u *StateUpdate) data() []datum {
	const (
		running, paused   = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED
		completed, failed = enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED
		canceled, ended   = enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED
		continued         = enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW
	)
	return []datum{
		{"result", len(u.Result) > 0, []events.Status{completed}},
		{"failure", u.Failure != nil, []events.Status{failed}},
		{"details", len(u.Details) > 0, []events.Status{canceled, ended}},
		{"reason", u.Reason != "", []events.Status{running, ended, paused}},
		{"identity", u.Identity != "", []events.Status{running, ended, paused}},
		{"next", u.Next != nil, []events.Status{continued}},
	}
}

func (u *StateUpdate) validateNext() error {
	n := *u.Next
	if n.Workflow != (events.Workflow{}) && n.Workflow != u.Workflow {
		return invalid("next.workflow", "is %s, and the run that ends is of %s", n.Workflow, u.Workflow)
	}
	if n.CommitID != "" {
		return invalid("next.commitId", "is set: the update's commit id is that of both runs")
	}
	n.Workflow = u.Workflow
	if n.Type == "" {
		n.Type = "that of the run that ends"
	}
	return within("next", n.Validate())
}

// statusList names statuses for messages.
func statusList(list []events.Status) string {
	if len(list) == 0 {
		return "none"
	}
	names := make([]string, len(list))
	for i, s := range list {
		names[i] = s.String()
	}
	return strings.Join(names, ", ")
}

func checkStatus(field string, s events.Status) error {
	if slices.Contains(Statuses(), s) {
		return nil
	}
	return &events.InvalidError{Field: field, Reason: fmt.Sprintf("is %d, which is no status; there are %s", int32(s), statusList(Statuses()))}
}
