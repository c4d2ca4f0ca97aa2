package bulk

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/annals-io/annals/pkg/events"
)

// Shop are the runs of a shop's workflows over some time, of several types and in
// all states: what a support desk looks through. They are all different, and the
// same each time.
type Shop struct {
	// Prefix begins the workflow ids.
	Prefix string
	// Begin is when the first run starts, and Every how long after it the next.
	Begin time.Time
	Every time.Duration
}

// What the runs of a shop have in common, and how many have it.
const (
	RunsOfCustomer = 8   // have one CustomerId
	FailedOf100    = 6   // runs, half of them by a timeout
	ChargingOf100  = 2   // are open, with the activity Charge pending
	StuckOf1000    = 12  // are open, with a workflow task that failed
	OpenOf1000     = 132 // runs, those among them
)

// types of workflows; half of the runs are of the first.
var types = [...]string{"Order", "Order", "Order", "Order", "Order", "Subscription", "Subscription", "Refund", "Shipment", "Report"}

// regions, one a customer.
var regions = [...]string{"north", "east", "south", "west"}

// Workflow is the id of the i-th run's workflow.
func (s Shop) Workflow(i int) events.Workflow {
	return events.Workflow{Namespace: "default", ID: fmt.Sprintf("%s-%08d", s.Prefix, i)}
}

// Customer is the i-th run's CustomerId.
func (s Shop) Customer(i int) string { return fmt.Sprintf("%s-%07d", s.Prefix, i/RunsOfCustomer) }

// Start is when the i-th run starts.
func (s Shop) Start(i int) time.Time { return s.Begin.Add(time.Duration(i) * s.Every) }

// Run begins the i-th run and brings it as far as it gets, in one commit.
func (s Shop) Run(i int) events.Request {
	const worker = "worker-1@host"
	list := []*events.Event{
		events.WorkflowStarted(types[i%len(types)], "shop", map[string]any{"items": i % 7}),
		events.WorkflowTaskScheduled("shop"),
		events.WorkflowTaskStarted(2, worker),
		events.WorkflowTaskCompleted(2, 3, worker),
		events.SearchAttributesUpserted(map[string]any{"CustomerId": s.Customer(i), "Region": regions[i/RunsOfCustomer%len(regions)]}),
	}
	// What becomes of a run has nothing to do with its type.
	n := i / len(types) * 7919 % 1000
	switch {
	case n < 10*FailedOf100:
		err := errors.New("charge: card declined")
		if n%2 == 0 {
			err = errors.New("charge: timeout of bank-7")
		}
		list = append(list, events.WorkflowFailed(err))
	case n < 10*FailedOf100+10*ChargingOf100:
		list = append(list, events.ActivityScheduled("charge", "Charge", i), events.ActivityStarted(6, 1, worker))
	case n < 10*FailedOf100+10*ChargingOf100+StuckOf1000:
		list = append(list, events.Signaled("paid"), events.WorkflowTaskScheduled("shop"), events.WorkflowTaskStarted(7, worker),
			events.WorkflowTaskFailed(7, 8, errors.New("nil pointer dereference")))
	case n < 10*FailedOf100+OpenOf1000:
		list = append(list, events.TimerStarted("renew", 720*time.Hour))
	case n%50 == 0:
		list = append(list, events.WorkflowTerminated("by the customer"))
	default:
		list = append(list, events.WorkflowCompleted("receipt"))
	}
	events.DecidedBy(4, list[4:]...)
	start := s.Start(i)
	for k, e := range list {
		e.EventTime = timestamppb.New(start.Add(time.Duration(k) * time.Second))
	}
	return events.Request{Workflow: s.Workflow(i), Expect: events.NewRun(), Events: list}
}
