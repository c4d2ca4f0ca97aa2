package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/internal/testenv/pgfault"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// One fixed log through everything, so that a failure without rapid in between
// can be looked at.
func TestSeededHistories(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			steps := 1500
			if mode != pgstore.EventsIndex {
				steps = 500
			}
			pool := newTablesIn(t, mode)
			log, workflows := written(t, historytest.Seeded(1, steps), historytest.Options{Workflows: 40})
			store := storeOn(t, pool, pgstore.Config{CacheRuns: 5})
			projectAll(t, log, store, 37)
			mustAgree(t, log, store, pool, workflows)
			counts := verify(t, log, store, noWait).Rows
			t.Logf("rows: %v", counts)
			for _, table := range pgstore.Described(mode) {
				if counts[table.Face] == 0 && (mode != pgstore.EventsNone || table.Face != "events") {
					t.Errorf("no row of %s was compared: the histories prove nothing about it", table.Name)
				}
			}
		})
	}
}

// withFaults is another pool on a pool's database, behind an injector.
func withFaults(t testing.TB, pool *pgxpool.Pool) (*pgxpool.Pool, *pgfault.Injector) {
	t.Helper()
	c, faults := pool.Config(), pgfault.New()
	faults.Configure(&c.ConnConfig.Config)
	behind, err := pgxpool.NewWithConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(behind.Close)
	return behind, faults
}

// once is a fault at the first statement for which it holds; fired says whether it was met.
func once(f pgfault.Fault, at func(pgfault.Statement) bool) (decide func(pgfault.Statement) pgfault.Fault, fired *pgfault.Statement) {
	fired = new(pgfault.Statement)
	return func(s pgfault.Statement) pgfault.Fault {
		if fired.Text != "" || !at(s) {
			return pgfault.None
		}
		*fired = s
		return f
	}, fired
}

func atStep(n int) func(pgfault.Statement) bool {
	return func(s pgfault.Statement) bool { return s.Step == n }
}

func atCommit(s pgfault.Statement) bool { return s.Text == "commit" }

// oddLog is a log with everything that a log can have: runs that continue, resets, voids, real histories.
func oddLog(t failer, steps []historytest.Step, o historytest.Options, streams int, real uint64) (*memlog.Log, []events.Workflow) {
	t.Helper()
	log := newLog(t, streams)
	o.Resets = true
	o.Put = func(subject string) {
		w, err := events.ParseSubject(subject)
		if err != nil {
			t.Fatal(err)
		}
		log.Put(log.Partition(w), subject, nil, []byte("put past the library"))
	}
	g := historytest.New(o)
	if err := g.AppendAll(context.Background(), log, steps); err != nil {
		t.Fatal(err)
	}
	workflows := g.Workflows()
	if real > 0 {
		more, err := historytest.Real(context.Background(), log, "../../..", rand.New(rand.NewPCG(real, 1)))
		if err != nil {
			t.Fatal(err)
		}
		workflows = append(workflows, more...)
	}
	return log, workflows
}

