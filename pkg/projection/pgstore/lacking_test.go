package pgstore_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// The checkpoint passes what is quarantined. An answer that is to include it must
// not look as if it did.
func TestAnswersSayWhatQuarantineKeepsFromThem(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	log := newLog(t, 2)
	store := storeOn(t, pool, pgstore.Config{})
	const n = 12
	good, bad := make([]events.Result, n), make([]events.Position, n)
	name := func(i int) events.Workflow {
		return events.Workflow{Namespace: "default", ID: fmt.Sprintf("w%02d", i)}
	}
	for i := range n {
		var err error
		good[i], err = log.Append(t.Context(), events.Request{Workflow: name(i), Events: []*events.Event{events.WorkflowStarted("T", "q")}})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		p := good[i].Position.Partition
		bad[i] = events.Position{Partition: p, Sequence: log.Put(p, name(i).Subject(), nil, []byte("hello"))}
	}
	healthy := events.Workflow{Namespace: "default", ID: "healthy"}
	last, err := log.Append(t.Context(), events.Request{Workflow: healthy, Events: []*events.Event{events.WorkflowStarted("T", "q")}})
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, log, store, projection.Config{})
	defer func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	}()
	end := ends(t, log)
	waitFor(t, store, end)

	in := func(v events.Vector) pgstore.Include { return pgstore.Include{Vector: v, Wait: patience} }
	w := name(3)
	// What the tables have is answered.
	for what, v := range map[string]events.Vector{"nothing": {}, "its last good commit": good[3].Vector()} {
		d, err := store.Describe(t.Context(), pgstore.DescribeQuery{Workflow: w, Include: in(v)})
		if err != nil || d.Execution.HistoryLength != 1 || d.Quarantine == nil {
			t.Errorf("asked to include %s: %+v, %v", what, d.Quarantine, err)
		}
	}
	// What they may lack is not, and the error names it.
	for what, v := range map[string]events.Vector{"the bad one": events.VectorOf(bad[3]), "the end": end} {
		_, err := store.Describe(t.Context(), pgstore.DescribeQuery{Workflow: w, Include: in(v)})
		var q *projection.QuarantinedError
		if !errors.Is(err, projection.ErrQuarantined) || !errors.As(err, &q) || q.Workflow != w || q.Position() != bad[3] || errors.Is(err, pgstore.ErrNotFound) {
			t.Errorf("asked to include %s: %v", what, err)
		}
	}
	if d, err := store.Describe(t.Context(), pgstore.DescribeQuery{Workflow: healthy, Include: in(last.Vector())}); err != nil || d.Quarantine != nil {
		t.Errorf("another workflow: %v", err)
	}

	// Lists and counts name what they may lack: some, and how many there are.
	for what, tt := range map[string]struct {
		namespace string
		vector    events.Vector
		total     int64
	}{
		"nothing":                    {"default", events.Vector{}, 0},
		"what they have":             {"default", good[3].Vector(), 0},
		"the bad one of a workflow":  {"default", events.VectorOf(bad[0]), 1},
		"everything":                 {"default", end, n},
		"of another namespace's log": {"other", end, 0},
	} {
		page, err := store.List(t.Context(), pgstore.ListQuery{Namespace: tt.namespace, Include: in(tt.vector)})
		if err != nil {
			t.Fatal(err)
		}
		count, err := store.Count(t.Context(), pgstore.CountQuery{Namespace: tt.namespace, Include: in(tt.vector)})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range []*pgstore.Lacking{page.Lacking, count.Lacking} {
			switch {
			case tt.total == 0 && l != nil:
				t.Errorf("%s: %+v", what, l)
			case tt.total > 0 && (l == nil || l.Total != tt.total || len(l.Workflows) != int(min(tt.total, 10))):
				t.Errorf("%s: %+v", what, l)
			case tt.total == 1 && (l.Workflows[0].WorkflowID != name(0).ID || l.Workflows[0].Position != bad[0].String() || l.Workflows[0].Kind != string(projection.KindForeign)):
				t.Errorf("%s: %+v", what, l.Workflows)
			}
		}
	}
}
