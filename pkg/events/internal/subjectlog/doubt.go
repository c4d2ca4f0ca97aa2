package subjectlog

import (
	"context"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// Doubt is what answers of a store meet that lack what is known to be stored. On
// replicas they may be those of a server that led the stream, was cut off from the
// others before it was stored, and does not know yet that it leads no more. What
// such a server still says does not become true by being said twice, so only time
// ends a doubt: as long as Store.OldLeader says, from the first such answer on.
//
// The zero Doubt is one that nothing has raised yet.
type Doubt struct {
	since time.Time // when what lacked it first was asked for
}

// Justified reports whether an answer that lacks what is known, and that was asked
// for at a time, may be an old leader's. What it lacks MUST have been known before.
func (d *Doubt) Justified(asked time.Time, oldLeader time.Duration) bool {
	if d.since.IsZero() {
		d.since = asked
	}
	return asked.Sub(d.since) < oldLeader
}

// Dispel ends the doubt: an answer had what is known.
func (d *Doubt) Dispel() { d.since = time.Time{} }

// doubted is Justified for a partition.
func (l *Log) doubted(ctx context.Context, d *Doubt, p events.Partition, asked time.Time) (bool, error) {
	old, err := l.store.OldLeader(ctx, p)
	if err != nil {
		return false, Unavailable(err)
	}
	return d.Justified(asked, old), nil
}
