package execution

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	historypb "go.temporal.io/api/history/v1"
	"pgregory.net/rapid"

	"github.com/annals-io/annals/pkg/events"
)

// tables is what a projector would keep: the newest value of each row.
type tables struct {
	activities map[events.EventID]Activity
	timers     map[events.EventID]Timer
	children   map[events.EventID]Child
	nexus      map[events.EventID]NexusOperation
	updates    map[events.EventID]Update
	extSignals map[events.EventID]ExternalSignal
	extCancels map[events.EventID]ExternalCancel
	signals    map[events.EventID]Signal
}

func (r *tables) write(ch *Changes) {
	r.activities = upsert(r.activities, ch.Activities)
	r.timers = upsert(r.timers, ch.Timers)
	r.children = upsert(r.children, ch.Children)
	r.nexus = upsert(r.nexus, ch.NexusOperations)
	r.updates = upsert(r.updates, ch.Updates)
	r.extSignals = upsert(r.extSignals, ch.ExternalSignals)
	r.extCancels = upsert(r.extCancels, ch.ExternalCancels)
	r.signals = upsert(r.signals, ch.Signals)
}

func upsert[T any, P entity[T]](rows map[events.EventID]T, list []P) map[events.EventID]T {
	if rows == nil {
		rows = map[events.EventID]T{}
	}
	for _, p := range list {
		rows[p.key()] = *p
	}
	return rows
}

// TestChangesAreRows folds a history in batches, each with its Changes, and
// holds: any split gives the same rows; a row for each that was opened; those
// that are pending are as in the State; and what a batch collected does not
// change any more once the next one has begun.
func TestChangesAreRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		history := drawHistory(t)
		var once tables
		var ch Changes
		whole := New(testWF, testRun)
		for _, e := range history {
			whole.ApplyTo(e, &ch)
		}
		once.write(&ch)

		var split tables
		type batch struct {
			ch     *Changes
			frozen tables
		}
		var batches []batch
		s := New(testWF, testRun)
		for i := 0; i < len(history); {
			n := min(i+rapid.IntRange(1, 8).Draw(t, "batch"), len(history))
			b := batch{ch: &Changes{}}
			for ; i < n; i++ {
				s.ApplyTo(history[i], b.ch)
			}
			split.write(b.ch)
			b.frozen.write(b.ch)
			batches = append(batches, b)
			checkSorted(t, b.ch.Activities)
			checkSorted(t, b.ch.Timers)
			checkSorted(t, b.ch.Children)
			checkSorted(t, b.ch.NexusOperations)
			checkSorted(t, b.ch.Updates)
			checkSorted(t, b.ch.ExternalSignals)
			checkSorted(t, b.ch.ExternalCancels)
			checkSorted(t, b.ch.Signals)
		}
		all := append(cmp.Options{cmp.AllowUnexported(tables{})}, same...)
		if diff := cmp.Diff(once, split, all); diff != "" {
			t.Fatalf("one batch and several give other rows:\n%s", diff)
		}
		for i, b := range batches {
			var now tables
			now.write(b.ch)
			if diff := cmp.Diff(b.frozen, now, all); diff != "" {
				t.Fatalf("batch %d was changed by a later one:\n%s", i+1, diff)
			}
		}
		checkRows(t, s.Counts.Activities, split.activities, s.Activities, func(a Activity) bool { return a.Status > ActivityStarted })
		checkRows(t, s.Counts.Timers, split.timers, s.Timers, func(x Timer) bool { return x.Status > TimerStarted })
		checkRows(t, s.Counts.Children, split.children, s.Children, func(c Child) bool { return c.Status > ChildStarted })
		checkRows(t, s.Counts.NexusOperations, split.nexus, s.NexusOperations, func(o NexusOperation) bool { return o.Status > NexusStarted })
		checkRows(t, s.Counts.ExternalSignals, split.extSignals, s.ExternalSignals, func(x ExternalSignal) bool { return x.Status > ExternalInitiated })
		checkRows(t, s.Counts.ExternalCancels, split.extCancels, s.ExternalCancels, func(x ExternalCancel) bool { return x.Status > ExternalInitiated })
		checkRows(t, s.Counts.Signals, split.signals, nil, func(Signal) bool { return true })
		checkRows(t, int64(len(split.updates)), split.updates, s.Updates, func(u Update) bool { return u.Status > UpdateAccepted })
	})
}

func checkRows[T any, P entity[T]](t *rapid.T, opened int64, rows map[events.EventID]T, pending []P, closed func(T) bool) {
	t.Helper()
	if int64(len(rows)) != opened {
		t.Fatalf("%d rows of %T, %d were opened", len(rows), rows, opened)
	}
	open := map[events.EventID]T{}
	for id, row := range rows {
		if !closed(row) {
			open[id] = row
		}
	}
	if diff := cmp.Diff(upsert(nil, pending), open, same); diff != "" {
		t.Fatalf("pending (-state +rows):\n%s", diff)
	}
}

func TestChangesIsEmpty(t *testing.T) {
	var ch Changes
	s := fold(order()[:4]...)
	s.ApplyTo(event(5, &historypb.MarkerRecordedEventAttributes{}), &ch)
	if !ch.IsEmpty() {
		t.Errorf("a marker changed %+v", ch)
	}
	s.ApplyTo(activityScheduled(6, 4), &ch)
	if ch.IsEmpty() {
		t.Error("a scheduled activity changed nothing")
	}
}

// TestPendingOutOfOrder: keys that do not rise are put where they belong.
func TestPendingOutOfOrder(t *testing.T) {
	s := New(testWF, testRun)
	for _, id := range []int64{5, 2, 9, 2, 7} {
		s.Apply(activityScheduled(id, 0))
	}
	var got []events.EventID
	for _, a := range s.Activities {
		got = append(got, a.ScheduledEventID)
	}
	if want := []events.EventID{2, 5, 7, 9}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
