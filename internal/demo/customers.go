package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/internal/demo/engine"
	"github.com/annals-io/annals/internal/demo/workflows"
	"github.com/annals-io/annals/pkg/events"
)

// identity is what the customers' events say they come from.
const identity = "annals demo"

// customers are who the workflows are for: what they order, and how they change
// their minds. They are the same for the same seed.
type customers struct {
	namespace string // of their workflows
	starts    []start
	// wishes are at most one a workflow.
	wishes map[events.Workflow]wish
}

// start opens a workflow.
type start struct {
	workflow events.Workflow
	do       func(ctx context.Context, log events.Appender, w events.Workflow, o engine.StartOptions) (events.Result, error)
}

// wish is something that a customer, or the shop, does to an open workflow.
type wish struct {
	// after is the search attribute whose being set it follows; empty: the
	// first workflow task.
	after string
	event func() *events.Event
}

// follows reports whether the wish is due once e has happened.
func (w wish) follows(e *events.Event) bool {
	if w.after == "" {
		return e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
	}
	return e.GetUpsertWorkflowSearchAttributesEventAttributes().GetSearchAttributes().GetIndexedFields()[w.after] != nil
}

var (
	people    = []string{"ada", "barbara", "claude", "donald", "edsger", "frances", "grace", "hedy", "ivan", "jean", "katherine", "leslie"}
	goods     = []string{"desk-lamp", "teapot", "umbrella", "notebook", "headphones", "rain-jacket", "espresso-cup", "backpack"}
	plans     = []string{"basic", "family", "studio"}
	suppliers = []string{"northwind", "tailspin", "fabrikam", "contoso", "wingtip"}
)

// newCustomers are those of a seed, with n workflows in the namespace.
func newCustomers(n int, seed uint64, namespace string) customers {
	r := rand.New(rand.NewPCG(seed, 0x616e6e616c73))
	c := customers{namespace: namespace, wishes: map[events.Workflow]wish{}}
	number := 10_000 + r.IntN(80_000) // of the first order, invoice and delivery
	for i := range n {
		switch {
		case i%10 < 6:
			c.order(r, number+i)
		case i%10 < 9:
			c.subscription(r, number+i)
		default:
			c.batch(r, number+i)
		}
	}
	return c
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func (c *customers) named(kind string, number int) events.Workflow {
	return events.Workflow{Namespace: c.namespace, ID: fmt.Sprintf("%s-%d", kind, number)}
}

func (c *customers) order(r *rand.Rand, number int) {
	w := c.named("order", number)
	o := workflows.OrderRequest{
		Customer: pick(r, people), Cents: int64(1900 + 100*r.IntN(200)), Card: fmt.Sprintf("**** %04d", r.IntN(10_000)),
	}
	for range 1 + r.IntN(3) {
		o.Items = append(o.Items, workflows.Item{SKU: pick(r, goods), Quantity: 1 + r.IntN(3)})
	}
	switch n := r.IntN(100); {
	case n < 4: // looks like fraud, and is
		o.Review = true
		c.wishes[w] = wish{event: func() *events.Event { return events.WorkflowTerminated("fraud: the card is reported stolen") }}
	case n < 14: // looks like it, and is not
		o.Review = true
		c.wishes[w] = wish{event: func() *events.Event {
			return events.Signaled(workflows.SignalReviewed, workflows.Review{By: "back office"})
		}}
	case n < 24:
		c.wishes[w] = wish{after: workflows.AttributeOrderStatus, event: func() *events.Event {
			return events.Signaled(workflows.SignalCancelOrder, workflows.Cancellation{Reason: "ordered the wrong size"})
		}}
	}
	begin(c, w, workflows.Order, o)
}

func (c *customers) subscription(r *rand.Rand, number int) {
	w := c.named("subscription", number)
	s := workflows.SubscriptionTerms{
		Customer: fmt.Sprintf("%s-%d", pick(r, people), number), Plan: pick(r, plans), Cents: int64(490 + 500*r.IntN(5)), Card: fmt.Sprintf("**** %04d", r.IntN(10_000)),
		Month: time.Duration(500+50*r.IntN(9)) * time.Millisecond, Period: 1, Periods: 2 + r.IntN(4),
	}
	switch n := r.IntN(100); {
	case n < 10:
		c.wishes[w] = wish{after: workflows.AttributePaidPeriods, event: func() *events.Event {
			return events.Signaled(workflows.SignalUnsubscribe, workflows.Cancellation{Reason: "not used enough"})
		}}
	case n < 22:
		c.wishes[w] = wish{after: workflows.AttributePaidPeriods, event: func() *events.Event { return events.CancelRequested("the account was closed") }}
	}
	begin(c, w, workflows.Subscription, s)
}

func (c *customers) batch(r *rand.Rand, number int) {
	begin(c, c.named("batch", number), workflows.Batch, workflows.BatchRequest{Supplier: fmt.Sprintf("%s-%d", pick(r, suppliers), number), Files: 3 + r.IntN(3)})
}

func begin[In, Out any](c *customers, w events.Workflow, kind engine.Workflow[In, Out], in In) {
	c.starts = append(c.starts, start{workflow: w, do: func(ctx context.Context, log events.Appender, w events.Workflow, o engine.StartOptions) (events.Result, error) {
		return engine.Start(ctx, log, w, kind, in, o)
	}})
}

// begin starts the workflow. It may be repeated.
func (s start) begin(ctx context.Context, log events.Appender) error {
	_, err := s.do(ctx, log, s.workflow, engine.StartOptions{TaskQueue: workflows.TaskQueue, CommitID: events.CommitID("start of " + s.workflow.ID), Identity: identity})
	if err != nil {
		return fmt.Errorf("start %s: %w", s.workflow.ID, err)
	}
	return nil
}

// express does what is wished, if the workflow has not ended meanwhile.
func (w wish) express(ctx context.Context, log events.Appender, workflow events.Workflow) error {
	_, err := log.Append(ctx, events.Request{Workflow: workflow, Expect: events.AtEnd(), Events: []*events.Event{w.event()}})
	if err != nil && !errors.Is(err, events.ErrClosed) {
		return fmt.Errorf("%s: %w", workflow.ID, err)
	}
	return nil
}
