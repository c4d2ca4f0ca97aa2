package natslog

import (
	"context"
	"iter"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/internal/control"
	"github.com/annals-io/annals/pkg/events/internal/subjectlog"
)

// Decisions yields decisions by a consumer that ends with what is the last one now.
func (l *Log) Decisions(ctx context.Context, after uint64) iter.Seq2[events.StoredDecision, error] {
	return control.Decoded(after, func(yield func(events.Message, error) bool) {
		last, err := l.lastDecision(ctx, after)
		switch {
		case err != nil:
			yield(events.Message{}, subjectlog.Unavailable(err))
		case after > last:
			yield(events.Message{}, control.Beyond(after, last))
		case after < last:
			l.followDecisions(ctx, after, last, yield)
		}
	})
}

// lastDecision is where the control stream ends, once it is not before after. Where
// it is, a new leader of several replicas may need a moment to know all that was
// stored, or an old one to know that it is none; then that is where it ends.
func (l *Log) lastDecision(ctx context.Context, after uint64) (uint64, error) {
	begin, delays := time.Now(), retry(ctx)
	for {
		if err := l.store.sameLog(ctx); err != nil {
			return 0, err
		}
		stream, err := l.store.js.Stream(ctx, ControlStream)
		if err != nil {
			return 0, unavailable(ControlStream, err)
		}
		info := stream.CachedInfo()
		if last := boundsOf(info.State).Last; last >= after || info.Config.Replicas == 1 || time.Since(begin) > max(shortPatience, l.store.config.OldLeader) {
			return last, nil
		}
		if err := subjectlog.Sleep(ctx, delays.NextBackOff()); err != nil {
			return 0, err
		}
	}
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
