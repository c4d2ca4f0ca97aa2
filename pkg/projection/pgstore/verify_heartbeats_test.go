package pgstore_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	failurepb "go.temporal.io/api/failure/v1"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// differences are those that Verify finds, as "kind workflow run where".
func differences(r pgstore.VerifyReport) []string {
	list := []string{}
	for _, d := range r.Differences {
		list = append(list, fmt.Sprintf("%s %s %s %s", d.Kind, d.Workflow.ID, d.Run, d.Where))
	}
	return list
}

// Each column of a heartbeat that is not what the log says is found, by its name,
// and so is a row that is missing or too many; in all workflows and in one.
func TestVerifyFindsAlteredHeartbeats(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	store := storeOn(t, pool, pgstore.Config{})
	log := newLog(t, 1)
	for i := range 40 {
		record(t, log, beat(i%4, fmt.Sprint("a", i), 2, i))
	}
	h := beat(9, "here", 2, 0)
	h.LastFailure = &failurepb.Failure{Message: "lost"}
	record(t, log, h)
	_, stop := keepHeartbeats(t, log, store)
	keptUpTo(t, log, store)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	unguarded(t, pool)
	exec(t, pool, "CREATE TABLE copy_heartbeats AS SELECT * FROM annals.activity_heartbeats")
	// What a column is made, and what Verify shows of the table and of the log.
	columns := map[string][3]string{
		"attempt":      {"3", `"3"`, `"2"`},
		"time":         {"time + interval '1 microsecond'", `"2026-01-31T12:00:00.000001Z"`, `"2026-01-31T12:00:00Z"`},
		"details":      {`NULL`, `null`, `"{\"payloads\":[{\"data\":\"MA==\",\"metadata\":{\"encoding\":\"anNvbi9wbGFpbg==\"}}]}"`},
		"last_failure": {"'found'", `"found"`, `"lost"`},
		"failure":      {`'{"message": "found"}'`, `"{\"message\":\"found\"}"`, `"{\"message\":\"lost\"}"`},
		"identity":     {"''", `""`, `"worker"`},
		"log_id":       {"'another'", `"another"`, fmt.Sprintf("%q", log.Identity().LogID)},
		"log_epoch":    {"2", `"2"`, `"1"`},
		"sequence":     {"NULL", "null", `"41"`},
	}
	for column, values := range columns {
		exec(t, pool, fmt.Sprintf("UPDATE annals.activity_heartbeats SET %s = %s WHERE activity_id = 'here'", column, values[0]))
		want := []string{pgstore.KindColumn + " w9 r annals.activity_heartbeats activity_id here column " + column + ": the table has " + values[1] + ", the log says " + values[2]}
		for _, o := range []pgstore.VerifyOptions{noWait, {Wait: -1, Workflow: &h.Activity.Workflow}} {
			if diff := cmp.Diff(want, differences(verify(t, log, store, o))); diff != "" {
				t.Errorf("%s (-want +got)\n%s", column, diff)
			}
		}
		exec(t, pool, "DELETE FROM annals.activity_heartbeats")
		exec(t, pool, "INSERT INTO annals.activity_heartbeats SELECT * FROM copy_heartbeats")
	}
	for _, odd := range []struct{ name, sql, kind, id string }{
		{"missing", "DELETE FROM annals.activity_heartbeats WHERE activity_id = 'here'", pgstore.KindMissing, "here"},
		{"too many", "INSERT INTO annals.activity_heartbeats SELECT slot, namespace, workflow_id, run_id, 'more', attempt, time, details, last_failure, failure, identity, log_id, log_epoch, 7000 FROM copy_heartbeats WHERE activity_id = 'here'", pgstore.KindExtra, "more"},
		{"of no activity", "INSERT INTO annals.activity_heartbeats SELECT slot, namespace, workflow_id, run_id, '', attempt, time, details, last_failure, failure, identity, log_id, log_epoch, 7000 FROM copy_heartbeats WHERE activity_id = 'here'", pgstore.KindExtra, ""},
	} {
		exec(t, pool, odd.sql)
		for _, o := range []pgstore.VerifyOptions{noWait, {Wait: -1, Workflow: &h.Activity.Workflow}} {
			if diff := cmp.Diff([]string{odd.kind + " w9 r annals.activity_heartbeats activity_id " + odd.id}, differences(verify(t, log, store, o))); diff != "" {
				t.Errorf("%s (-want +got)\n%s", odd.name, diff)
			}
		}
		exec(t, pool, "DELETE FROM annals.activity_heartbeats")
		exec(t, pool, "INSERT INTO annals.activity_heartbeats SELECT * FROM copy_heartbeats")
	}
	// Another workflow alone knows nothing of it.
	exec(t, pool, "DELETE FROM annals.activity_heartbeats WHERE activity_id = 'here'")
	other := beat(1, "", 1, 0).Activity.Workflow
	if r := verify(t, log, store, pgstore.VerifyOptions{Wait: -1, Workflow: &other}); len(r.Differences) != 0 || r.Rows["activity_heartbeats"] != 10 {
		t.Errorf("verify of another says %+v", r)
	}
}

