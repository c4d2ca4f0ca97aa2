package natslog

import (
	"context"
	"iter"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/internal/control"
	"github.com/annals-io/annals/pkg/events/internal/subjectlog"
)

// Decisions yields decisions by a consumer that ends with what is the last one now.
func (l *Log) Decisions(ctx context.Context, after uint64) iter.Seq2[events.StoredDecision, error] {
	return control.Decoded(after, func(yield func(events.Message, error) bool) {
		b, err := l.DecisionBounds(ctx)
		switch {
		case err != nil:
			yield(events.Message{}, subjectlog.Unavailable(err))
		case after > b.Last:
			yield(events.Message{}, control.Beyond(after, b.Last))
		case after < b.Last:
			l.followDecisions(ctx, after, b.Last, yield)
		}
	})
}

// FollowDecisions yields the decisions by an ephemeral consumer, as Follow does the
// messages of a partition.
func (l *Log) FollowDecisions(ctx context.Context, after uint64) iter.Seq2[events.StoredDecision, error] {
	return control.Decoded(after, func(yield func(events.Message, error) bool) { l.followDecisions(ctx, after, 0, yield) })
}

func (l *Log) followDecisions(ctx context.Context, after, until uint64, yield func(events.Message, error) bool) {
	f := &following{store: l.store, partition: decisions, o: events.FollowOptions{Until: until}, after: after, yield: yield}
	f.same = func(ctx context.Context) error {
		if err := f.notBeyondEnd(ctx); err != nil {
			return err
		}
		return f.sameEnd(ctx)
	}
	f.run(ctx)
}

// DecisionBounds are the sequences of the control stream, as its leader knows them.
func (l *Log) DecisionBounds(ctx context.Context) (events.Bounds, error) {
	return l.store.bounds(ctx, decisions)
}
