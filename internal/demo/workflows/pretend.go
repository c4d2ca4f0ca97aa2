package workflows

import (
	"context"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/annals-io/annals/internal/demo/engine"
)

// chance says whether something happens to whom, in so many of 100 cases.
func chance(percent uint64, whom ...any) bool { return dice(whom...)%100 < percent }

// dice is a number that depends on nothing but what it is asked.
func dice(whom ...any) uint64 {
	h := fnv.New64a()
	fmt.Fprintln(h, whom...)
	v := h.Sum64() // FNV leaves the lowest bits of similar texts alike
	v ^= v >> 33
	v *= 0xff51afd7ed558ccd
	return v ^ v>>33
}

// reference is a document number as other systems hand them out: the same for
// every attempt of an activity, by which they recognise it.
func reference(prefix string, a engine.Attempt) string {
	return fmt.Sprintf("%s-%06d", prefix, dice(prefix, a.Workflow, a.RunID, a.ActivityID)%1_000_000)
}

// work takes between half and all of the time.
func work(ctx context.Context, longest time.Duration) error {
	a := engine.AttemptOf(ctx)
	t := time.NewTimer(longest/2 + time.Duration(dice(a.RunID, a.ActivityID, a.Number)%uint64(longest/2)))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
