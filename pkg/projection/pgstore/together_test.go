package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/internal/bench/bulk"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// crowd is one batch of each partition of a log, to be written at the same time.
type crowd struct {
	t         *testing.T
	log       events.Log
	pool      *pgxpool.Pool
	store     *pgstore.Store
	workflows []events.Workflow
	batches   []projection.Batch
	// transactions counts those that were stored.
	transactions atomic.Int64
}

const crowdSize = 5

func newCrowd(t *testing.T, mode pgstore.EventsMode) *crowd {
	t.Helper()
	c := &crowd{t: t, log: newLog(t, crowdSize), pool: newTablesIn(t, mode)}
	const workflows = 60
	if err := bulk.Write(t.Context(), c.log, 1, workflows, bulk.Events); err != nil {
		t.Fatal(err)
	}
	for i := range workflows {
		c.workflows = append(c.workflows, events.Workflow{Namespace: "default", ID: fmt.Sprintf("order-0-%d", i)})
	}
	c.store = storeOn(t, c.pool, pgstore.Config{})
	c.store.CopyFrom(1_000_000) // nothing is copied
	c.store.WriteTogether(patience)
	for p := range events.Partition(crowdSize) {
		at, err := c.store.Checkpoint(t.Context(), c.log.Identity(), p)
		if err != nil {
			t.Fatal(err)
		}
		b, err := c.store.Folder(at).Fold(t.Context(), decoded(t, messages(t, c.log, p)))
		if err != nil {
			t.Fatal(err)
		}
		c.batches = append(c.batches, b)
	}
	return c
}

// of is a workflow of a partition.
func (c *crowd) of(p events.Partition) events.Workflow {
	for _, w := range c.workflows {
		if c.log.Identity().Map.Partition(w.Slot()) == p {
			return w
		}
	}
	c.t.Fatalf("partition %d has no workflow", p)
	return events.Workflow{}
}

// write writes the first batch, and while its transaction is under way all others, which
// must wait for the next. before happens then; fault is what happens to the second
// transaction at each place. It gives how each batch ended, as they end.
func (c *crowd) write(ctxs []context.Context, before func(), fault func(place int) error) []chan error {
	c.t.Helper()
	first, release := make(chan struct{}), make(chan struct{})
	var begun atomic.Int64
	c.store.FailAt(func(place int) error {
		if place == pgstore.AfterCommit {
			c.transactions.Add(1)
		}
		if place == pgstore.AfterRows && begun.Add(1) == 1 {
			close(first)
			<-release
			return nil
		}
		if fault != nil && begun.Load() == 2 {
			return fault(place)
		}
		return nil
	})
	ended := make([]chan error, crowdSize)
	for i, b := range c.batches {
		ended[i] = make(chan error, 1)
		ctx := c.t.Context()
		if ctxs != nil && ctxs[i] != nil {
			ctx = ctxs[i]
		}
		go func() { ended[i] <- b.Write(ctx) }()
		if i == 0 {
			<-first
		}
	}
	c.await(func() bool { return c.store.Waiting() == crowdSize-1 })
	if before != nil {
		before()
	}
	close(release)
	return ended
}

// hold holds a partition's checkpoint until it is let go.
func (c *crowd) hold(p events.Partition) (let func()) {
	c.t.Helper()
	holder, err := c.pool.Begin(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := holder.Exec(c.t.Context(), "SELECT FROM annals.checkpoints WHERE partition = $1 FOR UPDATE", int16(p)); err != nil {
		c.t.Fatal(err)
	}
	return func() {
		c.t.Helper()
		if err := holder.Rollback(c.t.Context()); err != nil {
			c.t.Fatal(err)
		}
	}
}

// await spins until something is so.
func (c *crowd) await(so func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(patience); !so(); runtime.Gosched() {
		if time.Now().After(deadline) {
			c.t.Fatal("it did not come to be so")
		}
	}
}

// finish writes what is missing, and holds the tables against the log.
func (c *crowd) finish() {
	c.t.Helper()
	c.store.FailAt(nil)
	projectAll(c.t, c.log, c.store, 0)
	mustAgree(c.t, c.log, c.store, c.pool, c.workflows)
}

// at is how far a partition is.
func (c *crowd) at(p int) uint64 {
	c.t.Helper()
	at, err := c.store.Checkpoint(c.t.Context(), c.log.Identity(), events.Partition(p))
	if err != nil {
		c.t.Fatal(err)
	}
	return at.Sequence
}

// What comes while a transaction is under way goes together with the next, whatever the
// tables keep of events.
func TestBatchesShareATransaction(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			c := newCrowd(t, mode)
			for i, ended := range c.write(nil, nil, nil) {
				if err := <-ended; err != nil {
					t.Errorf("the batch of partition %d: %v", i, err)
				}
			}
			if n := c.transactions.Load(); n != 2 {
				t.Errorf("%d batches took %d transactions; want 2", crowdSize, n)
			}
			c.finish()
		})
	}
}

