package memlog

import (
	"context"
	"iter"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/internal/control"
	"github.com/annals-io/annals/pkg/events/internal/subjectlog"
)

// Decisions yields the decisions up to what is the last one now.
func (l *Log) Decisions(ctx context.Context, after uint64) iter.Seq2[events.StoredDecision, error] {
	return control.Decoded(after, func(yield func(events.Message, error) bool) {
		b, err := l.DecisionBounds(ctx)
		if err != nil {
			yield(events.Message{}, err)
			return
		}
		l.followDecisions(ctx, after, b.Last, yield)
	})
}

// FollowDecisions yields the decisions, and waits for more.
func (l *Log) FollowDecisions(ctx context.Context, after uint64) iter.Seq2[events.StoredDecision, error] {
	return control.Decoded(after, func(yield func(events.Message, error) bool) { l.followDecisions(ctx, after, forever, yield) })
}

const forever = ^uint64(0)

func (l *Log) followDecisions(ctx context.Context, after, until uint64, yield func(events.Message, error) bool) {
	if last := l.store.last(decisions); after > last {
		yield(events.Message{}, control.Beyond(after, last))
		return
	}
	for after < until {
		m, err := l.store.await(ctx, decisions, after)
		after = m.Position.Sequence
		if !yield(m, err) || err != nil {
			return
		}
	}
}

// DecisionBounds are the sequences of the control stream.
func (l *Log) DecisionBounds(ctx context.Context) (events.Bounds, error) {
	if ctx.Err() != nil {
		return events.Bounds{}, subjectlog.Unavailable(context.Cause(ctx))
	}
	return events.Bounds{First: 1, Last: l.store.last(decisions)}, nil
}
