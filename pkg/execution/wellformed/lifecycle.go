package wellformed

import (
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/annals-io/annals/pkg/events"
)

// thing is one of a kind.
type thing struct {
	id      string
	opened  int64
	started int64     // 0: not started
	ended   int64     // 0: pending
	asked   int64     // to cancel itself; 0: not asked
	newest  time.Time // of its opening and start
}

// things are those of a kind in a run.
type things struct {
	byOpener map[int64]*thing
	pending  map[string]*thing // the newest by id, whether or not it has ended
}

func (c *checker) things(k *kind) *things {
	t := c.kinds[k]
	if t == nil {
		t = &things{byOpener: map[int64]*thing{}, pending: map[string]*thing{}}
		c.kinds[k] = t
	}
	return t
}

// lifecycle checks what e does to a thing that is opened, started and ended.
// Sound says that all references of e are good.
func (c *checker) lifecycle(e *events.Event, a attributes, refs map[protoreflect.Name]int64, sound bool) {
	r, ok := roles[e.GetEventType()]
	if !ok {
		return
	}
	if r.act == opens {
		c.open(e, a, r.kind)
		return
	}
	if !sound {
		return // who knows what it is about
	}
	t := c.find(a, r.kind, refs)
	if t == nil {
		c.report(EndedOnce, e, "is about no %s that is there", r.kind.name)
		return
	}
	if !c.agree(e, a, r.kind, t, refs) {
		return
	}
	switch r.act {
	case starts:
		c.start(e, a, r.kind, t)
	case asks:
		t.asked = e.GetEventId()
	case ends, endsStarted, endsUnstarted, endsIfAsked:
		c.end(e, r, t, refs)
	}
}

// find goes by the event that opened the thing, or by its id where old servers
// left the reference out.
func (c *checker) find(a attributes, k *kind, refs map[protoreflect.Name]int64) *thing {
	all := c.things(k)
	if opened := refs[k.ref]; opened != 0 || k.id == nil {
		return all.byOpener[opened]
	}
	return all.pending[k.id(a)]
}

func (c *checker) open(e *events.Event, a attributes, k *kind) {
	t := &thing{opened: e.GetEventId(), newest: e.GetEventTime().AsTime()}
	if k.id != nil {
		t.id = k.id(a)
	}
	c.things(k).byOpener[t.opened] = t
	if k.unique && k != child { // see start
		c.pend(e, k, t, t.id)
	}
}

// pend makes t the pending thing under that id.
func (c *checker) pend(e *events.Event, k *kind, t *thing, id string) {
	all := c.things(k)
	switch other := all.pending[id]; {
	case other == nil || other.ended != 0:
	case k == workflowTask:
		c.report(OneWorkflowTask, e, "comes while the one of event %d is pending", other.opened)
	default:
		c.report(PendingIDIsUnique, e, "is for the id %q, as is the %s of event %d, which is pending", t.id, k.name, other.opened)
	}
	all.pending[id] = t
}

func (c *checker) start(e *events.Event, a attributes, k *kind, t *thing) {
	switch {
	case t.ended != 0:
		c.report(StartedOnce, e, "starts the %s of event %d, which event %d has ended", k.name, t.opened, t.ended)
		return
	case t.started != 0:
		c.report(StartedOnce, e, "starts the %s of event %d, which event %d has started", k.name, t.opened, t.started)
		return
	}
	c.later(e, k, t)
	t.started = e.GetEventId()
	if k == child {
		// Only now: one that is asked for while another runs under its id is refused.
		c.pend(e, k, t, a.text("namespace")+"\x00"+t.id)
	}
}

func (c *checker) end(e *events.Event, r role, t *thing, refs map[protoreflect.Name]int64) {
	switch {
	case t.ended != 0:
		c.report(EndedOnce, e, "ends the %s of event %d, which event %d has ended", r.kind.name, t.opened, t.ended)
		return
	case r.act == endsStarted && t.started == 0:
		c.report(OutcomeFollowsStart, e, "ends the %s of event %d, which was not started", r.kind.name, t.opened)
	case r.act == endsUnstarted && t.started != 0:
		c.report(OutcomeFollowsStart, e, "refuses the %s of event %d, which event %d has started", r.kind.name, t.opened, t.started)
	case t.started != 0 && refs[startedRef] == 0 && namesStart(r, e):
		c.report(OutcomeFollowsStart, e, "ends the %s of event %d and does not name its start, event %d", r.kind.name, t.opened, t.started)
	case r.act == endsIfAsked && t.asked == 0:
		c.report(CanceledIfAsked, e, "ends the %s of event %d, which nothing had asked to cancel itself", r.kind.name, t.opened)
	}
	c.later(e, r.kind, t)
	t.ended = e.GetEventId()
}

// later checks that what happens to t does not happen before what has
// happened to it.
func (c *checker) later(e *events.Event, k *kind, t *thing) {
	if e.GetEventTime() == nil || e.GetEventType() == nexusOperation.starter {
		return // a Nexus operation starts when the other side says it did, by its own clock
	}
	now := e.GetEventTime().AsTime()
	if now.Before(t.newest) {
		c.report(TimesFollowLife, e, "is %v earlier than what it follows of the %s of event %d", t.newest.Sub(now), k.name, t.opened)
		return
	}
	t.newest = now
}

// agree checks that all that e says is about one thing.
func (c *checker) agree(e *events.Event, a attributes, k *kind, t *thing, refs map[protoreflect.Name]int64) bool {
	if started := refs[startedRef]; started != 0 && k.ref != startedRef && started != t.started {
		c.report(ReferencesAgree, e, "names event %d as the start of the %s of event %d, which it did not start", started, k.name, t.opened)
		return false
	}
	if asked := refs[askedRef]; asked != 0 && asked != t.asked {
		c.report(ReferencesAgree, e, "names event %d as the cancel request of the %s of event %d, which it was not for", asked, k.name, t.opened)
		return false
	}
	if k.id == nil {
		return true
	}
	if id := k.id(a); id != "" && t.id != "" && id != t.id {
		c.report(ReferencesAgree, e, "is for the id %q, the %s of event %d has the id %q", id, k.name, t.opened, t.id)
		return false
	}
	return true
}

// namesStart says whether events of e's type can name the start of what they
// end.
func namesStart(r role, e *events.Event) bool {
	for _, ref := range references[e.GetEventType()] {
		if ref.field == startedRef {
			return r.kind.ref != startedRef
		}
	}
	return false
}
