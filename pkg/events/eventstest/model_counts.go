package eventstest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/annals-io/annals/pkg/events"
)

// tried counts what a model has done, over all of its checks.
type tried struct {
	mu     sync.Mutex // guards counts: faults come from the log's goroutines
	counts Counts
}

func (t *tried) count(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[fmt.Sprintf(format, args...)]++
}

// modelActions must each have happened in a run of the model that is long enough
// for it to be no accident if one has not.
var modelActions = []string{
	"append: stored", "append: outcome unknown, and stored", "append: outcome unknown, and not stored",
	"append: " + events.ErrConflict.Error(), "append: " + events.ErrClosed.Error(), "append: " + events.ErrInvalid.Error(), "append: " + events.ErrNotFound.Error(),
	"append again: recognised",
	"settle: was stored", "settle: was not stored",
	"reset a run", "void what is foreign", "open the log anew", "read every run both ways",
	"fault: message lost", "fault: acknowledgement lost",
}

// enoughSteps is how many things a model must have done for each of its actions
// to be asked for.
const enoughSteps = 700

// missing are the actions that never happened.
func (t *tried) missing() (names []string) {
	if t.counts.Operations() < enoughSteps {
		return nil
	}
	for _, name := range modelActions {
		if t.counts[name] == 0 {
			names = append(names, name)
		}
	}
	return names
}

// ended names how an append ended.
func ended(err error) string {
	for _, is := range []error{events.ErrConflict, events.ErrClosed, events.ErrInvalid, events.ErrNotFound, events.ErrUnavailable} {
		if errors.Is(err, is) {
			return is.Error()
		}
	}
	return "stored"
}

// fault counts what becomes of an attempt, and gives it.
func (t *tried) fault(f Fault) Fault {
	switch f {
	case LoseMessage:
		t.count("fault: message lost")
	case LoseAck:
		t.count("fault: acknowledgement lost")
	}
	return f
}
