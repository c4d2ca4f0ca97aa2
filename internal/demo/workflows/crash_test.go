package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-io/annals/internal/demo/engine"
	"github.com/annals-io/annals/internal/demo/workflows"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/execution/wellformed"
	"github.com/annals-io/annals/pkg/replay"
)

// errKilled ends a worker in the middle of an append.
var errKilled = errors.New("killed")

// kinds are one workflow of each kind, with the signal that it waits for.
var kinds = []struct {
	name  string
	start func(ctx context.Context, log events.Appender, w events.Workflow) error
	// after is a search attribute; once it is set the signal is sent.
	after, signal string
}{
	{"an order that is shipped", order(false), "", ""},
	{"an order that waits for review", order(true), "", workflows.SignalReviewed},
	{"an order that is canceled and refunded", order(false), workflows.AttributeOrderStatus, workflows.SignalCancelOrder},
	{"a subscription of three months", subscription, "", ""},
	{"a subscription that is ended", subscription, workflows.AttributePaidPeriods, workflows.SignalUnsubscribe},
	{"a batch of three files", func(ctx context.Context, log events.Appender, w events.Workflow) error {
		_, err := engine.Start(ctx, log, w, workflows.Batch, workflows.BatchRequest{Supplier: "acme", Files: 3}, engine.StartOptions{TaskQueue: workflows.TaskQueue})
		return err
	}, "", ""},
}

func order(review bool) func(context.Context, events.Appender, events.Workflow) error {
	return func(ctx context.Context, log events.Appender, w events.Workflow) error {
		o := workflows.OrderRequest{Customer: "ada", Items: []workflows.Item{{SKU: "lamp", Quantity: 1}}, Cents: 4990, Card: "4242", Review: review}
		_, err := engine.Start(ctx, log, w, workflows.Order, o, engine.StartOptions{TaskQueue: workflows.TaskQueue})
		return err
	}
}

func subscription(ctx context.Context, log events.Appender, w events.Workflow) error {
	s := workflows.SubscriptionTerms{Customer: "ada", Plan: "basic", Cents: 990, Card: "4242", Month: time.Hour, Period: 1, Periods: 3}
	_, err := engine.Start(ctx, log, w, workflows.Subscription, s, engine.StartOptions{TaskQueue: workflows.TaskQueue})
	return err
}

// A worker that is killed at whichever commit, stored or not, leaves a history
// with which the next one comes to the same end.
func TestKilledAtEveryCommit(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			want, commits := life(t, kind.start, kind.after, kind.signal, -1, false)
			t.Logf("%d commits: %v", commits, want)
			if commits < 5 {
				t.Fatalf("%d commits are no life", commits)
			}
			for n := range commits {
				for _, stored := range []bool{false, true} {
					got, _ := life(t, kind.start, kind.after, kind.signal, n, stored)
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("killed at commit %d, stored %t: (-undisturbed +killed)\n%s", n, stored, diff)
					}
				}
			}
		})
	}
}

// Workers that are killed again and again, each at its third append at the
// latest, come to the same end between them.
func TestKilledAgainAndAgain(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			want, _ := life(t, kind.start, kind.after, kind.signal, -1, false)
			for seed := range uint64(8) {
				got, workers := lives(t, kind.start, kind.after, kind.signal, rand.New(rand.NewPCG(seed, 0)))
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("seed %d, %d workers: (-undisturbed +killed)\n%s", seed, workers, diff)
				}
				if workers < 2 {
					t.Errorf("seed %d: %d worker was enough", seed, workers)
				}
			}
		})
	}
}

