package eventstest

import (
	"context"
	"errors"
	"fmt"

	"pgregory.net/rapid"

	"github.com/annals-io/annals/pkg/events"
)

// begins reports whether a run begins with the request's first event.
func begins(r events.Request) bool {
	return events.Opens(r.Events[0]) || r.Base != nil && !events.Closes(r.Events[0])
}

// reset draws a reset of any run at any event that did not close it, right or
// stale, and what becomes of its attempts.
func (m *modelled) reset(t *rapid.T) {
	w := rapid.SampledFrom(m.workflows).Draw(t, "workflow")
	var bases []events.Result
	for _, c := range w.commits {
		if events.IsOpen(c.result.Cursor.Status()) {
			bases = append(bases, c.result)
		}
	}
	if len(bases) == 0 {
		return
	}
	m.n++
	base := rapid.SampledFrom(bases).Draw(t, "base")
	r := events.Request{
		Workflow: w.w, Expect: drawExpectation(t, w), Events: list(marked(m.n), signaled(fmt.Sprint("signal ", m.n))),
		Base: &events.Base{Run: base.Cursor.Run(), Event: events.EventID(rapid.Int64Range(1, int64(base.Cursor.LastEventID())).Draw(t, "event"))},
	}
	if rapid.Bool().Draw(t, "ends the open run") {
		r.Events = append(list(terminated()), r.Events...)
	}
	if rapid.Bool().Draw(t, "named") {
		r.CommitID = events.CommitID(fmt.Sprint("reset ", m.n))
	}
	m.try(t, w, r, due(w, r))
	m.count("reset a run")
}

// void writes past the library, which stops the workflow, and mends it.
func (m *modelled) void(t *rapid.T) {
	w := rapid.SampledFrom(m.workflows).Draw(t, "workflow")
	m.n++
	p := m.log.Identity().Map.Partition(w.w.Slot())
	n := rapid.IntRange(1, 3).Draw(t, "messages")
	for range n {
		m.h.Put(m.tb, p, w.w.Subject(), nil, []byte("hello"))
	}
	ctx := context.Background()
	if _, err := m.log.Append(ctx, events.Request{Workflow: w.w, Events: list(started("T"))}); !errors.Is(err, events.ErrCorrupt) {
		t.Fatalf("append behind what is foreign gave %v", err)
	}
	id := events.CommitID(fmt.Sprint("void ", m.n))
	res, err := m.log.Void(ctx, events.VoidRequest{Workflow: w.w, CommitID: id})
	if err != nil || int(res.Messages) != n || res.Existed || res.Cursor.Run() != w.tail().Run() || res.Cursor.LastEventID() != w.tail().LastEventID() {
		t.Fatalf("void of %d messages gave %+v, %v", n, res, err)
	}
	w.commits = append(w.commits, modelCommit{void: true, result: events.Result{
		CommitID: id, Position: res.Position, Cursor: res.Cursor, RunID: res.Cursor.Run(), LastEventID: res.Cursor.LastEventID(),
	}})
	m.count("void what is foreign")
	m.check(t, w)
}

// mustBeVoid sends a void that is stored, and it must be recognised.
func (m *modelled) mustBeVoid(t *rapid.T, c modelCommit) {
	res, err := m.log.Void(context.Background(), events.VoidRequest{Workflow: c.result.Cursor.Workflow(), CommitID: c.result.CommitID})
	if err != nil || !res.Existed || res.Position != c.result.Position || text(res.Cursor) != text(c.result.Cursor) {
		t.Fatalf("void %q, stored at %s, was sent again and gave %+v, %v", c.result.CommitID, c.result.Position, res, err)
	}
}
