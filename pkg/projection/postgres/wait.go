package postgres

import (
	"context"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
)

// WaitFor returns once the tables include what a vector names, as that of
// appends does (events.Result.Vector): what the caller wrote is in what it reads
// next from this database. However many wait on a Projection, one question at a
// time is asked of the checkpoints. It fails as projection.Waits.For does: with
// projection.ErrBehind when the context ends, and at once with
// events.ErrWrongLog if the tables are made from another log.
//
// The checkpoint passes a workflow that is quarantined, whose rows do not follow. Those
// of which the vector may hold commits are what it returns: Lacking.Of tells of one.
func (p *Projection) WaitFor(ctx context.Context, v events.Vector) (Lacking, error) {
	if err := p.waits.For(ctx, v); err != nil {
		return nil, err
	}
	return p.LackingIn(ctx, p.pool, v)
}

// newWaits are waits on a projection's checkpoints.
func newWaits(p *Projection) *projection.Waits {
	w, err := projection.NewWaits(p.Checkpoints, projection.WaitsConfig{})
	if err != nil {
		panic(err) // the config is the default
	}
	return w
}
