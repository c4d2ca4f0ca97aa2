package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/store"
)

func queryCases() []testCase {
	return named(
		combinesConditions, boundariesAreToTheMicrosecond, pagesByLimitAndOffset, listsInOneOrder, hasADefaultLimit, leavesOutDivisions,
		keepsNamespacesApart, seesItsOwnWrites, waitsForOthersWrites, saysThatItIsBehind, endsWithItsContext,
	)
}

// population saves runs of a few types, statuses and start times, and lists
// what a query for all should, in order.
func (c *scene) population(n int) []store.Execution {
	c.Helper()
	types := []string{"A", "B", "a"}
	for i := range n {
		w := events.Workflow{Namespace: c.ns, ID: fmt.Sprintf("w%02d", i%9)}
		at := day(i % 5)
		c.save(store.NewExecution{Workflow: w, RunID: events.RunID(fmt.Sprintf("run-%02d", i)), Type: types[i%3], StartedAt: at, Tags: map[string]string{"i": fmt.Sprint(i)}})
		if to := store.Statuses()[i%8]; i+9 < n && events.IsOpen(to) {
			c.update(store.StateUpdate{Workflow: w, To: completed, At: at}) // the workflow has another run
		} else if to == continued {
			c.update(store.StateUpdate{Workflow: w, To: continued, At: at, Next: &store.NewExecution{RunID: events.RunID(fmt.Sprintf("next-%02d", i))}})
			if i+9 < n {
				c.update(store.StateUpdate{Workflow: w, To: timedOut, At: at})
			}
		} else if to != running {
			c.update(store.StateUpdate{Workflow: w, To: to, At: at})
		}
	}
	all := c.query(store.Query{Limit: store.MaxLimit})
	for _, x := range all {
		c.same("run "+string(x.RunID), c.load(x.Workflow, x.RunID).Execution, x)
	}
	if len(all) < n {
		c.Fatalf("%d runs are listed of at least %d", len(all), n)
	}
	if !slices.IsSortedFunc(all, order) {
		c.Error("the list is out of order")
	}
	return all
}

// order is that of a list, by plain code.
func order(a, b store.Execution) int {
	return cmp.Or(b.StartedAt.Compare(a.StartedAt), cmp.Compare(b.Workflow.ID, a.Workflow.ID), cmp.Compare(b.RunID, a.RunID))
}

func ids(list []store.Execution) []string {
	var out []string
	for _, x := range list {
		out = append(out, x.Workflow.ID+"/"+string(x.RunID))
	}
	return out
}

// combinesConditions asks for every combination of them, and compares with what
// plain code picks.
func combinesConditions(c *scene) {
	all := c.population(c.h.times(32))
	times := []time.Time{{}, day(-1), day(1), day(3), day(4).Add(time.Microsecond)}
	statuses, types := append(store.Statuses(), 0), []string{"", "A", "a", "C"}
	if c.h.Short {
		times, statuses, types = times[:3], statuses[5:], types[:2]
	}
	for _, workflowType := range types {
		for _, status := range statuses {
			for _, after := range times {
				for _, before := range times {
					var want []store.Execution
					for _, x := range all {
						if (workflowType == "" || x.Type == workflowType) && (status == 0 || x.Status == status) &&
							(after.IsZero() || !x.StartedAt.Before(after)) && (before.IsZero() || x.StartedAt.Before(before)) {
							want = append(want, x)
						}
					}
					q := store.Query{Type: workflowType, Status: status, StartedAfter: after, StartedBefore: before, Limit: store.MaxLimit}
					got := c.query(q)
					if !slices.Equal(ids(want), ids(got)) {
						c.Errorf("%+v: got %v, want %v", q, ids(got), ids(want))
					}
					if len(want) == 0 && got != nil {
						c.Errorf("%+v: not nil", q)
					}
				}
			}
		}
	}
}