// What the tables do not have yet is lag, of the whole and of a workflow that has
// some of it.
func TestVerifyWaitsForHeartbeats(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	store := storeOn(t, pool, pgstore.Config{})
	log := newLog(t, 1)
	record(t, log, beat(1, "a", 1, 0), beat(2, "a", 1, 0))
	early, late := beat(1, "", 1, 0).Activity.Workflow, beat(2, "", 1, 0).Activity.Workflow
	id := log.Identity()
	from, err := store.HeartbeatCheckpoint(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	to := from
	to.Sequence = 1
	if err := store.WriteHeartbeats(t.Context(), from, to, []events.StoredHeartbeat{{Heartbeat: beat(1, "a", 1, 0), Sequence: 1}}); err != nil {
		t.Fatal(err)
	}
	lag := []string{pgstore.KindLag + "   activity_heartbeats: the tables are at 1 of the stream of heartbeats, it was at 2"}
	for _, c := range []struct {
		workflow *events.Workflow
		want     []string
	}{{nil, lag}, {&early, []string{}}, {&late, lag}} {
		if diff := cmp.Diff(c.want, differences(verify(t, log, store, pgstore.VerifyOptions{Wait: time.Millisecond, Workflow: c.workflow}))); diff != "" {
			t.Errorf("%v (-want +got)\n%s", c.workflow, diff)
		}
	}
	// Somebody brings it while it is waited for.
	keepHeartbeats(t, log, store)
	if r := verify(t, log, store, pgstore.VerifyOptions{}); len(r.Differences) != 0 || r.Rows["activity_heartbeats"] != 2 {
		t.Errorf("verify says %+v", r)
	}
}

// What has aged out of the log is counted and not compared.
func TestVerifyCountsForgottenHeartbeats(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	store := storeOn(t, pool, pgstore.Config{})
	now := *at(0)
	log, err := memlog.New(memlog.Config{Streams: 1, HeartbeatAge: time.Hour, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	record(t, log, beat(1, "aged", 1, 0), beat(1, "newer", 5, 0))
	_, stop := keepHeartbeats(t, log, store)
	keptUpTo(t, log, store)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Hour)
	if r := verify(t, log, store, noWait); len(r.Differences) != 0 || r.Forgotten != 2 || r.Rows["activity_heartbeats"] != 0 {
		t.Errorf("verify says %+v", r)
	}
	// The log has forgotten a newer one, and takes this one for the newest.
	record(t, log, beat(1, "newer", 4, 0), beat(1, "kept", 1, 0))
	_, stop = keepHeartbeats(t, log, store)
	keptUpTo(t, log, store)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, log, store, noWait); len(r.Differences) != 0 || r.Forgotten != 2 || r.Rows["activity_heartbeats"] != 1 {
		t.Errorf("verify says %+v", r)
	}
	rows := strings.Join(heartbeatDump(t, pool), "\n")
	if !strings.Contains(rows, `"attempt": 5`) {
		t.Errorf("the newer one is gone: %s", rows)
	}
}

// busyHeartbeats is a log that gets newer heartbeats, which replace those that are
// there, as soon as somebody has begun to look at them.
type busyHeartbeats struct {
	events.Log
	looked func()
}

func (l busyHeartbeats) HeartbeatBounds(ctx context.Context) (events.Bounds, error) {
	b, err := l.Log.HeartbeatBounds(ctx)
	l.looked()
	return b, err
}

// What is replaced while it is verified was not forgotten.
func TestVerifyOfReplacedHeartbeats(t *testing.T) {
	t.Parallel()
	store := storeOn(t, newTables(t), pgstore.Config{})
	log := newLog(t, 1)
	for i := range 20 {
		record(t, log, beat(i, "a", 1, i))
	}
	_, stop := keepHeartbeats(t, log, store)
	keptUpTo(t, log, store)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	replace := sync.OnceFunc(func() {
		for i := range 15 {
			record(t, log, beat(i, "a", 2, i))
		}
	})
	if r := verify(t, busyHeartbeats{log, replace}, store, noWait); len(r.Differences) != 0 || r.Forgotten != 0 {
		t.Errorf("verify says %+v", r)
	}
}

// On JetStream: what has been deleted from the stream is a row too many, and where
// it was the last, the scan says that it did not reach it.
func TestVerifyFindsDeletedHeartbeats(t *testing.T) {
	t.Parallel()
	nc := testenv.NATS(t)
	log := natsLog(t, nc, 1)
	store := storeOn(t, newTables(t), pgstore.Config{})
	for i := range 30 {
		record(t, log, beat(i%10, "a", 1, i)) // the last twenty replace the first
	}
	_, stop := keepHeartbeats(t, log, store)
	keptUpTo(t, log, store)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, log, store, noWait); len(r.Differences) != 0 || r.Rows["activity_heartbeats"] != 10 || r.Forgotten != 0 {
		t.Errorf("verify says %+v", r)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), natslog.HeartbeatStream)
	if err != nil {
		t.Fatal(err)
	}
	extra := func(n int) string {
		return fmt.Sprintf("%s w%d r annals.activity_heartbeats activity_id a", pgstore.KindExtra, n)
	}
	if err := s.DeleteMsg(t.Context(), 25); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{extra(4)}, differences(verify(t, log, store, noWait))); diff != "" {
		t.Errorf("one is deleted (-want +got)\n%s", diff)
	}
	if err := s.DeleteMsg(t.Context(), 30); err != nil {
		t.Fatal(err)
	}
	want := []string{pgstore.KindLag + "   activity_heartbeats: the stream of heartbeats ends at 30, and gave nothing more before that: the rest was not compared", extra(4), extra(9)}
	got := differences(verify(t, log, store, noWait))
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the last is deleted (-want +got)\n%s", diff)
	}
}
