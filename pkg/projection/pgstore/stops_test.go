package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/proto"

	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// hole is a log in which one message is missing.
type hole struct {
	*memlog.Log
	at events.Position
}

func (h hole) Follow(ctx context.Context, p events.Partition, o events.FollowOptions) iter.Seq2[events.Message, error] {
	return func(yield func(events.Message, error) bool) {
		for m, err := range h.Log.Follow(ctx, p, o) {
			if err == nil && m.Position == h.at {
				continue
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

// alterBody changes a field that no envelope speaks of.
func alterBody(t *testing.T, m *events.Message) {
	t.Helper()
	var h historypb.History
	if err := proto.Unmarshal(m.Body, &h); err != nil {
		t.Fatal(err)
	}
	h.Events[0].TaskId ^= 7
	var err error
	if m.Body, err = proto.Marshal(&h); err != nil {
		t.Fatal(err)
	}
}

// What cannot be applied stops its partition exactly there, loudly, with all
// that is before it in the tables. The others go on.
func TestPartitionStopsAtWhatCannotBeApplied(t *testing.T) {
	t.Parallel()
	const put, missed = -1, -2
	victim := events.Workflow{Namespace: "default", ID: "victim"}
	exec := func(sql string, args ...any) func(*testing.T, *memlog.Log, *pgxpool.Pool, []events.Result) {
		return func(t *testing.T, _ *memlog.Log, pool *pgxpool.Pool, _ []events.Result) {
			tag, err := pool.Exec(t.Context(), sql, args...)
			if err != nil || tag.RowsAffected() == 0 {
				t.Fatalf("%d rows: %v", tag.RowsAffected(), err)
			}
		}
	}
	for _, tt := range []struct {
		name string
		why  string
		// spoil acts when the victim's first two commits are projected and the
		// next one, at the last of the results, is there.
		spoil func(*testing.T, *memlog.Log, *pgxpool.Pool, []events.Result)
		// at is where it stops: index of the victim's commits, or what was put
		// or is missed.
		at     int
		source func(*memlog.Log, []events.Result) events.Source
		says   string
		silent bool // the message does not say whose it is
	}{
		{
			name: "a foreign message", why: "somebody published past the library", at: put, says: "header Annals: is missing",
			spoil: func(_ *testing.T, log *memlog.Log, _ *pgxpool.Pool, _ []events.Result) {
				log.Put(log.Partition(victim), victim.Subject(), nil, []byte("hello"))
			},
		},
		{
			name: "a foreign message on no workflow's subject", why: "its slot is not its workflow's", at: put, says: "lies in slot", silent: true,
			spoil: func(_ *testing.T, log *memlog.Log, _ *pgxpool.Pool, _ []events.Result) {
				_, rest, _ := strings.Cut(strings.TrimPrefix(victim.Subject(), "annals."), ".")
				log.Put(log.Partition(victim), fmt.Sprintf("annals.%d.%s", (victim.Slot()+1)%events.Slots, rest), nil, nil)
			},
		},
		{
			name: "a broken chain", why: "a body was altered", at: 2, says: "the chain is broken",
			spoil: func(t *testing.T, log *memlog.Log, _ *pgxpool.Pool, rs []events.Result) {
				log.Alter(rs[2].Position, func(m *events.Message) { alterBody(t, m) })
			},
		},
		{
			name: "a body that is no history", why: "it does not decode", at: 2, says: "body is not a History",
			spoil: func(_ *testing.T, log *memlog.Log, _ *pgxpool.Pool, rs []events.Result) {
				log.Alter(rs[2].Position, func(m *events.Message) { m.Body = []byte{0xff} })
			},
		},
		{
			name: "a gap", why: "a message is gone from the middle of the stream", at: missed, says: "what was between is gone", silent: true,
			spoil:  func(*testing.T, *memlog.Log, *pgxpool.Pool, []events.Result) {},
			source: func(log *memlog.Log, rs []events.Result) events.Source { return hole{log, rs[2].Position} },
		},
		{
			name: "a row that should not be there", why: "COPY meets the key of an event", at: 2, says: "events_pkey",
			spoil: exec(`INSERT INTO annals.events SELECT slot, namespace, workflow_id, run_id, 3, type, name, time, partition, sequence FROM annals.events WHERE workflow_id = 'victim' AND event_id = 1`),
		},
		{
			name: "a row that is gone", why: "nothing to go on from", at: 2, says: "which the tables do not have",
			spoil: exec(`DELETE FROM annals.executions WHERE workflow_id = 'victim'`),
		},
		{
			name: "a state that cannot be decoded", why: "a bit of the row was changed", at: 2, says: "not an encoded execution state",
			spoil: exec(`UPDATE annals.executions SET state = '\x00' WHERE workflow_id = 'victim'`),
		},
		{
			name: "a hash that is not the log's", why: "the row was changed", at: 2, says: "the chain is broken",
			spoil: exec(`UPDATE annals.workflows SET last_hash = decode(repeat('00', 16), 'hex') WHERE workflow_id = 'victim'`),
		},
		{
			name: "a run that should not be there", why: "the key of a new run is taken", at: 3, says: "executions_pkey",
			spoil: exec(`INSERT INTO annals.executions SELECT * FROM jsonb_populate_record(NULL::annals.executions,
				(SELECT to_jsonb(e) || '{"run_id": "run-2"}' FROM annals.executions AS e WHERE workflow_id = 'victim'))`),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			pool := newTables(t)
			log := newLog(t, 3)
			part := log.Partition(victim)
			others := historytest.New(historytest.Options{Workflows: 30})
			background := func(seed uint64) {
				t.Helper()
				if err := others.AppendAll(ctx, log, historytest.Seeded(seed, 60)); err != nil {
					t.Fatal(err)
				}
			}
			var results []events.Result
			appendTo := func(run events.RunID, expect events.Expectation, es ...*events.Event) {
				t.Helper()
				res, err := log.Append(ctx, events.Request{Workflow: victim, RunID: run, Expect: expect, Events: es})
				if err != nil {
					t.Fatal(err)
				}
				results = append(results, res)
			}
			appendTo("run-1", events.NewRun(), events.WorkflowStarted("Order", "orders"))
			appendTo("", events.AtEnd(), events.Signaled("a"))
			background(1)
			store := storeOn(t, pool, pgstore.Config{CacheRuns: 1})
			projectAll(t, log, store, 0)

			background(2)
			appendTo("", events.AtEnd(), events.WorkflowCompleted())
			background(3)
			appendTo("run-2", events.NewRun(), events.WorkflowStarted("Order", "orders"), events.WorkflowCompleted())
			var bad events.Position
			before, err := log.Bounds(ctx, part)
			if err != nil {
				t.Fatal(err)
			}
			tt.spoil(t, log, pool, results)
			switch {
			case tt.at == missed: // the one after the hole
				bad = events.Position{Partition: part, Sequence: results[2].Position.Sequence + 1}
			case tt.at == put:
				bad = events.Position{Partition: part, Sequence: before.Last + 1}
			default:
				bad = results[tt.at].Position
			}
			background(4)

			lines := newLogged()
			var source events.Source = log
			if tt.source != nil {
				source = tt.source(log, results)
			}
			r := start(t, source, store, projection.Config{Logger: lines.logger()})
			want := []string{"level=ERROR", "the partition has stopped", fmt.Sprintf("partition=%d", part), "position=" + bad.String(), tt.says}
			if !tt.silent {
				want = append(want, "workflow=victim", "namespace=default")
			}
			lines.with(t, want...)
			waitFor(t, store, ends(t, log, part))
			for p, s := range r.Status() {
				if events.Partition(p) != part {
					if s.Phase != projection.PhaseFollowing || s.Err != nil {
						t.Errorf("partition %d is %s (%v), while %d has stopped", p, s.Phase, s.Err, part)
					}
					continue
				}
				var cannot *projection.CannotApplyError
				if s.Phase != projection.PhaseStopped || !errors.As(s.Err, &cannot) || cannot.Position != bad || !tt.silent && cannot.Workflow != victim {
					t.Errorf("status %s: %v; want it stopped at %s", s.Phase, s.Err, bad)
				}
				stop := bad.Sequence - 1
				if tt.source != nil {
					stop = results[2].Position.Sequence - 1
				}
				if s.Checkpoint.Sequence != stop {
					t.Errorf("the checkpoint is at %d, want %d: all that is before the one to blame", s.Checkpoint.Sequence, stop)
				}
			}
			if err := r.stop(); !errors.Is(err, projection.ErrCannotApply) || !strings.Contains(err.Error(), fmt.Sprintf("partition %d stopped", part)) {
				t.Errorf("Run: %v", err)
			}
			// All that is in the tables is right, but what the test spoiled.
			report := verify(t, log, store, noWait)
			kinds := []string{pgstore.KindLag}
			for _, d := range report.Differences {
				if d.Workflow != victim && d.Kind != pgstore.KindLag {
					t.Errorf("%s %s %s: %s", d.Kind, d.Workflow, d.Run, d.Where)
				}
				kinds = append(kinds, d.Kind)
			}
			if !slices.Contains(kinds[1:], pgstore.KindLag) {
				t.Errorf("Verify reports %v, and no lag", kinds[1:])
			}
		})
	}
}

// When all partitions have stopped, there is nothing left to run for.
func TestRunEndsWhenEveryPartitionHasStopped(t *testing.T) {
	t.Parallel()
	log := newLog(t, 2)
	store := storeOn(t, newTables(t), pgstore.Config{})
	slots := log.Identity().Map.Ranges
	for p, r := range slots {
		log.Put(events.Partition(p), fmt.Sprintf("annals.%d.foreign.message", r.First), nil, nil)
	}
	r := start(t, log, store, projection.Config{})
	err := <-r.done
	if !errors.Is(err, projection.ErrCannotApply) || !strings.Contains(err.Error(), "partition 0") || !strings.Contains(err.Error(), "partition 1") {
		t.Errorf("Run: %v", err)
	}
	r.cancel()
}

// A version that is not this program's stops everything before anything is
// written.
func TestTablesOfAnotherVersionStopTheProjector(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	log, _ := written(t, historytest.Seeded(1, 20), historytest.Options{})
	if _, err := pool.Exec(t.Context(), `UPDATE annals.generations SET version = 77`); err != nil {
		t.Fatal(err)
	}
	r := start(t, log, storeOn(t, pool, pgstore.Config{}), projection.Config{})
	if err := <-r.done; !errors.Is(err, projection.ErrVersion) {
		t.Errorf("Run: %v", err)
	}
	r.cancel()
	if rows := dump(t, pool); len(rows) != 0 {
		t.Errorf("written: %v", rows)
	}
}
