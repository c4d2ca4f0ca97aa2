package postgres

import (
	"context"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
)

// Lacking is what tables lack though they are as far as was asked for: the entries of
// the quarantine that begin at or before that, by partition and place. One without a
// workflow is a subject of nobody's, or a gap of the log, which may be any workflow's.
type Lacking []projection.Quarantined

// Of fails with projection.ErrQuarantined (*projection.QuarantinedError) if the tables
// lack commits of the workflow.
func (l Lacking) Of(w events.Workflow) error {
	for _, q := range l {
		if q.Workflow == w {
			return &projection.QuarantinedError{Quarantined: q}
		}
	}
	return nil
}

// LackingIn is what of a vector a connection or a transaction does not see though the
// checkpoints have passed it.
func (p *Projection) LackingIn(ctx context.Context, q Querier, v events.Vector) (Lacking, error) {
	if v.IsZero() {
		return nil, nil
	}
	page, err := p.QuarantinedIn(ctx, q, QuarantineQuery{Within: &v})
	return page.Entries, err
}
