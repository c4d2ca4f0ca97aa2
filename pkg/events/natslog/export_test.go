package natslog

import "github.com/annals-io/annals/pkg/events/internal/subjectlog"

// Through has the log's appends and reads go through a store around its own.
func (l *Log) Through(wrap func(subjectlog.Store) subjectlog.Store) *Log {
	return l.store.log(wrap(l.store))
}

// ReadByConsumer has what is about so many messages, or more, be read by a consumer.
func (l *Log) ReadByConsumer(from int) { l.store.many = from }
