package natslog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/backup"
	"github.com/annals-io/annals/pkg/events/internal/subjectlog"
)

// Backup brings the log into a folder, or adds to the backup in it what has come
// since; see backup.Write. It may run beside appends: it holds each stream
// exactly up to where that ended when it began.
func (l *Log) Backup(ctx context.Context, dir string, o backup.Options) (backup.Report, error) {
	return backup.Write(ctx, backupSource{l}, dir, o)
}

// backupSource is the log as a backup reads it.
type backupSource struct{ *Log }

var _ backup.Source = backupSource{}

// partition is what this package calls a partition of the backup's.
func partition(p events.Partition) events.Partition {
	switch p {
	case backup.Heartbeats:
		return heartbeats
	case backup.Control:
		return decisions
	}
	return p
}

func (s backupSource) Describe(ctx context.Context, p events.Partition) (backup.Description, error) {
	name := StreamName(partition(p))
	if err := s.store.sameLog(ctx); err != nil {
		return backup.Description{}, err
	}
	stream, err := s.store.patient()(ctx, name)
	if err != nil {
		return backup.Description{}, unavailable(name, err)
	}
	info := stream.CachedInfo()
	settings, err := json.Marshal(info.Config)
	if err != nil {
		return backup.Description{}, fmt.Errorf("settings of stream %s: %w", name, err)
	}
	return backup.Description{Name: name, Bounds: boundsOf(info.State), Messages: int64(info.State.Msgs), Settings: settings}, nil
}

// Messages follows the stream where the message at the end is there. Where it
// was deleted, nothing would say that the end is reached, and heartbeats replace
// each other meanwhile: these are read by pages, and the leader says what comes
// last.
func (s backupSource) Messages(ctx context.Context, p events.Partition, after, until uint64) iter.Seq2[events.Message, error] {
	return func(yield func(events.Message, error) bool) {
		p := partition(p)
		_, err := s.store.Get(ctx, events.Position{Partition: p, Sequence: until})
		switch {
		case errors.Is(err, subjectlog.ErrNone), err == nil && p == heartbeats:
			s.pages(ctx, p, after, until, yield)
		case err != nil:
			yield(events.Message{}, subjectlog.Unavailable(err))
		case after < until:
			f := &following{store: s.store, partition: p, o: events.FollowOptions{Until: until}, after: after, yield: yield}
			f.same = f.sameEnd
			f.run(ctx)
		}
	}
}

// pages yields what a stream holds in (after, until] by pages of direct gets.
// Where one gives nothing, the leader is asked for one message.
func (s backupSource) pages(ctx context.Context, p events.Partition, after, until uint64, yield func(events.Message, error) bool) {
	give := func(m events.Message) (more bool) {
		after = m.Position.Sequence
		if after > until || !yield(m, nil) {
			until = 0
		}
		return after < until
	}
	for after < until {
		before := after
		_, err := s.store.page(ctx, p, ">", after+1, give)
		if after != before { // what came, before an error or without, is whole and in order
			continue
		}
		var m events.Message
		if !errors.Is(err, events.ErrWrongLog) {
			m, err = s.store.Next(ctx, p, ">", after+1)
		}
		if errors.Is(err, subjectlog.ErrNone) {
			return
		}
		if err != nil {
			yield(events.Message{}, subjectlog.Unavailable(err))
			return
		}
		give(m)
	}
}
