package e2e

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// sharers are projectors that share a log that is being appended to.
type sharers struct {
	environment
	log     *natslog.Log
	pool    *pgxpool.Pool
	traffic *traffic
}

func newSharers(t *testing.T) *sharers {
	t.Helper()
	e, _ := newEnvironment(t)
	pool, err := pgxpool.New(t.Context(), e.database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s := &sharers{environment: e, log: e.log(t), pool: pool}
	s.traffic = startTraffic(t, s.log)
	return s
}

// traffic appends to workflows of all partitions until it is stopped.
type traffic struct {
	stop func() (events map[string]int) // of each workflow
}

func startTraffic(t *testing.T, log *natslog.Log) *traffic {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stored := map[string]int{}
	var failed error
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ctx.Err() == nil; i++ {
			w := events.Workflow{Namespace: "default", ID: fmt.Sprintf("w-%d", i%200)}
			r := events.Request{Workflow: w, Events: []*events.Event{events.WorkflowStarted("T", "q")}}
			if stored[w.ID] > 0 {
				r.Expect, r.Events = events.AtEnd(), []*events.Event{events.Signaled("s")}
			}
			// It is not cut off in the middle, so that what is stored is known.
			if _, failed = log.Append(t.Context(), r); failed != nil {
				return
			}
			stored[w.ID]++
			<-tick.C
		}
	}()
	var once sync.Once
	a := &traffic{stop: func() map[string]int {
		once.Do(cancel)
		<-done
		if failed != nil {
			t.Errorf("append: %v", failed)
		}
		return stored
	}}
	t.Cleanup(func() { cancel(); <-done })
	return a
}

// looks is how long lies between two looks at the tables: the projectors shall have
// the machine.
const looks = 20 * time.Millisecond

// pid is the projector's process.
func (p *projector) pid() int { return p.cmd.Process.Pid }