// One batch that cannot be written keeps none back of those that it shares a
// transaction with.
func TestABatchKeepsNoOtherBack(t *testing.T) {
	t.Parallel()
	const bad = 3
	for _, tt := range []struct {
		name  string
		upset string // formatted with a workflow of the bad one's
		after string
		want  func(error) bool
	}{
		{
			name:  "one that Postgres refuses",
			upset: "ALTER TABLE annals_executions_1.timers ADD CONSTRAINT no_such CHECK (workflow_id <> '%s')",
			after: "ALTER TABLE annals_executions_1.timers DROP CONSTRAINT no_such",
			want: func(err error) bool {
				var cannot *projection.CannotApplyError
				return errors.As(err, &cannot) && cannot.Kind == projection.KindRefused
			},
		},
		{
			name:  "one whose checkpoint was moved",
			upset: fmt.Sprintf("UPDATE annals.checkpoints SET epoch = epoch + 1 WHERE partition = %d AND '%%s' <> ''", bad),
			want:  func(err error) bool { return errors.Is(err, projection.ErrFenced) },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newCrowd(t, pgstore.EventsIndex)
			exec(t, c.pool, fmt.Sprintf(tt.upset, c.of(bad).ID))
			for i, ended := range c.write(nil, nil, nil) {
				switch err := <-ended; {
				case i == bad && !tt.want(err):
					t.Errorf("the bad one: %v", err)
				case i != bad && err != nil:
					t.Errorf("the batch of partition %d: %v", i, err)
				}
				if stored := c.at(i) > 0; stored != (i != bad) {
					t.Errorf("the batch of partition %d is stored: %t", i, stored)
				}
			}
			if tt.after != "" {
				exec(t, c.pool, tt.after)
			}
			c.finish()
		})
	}
}

// Somebody who holds a checkpoint holds back its own batch.
func TestAHeldCheckpointKeepsNoOtherBack(t *testing.T) {
	t.Parallel()
	const held = 2
	c := newCrowd(t, pgstore.EventsIndex)
	let := c.hold(held)
	ended := c.write(nil, nil, nil)
	for i := range ended {
		if i != held {
			if err := <-ended[i]; err != nil {
				t.Errorf("the batch of partition %d: %v", i, err)
			}
		}
	}
	select {
	case err := <-ended[held]:
		t.Errorf("what is held was written: %v", err)
	default:
	}
	let()
	if err := <-ended[held]; err != nil {
		t.Errorf("what was held: %v", err)
	}
	c.finish()
}

// All batches of a transaction that fails, or whose reply is lost, fail; what is in the
// tables is of all of them, or of none.
func TestBatchesFailTogether(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]int{"before it is stored": pgstore.BeforeCommit, "after it was stored": pgstore.AfterCommit} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCrowd(t, pgstore.EventsIndex)
			broken := errors.New("the connection broke")
			ended := c.write(nil, nil, func(at int) error {
				if at == place {
					return broken
				}
				return nil
			})
			for i := range ended {
				if err := <-ended[i]; errors.Is(err, broken) != (i > 0) {
					t.Errorf("the batch of partition %d: %v", i, err)
				}
				if stored := c.at(i) > 0; stored != (i == 0 || place == pgstore.AfterCommit) {
					t.Errorf("the batch of partition %d is stored: %t", i, stored)
				}
			}
			c.finish()
		})
	}
}

// A batch that nobody wants any more is not written if it still waits. One that is under
// way with others is, unless nobody wants any of them.
func TestABatchIsTakenBack(t *testing.T) {
	t.Parallel()
	t.Run("while it waits", func(t *testing.T) {
		t.Parallel()
		c := newCrowd(t, pgstore.EventsIndex)
		const gone = 4
		ctx, cancel := context.WithCancel(t.Context())
		ctxs := make([]context.Context, crowdSize)
		ctxs[gone] = ctx
		ended := c.write(ctxs, func() {
			cancel()
			c.await(func() bool { return c.store.Waiting() < crowdSize-1 })
		}, nil)
		for i := range ended {
			if err := <-ended[i]; errors.Is(err, context.Canceled) != (i == gone) {
				t.Errorf("the batch of partition %d: %v", i, err)
			}
			if stored := c.at(i) > 0; stored != (i != gone) {
				t.Errorf("the batch of partition %d is stored: %t", i, stored)
			}
		}
		c.finish()
	})
	t.Run("one of those under way", func(t *testing.T) {
		t.Parallel()
		c := newCrowd(t, pgstore.EventsIndex)
		ctx, cancel := context.WithCancel(t.Context())
		ctxs := make([]context.Context, crowdSize)
		ctxs[1] = ctx
		ended := c.write(ctxs, nil, func(place int) error {
			if place == pgstore.AfterRows {
				cancel()
			}
			return nil
		})
		for i := range ended {
			if err := <-ended[i]; err != nil {
				t.Errorf("the batch of partition %d: %v", i, err)
			}
		}
		c.finish()
	})
	t.Run("all of those under way", func(t *testing.T) {
		t.Parallel()
		c := newCrowd(t, pgstore.EventsIndex)
		ctx, cancel := context.WithCancel(t.Context())
		ctxs := make([]context.Context, crowdSize)
		for i := 1; i < crowdSize; i++ {
			ctxs[i] = ctx
		}
		let := c.hold(2)
		ended := c.write(ctxs, nil, nil)
		cancel()
		for i := range ended {
			if err := <-ended[i]; errors.Is(err, context.Canceled) != (i > 0) {
				t.Errorf("the batch of partition %d: %v", i, err)
			}
		}
		let()
		c.finish()
	})
}

