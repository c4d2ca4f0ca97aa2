package bulk_test

import (
	"testing"

	"github.com/annals-io/annals/internal/bench/bulk"
	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

func TestWrite(t *testing.T) {
	log, err := memlog.New(memlog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := bulk.Write(t.Context(), log, 2, 5, 3); err != nil {
		t.Fatal(err)
	}
	var all []events.Workflow
	for _, id := range []string{"order-0-0", "order-1-4"} {
		all = append(all, events.Workflow{Namespace: "default", ID: id})
	}
	runs, err := historytest.Facts(t.Context(), log, all)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		if r.Events != bulk.Events || r.Status != "Completed" || r.Activities != 1 || r.Timers != 1 || r.PendingActivities+r.PendingTimers != 0 {
			t.Errorf("%+v", r)
		}
	}
	if len(runs) != 2 {
		t.Errorf("%d runs", len(runs))
	}
}
