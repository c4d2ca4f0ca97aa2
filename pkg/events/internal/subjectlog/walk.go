package subjectlog

import (
	"context"
	"iter"
	"sync"

	"github.com/annals-io/annals/pkg/events"
)

// backwards yields the workflow's commits from c to the one at sequence first,
// newest first. It follows the envelopes' back links, the commits that one
// envelope names at a time, and falls back to a read by subject where a link
// does not hold.
func (l *Log) backwards(ctx context.Context, c *events.Commit, first uint64) iter.Seq2[*events.Commit, error] {
	return func(yield func(*events.Commit, error) bool) {
		if !yield(c, nil) {
			return
		}
		for len(c.Back) > 0 && c.Back[0] >= first {
			group, err := l.commitsAt(ctx, c, first)
			if err != nil {
				yield(nil, err)
				return
			}
			if group == nil {
				l.backwardsByScan(ctx, c, first, yield)
				return
			}
			for _, b := range group {
				if c.Hash != c.ChainHash(b.Hash) {
					yield(nil, &events.CorruptError{Workflow: c.Workflow, Position: c.Position, Reason: "its hash does not follow from the commit before it at " + b.Position.String()})
					return
				}
				if !yield(b, nil) {
					return
				}
				c = b
			}
		}
	}
}

// commitsAt reads the commits that c names, those from first on, together. It
// is nil if one is not there.
func (l *Log) commitsAt(ctx context.Context, c *events.Commit, first uint64) ([]*events.Commit, error) {
	n := 0
	for n < len(c.Back) && c.Back[n] >= first {
		n++
	}
	group := make([]*events.Commit, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i, seq := range c.Back[:n] {
		wg.Go(func() { group[i], errs[i] = l.commitAt(ctx, c.Workflow, seq) })
	}
	wg.Wait()
	for i := range n {
		if errs[i] != nil {
			return nil, errs[i]
		}
		if group[i] == nil {
			return nil, nil
		}
	}
	return group, nil
}

// backwardsByScan goes on from c without its links: it reads the subject
// forwards, keeping the positions only, and then the commits one by one.
func (l *Log) backwardsByScan(ctx context.Context, c *events.Commit, first uint64, yield func(*events.Commit, error) bool) {
	var sequences []uint64
	for m, err := range l.store.Scan(ctx, l.Partition(c.Workflow), c.Workflow.Subject(), first, c.Position.Sequence) {
		if err != nil {
			yield(nil, unavailable(err))
			return
		}
		sequences = append(sequences, m.Position.Sequence)
	}
	for i := len(sequences) - 2; i >= 0; i-- {
		b, err := l.commitAt(ctx, c.Workflow, sequences[i])
		if err == nil && b == nil {
			err = &events.CorruptError{Workflow: c.Workflow, Position: events.Position{Partition: c.Position.Partition, Sequence: sequences[i]}, Reason: "the commit was there and is gone"}
		}
		if err == nil && c.Hash != c.ChainHash(b.Hash) {
			err = &events.CorruptError{Workflow: c.Workflow, Position: c.Position, Reason: "its hash does not follow from the commit before it at " + b.Position.String()}
		}
		if !yield(b, err) || err != nil {
			return
		}
		c = b
	}
}

// starts yields the commits in which the workflow's runs began, the newest
// first.
func (l *Log) starts(ctx context.Context, last *events.Commit) iter.Seq2[*events.Commit, error] {
	return func(yield func(*events.Commit, error) bool) {
		seq := last.Run.RunFirst
		for seq != 0 {
			c, err := l.commitAt(ctx, last.Workflow, seq)
			if err == nil && (c == nil || !c.Run.Opens()) {
				err = &events.CorruptError{Workflow: last.Workflow, Position: events.Position{Partition: last.Position.Partition, Sequence: seq}, Reason: "a later commit says that a run began here"}
			}
			if !yield(c, err) || err != nil {
				return
			}
			prev := c.Run.PrevRunFirst
			if prev == seq { // two runs began in this commit
				prev = c.Closed.PrevRunFirst
			}
			seq = prev
		}
	}
}

// span is where a run lies: its commits are those of its subject in [first, last].
type span struct {
	run         events.RunID
	first, last uint64
}

// locate finds a run from the workflow's last commit. The empty run is the
// newest one.
func (l *Log) locate(ctx context.Context, last *events.Commit, run events.RunID) (span, error) {
	if run == "" || run == last.Run.Run {
		return span{run: last.Run.Run, first: last.Run.RunFirst, last: last.Position.Sequence}, nil
	}
	if last.Closed != nil && last.Closed.Run == run {
		return span{run: run, first: last.Closed.RunFirst, last: last.Position.Sequence}, nil
	}
	end := last.Position.Sequence
	for start, err := range l.starts(ctx, last) {
		if err != nil {
			return span{}, err
		}
		if start.Run.Run == run {
			return span{run: run, first: start.Position.Sequence, last: end}, nil
		}
		// The run before ends in this commit, or in the one before it.
		end = start.Position.Sequence
		if start.Closed != nil && start.Closed.Run == run {
			return span{run: run, first: start.Closed.RunFirst, last: end}, nil
		}
	}
	return span{}, &events.NotFoundError{Workflow: last.Workflow, Run: run}
}
