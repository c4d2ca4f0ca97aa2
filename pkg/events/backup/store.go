package backup

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/internal/subjectlog"
)

// store is subjectlog.Store on the folder: what was stored can be read, as slowly
// as segments must be read for it, and nothing is stored any more.
type store struct{ folder *Folder }

var _ subjectlog.Store = store{}

func (s store) Publish(context.Context, subjectlog.Outgoing) (uint64, error) {
	return 0, subjectlog.ErrClosed
}

func (s store) Last(ctx context.Context, p events.Partition, subject string) (last events.Message, err error) {
	for m, err := range s.of(ctx, p, subject, events.FollowOptions{}) {
		if err != nil {
			return events.Message{}, err
		}
		last = m
	}
	if last.Subject == "" {
		return events.Message{}, subjectlog.ErrNone
	}
	return last, nil
}

func (s store) Next(ctx context.Context, p events.Partition, subject string, from uint64) (events.Message, error) {
	for m, err := range s.of(ctx, p, subject, events.FollowOptions{After: max(from, 1) - 1}) {
		return m, err
	}
	return events.Message{}, subjectlog.ErrNone
}

func (s store) Get(ctx context.Context, p events.Position) (events.Message, error) {
	m, err := s.folder.Message(ctx, p)
	if errors.Is(err, events.ErrNotFound) {
		err = subjectlog.ErrNone
	}
	return m, err
}

// Fetch reads the segments between the first and the last of them once, and again for
// what take asks for then.
func (s store) Fetch(ctx context.Context, p events.Partition, seqs []uint64, take func(events.Message) []uint64) error {
	for len(seqs) > 0 {
		var more []uint64
		for m, err := range s.folder.Follow(ctx, p, events.FollowOptions{After: max(slices.Min(seqs), 1) - 1, Until: slices.Max(seqs)}) {
			if err != nil {
				return err
			}
			if slices.Contains(seqs, m.Position.Sequence) {
				more = append(more, take(m)...)
			}
		}
		seqs = more
	}
	return nil
}

func (s store) Scan(ctx context.Context, p events.Partition, subject string, from, to uint64, _ int) iter.Seq2[events.Message, error] {
	return s.of(ctx, p, subject, events.FollowOptions{After: max(from, 1) - 1, Until: to})
}

// OldLeader is subjectlog.Store's: there is nobody else to ask.
func (s store) OldLeader(context.Context, events.Partition) (time.Duration, error) { return 0, nil }

// Generation is subjectlog.Store's: what a folder holds stays.
func (s store) Generation() uint64 { return 0 }

// of yields the messages of a subject.
func (s store) of(ctx context.Context, p events.Partition, subject string, o events.FollowOptions) iter.Seq2[events.Message, error] {
	return func(yield func(events.Message, error) bool) {
		for m, err := range s.folder.Follow(ctx, p, o) {
			if (err != nil || m.Subject == subject) && !yield(m, err) {
				return
			}
		}
	}
}

// BaseEvents is events.Source's. It reads the partition up to the base.
func (f *Folder) BaseEvents(ctx context.Context, c *events.Commit) iter.Seq2[*events.Event, error] {
	return f.log().BaseEvents(ctx, c)
}

// Covering is events.Source's. It reads the whole partition.
func (f *Folder) Covering(ctx context.Context, w events.Workflow, p events.Position) (*events.Commit, error) {
	return f.log().Covering(ctx, w, p)
}

// log is the algorithms of a log over the folder.
func (f *Folder) log() *subjectlog.Log {
	return subjectlog.New(store{f}, f.Identity(), subjectlog.Config{})
}
