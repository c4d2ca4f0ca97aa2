package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
)

var (
	// rebuildEvents is how many events lie in the log before anything is rebuilt:
	// the recorded one is of 10,000,000.
	rebuildEvents = flag.Int("rebuild.events", 5_000, "events in the log that TestRebuild makes tables of")
	// rebuildSwaps is how often they are made anew without being killed.
	rebuildSwaps = flag.Int("rebuild.swaps", 1, "how often TestRebuild makes the tables anew after the kills")
	// rebuildKills is how often the rebuild is killed.
	rebuildKills = flag.Int("rebuild.kills", 3, "how often TestRebuild kills the rebuild")
	// rebuildPace leaves a small machine time for the rebuild itself: at 0 whoever
	// appends and reads takes all that there is.
	rebuildPace = flag.Duration("rebuild.pace", 2*time.Millisecond, "how long each appender and reader of TestRebuild takes for a turn at least; 0: as long as it takes")
)

// newPace gives what an appender or a reader rests by between two turns, until end.
func newPace() (rest, end func()) {
	if *rebuildPace == 0 {
		return func() {}, func() {}
	}
	tick := time.NewTicker(*rebuildPace)
	return func() { <-tick.C }, tick.Stop
}

// stillCommit is a workflow's history of ten events, in one commit.
func stillCommit(i int) events.Request {
	w := events.Workflow{Namespace: "still", ID: fmt.Sprintf("order-%08d", i)}
	list := []*events.Event{events.WorkflowStarted("Order", "orders", i)}
	for n := range 8 {
		list = append(list, events.Signaled(fmt.Sprintf("step-%d", n)))
	}
	return events.Request{Workflow: w, Expect: events.NewRun(), Events: append(list, events.WorkflowCompleted())}
}

