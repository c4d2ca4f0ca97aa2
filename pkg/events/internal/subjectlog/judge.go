package subjectlog

import (
	"context"
	"errors"
	"iter"

	"github.com/annals-io/annals/pkg/events"
)

// judge goes through the messages of a subject in their order and tells which
// are its commits. A message that does not follow from the commit before it
// makes what comes after it suspect, until a void that follows from that commit
// and counts them all.
type judge struct {
	w events.Workflow
	// prev is the last commit, nil before the first.
	prev *events.Commit
	// unknown: what is before the first message was not read, so that one is
	// taken as it is.
	unknown bool
	// suspects are the messages that are no commit of the subject so far.
	suspects uint64
	err      error // why the first of them is none
	// each, if set, is told about every suspect.
	each func(m events.Message, c *events.Commit, why error)
}

// next judges a message: it is a commit of the subject, or nil, a suspect.
func (j *judge) next(m events.Message) *events.Commit {
	c, err := decode(j.w, m)
	switch {
	case err != nil:
	case j.unknown && j.suspects == 0:
	case c.Void != nil && c.Void.Messages != j.suspects:
		err = corrupt(c, "it declares %d messages void, and %d before it are no commits", c.Void.Messages, j.suspects)
	case c.Void == nil && j.suspects > 0:
		err = corrupt(c, "it lies behind a message that is no commit")
	default:
		err = follows(j.prev, c)
	}
	if err != nil {
		if j.suspects++; j.suspects == 1 {
			j.err = err
		}
		if j.each != nil {
			j.each(m, c, err)
		}
		return nil
	}
	j.prev, j.unknown, j.suspects, j.err = c, false, 0, nil
	return c
}

// judged yields the commits among messages. It ends with the error of the first
// suspect that no void covers.
func (l *Log) judged(j *judge, messages iter.Seq2[events.Message, error]) iter.Seq2[*events.Commit, error] {
	return func(yield func(*events.Commit, error) bool) {
		for m, err := range messages {
			if err != nil {
				yield(nil, Unavailable(err))
				return
			}
			if c := j.next(m); c != nil && !yield(c, nil) {
				return
			}
		}
		if j.err != nil {
			yield(nil, j.err)
		}
	}
}

// all are the messages of a workflow, from its first to the one that is its last
// now.
func (l *Log) all(ctx context.Context, w events.Workflow) (iter.Seq2[events.Message, error], error) {
	last, err := l.store.Last(ctx, l.Partition(w), w.Subject())
	if errors.Is(err, ErrNone) {
		return nil, &events.NotFoundError{Workflow: w}
	}
	if err != nil {
		return nil, Unavailable(err)
	}
	return l.store.Scan(ctx, l.Partition(w), w.Subject(), 1, last.Position.Sequence), nil
}

// checkVoid holds a void against what it voids. The commit before it is read
// where its name says; where that does not hold, the subject from its start.
func (l *Log) checkVoid(ctx context.Context, c *events.Commit) error {
	if len(c.Back) > 0 {
		err := l.checkVoidFrom(ctx, c, c.Back[0])
		if err == nil || !errors.Is(err, events.ErrCorrupt) {
			return err
		}
	}
	return l.checkVoidFrom(ctx, c, 1)
}

func (l *Log) checkVoidFrom(ctx context.Context, c *events.Commit, first uint64) error {
	j := judge{w: c.Workflow, unknown: first > 1}
	for _, err := range l.judged(&j, l.store.Scan(ctx, l.Partition(c.Workflow), c.Workflow.Subject(), first, c.Position.Sequence)) {
		if err != nil {
			return err
		}
	}
	if j.prev == nil || j.prev.Position != c.Position {
		return corrupt(c, "what it declares void cannot be found")
	}
	return nil
}

// Covering is events.Source's.
func (l *Log) Covering(ctx context.Context, w events.Workflow, p events.Position) (*events.Commit, error) {
	messages, err := l.all(ctx, w)
	if err != nil {
		return nil, err
	}
	j := judge{w: w}
	for m, err := range messages {
		if err != nil {
			return nil, Unavailable(err)
		}
		before, prev := j.suspects, j.prev
		c := j.next(m)
		if c == nil || m.Position.Sequence <= p.Sequence {
			continue
		}
		if before == 0 || prev != nil && prev.Position.Sequence >= p.Sequence {
			break // the message is a commit
		}
		return c, nil
	}
	return nil, &events.NotFoundError{Workflow: w}
}
