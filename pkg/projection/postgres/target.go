package postgres

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
)

// TargetConfig is how a target works. Zero fields mean the default.
type TargetConfig struct {
	// AnswerTimeout bounds what the projector asks of the database, each
	// transaction with what the handler does in it, and each reading; 1 min. A server
	// that vanishes without a word (its machine, its network) is given up then
	// (ErrNoAnswer), and asked for anew. A batch that takes longer is tried again in
	// smaller ones.
	AnswerTimeout time.Duration
}

// Target is a projection.Target that leaves the rows to a handler. It is safe
// for concurrent use.
type Target struct {
	*Projection
	handler Handler
	config  TargetConfig
}

var _ projection.Target = (*Target)(nil)

// NewTarget is the target of a projection's live generation, or of the one that
// the projection is at.
func NewTarget(p *Projection, h Handler, c TargetConfig) (*Target, error) {
	if p == nil || h == nil {
		return nil, errors.New("postgres: a target needs a projection and a handler")
	}
	if c.AnswerTimeout < 0 {
		return nil, &events.InvalidError{Field: "target.answerTimeout", Reason: fmt.Sprintf("is %s, less than nothing", c.AnswerTimeout)}
	}
	if c.AnswerTimeout == 0 {
		c.AnswerTimeout = defaultAnswerTimeout
	}
	return &Target{Projection: p, handler: h, config: c}, nil
}

// bounded is ctx for as long as an answer may take.
func (t *Target) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return BoundAnswer(ctx, t.config.AnswerTimeout)
}

// Checkpoint is projection.Target's.
func (t *Target) Checkpoint(ctx context.Context, id events.Identity, p events.Partition) (projection.Checkpoint, error) {
	ctx, cancel := t.bounded(ctx)
	defer cancel()
	c, err := t.Projection.Checkpoint(ctx, id, p)
	return c, AnswerError(ctx, t.pool, err)
}

// Aside is projection.Target's.
func (t *Target) Aside(ctx context.Context, c projection.Checkpoint) ([]projection.Quarantined, error) {
	ctx, cancel := t.bounded(ctx)
	defer cancel()
	list, err := t.Projection.Aside(ctx, c)
	return list, AnswerError(ctx, t.pool, err)
}

// SetAside is projection.Target's.
func (t *Target) SetAside(ctx context.Context, from projection.Checkpoint, to projection.Mark, q projection.Quarantined) error {
	ctx, cancel := t.bounded(ctx)
	defer cancel()
	return AnswerError(ctx, t.pool, t.Projection.SetAside(ctx, from, to, q))
}

// Folder is projection.Target's.
func (t *Target) Folder(c projection.Checkpoint) projection.Folder {
	return &handled{target: t, last: c}
}

// begin sends what a transaction begins with, and has names without a schema be
// the tables of a generation.
func (t *Target) begin(ctx context.Context, tx pgx.Tx, generation int, q *pgx.Batch) error {
	q.Queue("SET LOCAL search_path = " + quoted(SchemaOf(t.Name(), generation)) + ", public")
	return tx.SendBatch(ctx, q).Close()
}

// call runs a function of the handler's. A panic is an error.
func call(tx pgx.Tx, f func(pgx.Tx) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f(lentTx{tx})
}

// lentTx is a transaction that somebody else ends.
type lentTx struct{ pgx.Tx }

func (lentTx) Commit(context.Context) error   { return errNotYours }
func (lentTx) Rollback(context.Context) error { return errNotYours }

// handled is one partition's way through the handler.
type handled struct {
	target *Target
	last   projection.Checkpoint // of the last batch
}

// Fold is projection.Folder's.
func (f *handled) Fold(ctx context.Context, commits []projection.Commit) (projection.Batch, error) {
	last := commits[len(commits)-1]
	return f.FoldPast(ctx, commits, projection.Passed{Last: projection.Mark{Sequence: last.Position.Sequence, Hash: last.Hash, Time: last.Time}})
}

// FoldPast is projection.Folder's. The handler works in the transaction, so there
// is nothing to do before.
func (f *handled) FoldPast(_ context.Context, commits []projection.Commit, passed projection.Passed) (projection.Batch, error) {
	b := &handledBatch{target: f.target, commits: commits, from: f.last, to: f.last.At(passed.Last), waiting: passed.Waiting}
	f.last = b.to
	return b, nil
}

// handledBatch is commits and the checkpoint that covers them.
type handledBatch struct {
	target   *Target
	commits  []projection.Commit
	from, to projection.Checkpoint
	waiting  []projection.Waiting // of quarantined subjects
}

// Checkpoint is projection.Batch's.
func (b *handledBatch) Checkpoint() projection.Checkpoint { return b.to }

// Write is projection.Batch's.
func (b *handledBatch) Write(ctx context.Context) error {
	ctx, cancel := b.target.bounded(ctx)
	defer cancel()
	err := pgx.BeginFunc(ctx, b.target.pool, func(tx pgx.Tx) error {
		var q pgx.Batch
		b.target.QueueMove(&q, Move{b.from, b.to})
		b.target.QueueWaiting(&q, b.from, b.waiting)
		if err := b.target.begin(ctx, tx, b.from.Generation, &q); err != nil || len(b.commits) == 0 {
			return err
		}
		return call(tx, func(tx pgx.Tx) error { return b.target.handler.Apply(ctx, tx, b.commits) })
	})
	err = AnswerError(ctx, b.target.pool, err)
	if errors.Is(err, ErrNoAnswer) {
		// What a handler makes of a statement that was given up, a panic or a refusal,
		// is not the commit's fault.
		return fmt.Errorf("%w: %v", context.Cause(ctx), err) //nolint:errorlint // so that it is not taken for one
	}
	return b.judge(err)
}

// judge says whether the batch may succeed later.
func (b *handledBatch) judge(err error) error {
	var panicked *PanicError
	var cannot *projection.CannotApplyError
	switch {
	case errors.As(err, &cannot) && b.has(cannot.Position):
		return err
	case errors.Is(err, projection.ErrCannotApply), errors.As(err, &panicked), Refuses(err) && len(b.commits) > 0:
	default:
		return err
	}
	refused := &projection.CannotApplyError{Position: b.to.Position(), Kind: projection.KindRefused, Cause: err}
	if len(b.commits) == 1 {
		refused.Position, refused.Workflow = b.commits[0].Position, b.commits[0].Workflow
	}
	return refused
}

// has reports whether a commit of the batch lies at a position.
func (b *handledBatch) has(p events.Position) bool {
	for _, c := range b.commits {
		if c.Position == p {
			return true
		}
	}
	return false
}
