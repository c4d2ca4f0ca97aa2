package subjectlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// cached is the end of the workflow as this handle saw it last, if the append
// may be tried there at once: not if its commit id, which the caller gave, might
// lie before it (among the commits that start runs, if it starts one).
func (a *appending) cached(ctx context.Context) (events.Cursor, bool) {
	c, ok := a.cache.get(a.p.Workflow, a.store.Generation(), time.Now())
	if !ok || !a.p.given {
		return c, ok
	}
	end, h, starts := c.Position().Sequence, a.horizon(a.p.CommitID), a.p.Expect.IsNewRun()
	v, oldest := a.cache.look(a.p.Workflow, end, a.p.CommitID, h, starts)
	if v == outOfSight {
		b, err := a.commitAt(a.bounded(ctx), a.p.Workflow, oldest)
		if err != nil || b == nil {
			return c, false
		}
		a.cache.date(b)
		v, _ = a.cache.look(a.p.Workflow, end, a.p.CommitID, h, starts)
	}
	return c, v == ruledOut
}

// fromCache appends after the end that the cache gave. It is not done if that was
// not the end, or if it is the only reason for a refusal: then nothing is stored,
// and the store has to be asked.
func (a *appending) fromCache(ctx context.Context, c events.Cursor) (res events.Result, done bool, err error) {
	res, moved, err := a.settle(ctx, c)
	switch {
	case moved != nil, errors.Is(err, events.ErrCorrupt), errors.Is(err, events.ErrInvalid), errors.Is(err, events.ErrClosed), errors.Is(err, events.ErrLimit):
		a.cache.drop(a.p.Workflow)
		return events.Result{}, false, nil
	}
	return res, true, err
}

// last is the workflow's last commit as the store knows it, a void where it has
// no run, and none before what this append knows to be there. It is remembered.
func (a *appending) last(ctx context.Context) (*events.Commit, error) {
	wait := Delays()
	for {
		asked, generation := time.Now(), a.store.Generation()
		c, err := a.Log.last(ctx, a.p.Workflow)
		if errors.Is(err, events.ErrNotFound) && a.known > 0 || err == nil && c.Position.Sequence < a.known {
			if doubt := a.doubted(ctx, &a.doubt, a.Partition(a.p.Workflow), asked); doubt != nil {
				if stop := Sleep(ctx, wait.NextBackOff()); stop != nil {
					return nil, &unavailableError{cause: fmt.Errorf("%w: the message of %s at sequence %d is not there: %w", stop, a.p.Workflow, a.known, doubt)}
				}
				continue
			}
			a.known = 0
		}
		if err != nil {
			a.cache.drop(a.p.Workflow)
			return nil, err
		}
		a.doubt.Dispel()
		a.learn(c.Position.Sequence)
		a.cache.see(c, a.identity, generation, time.Now(), true)
		return c, nil
	}
}

// newest is last for an append that needs a run.
func (a *appending) newest(ctx context.Context) (*events.Commit, error) {
	c, err := a.last(ctx)
	if err == nil && c.Run.Run == "" {
		return nil, &events.NotFoundError{Workflow: a.p.Workflow}
	}
	return c, err
}