// signal sends a signal to the projector.
func (p *projector) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// holding is how many partitions each process has, whether somebody keeps the
// heartbeats, and whether nothing is missing.
func (s *sharers) holding(t *testing.T) (partitions map[int]int, heartbeats bool) {
	t.Helper()
	rows, err := s.pool.Query(t.Context(), `SELECT lease, pid FROM annals.leases WHERE expires_at > clock_timestamp()`)
	if err != nil {
		t.Fatal(err)
	}
	partitions = map[int]int{}
	var lease string
	var pid int
	_, err = pgx.ForEachRow(rows, []any{&lease, &pid}, func() error {
		if lease == "heartbeats" {
			heartbeats = true
		} else {
			partitions[pid]++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return partitions, heartbeats
}

// shared waits until these projectors and no other have all leases, in fair shares,
// and says how long that took from began on.
func (s *sharers) shared(t *testing.T, began time.Time, among ...*projector) time.Duration {
	t.Helper()
	all := s.log.Identity().Map.Partitions()
	look := time.NewTicker(looks)
	defer look.Stop()
	for {
		partitions, heartbeats := s.holding(t)
		n, fair := 0, heartbeats && len(partitions) == len(among)
		for _, p := range among {
			has := partitions[p.pid()]
			n += has
			fair = fair && (has == all/len(among) || has == (all+len(among)-1)/len(among))
		}
		switch took := time.Since(began); {
		case n == all && fair:
			return took
		case took > time.Minute:
			t.Fatalf("after %s the partitions are with %v, heartbeats kept: %t", took, partitions, heartbeats)
		}
		<-look.C
	}
}

// caughtUp waits until the tables have all that the log has now, and says how long
// that took from began on.
func (s *sharers) caughtUp(t *testing.T, began time.Time) time.Duration {
	t.Helper()
	ends := make([]uint64, s.log.Identity().Map.Partitions())
	for p := range ends {
		b, err := s.log.Bounds(t.Context(), events.Partition(p))
		if err != nil {
			t.Fatal(err)
		}
		ends[p] = b.Last
	}
	look := time.NewTicker(looks)
	defer look.Stop()
	for {
		rows, err := s.pool.Query(t.Context(), `SELECT partition, sequence FROM annals.checkpoints`)
		if err != nil {
			t.Fatal(err)
		}
		behind := len(ends)
		var partition int
		var sequence uint64
		if _, err := pgx.ForEachRow(rows, []any{&partition, &sequence}, func() error {
			if sequence >= ends[partition] {
				behind--
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		if behind == 0 {
			return took
		}
		if took > 2*time.Minute {
			t.Fatalf("after %s the tables are behind in %d partitions", took, behind)
		}
		<-look.C
	}
}

// check holds the tables against the log, and against what was appended.
func (s *sharers) check(t *testing.T) {
	t.Helper()
	stored := s.traffic.stop()
	v := parse[verified](t, s.annals(0, "verify", "--wait", "1m", "-o", "json"))
	rows, err := s.pool.Query(t.Context(), `
		SELECT workflow_id, count(*), count(DISTINCT event_id), max(event_id) FROM annals.events GROUP BY workflow_id`)
	if err != nil {
		t.Fatal(err)
	}
	var id string
	var count, distinct, last, events int
	found := map[string]bool{}
	_, err = pgx.ForEachRow(rows, []any{&id, &count, &distinct, &last}, func() error {
		if want := stored[id]; count != want || distinct != want || last != want {
			t.Errorf("%s has %d events, %d of them different, up to %d; %d were appended", id, count, distinct, last, want)
		}
		found[id] = true
		events += count
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != len(stored) || v.Events != int64(events) {
		t.Errorf("the tables have %d workflows and %d events; %d workflows were appended to, and verify compared %d events", len(found), events, len(stored), v.Events)
	}
	t.Logf("%d events of %d workflows: the tables equal a fresh fold", events, len(found))
}

// stop ends a projector by SIGTERM and returns when it is gone.
func (p *projector) stop(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	err := p.cmd.Wait()
	p.cmd = nil
	if err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// strict holds take-overs to what is promised of them; else they may take three
// times as long, since the machine may be busy with other tests.
var strict = flag.Bool("leases.strict", false, "take-overs take no longer than is promised")

func promised(d time.Duration) time.Duration {
	if *strict {
		return d
	}
	return 3 * d
}

// What is promised of a take-over.
const (
	afterDeath     = 10 * time.Second
	afterCleanStop = 2 * time.Second
)

func TestProjectorsShareTheWorkAndTakeOver(t *testing.T) {
	t.Parallel()
	s := newSharers(t)
	first := s.startProjector()
	s.shared(t, time.Now(), first)

	second := s.startProjector()
	t.Logf("a second one started: shared after %s", s.shared(t, time.Now(), first, second).Round(time.Millisecond))
	third := s.startProjector()
	t.Logf("a third one started: shared after %s", s.shared(t, time.Now(), first, second, third).Round(time.Millisecond))

	began := time.Now()
	third.stop(t)
	took := s.shared(t, began, first, second)
	t.Logf("one of three stopped: its partitions are taken over %s after the signal", took.Round(time.Millisecond))
	if took > promised(afterCleanStop) {
		t.Errorf("it took longer than %s", promised(afterCleanStop))
	}

	s.caughtUp(t, time.Now())
	began = time.Now()
	second.kill()
	took = s.shared(t, began, first)
	caught := s.caughtUp(t, began)
	t.Logf("one of two killed: its partitions are taken over after %s; projector death to caught up: %s",
		took.Round(time.Millisecond), caught.Round(time.Millisecond))
	if took > promised(afterDeath) {
		t.Errorf("it took longer than %s", promised(afterDeath))
	}
	s.check(t)
}

// A holder that is stopped, and goes on when others have its partitions, notices:
// it takes its share again, and what it had begun is nowhere.
func TestAProjectorThatWasStoppedGoesOn(t *testing.T) {
	t.Parallel()
	s := newSharers(t)
	first, second := s.startProjector(), s.startProjector()
	s.shared(t, time.Now(), first, second)
	began := time.Now()
	second.signal(t, syscall.SIGSTOP)
	t.Logf("one of two stopped by SIGSTOP: its partitions are taken over after %s", s.shared(t, began, first).Round(time.Millisecond))
	s.caughtUp(t, time.Now())
	began = time.Now()
	second.signal(t, syscall.SIGCONT)
	t.Logf("it goes on: shared after %s", s.shared(t, began, first, second).Round(time.Millisecond))
	s.check(t)
	second.kill()
	// One whose claim had not been answered yet when it was stopped has nothing to lose.
	if said := second.log.String(); !strings.Contains(said, "a lease was lost") && !strings.Contains(said, "leases cannot be renewed or taken") {
		t.Errorf("it did not say that anything happened to its leases:\n%s", said)
	}
}

// The same for one that is stopped in the middle of a transaction, which has the
// checkpoint locked: whether it waits for nothing, or for the rows of a COPY.
func TestAProjectorThatWasStoppedInATransactionGoesOn(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		events int    // of the commit that it is stopped in
		stands string // how its session stands then; empty: it waits for no lock any more
	}{
		{"idle", 1, ``},
		{"in the middle of COPY", 30_000, // 2.8 MB of rows: more than a socket takes
			`state = 'active' AND query ILIKE 'copy%' AND wait_event = 'ClientRead'`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newSharers(t)
			first, second := s.startProjector(), s.startProjector()
			s.shared(t, time.Now(), first, second)
			s.traffic.stop()
			s.caughtUp(t, time.Now())

			// Its batch gets as far as the rows of events, for which it waits.
			blocker, err := s.pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = blocker.Rollback(context.Background()) }()
			var schema string
			if err := blocker.QueryRow(t.Context(), `SELECT 'annals_executions_' || generation FROM annals.generations WHERE projection = 'executions' AND state = 'live'`).Scan(&schema); err != nil {
				t.Fatal(err)
			}
			if _, err := blocker.Exec(t.Context(), `LOCK TABLE `+schema+`.run_events IN SHARE MODE`); err != nil {
				t.Fatal(err)
			}
			w := s.ownedBy(t, second.pid())
			list := []*events.Event{events.WorkflowStarted("T", "q")}
			for len(list) < tc.events { // short ones, whose rows are not
				list = append(list, &events.Event{
					EventType:  enumspb.EVENT_TYPE_ACTIVITY_PROPERTIES_MODIFIED_EXTERNALLY,
					Attributes: &historypb.HistoryEvent_ActivityPropertiesModifiedExternallyEventAttributes{},
				})
			}
			if _, err := s.log.Append(t.Context(), events.Request{Workflow: w, Events: list}); err != nil {
				t.Fatal(err)
			}
			// Others of its sessions may wait for a lock for a moment; and a transaction that
			// several partitions share gives up after a tenth of a second: each then has one of
			// its own, which waits on.
			pid := s.session(t, second.pid(), `wait_event_type = 'Lock' AND query ILIKE '%run_events%' AND clock_timestamp() - query_start > interval '1 second' AND $2 <> 0`, 1)
			second.signal(t, syscall.SIGSTOP)
			began := time.Now()
			if err := blocker.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			if tc.stands != "" {
				s.session(t, second.pid(), tc.stands+` AND pid = $2`, pid)
			} else {
				s.goesOn(t, pid)
			}

			s.shared(t, began, first)
			took := s.caughtUp(t, began)
			t.Logf("stopped with an open transaction: taken over and caught up after %s", took.Round(time.Millisecond))
			if took > promised(afterDeath) {
				t.Errorf("it took longer than %s", promised(afterDeath))
			}
			second.signal(t, syscall.SIGCONT)
			t.Logf("it goes on: shared after %s", s.shared(t, time.Now(), first, second).Round(time.Millisecond))
			v := parse[verified](t, s.annals(0, "verify", "--wait", "1m", "-o", "json"))
			var n, last int
			if err := s.pool.QueryRow(t.Context(), `SELECT count(*), max(event_id) FROM annals.events WHERE workflow_id = $1`, w.ID).Scan(&n, &last); err != nil {
				t.Fatal(err)
			}
			if n != tc.events || last != tc.events || v.Rows["events"] == 0 {
				t.Errorf("the tables have %d events up to %d, %d were appended", n, last, tc.events)
			}
			second.kill()
			said := second.log.String()
			if !strings.Contains(said, "projecting was interrupted") && !strings.Contains(said, "the checkpoint was moved by another") && !strings.Contains(said, "a lease was lost") {
				t.Errorf("it did not say that its batch was dropped:\n%s", said)
			}
		})
	}
}

// ownedBy is a workflow that is not there yet, in a partition that a process has.
func (s *sharers) ownedBy(t *testing.T, pid int) events.Workflow {
	t.Helper()
	for i := range 10_000 {
		w := events.Workflow{Namespace: "default", ID: fmt.Sprintf("held-%d", i)}
		var held bool
		err := s.pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM annals.leases WHERE lease = $1 AND pid = $2 AND expires_at > clock_timestamp())`,
			fmt.Sprintf("partition/%d", s.log.Identity().Map.Partition(w.Slot())), pid).Scan(&held)
		if err != nil {
			t.Fatal(err)
		}
		if held {
			return w
		}
	}
	t.Fatal("no workflow is in a partition that it has")
	return events.Workflow{}
}

// sessions are how all sessions of projectors stand.
func (s *sharers) sessions(t *testing.T) string {
	t.Helper()
	var text string
	if err := s.pool.QueryRow(t.Context(), `SELECT coalesce(string_agg(concat_ws(' ', pid, application_name, state, wait_event_type, wait_event, clock_timestamp() - query_start, left(query, 60)), E'\n'), 'none')
		FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`).Scan(&text); err != nil {
		return err.Error()
	}
	return text
}

// await looks until it is so.
func (s *sharers) await(t *testing.T, what string, so func(context.Context) (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	look := time.NewTicker(looks)
	defer look.Stop()
	for ; ; <-look.C {
		is, err := so(ctx)
		if err != nil {
			t.Fatalf("%s: %v; sessions stand so:\n%s", what, err, s.sessions(t))
		}
		if is {
			return
		}
	}
}

// goesOn waits until a session waits for no lock, and says how all stand then.
func (s *sharers) goesOn(t *testing.T, pid int) {
	t.Helper()
	s.await(t, fmt.Sprintf("session %d waits for a lock still", pid), func(ctx context.Context) (on bool, err error) {
		err = s.pool.QueryRow(ctx, `SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock')`, pid).Scan(&on)
		return on, err
	})
	t.Logf("session %d goes on; they stand so:\n%s", pid, s.sessions(t))
}

// session waits until a session of a process stands as a condition says, which may
// use $2, and gives its number.
func (s *sharers) session(t *testing.T, pid int, condition string, arg int) (session int) {
	t.Helper()
	s.await(t, "no session of the projector stands as wanted ("+condition+")", func(ctx context.Context) (bool, error) {
		err := s.pool.QueryRow(ctx, `SELECT coalesce(min(pid), 0) FROM pg_stat_activity
			WHERE application_name IN (SELECT session FROM annals.leases WHERE pid = $1) AND `+condition, pid, arg).Scan(&session)
		return session != 0, err
	})
	return session
}