// Each statement of each transaction, one after the other, is cut off before the server has it and after the server
// has run it. Only a COMMIT that the server has run stores anything; the batch is then there whole, and else not at
// all.
func TestEveryStatementOfATransactionIsCut(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	behind, faults := withFaults(t, pool)
	log, workflows := oddLog(t, historytest.Seeded(8, 120), historytest.Options{Workflows: 25}, 1, 0)
	commits := commitsOf(t, log, messages(t, log, 0))
	onlooker := storeOn(t, pool, pgstore.Config{})
	checkpoint := func() projection.Checkpoint {
		t.Helper()
		c, err := onlooker.Checkpoint(t.Context(), log.Identity(), 0)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	// Every statement that there is, and COPY for one table of few rows and for one of many.
	wanted := []string{"begin", "prepare", "WITH checkpoints", "COPY run_events", "COPY run_events, its end", "COPY workflows", "COPY workflows, its end", "commit", "INSERT run_events"}
	for _, table := range []string{"workflows", "executions", "activities", "timers", "children"} {
		wanted = append(wanted, "INSERT "+table, "UPDATE "+table)
	}
	missing := func() (out []string) {
		for _, text := range wanted {
			if faults.Count(text, pgfault.Before) == 0 || faults.Count(text, pgfault.After) == 0 {
				out = append(out, text)
			}
		}
		return out
	}
	batches, attempts := 0, 0
	sizes := []int{1, 30, 12, 3, 20, 2}
	for len(commits) > 0 && (len(missing()) > 0 || *long) {
		n := min(sizes[batches%len(sizes)], len(commits))
		store := storeOn(t, behind, pgstore.Config{CacheRuns: 1})
		store.CopyFrom([]int{1000, 12, 4}[batches%3])
		batches++
		stored := false
		for step := 0; !stored; step++ {
			for _, fault := range []pgfault.Fault{pgfault.Before, pgfault.After} {
				before := checkpoint()
				b, err := store.Folder(before).Fold(t.Context(), commits[:n])
				if err != nil {
					t.Fatal(err)
				}
				decide, fired := once(fault, atStep(step))
				faults.Decide(decide)
				err = b.Write(t.Context())
				faults.Decide(nil)
				attempts++
				if fired.Text == "" {
					t.Fatalf("the transaction ended before its step %d, and without a COMMIT", step)
				}
				if err == nil || errors.Is(err, projection.ErrFenced) || errors.Is(err, projection.ErrCannotApply) {
					t.Fatalf("cut %s %s: Write: %v", fault, fired.Text, err)
				}
				after := checkpoint()
				stored = after == asStored(b.Checkpoint())
				if want := fired.Text == "commit" && fault == pgfault.After; stored != want || !stored && after != before {
					t.Fatalf("cut %s %s: the checkpoint is at %d, was at %d, the batch ends at %d", fault, fired.Text, after.Sequence, before.Sequence, b.Checkpoint().Sequence)
				}
			}
		}
		commits = commits[n:]
	}
	t.Logf("%d batches, %d attempts\n%s", batches, attempts, faults)
	if missing := missing(); len(missing) > 0 {
		t.Errorf("no connection was cut before, or none after: %q", missing)
	}
	if len(commits) > 0 {
		store := storeOn(t, pool, pgstore.Config{})
		b, err := store.Folder(checkpoint()).Fold(t.Context(), commits)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	mustAgree(t, log, onlooker, pool, workflows)
}

// asStored is a checkpoint as the tables give it back: with its time to the microsecond.
func asStored(c projection.Checkpoint) projection.Checkpoint {
	c.Time = c.Time.UTC().Truncate(time.Microsecond)
	return c
}

// errCrash is for tests that let a store fail at a place of its own (FailAt), not on the wire.
var errCrash = errors.New("the process died")

// schedule is how a partition's commits are cut into batches and what happens to each batch.
type schedule struct {
	t      *rapid.T
	sizes  *rapid.Generator[int]
	ahead  bool // fold the next batch before one is written
	faults *pgfault.Injector
	tried  *tried
}

// tried counts what happened.
type tried struct {
	logs, commits, batches int
	cuts                   int // of transactions, not stored
	lost                   int // replies to COMMITs that were stored
	restarts, redelivered  int
	aside, passed, healed  int // workflows that were set aside, batches that passed them, heals
	fenced                 int // batches that were folded before a quarantine or a heal
	resets, voids, twoRuns int
	modes                  map[pgstore.EventsMode]int // logs
}

func (c tried) String() string {
	return fmt.Sprintf("%d logs of %d commits (%d of two runs, %d resets, %d voids), %d batches, %d cuts that stored nothing, %d replies to a COMMIT lost, %d restarts between batches, %d suffixes delivered again, %d workflows set aside, %d batches that passed them, %d heals, %d batches fenced by either",
		c.logs, c.commits, c.twoRuns, c.resets, c.voids, c.batches, c.cuts, c.lost, c.restarts, c.redelivered, c.aside, c.passed, c.healed, c.fenced)
}

// What may happen to a batch.
const (
	goesWell = iota
	cutAtStep
	cutAtCommit
	replyLost
	restart
	redelivery
	setAside
	healed
)

// run projects a partition as the schedule says, beginning anew from the stored checkpoint after each fault. What is
// set aside is passed over until it is healed, at the latest when the end is reached.
func (s schedule) run(log events.Log, store *pgstore.Store, p events.Partition) {
	ctx := context.Background()
	all := messages(s.t, log, p)
	var earlier []projection.Checkpoint
	checkpoint := func() projection.Checkpoint {
		s.t.Helper()
		c, err := store.Checkpoint(ctx, log.Identity(), p)
		if err != nil {
			s.t.Fatal(err)
		}
		return c
	}
	for {
		c := checkpoint()
		if err := projection.Check(ctx, log, c); err != nil {
			s.t.Fatal(err)
		}
		earlier = append(earlier, c)
		aside, err := store.Aside(ctx, c)
		if err != nil {
			s.t.Fatal(err)
		}
		rest := commitsOf(s.t, log, after(all, c.Sequence))
		if len(rest) == 0 {
			for _, q := range aside {
				s.heal(log, store, q.Workflow)
			}
			return
		}
		f := store.Folder(c)
		var waiting []projection.Batch
		write := func() (alive bool) {
			b := waiting[0]
			waiting = waiting[1:]
			s.tried.batches++
			decide, fired := func(pgfault.Statement) pgfault.Fault { return pgfault.None }, new(pgfault.Statement)
			what := rapid.SampledFrom([]int{
				goesWell, goesWell, goesWell, goesWell, cutAtStep, cutAtStep, cutAtCommit, replyLost, restart, redelivery,
				setAside, setAside, setAside, healed,
			}).Draw(s.t, "what")
			switch what {
			case cutAtStep:
				fault := rapid.SampledFrom([]pgfault.Fault{pgfault.Before, pgfault.After}).Draw(s.t, "fault")
				decide, fired = once(fault, atStep(rapid.IntRange(0, 20).Draw(s.t, "step")))
			case cutAtCommit:
				decide, fired = once(pgfault.Before, atCommit)
			case replyLost:
				decide, fired = once(pgfault.After, atCommit)
			}
			s.faults.Decide(decide)
			err := b.Write(ctx)
			s.faults.Decide(nil)
			switch at := checkpoint(); {
			case fired.Text == "":
				if err != nil || at != asStored(b.Checkpoint()) {
					s.t.Fatalf("nothing failed, and Write: %v; the checkpoint is at %d", err, at.Sequence)
				}
			case err == nil || errors.Is(err, projection.ErrFenced) || errors.Is(err, projection.ErrCannotApply):
				s.t.Fatalf("cut at %s: Write: %v", fired.Text, err)
			case at == asStored(b.Checkpoint()):
				s.tried.lost++
				return false
			default:
				s.tried.cuts++
				return false
			}
			switch what {
			case restart:
				s.tried.restarts++
				return false
			case redelivery:
				s.redeliver(log, store, rapid.SampledFrom(earlier).Draw(s.t, "from"), all)
				return false
			case setAside, healed:
				if !s.raiseEpoch(log, store, what, checkpoint(), all, aside) {
					return true
				}
				for _, b := range waiting { // folded before, and of no use any more
					if err := b.Write(ctx); !errors.Is(err, projection.ErrFenced) {
						s.t.Fatalf("a batch that was folded before the epoch was raised: %v, want ErrFenced", err)
					}
					s.tried.fenced++
				}
				return false
			}
			return true
		}
		alive := true
		for alive && len(rest) > 0 {
			n := min(s.sizes.Draw(s.t, "size"), len(rest))
			b, err := s.fold(f, rest[:n], aside)
			if err != nil {
				s.t.Fatal(err)
			}
			rest = rest[n:]
			waiting = append(waiting, b)
			if len(waiting) == 2 || !s.ahead {
				alive = write()
			}
		}
		for alive && len(waiting) > 0 {
			alive = write()
		}
	}
}

// fold makes a batch of commits, of which those that are set aside are passed over and counted.
func (s schedule) fold(f projection.Folder, commits []projection.Commit, aside []projection.Quarantined) (projection.Batch, error) {
	last := commits[len(commits)-1]
	passed := projection.Passed{Last: projection.Mark{Sequence: last.Position.Sequence, Hash: last.Hash, Time: last.Time}}
	var applied []projection.Commit
	for _, c := range commits {
		if !slices.ContainsFunc(aside, func(q projection.Quarantined) bool { return q.Workflow == c.Workflow }) {
			applied = append(applied, c)
			continue
		}
		i := slices.IndexFunc(passed.Waiting, func(w projection.Waiting) bool { return w.Subject == c.Workflow.Subject() })
		if i < 0 {
			i, passed.Waiting = len(passed.Waiting), append(passed.Waiting, projection.Waiting{Subject: c.Workflow.Subject()})
		}
		passed.Waiting[i].Messages++
		passed.Waiting[i].Last = c.Position.Sequence
	}
	if len(passed.Waiting) == 0 {
		return f.Fold(context.Background(), applied)
	}
	s.tried.passed++
	return f.FoldPast(context.Background(), applied, passed)
}

// raiseEpoch sets the workflow aside of which the next commit is, or heals one: one that is set aside, if there is
// one, else one of those of which there are rows. It reports false where there was nothing to do.
func (s schedule) raiseEpoch(log events.Log, store *pgstore.Store, what int, c projection.Checkpoint, all []events.Message, aside []projection.Quarantined) bool {
	if what == healed {
		var workflows []events.Workflow
		for _, q := range aside {
			workflows = append(workflows, q.Workflow)
		}
		if len(workflows) == 0 {
			for _, x := range commitsOf(s.t, log, all[:len(all)-len(after(all, c.Sequence))]) {
				workflows = append(workflows, x.Workflow)
			}
		}
		if len(workflows) == 0 {
			return false
		}
		s.heal(log, store, rapid.SampledFrom(workflows).Draw(s.t, "healed"))
		return true
	}
	next := commitsOf(s.t, log, after(all, c.Sequence))
	if len(next) == 0 || slices.ContainsFunc(aside, func(q projection.Quarantined) bool { return q.Workflow == next[0].Workflow }) {
		return false
	}
	x := next[0]
	q := projection.Quarantined{
		Partition: c.Partition, Subject: x.Workflow.Subject(), Workflow: x.Workflow, Kind: projection.KindRefused, Reason: "drawn",
		First: x.Position.Sequence, Waiting: 1, Last: x.Position.Sequence,
	}
	for _, good := range commitsOf(s.t, log, all[:len(all)-len(after(all, c.Sequence))]) {
		if good.Workflow == x.Workflow {
			q.LastGood, q.LastGoodHash = good.Position.Sequence, good.Hash
		}
	}
	if err := store.SetAside(context.Background(), c, projection.Mark{Sequence: x.Position.Sequence, Hash: x.Hash, Time: x.Time}, q); err != nil {
		s.t.Fatal(err)
	}
	s.tried.aside++
	return true
}

func (s schedule) heal(log events.Log, store *pgstore.Store, w events.Workflow) {
	if _, err := store.Heal(context.Background(), log, w); err != nil {
		s.t.Fatal(err)
	}
	s.tried.healed++
}

// withoutEpochs are lines of a dump without the epochs of checkpoints, which rise whenever something is set aside or
// healed.
func withoutEpochs(dump []string) []string {
	out := slices.Clone(dump)
	for i, line := range out {
		if strings.HasPrefix(line, "checkpoint ") {
			out[i] = epochs.ReplaceAllString(line, "")
		}
	}
	return out
}

var epochs = regexp.MustCompile(`"epoch": \d+, `)

// redeliver projects again what follows a checkpoint that the tables have passed. All of it is refused.
func (s schedule) redeliver(log events.Log, store *pgstore.Store, from projection.Checkpoint, all []events.Message) {
	again := commitsOf(s.t, log, after(all, from.Sequence))
	b, err := store.Folder(from).Fold(context.Background(), again[:rapid.IntRange(1, len(again)).Draw(s.t, "again")])
	if err == nil {
		err = b.Write(context.Background())
	}
	if !errors.Is(err, projection.ErrFenced) {
		s.t.Fatalf("what follows %d was delivered again: %v, want ErrFenced", from.Sequence, err)
	}
	s.tried.redelivered++
}

// after are the messages behind a sequence.
func after(all []events.Message, sequence uint64) []events.Message {
	i, _ := slices.BinarySearchFunc(all, sequence+1, func(m events.Message, s uint64) int { return int(int64(m.Position.Sequence) - int64(s)) })
	return all[i:]
}

// Whatever the batches, however much is cached, at whatever statement the connection is cut, whether or not the
// transaction was stored then, whatever is delivered again, and whatever is set aside and healed between: the tables are those of one batch, and what the log
// says. So they are if they had no indexes meanwhile.
func TestAnySplitAnyCrashSameTables(t *testing.T) {
	t.Parallel()
	type database struct {
		pool, behind *pgxpool.Pool
		faults       *pgfault.Injector
	}
	in := map[pgstore.EventsMode]database{}
	for _, mode := range modes {
		d := database{pool: newTablesIn(t, mode)}
		d.behind, d.faults = withFaults(t, d.pool)
		in[mode] = d
	}
	var n tried
	n.modes = map[pgstore.EventsMode]int{}
	rapid.Check(t, func(t *rapid.T) {
		mode := rapid.SampledFrom(modes).Draw(t, "events")
		n.modes[mode]++
		pool, behind, faults := in[mode].pool, in[mode].behind, in[mode].faults
		empty(t, behind, pool)
		log, workflows := oddLog(t, historytest.Drawn(t, 40), historytest.Options{
			Workflows: rapid.IntRange(1, 12).Draw(t, "workflows"), Moves: rapid.SampledFrom([]int{4, 1, 60}).Draw(t, "moves"),
		}, 3, rapid.SampledFrom([]uint64{0, 0, 0, 0, 0, 0, 0, 1, 2}).Draw(t, "real"))
		reference := storeOn(t, pool, pgstore.Config{})
		projectAll(t, log, reference, 0)
		want := dump(t, pool)
		mustAgree(t, log, reference, pool, workflows)

		empty(t, behind, pool)
		bare := rapid.IntRange(0, 3).Draw(t, "indexes") == 0
		if bare {
			withoutIndexes(t, pool)
		}
		store := storeOn(t, behind, pgstore.Config{CacheRuns: rapid.SampledFrom([]int{1, 2, 10_000}).Draw(t, "cache")})
		store.CopyFrom(rapid.SampledFrom([]int{1, 4, 1000}).Draw(t, "copy from"))
		s := schedule{
			t: t, ahead: rapid.Bool().Draw(t, "ahead"), faults: faults, tried: &n,
			sizes: rapid.SampledFrom([]int{1, 1, 2, 3, 5, 9, 100}),
		}
		for p := range events.Partition(log.Identity().Map.Partitions()) {
			s.run(log, store, p)
			n.look(commitsOf(t, log, messages(t, log, p)))
		}
		if bare {
			buildIndexes(t, pool)
		}
		if diff := cmp.Diff(withoutEpochs(want), withoutEpochs(dump(t, pool))); diff != "" {
			t.Fatalf("in one batch (-) and as scheduled (+):\n%s", diff)
		}
		n.logs++
	})
	t.Log(n)
	for _, mode := range modes {
		t.Logf("with --events=%s: %d logs\n%s", mode, n.modes[mode], in[mode].faults)
	}
	for what, count := range map[string]int{
		"cuts": n.cuts, "lost replies": n.lost, "restarts": n.restarts, "redelivered suffixes": n.redelivered,
		"commits of two runs": n.twoRuns, "resets": n.resets, "voids": n.voids,
		"workflows set aside": n.aside, "batches that passed them": n.passed, "heals": n.healed, "batches fenced by a new epoch": n.fenced,
	} {
		if count == 0 && !testing.Short() {
			t.Errorf("there were no %s: nothing is shown about them", what)
		}
	}
}

// look counts what kinds of commits there are.
func (c *tried) look(commits []projection.Commit) {
	c.commits += len(commits)
	for _, x := range commits {
		switch {
		case x.Void != nil:
			c.voids++
		case x.Base != nil:
			c.resets++
		}
		if x.Closed != nil {
			c.twoRuns++
		}
	}
}
