package engine

import (
	"context"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/pkg/replay"
)

// Code is the workflows' code as replay.Check asks for it: what it decides in a
// task is what Decide says of the history before that task.
func (r *Registry) Code() replay.Code {
	return func(_ context.Context, t replay.Task) ([]*replay.Command, error) {
		known := t.History
		if n := len(known); n > 1 && known[n-1].GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED {
			known = known[:n-2] // the task itself, with its scheduling, is of the same commit
		}
		d, err := r.Decide(t.Workflow, t.Run, known, t.Time)
		if err != nil {
			return nil, err
		}
		return replay.CommandsOf(d.Commands...), nil
	}
}
