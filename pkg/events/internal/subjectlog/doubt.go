package subjectlog

import (
	"context"
	"errors"
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

// errOldLeader is why an answer is doubted.
var errOldLeader = errors.New("a server says so that may be the leader no more")

// doubted is why an answer of a partition that lacks what is known is not believed:
// errOldLeader, or how long there may be an old leader is not known. Nil: it is
// believed.
func (l *Log) doubted(ctx context.Context, d *Doubt, p events.Partition, asked time.Time) error {
	old, err := l.store.OldLeader(ctx, p)
	switch {
	case err != nil:
		return Unavailable(err)
	case d.Justified(asked, old):
		return errOldLeader
	}
	return nil
}
