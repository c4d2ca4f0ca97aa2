package projection

import (
	"context"
	"iter"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/searchattribute"
)

// ControlSource is what brings decisions: an events.Log is one.
type ControlSource interface {
	events.Control
	Identity() events.Identity
}

// ControlTarget is where the registry of search attributes lies as tables. It is
// safe for concurrent use.
type ControlTarget interface {
	// ControlCheckpoint reads how far the tables have come with a log's control
	// stream. Where they hold nothing, or what came from an earlier log or epoch
	// that no projection is at any more, they are emptied, and it is 0. It fails
	// with ErrWrongCheckpoint where projections still are at another log, or epoch.
	ControlCheckpoint(ctx context.Context, id events.Identity) (ControlCheckpoint, error)
	// WriteRegistry writes attributes and conflicts and moves the checkpoint, in one
	// transaction. It fails with ErrFenced, and writes nothing, if the checkpoint is
	// not at from. Any other error may mean that it was written.
	WriteRegistry(ctx context.Context, from, to ControlCheckpoint, rows RegistryRows) error
}

// ControlCheckpoint is how far a log's control stream is durable in a target: up to
// and including a sequence of it.
type ControlCheckpoint struct {
	LogID    string
	LogEpoch uint32
	Sequence uint64
	// CommitID is that of the decision there, by which a stream that was made anew is
	// told; empty where the message is none, or there is none.
	CommitID events.CommitID
}

// RegistryRows are what a batch of decisions adds to the registry.
type RegistryRows struct {
	Attributes []searchattribute.Attribute
	Conflicts  []searchattribute.Conflict
}

// added are the rows of a registry that decisions after a sequence brought.
func added(r *searchattribute.Registry, after uint64) (rows RegistryRows) {
	rows.Attributes = newer(r.Attributes(""), after, func(a searchattribute.Attribute) uint64 { return a.Sequence })
	rows.Conflicts = newer(r.Conflicts(""), after, func(c searchattribute.Conflict) uint64 { return c.Sequence })
	return rows
}

func newer[T any](all iter.Seq[T], after uint64, sequence func(T) uint64) (out []T) {
	for v := range all {
		if sequence(v) > after {
			out = append(out, v)
		}
	}
	return out
}
