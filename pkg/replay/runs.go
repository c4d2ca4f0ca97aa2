package replay

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/pkg/events"
)

// ListedRun is a run as the envelopes of its commits tell of it.
type ListedRun struct {
	Workflow    events.Workflow
	Run         events.RunID
	Type        string // of the workflow
	Status      events.Status
	LastEventID events.EventID
	first       uint64 // sequence of the commit in which it began
}

// RunFilter says which runs are listed.
type RunFilter struct {
	Namespace string // empty: all
	Type      string // of the workflow; empty: all
	Closed    bool   // closed runs, too
	// Progress, if set, is told now and then about messages that were read, by
	// several goroutines.
	Progress func(messages int)
}

// Runs lists runs from the log, by workflow and in the order in which they
// began: those that are open, or all. It reads every partition once, up to where
// it ends when its turn comes, without decoding an event, and needs memory for
// the runs that are listed. Messages that are no commits are passed over: reading
// such a workflow says what is wrong with it.
func Runs(ctx context.Context, log events.Source, f RunFilter) ([]ListedRun, error) {
	if f.Progress == nil {
		f.Progress = func(int) {}
	}
	var (
		all []ListedRun
		mu  sync.Mutex // guards all
	)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for p := range events.Partition(log.Identity().Map.Partitions()) {
		g.Go(func() error {
			l := listing{filter: f, runs: map[events.Workflow][]ListedRun{}}
			if err := l.partition(ctx, log, p); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			for _, runs := range l.runs {
				all = append(all, runs...)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b ListedRun) int {
		return cmp.Or(strings.Compare(a.Workflow.Namespace, b.Workflow.Namespace), strings.Compare(a.Workflow.ID, b.Workflow.ID), cmp.Compare(a.first, b.first))
	})
	return all, nil
}

// listing is the runs of one partition so far.
type listing struct {
	filter RunFilter
	runs   map[events.Workflow][]ListedRun
}

// stride is after how many messages progress is told.
const stride = 1000

func (l *listing) partition(ctx context.Context, log events.Source, p events.Partition) error {
	last, _, err := events.LastMessage(ctx, log, p)
	if err != nil || last.Position.Sequence == 0 {
		return err
	}
	n := 0
	for m, err := range log.Follow(ctx, p, events.FollowOptions{Until: last.Position.Sequence}) {
		if err != nil {
			return err
		}
		if n++; n%stride == 0 {
			l.filter.Progress(stride)
		}
		if c, err := events.Decode(m); err == nil && (l.filter.Namespace == "" || c.Workflow.Namespace == l.filter.Namespace) {
			l.commit(c)
		}
	}
	l.filter.Progress(n % stride)
	return nil
}

func (l *listing) commit(c *events.Commit) {
	runs := l.runs[c.Workflow]
	if c.Kind == events.KindVoid {
		// What began behind the last commit that holds never began.
		valid := uint64(0)
		if len(c.Back) > 0 {
			valid = c.Back[0]
		}
		runs = slices.DeleteFunc(runs, func(r ListedRun) bool { return r.first > valid })
		if c.Run.Run != "" {
			runs = l.segment(runs, c, &c.Run, c.Run.RunFirst)
		}
	} else {
		if c.Closed != nil {
			runs = l.segment(runs, c, c.Closed, c.Closed.RunFirst)
		}
		if c.Kind == events.KindEvents {
			runs = l.segment(runs, c, &c.Run, c.Run.RunFirst)
		}
	}
	if len(runs) == 0 {
		delete(l.runs, c.Workflow)
		return
	}
	l.runs[c.Workflow] = runs
}

// segment notes what a commit says of a run.
func (l *listing) segment(runs []ListedRun, c *events.Commit, s *events.Segment, first uint64) []ListedRun {
	i, is := place(runs, s.Run, first)
	if !l.filter.Closed && !events.IsOpen(s.After) || l.filter.Type != "" && s.Type != l.filter.Type {
		if is {
			runs = slices.Delete(runs, i, i+1)
		}
		return runs
	}
	r := ListedRun{Workflow: c.Workflow, Run: s.Run, Type: s.Type, Status: s.After, LastEventID: s.Last, first: first}
	if is {
		runs[i] = r
		return runs
	}
	return slices.Insert(runs, i, r)
}

// place is where a run is among those of a workflow, or belongs. They are in the
// order in which they began, and what a commit is about is the last of them or
// close to it: it is sought from the end.
func place(runs []ListedRun, run events.RunID, first uint64) (i int, is bool) {
	for i = len(runs); i > 0 && runs[i-1].first >= first; i-- {
		if runs[i-1].first == first && runs[i-1].Run == run {
			return i - 1, true
		}
	}
	for i < len(runs) && runs[i].first == first {
		i++
	}
	return i, false
}
