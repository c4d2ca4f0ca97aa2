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
func (j *judge) next(m events.Message) *events.Commit { return j.take(parse(j.w, m)) }

// take is next for a message that was parsed already.
func (j *judge) take(p parsed) *events.Commit {
	m, c, err := p.message, p.commit, p.err
	switch {
	case err != nil:
	case j.unknown && j.suspects == 0:
	case c.Void != nil && c.Void.Messages != j.suspects:
		err = corrupt(c, "it declares %d messages void, and %d before it are no commits", c.Void.Messages, j.suspects)
	case c.Void == nil && j.suspects > 0:
		err = corrupt(c, "it lies behind a message that is no commit")
	case p.after != nil && p.after == j.prev:
		err = p.follows
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
func (l *Log) judged(j *judge, messages iter.Seq2[parsed, error]) iter.Seq2[link, error] {
	return func(yield func(link, error) bool) {
		for p, err := range messages {
			if err != nil {
				yield(link{}, Unavailable(err))
				return
			}
			if c := j.take(p); c != nil && !yield(link{c, p.parts}, nil) {
				return
			}
		}
		if j.err != nil {
			yield(link{}, j.err)
		}
	}
}

// between yields the commits of a subject in [from, to] one by one, each judged by
// j.
func (l *Log) between(ctx context.Context, j *judge, from, to uint64) iter.Seq2[link, error] {
	return l.judged(j, parsedOf(j.w, l.store.Scan(ctx, l.Partition(j.w), j.w.Subject(), from, to, 0)))
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
	return l.store.Scan(ctx, l.Partition(w), w.Subject(), 1, last.Position.Sequence, 0), nil
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
	for _, err := range l.between(ctx, &j, first, c.Position.Sequence) {
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