// lives runs a workflow to its end, with one worker after the other.
func lives(t *testing.T, start func(context.Context, events.Appender, events.Workflow) error, after, signal string, r *rand.Rand) (ends map[string][]string, workers int) {
	synctest.Test(t, func(t *testing.T) {
		log, w, done, customer := stage(t, start, after, signal)
		for done.Err() == nil {
			workers++
			last, stored := int64(1+r.IntN(2)), r.IntN(2) == 0
			alive, kill := context.WithCancelCause(done)
			var appends atomic.Int64
			work(t, alive, log.Open(memlog.Config{Hook: func(memlog.Op) (bool, error) {
				switch at := appends.Add(1) - 1; {
				case at == last:
					kill(errKilled)
					return stored, errKilled
				default:
					return alive.Err() == nil, context.Cause(alive)
				}
			}}))
			kill(nil)
		}
		if err := <-customer; err != nil {
			t.Errorf("%s: %v", w, err)
		}
		ends = endsOf(t, log)
	})
	return ends, workers
}

// stage starts a workflow in a log, with the customer who will send it the
// signal, and a context that ends with the workflow.
func stage(t *testing.T, start func(context.Context, events.Appender, events.Workflow) error, after, signal string) (log *memlog.Log, w events.Workflow, done context.Context, customer <-chan error) {
	log, err := memlog.New(memlog.Config{Streams: 2})
	if err != nil {
		t.Fatal(err)
	}
	w = events.Workflow{Namespace: "shop", ID: "w-1"}
	if err := start(t.Context(), log, w); err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() { sent <- send(t.Context(), log, w, after, signal) }()
	done, finish := context.WithCancel(t.Context())
	go func() {
		if err := awaitEnd(t.Context(), log, w); err != nil {
			t.Error(err)
		}
		finish()
	}()
	return log, w, done, sent
}

// life runs a workflow to its end, with a worker that is killed at its nth
// append (-1: never) and another one after it. It says how each workflow ended
// and how many appends the first worker made.
func life(t *testing.T, start func(context.Context, events.Appender, events.Workflow) error, after, signal string, n int, stored bool) (ends map[string][]string, commits int) {
	synctest.Test(t, func(t *testing.T) {
		log, _, done, customer := stage(t, start, after, signal)
		var appends atomic.Int64
		alive, kill := context.WithCancelCause(t.Context())
		defer kill(nil)
		doomed := log.Open(memlog.Config{Hook: func(memlog.Op) (bool, error) {
			switch at := int(appends.Add(1)) - 1; {
			case at == n:
				kill(errKilled)
				return stored, errKilled
			default:
				return alive.Err() == nil, context.Cause(alive)
			}
		}})
		context.AfterFunc(done, func() { kill(nil) })
		work(t, alive, doomed)
		if done.Err() == nil {
			work(t, done, log.Open(memlog.Config{}))
		}
		if err := <-customer; err != nil {
			t.Error(err)
		}
		ends = endsOf(t, log)
		commits = int(appends.Load())
	})
	return ends, commits
}

