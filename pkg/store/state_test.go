package store_test

import (
	"bufio"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/store"
)

// TestStatuses: they are all that Temporal has, and no more.
func TestStatuses(t *testing.T) {
	var want []events.Status
	for n := int32(1); int(n) < len(enumspb.WorkflowExecutionStatus_name); n++ {
		want = append(want, events.Status(n))
	}
	if diff := cmp.Diff(want, store.Statuses()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTransitions walks every pair of statuses, and some that are none: the
// event that is said to take a run from one to the other does so.
func TestTransitions(t *testing.T) {
	unknown := []events.Status{0, -1, 9, 1 << 20}
	for _, from := range append(store.Statuses(), unknown...) {
		if got := store.Allowed(from); !slices.IsSorted(got) {
			t.Errorf("from %s: %v is not in order", from, got)
		}
		for _, to := range append(store.Statuses(), unknown...) {
			want := events.IsOpen(from) && from != to && slices.Contains(store.Statuses(), to)
			event, ok := store.TransitionEvent(from, to)
			if ok != want || slices.Contains(store.Allowed(from), to) != want {
				t.Errorf("from %s to %s: %t by %s, allowed are %v", from, to, ok, event, store.Allowed(from))
			}
			if ok && events.StatusAfter(from, &events.Event{EventType: event}) != to {
				t.Errorf("from %s to %s: %s does not lead there", from, to, event)
			}
			if !ok && event != enumspb.EVENT_TYPE_UNSPECIFIED {
				t.Errorf("from %s to %s: not by %s", from, to, event)
			}
		}
	}
}

var columns = regexp.MustCompile(` {2,}`)

// TestDocumentedTransitions: the table in the package's doc is the one that
// holds.
func TestDocumentedTransitions(t *testing.T) {
	f, err := os.Open("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	type row struct{ from, to, event string }
	var got []row
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line, ok := strings.CutPrefix(lines.Text(), "//\t")
		parts := columns.Split(line, -1)
		if !ok || len(parts) < 3 || !strings.HasPrefix(parts[2], "WorkflowExecution") {
			continue
		}
		for from := range strings.SplitSeq(parts[0], ", ") {
			got = append(got, row{from, parts[1], parts[2]})
		}
	}
	var want []row
	for _, from := range store.Statuses() {
		for _, to := range store.Allowed(from) {
			event, _ := store.TransitionEvent(from, to)
			want = append(want, row{from.String(), to.String(), event.String()})
		}
	}
	order := func(a, b row) int { return strings.Compare(a.from+" "+a.to, b.from+" "+b.to) }
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(row{})); diff != "" {
		t.Errorf("in the code (-) and in the doc (+):\n%s", diff)
	}
}

func TestTransitionError(t *testing.T) {
	w := events.Workflow{Namespace: "default", ID: "order-1"}
	for _, tt := range []struct {
		err    store.TransitionError
		text   string
		closed bool
	}{
		{
			store.TransitionError{Workflow: w, Run: "r", From: enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, To: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING},
			"run r of default/order-1 cannot go from Completed to Running: allowed from Completed: none", true,
		},
		{
			store.TransitionError{Workflow: w, Run: "r", From: enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED, To: enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED},
			"run r of default/order-1 cannot go from Paused to Paused: allowed from Paused: Running, Completed, Failed, Canceled, Terminated, ContinuedAsNew, TimedOut", false,
		},
	} {
		if tt.err.Error() != tt.text {
			t.Errorf("says %q, want %q", tt.err.Error(), tt.text)
		}
		if !errors.Is(&tt.err, store.ErrTransition) || errors.Is(&tt.err, events.ErrClosed) != tt.closed || errors.Is(&tt.err, events.ErrConflict) {
			t.Errorf("%v is taken for something else", &tt.err)
		}
	}
}
