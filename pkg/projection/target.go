package projection

import (
	"context"
	"errors"
	"fmt"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/searchattribute"
)

// Target is where a projection's rows and checkpoints lie. It is safe for
// concurrent use by several partitions.
type Target interface {
	// Checkpoint reads a partition's checkpoint; one that is not there is made,
	// at sequence 0 of this log.
	Checkpoint(ctx context.Context, id events.Identity, p events.Partition) (Checkpoint, error)
	// Folder begins to fold a partition after a checkpoint, with nothing cached.
	Folder(c Checkpoint) Folder
	// Aside are the subjects of a partition that are quarantined, as of a
	// checkpoint. It fails with ErrFenced if the checkpoint's epoch is another.
	Aside(ctx context.Context, c Checkpoint) ([]Quarantined, error)
	// SetAside quarantines a subject, or counts on if it is, raises the epoch of
	// the checkpoint and moves it from one place to the next (which may be the
	// same: then to is zero), in one transaction. It fails with ErrFenced, and
	// writes nothing, if the checkpoint is not at from. Any other error may mean
	// that it was written.
	SetAside(ctx context.Context, from Checkpoint, to Mark, q Quarantined) error
}

// Folder folds one partition's commits. Fold and Batch.Write are each called by
// one goroutine at a time, and batches are written in the order in which they
// were folded; the next may be folded while one is being written, and none before
// the last but one is written. After any error the folder is dropped.
type Folder interface {
	// Fold turns commits into rows, on top of all that it folded before. It
	// fails with ErrCannotApply if a commit can never become rows.
	Fold(ctx context.Context, commits []Commit) (Batch, error)
	// FoldPast is Fold for a batch in which messages were passed over. It moves
	// the checkpoint past them too, and counts those that wait, in the same
	// transaction. There may be no commits.
	FoldPast(ctx context.Context, commits []Commit, passed Passed) (Batch, error)
}

// Batch is rows that are ready to be written.
type Batch interface {
	// Write stores the rows and moves the checkpoint to the last commit, in one
	// transaction. It fails with ErrFenced, and writes nothing, if the
	// checkpoint is not where the batch before left it. Any other error may
	// mean that it was written.
	Write(ctx context.Context) error
	// Checkpoint is where it moves the checkpoint to.
	Checkpoint() Checkpoint
}

// Commit is a commit with its events decoded.
type Commit struct {
	*events.Commit
	Segments []events.SegmentEvents
	// BaseEvents are those that the commit's run begins with, if it is a reset:
	// events of another run, which come before those of its segment.
	BaseEvents []*events.Event
	// Attributes is the registry of search attributes as it was known when the
	// commit was met: a type that a value of the commit says is in it. Nil: nobody
	// registers what is met.
	Attributes *searchattribute.Registry
}

// Decode makes a commit of a message, or fails with ErrCannotApply.
func Decode(m events.Message) (Commit, error) {
	c, err := events.Decode(m)
	if err != nil {
		cannot := &CannotApplyError{Position: m.Position, Kind: KindUndecodable, Cause: err}
		if len(m.Header[formatHeader]) == 0 {
			cannot.Kind = KindForeign
		}
		var corrupt *events.CorruptError
		if errors.As(err, &corrupt) {
			cannot.Workflow = corrupt.Workflow
		}
		if cannot.Workflow == (events.Workflow{}) {
			cannot.Kind = KindForeign
		}
		return Commit{}, cannot
	}
	return DecodeCommit(c)
}

// DecodeCommit decodes a commit's events, or fails with ErrCannotApply.
func DecodeCommit(c *events.Commit) (Commit, error) {
	segments, err := c.Segments()
	if err != nil {
		return Commit{}, &CannotApplyError{Position: c.Position, Workflow: c.Workflow, Kind: KindUndecodable, Cause: err}
	}
	return Commit{Commit: c, Segments: segments}, nil
}

// Complete reads what a commit needs that lies elsewhere in the log: the events
// of the base of a reset. It fails with ErrCannotApply if the log does not have
// them as the commit says.
func Complete(ctx context.Context, source events.Source, c *Commit) error {
	if c.Base == nil {
		return nil
	}
	for e, err := range source.BaseEvents(ctx, c.Commit) {
		if errors.Is(err, events.ErrCorrupt) {
			return &CannotApplyError{Position: c.Position, Workflow: c.Workflow, Kind: KindBase, Cause: err}
		}
		if err != nil {
			return fmt.Errorf("read the base of the commit at %s: %w", c.Position, err)
		}
		c.BaseEvents = append(c.BaseEvents, e)
	}
	return nil
}
