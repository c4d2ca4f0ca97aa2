package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// resets appends a workflow that is reset while it is open, then, once it is
// closed, at an event of what the first reset began with. Something of every
// kind is pending at those events.
func resets(t *testing.T, log events.Log) events.Workflow {
	t.Helper()
	w := events.Workflow{Namespace: "default", ID: "reset"}
	add := func(r events.Request) events.Result {
		t.Helper()
		r.Workflow = w
		res, err := log.Append(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	child := events.Child{Workflow: events.Workflow{Namespace: "default", ID: "child"}, Type: "Child"}
	one := add(events.Request{RunID: "one", Events: []*events.Event{
		events.WorkflowStarted("Order", "orders"),
		events.ActivityScheduled("done", "Charge"), // 2
		events.ActivityScheduled("open", "Ship"),   // 3
		events.ActivityStarted(2, 1, "worker"),
	}})
	one = add(events.Request{Expect: events.After(one.Cursor), Events: []*events.Event{
		events.TimerStarted("timer", time.Hour), // 5
		events.ChildInitiated(child),            // 6
		events.ActivityCompleted(2, 4),          // 7
		events.Signaled("a"),                    // 8
		events.TimerFired("timer", 5),           // 9
	}})
	two := add(events.Reset(one.Cursor, events.Base{Run: "one", Event: 7}, events.ResetOptions{RunID: "two", Reason: "again", Reapply: []*events.Event{events.Signaled("a")}}))
	two = add(events.Request{Expect: events.After(two.Cursor), Events: []*events.Event{
		events.ActivityStarted(3, 1, "worker"), events.ActivityCompleted(3, 10), events.ActivityScheduled("late", "Notify"),
	}})
	two = add(events.Request{Expect: events.After(two.Cursor), Events: []*events.Event{events.WorkflowCompleted()}})
	three := add(events.Reset(two.Cursor, events.Base{Run: "two", Event: 3}, events.ResetOptions{RunID: "three", Scheduled: 2, Started: 3}))
	add(events.Request{Expect: events.After(three.Cursor), Events: []*events.Event{events.Signaled("b")}})
	return w
}

// What the tables must hold of the runs: from their spliced histories, but for
// rows of events, which are those that are stored.
var wantResets = []string{
	"execution one Terminated 10 pending 1 0 1 signals 1",
	"execution three Running 5 pending 2 0 0 signals 1",
	"execution two Completed 13 pending 1 1 1 signals 1",
	"activity one 2 Completed", "activity one 3 Scheduled",
	"activity three 2 Scheduled", "activity three 3 Scheduled",
	"activity two 12 Scheduled", "activity two 2 Completed", "activity two 3 Completed",
	"timer one 5 Fired", "timer two 5 Started",
	"child one 6 Initiated", "child two 6 Initiated",
	"events one 1 to 10: 10", "events three 4 to 5: 2", "events two 8 to 13: 6",
}

func checkResets(t *testing.T, log events.Log, store *pgstore.Store, pool *pgxpool.Pool) {
	t.Helper()
	rows, err := pool.Query(context.Background(), `
		(SELECT format('execution %s %s %s pending %s %s %s signals %s', run_id, status, history_length, pending_activities, pending_timers, pending_children, signals)
		 FROM annals.executions WHERE workflow_id = 'reset' ORDER BY run_id)
		UNION ALL (SELECT format('activity %s %s %s', run_id, scheduled_event_id, status) FROM annals.activities WHERE workflow_id = 'reset' ORDER BY run_id, scheduled_event_id::text)
		UNION ALL (SELECT format('timer %s %s %s', run_id, started_event_id, status) FROM annals.timers WHERE workflow_id = 'reset' ORDER BY run_id)
		UNION ALL (SELECT format('child %s %s %s', run_id, initiated_event_id, status) FROM annals.children WHERE workflow_id = 'reset' ORDER BY run_id)
		UNION ALL (SELECT format('events %s %s to %s: %s', run_id, min(event_id), max(event_id), count(*)) FROM annals.events WHERE workflow_id = 'reset' GROUP BY run_id ORDER BY run_id)`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantResets, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if r := verify(t, log, store, pgstore.VerifyOptions{}); len(r.Differences) != 0 {
		t.Errorf("differences: %+v", r.Differences)
	}
}

// However the commits fall into batches, and whether the projector begins again
// between them, the tables hold the fold of the spliced histories, which is what
// Verify folds.
func TestResetRunsAreProjected(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		log  func(*testing.T) events.Log
	}{
		{"memory", func(t *testing.T) events.Log { return newLog(t, 1) }},
		{"R1", func(t *testing.T) events.Log { return natsLog(t, testenv.NATS(t), 1) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			log := tt.log(t)
			g := historytest.New(historytest.Options{Workflows: 5})
			if err := g.AppendAll(t.Context(), log, historytest.Seeded(1, 10)); err != nil {
				t.Fatal(err)
			}
			resets(t, log)
			if err := g.AppendAll(t.Context(), log, historytest.Seeded(2, 10)); err != nil {
				t.Fatal(err)
			}
			var first []string
			for _, size := range []int{1, 3, 1000} {
				pool := newTables(t)
				store := storeOn(t, pool, pgstore.Config{CacheRuns: 1})
				r := start(t, log, store, projection.Config{BatchCommits: size})
				waitFor(t, store, ends(t, log))
				if err := r.stop(); err != nil {
					t.Fatal(err)
				}
				checkResets(t, log, store, pool)
				rows := dump(t, pool)
				if first == nil {
					first = rows
				}
				if diff := cmp.Diff(first, rows); diff != "" {
					t.Errorf("batches of %d gave other rows (-batches of 1 +):\n%s", size, diff)
				}
			}
			// From the tables, commit by commit, with nothing cached.
			pool := newTables(t)
			store := storeOn(t, pool, pgstore.Config{})
			for i, m := range messages(t, log, 0) {
				c, err := store.Checkpoint(t.Context(), log.Identity(), 0)
				if err != nil {
					t.Fatal(err)
				}
				commits := decoded(t, []events.Message{m})
				if err := projection.Complete(t.Context(), log, &commits[0]); err != nil {
					t.Fatal(err)
				}
				b, err := store.Folder(c).Fold(t.Context(), commits)
				if err != nil {
					t.Fatalf("commit %d: %v", i, err)
				}
				if err := b.Write(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			checkResets(t, log, store, pool)
			if diff := cmp.Diff(first, dump(t, pool)); diff != "" {
				t.Errorf("commit by commit gave other rows:\n%s", diff)
			}
		})
	}
}

// baseless is a log whose bases cannot be read, as often as it says.
type baseless struct {
	events.Log
	err   error
	times int
}

func (b *baseless) BaseEvents(ctx context.Context, c *events.Commit) iter.Seq2[*events.Event, error] {
	return func(yield func(*events.Event, error) bool) {
		if b.times--; b.times >= 0 {
			yield(nil, b.err)
			return
		}
		for e, err := range b.Log.BaseEvents(ctx, c) {
			if !yield(e, err) {
				return
			}
		}
	}
}

// A base that cannot be read now is read again; one that is not what the reset
// says quarantines the reset, which is healed once the base can be read.
func TestABaseThatCannotBeRead(t *testing.T) {
	t.Parallel()
	log := newLog(t, 1)
	resets(t, log)
	pool := newTables(t)
	store := storeOn(t, pool, pgstore.Config{})
	r := start(t, &baseless{log, fmt.Errorf("%w for a moment", events.ErrUnavailable), 2}, store, projection.Config{MaxBackoff: time.Millisecond})
	waitFor(t, store, ends(t, log))
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	checkResets(t, log, store, pool)

	pool = newTables(t)
	store = storeOn(t, pool, pgstore.Config{})
	spoiled := &baseless{log, &events.CorruptError{Reason: "it is not there"}, 1 << 30}
	r = start(t, spoiled, store, projection.Config{})
	waitFor(t, store, ends(t, log))
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	page, err := store.Quarantined(t.Context(), postgres.QuarantineQuery{})
	if err != nil || len(page.Entries) == 0 || page.Entries[0].Kind != projection.KindBase || page.Entries[0].First != 3 {
		t.Fatalf("%+v, %v; want the first at 3", page, err)
	}
	for _, q := range page.Entries {
		if _, err := store.Heal(t.Context(), spoiled, q.Workflow); !errors.Is(err, projection.ErrNotHealed) || !strings.Contains(err.Error(), "it is not there") {
			t.Errorf("healed while the base cannot be read: %v", err)
		}
		if _, err := store.Heal(t.Context(), log, q.Workflow); err != nil {
			t.Error(err)
		}
	}
	checkResets(t, log, store, pool)
}