func work(t *testing.T, ctx context.Context, log events.Log) {
	t.Helper()
	worker, err := engine.New(engine.Config{
		Log: log, Registry: workflows.Registry(),
		Aside: func(w events.Workflow, err error) { t.Errorf("%s cannot go on: %v", w, err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := worker.Run(ctx); err != nil {
		t.Error(err)
	}
}

// send sends the signal once the search attribute is set.
func send(ctx context.Context, log events.Log, w events.Workflow, after, signal string) error {
	if signal == "" {
		return nil
	}
	if after != "" {
		if err := await(ctx, log, w, func(e *events.Event) bool {
			return e.GetUpsertWorkflowSearchAttributesEventAttributes().GetSearchAttributes().GetIndexedFields()[after] != nil
		}); err != nil {
			return err
		}
	}
	_, err := log.Append(ctx, events.Request{
		Workflow: w, Expect: events.AtEnd(), CommitID: "signal", Events: []*events.Event{events.Signaled(signal, workflows.Cancellation{Reason: "changed my mind"})},
	})
	return err
}

func awaitEnd(ctx context.Context, log events.Log, w events.Workflow) error {
	return await(ctx, log, w, func(e *events.Event) bool {
		return events.Closes(e) && e.GetWorkflowExecutionContinuedAsNewEventAttributes() == nil
	})
}

// await follows a workflow until it has such an event.
func await(ctx context.Context, log events.Log, w events.Workflow, is func(*events.Event) bool) error {
	p := log.Identity().Map.Partition(w.Slot())
	for m, err := range log.Follow(ctx, p, events.FollowOptions{Workflow: &w}) {
		if err != nil {
			return err
		}
		c, err := events.Decode(m)
		if err != nil {
			return err
		}
		segments, err := c.Segments()
		if err != nil {
			return err
		}
		for _, s := range segments {
			if slices.ContainsFunc(s.Events, is) {
				return nil
			}
		}
	}
	return nil
}

// endsOf gives for each workflow how each of its runs ended, and which
// activities it had. It fails the test if a history is not well-formed.
func endsOf(t *testing.T, log events.Log) map[string][]string {
	ends := map[string][]string{}
	for p := range events.Partition(log.Identity().Map.Partitions()) {
		b, err := log.Bounds(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if b.Last < b.First {
			continue
		}
		seen := map[events.Workflow]bool{}
		for m, err := range log.Follow(t.Context(), p, events.FollowOptions{Until: b.Last}) {
			if err != nil {
				t.Fatal(err)
			}
			c, err := events.Decode(m)
			if err != nil {
				t.Fatal(err)
			}
			if !seen[c.Workflow] {
				seen[c.Workflow] = true
				ends[c.Workflow.ID] = runsOf(t, log, c.Workflow)
			}
		}
	}
	return ends
}

func runsOf(t *testing.T, log events.Log, w events.Workflow) (runs []string) {
	var history []*events.Event
	for c, err := range log.Commits(t.Context(), w) {
		if err != nil {
			t.Fatal(err)
		}
		segments, err := c.Segments()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range segments {
			if s.Opens() {
				history = nil
			}
			history = append(history, s.Events...)
			if !events.IsOpen(s.After) {
				runs = append(runs, ending(t, w, s.Run, history))
			}
		}
	}
	return runs
}

// ending is a run's closing event, without what differs from life to life, and
// its activities.
func ending(t *testing.T, w events.Workflow, run events.RunID, history []*events.Event) string {
	for _, v := range wellformed.Check(slices.Values(history)) {
		t.Errorf("run %s of %s is not well-formed: %+v", run, w, v)
	}
	// What workers that were killed, and took over, have written is what the code asks for: inputs, timeouts and queues, too.
	report, err := replay.CheckHistory(t.Context(), w, run, func(yield func(*events.Event, error) bool) {
		for _, e := range history {
			if !yield(e, nil) {
				return
			}
		}
	}, workflows.Registry().Code(), replay.CheckOptions{Compare: replay.CompareAll})
	if err != nil || !report.Agrees() || report.Commands == 0 {
		t.Errorf("run %s of %s: %v, %v", run, w, report, err)
	}
	var activities []string
	for _, e := range history {
		if a := e.GetActivityTaskScheduledEventAttributes(); a != nil {
			activities = append(activities, a.GetActivityType().GetName())
		}
	}
	slices.Sort(activities)
	if twice := slices.Compact(slices.Clone(activities)); len(twice) != len(activities) {
		t.Errorf("run %s of %s scheduled an activity twice: %v", run, w, activities)
	}
	last := history[len(history)-1]
	result := last.GetWorkflowExecutionCompletedEventAttributes().GetResult()
	var text string
	for _, p := range result.GetPayloads() {
		text += string(p.GetData())
	}
	for _, prefix := range []string{"PAY-", "RFD-", "PCL-", "SHA-", "RPT-"} { // document numbers are of their run
		if at := strings.Index(text, prefix); at >= 0 {
			text = text[:at+4] + text[at+10:]
		}
	}
	return fmt.Sprintf("%s %v %s", last.GetEventType(), activities, text)
}
