package eventstest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"

	"github.com/annals-io/annals/pkg/events"
)

// linearCommit is a commit of the model: its id, and whether a run is open
// after it.
type linearCommit struct {
	id   events.CommitID
	open bool
}

// linearState is what a workflow holds. It is never changed, only followed by
// another.
type linearState struct {
	commits []linearCommit
	// over is true once all that was stored has been read: what has not been
	// stored by then never is.
	over bool
}

func (s linearState) last() linearCommit {
	if len(s.commits) == 0 {
		return linearCommit{}
	}
	return s.commits[len(s.commits)-1]
}

func (s linearState) with(c linearCommit) linearState {
	s.commits = append(s.commits[:len(s.commits):len(s.commits)], c)
	return s
}

func (s linearState) ids() []events.CommitID {
	ids := make([]events.CommitID, len(s.commits))
	for i, c := range s.commits {
		ids[i] = c.id
	}
	return ids
}

// linearOp is what a client asked for.
type linearOp string

const (
	opNewRun linearOp = "append of a new run"
	opAfter  linearOp = "append after a cursor"
	opAtEnd  linearOp = "append at the end"
	opTail   linearOp = "tail"
	opRead   linearOp = "read of all commits"
	opOver   linearOp = "read of all commits when all is over"
)

// linearInput is an operation as it was asked for.
type linearInput struct {
	op     linearOp
	commit linearCommit    // of an append
	after  events.CommitID // of opAfter: the commit that must be the last
}

// linearOutcome is what a client was told.
type linearOutcome string

const (
	wasStored   linearOutcome = "stored"
	wasConflict linearOutcome = "refused: conflict"
	wasClosed   linearOutcome = "refused: closed"
	wasMissing  linearOutcome = "not found"
	wasRead     linearOutcome = "read"
	wasUnknown  linearOutcome = "unknown for good"
)

// linearOutput is what a client was told, with the commits that it was told of.
type linearOutput struct {
	outcome linearOutcome
	// placed says that the position of a stored commit is known: directly after
	// tail. Without reads in between, the search for an order has no other hold.
	placed bool
	// tail is the workflow's last commit as a refusal or a tail names it; of an
	// unknown outcome, the one after which the append may be stored.
	tail events.CommitID
	all  []events.CommitID // of a read
}

// step is the whole specification: what may be answered in a state, and which
// state comes next.
func step(s linearState, in linearInput, out linearOutput) (bool, linearState) {
	last := s.last()
	switch out.outcome {
	case wasStored:
		if out.placed && last.id != out.tail {
			return false, s
		}
		switch in.op {
		case opNewRun:
			return !last.open, s.with(in.commit)
		case opAfter:
			return last.id == in.after, s.with(in.commit)
		default:
			return last.open, s.with(in.commit)
		}
	case wasConflict:
		return last.id == out.tail && (in.op == opNewRun && last.open || in.op == opAfter && last.id != in.after), s
	case wasClosed:
		return len(s.commits) > 0 && !last.open && last.id == out.tail, s
	case wasMissing:
		return len(s.commits) == 0, s
	case wasUnknown:
		if s.over {
			return true, s // it was not stored
		}
		return last.id == out.tail, s.with(in.commit)
	default:
		if in.op == opTail {
			return len(s.commits) > 0 && last.id == out.tail, s
		}
		is := slices.Equal(s.ids(), out.all)
		s.over = s.over || in.op == opOver
		return is, s
	}
}

// linearModel is the specification of one workflow.
var linearModel = porcupine.Model{
	Init: func() any { return linearState{} },
	Step: func(state, in, out any) (bool, any) {
		ok, next := step(state.(linearState), in.(linearInput), out.(linearOutput))
		return ok, next
	},
	Equal: func(a, b any) bool {
		x, y := a.(linearState), b.(linearState)
		return x.over == y.over && slices.Equal(x.commits, y.commits)
	},
	DescribeOperation: func(in, out any) string {
		i, o := in.(linearInput), out.(linearOutput)
		var b strings.Builder
		b.WriteString(string(i.op))
		if i.op == opAfter {
			fmt.Fprintf(&b, " %s", i.after)
		}
		if i.commit.id != "" {
			fmt.Fprintf(&b, " of %s (open: %t)", i.commit.id, i.commit.open)
		}
		fmt.Fprintf(&b, ": %s", o.outcome)
		if o.tail != "" {
			fmt.Fprintf(&b, ", at %s", o.tail)
		}
		if o.outcome == wasRead && i.op != opTail {
			fmt.Fprintf(&b, " %v", o.all)
		}
		return b.String()
	},
	DescribeState: func(state any) string { return fmt.Sprint(state.(linearState).commits) },
}
