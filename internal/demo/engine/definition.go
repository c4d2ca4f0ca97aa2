package engine

import (
	"context"
	"slices"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/annals-io/annals/pkg/events"
)

// Workflow is a kind of workflow: a name, and the function that decides. The
// function MUST be deterministic, see the package's doc. If it returns an
// error the run fails, is canceled (ErrCanceled) or continues (ContinueAsNew).
type Workflow[In, Out any] struct {
	Name string
	Run  func(ctx *Context, in In) (Out, error)
}

// Activity is a kind of activity: what touches the world. Its function may be
// called again for the same event, on a later attempt or after a crash, and
// MUST bear it.
type Activity[In, Out any] struct {
	Name string
	// StartToClose is how long one attempt may take; 0: 10 s.
	StartToClose time.Duration
	// Heartbeat is how often an attempt is to record one at least: for those
	// who watch, and for a worker that takes over the last attempt there may
	// be; 0: it records none.
	Heartbeat time.Duration
	Retry     Retry
	Run       func(ctx context.Context, in In) (Out, error)
}

// Retry says when a failed attempt is followed by another one.
type Retry struct {
	InitialInterval time.Duration // before the second attempt; 0: 50 ms
	Coefficient     float64       // by which the interval grows; 0: 2
	MaximumInterval time.Duration // 0: 100 times the first
	// MaximumAttempts is how many there are at most; 0: no limit. An attempt
	// whose worker died counts if it has recorded a heartbeat: if it was the
	// last one, the activity times out when the next heartbeat is overdue. Of
	// one that has recorded none nobody knows, and the next worker begins again
	// with the first.
	MaximumAttempts int32
	// Final are types of errors after which there is none, as FailureType
	// names them.
	Final []string
}

func (r Retry) policy() *commonpb.RetryPolicy {
	if r.InitialInterval == 0 {
		r.InitialInterval = 50 * time.Millisecond
	}
	if r.Coefficient == 0 {
		r.Coefficient = 2
	}
	if r.MaximumInterval == 0 {
		r.MaximumInterval = 100 * r.InitialInterval
	}
	return &commonpb.RetryPolicy{
		InitialInterval: durationpb.New(r.InitialInterval), BackoffCoefficient: r.Coefficient, MaximumInterval: durationpb.New(r.MaximumInterval),
		MaximumAttempts: r.MaximumAttempts, NonRetryableErrorTypes: slices.Clone(r.Final),
	}
}

// interval is the pause after an attempt, from 1.
func interval(p *commonpb.RetryPolicy, attempt int32) time.Duration {
	d, longest := p.GetInitialInterval().AsDuration(), p.GetMaximumInterval().AsDuration()
	for range attempt - 1 {
		if d = time.Duration(float64(d) * p.GetBackoffCoefficient()); d >= longest {
			return longest
		}
	}
	return min(d, longest)
}

// Definition is a Workflow or an Activity, of whatever types.
type Definition interface{ register(r *Registry) }

func (w Workflow[In, Out]) register(r *Registry) {
	r.workflows[w.Name] = func(ctx *Context, input *commonpb.Payloads) (any, error) {
		in, err := decode[In](input)
		if err != nil {
			return nil, err
		}
		return w.Run(ctx, in)
	}
}

func (a Activity[In, Out]) register(r *Registry) {
	r.activities[a.Name] = func(ctx context.Context, input *commonpb.Payloads) (any, error) {
		in, err := decode[In](input)
		if err != nil {
			return nil, err
		}
		return a.Run(ctx, in)
	}
}

// decode is the one value of the payloads, or the zero value of none.
func decode[T any](p *commonpb.Payloads) (v T, err error) {
	if len(p.GetPayloads()) > 0 {
		err = events.Value(p.GetPayloads()[0], &v)
	}
	return v, err
}

// Registry is the code that a worker has, by name. It is not changed after
// NewRegistry, and safe for concurrent use.
type Registry struct {
	workflows  map[string]func(*Context, *commonpb.Payloads) (any, error)
	activities map[string]func(context.Context, *commonpb.Payloads) (any, error)
}

// Knows reports whether there is code for workflows of that type.
func (r *Registry) Knows(workflowType string) bool { return r.workflows[workflowType] != nil }

// NewRegistry knows what it is given; of two with the same name the last one.
func NewRegistry(all ...Definition) *Registry {
	r := &Registry{
		workflows:  map[string]func(*Context, *commonpb.Payloads) (any, error){},
		activities: map[string]func(context.Context, *commonpb.Payloads) (any, error){},
	}
	for _, d := range all {
		d.register(r)
	}
	return r
}
