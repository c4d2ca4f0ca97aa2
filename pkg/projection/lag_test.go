package projection_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection"
)

// clocked is a log whose server's clock stands where the test sets it, some
// years from this machine's.
type clocked struct {
	*memlog.Log
	now time.Time
}

func newClocked(t *testing.T, streams int) *clocked {
	t.Helper()
	c := &clocked{now: time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)}
	var err error
	c.Log, err = memlog.New(memlog.Config{Streams: streams, Now: func() time.Time { return c.now }})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// put appends a commit to a partition.
func (c *clocked) put(t *testing.T, p events.Partition) {
	t.Helper()
	for i := 0; ; i++ {
		w := events.Workflow{Namespace: "n", ID: fmt.Sprint("w", i)}
		if c.Identity().Map.Partition(w.Slot()) != p {
			continue
		}
		e := events.Signaled("s")
		if _, err := c.Tail(t.Context(), w); errors.Is(err, events.ErrNotFound) {
			e = events.WorkflowStarted("T", "q")
		}
		r := events.Request{Workflow: w, Expect: events.AtEnd(), Events: []*events.Event{e}}
		if e.GetWorkflowExecutionStartedEventAttributes() != nil {
			r.Expect = events.NewRun()
		}
		if _, err := c.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		return
	}
}

func (c *clocked) lag(t *testing.T, sequences ...uint64) projection.Lags {
	t.Helper()
	lags, err := projection.LagOf(t.Context(), c, c.tables(sequences...))
	if err != nil {
		t.Fatal(err)
	}
	return lags
}

// tables have the log up to these sequences, one a partition from 0.
func (c *clocked) tables(sequences ...uint64) func(context.Context) ([]projection.Checkpoint, error) {
	return func(context.Context) (list []projection.Checkpoint, err error) {
		for p, n := range sequences {
			list = append(list, projection.Checkpoint{Partition: events.Partition(p), LogID: c.Identity().LogID, LogEpoch: c.Identity().Epoch, Sequence: n})
		}
		return list, nil
	}
}

var ofErrors = cmp.Comparer(func(a, b error) bool { return (a == nil) == (b == nil) })

// Lag is told in commits and in seconds, partition by partition, by the clock of
// the log's server alone.
func TestLag(t *testing.T) {
	c := newClocked(t, 3)
	began := c.now
	caughtUp := projection.Lags{{Partition: 0}, {Partition: 1}, {Partition: 2}}
	if diff := cmp.Diff(caughtUp, c.lag(t), ofErrors); diff != "" {
		t.Errorf("an empty log, and tables that nobody has begun (-want +got):\n%s", diff)
	}
	for range 3 {
		c.put(t, 0)
		c.now = c.now.Add(time.Second)
	}
	c.put(t, 2)
	c.now = c.now.Add(time.Second)

	// Partition 0 is stopped after its first commit, 1 is empty, 2 has everything.
	want := projection.Lags{
		{Partition: 0, Checkpoint: 1, End: 3, Commits: 2, Oldest: began.Add(time.Second), Age: 3 * time.Second},
		{Partition: 1},
		{Partition: 2, Checkpoint: 1, End: 1},
	}
	got := c.lag(t, 1, 0, 1)
	if diff := cmp.Diff(want, got, ofErrors); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Commits() != 2 || got.Age() != 3*time.Second || got.Err() != nil {
		t.Errorf("together %d commits, %s, %v", got.Commits(), got.Age(), got.Err())
	}

	// The log is idle for days: what is missing grows older, what is not does not.
	c.now = c.now.Add(72 * time.Hour)
	if got := c.lag(t, 1, 0, 1); got[0].Age != 72*time.Hour+3*time.Second || got[0].Commits != 2 || got[2].Age != 0 || got[2].Commits != 0 {
		t.Errorf("after days: %+v", got)
	}
	if got := c.lag(t, 3, 0, 1); got.Commits() != 0 || got.Age() != 0 || got.Err() != nil {
		t.Errorf("caught up after days: %+v", got)
	}
	// Nobody has begun: everything is missing.
	if got := c.lag(t); got[0].Commits != 3 || !got[0].Oldest.Equal(began) || got[2].Commits != 1 {
		t.Errorf("without checkpoints: %+v", got)
	}
	// The tables went on after the ends were looked up.
	if got := c.lag(t, 9, 9, 9); got.Commits() != 0 || got.Age() != 0 || got.Err() != nil {
		t.Errorf("ahead: %+v", got)
	}
}

