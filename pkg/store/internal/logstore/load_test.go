package logstore_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/store"
	"github.com/annals-io/annals/pkg/store/internal/logstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// overtaken is a log in which something happens right after a tail was read.
type overtaken struct {
	events.Log
	then func()
}

func (l *overtaken) Tail(ctx context.Context, w events.Workflow) (events.Cursor, error) {
	c, err := l.Log.Tail(ctx, w)
	if then := l.then; then != nil {
		l.then = nil
		then()
	}
	return c, err
}

// TestLoadIsOfOneMoment: what comes while a run is being loaded is not in it,
// and the cursor is the end of what is.
func TestLoadIsOfOneMoment(t *testing.T) {
	mem, err := memlog.New(memlog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	log := &overtaken{Log: mem}
	s := logstore.New(log)
	w := events.Workflow{Namespace: "n", ID: "w"}
	if _, err := s.SaveExecution(t.Context(), store.NewExecution{Workflow: w, RunID: "a", Type: "T"}); err != nil {
		t.Fatal(err)
	}
	write := func(list ...*events.Event) func() {
		return func() {
			if _, err := mem.Append(t.Context(), events.Request{Workflow: w, Expect: events.AtEnd(), Events: list}); err != nil {
				t.Error(err)
			}
		}
	}
	for _, tt := range []struct {
		name string
		run  events.RunID
		then func()
		want int
	}{
		{"an event of the run that is named", "a", write(events.Signaled("s")), 1},
		{"an event of the newest run", "", write(events.Signaled("s")), 2},
		{"the next run", "", write(events.ContinuedAsNew("T", ""), events.WorkflowStarted("T", "")), 3},
	} {
		log.then = tt.then
		l, err := s.LoadExecution(t.Context(), w, tt.run)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if len(l.Events) != tt.want || l.Cursor.LastEventID() != events.EventID(tt.want) || l.Execution.RunID != "a" || l.State.EventCount != int64(tt.want) {
			t.Errorf("%s: %d events up to %s", tt.name, len(l.Events), l.Cursor)
		}
		// It happened between: a decision on what was loaded comes too late.
		_, err = s.AppendEvents(t.Context(), events.Request{Workflow: w, Expect: events.After(l.Cursor), Events: []*events.Event{events.Signaled("s")}})
		if err == nil {
			t.Errorf("%s: an append after an end that is none was taken", tt.name)
		}
	}
}