func boundariesAreToTheMicrosecond(c *scene) {
	w := c.workflow()
	at := day(0).Add(500 * time.Nanosecond) // it is listed as at day(0)
	c.save(store.NewExecution{Workflow: w, StartedAt: at})
	zone := time.FixedZone("east", 3*60*60)
	for _, tt := range []struct {
		name          string
		after, before time.Time
		found         bool
	}{
		{"from that microsecond", day(0), time.Time{}, true},
		{"from that nanosecond", at, time.Time{}, true},
		{"what is below a microsecond counts for nothing", day(0).Add(999), time.Time{}, true},
		{"in another zone", day(0).In(zone), time.Time{}, true},
		{"a microsecond later", day(0).Add(time.Microsecond), time.Time{}, false},
		{"a microsecond earlier", day(0).Add(-time.Microsecond), time.Time{}, true},
		{"before that microsecond", time.Time{}, day(0), false},
		{"before its last nanosecond", time.Time{}, day(0).Add(999), false},
		{"before the next one", time.Time{}, day(0).Add(time.Microsecond), true},
		{"before the next one, in another zone", time.Time{}, day(0).Add(time.Microsecond).In(zone), true},
		{"in that microsecond", day(0), day(0).Add(time.Microsecond), true},
		{"in none", day(0), day(0), false},
		{"in an inverted range", day(1), day(-1), false},
		{"in all of time", time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC), true},
	} {
		if got := c.query(store.Query{StartedAfter: tt.after, StartedBefore: tt.before}); (len(got) == 1) != tt.found {
			c.Errorf("%s: %d executions", tt.name, len(got))
		}
	}
	for _, at := range []time.Time{time.Date(1, 1, 2, 0, 0, 0, 1000, time.UTC), time.Date(1969, 12, 31, 23, 59, 59, 999_999_999, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)} {
		w := c.workflow()
		c.save(store.NewExecution{Workflow: w, StartedAt: at})
		x := c.only(store.Query{StartedAfter: at, Type: "Order", StartedBefore: upTo(at)})
		if !x.StartedAt.Equal(at.Truncate(time.Microsecond)) || x.Workflow != w {
			c.Errorf("started at %s, listed as %s", at, x.StartedAt)
		}
	}
}

func pagesByLimitAndOffset(c *scene) {
	all := c.population(c.h.times(24))
	for _, limit := range []int{1, 2, 7, len(all), len(all) + 1, store.MaxLimit} {
		for offset := range len(all) + 3 {
			want := all[min(offset, len(all)):min(offset+limit, len(all))]
			if got := c.query(store.Query{Limit: limit, Offset: offset}); !slices.Equal(ids(want), ids(got)) {
				c.Errorf("limit %d, offset %d: got %v, want %v", limit, offset, ids(got), ids(want))
			}
		}
	}
	if got := c.query(store.Query{Offset: int(^uint(0) >> 1)}); got != nil {
		c.Errorf("far beyond the end: %v", ids(got))
	}
	for _, x := range c.query(store.Query{Type: "A", Limit: 1, Offset: 1}) {
		if x.Type != "A" {
			c.Errorf("a condition and an offset: %+v", x)
		}
	}
}

