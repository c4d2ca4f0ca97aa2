// Package temporal reads the runs of a Temporal server.
//
// It asks by the server's own gRPC API, of which it uses two calls that only read:
// ListWorkflowExecutions and GetWorkflowExecutionHistory. A reader's role is all that it
// needs.
//
// # What is repeated
//
// A call that the server could not answer (it is away, starts, is asked too often) is
// made again, with growing delays, until Config.Patience is over. What is logged of it is
// that the server is away, and that it is back.
//
// # What a page holds
//
// Only events that the server has stored. It also sends, at the end of an open run, the
// scheduled and started events of a workflow task that failed before, or that an update
// waits for: those are no part of the history yet and may never be. They have no task id,
// and are left out.
package temporal
