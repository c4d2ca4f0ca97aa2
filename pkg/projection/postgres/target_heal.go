package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
)

// Heal makes the rows of a workflow anew from the log, by the handler, up to the
// checkpoint, and ends its quarantine if it has one: see Projection.Heal. The
// workflow's commits are held in memory meanwhile. A handler that is no Forgetter
// cannot: it fails with projection.ErrNotHealed, and the projection must be
// rebuilt.
func (t *Target) Heal(ctx context.Context, log events.Log, w events.Workflow) (Healed, error) {
	f, can := t.handler.(Forgetter)
	if !can {
		return Healed{}, &projection.NotHealedError{Workflow: w, Cause: errNoForget, Advice: "rebuild the projection"}
	}
	return t.Projection.Heal(ctx, log, w, func(c projection.Checkpoint) Mending {
		return &handledMending{target: t, forgetter: f, workflow: w, generation: c.Generation}
	})
}

// handledMending is one workflow's commits, for a handler.
type handledMending struct {
	target     *Target
	forgetter  Forgetter
	workflow   events.Workflow
	generation int
	parts      [][]projection.Commit
}

// Add is Mending's.
func (m *handledMending) Add(_ context.Context, commits []projection.Commit) error {
	if len(commits) > 0 {
		m.parts = append(m.parts, commits)
	}
	return nil
}

// Replace is Mending's.
func (m *handledMending) Replace(ctx context.Context, tx pgx.Tx) error {
	if err := m.target.begin(ctx, tx, m.generation, &pgx.Batch{}); err != nil {
		return err
	}
	if err := call(tx, func(tx pgx.Tx) error { return m.forgetter.Forget(ctx, tx, m.workflow) }); err != nil {
		return err
	}
	for _, commits := range m.parts {
		if err := call(tx, func(tx pgx.Tx) error { return m.target.handler.Apply(ctx, tx, commits) }); err != nil {
			return m.judge(err, commits)
		}
	}
	return nil
}

// judge makes of a panic what it is: a commit that cannot be applied.
func (m *handledMending) judge(err error, commits []projection.Commit) error {
	b := handledBatch{commits: commits}
	b.to.Partition, b.to.Sequence = commits[len(commits)-1].Position.Partition, commits[len(commits)-1].Position.Sequence
	err = b.judge(err)
	if cannot, is := err.(*projection.CannotApplyError); is && cannot.Workflow == (events.Workflow{}) { //nolint:errorlint // judge has just made it
		cannot.Workflow = m.workflow
	}
	return err
}
