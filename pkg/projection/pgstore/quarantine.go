package pgstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// Quarantine is why the tables lack commits, as queries show it. Its JSON is
// stable: fields are only added.
type Quarantine struct {
	Kind   string `json:"kind"`
	Reason string `json:"reason"`
	// Position is that of the first commit that waits, "partition:sequence".
	Position string `json:"position"`
	// LastGoodPosition is that of the workflow's last commit before it; empty:
	// there is none.
	LastGoodPosition string `json:"lastGoodPosition"`
	// Waiting is how many commits wait, the first included, as far as the tables
	// have come.
	Waiting int64     `json:"waiting"`
	Since   time.Time `json:"since"`
}

// QuarantineOf is an entry as queries show it.
func QuarantineOf(q projection.Quarantined) *Quarantine {
	s := &Quarantine{Kind: string(q.Kind), Reason: q.Reason, Position: q.Position().String(), Waiting: q.Waiting, Since: q.Since}
	if q.LastGood != 0 {
		s.LastGoodPosition = events.Position{Partition: q.Partition, Sequence: q.LastGood}.String()
	}
	return s
}

// quarantined is the entry of a workflow as a transaction sees it, nil if there
// is none.
func (s *Store) quarantined(ctx context.Context, tx pgx.Tx, w events.Workflow) (*projection.Quarantined, error) {
	page, err := s.projection.QuarantinedIn(ctx, tx, postgres.QuarantineQuery{Workflow: &w, Limit: 1})
	if err != nil || len(page.Entries) == 0 {
		return nil, err
	}
	return &page.Entries[0], nil
}

// explain adds to what is missing that commits of the workflow wait.
func (s *Store) explain(ctx context.Context, tx pgx.Tx, missing *NotFoundError) error {
	q, err := s.quarantined(ctx, tx, missing.Workflow)
	if err != nil {
		return err
	}
	missing.Quarantined = q
	return missing
}
