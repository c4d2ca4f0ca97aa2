package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/proto"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// hole is a log in which one message is missing.
type hole struct {
	*memlog.Log
	at events.Position
}

func (h hole) Follow(ctx context.Context, p events.Partition, o events.FollowOptions) iter.Seq2[events.Message, error] {
	return func(yield func(events.Message, error) bool) {
		for m, err := range h.Log.Follow(ctx, p, o) {
			if err == nil && m.Position == h.at {
				continue
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

func (h hole) Commits(ctx context.Context, w events.Workflow) iter.Seq2[*events.Commit, error] {
	return func(yield func(*events.Commit, error) bool) {
		for c, err := range h.Log.Commits(ctx, w) {
			if err == nil && c.Position == h.at {
				yield(nil, &events.CorruptError{Workflow: w, Position: h.at, Reason: "a commit is gone"})
				return
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

// alterBody changes a field that no envelope speaks of, or changes it back.
func alterBody(t *testing.T, m *events.Message) {
	t.Helper()
	var h historypb.History
	if err := proto.Unmarshal(m.Body, &h); err != nil {
		t.Fatal(err)
	}
	h.Events[0].TaskId ^= 7
	var err error
	if m.Body, err = proto.Marshal(&h); err != nil {
		t.Fatal(err)
	}
}

var victim = events.Workflow{Namespace: "default", ID: "victim"}

// scene is a log with one workflow that something is wrong with, among others.
type scene struct {
	t       *testing.T
	log     *memlog.Log
	pool    *pgxpool.Pool
	store   *pgstore.Store
	others  *historytest.Generator
	seed    uint64
	results []events.Result // of the victim's commits
	// put is what was published past the library.
	put events.Position
}

func newScene(t *testing.T) *scene {
	s := &scene{t: t, log: newLog(t, 3), pool: newTables(t), others: historytest.New(historytest.Options{Workflows: 30})}
	s.store = storeOn(t, s.pool, pgstore.Config{CacheRuns: 1})
	return s
}

func (s *scene) background() {
	s.t.Helper()
	s.seed++
	if err := s.others.AppendAll(s.t.Context(), s.log, historytest.Seeded(s.seed, 60)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) append(run events.RunID, expect events.Expectation, es ...*events.Event) {
	s.t.Helper()
	res, err := s.log.Append(s.t.Context(), events.Request{Workflow: victim, RunID: run, Expect: expect, Events: es})
	if err != nil {
		s.t.Fatal(err)
	}
	s.results = append(s.results, res)
}

// publish writes a message past the library.
func (s *scene) publish(subject string, body []byte) {
	p := s.log.Partition(victim)
	s.put = events.Position{Partition: p, Sequence: s.log.Put(p, subject, nil, body)}
}

func (s *scene) exec(sql string) {
	s.t.Helper()
	if _, err := s.pool.Exec(s.t.Context(), sql); err != nil {
		s.t.Fatal(err)
	}
}

// alter changes the victim's third commit.
func (s *scene) alter(f func(*events.Message)) { s.log.Alter(s.results[2].Position, f) }

// entries are all of the quarantine.
func (s *scene) entries() []projection.Quarantined {
	s.t.Helper()
	page, err := s.store.Quarantined(s.t.Context(), postgres.QuarantineQuery{})
	if err != nil {
		s.t.Fatal(err)
	}
	if page.Total != int64(len(page.Entries)) {
		s.t.Errorf("%d entries of %d", len(page.Entries), page.Total)
	}
	return page.Entries
}

// rows are those of all tables, without checkpoints.
func rows(t failer, pool *pgxpool.Pool) []string {
	t.Helper()
	var out []string
	for _, row := range dump(t, pool) {
		if !strings.HasPrefix(row, "checkpoint ") {
			out = append(out, row)
		}
	}
	return out
}

// mustBeAFreshFold holds the tables against others that are made from the start of
// the log, and verifies them.
func (s *scene) mustBeAFreshFold() {
	s.t.Helper()
	if r := verify(s.t, s.log, s.store, pgstore.VerifyOptions{}); len(r.Differences) != 0 {
		s.t.Errorf("Verify: %+v", r.Differences)
	}
	fresh := newTables(s.t)
	store := storeOn(s.t, fresh, pgstore.Config{})
	r := start(s.t, s.log, store, projection.Config{})
	waitFor(s.t, store, ends(s.t, s.log))
	if err := r.stop(); err != nil {
		s.t.Error(err)
	}
	if diff := cmp.Diff(rows(s.t, fresh), rows(s.t, s.pool)); diff != "" {
		s.t.Errorf("a fresh fold (-) and the tables (+):\n%s", diff)
	}
}

// Whatever cannot be applied: only its workflow waits, and says so; it is healed
// once the cause is gone, not before, and then the tables are as if nothing had
// been.
func TestOnlyTheWorkflowThatCannotBeAppliedWaits(t *testing.T) {
	t.Parallel()
	var body []byte
	nobodys := func() string {
		_, rest, _ := strings.Cut(strings.TrimPrefix(victim.Subject(), "annals."), ".")
		return fmt.Sprintf("annals.%d.%s", (victim.Slot()+1)%events.Slots, rest)
	}
	for _, tt := range []struct {
		name string
		why  string
		kind projection.Kind
		says string
		// spoil acts when the victim's first two commits are projected and two
		// more are there.
		spoil func(*scene)
		// at is the first commit of the victim that waits; put: what spoil put.
		at int
		// mend takes the cause away; nil: it is the tables', which healing makes
		// anew.
		mend func(*scene)
		// advice is what is said while the cause is there.
		advice string
		hole   bool
	}{
		{
			name: "a foreign message", why: "somebody published past the library", kind: projection.KindForeign, at: put, says: "header Annals: is missing",
			spoil:  func(s *scene) { s.publish(victim.Subject(), []byte("hello")) },
			mend:   func(s *scene) { s.void() },
			advice: "annals log void",
		},
		{
			name: "a broken chain", why: "a body was altered", kind: projection.KindBrokenChain, at: 2, says: "the chain is broken",
			spoil:  func(s *scene) { s.alter(func(m *events.Message) { alterBody(s.t, m) }) },
			mend:   func(s *scene) { s.alter(func(m *events.Message) { alterBody(s.t, m) }) },
			advice: "a backup",
		},
		{
			name: "a body that is no history", why: "it does not decode", kind: projection.KindUndecodable, at: 2, says: "body is not a History",
			spoil:  func(s *scene) { s.alter(func(m *events.Message) { body, m.Body = m.Body, []byte{0xff} }) },
			mend:   func(s *scene) { s.alter(func(m *events.Message) { m.Body = body }) },
			advice: "a backup",
		},
		{
			name: "a gap", why: "a message is gone from the middle of the stream", kind: projection.KindGap, at: 3, says: "which the tables do not have", hole: true,
			spoil:  func(*scene) {},
			mend:   func(*scene) {},
			advice: "a backup",
		},
		{
			name: "a constraint", why: "the tables refuse a value", kind: projection.KindRefused, at: 2, says: "no_completed_runs",
			spoil: func(s *scene) {
				s.exec(`ALTER TABLE annals_executions_1.executions ADD CONSTRAINT no_completed_runs CHECK (workflow_id <> 'victim' OR status <> 'Completed')`)
			},
			mend:   func(s *scene) { s.exec(`ALTER TABLE annals_executions_1.executions DROP CONSTRAINT no_completed_runs`) },
			advice: "the tables still refuse",
		},
		{
			name: "a row that should not be there", why: "an event's key is taken", kind: projection.KindRefused, at: 2, says: "run_events_pkey",
			spoil: func(s *scene) {
				s.exec(`INSERT INTO annals_executions_1.run_events SELECT slot, 3, run_no, sequence, time, type, name FROM annals_executions_1.run_events JOIN annals.executions AS e USING (slot, run_no) WHERE workflow_id = 'victim' AND event_id = 1`)
			},
		},
		{
			name: "a row that is gone", why: "nothing to go on from", kind: projection.KindGap, at: 2, says: "which the tables do not have",
			spoil: func(s *scene) { s.exec(`DELETE FROM annals_executions_1.executions WHERE workflow_id = 'victim'`) },
		},
		{
			name: "a state that cannot be decoded", why: "a bit of the row was changed", kind: projection.KindDamaged, at: 2, says: "not an encoded execution state",
			spoil: func(s *scene) {
				s.exec(`UPDATE annals_executions_1.executions SET state = '\x00' WHERE workflow_id = 'victim'`)
			},
		},
		{
			name: "a hash that is not the log's", why: "the row was changed", kind: projection.KindBrokenChain, at: 2, says: "the chain is broken",
			spoil: func(s *scene) {
				s.exec(`UPDATE annals_executions_1.workflows SET last_hash = decode(repeat('00', 16), 'hex') WHERE workflow_id = 'victim'`)
			},
		},
		{
			name: "a run that should not be there", why: "the key of a new run is taken", kind: projection.KindRefused, at: 3, says: "executions_pkey",
			spoil: func(s *scene) {
				s.exec(`INSERT INTO annals_executions_1.executions SELECT * FROM jsonb_populate_record(NULL::annals_executions_1.executions,
				(SELECT to_jsonb(e) || '{"run_id": "run-2", "run_no": -1}' FROM annals_executions_1.executions AS e WHERE workflow_id = 'victim'))`)
			},
		},
		{
			name: "a message on no workflow's subject", why: "its slot is not its workflow's", kind: projection.KindForeign, at: put, says: "lies in slot",
			spoil: func(s *scene) { s.publish(nobodys(), nil) },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			s := newScene(t)
			part := s.log.Partition(victim)
			s.append("run-1", events.NewRun(), events.WorkflowStarted("Order", "orders"))
			s.append("", events.AtEnd(), events.Signaled("a"))
			s.background()
			projectAll(t, s.log, s.store, 0)

			s.background()
			s.append("", events.AtEnd(), events.WorkflowCompleted())
			s.background()
			s.append("run-2", events.NewRun(), events.WorkflowStarted("Order", "orders"), events.WorkflowCompleted())
			tt.spoil(s)
			s.background()
			bad := s.put
			if tt.at != put {
				bad = s.results[tt.at].Position
			}
			var log events.Log = s.log
			if tt.hole {
				log = hole{s.log, s.results[2].Position}
			}
			waits := tt.name != "a message on no workflow's subject"

			lines := newLogged()
			r := start(t, log, s.store, projection.Config{Logger: lines.logger()})
			waitFor(t, s.store, ends(t, s.log)) // nothing stops
			want := []string{"level=ERROR", "quarantined:", fmt.Sprintf("partition=%d", part), "position=" + bad.String(), tt.says}
			if waits {
				want = append(want, "workflow=victim", "namespace=default")
			}
			lines.with(t, want...)
			for p, status := range r.Status() {
				n := 0
				if events.Partition(p) == part {
					n = 1
				}
				if tt.hole {
					n *= 2
				}
				if status.Phase != projection.PhaseFollowing || status.Err != nil || status.Quarantined != n || (n > 0) != (status.Waiting > 0) {
					t.Errorf("partition %d: %+v, want %d quarantined", p, status, n)
				}
			}

			// The entry says all.
			entries := s.entries()
			if tt.hole {
				gap := entries[0]
				if gap.Workflow != (events.Workflow{}) || gap.Kind != projection.KindGap || gap.First != s.results[2].Position.Sequence || gap.Last != gap.First || gap.Waiting != 1 {
					t.Errorf("the gap is recorded as %+v", gap)
				}
				gaps := func() []pgstore.Quarantine {
					d, err := s.store.Describe(ctx, pgstore.DescribeQuery{Workflow: victim})
					if err != nil {
						t.Error(err)
					}
					return d.Gaps
				}
				if diff := cmp.Diff([]pgstore.Quarantine{*pgstore.QuarantineOf(gap)}, gaps()); diff != "" {
					t.Errorf("describe names the gaps: wanted (-) and found (+):\n%s", diff)
				}
				if _, err := s.store.Acknowledge(ctx, gap.Position()); err != nil {
					t.Error(err)
				}
				if left := gaps(); len(left) != 0 {
					t.Errorf("describe names a gap that was acknowledged: %+v", left)
				}
				entries = s.entries()
			}
			if len(entries) != 1 {
				t.Fatalf("%d entries: %+v", len(entries), entries)
			}
			q := entries[0]
			if q.Position() != bad || q.Kind != tt.kind || !strings.Contains(q.Reason, tt.says) || q.Since.IsZero() {
				t.Errorf("the entry is %+v", q)
			}
			if !waits {
				if q.Workflow != (events.Workflow{}) || q.Subject != nobodys() {
					t.Errorf("the entry is of %s, %s", q.Workflow, q.Subject)
				}
				s.mustBeAFreshFold0(q)
				if _, err := s.store.Acknowledge(ctx, q.Position()); err != nil {
					t.Error(err)
				}
				if _, err := s.store.Acknowledge(ctx, q.Position()); !errors.Is(err, events.ErrNotFound) {
					t.Errorf("acknowledged twice: %v", err)
				}
				// One more of the same subject is quarantined anew.
				s.publish(nobodys(), nil)
				waitFor(t, s.store, ends(t, s.log))
				if again := s.entries(); len(again) != 1 || again[0].Position() != s.put {
					t.Errorf("%+v", again)
				}
				if err := r.stop(); err != nil {
					t.Error(err)
				}
				return
			}
			good := s.results[1]
			switch {
			case tt.at == put:
				good = s.results[3]
			case tt.at == 3 && !tt.hole:
				good = s.results[2]
			}
			if q.Workflow != victim || q.Subject != victim.Subject() || q.LastGood != good.Position.Sequence || q.LastGoodHash != good.Cursor.Hash() {
				t.Errorf("the entry is %+v, want the last good at %s", q, good.Position)
			}
			waiting := int64(1)
			if tt.at == 2 {
				waiting = 2
			}
			if q.Waiting != waiting {
				t.Errorf("%d messages wait, want %d", q.Waiting, waiting)
			}

			// Queries say so, and Verify, which finds nothing else.
			d, err := s.store.Describe(ctx, pgstore.DescribeQuery{Workflow: victim})
			var missing *pgstore.NotFoundError
			switch {
			case errors.As(err, &missing): // the row is gone
				if missing.Quarantined == nil || !errors.Is(err, projection.ErrQuarantined) || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("Describe: %v", err)
				}
			case err != nil:
				t.Error(err)
			case !d.Execution.Quarantined || d.Quarantine == nil || d.Quarantine.Position != bad.String() || d.Quarantine.Kind != string(tt.kind) || d.Quarantine.Reason != q.Reason || d.Quarantine.Waiting != q.Waiting:
				t.Errorf("described as %+v, %+v", d.Execution.Quarantined, d.Quarantine)
			}
			s.flagged(map[string]bool{"victim": true})
			report := verify(t, log, s.store, pgstore.VerifyOptions{})
			if len(report.Differences) != 1 || report.Differences[0].Kind != pgstore.KindQuarantined || report.Differences[0].Workflow != victim || !strings.Contains(report.Differences[0].Where, tt.says) {
				t.Errorf("Verify: %+v", report.Differences)
			}

			// It is healed once the cause is gone.
			if tt.mend != nil {
				before := rows(t, s.pool)
				_, err := s.store.Heal(ctx, log, victim)
				if !errors.Is(err, projection.ErrNotHealed) || !strings.Contains(err.Error(), tt.advice) {
					t.Errorf("Heal while the cause is there: %v", err)
				}
				if diff := cmp.Diff(before, rows(t, s.pool)); diff != "" || len(s.entries()) != 1 {
					t.Errorf("a heal that was refused changed (-before +after):\n%s", diff)
				}
				tt.mend(s)
				waitFor(t, s.store, ends(t, s.log))
			}
			if tt.hole {
				if err := r.stop(); err != nil {
					t.Error(err)
				}
				r = start(t, s.log, s.store, projection.Config{})
			}
			healed, err := s.store.Heal(ctx, s.log, victim)
			if err != nil {
				t.Fatal(err)
			}
			if healed.Was == nil || healed.Was.Position() != bad || healed.Workflow != victim || healed.Commits == 0 {
				t.Errorf("healed: %+v", healed)
			}
			if left := s.entries(); len(left) != 0 {
				t.Errorf("left: %+v", left)
			}
			s.flagged(nil)
			s.mustBeAFreshFold()

			// The projector goes on with it.
			s.append("", events.NewRun(), events.WorkflowStarted("Order", "orders"))
			s.background()
			waitFor(t, s.store, ends(t, s.log))
			if err := r.stop(); err != nil {
				t.Error(err)
			}
			s.mustBeAFreshFold()
			mustAgree(t, s.log, s.store, s.pool, append(s.others.Workflows(), victim))
		})
	}
}

// put stands for the message that was published past the library.
const put = -1

func (s *scene) void() {
	s.t.Helper()
	if _, err := s.log.Void(s.t.Context(), events.VoidRequest{Workflow: victim}); err != nil {
		s.t.Fatal(err)
	}
}

// flagged holds the flags of a list against those that are wanted.
func (s *scene) flagged(want map[string]bool) {
	s.t.Helper()
	page, err := s.store.List(s.t.Context(), pgstore.ListQuery{Namespace: "default", Limit: pgstore.MaxLimit})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range page.Executions {
		if e.Quarantined != want[e.WorkflowID] {
			s.t.Errorf("the list says of %s: quarantined %t", e.WorkflowID, e.Quarantined)
		}
	}
}

// mustBeAFreshFold0 is mustBeAFreshFold while an entry of nobody's is there.
func (s *scene) mustBeAFreshFold0(q projection.Quarantined) {
	s.t.Helper()
	r := verify(s.t, s.log, s.store, pgstore.VerifyOptions{})
	if len(r.Differences) != 1 || r.Differences[0].Kind != pgstore.KindQuarantined || r.Differences[0].Workflow != (events.Workflow{}) || !strings.Contains(r.Differences[0].Where, q.Subject) {
		s.t.Errorf("Verify: %+v", r.Differences)
	}
	mustHave, err := historytest.Facts(s.t.Context(), s.log, append(s.others.Workflows(), victim))
	if err != nil {
		s.t.Fatal(err)
	}
	have, err := historytest.Stored(s.t.Context(), s.pool)
	if err != nil {
		s.t.Fatal(err)
	}
	if diff := cmp.Diff(historytest.ByRun(mustHave), historytest.ByRun(have)); diff != "" {
		s.t.Errorf("counted in the log (-) and in the tables (+):\n%s", diff)
	}
}

// The same on a server: what somebody publishes past the library, and what the
// tables refuse; voided, healed and acknowledged while it goes on.
func TestQuarantineOnAServer(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	nc := testenv.NATS(t)
	log, pool := natsLog(t, nc, 2), newTables(t)
	store := storeOn(t, pool, pgstore.Config{})
	if _, err := pool.Exec(ctx, `ALTER TABLE annals_executions_1.run_events ADD CONSTRAINT no_poison CHECK (name <> 'poison')`); err != nil {
		t.Fatal(err)
	}
	g := historytest.New(historytest.Options{Workflows: 6})
	seed := uint64(0)
	background := func() {
		t.Helper()
		seed++
		if err := g.AppendAll(ctx, log, historytest.Seeded(seed, 20)); err != nil {
			t.Fatal(err)
		}
	}
	add := func(w events.Workflow, x events.Expectation, es ...*events.Event) {
		t.Helper()
		if _, err := log.Append(ctx, events.Request{Workflow: w, Expect: x, Events: es}); err != nil {
			t.Fatal(err)
		}
	}
	publish := func(subject string) {
		t.Helper()
		if m, err := nc.Request(subject, []byte("hello"), patience); err != nil || !strings.Contains(string(m.Data), `"seq"`) {
			t.Fatalf("%s: %v", m.Data, err)
		}
	}
	refused := events.Workflow{Namespace: "default", ID: "refused"}
	add(victim, events.NewRun(), events.WorkflowStarted("Order", "orders"))
	add(refused, events.NewRun(), events.WorkflowStarted("Order", "orders"))
	background()
	r := start(t, log, store, projection.Config{})
	publish(victim.Subject())
	publish("annals.0.default.nobody")
	add(refused, events.AtEnd(), events.Signaled("poison"))
	background()
	publish(victim.Subject())
	add(refused, events.AtEnd(), events.Signaled("b"))
	background()
	waitFor(t, store, ends(t, log))

	waiting := map[string]string{}
	page, err := store.Quarantined(ctx, postgres.QuarantineQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range page.Entries {
		waiting[q.Subject] = fmt.Sprintf("%s %d", q.Kind, q.Waiting)
	}
	if diff := cmp.Diff(map[string]string{victim.Subject(): "foreign 2", refused.Subject(): "refused 2", "annals.0.default.nobody": "foreign 1"}, waiting); diff != "" {
		t.Errorf("quarantined (-want +got):\n%s", diff)
	}
	for _, w := range []events.Workflow{victim, refused} {
		if _, err := store.Heal(ctx, log, w); !errors.Is(err, projection.ErrNotHealed) {
			t.Errorf("heal %s: %v", w, err)
		}
	}
	if _, err := log.Void(ctx, events.VoidRequest{Workflow: victim}); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(ctx, `ALTER TABLE annals_executions_1.run_events DROP CONSTRAINT no_poison`); err != nil {
		t.Fatal(err)
	}
	for _, q := range page.Entries {
		if q.Workflow == (events.Workflow{}) {
			_, err = store.Acknowledge(ctx, q.Position())
		} else {
			_, err = store.Heal(ctx, log, q.Workflow)
		}
		if err != nil {
			t.Error(err)
		}
	}
	add(victim, events.AtEnd(), events.WorkflowCompleted())
	background()
	waitFor(t, store, ends(t, log))
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	mustAgree(t, log, store, pool, append(g.Workflows(), victim, refused))
}

// Tables that are made anew meet what somebody has acknowledged again, and do not
// ask again; what is more than that, they do.
func TestARebuildKeepsAcknowledgements(t *testing.T) {
	t.Parallel()
	pool, full := newTables(t), newLog(t, 1)
	store := storeOn(t, pool, pgstore.Config{})
	var lost events.Position
	for i := range 5 {
		res, err := full.Append(t.Context(), events.Request{Workflow: events.Workflow{Namespace: "default", ID: fmt.Sprint("w", i)}, Events: []*events.Event{events.WorkflowStarted("T", "q")}})
		if err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			lost = res.Position
		}
	}
	log := hole{full, lost}
	put := func(subject string) events.Position {
		return events.Position{Sequence: full.Put(0, subject, nil, []byte("hello"))}
	}
	const seen, more, open = "annals.nobody.seen", "annals.nobody.more", "annals.nobody.open"
	first := map[string]events.Position{seen: put(seen), more: put(more), open: put(open)}
	r := start(t, log, store, projection.Config{})
	defer func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	}()
	entries := func() (list []string) {
		t.Helper()
		page, err := store.Quarantined(t.Context(), postgres.QuarantineQuery{})
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range page.Entries {
			list = append(list, fmt.Sprintf("%s from %s on: %d", q.Subject, q.Position(), q.Waiting))
		}
		return list
	}
	waitFor(t, store, ends(t, full))
	if n := len(entries()); n != 4 {
		t.Fatalf("%d are quarantined: %v", n, entries())
	}
	for _, at := range []events.Position{lost, first[seen], first[more]} {
		if _, err := store.Acknowledge(t.Context(), at); err != nil {
			t.Fatal(err)
		}
	}
	again := put(more)
	waitFor(t, store, ends(t, full))
	if diff := cmp.Diff([]string{fmt.Sprintf("%s from %s on: 1", open, first[open]), fmt.Sprintf("%s from %s on: 1", more, again)}, entries()); diff != "" {
		t.Fatalf("before: wanted (-) and there (+):\n%s", diff)
	}
	rebuild(t, store, log, quietly())
	if diff := cmp.Diff([]string{fmt.Sprintf("%s from %s on: 2", more, first[more]), fmt.Sprintf("%s from %s on: 1", open, first[open])}, entries()); diff != "" {
		t.Errorf("rebuilt: wanted (-) and there (+):\n%s", diff)
	}
	if _, err := store.Acknowledge(t.Context(), first[more]); err != nil {
		t.Error(err)
	}
	rebuild(t, store, log, quietly())
	if diff := cmp.Diff([]string{fmt.Sprintf("%s from %s on: 1", open, first[open])}, entries()); diff != "" {
		t.Errorf("rebuilt once more: wanted (-) and there (+):\n%s", diff)
	}
}

// Whoever acknowledges while another generation becomes live does so in that one.
func TestAnAcknowledgementBesideASwap(t *testing.T) {
	t.Parallel()
	pool, log := newTables(t), newLog(t, 1)
	store := storeOn(t, pool, pgstore.Config{})
	at := events.Position{Sequence: log.Put(0, "annals.nobody", nil, []byte("hello"))}
	r := start(t, log, store, projection.Config{})
	waitFor(t, store, ends(t, log))
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	o := quietly()
	o.KeepOld = true
	rebuild(t, store, log, o)

	swap, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = swap.Rollback(context.Background()) }()
	if _, err := swap.Exec(t.Context(), `SELECT FROM annals.checkpoints FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	acknowledged := make(chan error, 1)
	go func() {
		_, err := store.Acknowledge(t.Context(), at)
		acknowledged <- err
	}()
	for waits := false; !waits; {
		if err := pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
	for _, sql := range []string{
		`UPDATE annals.generations SET state = 'retired', retired_at = now() WHERE generation = 2`,
		`UPDATE annals.generations SET state = 'live', retired_at = NULL WHERE generation = 1`,
	} {
		if _, err := swap.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := swap.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-acknowledged; err != nil {
		t.Fatal(err)
	}
	for generation, want := range map[int]int64{1: 0, 2: 1} {
		page, err := store.At(generation).Quarantined(t.Context(), postgres.QuarantineQuery{})
		if err != nil || page.Total != want {
			t.Errorf("generation %d has %d entries, %v; want %d", generation, page.Total, err, want)
		}
	}
}