// A batch that takes long, for whatever reason, holds the next ones back for a moment only.
func TestABatchThatTakesLongKeepsNoOtherBack(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, pgstore.EventsIndex)
	c.store.WriteTogether(time.Millisecond)
	let := c.hold(0)
	slow := make(chan error, 1)
	go func() { slow <- c.batches[0].Write(t.Context()) }()
	for _, b := range c.batches[1:] {
		if err := b.Write(t.Context()); err != nil {
			t.Error(err)
		}
	}
	select {
	case err := <-slow:
		t.Errorf("what is held was written: %v", err)
	default:
	}
	let()
	if err := <-slow; err != nil {
		t.Error(err)
	}
	c.finish()
}

// Batches that failed together for no reason that Postgres gave go alone until they have
// got through, so that one which is to blame fails by itself.
func TestBatchesThatFailedTogetherGoAlone(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, pgstore.EventsIndex)
	broken := errors.New("the connection broke")
	for _, ended := range c.write(nil, nil, func(int) error { return broken }) {
		<-ended
	}
	var transactions atomic.Int64
	c.store.FailAt(func(place int) error {
		if place == pgstore.AfterCommit {
			transactions.Add(1)
		}
		return nil
	})
	var g errgroup.Group
	for _, b := range c.batches[1:] {
		g.Go(func() error { return b.Write(t.Context()) })
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if n := transactions.Load(); n != crowdSize-1 {
		t.Errorf("%d batches took %d transactions", crowdSize-1, n)
	}
	c.finish()
}

// A transaction of several is not waited for by whoever no longer wants his batch of it.
func TestASharedTransactionIsCutOff(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, pgstore.EventsIndex)
	ctx, cancel := context.WithCancel(t.Context())
	ctxs := make([]context.Context, crowdSize)
	ctxs[1] = ctx
	stuck := make(chan struct{})
	ended := c.write(ctxs, nil, func(place int) error {
		if place == pgstore.AfterRows {
			cancel()
			exec(t, c.pool, "SELECT pg_sleep(1)") // longer than the cut-off
			close(stuck)
		}
		return nil
	})
	<-stuck
	for i := range ended {
		if err := <-ended[i]; (err != nil) != (i > 0) {
			t.Errorf("the batch of partition %d: %v", i, err)
		}
	}
	c.finish()
}

// Many rows, or large ones, stay alone.
func TestLargeBatchesStayAlone(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]func(*pgstore.Store) int{
		"rows":  func(s *pgstore.Store) int { s.CopyFrom(20); return 0 },
		"bytes": func(*pgstore.Store) int { return 300 << 10 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool, log := newTablesIn(t, pgstore.EventsNone), newLog(t, 1)
			store := storeOn(t, pool, pgstore.Config{})
			bytes := size(store)
			at := map[string]events.Cursor{}
			write := func(e func(id string) *events.Event) {
				for i := range 30 {
					id := fmt.Sprint("order-", i)
					r := events.Request{Workflow: events.Workflow{Namespace: "default", ID: id}, Events: []*events.Event{e(id)}}
					if c, ok := at[id]; ok {
						r.Expect = events.After(c)
					}
					res, err := log.Append(t.Context(), r)
					if err != nil {
						t.Fatal(err)
					}
					at[id] = res.Cursor
				}
			}
			write(func(string) *events.Event { return events.WorkflowStarted("Order", "orders") })
			projectAll(t, log, store, 0)
			write(func(string) *events.Event {
				return events.SearchAttributesUpserted(map[string]any{"CustomerId": strings.Repeat("x", bytes/30)})
			})
			c, err := store.Checkpoint(t.Context(), log.Identity(), 0)
			if err != nil {
				t.Fatal(err)
			}
			b, err := store.Folder(c).Fold(t.Context(), decoded(t, after(messages(t, log, 0), c.Sequence)))
			if err != nil {
				t.Fatal(err)
			}
			if pgstore.MayShare(b) {
				t.Error("it may share a transaction")
			}
		})
	}
}
