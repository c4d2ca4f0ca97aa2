package subjectlog

import (
	"container/list"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// cacheAge is how long after it was last seen the end of a workflow is still
// taken for one to try: long enough for a hot workflow, and shorter than it
// takes to replace a log by an older copy of itself.
const cacheAge = 10 * time.Second

// cache keeps the ends of the workflows that were appended to last, as this
// handle saw them, and which commit ids lie before each end. What it says of an
// end is a guess, which the store's compare-and-set decides on: a stale one costs
// round trips. What it says of commit ids is so, as far as the end is the
// workflow's.
type cache struct {
	most  int   // entries
	bytes int64 // of all entries, about
	ids   int   // most of them that an entry keeps

	count atomic.Int64 // of the entries, for whoever does not want to wait for mu

	mu      sync.Mutex // guards the rest, for a few look-ups at a time
	entries map[events.Workflow]*list.Element
	order   *list.List // of *ending, the one that was used last in front
	size    int64
}

// ending is the end of one workflow.
type ending struct {
	cursor     events.Cursor
	generation uint64    // of the store, before it was seen
	seen       time.Time // when it was, by this process's clock
	// before are the workflow's last commits without a gap, the end's last. If
	// whole, there are no others.
	before []trace
	whole  bool
}

// trace is what is left of a commit here.
type trace struct {
	id       uint64 // a hash: another id may have it too
	sequence uint64
	time     int64 // when the server stored it, in Unix nanoseconds; 0: not known
}

// newCache keeps so many entries of so many bytes; nil for none.
func newCache(most int, bytes int64, lookBack int) *cache {
	if most <= 0 || bytes <= 0 {
		return nil
	}
	return &cache{
		most: most, bytes: bytes, ids: max(2*lookBack, 4096),
		entries: map[events.Workflow]*list.Element{}, order: list.New(),
	}
}

var seed = maphash.MakeSeed()

func traceOf(c *events.Commit) trace {
	t := trace{id: maphash.String(seed, string(c.ID)), sequence: c.Position.Sequence}
	if !c.Time.IsZero() {
		t.time = c.Time.UnixNano()
	}
	return t
}

// bytes is about what the entry takes.
func (e *ending) bytes() int64 {
	c := &e.cursor
	w := c.Workflow()
	return int64(640 + len(w.Namespace) + len(w.ID) + len(c.Run()) + len(c.WorkflowType()) + 24*cap(e.before))
}

// get is the end of a workflow, if it was seen lately and in this generation.
func (h *cache) get(w events.Workflow, generation uint64, now time.Time) (events.Cursor, bool) {
	if h == nil || h.count.Load() == 0 {
		return events.Cursor{}, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.entries[w]
	if at == nil {
		return events.Cursor{}, false
	}
	e := at.Value.(*ending)
	if e.generation != generation || now.Sub(e.seen) > cacheAge {
		h.remove(at)
		return events.Cursor{}, false
	}
	h.order.MoveToFront(at)
	return e.cursor, true
}

// see takes in a commit that was the workflow's last. Without add, only a
// workflow that is here already gets it.
func (h *cache) see(c *events.Commit, id events.Identity, generation uint64, now time.Time, add bool) {
	if h == nil || !add && h.count.Load() == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.entries[c.Workflow]
	if at == nil {
		if !add {
			return
		}
		at = h.order.PushFront(&ending{})
		h.entries[c.Workflow] = at
		h.count.Add(1)
	} else {
		h.order.MoveToFront(at)
	}
	e := at.Value.(*ending)
	h.size -= e.size()
	end := e.cursor.Position().Sequence
	switch {
	case e.generation != generation && end != 0, end == 0, c.Position.Sequence > end && (len(c.Back) == 0 || c.Back[0] != end):
		*e = ending{cursor: c.Cursor(id), before: []trace{traceOf(c)}, whole: len(c.Back) == 0}
	case c.Position.Sequence < end: // seen before, told after
		h.size += e.size()
		return
	case c.Position.Sequence == end:
		if c.Hash != e.cursor.Hash() { // what was seen here is no longer there
			*e = ending{cursor: c.Cursor(id), before: []trace{traceOf(c)}, whole: len(c.Back) == 0}
		} else if t := traceOf(c); t.time != 0 {
			e.before[len(e.before)-1] = t
		}
	default: // the next one
		e.cursor = c.Cursor(id)
		if len(e.before) >= h.ids {
			e.before = append(make([]trace, 0, h.ids), e.before[len(e.before)-h.ids/2:]...)
			e.whole = false
		}
		e.before = append(e.before, traceOf(c))
	}
	e.generation, e.seen = generation, now
	h.size += e.size()
	h.shrink()
}

// size is what an entry counts for; nothing before it has an end.
func (e *ending) size() int64 {
	if e.cursor.IsZero() {
		return 0
	}
	return e.bytes()
}

// shrink drops what was not used for longest until the rest fits; mu must be held.
func (h *cache) shrink() {
	for len(h.entries) > h.most || h.size > h.bytes && len(h.entries) > 0 {
		h.remove(h.order.Back())
	}
}

// remove drops an entry; mu must be held.
func (h *cache) remove(at *list.Element) {
	e := at.Value.(*ending)
	h.size -= e.size()
	delete(h.entries, e.cursor.Workflow())
	h.order.Remove(at)
	h.count.Add(-1)
}

// drop forgets a workflow.
func (h *cache) drop(w events.Workflow) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if at := h.entries[w]; at != nil {
		h.remove(at)
	}
}

// learn takes in the commits that were found before the end of a workflow, the
// newest first and without a gap; whole says that there are no others.
func (h *cache) learn(w events.Workflow, found []trace, whole bool) {
	if h == nil || len(found) == 0 || len(found) > h.ids {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.entries[w]
	if at == nil {
		return
	}
	e := at.Value.(*ending)
	// What is here may have grown since: the two must overlap.
	keep := e.before
	for len(keep) > 0 && keep[0].sequence < found[0].sequence {
		keep = keep[1:]
	}
	if len(keep) == 0 || keep[0].sequence != found[0].sequence || len(e.before) > len(found)+len(keep)-1 {
		return
	}
	h.size -= e.size()
	before := make([]trace, 0, len(found)+len(keep)+16)
	for _, t := range slices.Backward(found) {
		before = append(before, t)
	}
	e.before, e.whole = append(before, keep[1:]...), whole
	h.size += e.size()
	h.shrink()
}

// verdict is what the cache knows of a commit id.
type verdict int

const (
	mayBeThere verdict = iota
	ruledOut
	// outOfSight: it depends on when the oldest commit that is known here was stored.
	outOfSight
)

// look says whether a commit id may lie before the end at a sequence, within a
// horizon: among all commits, or among those that start runs.
func (h *cache) look(w events.Workflow, end uint64, id events.CommitID, within horizon, starts bool) (v verdict, oldest uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.entries[w]
	if at == nil || at.Value.(*ending).cursor.Position().Sequence != end {
		return mayBeThere, 0
	}
	e := at.Value.(*ending)
	hash := maphash.String(seed, string(id))
	since := within.since.UnixNano()
	for i := len(e.before) - 1; i >= 0; i-- {
		t := e.before[i]
		if t.id == hash {
			return mayBeThere, 0
		}
		if within.since.IsZero() {
			if within.left--; within.left <= 0 && !starts {
				return ruledOut, 0
			}
		} else if t.time != 0 && t.time < since {
			return ruledOut, 0
		}
	}
	switch {
	case e.whole:
		return ruledOut, 0
	case !within.since.IsZero() && e.before[0].time == 0:
		return outOfSight, e.before[0].sequence
	default:
		return mayBeThere, 0
	}
}

// date says when a commit was stored.
func (h *cache) date(c *events.Commit) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.entries[c.Workflow]
	if at == nil {
		return
	}
	if e := at.Value.(*ending); e.before[0].sequence == c.Position.Sequence {
		e.before[0] = traceOf(c)
	}
}
