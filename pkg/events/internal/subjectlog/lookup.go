package subjectlog

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/annals-io/annals/pkg/events"
)

// clockSkew is how far a caller's clock may be ahead of the server's for its
// UUIDv7 to be found.
const clockSkew = time.Minute

// horizon says where looking for a commit id ends.
type horizon struct {
	since time.Time // nothing before it is looked at, if set
	left  int       // commits still to be looked at, if since is not set
}

func (l *Log) horizon(id events.CommitID) horizon {
	if u, err := uuid.Parse(string(id)); err == nil && u.Version() == 7 {
		s, ns := u.Time().UnixTime()
		return horizon{since: time.Unix(s, ns).Add(-clockSkew)}
	}
	return horizon{left: l.config.LookBack}
}

// take counts one commit and reports whether the search may look at it.
func (h *horizon) take(c *events.Commit) bool {
	if !h.since.IsZero() {
		return !c.Time.Before(h.since)
	}
	h.left--
	return h.left >= 0
}

// all is a sequence after every other: a look-up ends where its horizon does.
const all uint64 = math.MaxUint64

// findCommit looks for the append's commit id from the tail backwards: as far as
// the horizon, and all that lies beyond a sequence.
func (a *appending) findCommit(ctx context.Context, last *events.Commit, beyond uint64) (*events.Commit, error) {
	h := a.horizon(a.p.CommitID)
	var passed []trace
	for c, err := range a.backwards(ctx, last, 1) {
		if err != nil {
			return nil, err
		}
		passed = append(passed, traceOf(c))
		if !h.take(c) && (beyond == all || c.Position.Sequence <= beyond) {
			a.cache.learn(a.p.Workflow, passed, len(c.Back) == 0)
			return nil, nil
		}
		if c.ID == a.p.CommitID {
			return c, nil
		}
	}
	a.cache.learn(a.p.Workflow, passed, true)
	return nil, nil
}

// findAfter looks for the append's commit id among all commits after a
// sequence; among those that start runs, if that is what the append does.
func (a *appending) findAfter(ctx context.Context, last *events.Commit, after uint64) (*events.Commit, error) {
	commits := a.backwards(ctx, last, after+1)
	if a.p.Expect.IsNewRun() {
		commits = a.starts(ctx, last)
	}
	for c, err := range commits {
		if err != nil {
			return nil, err
		}
		if c.Position.Sequence <= after {
			return nil, nil
		}
		if c.ID == a.p.CommitID {
			return c, nil
		}
	}
	return nil, nil
}

// findStart is findCommit among the commits that start runs.
func (a *appending) findStart(ctx context.Context, last *events.Commit, beyond uint64) (*events.Commit, error) {
	h := a.horizon(a.p.CommitID)
	for start, err := range a.starts(ctx, last) {
		if err != nil {
			return nil, err
		}
		if !h.take(start) && (beyond == all || start.Position.Sequence <= beyond) {
			return nil, nil
		}
		if start.ID == a.p.CommitID {
			return start, nil
		}
	}
	return nil, nil
}

// commitThere reads a commit that is known to have been stored at a sequence. It is
// nil if it is not there, and there can be no old leader any more that says so.
func (l *Log) commitThere(ctx context.Context, w events.Workflow, seq uint64) (*events.Commit, error) {
	wait := Delays()
	var doubt Doubt
	for {
		asked := time.Now()
		c, err := l.commitAt(ctx, w, seq)
		if c != nil || err != nil {
			return c, err
		}
		doubted := l.doubted(ctx, &doubt, l.Partition(w), asked)
		if !errors.Is(doubted, errOldLeader) {
			return nil, doubted
		}
		if stop := Sleep(ctx, wait.NextBackOff()); stop != nil {
			return nil, &unavailableError{cause: fmt.Errorf("%w: the commit of %s at sequence %d is not there: %w", stop, w, seq, doubted)}
		}
	}
}

// commitAt reads a commit of a workflow by a sequence that a header named. It
// is nil if the hint does not hold: the messages have moved, or who was asked does
// not have them.
func (l *Log) commitAt(ctx context.Context, w events.Workflow, seq uint64) (*events.Commit, error) {
	m, err := l.store.Get(ctx, events.Position{Partition: l.Partition(w), Sequence: seq})
	if errors.Is(err, ErrNone) || err == nil && m.Subject != w.Subject() {
		return nil, nil
	}
	if err != nil {
		return nil, Unavailable(err)
	}
	return decode(w, m)
}
