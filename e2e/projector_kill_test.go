package e2e

import (
	"context"
	"flag"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/internal/testenv/historytest"
)

var projectorKills = flag.Int("kill.projectors", 3, "how often projectors are killed while appends go on")

// Two projectors run, and they are killed by SIGKILL, both in the middle of a transaction, one of them right after one, or
// while it starts, again and again while appends go on. Then the tables are what the log says: by verify, and by
// plain counting.
func TestProjectorsAreKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	e, _ := newEnvironment(t)
	log := e.log(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience+time.Duration(*projectorKills)*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, e.database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	both := []*projector{e.startProjector(), e.startProjector()}

	g := historytest.New(historytest.Options{Workflows: 30, Resets: true})
	writing, stop := context.WithCancel(ctx)
	defer stop()
	appended := make(chan int, 1)
	failed := make(chan error, 1)
	go func() {
		n := 0
		defer func() { appended <- n }()
		for ; writing.Err() == nil; n++ {
			if _, err := g.Append(ctx, log, historytest.Step{Workflow: rand.IntN(1 << 20), Seed: rand.Uint64()}); err != nil {
				failed <- err
				return
			}
		}
	}()
	ask := func(sql string) (n int64) {
		t.Helper()
		if err := conn.QueryRow(ctx, sql).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	const sum = "SELECT coalesce(sum(sequence), 0)::bigint FROM annals.checkpoints"
	// Those that have written to the tables, which renewing a lease does not, and wait
	// for what the projector sends next: nothing, once it is stopped.
	const open = `SELECT count(*) FROM pg_stat_activity AS a WHERE datname = current_database() AND wait_event = 'ClientRead' AND EXISTS (
		SELECT FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
		WHERE l.pid = a.pid AND l.granted AND l.mode = 'RowExclusiveLock' AND c.relnamespace = 'annals_executions_1'::regnamespace)`
	moments := map[string]int{}
	for kill := range *projectorKills {
		moment := []string{"in a transaction", "after a transaction", "in a start"}[kill%3]
		switch at := ask(sum); moment {
		case "in a transaction":
			signal := func(s syscall.Signal) {
				for _, p := range both {
					p.signal(t, s)
				}
			}
			for signal(syscall.SIGSTOP); ask(open) == 0; signal(syscall.SIGSTOP) {
				signal(syscall.SIGCONT)
				for ask(open) == 0 {
				}
			}
		case "after a transaction":
			for ask(sum) == at {
			}
		}
		victims := both
		if moment != "in a transaction" { // whose it is cannot be seen
			victims = both[rand.IntN(2):][:1]
		}
		for _, v := range victims {
			v.kill()
		}
		for _, v := range victims {
			v.start()
		}
		moments[moment] += len(victims)
		select {
		case err := <-failed:
			t.Fatal(err)
		default:
		}
	}
	stop()
	n := <-appended
	v := parse[verified](t, e.annals(0, "verify", "--wait", "2m", "-o", "json"))
	want, err := historytest.Facts(ctx, log, g.Workflows())
	if err != nil {
		t.Fatal(err)
	}
	got, err := historytest.Stored(ctx, conn)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(historytest.ByRun(want), historytest.ByRun(got)); diff != "" {
		t.Errorf("counted in the log (-) and in the tables (+):\n%s", diff)
	}
	stored := int64(0)
	for _, r := range want {
		stored += r.Stored
	}
	if v.Rows["events"] != stored || v.Rows["executions"] != int64(len(want)) || len(v.Differences) != 0 {
		t.Errorf("verify: %+v; the log has %d events of %d runs", v, stored, len(want))
	}
	t.Logf("%d commits, %d events of %d runs; killed: %v", n, stored, len(want), moments)
	for _, moment := range []string{"in a transaction", "after a transaction", "in a start"} {
		if moments[moment] == 0 {
			t.Errorf("no projector was killed %s", moment)
		}
	}
}
