package demo

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/internal/demo/engine"
	"github.com/annals-io/annals/internal/demo/workflows"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution/wellformed"
)

// readHistories checks every run of the workflows.
func readHistories(ctx context.Context, log events.Reader, all []events.Workflow) (Histories, error) {
	code := workflows.Registry()
	var mu sync.Mutex // guards h
	var h Histories
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for _, w := range all {
		g.Go(func() error {
			runs, err := runsOf(ctx, log, w)
			if err != nil {
				return fmt.Errorf("read %s: %w", w.ID, err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, r := range runs {
				h.check(code, w, r)
			}
			return nil
		})
	}
	err := g.Wait()
	slices.SortStableFunc(h.Faults, func(a, b Fault) int { return cmp.Compare(a.Workflow.ID, b.Workflow.ID) })
	return h, err
}

// run is a run with its whole history.
type run struct {
	id      events.RunID
	history []*events.Event
}

func runsOf(ctx context.Context, log events.Reader, w events.Workflow) (runs []run, err error) {
	for c, err := range log.Commits(ctx, w) {
		if err != nil {
			return nil, err
		}
		segments, err := c.Segments()
		if err != nil {
			return nil, err
		}
		for _, s := range segments {
			if s.Opens() {
				runs = append(runs, run{id: s.Run})
			}
			last := &runs[len(runs)-1]
			last.history = append(last.history, s.Events...)
		}
	}
	return runs, nil
}

func (h *Histories) check(code *engine.Registry, w events.Workflow, r run) {
	fault := func(kind, format string, args ...any) {
		h.Faults = append(h.Faults, Fault{Kind: kind, Workflow: w, Run: r.id, Detail: fmt.Sprintf(format, args...)})
	}
	h.Runs++
	for _, v := range wellformed.Check(slices.Values(r.history)) {
		fault(FaultForm, "%s", v)
	}
	if _, err := code.Decide(w, r.id, r.history, time.Now()); err != nil {
		fault(FaultCode, "%v", err)
	} else {
		h.Replayed++
	}
	ids, tasks := map[string]int64{}, map[string]int64{}
	for _, e := range r.history {
		if a := e.GetActivityTaskStartedEventAttributes(); a.GetAttempt() > 1 {
			h.Retried++
			if a.GetLastFailure().GetTimeoutFailureInfo().GetTimeoutType() == enumspb.TIMEOUT_TYPE_HEARTBEAT {
				h.TakenOver++
			}
		}
		a := e.GetActivityTaskScheduledEventAttributes()
		if a == nil {
			continue
		}
		h.Activities++
		// No workflow of the demo asks for the same twice in a run.
		task := a.GetActivityType().GetName()
		for _, p := range a.GetInput().GetPayloads() {
			task += "\x00" + string(p.GetData())
		}
		if first := ids[a.GetActivityId()]; first != 0 {
			fault(FaultTwice, "activity id %s at event %d and at %d", a.GetActivityId(), first, e.GetEventId())
		} else if first := tasks[task]; first != 0 {
			fault(FaultTwice, "%s with the same input at event %d and at %d", a.GetActivityType().GetName(), first, e.GetEventId())
		}
		ids[a.GetActivityId()], tasks[task] = e.GetEventId(), e.GetEventId()
	}
}
