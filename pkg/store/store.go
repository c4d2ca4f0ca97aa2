package store

import (
	"context"
	"iter"

	"github.com/annals-io/annals/pkg/events"
)

// Store is the persistence of a workflow engine. See the package's doc for what
// it promises. Implementations MUST pass the suite of package storetest and are
// safe for concurrent use.
type Store interface {
	Writer
	Reader
	Querier
}

// Writer records what happens to executions. Each call is one commit, all or
// nothing, and ends as an append does: done (a Result), known not to be done,
// or unknown (events.ErrOutcomeUnknown). A call that is repeated with the commit
// id of the first is recognised and answered with Existed, as far back as
// events.Request.CommitID says. Bad input is events.ErrInvalid
// (*events.InvalidError), which names the field.
type Writer interface {
	// SaveExecution starts a run, with further events in the same commit if
	// there are any; should those close it and begin the next, the Result is of
	// that one. It fails with events.ErrConflict while a run of the
	// workflow is open; a closed one is followed by the new one. If any event is
	// refused, there is no execution.
	SaveExecution(ctx context.Context, n NewExecution) (events.Result, error)
	// AppendEvents records one event or more. Its expectation says what the
	// history is taken to be: events.After(loaded.Cursor) for what was decided
	// on a loaded execution, events.AtEnd() for a signal. It fails as
	// events.Appender says: ErrConflict, ErrClosed, ErrNotFound, ErrLimit, ….
	AppendEvents(ctx context.Context, r events.Request) (events.Result, error)
	// UpdateState takes a run from one status to another by the event that
	// records it. It is decided on what the log says and appended by
	// compare-and-set; if another commit came between, it is decided again. It
	// fails with ErrTransition (*TransitionError) if the run cannot go there,
	// events.ErrNotFound if there is no such workflow or run.
	UpdateState(ctx context.Context, u StateUpdate) (events.Result, error)
	// SaveActivityHeartbeat keeps an activity's newest heartbeat, and says
	// whether that is h; an older one is answered and not stored. It fails with
	// events.ErrNotFound if the log has no such workflow or run, and with
	// events.ErrClosed if the run is closed. Whether the run has such an
	// activity it does not ask.
	SaveActivityHeartbeat(ctx context.Context, h events.Heartbeat) (newest bool, err error)
}

// Reader reads one workflow, from the log: what was acknowledged is there.
type Reader interface {
	// LoadExecution reads a run (empty: the newest) with its whole history. It
	// fails with events.ErrNotFound.
	LoadExecution(ctx context.Context, w events.Workflow, run events.RunID) (Loaded, error)
	// History yields events of one run in the order of their ids, from an id
	// (inclusive) on and up to a limit, or backwards. The first error ends it:
	// events.ErrNotFound for a workflow, a run or a first id that is not there.
	// Without an error all that was asked for was yielded.
	History(ctx context.Context, w events.Workflow, o events.ReadOptions) iter.Seq2[*events.Event, error]
	// LastActivityHeartbeat is the heartbeat that is kept; events.ErrNotFound if
	// there is none, or it has aged out of the log.
	LastActivityHeartbeat(ctx context.Context, a events.Activity) (events.Heartbeat, error)
}

// Querier finds executions.
type Querier interface {
	// Query lists the runs that fit, the one that started last first; runs that
	// started at the same microsecond in descending order of workflow id, then
	// run id, byte by byte; those whose start has no time last. It is nil where
	// none fits. It is of one moment, which is not before the last write of this
	// handle. It fails with ErrBehind (*BehindError) where the tables do not get
	// that far in time.
	Query(ctx context.Context, q Query) ([]Execution, error)
}
