package filter

import (
	"strings"

	"github.com/annals-io/annals/pkg/searchattribute"
)

// field is something that can be asked about. It is a column of
// annals.executions, a search attribute, or a set of things that a run has.
type field struct {
	name string // as users write it
	kind *kind
	// column is an expression over annals.executions; empty: it is not one.
	column string
	// attribute is its name in search_values; empty: it is none.
	attribute string
	// things are what a set has; nil: it is none.
	things *things
	// nullable says that a run may have no value.
	nullable bool
	// open says that a run has no value until it closes, which is later than all
	// others. Other fields' absent values count as less than all others.
	open bool
	// ofEvents says that it reads rows of events.
	ofEvents bool
	// notGrouped is why a count cannot be grouped by it; empty: its kind decides.
	notGrouped string
	// refused is why nothing can be asked about it.
	refused string
}

// systemFields are those that every run has, and Temporal knows. One more is one
// more line, here and in the package's doc.
var systemFields = []*field{
	{name: "WorkflowId", column: "workflow_id", kind: &keyword},
	{name: "RunId", column: "run_id", kind: &keyword, notGrouped: "every run has its own"},
	{name: "WorkflowType", column: "workflow_type", kind: &keyword},
	{name: "ExecutionStatus", column: "status", kind: &status},
	{name: "TaskQueue", column: "task_queue", kind: &keyword},
	{name: "StartTime", column: "start_time", kind: &datetime, nullable: true, notGrouped: "use StartDay"},
	{name: "ExecutionTime", column: "execution_time", kind: &datetime, nullable: true},
	{name: "CloseTime", column: "close_time", kind: &datetime, nullable: true, open: true, notGrouped: "use CloseDay"},
	{name: "ExecutionDuration", column: "execution_duration", kind: &duration, nullable: true, open: true},
	{name: "HistoryLength", column: "history_length", kind: &whole},
	{name: "HistorySizeBytes", column: "history_size_bytes", kind: &whole},
	{name: "ParentWorkflowId", column: "parent_workflow_id", kind: &keyword, nullable: true},
	{name: "ParentRunId", column: "parent_run_id", kind: &keyword, nullable: true},
	{name: "RootWorkflowId", column: "root_workflow_id", kind: &keyword},
	{name: "RootRunId", column: "root_run_id", kind: &keyword},
	{name: "StateTransitionCount", refused: "StateTransitionCount is a number that Temporal's server keeps beside the history: no event holds it, so it cannot be known here. HistoryLength is the nearest"},
}

// ownFields are those that Temporal does not know. A search attribute of the same
// name hides them: then they are found with the prefix Annals.
var ownFields = []*field{
	{name: "StartDay", column: "(start_time AT TIME ZONE 'UTC')::date", kind: &day, nullable: true},
	{name: "CloseDay", column: "(close_time AT TIME ZONE 'UTC')::date", kind: &day, nullable: true, open: true},
	{name: "LastFailure", kind: &message, things: &things{
		some:   "last_failure IS NOT NULL",
		from:   "unnest(last_failure_causes || last_failure) AS message",
		column: `(message COLLATE "C")`,
	}},
	{name: "HasPendingActivity", kind: &element, things: &things{
		some: open + " AND pending_activities > 0", each: true,
		from:   "annals.activities AS thing",
		where:  ofTheRun + " AND thing.closed_event_id IS NULL",
		column: "thing.activity_type",
	}},
	{name: "HasPendingChild", kind: &element, things: &things{
		some: open + " AND pending_children > 0", each: true,
		from:   "annals.children AS thing",
		where:  ofTheRun + " AND thing.closed_event_id IS NULL",
		column: "thing.child_type",
	}},
	{name: "PendingTimerBefore", kind: &before, things: &things{
		some: open + " AND pending_timers > 0", each: true,
		from:   "annals.timers AS thing",
		where:  ofTheRun + " AND thing.closed_event_id IS NULL",
		column: "thing.fire_time",
	}},
	{name: "EventType", kind: &eventType, ofEvents: true, things: &things{from: "annals.run_events AS thing", where: ofTheRunsNumber, column: "thing.type"}},
	{name: "EventName", kind: &eventName, ofEvents: true, things: &things{from: "annals.run_events AS thing", where: ofTheRunsNumber, column: "thing.name"}},
}

// things are the elements of a set of a run.
type things struct {
	// some is true of every run whose set is not empty, and cheap; empty: nothing is.
	some string
	// each has Postgres look at each run that has some, in the list's order: it cannot
	// know how many of the things that it finds belong to the runs that it lists, takes
	// it for one, and would go through all of them for every page.
	each   bool
	from   string
	where  string // which are the run's; empty: all
	column string // what is compared
}

// open is true of the runs that are, by what the indexes begin with.
const open = "close_time IS NULL AND state IS NOT NULL"

// A run's things are found by the keys of their tables.
const (
	ofTheRun        = "(thing.slot, thing.namespace, thing.workflow_id, thing.run_id) = (executions.slot, executions.namespace, executions.workflow_id, executions.run_id)"
	ofTheRunsNumber = "(thing.slot, thing.run_no) = (executions.slot, executions.run_no)"
)

// isSet reports whether a run may have several values of it.
func (f *field) isSet() bool { return f.things != nil || f.kind == &keywords }

// attributeKinds are what search attributes of a type are.
var attributeKinds = map[searchattribute.Type]*kind{
	searchattribute.Keyword: &keyword, searchattribute.KeywordList: &keywords, searchattribute.Text: &words, searchattribute.Bool: &boolean,
	searchattribute.Int: &whole, searchattribute.Double: &double, searchattribute.Datetime: &datetime,
}

// names lists fields, for messages.
func names(fields []*field) string {
	list := make([]string, 0, len(fields))
	for _, f := range fields {
		if f.refused == "" {
			list = append(list, f.name)
		}
	}
	return strings.Join(list, ", ")
}
