// Package filter compiles Temporal's list filter into SQL over annals.executions.
//
// The language is the one that users of Temporal's visibility write, whole, as its
// server 1.32 has it:
//
//	WorkflowType = 'Order' AND (ExecutionStatus = 'Running' OR StartTime > '2026-01-31T00:00:00Z')
//
// Its text is parsed by Temporal's own parser, whose grammar takes more than
// the filter does (UNION, functions, comments): everything that is not listed
// here is refused with an [*Error] that points at the place.
//
// Precedence, binding tightest first: comparisons, NOT, AND, OR; parentheses as
// usual. Field names are case-sensitive, keywords are not. Text stands in
// single or double quotes; a quote within is doubled or follows a backslash.
//
//	WorkflowId, RunId, WorkflowType, TaskQueue, ParentWorkflowId, ParentRunId, RootWorkflowId, RootRunId
//	                                     text, compared byte by byte
//	ExecutionStatus                      'Running', 'WORKFLOW_EXECUTION_STATUS_RUNNING' or 1; ordered by number
//	StartTime, ExecutionTime, CloseTime  RFC 3339 in quotes, or nanoseconds since 1970; compared to the microsecond
//	ExecutionDuration                    nanoseconds, '1d2h' or '25:00:00'
//	HistoryLength, HistorySizeBytes      numbers
//	StartDay, CloseDay                   '2026-01-31', in UTC
//	search attributes                    by their registered types
//
//	= != < <= > >=   [NOT] IN   [NOT] BETWEEN (both ends inclusive)   [NOT] STARTS_WITH   IS [NOT] NULL
//
// Lists of keywords are compared by containment, and texts by their words.
//
// Sets of what a run has are of Annals alone: HasPendingActivity, HasPendingChild,
// PendingTimerBefore, LastFailure, EventType, EventName. A condition is true where
// any element is as it says, and a negated operator where none is. They have LIKE.
//
// A run without a value satisfies no condition on it, nor the negation of one, as in
// SQL. A query that mentions no TemporalNamespaceDivision sees only runs without one.
//
// Values, and names of search attributes, become parameters of the statement and are
// never part of its text. docs/queries.md has the language for users.
package filter
