package pgstore_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// A partition stops before it sets aside more than it may: then the cause is
// hardly the workflows'. When all have stopped, there is nothing left to run for.
func TestPartitionStopsWhenTooMuchIsQuarantined(t *testing.T) {
	t.Parallel()
	log := newLog(t, 2)
	store := storeOn(t, newTables(t), pgstore.Config{})
	for p, r := range log.Identity().Map.Ranges {
		for i := range 4 {
			log.Put(events.Partition(p), fmt.Sprintf("annals.%d.foreign.message-%d", r.First, i), nil, nil)
		}
	}
	r := start(t, log, store, projection.Config{MaxQuarantined: 3})
	err := <-r.done
	r.cancel()
	if !errors.Is(err, projection.ErrTooManyQuarantined) || !strings.Contains(err.Error(), "partition 0") || !strings.Contains(err.Error(), "partition 1") {
		t.Errorf("Run: %v", err)
	}
	for _, s := range r.Status() {
		if s.Phase != projection.PhaseStopped || s.Checkpoint.Sequence != 3 || s.Quarantined != 3 || s.Quarantines[projection.KindForeign] != 3 {
			t.Errorf("%+v", s)
		}
	}
	r = start(t, log, store, projection.Config{MaxQuarantined: 4})
	waitFor(t, store, ends(t, log))
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

// A version that is not this program's stops everything before anything is
// written.
func TestTablesOfAnotherVersionStopTheProjector(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	log, _ := written(t, historytest.Seeded(1, 20), historytest.Options{})
	if _, err := pool.Exec(t.Context(), `UPDATE annals.generations SET version = 77`); err != nil {
		t.Fatal(err)
	}
	r := start(t, log, storeOn(t, pool, pgstore.Config{}), projection.Config{})
	if err := <-r.done; !errors.Is(err, projection.ErrVersion) {
		t.Errorf("Run: %v", err)
	}
	r.cancel()
	if rows := dump(t, pool); len(rows) != 0 {
		t.Errorf("written: %v", rows)
	}
}
