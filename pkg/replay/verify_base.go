package replay

import (
	"context"
	"errors"
	"fmt"

	"github.com/annals-io/annals/pkg/events"
)

// base is what a run is after the events of its base.
type base struct {
	status events.Status
	size   int64
	wrong  string // what does not hold, empty if all does
}

// base reads the base of a run that begins in c; nil if it has none.
func (v *verifying) base(ctx context.Context, c *events.Commit) (*base, error) {
	if c.Base == nil {
		return nil, nil
	}
	b := &base{}
	workflowType := ""
	for e, err := range v.log.BaseEvents(ctx, c) {
		if errors.Is(err, events.ErrCorrupt) {
			b.wrong = err.Error()
			return b, nil
		}
		if err != nil {
			return nil, err
		}
		if a := e.GetWorkflowExecutionStartedEventAttributes(); a != nil {
			workflowType = a.GetWorkflowType().GetName()
		}
		b.status = events.StatusAfter(b.status, e)
		b.size += events.StoredSize(e)
	}
	switch {
	case !events.IsOpen(b.status):
		b.wrong = fmt.Sprintf("it begins with run %s up to event %d, which closes that run", c.Base.Run, c.Base.Event)
	case workflowType != c.Run.Type:
		b.wrong = fmt.Sprintf("it is of type %q, and begins with a run of type %q", c.Run.Type, workflowType)
	}
	return b, nil
}
