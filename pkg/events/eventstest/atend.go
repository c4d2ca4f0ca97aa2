package eventstest

import (
	"errors"
	"fmt"
	"sync"

	historypb "go.temporal.io/api/history/v1"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/pkg/events"
)

func atEndCases() []testCase {
	return append(named(atEndOfARunIsRefusedOnceItIsClosed, atEndFollowsToTheNewestRun, atEndRefusesReferencesToItself),
		testCase{"thirty two writers of the newest run", func(c *scene) { manyWriters(c, false) }},
		testCase{"thirty two writers of one run", func(c *scene) { manyWriters(c, true) }},
	)
}

func manyWriters(c *scene, named bool) {
	const writers = 32
	each := c.h.times(4)
	w := c.workflow("w")
	first := c.start(w)
	expect := events.AtEnd()
	if named {
		expect = events.AtEndOf(first.RunID)
	}
	results := make([][]events.Result, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for j := range each {
				res, err := c.log.Append(c.ctx(), events.Request{
					Workflow: w, Expect: expect, Events: signals(j%2+1, fmt.Sprintf("%d/%d", i, j)),
				})
				if err != nil {
					c.Errorf("writer %d, append %d: %v", i, j, err)
					return
				}
				results[i] = append(results[i], res)
			}
		})
	}
	wg.Wait()
	if c.Failed() {
		return
	}
	commits := c.commits(w)
	if len(commits) != 1+writers*each {
		c.Fatalf("%d commits, want %d", len(commits), 1+writers*each)
	}
	at := map[events.CommitID]*events.Commit{}
	for _, commit := range commits[1:] {
		if at[commit.ID] != nil {
			c.Errorf("commit %s stands at %s and at %s", commit.ID, at[commit.ID].Position, commit.Position)
		}
		at[commit.ID] = commit
	}
	for i := range writers {
		for j, res := range results[i] {
			commit := at[res.CommitID]
			if commit == nil || commit.Position != res.Position || commit.Run.First != res.FirstEventID || commit.Run.Last != res.LastEventID || commit.Run.Run != first.RunID {
				c.Fatalf("writer %d, append %d was told %+v, the log holds %+v", i, j, res, commit)
			}
			if j > 0 && res.Position.Sequence <= results[i][j-1].Position.Sequence {
				c.Errorf("writer %d: append %d lies before append %d", i, j, j-1)
			}
		}
	}
}

func atEndOfARunIsRefusedOnceItIsClosed(c *scene) {
	w := c.workflow("w")
	one := c.start(w, completed())
	two := c.start(w)
	got := refused[*events.ClosedError](c, events.Request{Workflow: w, Expect: events.AtEndOf(one.RunID), Events: signals(1, "s")}, events.ErrClosed)
	c.same("the newest run's cursor", two.Cursor, got.Actual)
	missing := refused[*events.NotFoundError](c, events.Request{Workflow: w, Expect: events.AtEndOf("never"), Events: signals(1, "s")}, events.ErrNotFound)
	if missing.Run != "never" {
		c.Errorf("error is %+v", missing)
	}
	c.append(events.Request{Workflow: w, Expect: events.AtEndOf(two.RunID), Events: signals(1, "s")})
}

func atEndFollowsToTheNewestRun(c *scene) {
	w := c.workflow("w")
	c.start(w, completed())
	two := c.start(w)
	res := c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "s")})
	if res.RunID != two.RunID || res.FirstEventID != 2 {
		c.Errorf("result is %+v", res)
	}
	// A writer may close the run and begin the next one where it ends.
	res = c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: list(terminated(), started("T"))})
	if res.RunID == two.RunID || res.FirstEventID != 1 {
		c.Errorf("result is %+v", res)
	}
}

func atEndRefusesReferencesToItself(c *scene) {
	w := c.workflow("w")
	c.start(w) // event 1
	scheduled := &events.Event{EventType: enumspb.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED}
	taskStarted := func(id int64) *events.Event {
		return &events.Event{
			EventType: enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED,
			Attributes: &historypb.HistoryEvent_WorkflowTaskStartedEventAttributes{
				WorkflowTaskStartedEventAttributes: &historypb.WorkflowTaskStartedEventAttributes{ScheduledEventId: id},
			},
		}
	}
	got := refused[*events.InvalidError](c, events.Request{Workflow: w, Expect: events.AtEnd(), Events: list(scheduled, taskStarted(2))}, events.ErrInvalid)
	if got.Field != "events[1].workflowTaskStartedEventAttributes.scheduledEventId" {
		c.Errorf("field is %q", got.Field)
	}
	// To an earlier event it may refer, and under an expectation with ids to anything.
	c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: list(scheduled, taskStarted(1))})
	res := c.append(events.Request{Workflow: w, Expect: events.AfterEvent(c.commits(w)[0].Run.Run, 3), Events: list(scheduled, taskStarted(4))})
	// With ids of its own, too: it can only be stored where they are right.
	c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: numbered(6, list(scheduled, taskStarted(6)))})

	// What points into another workflow's history is no reference to this one.
	canceled := &events.Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionCancelRequestedEventAttributes{
			WorkflowExecutionCancelRequestedEventAttributes: &historypb.WorkflowExecutionCancelRequestedEventAttributes{ExternalInitiatedEventId: 4711},
		},
	}
	if _, err := c.log.Append(c.ctx(), events.Request{Workflow: w, Expect: events.AtEndOf(res.RunID), Events: list(canceled)}); err != nil {
		c.Errorf("a cancel request that another workflow's event 4711 initiated: %v", err)
	}
	if _, err := c.log.Append(c.ctx(), events.Request{Workflow: w, Expect: events.AtEnd(), Events: numbered(3, signals(1, "s"))}); !errors.Is(err, events.ErrInvalid) {
		c.Errorf("ids that are not at the end gave %v", err)
	}
}
