package store

import (
	"errors"
	"fmt"
	"strings"

	"github.com/annals-io/annals/pkg/events"
)

var (
	// ErrTransition: the run is in a status from which it cannot go to the one
	// that was asked for. Nothing was stored. *TransitionError says where it is
	// and where it can go.
	ErrTransition = errors.New("illegal transition")
	// ErrBehind: the tables did not come as far as they had to. The log has what
	// was written. Ask again later, or look at the projector; *BehindError says
	// how far each partition is.
	ErrBehind = errors.New("the tables are behind")
)

// TransitionError names the run and both ends of the transition. It is also
// events.ErrClosed where the run is closed.
type TransitionError struct {
	Workflow events.Workflow
	Run      events.RunID
	From, To events.Status
}

func (e *TransitionError) Error() string {
	return fmt.Sprintf("run %s of %s cannot go from %s to %s: allowed from %s: %s", e.Run, e.Workflow, e.From, e.To, e.From, statusList(Allowed(e.From)))
}

// Is makes it match ErrTransition, and events.ErrClosed for a closed run.
func (e *TransitionError) Is(target error) bool {
	return target == ErrTransition || target == events.ErrClosed && !events.IsOpen(e.From)
}

// BehindError says what a query waited for and how far the tables had come.
type BehindError struct {
	// Behind are in order of the partitions; none where the tables did not even
	// say in time how far they are.
	Behind []Behind
	// Cause is why the wait ended: context.DeadlineExceeded, or what the tables
	// say.
	Cause error
}

// Behind is one partition's part in a BehindError.
type Behind struct {
	Wanted events.Position
	// Reached is the sequence that the tables include, inclusive; 0: none.
	Reached uint64
}

func (e *BehindError) Error() string {
	if len(e.Behind) == 0 {
		return fmt.Sprintf("the tables did not answer in time: %v", e.Cause)
	}
	parts := make([]string, len(e.Behind))
	for i, b := range e.Behind {
		parts[i] = fmt.Sprintf("%s wanted, they have %d", b.Wanted, b.Reached)
	}
	return fmt.Sprintf("the tables are behind: %s: %v", strings.Join(parts, "; "), e.Cause)
}

// Is makes it match ErrBehind.
func (e *BehindError) Is(target error) bool { return target == ErrBehind }

func (e *BehindError) Unwrap() error { return e.Cause }
