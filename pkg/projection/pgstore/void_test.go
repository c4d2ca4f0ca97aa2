package pgstore_test

import (
	"fmt"
	"testing"

	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// A message that is no commit quarantines its workflow. Once it is void the workflow
// is healed, whether or not the projector has seen the void; what meets it
// already void passes it over. What is in the tables is what the log says,
// whatever the batches were.
func TestTheProjectorGoesOnBehindAVoid(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	log := newLog(t, 1)
	pool := newTables(t)
	store := storeOn(t, pool, pgstore.Config{CacheRuns: 1})
	g := historytest.New(historytest.Options{Workflows: 10})
	more := func(seed uint64) {
		t.Helper()
		if err := g.AppendAll(ctx, log, historytest.Seeded(seed, 30)); err != nil {
			t.Fatal(err)
		}
	}
	workflows := make([]events.Workflow, 4)
	for i := range workflows {
		workflows[i] = events.Workflow{Namespace: "default", ID: fmt.Sprint("mended ", i)}
	}
	add := func(w events.Workflow, expect events.Expectation, list ...*events.Event) events.Result {
		t.Helper()
		res, err := log.Append(ctx, events.Request{Workflow: w, Expect: expect, Events: list})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	void := func(w events.Workflow) {
		t.Helper()
		if _, err := log.Void(ctx, events.VoidRequest{Workflow: w}); err != nil {
			t.Fatal(err)
		}
	}
	quarantined := func() []projection.Quarantined {
		t.Helper()
		page, err := store.Quarantined(ctx, postgres.QuarantineQuery{})
		if err != nil {
			t.Fatal(err)
		}
		return page.Entries
	}
	// stops runs a projector past the message at fault.
	stops := func(at uint64) {
		t.Helper()
		r := start(t, log, store, projection.Config{})
		waitFor(t, store, ends(t, log))
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if list := quarantined(); len(list) != 1 || list[0].First != at {
			t.Fatalf("quarantined: %+v, want one at %d", list, at)
		}
	}
	goesOn := func() {
		t.Helper()
		for _, q := range quarantined() {
			if _, err := store.Heal(ctx, log, q.Workflow); err != nil {
				t.Fatal(err)
			}
		}
		r := start(t, log, store, projection.Config{})
		waitFor(t, store, ends(t, log))
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if report := verify(t, log, store, pgstore.VerifyOptions{}); len(report.Differences) != 0 {
			t.Fatalf("differences: %+v", report.Differences)
		}
	}

	open, fresh, closed, other := workflows[0], workflows[1], workflows[2], workflows[3]
	add(open, events.NewRun(), events.WorkflowStarted("Order", "orders"))
	add(closed, events.NewRun(), events.WorkflowStarted("Order", "orders"), events.WorkflowCompleted())
	more(1)
	// Without a header, behind an open run.
	at := log.Put(0, open.Subject(), nil, []byte("hello"))
	more(2)
	stops(at)
	void(open)
	more(3)
	goesOn()
	add(open, events.AtEnd(), events.Signaled("a"))
	goesOn()

	// As the first message; the workflow begins behind the void.
	at = log.Put(0, fresh.Subject(), nil, nil)
	log.Put(0, fresh.Subject(), nil, nil)
	stops(at)
	void(fresh)
	goesOn()
	add(fresh, events.NewRun(), events.WorkflowStarted("Order", "orders"))
	more(4)
	goesOn()
	add(fresh, events.AtEnd(), events.WorkflowCompleted())

	// One that decodes, and does not follow; behind a closed run.
	tail, err := log.Tail(ctx, closed)
	if err != nil {
		t.Fatal(err)
	}
	forged := &events.Commit{
		Workflow: closed, Kind: events.KindEvents, ID: "forged", Back: tail.Back(),
		Run: events.Segment{Run: "forged", First: 1, Last: 1, After: 1, Size: 9, PrevRunFirst: tail.RunFirst()},
	}
	m, err := log.Message(ctx, add(other, events.NewRun(), events.WorkflowStarted("Order", "orders")).Position)
	if err != nil {
		t.Fatal(err)
	}
	at = log.Put(0, closed.Subject(), events.EncodeHeader(forged), m.Body)
	more(5)
	stops(at)
	void(closed)
	add(closed, events.NewRun(), events.WorkflowStarted("Order", "orders"))
	goesOn()
	mustAgree(t, log, store, pool, append(g.Workflows(), workflows...))

	// All of it again, from the start, in batches of one and of many.
	for _, size := range []int{1, 7} {
		again := storeOn(t, newTables(t), pgstore.Config{CacheRuns: 2})
		r := start(t, log, again, projection.Config{BatchCommits: size})
		waitFor(t, again, ends(t, log))
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if report := verify(t, log, again, pgstore.VerifyOptions{}); len(report.Differences) != 0 {
			t.Errorf("batches of %d: %+v", size, report.Differences)
		}
	}
}
