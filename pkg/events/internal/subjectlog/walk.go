package subjectlog

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/annals-io/annals/pkg/events"
)

// backwards yields the workflow's commits from c to the one at sequence first,
// newest first, each once it is known that the one yielded before follows from
// it. It reads the commits that one envelope names together, and falls back to
// a read by subject where a name does not hold.
func (l *Log) backwards(ctx context.Context, c *events.Commit, first uint64) iter.Seq2[*events.Commit, error] {
	return func(yield func(*events.Commit, error) bool) {
		if err := l.checkIfVoid(ctx, c); !yield(c, err) || err != nil {
			return
		}
		for len(c.Back) > 0 && c.Back[0] >= first {
			group, err := l.commitsAt(ctx, c, first)
			if err != nil {
				yield(nil, err)
				return
			}
			if len(group) == 0 {
				l.backwardsByScan(ctx, c, first, yield)
				return
			}
			for _, b := range group {
				if err := l.checkIfVoid(ctx, b); !yield(b, err) || err != nil {
					return
				}
				c = b
			}
		}
	}
}

// commitsAt reads the commits that c names, those from first on, together: the
// newest of them, as many as are there and follow from each other up to c.
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
	for i, b := range group {
		if errs[i] != nil {
			return nil, errs[i]
		}
		if b == nil || follows(b, c) != nil {
			return group[:i], nil
		}
		c = b
	}
	return group, nil
}

// backwardsByScan goes on from c without the commits that it names: it reads
// the subject forwards, keeping the positions only, and then the commits one by
// one.
func (l *Log) backwardsByScan(ctx context.Context, c *events.Commit, first uint64, yield func(*events.Commit, error) bool) {
	var sequences, voids []uint64 // voids: how many messages before it each one declares void
	for m, err := range l.store.Scan(ctx, l.Partition(c.Workflow), c.Workflow.Subject(), first, c.Position.Sequence) {
		if err != nil {
			yield(nil, Unavailable(err))
			return
		}
		n := uint64(0)
		if v, err := decode(c.Workflow, m); err == nil && v.Void != nil {
			n = v.Void.Messages
		}
		sequences, voids = append(sequences, m.Position.Sequence), append(voids, n)
	}
	before := func(i int) int { return i - 1 - int(min(voids[i], uint64(i))) }
	for i := before(len(sequences) - 1); i >= 0; i = before(i) {
		b, err := l.commitThere(ctx, c.Workflow, sequences[i])
		if err == nil && b == nil {
			err = l.corruptAt(c.Workflow, sequences[i], "the commit was there and is gone")
		}
		if err == nil {
			err = follows(b, c)
		}
		if err == nil {
			err = l.checkIfVoid(ctx, b)
		}
		if err != nil {
			yield(nil, err)
			return
		}
		if !yield(b, nil) {
			return
		}
		c = b
	}
}

// checkIfVoid is checkVoid for what may be none.
func (l *Log) checkIfVoid(ctx context.Context, c *events.Commit) error {
	if c.Void == nil {
		return nil
	}
	return l.checkVoid(ctx, c)
}

// checkFirst checks that c, the first commit of a read, follows from the one
// before it on its subject, which was not read.
func (l *Log) checkFirst(ctx context.Context, c *events.Commit) error {
	if len(c.Back) == 0 {
		return follows(nil, c)
	}
	b, err := l.commitAt(ctx, c.Workflow, c.Back[0])
	if err != nil {
		return err
	}
	if b == nil || follows(b, c) != nil { // it may have moved: the one before it by subject
		j := judge{w: c.Workflow}
		for p, err := range l.judged(&j, l.store.Scan(ctx, l.Partition(c.Workflow), c.Workflow.Subject(), 1, c.Position.Sequence)) {
			if err != nil {
				return err
			}
			if p.Position.Sequence == c.Position.Sequence {
				break
			}
			b = p
		}
	}
	if b == nil {
		return corrupt(c, "it names an earlier commit at sequence %d, and there is none", c.Back[0])
	}
	return follows(b, c)
}

// follows checks the chain between a commit and the one before it on its
// subject; prev is nil where there is none.
func follows(prev, c *events.Commit) error {
	switch {
	case prev == nil && (len(c.Back) != 0 || c.Hash != c.ChainHash(events.Hash{})):
		return corrupt(c, "its hash is not that of a first commit")
	case prev != nil && c.Hash != c.ChainHash(prev.Hash):
		return corrupt(c, "its hash does not follow from the commit before it at %s", prev.Position)
	}
	return nil
}

func corrupt(c *events.Commit, format string, args ...any) error {
	return &events.CorruptError{Workflow: c.Workflow, Position: c.Position, Reason: fmt.Sprintf(format, args...)}
}

func (l *Log) corruptAt(w events.Workflow, seq uint64, format string, args ...any) error {
	return &events.CorruptError{Workflow: w, Position: events.Position{Partition: l.Partition(w), Sequence: seq}, Reason: fmt.Sprintf(format, args...)}
}

// starts yields the commits in which the workflow's runs began, the newest
// first.
func (l *Log) starts(ctx context.Context, last *events.Commit) iter.Seq2[*events.Commit, error] {
	return l.startsFrom(ctx, last.Workflow, last.Run.RunFirst)
}

// startsFrom is starts from the run that began at a sequence; 0: from none.
func (l *Log) startsFrom(ctx context.Context, w events.Workflow, seq uint64) iter.Seq2[*events.Commit, error] {
	return func(yield func(*events.Commit, error) bool) {
		for seq != 0 {
			c, err := l.commitThere(ctx, w, seq)
			if err == nil && (c == nil || !c.Run.Opens()) {
				err = l.corruptAt(w, seq, "a later commit says that a run began here")
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
