package events

import (
	"context"
	"iter"
	"time"
)

// Log is the durable record of workflows' histories. See the package's doc for
// what it promises. Implementations MUST pass the suite of package eventstest
// and are safe for concurrent use.
type Log interface {
	Appender
	Reader
	Source
	Heartbeats
	Voider
	Control
}

// Appender writes.
type Appender interface {
	// Append stores the request's events as one commit. It MUST NOT return a
	// Result before the commit is stored as durably as the log is configured
	// to, and MUST NOT report an append as failed that is stored or may yet
	// be: see the package's errors for the ways it can end. It gives up with
	// the context's end.
	Append(ctx context.Context, r Request) (Result, error)
}

// Request is one append. Its events are not changed and must not be while the
// append runs.
type Request struct {
	Workflow Workflow
	// Expect is what the workflow is taken to be; the zero value starts a run.
	Expect Expectation
	// CommitID makes the append recognisable when it is repeated. Empty: a
	// UUIDv7 is made. A repeat with the expectation of an OutcomeUnknownError,
	// with After and the same cursor, or with NewWorkflow, is always recognised. Any other is
	// looked for as far back as CommitID's time less a minute if it is a
	// UUIDv7, else through the last 1,000 commits (run starts, for NewRun):
	// older ones are not. After with a later cursor does not look: it says
	// that exactly this history is known.
	CommitID CommitID
	// RunID names the run that a start event in Events opens last. Empty: what
	// the events say (the closing event's new run id, else the start's original
	// run id), else a UUIDv7. An id that an earlier run of the workflow has is
	// refused, as far back as CommitID's are looked for; finding out costs a
	// read for each earlier run, which a UUIDv7 bounds to those of its minute.
	RunID RunID
	// Base makes the run that begins here a reset: it begins with the base's
	// events, and those of this request follow on. A closing event that others
	// follow ends the run that is open, and what follows is the new run's;
	// without one all events are the new run's, and no run may be open. None of
	// them is a start. See Reset for the usual request.
	Base *Base
	// Events are 1 or more, in order. An event id of 0 is assigned; one that
	// is set must be the next. Times that are absent are assigned from this
	// process's clock.
	Events []*Event
	// Traceparent is the W3C trace context to keep with the commit, if any.
	Traceparent string
}

// Result says where an append lies.
type Result struct {
	// RunID, FirstEventID and LastEventID (inclusive) are those of the
	// workflow's newest run in this commit.
	RunID        RunID
	FirstEventID EventID
	LastEventID  EventID
	Position     Position
	CommitID     CommitID
	// Cursor is the end of the workflow right after this commit.
	Cursor Cursor
	// Existed says that the commit was stored by an earlier attempt.
	Existed bool
	// Warning is set where the history nears its limits.
	Warning string
}

// Reader reads one workflow.
type Reader interface {
	// Tail is the end of the workflow as the leader of its stream knows it.
	// It fails with ErrNotFound if the workflow has no run, ErrCorrupt if its
	// last message is no commit.
	Tail(ctx context.Context, w Workflow) (Cursor, error)
	// Read yields the events of one run in order of their ids, or reversed.
	// The first error ends it; without one all that was asked for was yielded.
	Read(ctx context.Context, w Workflow, o ReadOptions) iter.Seq2[*Event, error]
	// Commits yields the commits of all runs of the workflow in order, from
	// its first to the one that was its last when the iteration began, voids
	// among them and what they cover not. It checks the chain.
	Commits(ctx context.Context, w Workflow) iter.Seq2[*Commit, error]
}

// ReadOptions says which events of which run. The zero value is the whole
// newest run.
type ReadOptions struct {
	Run RunID // empty: the newest
	// From is the first event yielded, in either direction. 0: the first, or
	// the last if Reverse. An id beyond the end is ErrNotFound.
	From EventID
	// Limit ends the read after so many events; 0: no limit.
	Limit   int
	Reverse bool
	// After, if set, leaves out what the run had up to this end of the workflow,
	// inclusive: only events stored later are yielded, none if there are none. The
	// history that is left out is not read; that the log holds it as the cursor's
	// owner saw it is checked by the chain, and ErrConflict if not. It goes neither
	// with From nor with Reverse.
	After Cursor
	// Until, if set, is the end of the workflow for this read, inclusive: what was
	// stored later is not there, and the newest run is the cursor's. The leader is
	// not asked again where the workflow ends. ErrConflict if the log does not hold
	// this end.
	Until Cursor
}

// Source reads the log's partitions, for projections and feeds.
type Source interface {
	// Identity says which log this is.
	Identity() Identity
	// Bounds gives the sequences that a partition holds, as its leader knows
	// them.
	Bounds(ctx context.Context, p Partition) (Bounds, error)
	// Message is the one stored at a position, as the leader knows it;
	// ErrNotFound if there is none.
	Message(ctx context.Context, p Position) (Message, error)
	// Follow yields a partition's messages in order of their sequences, those
	// that are there and then those that come, until the context ends (its
	// error is yielded) or Until is reached. It survives reconnects. It does
	// not judge messages: see Decode.
	Follow(ctx context.Context, p Partition, o FollowOptions) iter.Seq2[Message, error]
	// BaseEvents yields the events that a run begins with which was reset, from
	// its first up to Base.Event: those before the events of c, the commit in
	// which it begins. None if c has no base.
	BaseEvents(ctx context.Context, c *Commit) iter.Seq2[*Event, error]
	// Covering is the void that covers a message: the one at this position,
	// which must be of the workflow. All messages of the workflow between the
	// first sequence of the void's Back (0 without one) and the void itself are
	// void. ErrNotFound: the message is not void, or not yet.
	Covering(ctx context.Context, w Workflow, p Position) (*Commit, error)
}

// Bounds are the first and the last sequence of a partition, both inclusive.
// An empty partition has Last = First - 1.
type Bounds struct {
	First, Last uint64
	// Time is when they were so, by the clock that gives messages their times:
	// the age of a message is told by it, whatever this machine's clock says.
	// Source.Bounds MUST set it; it is zero where nobody tells it.
	Time time.Time
}

// FollowOptions says where to begin and to end.
type FollowOptions struct {
	After uint64 // exclusive; 0 is from the first
	// Until ends the iteration once the message with this sequence was
	// yielded; 0: never. It must be a sequence that the partition holds.
	Until uint64
	// Workflow restricts it to one workflow of the partition; then Until must
	// be a sequence of that workflow.
	Workflow *Workflow
}
