package natslog

import (
	"context"
	"iter"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/internal/subjectlog"
)

// Through has the log's appends and reads go through a store around its own.
func (l *Log) Through(wrap func(subjectlog.Store) subjectlog.Store) *Log {
	return l.store.log(wrap(l.store))
}

// ReadByConsumer has what is about so many messages, or more, be read by a consumer.
func (l *Log) ReadByConsumer(from int) { l.store.many = from }

// DirectBy has direct gets and consumers be asked of the server that replica is
// connected to, and the leader as before.
func (l *Log) DirectBy(replica *Log) *Log {
	return l.Through(func(leader subjectlog.Store) subjectlog.Store { return divided{leader, replica.store} })
}

// divided is a store whose replica is another one's.
type divided struct {
	subjectlog.Store
	replica *store
}

func (d divided) Fetch(ctx context.Context, p events.Partition, seqs []uint64, take func(events.Message) []uint64) error {
	return d.replica.Fetch(ctx, p, seqs, take)
}

func (d divided) Scan(ctx context.Context, p events.Partition, subject string, from, to uint64, about int) iter.Seq2[events.Message, error] {
	return d.replica.scan(ctx, d, p, subject, from, to, about)
}
