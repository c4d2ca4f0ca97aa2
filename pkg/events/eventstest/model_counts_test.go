package eventstest

import (
	"slices"
	"testing"
)

// TestWhatAModelNeverDidIsNoticed: but not in a run too short to tell.
func TestWhatAModelNeverDidIsNoticed(t *testing.T) {
	done := &tried{counts: Counts{}}
	for _, name := range modelActions[1:] {
		done.counts[name] = 1
	}
	if missing := done.missing(); missing != nil {
		t.Errorf("after %d steps %q are missing", done.counts.Operations(), missing)
	}
	done.counts[modelActions[1]] = enoughSteps
	if missing := done.missing(); !slices.Equal(missing, modelActions[:1]) {
		t.Errorf("%q are missing", missing)
	}
	done.count("%s", modelActions[0])
	if missing := done.missing(); missing != nil {
		t.Errorf("%q are missing", missing)
	}
}
