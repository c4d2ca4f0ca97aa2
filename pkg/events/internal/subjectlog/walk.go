package subjectlog

import (
	"context"
	"fmt"
	"iter"

	"github.com/annals-io/annals/pkg/events"
)

// backwards yields the workflow's commits from c to the one at sequence first,
// newest first, each once it is known that the one yielded before follows from
// it. It reads the commits that one envelope names together, and falls back to
// a read by subject where a name does not hold. The commit before first may come
// as well, if it was read with the others.
func (l *Log) backwards(ctx context.Context, c *events.Commit, first uint64) iter.Seq2[*events.Commit, error] {
	return l.backwardsOver(ctx, fetched{}, c, first)
}

// fetched are commits of a workflow by their sequences, as somebody has them who keeps
// the partition: that they are right is to be shown.
type fetched map[uint64]parsed

// backwardsOver is backwards that reads no more than what is not in had.
func (l *Log) backwardsOver(ctx context.Context, had fetched, c *events.Commit, first uint64) iter.Seq2[*events.Commit, error] {
	return func(yield func(*events.Commit, error) bool) {
		if !named(c) {
			if err := l.checkIfVoid(ctx, c); !yield(c, err) || err != nil {
				return
			}
		}
		for len(c.Back) > 0 && c.Back[0] >= first {
			group, err := l.commitsAt(ctx, had, c, first)
			if err != nil {
				yield(nil, err)
				return
			}
			if len(group) == 0 && named(c) {
				yield(nil, errUnfit)
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
				delete(had, b.Position.Sequence) // however many there are
				c = b
			}
		}
	}
}

// wantedOf are the commits that c names, those from first on and the one before them,
// newest first.
func wantedOf(c *events.Commit, first uint64) []uint64 {
	n := 0
	for n < len(c.Back) && c.Back[n] >= first {
		n++
	}
	return c.Back[:min(n+1, len(c.Back))]
}

// commitsAt gives the commits that c names, those from first on and the one before
// them: the newest of them, as many as are there and follow from each other up to c.
// What is not in had is read together. A replica may be asked: what follows is what was
// stored. What it has not got, or has got otherwise, the leader is asked for.
func (l *Log) commitsAt(ctx context.Context, had fetched, c *events.Commit, first uint64) ([]*events.Commit, error) {
	wanted := wantedOf(c, first)
	var ask []uint64
	for _, seq := range wanted {
		if _, ok := had[seq]; !ok {
			ask = append(ask, seq)
		}
	}
	err := l.store.Fetch(ctx, l.Partition(c.Workflow), ask, func(m events.Message) []uint64 {
		if m.Subject == c.Workflow.Subject() {
			had[m.Position.Sequence] = parse(c.Workflow, m)
		}
		return nil
	})
	if err != nil {
		return nil, Unavailable(err)
	}
	group := make([]*events.Commit, 0, len(wanted))
	for _, seq := range wanted {
		b := had[seq].commit // nil where it is none: the leader's answer says what is wrong
		if b == nil || !fits(b, c) {
			if seq < first {
				break // it was not asked for
			}
			if b, err = l.commitAt(ctx, c.Workflow, seq); err != nil {
				return nil, err
			}
			if b == nil && named(c) {
				if b, err = l.commitThere(ctx, c.Workflow, seq); err != nil {
					return nil, err
				}
			}
			if b == nil || !fits(b, c) {
				break
			}
		}
		group = append(group, b)
		c = b
	}
	return group, nil
}

// fits reports whether c follows from b, or names it, if it is known by a cursor only.
func fits(b, c *events.Commit) bool {
	if named(c) {
		return b.Position == c.Position && b.Hash == c.Hash
	}
	return follows(b, c) == nil
}

// backwardsByScan goes on from c without the commits that it names: it reads
// the subject forwards, keeping the positions only, and then the commits one by
// one.
func (l *Log) backwardsByScan(ctx context.Context, c *events.Commit, first uint64, yield func(*events.Commit, error) bool) {
	var sequences, voids []uint64 // voids: how many messages before it each one declares void
	for m, err := range l.store.Scan(ctx, l.Partition(c.Workflow), c.Workflow.Subject(), first, c.Position.Sequence, 0) {
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
	if n := len(sequences); n == 0 || sequences[n-1] != c.Position.Sequence {
		yield(nil, l.corruptAt(c.Workflow, c.Position.Sequence, "the commit was there and is gone"))
		return
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
		for p, err := range l.between(ctx, &j, 1, c.Position.Sequence) {
			if err != nil {
				return err
			}
			if p.Position.Sequence == c.Position.Sequence {
				break
			}
			b = p.Commit
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

// span is where a run lies: its commits are those of its subject in [first, last],
// of which end is the last one. It may hold nothing of the run, but that another one
// begins.
type span struct {
	run         events.RunID
	first, last uint64
	end         *events.Commit
}

// spanTo is the span of a run that ends with a commit.
func spanTo(end *events.Commit, run events.RunID, first uint64) span {
	return span{run: run, first: first, last: end.Position.Sequence, end: end}
}

// locate finds a run from the workflow's last commit. The empty run is the
// newest one.
func (l *Log) locate(ctx context.Context, last *events.Commit, run events.RunID) (span, error) {
	if run == "" || run == last.Run.Run {
		return spanTo(last, last.Run.Run, last.Run.RunFirst), nil
	}
	if last.Closed != nil && last.Closed.Run == run {
		return spanTo(last, run, last.Closed.RunFirst), nil
	}
	end := last
	for start, err := range l.starts(ctx, last) {
		if err != nil {
			return span{}, err
		}
		if start.Run.Run == run {
			return spanTo(end, run, start.Position.Sequence), nil
		}
		// The run before ends in this commit, or in the one before it.
		end = start
		if start.Closed != nil && start.Closed.Run == run {
			return spanTo(end, run, start.Closed.RunFirst), nil
		}
	}
	return span{}, &events.NotFoundError{Workflow: last.Workflow, Run: run}
}
