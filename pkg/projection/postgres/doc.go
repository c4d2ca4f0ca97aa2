// Package postgres is what every projection in Postgres needs, whatever its
// tables are: the bookkeeping in the schema annals, generations of tables, and
// checkpoints.
//
// # Generations
//
// A projection's tables exist in generations. Generation N of the projection P
// has a schema of its own, annals_P_N, so that a new one can be filled beside
// the one that is read, and dropped without a trace. What readers name are views
// in another schema (annals.executions): they show the generation that is live.
// Each view asks annals.visible, once a query, whether its generation was live
// already when the reader's transaction took its snapshot; if not it fails with
// SQLSTATE 40001, which says to run the transaction again. Without that, a
// transaction that began before a swap would find no rows.
//
// Projectors read and write the tables of a generation by its schema, never by
// the views.
//
// # Checkpoints
//
// A checkpoint belongs to a generation and a partition of the log. It moves by
// compare-and-set in the transaction that writes the rows which it covers.
// Whatever else changes rows raises its epoch in the same transaction, and so
// fences the projector: a swap, the mending of a workflow, the taking over by
// another process.
//
// # Leases
//
// Leases are rows that expire by Postgres's clock, of work that members share: a
// partition of the log, the heartbeats, a rebuild. Taking a partition raises the
// epoch of its live checkpoint in the same transaction. A session that the holder
// of an expired lease left in a transaction, and that is in the way, is terminated.
//
// # Your own projections
//
// A projection is a Definition (its name, its version, its tables) and a Handler,
// which makes rows of commits in the transaction that moves the checkpoint: each
// commit becomes rows exactly once, whatever crashes. What comes with it: a
// projection.Projector on NewTarget batches and retries, and sets aside what can
// never become rows; Projection.WaitFor lets readers see what they have written;
// Projection.Rebuild makes the tables of a new version beside those that are read;
// Target.Heal mends one workflow, if the handler is a Forgetter. The suite
// projectiontest holds a handler to what all this asks of it.
package postgres
