package projection

import (
	"context"
	"errors"
	"fmt"

	"github.com/annals-io/annals/pkg/events"
)

// Target is where a projection's rows and checkpoints lie. It is safe for
// concurrent use by several partitions.
type Target interface {
	// Checkpoint reads a partition's checkpoint; one that is not there is made,
	// at sequence 0 of this log.
	Checkpoint(ctx context.Context, id events.Identity, p events.Partition) (Checkpoint, error)
	// Folder begins to fold a partition after a checkpoint, with nothing cached.
	Folder(c Checkpoint) Folder
}

// Folder folds one partition's commits. Fold and Batch.Write are each called by
// one goroutine at a time, and batches are written in the order in which they
// were folded; the next may be folded while one is being written, and none before
// the last but one is written. After any error the folder is dropped.
type Folder interface {
	// Fold turns commits into rows, on top of all that it folded before. It
	// fails with ErrCannotApply if a commit can never become rows.
	Fold(ctx context.Context, commits []Commit) (Batch, error)
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
}

// Decode makes a commit of a message, or fails with ErrCannotApply.
func Decode(m events.Message) (Commit, error) {
	c, err := events.Decode(m)
	if err != nil {
		cannot := &CannotApplyError{Position: m.Position, Cause: err}
		var corrupt *events.CorruptError
		if errors.As(err, &corrupt) {
			cannot.Workflow = corrupt.Workflow
		}
		return Commit{}, cannot
	}
	segments, err := c.Segments()
	if err != nil {
		return Commit{}, &CannotApplyError{Position: m.Position, Workflow: c.Workflow, Cause: err}
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
			return &CannotApplyError{Position: c.Position, Workflow: c.Workflow, Cause: err}
		}
		if err != nil {
			return fmt.Errorf("read the base of the commit at %s: %w", c.Position, err)
		}
		c.BaseEvents = append(c.BaseEvents, e)
	}
	return nil
}
