package memlog

import "github.com/annals-io/annals/pkg/events/internal/subjectlog"

// Through is another handle on what l holds, whose appends and reads go through a
// store around its own.
func (l *Log) Through(c Config, wrap func(subjectlog.Store) subjectlog.Store) *Log {
	return l.store.log(wrap(l.store), l.Identity(), c)
}
