package eventstest

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/annals-io/annals/pkg/events"
)

// record is an operation as a client saw it, which knows commits by their
// positions where a cursor named them.
type record struct {
	workflow  events.Workflow
	client    int
	op        linearOp
	commit    linearCommit
	after     events.Cursor // of opAfter
	outcome   linearOutcome
	tail      events.Cursor
	all       []events.CommitID
	call, end time.Duration
	settled   bool // its outcome was unknown for a while
}

// Counts say how often each thing happened, by name.
type Counts map[string]int

// Operations is their sum.
func (c Counts) Operations() (sum int) {
	for _, n := range c {
		sum += n
	}
	return sum
}

// String lists them, one a line.
func (c Counts) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c)) {
		fmt.Fprintf(&b, "\n%8d  %s", c[name], name)
	}
	return b.String()
}

// linearize makes the history of one workflow, as porcupine takes it, of what
// its clients saw and of what the log holds in the end.
func linearize(records []record, commits []*events.Commit, over time.Duration) ([]porcupine.Operation, error) {
	at, before := map[events.Position]events.CommitID{}, map[events.Position]events.CommitID{}
	all := make([]events.CommitID, len(commits))
	for i, c := range commits {
		at[c.Position], all[i] = c.ID, c.ID
		if i > 0 {
			before[c.Position] = commits[i-1].ID
		}
	}
	// named is the commit that a cursor ends at. One that the log does not hold
	// gets a name that no append has, so that no order explains it.
	named := func(c events.Cursor) events.CommitID {
		if id, ok := at[c.Position()]; ok || c.IsZero() {
			return id
		}
		return events.CommitID(fmt.Sprintf("(nothing at %s)", c.Position()))
	}
	history := make([]porcupine.Operation, 0, len(records)+1)
	for i, r := range records {
		in := linearInput{op: r.op, commit: r.commit, after: named(r.after)}
		out := linearOutput{outcome: r.outcome, all: r.all}
		if r.outcome != wasStored {
			out.tail = named(r.tail)
		} else if id := named(r.tail); id == r.commit.id {
			out.tail, out.placed = before[r.tail.Position()], true
		} else if slices.Contains(all, r.commit.id) {
			return nil, fmt.Errorf("%s of %s: %s was acknowledged at %s, where the log holds %q", r.op, r.workflow, r.commit.id, r.tail.Position(), id)
		}
		o := porcupine.Operation{ClientId: r.client, Input: in, Call: int64(r.call), Output: out, Return: int64(r.end)}
		if r.outcome == wasUnknown {
			// It may take effect at any time, while its client does other things.
			o.ClientId, o.Return = 1000+i, math.MaxInt64
		}
		history = append(history, o)
	}
	slices.SortStableFunc(history, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	return append(history, porcupine.Operation{
		ClientId: 999, Input: linearInput{op: opOver}, Call: int64(over), Output: linearOutput{outcome: wasRead, all: all}, Return: int64(over) + 1,
	}), nil
}

// checkPatience bounds the search for an order of one workflow's operations. It
// takes some milliseconds where there is one.
const checkPatience = 3 * time.Minute

// checkLinear fails unless there is an order of the operations in which each
// answer is right. The history of one that has none is written where the error
// says.
func checkLinear(t testing.TB, w events.Workflow, history []porcupine.Operation, dir string) bool {
	t.Helper()
	got := porcupine.CheckOperationsTimeout(linearModel, history, checkPatience)
	if got == porcupine.Ok {
		return true
	}
	where := "it could not be written"
	_, info := porcupine.CheckOperationsVerbose(linearModel, history, checkPatience)
	if f, err := os.CreateTemp(dir, "linearizable-*.html"); err == nil {
		if err = porcupine.Visualize(linearModel, info, f); err == nil {
			where = "see " + f.Name()
		}
		_ = f.Close()
	}
	if got == porcupine.Unknown {
		t.Errorf("no order of %d operations on %s was found in %s, nor that there is none: %s", len(history), w, checkPatience, where)
		return false
	}
	t.Errorf("no order of %d operations on %s explains what was answered: %s", len(history), w, where)
	return false
}
