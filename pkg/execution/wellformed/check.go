package wellformed

import (
	"fmt"
	"iter"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/pkg/events"
)

// Violation is an event that is against a rule.
type Violation struct {
	Rule    string         // the name of one of [Rules]
	EventID events.EventID // as the event says it
	Reason  string         // what the event is, and what the rule wanted
}

// String is the violation on one line.
func (v Violation) String() string {
	return fmt.Sprintf("event %d: %s: %s", v.EventID, v.Rule, v.Reason)
}

// Check returns what is against the [Rules] in the history of one run, in the
// order of the events; nil if it is well formed. The history begins with the
// run's first event and may end anywhere: what an open run has pending is none
// of the violations. No events at all are well formed.
//
// An event is reported under the rule that it breaks, and not again under those
// that cannot be asked any more: what refers to nothing has no task that it
// could end twice.
//
// Check changes no event and keeps none; it is safe for concurrent use.
func Check(history iter.Seq[*events.Event]) []Violation {
	c := checker{
		types:    map[int64]enumspb.EventType{},
		kinds:    map[*kind]*things{},
		admitted: map[string]bool{},
	}
	for e := range history {
		c.event(e)
	}
	return c.violations
}

// checker is what the rules need to know of the events so far.
type checker struct {
	violations []Violation

	last     int64 // the id of the event before; 0: there is none
	begun    bool
	closed   int64 // the event that closed the run; 0: open
	types    map[int64]enumspb.EventType
	kinds    map[*kind]*things
	admitted map[string]bool // updates, by id

	tasks   bool  // the history has workflow tasks
	started int64 // the workflow task start that waits for its outcome; 0: none
	block   block
}

func (c *checker) report(rule string, e *events.Event, format string, args ...any) {
	c.violations = append(c.violations, Violation{
		Rule:    rule,
		EventID: events.EventID(e.GetEventId()),
		Reason:  e.GetEventType().String() + " " + fmt.Sprintf(format, args...),
	})
}

func (c *checker) event(e *events.Event) {
	c.position(e)
	if c.closed == 0 {
		a := attributesOf(e)
		c.attributes(e, a)
		c.times(e)
		refs, sound := c.references(e, a)
		c.between(e)
		c.command(e, refs)
		c.lifecycle(e, a, refs, sound)
		c.values(e, a)
	}
	if _, known := c.types[e.GetEventId()]; !known {
		c.types[e.GetEventId()] = e.GetEventType()
	}
	c.last = e.GetEventId()
	if c.closed == 0 && events.Closes(e) {
		c.closed = e.GetEventId()
	}
}

// position checks the event's place in the run.
func (c *checker) position(e *events.Event) {
	if id := e.GetEventId(); id != c.last+1 {
		c.report(IDsAreDense, e, "has the id %d, the next one is %d", id, c.last+1)
	}
	switch opens := events.Opens(e); {
	case c.closed != 0:
		c.report(NothingAfterClose, e, "comes after event %d, which closed the run", c.closed)
	case !c.begun && !opens:
		c.report(StartIsFirst, e, "is the first event")
	case c.begun && opens:
		c.report(StartIsFirst, e, "is not the first event")
	}
	c.begun = true
}
