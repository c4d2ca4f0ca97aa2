package natslog

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/internal/heartbeat"
)

// FollowHeartbeats yields the heartbeats by an ephemeral consumer, as Follow does
// the messages of a partition.
func (l *Log) FollowHeartbeats(ctx context.Context, after uint64) iter.Seq2[events.StoredHeartbeat, error] {
	return heartbeat.Decoded(func(yield func(events.Message, error) bool) {
		f := &following{store: l.store, partition: heartbeats, after: after, yield: yield}
		f.same = f.notBeyondEnd
		f.run(ctx)
	})
}

// HeartbeatBounds are the sequences of the heartbeats, as the leader of their
// stream knows them.
func (l *Log) HeartbeatBounds(ctx context.Context) (events.Bounds, error) {
	return l.store.bounds(ctx, heartbeats)
}

// notBeyondEnd checks that the stream has not ended before what was followed. The
// messages themselves are no proof: a newer one replaces them, and they age.
func (f *following) notBeyondEnd(ctx context.Context) error {
	asked := time.Now()
	b, err := f.store.bounds(ctx, f.partition)
	if err != nil {
		return err
	}
	if b.Last >= f.after {
		f.doubt.Dispel()
		return nil
	}
	if lag, err := f.store.lag(ctx, f.partition); err != nil || f.doubt.Justified(asked, lag) {
		return fmt.Errorf("%s ends before %d", StreamName(f.partition), f.after) // where may change each time, which says nothing new
	}
	return &events.WrongLogError{
		What: StreamName(f.partition), Want: fmt.Sprintf("to reach sequence %d that was followed", f.after), Got: fmt.Sprintf("an end at %d: the log was cut short or restored", b.Last),
	}
}