// fillLog appends so many workflows of ten events.
func fillLog(t *testing.T, log events.Appender, workflows int) {
	t.Helper()
	g, ctx := errgroup.WithContext(t.Context())
	var next atomic.Int64
	for range 64 {
		g.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= workflows {
					return nil
				}
				if _, err := log.Append(ctx, stillCommit(i)); err != nil {
					return err
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// load appends to workflows, as fast as rebuild.pace lets it, until its context
// ends.
type load struct {
	cancel   context.CancelFunc
	appended atomic.Int64 // events
	began    time.Time
	done     chan error
}

// startLoad has so many appenders work, each on workflows of its own.
func startLoad(t *testing.T, log events.Appender, appenders int) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{cancel: cancel, done: make(chan error, 1), began: time.Now()}
	g, gctx := errgroup.WithContext(ctx)
	for a := range appenders {
		g.Go(func() error { return l.append(gctx, log, a) })
	}
	go func() { l.done <- g.Wait() }()
	t.Cleanup(cancel)
	return l
}

// runLength is how many events a run of the load has.
const runLength = 300

// append writes to eight workflows in turn, and begins new ones when those are
// long.
func (l *load) append(ctx context.Context, log events.Appender, appender int) error {
	rest, end := newPace()
	defer end()
	for round := 0; ; round++ {
		cursors := make([]events.Cursor, 8)
		for n := range runLength {
			for i := range cursors {
				request := events.Request{Workflow: events.Workflow{Namespace: watchedNamespace, ID: fmt.Sprintf("w-%d-%d-%d", appender, i, round)}}
				switch n {
				case 0:
					request.Expect, request.Events = events.NewRun(), []*events.Event{events.WorkflowStarted("Live", "live")}
				case runLength - 1:
					request.Expect, request.Events = events.After(cursors[i]), []*events.Event{events.WorkflowCompleted()}
				default:
					request.Expect, request.Events = events.After(cursors[i]), []*events.Event{events.Signaled("more")}
				}
				res, err := log.Append(ctx, request)
				if ctx.Err() != nil {
					return nil
				}
				if err != nil {
					return err
				}
				cursors[i] = res.Cursor
				l.appended.Add(1)
				rest()
			}
		}
	}
}

// stop ends it and gives events a second.
func (l *load) stop(t *testing.T) float64 {
	t.Helper()
	took := time.Since(l.began).Seconds()
	l.cancel()
	if err := <-l.done; err != nil {
		t.Errorf("append: %v", err)
	}
	return float64(l.appended.Load()) / took
}

// rebuiltLine is the last line of `annals projection rebuild -o jsonl`, and a line
// before it.
type rebuiltLine struct {
	Phase                                                      string
	Generation, Replaced, Attempts                             int
	Dropped, Resumed                                           bool
	Commits, Events, Total                                     int64
	Seconds, FillingSeconds, IndexingSeconds, FollowingSeconds float64
	StoodSeconds, ReadersStoodSeconds, EventsPerSecond         float64
}

// rebuild runs a rebuild to its end, or kills it at a line of its progress; it
// gives the last line.
func (e environment) rebuild(t *testing.T, kill func(rebuiltLine) bool, args ...string) (last rebuiltLine, killed bool) {
	t.Helper()
	c := e.command(t.Context(), "annals", append([]string{"projection", "rebuild", "-o", "jsonl"}, args...)...)
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := json.NewDecoder(out)
	for {
		var line rebuiltLine
		if err := lines.Decode(&line); err != nil {
			if !killed && !errors.Is(err, io.EOF) {
				t.Errorf("rebuild: %v", err)
			}
			break
		}
		last = line
		if !killed && kill != nil && kill(line) {
			killed = true
			_ = c.Process.Kill()
		}
	}
	if err := c.Wait(); err != nil && !killed {
		t.Fatalf("annals projection rebuild: %v\n%s", err, &errs)
	}
	return last, killed && last.Phase != "done"
}

// killWhileItFills kills a rebuild that has filled some of its tables' partitions,
// and cannot have filled all: one is kept from beginning. It gives the generation.
func (e environment) killWhileItFills(t *testing.T) (generation int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), e.database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	exec := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.QueryRow(t.Context(), `SELECT last_generation + 1 FROM annals.projections WHERE name = 'executions'`).Scan(&generation); err != nil {
		t.Fatal(err)
	}
	exec(`SELECT pg_advisory_lock(5)`)
	exec(`CREATE FUNCTION public.held() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock_shared(5); RETURN NEW; END'`)
	exec(fmt.Sprintf(`CREATE TRIGGER held BEFORE INSERT ON annals.checkpoints FOR EACH ROW WHEN (NEW.generation = %d AND NEW.partition = 15) EXECUTE FUNCTION public.held()`, generation))
	last, killed := e.rebuild(t, func(rebuiltLine) (some bool) {
		if err := conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM annals.checkpoints WHERE generation = $1 AND sequence > 0)`, generation).Scan(&some); err != nil {
			t.Error(err)
		}
		return some
	})
	if !killed || last.Phase != "filling" || last.Generation != generation {
		t.Errorf("killed %v at %+v, want while it fills generation %d", killed, last, generation)
	}
	exec(`SELECT pg_advisory_unlock(5)`)
	exec(`DROP FUNCTION public.held() CASCADE`)
	return generation
}

// A log is projected by two processes, appended to without a break, and read in all
// ways, while its tables are made anew by a third process, which is killed again
// and again: no reader sees anything that it should not, and the tables are what
// the log says.
func TestRebuild(t *testing.T) {
	t.Parallel()
	server := testenv.NATSProcess(t, "")
	e := environment{t: t, nats: server.URL(), database: testenv.Postgres(t)}
	e.prepare()
	log := e.log(t)
	workflows := max(*rebuildEvents/10, 1)
	fillLog(t, log, workflows)
	first, second := e.startProjector(), e.startProjector()
	e.annals(0, "count", "--namespace", "still", "--wait-for", "now", "--wait", "2h")
	w := startReaders(t, e.database, still{namespace: "still", below: "order-00001000", workflows: int64(min(workflows, 1000)), events: 10 * int64(min(workflows, 1000))})
	appending := startLoad(t, log, 2)

	kills := map[string]int{"filling": 1}
	resumed := 0
	begun := e.killWhileItFills(t)
	for i := range *rebuildKills {
		left := 1 + rand.IntN(20) // reports, which come five times a second
		last, killed := e.rebuild(t, func(rebuiltLine) bool { left--; return left == 0 })
		if killed {
			kills[last.Phase]++
		}
		if i == 0 && last.Generation != begun {
			t.Errorf("it did not go on with generation %d: %+v", begun, last)
		}
	}
	began := time.Now()
	r, _ := e.rebuild(t, nil)
	if r.Phase != "done" || r.Generation < 2 {
		t.Errorf("the rebuild ended with %+v", r)
	}
	if r.Resumed {
		resumed++
	}
	// And whole.
	var whole rebuiltLine
	for i := range max(*rebuildSwaps, 1) {
		old := w.oldSnapshot(t.Context())
		whole, _ = e.rebuild(t, nil)
		old()
		if whole.Phase != "done" || whole.Resumed || whole.Generation != r.Generation+1+i {
			t.Errorf("the one after it ended with %+v", whole)
		}
	}
	took := time.Since(began)
	rate := appending.stop(t)
	// Readers go on until the projectors, which found the new tables by themselves,
	// have everything.
	count := parse[counted](t, e.annals(0, "count", "--namespace", watchedNamespace, "--wait-for", "now", "--wait", "2h", "-o", "json"))
	w.stop()
	if count.Count == 0 || w.polls.Load() == 0 {
		t.Errorf("%d workflows were appended to, %d polls", count.Count, w.polls.Load())
	}
	v := parse[verified](t, e.annals(0, "verify", "-o", "json"))
	if want := 10*int64(workflows) + appending.appended.Load(); v.Events < want || v.Rows["events"] != v.Events {
		t.Errorf("verified %d events and %d rows of them; %d were acknowledged", v.Events, v.Rows["events"], want)
	}
	if w.refused.Load() < int64(max(*rebuildSwaps, 1)) {
		t.Errorf("%d transactions from before a swap were told to run again, of one each at least", w.refused.Load())
	}
	if n := w.anomalies.Load(); n > 0 {
		t.Errorf("%d anomalies", n)
	}
	for _, p := range []*projector{first, second} {
		if p.cmd.ProcessState != nil {
			t.Error("a projector has ended")
		}
	}
	t.Logf("rebuilt %d events under load (%s, %s/%s, %d CPUs)", whole.Events, time.Now().UTC().Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	t.Logf("killed %v times by phase, then resumed: %v; that one and %d whole ones took %s", kills, resumed == 1, max(*rebuildSwaps, 1), took.Round(time.Millisecond))
	t.Logf("whole one: %.1f s (filling %.1f, indexing %.1f, following %.1f), %.0f events/s; %d attempts; projectors stood %.3f s, readers at most %.3f s",
		whole.Seconds, whole.FillingSeconds, whole.IndexingSeconds, whole.FollowingSeconds, whole.EventsPerSecond, whole.Attempts, whole.StoodSeconds, whole.ReadersStoodSeconds)
	t.Logf("appended meanwhile: %d events, %.0f/s", appending.appended.Load(), rate)
	t.Log(w.report())
	t.Logf("verified: %d commits, %d events, 0 differences", v.Commits, v.Events)

	t.Run("tables that were lost", func(t *testing.T) {
		pool, err := pgxpool.New(t.Context(), e.database)
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		if _, err := pool.Exec(t.Context(), fmt.Sprintf("DROP SCHEMA annals_executions_%d CASCADE", whole.Generation)); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		r, _ := e.rebuild(t, nil)
		rebuilt := time.Since(began)
		v := parse[verified](t, e.annals(0, "verify", "-o", "json"))
		if v.Events == 0 || v.Rows["events"] != v.Events {
			t.Errorf("verified %d events and %d rows of them", v.Events, v.Rows["events"])
		}
		t.Logf("tables lost to rebuilt: %d events in %s (%.0f events/s), verified after %s", r.Events, rebuilt.Round(time.Millisecond), r.EventsPerSecond, time.Since(began).Round(time.Millisecond))
	})
}

// The tables are of an older version: the newer programs say so, or wait, and go
// on once they are rebuilt.
func TestProgramsWaitForARebuildOfOlderTables(t *testing.T) {
	t.Parallel()
	e, _ := newEnvironment(t)
	fillLog(t, e.log(t), 20)
	pool, err := pgxpool.New(t.Context(), e.database)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for _, sql := range []string{
		`ALTER TABLE annals.generations DROP CONSTRAINT generations_version_check`, // there is no version before the first
		`UPDATE annals.generations SET version = version - 1`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"list"}, {"count"}, {"describe", "order-1"}, {"verify"}} {
		if r := e.run("annals", args...); r.code != 3 || !strings.Contains(r.stderr, "annals projection rebuild") {
			t.Errorf("annals %s: exit code %d, %s", args[0], r.code, r.stderr)
		}
	}
	if r := e.run("projector", "migrate"); r.code != 3 || !strings.Contains(r.stderr, "annals projection rebuild") {
		t.Errorf("projector migrate: exit code %d, %s", r.code, r.stderr)
	}
	p := e.startProjector()
	p.log.await(t, "waiting for the tables to be rebuilt")
	if r := e.run("projector", "rebuild"); r.code != 0 {
		t.Fatalf("projector rebuild: exit code %d, %s", r.code, r.stderr)
	}
	p.log.await(t, `"msg":"projecting"`)
	count := parse[counted](t, e.annals(0, "count", "--namespace", "still", "--wait-for", "now", "-o", "json"))
	if count.Count != 20 {
		t.Errorf("%d workflows", count.Count)
	}
	if n := appended(t, e, "later", "before", 1); n != 1 {
		t.Errorf("a workflow of one event has %d in the answer that includes it", n)
	}
	p.stop(t)

	// Nobody keeps the tables now: what is waited for is not there, and no answer is
	// given that lacks it. Who goes on waiting gets the one that has it.
	written := position(t, e, "later", "after", 7)
	describe := []string{"describe", "after", "--namespace", "later", "--wait-for", written, "-o", "json"}
	if r := e.run("annals", append(describe, "--wait", "100ms")...); r.code != 3 || !strings.Contains(r.stderr, "behind") || r.stdout != "" {
		t.Errorf("while nobody projects: exit code %d, %s%s", r.code, r.stdout, r.stderr)
	}
	answered := make(chan result, 1)
	go func() { answered <- e.run("annals", append(describe, "--wait", "5m")...) }()
	p.start()
	r := <-answered
	if r.code != 0 || parse[described](t, r.stdout).Execution.HistoryLength != 7 {
		t.Errorf("once somebody does: exit code %d, %s%s", r.code, r.stdout, r.stderr)
	}
}

// described is what tests want of `describe -o json`.
type described struct {
	Execution struct{ HistoryLength int }
}

// appended starts a workflow with so many events, and gives how many of them an
// answer has that waited for it.
func appended(t *testing.T, e environment, namespace, workflow string, n int) int {
	t.Helper()
	return parse[described](t, e.annals(0, "describe", workflow, "--namespace", namespace, "--wait-for", position(t, e, namespace, workflow, n), "-o", "json")).Execution.HistoryLength
}

// position starts a workflow with so many events, and gives where they lie.
func position(t *testing.T, e environment, namespace, workflow string, n int) string {
	t.Helper()
	list := []*events.Event{events.WorkflowStarted("Order", "orders")}
	for len(list) < n {
		list = append(list, events.Signaled("s"))
	}
	res, err := e.log(t).Append(t.Context(), events.Request{Workflow: events.Workflow{Namespace: namespace, ID: workflow}, Expect: events.NewRun(), Events: list})
	if err != nil {
		t.Fatal(err)
	}
	return res.Position.String()
}
