package bulk_test

import (
	"slices"
	"testing"
	"time"

	"github.com/annals-io/annals/internal/bench/bulk"
	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/execution/wellformed"
)

// A thousand runs of each type are in the states, and as many, that a shop says.
func TestShop(t *testing.T) {
	const runs = 10_000
	log, err := memlog.New(memlog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	shop := bulk.Shop{Prefix: "run", Begin: time.Now().Add(-runs * time.Minute), Every: time.Minute}
	var all []events.Workflow
	for i := range runs {
		r := shop.Run(i)
		if _, err := log.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 { // the others differ from it in their type
			for k, e := range r.Events {
				e.EventId = int64(k) + 1
			}
			if broken := wellformed.Check(slices.Values(r.Events)); len(broken) > 0 {
				t.Fatalf("run %d: %v", i, broken)
			}
		}
		all = append(all, r.Workflow)
	}
	facts, err := historytest.Facts(t.Context(), log, all)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, f := range facts {
		got[f.Status]++
		if f.PendingActivities > 0 {
			got["charging"]++
		}
	}
	want := map[string]int{"Failed": 100 * bulk.FailedOf100, "charging": 100 * bulk.ChargingOf100, "Running": 10 * bulk.OpenOf1000}
	for what, n := range want {
		if got[what] != n {
			t.Errorf("%d %s, want %d", got[what], what, n)
		}
	}
	if n := got["Failed"] + got["Running"] + got["Completed"] + got["Terminated"]; n != runs || got["Terminated"] == 0 {
		t.Errorf("%v", got)
	}
}
