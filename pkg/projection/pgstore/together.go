package pgstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// together has the small batches of several partitions share a transaction. A
// transaction costs Postgres one or two milliseconds, however few rows it writes; a row
// more some tens of microseconds. At most parallel of them are under way: what comes
// meanwhile waits, and goes with the next. Where nothing is under way a batch goes at
// once. One that takes longer than patience, whatever holds it, is no longer waited for.
//
// What is promised of a batch is promised of each of them: the transaction moves all
// their checkpoints, or none. One that Postgres refuses, that was fenced, or whose
// checkpoint somebody holds must not keep others back: where Postgres has rolled the
// transaction back each is written by itself, and judged by itself. Where it failed in
// another way (a lost connection, no answer) each is told so, begins again from its
// checkpoint, and goes alone until it has got through: so a batch that is too much, or
// ends the connection, does so by itself the next time.
type together struct {
	parallel int
	patience time.Duration // for a transaction that is under way: patience, but in tests

	mu      sync.Mutex // guards what follows
	running int
	waiting []*companion
	alone   map[place]bool // failed with others: not together again before they have got through
}

// place is whose batches come one after the other.
type place struct {
	generation int
	partition  events.Partition
}

// companion is a batch of those that are written together.
type companion struct {
	*batch
	ctx  context.Context
	done chan error // takes one: how it ended; errAlone: write it by itself
}

const (
	// mostTogether bounds the batches of a transaction, and sharedBytes the texts of
	// each of them.
	mostTogether = 64
	sharedBytes  = 256 << 10
	// gather is how long a partition may take to bring its next batch, so that all go
	// with the next transaction, and not in turns.
	gather = 500 * time.Microsecond
	// patience is how long a transaction waits for whoever holds a row, and the next
	// for one that is under way.
	patience = 100 * time.Millisecond
	// cutOff is how long a transaction may go on for the others when somebody no longer
	// wants his batch of it: so long he waits to know how it ended.
	cutOff = 500 * time.Millisecond
)

var (
	// errAlone: a batch must be written by itself.
	errAlone = errors.New("the batches could not be written together")
	// errCutOff: a batch's companion was no longer wanted.
	errCutOff = errors.New("a transaction of several partitions was cut off, since one of them stopped")
)

func newTogether() *together {
	return &together{parallel: max(1, runtime.GOMAXPROCS(0)/2), patience: patience, alone: map[place]bool{}}
}

func (b *batch) place() place { return place{b.from.Generation, b.from.Partition} }

// mayShare reports whether a batch is one of few rows, and of nothing else. Search
// attributes without a type, and what is counted for quarantined workflows, are rare.
func (b *batch) mayShare() bool {
	if len(b.copies) > 0 || len(b.untyped) > 0 || len(b.waiting) > 0 {
		return false
	}
	size := 0
	for _, w := range b.writes {
		if w.rows >= b.store.many {
			return false
		}
		for _, column := range w.args {
			for _, v := range column.([]any) {
				switch v := v.(type) {
				case string:
					size += len(v)
				case []byte:
					size += len(v)
				}
			}
		}
	}
	return size <= sharedBytes
}

// write writes a batch that may share a transaction.
func (t *together) write(ctx context.Context, b *batch) error {
	c := &companion{batch: b, ctx: ctx, done: make(chan error, 1)}
	t.mu.Lock()
	if t.alone[b.place()] {
		t.mu.Unlock()
		return t.writeAlone(c)
	}
	t.waiting = append(t.waiting, c)
	if t.running < t.parallel {
		t.running++
		go t.run()
	}
	t.mu.Unlock()
	select {
	case err := <-c.done:
		return t.ended(c, err)
	case <-ctx.Done():
	}
	if t.leave(c) {
		return context.Cause(ctx)
	}
	return t.ended(c, <-c.done)
}

// ended is how a batch ended that was written with others, or is written by itself now.
func (t *together) ended(c *companion, err error) error {
	if errors.Is(err, errAlone) {
		return t.writeAlone(c)
	}
	return err
}

func (t *together) writeAlone(c *companion) error {
	err := c.writeAlone(c.ctx)
	if err == nil {
		t.mu.Lock()
		delete(t.alone, c.place())
		t.mu.Unlock()
	}
	return err
}

// leave takes back a batch that still waits.
func (t *together) leave(c *companion) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.waiting, c)
	if i < 0 {
		return false
	}
	t.waiting = slices.Delete(t.waiting, i, i+1)
	return true
}

