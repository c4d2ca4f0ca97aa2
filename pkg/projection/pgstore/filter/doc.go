// Package filter compiles Temporal's list filter into SQL over annals.executions.
//
// The language is the one that users of Temporal's visibility write:
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
//	WorkflowId, RunId, WorkflowType   text, compared byte by byte
//	ExecutionStatus                   'Running', 'WORKFLOW_EXECUTION_STATUS_RUNNING' or 1; has no order
//	StartTime                         RFC 3339 in quotes, or nanoseconds since 1970; compared to the microsecond
//
//	= != < <= > >=   IN   NOT IN   BETWEEN   NOT BETWEEN (both ends inclusive)
//
// A run without a start time satisfies no condition on StartTime, nor the
// negation of one.
//
// Values become parameters of the statement and are never part of its text.
package filter
