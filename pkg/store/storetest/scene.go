package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	enumspb "go.temporal.io/api/enums/v1"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/store"
)

const (
	running    = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
	paused     = enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED
	completed  = enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
	failed     = enumspb.WORKFLOW_EXECUTION_STATUS_FAILED
	canceled   = enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED
	terminated = enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED
	continued  = enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW
	timedOut   = enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT
)

// scene is one case under way: a handle, and a namespace that nobody else uses.
type scene struct {
	*testing.T
	h     Harness
	store store.Store
	ns    string
	made  int
}

func newScene(t *testing.T, h Harness) *scene {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r
		}
		return '-'
	}, strings.ToLower(t.Name()))
	return &scene{T: t, h: h, store: h.Open(t, Options{}), ns: fmt.Sprintf("%s-%016x", name[max(0, len(name)-60):], rand.Uint64())}
}

func (c *scene) ctx() context.Context { return c.Context() }

// workflow is one that there is not yet.
func (c *scene) workflow() events.Workflow {
	c.made++
	return events.Workflow{Namespace: c.ns, ID: fmt.Sprintf("w%03d", c.made)}
}

// day is a moment to the microsecond, so many hours after a certain one.
func day(hours int) time.Time {
	return time.Date(2026, 3, 1, 12, 30, 15, 123_456_000, time.UTC).Add(time.Duration(hours) * time.Hour)
}

// save starts a run, and it must succeed.
func (c *scene) save(n store.NewExecution) events.Result {
	c.Helper()
	if n.Type == "" {
		n.Type = "Order"
	}
	res, err := c.store.SaveExecution(c.ctx(), n)
	if err != nil {
		c.Fatalf("save %s: %v", n.Workflow, err)
	}
	return res
}

func (c *scene) append(r events.Request) events.Result {
	c.Helper()
	res, err := c.store.AppendEvents(c.ctx(), r)
	if err != nil {
		c.Fatalf("append to %s: %v", r.Workflow, err)
	}
	return res
}

func (c *scene) update(u store.StateUpdate) events.Result {
	c.Helper()
	res, err := c.store.UpdateState(c.ctx(), u)
	if err != nil {
		c.Fatalf("update of %s to %s: %v", u.Workflow, u.To, err)
	}
	return res
}

func (c *scene) load(w events.Workflow, run events.RunID) store.Loaded {
	c.Helper()
	l, err := c.store.LoadExecution(c.ctx(), w, run)
	if err != nil {
		c.Fatalf("load %s: %v", w, err)
	}
	return l
}

func (c *scene) query(q store.Query) []store.Execution {
	c.Helper()
	if q.Namespace == "" {
		q.Namespace = c.ns
	}
	list, err := c.store.Query(c.ctx(), q)
	if err != nil {
		c.Fatalf("query: %v", err)
	}
	return list
}

// only is the one execution that the query finds.
func (c *scene) only(q store.Query) store.Execution {
	c.Helper()
	list := c.query(q)
	if len(list) != 1 {
		c.Fatalf("the query finds %d executions, want one", len(list))
	}
	return list[0]
}

// runs are the runs of the namespace as a query lists them.
func (c *scene) runs() []events.RunID {
	c.Helper()
	var runs []events.RunID
	for _, x := range c.query(store.Query{}) {
		runs = append(runs, x.RunID)
	}
	return runs
}

// events are those of a run.
func (c *scene) events(w events.Workflow, o events.ReadOptions) []*events.Event {
	c.Helper()
	var list []*events.Event
	for e, err := range c.store.History(c.ctx(), w, o) {
		if err != nil {
			c.Fatalf("history of %s: %v", w, err)
		}
		list = append(list, e)
	}
	return list
}

// types are those of a run's events.
func (c *scene) types(w events.Workflow, run events.RunID) []string {
	c.Helper()
	var list []string
	for i, e := range c.events(w, events.ReadOptions{Run: run}) {
		if e.EventId != int64(i)+1 {
			c.Errorf("event %d of %s has id %d", i+1, w, e.EventId)
		}
		list = append(list, e.EventType.String())
	}
	return list
}

// same fails with the difference.
func (c *scene) same(what string, want, got any) {
	c.Helper()
	if diff := cmp.Diff(want, got, protocmp.Transform(), cmpopts.EquateEmpty(), cmpopts.EquateErrors(), cmp.AllowUnexported()); diff != "" {
		c.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// refused checks that an error is want, and gives it as E.
func refused[E error](c *scene, what string, err, want error) E {
	c.Helper()
	var e E
	if !errors.Is(err, want) || !errors.As(err, &e) {
		c.Fatalf("%s: got %v, want %v as %T", what, err, want, e)
	}
	return e
}

// names checks that an error is about bad input, in this field.
func (c *scene) names(what string, err error, field string) {
	c.Helper()
	var e *events.InvalidError
	if !errors.Is(err, events.ErrInvalid) || !errors.As(err, &e) || e.Field != field || e.Reason == "" {
		c.Errorf("%s: got %v, want what is wrong with %s", what, err, field)
	}
}

// nothing checks that the log and the tables know nothing of a workflow.
func (c *scene) nothing(w events.Workflow) {
	c.Helper()
	_, err := c.store.LoadExecution(c.ctx(), w, "")
	if e := refused[*events.NotFoundError](c, "load", err, events.ErrNotFound); e.Workflow != w {
		c.Errorf("load says that %s is not there, not %s", e.Workflow, w)
	}
	for _, x := range c.query(store.Query{Namespace: w.Namespace}) {
		if x.Workflow == w {
			c.Errorf("a query lists run %s of %s", x.RunID, w)
		}
	}
}
