package eventstest

import (
	"math"
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/annals-io/annals/pkg/events"
)

// TestTheSpecificationTellsRightFromWrong: histories of one workflow, written by
// hand, of which an order explains some.
func TestTheSpecificationTellsRightFromWrong(t *testing.T) {
	type ids = []events.CommitID
	var clock int64
	// op is an operation that begins after all before it have ended.
	op := func(in linearInput, out linearOutput) porcupine.Operation {
		clock += 2
		return porcupine.Operation{Input: in, Output: out, Call: clock, Return: clock + 1}
	}
	begin := func(id events.CommitID) porcupine.Operation {
		return op(linearInput{op: opNewRun, commit: linearCommit{id, true}}, linearOutput{outcome: wasStored})
	}
	after := func(before, id events.CommitID, out linearOutput) porcupine.Operation {
		return op(linearInput{op: opAfter, commit: linearCommit{id, true}, after: before}, out)
	}
	atEnd := func(id events.CommitID, open bool, out linearOutput) porcupine.Operation {
		return op(linearInput{op: opAtEnd, commit: linearCommit{id, open}}, out)
	}
	tail := func(id events.CommitID) porcupine.Operation {
		return op(linearInput{op: opTail}, linearOutput{outcome: wasRead, tail: id})
	}
	over := func(all ids) porcupine.Operation {
		return op(linearInput{op: opOver}, linearOutput{outcome: wasRead, all: all})
	}
	stored := linearOutput{outcome: wasStored}
	unknown := func(o porcupine.Operation, at events.CommitID) porcupine.Operation {
		o.Output, o.Return = linearOutput{outcome: wasUnknown, tail: at}, math.MaxInt64
		return o
	}
	// placed is stored, at the place that the position names.
	placed := func(before events.CommitID) linearOutput {
		return linearOutput{outcome: wasStored, placed: true, tail: before}
	}
	conflict := func(with events.CommitID) linearOutput { return linearOutput{outcome: wasConflict, tail: with} }
	for _, c := range []struct {
		name    string
		right   bool
		history []porcupine.Operation
	}{
		{"one after the other", true, []porcupine.Operation{begin("a"), after("a", "b", stored), atEnd("c", true, stored), tail("c"), over(ids{"a", "b", "c"})}},
		{"where the position says", true, []porcupine.Operation{begin("a"), atEnd("b", true, placed("a")), over(ids{"a", "b"})}},
		{"elsewhere than the position says", false, []porcupine.Operation{begin("a"), atEnd("b", true, stored), atEnd("c", true, placed("a")), over(ids{"a", "b", "c"})}},
		{"a start in an open run", false, []porcupine.Operation{begin("a"), begin("b"), over(ids{"a", "b"})}},
		{"a start after the end", true, []porcupine.Operation{begin("a"), atEnd("b", false, stored), begin("c"), over(ids{"a", "b", "c"})}},
		{"two after one cursor", false, []porcupine.Operation{begin("a"), after("a", "b", stored), after("a", "c", stored), over(ids{"a", "b", "c"})}},
		{"a conflict", true, []porcupine.Operation{begin("a"), atEnd("b", true, stored), after("a", "c", conflict("b")), over(ids{"a", "b"})}},
		{"a conflict with what is expected", false, []porcupine.Operation{begin("a"), after("a", "b", conflict("a")), over(ids{"a"})}},
		{"a conflict with what was before", false, []porcupine.Operation{begin("a"), atEnd("b", true, stored), atEnd("c", true, stored), after("a", "d", conflict("b")), over(ids{"a", "b", "c"})}},
		{"an acknowledged append is lost", false, []porcupine.Operation{begin("a"), after("a", "b", stored), over(ids{"a"})}},
		{"what nobody appended is there", false, []porcupine.Operation{begin("a"), over(ids{"a", "b"})}},
		{"an append is there twice", false, []porcupine.Operation{begin("a"), atEnd("b", true, stored), over(ids{"a", "b", "b"})}},
		{"a tail of the past", false, []porcupine.Operation{begin("a"), after("a", "b", stored), tail("a"), over(ids{"a", "b"})}},
		{"a tail of the future", false, []porcupine.Operation{begin("a"), tail("b"), after("a", "b", stored), over(ids{"a", "b"})}},
		{"closed while it is open", false, []porcupine.Operation{begin("a"), atEnd("b", true, linearOutput{outcome: wasClosed, tail: "a"}), over(ids{"a"})}},
		{"not found although it is there", false, []porcupine.Operation{begin("a"), atEnd("b", true, linearOutput{outcome: wasMissing}), over(ids{"a"})}},
		{"unknown, and stored later", true, []porcupine.Operation{begin("a"), unknown(after("a", "b", stored), "a"), tail("a"), tail("b"), over(ids{"a", "b"})}},
		{"unknown, and never stored", true, []porcupine.Operation{begin("a"), unknown(after("a", "b", stored), "a"), tail("a"), over(ids{"a"})}},
		{"unknown, stored and gone again", false, []porcupine.Operation{begin("a"), unknown(after("a", "b", stored), "a"), tail("b"), tail("a"), over(ids{"a"})}},
		{"unknown, and stored before it was sent", false, []porcupine.Operation{begin("a"), tail("b"), unknown(after("a", "b", stored), "a"), over(ids{"a", "b"})}},
		{"unknown, and stored elsewhere than it was tried", false, []porcupine.Operation{begin("a"), unknown(atEnd("b", true, stored), "a"), atEnd("c", true, stored), over(ids{"a", "c", "b"})}},
		{"unknown, and stored twice", false, []porcupine.Operation{begin("a"), unknown(atEnd("b", true, stored), "a"), over(ids{"a", "b", "b"})}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := porcupine.CheckOperationsTimeout(linearModel, c.history, checkPatience); (got == porcupine.Ok) != c.right || got == porcupine.Unknown {
				t.Errorf("gave %s", got)
			}
		})
	}
}
