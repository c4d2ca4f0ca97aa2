package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
)

// Handler makes rows of commits. It is a pure function of them and of its
// tables: it reads no clock, asks no service, and keeps nothing in memory from
// one call to the next, for a call may be made again after its transaction was
// rolled back, by another process, or years later for a rebuild. It is called by
// one goroutine at a time for each partition of the log, and by several for
// several.
type Handler interface {
	// Apply writes what the commits mean, by a transaction in which names
	// without a schema are the tables of the projection's generation. The
	// commits are of one partition, in the order of the log, at least one; all of
	// a workflow's are in one partition. It cannot commit or roll back.
	//
	// An error that is projection.ErrCannotApply (see Refuse), or that Postgres
	// gives because of the data (a constraint, a value that a type does not
	// have), says that a commit can never become rows. So does a panic. After any
	// other error, and where it takes longer than TargetConfig.AnswerTimeout, it is
	// called again, later.
	Apply(ctx context.Context, tx pgx.Tx, commits []projection.Commit) error
}

// Forgetter is a handler whose rows of one workflow can be told apart from all
// others: then the workflow can be healed (Target.Heal).
type Forgetter interface {
	// Forget deletes all that the tables have because of the workflow, whatever
	// it is, by a transaction like that of Apply. Rows that several workflows
	// share must then be as if it had never been.
	Forget(ctx context.Context, tx pgx.Tx, w events.Workflow) error
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(ctx context.Context, tx pgx.Tx, commits []projection.Commit) error

// Apply calls the function.
func (f HandlerFunc) Apply(ctx context.Context, tx pgx.Tx, commits []projection.Commit) error {
	return f(ctx, tx, commits)
}

// Refuse says that a commit can never become rows, and why.
func Refuse(c projection.Commit, cause error) error {
	return &projection.CannotApplyError{Position: c.Position, Workflow: c.Workflow, Cause: cause}
}
