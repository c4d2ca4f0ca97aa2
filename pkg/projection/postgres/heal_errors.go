package postgres

import (
	"fmt"

	"github.com/annals-io/annals/pkg/events"
)

// NoEntryError says why no entry of the quarantine can be acknowledged.
type NoEntryError struct {
	Position events.Position
	Workflow events.Workflow // whose entry it is: heal it
	Ahead    bool            // the checkpoint has not passed it yet: try again
}

func (e *NoEntryError) Error() string {
	switch {
	case e.Ahead:
		return fmt.Sprintf("the tables have not passed %s yet: start the projector, or try again", e.Position)
	case e.Workflow != (events.Workflow{}):
		return fmt.Sprintf("what is quarantined at %s is %s: a workflow is healed, not acknowledged", e.Position, e.Workflow)
	}
	return fmt.Sprintf("nothing is quarantined at %s", e.Position)
}

// Is makes it match events.ErrNotFound where there is no such entry.
func (e *NoEntryError) Is(target error) bool {
	return target == events.ErrNotFound && !e.Ahead && e.Workflow == (events.Workflow{})
}
