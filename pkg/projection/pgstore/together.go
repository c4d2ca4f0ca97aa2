package pgstore

import (
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

	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// together has the small batches of several partitions share a transaction. A
// transaction costs Postgres one or two milliseconds, however few rows it writes; a row
// more some tens of microseconds. At most parallel of them are under way: what comes
// meanwhile waits, and goes with the next. Where nothing is under way a batch goes at
// once.
//
// What is promised of a batch is promised of each of them: the transaction moves all
// their checkpoints, or none. One that Postgres refuses, that was fenced, or whose
// checkpoint somebody holds must not keep others back: then each is written by itself.
// So it is where Postgres fails in any way that ends in a rollback. Where nobody knows
// how it ended (a lost connection) each is told so, and begins again from its checkpoint.
type together struct {
	parallel int

	mu      sync.Mutex // guards what follows
	running int
	waiting []*companion
}

// companion is a batch of those that are written together.
type companion struct {
	*batch
	ctx  context.Context
	done chan error // takes one: how it ended; errAlone: write it by itself
}

const (
	// mostTogether bounds the batches of a transaction.
	mostTogether = 64
	// gather is how long a partition may take to bring its next batch, so that all go
	// with the next transaction, and not in turns.
	gather = 500 * time.Microsecond
	// patience is how long a transaction waits for whoever holds a row.
	patience = 100 * time.Millisecond
)

// errAlone: a batch must be written by itself.
var errAlone = errors.New("the batches could not be written together")

func newTogether() *together { return &together{parallel: max(1, runtime.GOMAXPROCS(0)/2)} }

// mayShare reports whether a batch is one of few rows, and of nothing else. Rows that
// are copied are many; search attributes without a type, and what is counted for
// quarantined workflows, are rare.
func (b *batch) mayShare() bool {
	return len(b.copies) == 0 && len(b.untyped) == 0 && len(b.waiting) == 0
}

// write writes a batch that may share a transaction.
func (t *together) write(ctx context.Context, b *batch) error {
	c := &companion{batch: b, ctx: ctx, done: make(chan error, 1)}
	t.mu.Lock()
	t.waiting = append(t.waiting, c)
	if t.running < t.parallel {
		t.running++
		go t.run()
	}
	t.mu.Unlock()
	select {
	case err := <-c.done:
		return c.alone(err)
	case <-ctx.Done():
	}
	if t.leave(c) {
		return context.Cause(ctx)
	}
	return c.alone(<-c.done)
}

// alone writes the batch by itself if it has to be.
func (c *companion) alone(err error) error {
	if errors.Is(err, errAlone) {
		return c.writeAlone(c.ctx)
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

// run writes what waits until nothing does.
func (t *together) run() {
	for {
		t.mu.Lock()
		n := min(len(t.waiting), mostTogether)
		if n == 0 {
			t.waiting = nil
			t.running--
			t.mu.Unlock()
			return
		}
		list := slices.Clone(t.waiting[:n])
		t.waiting = slices.Delete(t.waiting, 0, n)
		t.mu.Unlock()

		err := writeTogether(list)
		for _, c := range list {
			c.done <- err
		}
		if n > 1 {
			time.Sleep(gather) // for those that were just answered, and bring their next
		}
	}
}

// writeTogether writes batches in one transaction. It ends early only when nobody
// waits for any of them any more.
func writeTogether(list []*companion) error {
	moves := make([]postgres.Move, len(list))
	for i, c := range list {
		moves[i] = postgres.Move{From: c.from, To: c.to}
	}
	store := list[0].store
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(list[0].ctx))
	defer cancel(nil)
	var left atomic.Int64
	left.Store(int64(len(list)))
	for _, c := range list {
		stop := context.AfterFunc(c.ctx, func() {
			if left.Add(-1) == 0 {
				cancel(context.Cause(c.ctx))
			}
		})
		defer stop()
	}
	bound, done := store.bounded(ctx)
	defer done()
	err := pgx.BeginFunc(bound, store.pool, func(tx pgx.Tx) error {
		var q pgx.Batch
		// Whoever holds one of the checkpoints for long holds back its batch alone.
		q.Queue(fmt.Sprintf("SET LOCAL lock_timeout = %d", patience.Milliseconds()))
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
