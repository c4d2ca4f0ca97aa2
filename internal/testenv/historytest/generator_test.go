package historytest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

func write(t *testing.T, o Options, steps []Step) (*memlog.Log, []events.Workflow) {
	t.Helper()
	now := epoch
	log, err := memlog.New(memlog.Config{Streams: 2, Now: func() time.Time { now = now.Add(time.Millisecond); return now }})
	if err != nil {
		t.Fatal(err)
	}
	g := New(o)
	if err := g.AppendAll(context.Background(), log, steps); err != nil {
		t.Fatal(err)
	}
	return log, g.Workflows()
}

func commits(t *testing.T, log *memlog.Log, workflows []events.Workflow) (out []*events.Commit) {
	t.Helper()
	for _, w := range workflows {
		for c, err := range log.Commits(context.Background(), w) {
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, c)
		}
	}
	return out
}

// What the properties of other packages rest on: that all of this comes up.
func TestHistoriesHoldWhatTheyPromise(t *testing.T) {
	log, workflows := write(t, Options{Workflows: 30}, Seeded(2, 3500))
	seen := map[enumspb.EventType]int{}
	var unknown, runs, continued, begunTwice, nul, backwards, paused int
	for _, c := range commits(t, log, workflows) {
		if c.Closed != nil {
			continued++
			if c.Closed.Opens() {
				begunTwice++
			}
		}
		segments, err := c.Segments()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range segments {
			if s.Opens() {
				runs++
			}
			if s.After == enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED {
				paused++
			}
			for i, e := range s.Events {
				seen[e.EventType]++
				if _, known := enumspb.EventType_name[int32(e.EventType)]; !known {
					unknown++
				}
				if strings.Contains(e.String(), `\x00`) {
					nul++
				}
				if i > 0 && e.EventTime.AsTime().Before(s.Events[i-1].EventTime.AsTime()) {
					backwards++
				}
			}
		}
	}
	for n, name := range enumspb.EventType_name {
		if seen[enumspb.EventType(n)] == 0 {
			t.Errorf("no event is %s", name)
		}
	}
	for what, n := range map[string]int{
		"runs beyond the first of their workflow": runs - len(workflows), "commits of two runs": continued, "commits in which two runs begin": begunTwice,
		"events of unknown types": unknown, "events with NULs": nul, "times that run backwards": backwards, "commits that leave a run paused": paused,
	} {
		t.Logf("%d %s", n, what)
		if n < 10 {
			t.Errorf("only %d %s", n, what)
		}
	}
}

func TestSeedsDecideEverything(t *testing.T) {
	bodies := func() (out []string) {
		log, workflows := write(t, Options{}, Seeded(5, 200))
		for _, c := range commits(t, log, workflows) {
			out = append(out, string(c.Body))
		}
		return out
	}
	if diff := cmp.Diff(bodies(), bodies()); diff != "" {
		t.Errorf("twice the same seed:\n%s", diff)
	}
}

func TestTameHistoriesHaveNoOddities(t *testing.T) {
	log, workflows := write(t, Options{Tame: true}, Seeded(2, 500))
	for _, c := range commits(t, log, workflows) {
		segments, err := c.Segments()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range segments {
			for _, e := range s.Events {
				if _, known := enumspb.EventType_name[int32(e.EventType)]; !known || e.EventType == 0 || strings.Contains(e.String(), `\x00`) {
					t.Fatalf("%v", e)
				}
			}
		}
	}
}