// run has what waits written until nothing does. Whoever waits for a batch is told how
// it ended before run ends, or soon after.
func (t *together) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		list := t.take()
		if list == nil {
			return
		}
		written := make(chan struct{})
		go func() {
			defer close(written)
			t.writeAll(list)
		}()
		timer.Reset(t.patience)
		select {
		case <-written:
		case <-timer.C:
			continue
		}
		if len(list) > 1 {
			time.Sleep(gather) // for those that were just answered, and bring their next
		}
	}
}

// take takes what waits; nil: nothing does, and run is at its end.
func (t *together) take() []*companion {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := min(len(t.waiting), mostTogether)
	if n == 0 {
		t.waiting = nil
		t.running--
		return nil
	}
	list := slices.Clone(t.waiting[:n])
	t.waiting = slices.Delete(t.waiting, 0, n)
	return list
}

// writeAll writes batches, and tells who waits for them.
func (t *together) writeAll(list []*companion) {
	if len(list) == 1 {
		list[0].done <- t.writeAlone(list[0])
		return
	}
	err := writeTogether(list)
	if err != nil && !errors.Is(err, errAlone) {
		t.mu.Lock()
		for _, c := range list {
			t.alone[c.place()] = true
		}
		t.mu.Unlock()
	}
	for _, c := range list {
		c.done <- err
	}
}

// writeTogether writes batches in one transaction.
func writeTogether(list []*companion) error {
	// Whoever locks several checkpoints locks them in this order.
	slices.SortFunc(list, func(a, b *companion) int {
		return cmp.Or(cmp.Compare(a.from.Generation, b.from.Generation), cmp.Compare(a.from.Partition, b.from.Partition))
	})
	moves := make([]postgres.Move, len(list))
	for i, c := range list {
		moves[i] = postgres.Move{From: c.from, To: c.to}
	}
	store := list[0].store
	ctx, cancel := wantedBy(list)
	defer cancel()
	bound, done := store.bounded(ctx)
	defer done()
	// Statements may be prepared before any of them runs, and wait for locks, too.
	o := pgx.TxOptions{BeginQuery: fmt.Sprintf("BEGIN; SET LOCAL lock_timeout = %d", patience.Milliseconds())}
	err := pgx.BeginTxFunc(bound, store.pool, o, func(tx pgx.Tx) error {
		var q pgx.Batch
		store.projection.QueueMove(&q, moves...)
		for _, w := range merged(list) {
			w.queue(&q)
		}
		if err := tx.SendBatch(bound, &q).Close(); err != nil {
			return err
		}
		if err := store.crash(afterRows); err != nil {
			return err
		}
		return store.crash(beforeCommit)
	})
	if err == nil {
		err = store.crash(afterCommit)
	}
	var pgErr *pgconn.PgError
	switch {
	case errors.Is(err, projection.ErrFenced), errors.Is(err, errUnexpected):
		return errAlone
	case errors.As(err, &pgErr) && pgErr.SeverityUnlocalized == "ERROR":
		return errAlone // it was rolled back
	}
	return store.failed(bound, err)
}

// wantedBy is a context that ends when all of theirs have, or cutOff after the first.
func wantedBy(list []*companion) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(list[0].ctx))
	var wanted atomic.Int64
	wanted.Store(int64(len(list)))
	stops := make([]func() bool, len(list))
	for i, c := range list {
		stops[i] = context.AfterFunc(c.ctx, func() {
			if wanted.Add(-1) == 0 {
				cancel(context.Cause(c.ctx))
				return
			}
			late := time.AfterFunc(cutOff, func() { cancel(errCutOff) })
			context.AfterFunc(ctx, func() { late.Stop() })
		})
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel(nil)
	}
}

// merged are the statements of all batches, those that say the same as one.
func merged(list []*companion) []statement {
	var all []statement
	at := map[string]int{}
	for _, c := range list {
		for _, w := range c.writes {
			i, there := at[w.sql]
			if !there {
				at[w.sql] = len(all)
				w.args = slices.Clone(w.args)
				all = append(all, w)
				continue
			}
			all[i].rows += w.rows
			for column, values := range w.args {
				all[i].args[column] = append(all[i].args[column].([]any), values.([]any)...)
			}
		}
	}
	return all
}