// listsInOneOrder: runs of one moment come by workflow id and run id, byte by
// byte and descending.
func listsInOneOrder(c *scene) {
	workflows := []string{"a", "B", "b", "_", "ä", "a b", "a-b", "ab", "A", "~", "Z", "aa", "10", "9", "é", "😀", "ﬀ", "a%", `a\`, "a'"}
	for i, id := range workflows {
		for _, run := range []events.RunID{"r", "R", "r2", "r10"} {
			w := events.Workflow{Namespace: c.ns, ID: id}
			c.save(store.NewExecution{Workflow: w, RunID: run, StartedAt: day(i % 2)})
			c.update(store.StateUpdate{Workflow: w, To: completed, At: day(1)})
		}
	}
	all := c.query(store.Query{Limit: store.MaxLimit})
	if len(all) != 4*len(workflows) || !slices.IsSortedFunc(all, order) {
		c.Errorf("%d runs in the order %v", len(all), ids(all))
	}
}

func hasADefaultLimit(c *scene) {
	w := c.workflow()
	for range store.DefaultLimit + 2 {
		c.save(store.NewExecution{Workflow: w, Events: []*events.Event{events.WorkflowCompleted()}})
	}
	if got := len(c.query(store.Query{})); got != store.DefaultLimit {
		c.Errorf("%d executions without a limit", got)
	}
	if got := len(c.query(store.Query{Limit: store.MaxLimit})); got != store.DefaultLimit+2 {
		c.Errorf("%d executions with the highest", got)
	}
}

// leavesOutDivisions: a run that Temporal's server has marked as its own is in no
// query, and is loaded as any other.
func leavesOutDivisions(c *scene) {
	mine, servers := c.workflow(), c.workflow()
	c.save(store.NewExecution{Workflow: mine})
	c.save(store.NewExecution{Workflow: servers})
	c.append(events.Request{Workflow: servers, Expect: events.AtEnd(), Events: []*events.Event{
		events.SearchAttributesUpserted(map[string]any{"TemporalNamespaceDivision": "TemporalScheduler"}),
	}})
	if x := c.only(store.Query{}); x.Workflow != mine {
		c.Errorf("%v is listed", x.Workflow)
	}
	if x := c.load(servers, "").Execution; x.Workflow != servers {
		c.Errorf("%v is loaded as %v", servers, x.Workflow)
	}
}

func keepsNamespacesApart(c *scene) {
	other := c.ns + "'"
	for _, ns := range []string{c.ns, other} {
		c.save(store.NewExecution{Workflow: events.Workflow{Namespace: ns, ID: "same"}, RunID: "same", Type: "T" + ns})
	}
	for _, ns := range []string{c.ns, other} {
		if x := c.only(store.Query{Namespace: ns}); x.Workflow.Namespace != ns || x.Type != "T"+ns {
			c.Errorf("%s: %+v", ns, x)
		}
	}
}

// seesItsOwnWrites asks after every write, of each kind.
func seesItsOwnWrites(c *scene) {
	for i := range c.h.times(40) {
		w := c.workflow()
		q := store.Query{Type: fmt.Sprintf("T%d", i)}
		run := c.save(store.NewExecution{Workflow: w, Type: q.Type, CommitID: "c"}).RunID
		if x := c.only(q); x.RunID != run || x.Status != running {
			c.Fatalf("saved, and listed as %+v", x)
		}
		c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: []*events.Event{events.Signaled("s")}})
		if x := c.only(q); x.HistoryLength != 2 {
			c.Fatalf("appended, and listed as %+v", x)
		}
		c.update(store.StateUpdate{Workflow: w, To: paused})
		if x := c.only(q); x.Status != paused {
			c.Fatalf("paused, and listed as %+v", x)
		}
		c.update(store.StateUpdate{Workflow: w, To: continued})
		if got := c.query(q); len(got) != 2 {
			c.Fatalf("continued, and listed as %v", ids(got))
		}
		// What it found existing counts too.
		another := &scene{T: c.T, h: c.h, store: c.h.Open(c.T, Options{}), ns: c.ns}
		if !another.save(store.NewExecution{Workflow: w, Type: q.Type, CommitID: "c"}).Existed {
			c.Fatal("saved twice")
		}
		if got := another.query(q); len(got) == 0 {
			c.Fatal("found, and not listed")
		}
	}
}

// waitsForOthersWrites: with the position of another handle's write, it is seen.
func waitsForOthersWrites(c *scene) {
	other := c.h.Open(c.T, Options{})
	for i := range c.h.times(24) {
		q := store.Query{Namespace: c.ns, Type: fmt.Sprintf("T%d", i)}
		res := c.save(store.NewExecution{Workflow: c.workflow(), Type: q.Type})
		q.After = res.Vector()
		got, err := other.Query(c.ctx(), q)
		if err != nil || len(got) != 1 || got[0].RunID != res.RunID {
			c.Fatalf("after %s: %v, %v", res.Position, ids(got), err)
		}
	}
}

func saysThatItIsBehind(c *scene) {
	res := c.save(store.NewExecution{Workflow: c.workflow()})
	c.query(store.Query{})
	short := c.h.Open(c.T, Options{Wait: 1500 * time.Millisecond})
	never := events.Position{Partition: res.Position.Partition, Sequence: 1 << 40}
	_, err := short.Query(c.ctx(), store.Query{Namespace: c.ns, After: events.VectorOf(res.Position, never)})
	e := refused[*store.BehindError](c, "a position that is not there", err, store.ErrBehind)
	if !errors.Is(err, context.DeadlineExceeded) || len(e.Behind) != 1 || e.Behind[0].Wanted != never || e.Behind[0].Reached < res.Position.Sequence {
		c.Errorf("behind: %+v", e)
	}
	if text := err.Error(); !strings.Contains(text, never.String()) {
		c.Errorf("behind: %s", text)
	}
	// The next one does not wait for it.
	if got, err := short.Query(c.ctx(), store.Query{Namespace: c.ns}); err != nil || len(got) != 1 {
		c.Errorf("afterwards: %v, %v", ids(got), err)
	}
}

func endsWithItsContext(c *scene) {
	res := c.save(store.NewExecution{Workflow: c.workflow()})
	ctx, cancel := context.WithCancel(c.ctx())
	cancel()
	if _, err := c.store.Query(ctx, store.Query{Namespace: c.ns}); !errors.Is(err, context.Canceled) {
		c.Errorf("query: %v", err)
	}
	if _, err := c.h.Open(c.T, Options{}).Query(ctx, store.Query{Namespace: c.ns}); !errors.Is(err, context.Canceled) {
		c.Errorf("query of a handle that wrote nothing: %v", err)
	}
	if _, err := c.store.LoadExecution(ctx, res.Cursor.Workflow(), ""); !errors.Is(err, context.Canceled) {
		c.Errorf("load: %v", err)
	}
}

// upTo is an end of a range that a microsecond lies in, if there is one.
func upTo(t time.Time) time.Time {
	end := t.Truncate(time.Microsecond).Add(time.Microsecond)
	if end.Year() > 9999 {
		return time.Time{}
	}
	return end
}