// What cannot be told of one partition leaves the others.
func TestLagThatCannotBeTold(t *testing.T) {
	c := newClocked(t, 2)
	c.put(t, 0)
	c.put(t, 1)
	c.now = c.now.Add(time.Minute)
	id := c.Identity()
	got, err := projection.LagOf(t.Context(), c, func(context.Context) ([]projection.Checkpoint, error) {
		return []projection.Checkpoint{{Partition: 0, LogID: id.LogID, LogEpoch: id.Epoch + 1, Sequence: 1}, {Partition: 7}}, nil
	})
	if err != nil || !errors.Is(got[0].Err, projection.ErrWrongCheckpoint) || got[1].Err != nil || got.Commits() != 1 || got.Age() != time.Minute || !errors.Is(got.Err(), projection.ErrWrongCheckpoint) {
		t.Errorf("%+v, %v", got, err)
	}
	// The commit that comes next is gone.
	gone := missing{Log: c.Log}
	got, err = projection.LagOf(t.Context(), gone, c.tables())
	want := projection.Lags{{Partition: 0, End: 1, Commits: 1}, {Partition: 1, End: 1, Commits: 1}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(projection.Lag{}, "Err")); err != nil || diff != "" || !errors.Is(got[1].Err, events.ErrNotFound) {
		t.Errorf("%v, %v:\n%s", err, got.Err(), diff)
	}
	errAway := errors.New("away")
	if _, err := projection.LagOf(t.Context(), c, func(context.Context) ([]projection.Checkpoint, error) { return nil, errAway }); !errors.Is(err, errAway) {
		t.Errorf("without tables: %v", err)
	}
}

// missing is a log that has lost all messages, and not their sequences.
type missing struct{ *memlog.Log }

func (missing) Message(context.Context, events.Position) (events.Message, error) {
	return events.Message{}, &events.NotFoundError{}
}

// On JetStream the clock is the server's, and the end is bound to the log.
func TestLagOnJetStream(t *testing.T) {
	s := newScene(t)
	before := time.Now()
	read := func(sequence uint64) projection.Lags {
		t.Helper()
		lags, err := projection.LagOf(t.Context(), s.log, func(context.Context) ([]projection.Checkpoint, error) {
			return []projection.Checkpoint{s.at(t, sequence)}, nil
		})
		if err != nil || lags.Err() != nil {
			t.Fatal(err, lags.Err())
		}
		return lags
	}
	if got := read(10); got.Commits() != 0 || got.Age() != 0 {
		t.Errorf("caught up: %+v", got)
	}
	m, err := s.log.Message(t.Context(), events.Position{Sequence: 4})
	if err != nil {
		t.Fatal(err)
	}
	got := read(3)
	if most := time.Since(m.Time); got.Commits() != 7 || !got[0].Oldest.Equal(m.Time) || got.Age() < before.Sub(m.Time) || got.Age() > most {
		t.Errorf("behind: %+v, at most %s", got, most)
	}
	end, err := projection.End(t.Context(), s.log)
	if err != nil || end.At(0) != 10 || end.Of(s.log.Identity()) != nil {
		t.Errorf("the end is %s: %v", end, err)
	}
	if id, epoch, ok := end.Bound(); !ok || id != s.log.Identity().LogID || epoch != s.log.Identity().Epoch {
		t.Errorf("the end is %s", end)
	}
}
