package pgstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// Difference is something in the tables that is not what the log says.
type Difference struct {
	Kind     string
	Workflow events.Workflow // zero where it is about a whole partition
	Run      events.RunID    // empty where it is not about one run
	Where    string
}

// The kinds of differences between the tables and the log.
const (
	KindLag         = "lag"              // commits that the tables do not have yet
	KindCheckpoint  = "wrong checkpoint" // a checkpoint that does not fit the log
	KindNotInLog    = "not in the log"   // a commit that the tables have, of a workflow whose checkpoint does not fit
	KindNotFolded   = "cannot be folded" // a workflow whose log cannot become rows
	KindQuarantined = "quarantined"      // a workflow whose commits wait: it is not compared
	KindMissing     = "missing row"
	KindExtra       = "extra row"
	KindColumn      = "wrong column"
)

// VerifyOptions restrict a verification and say how long it waits.
type VerifyOptions struct {
	Workflow *events.Workflow // nil: all
	// Wait is how long the checkpoints may take to reach the log's end as it
	// was at the start; what is missing then is a difference. 0: 30 s;
	// negative: no wait.
	Wait time.Duration
	// Progress, if set, is told about events that were compared.
	Progress func(events int)
}

// VerifyReport is what was compared, and what was found.
type VerifyReport struct {
	Commits, Events int64            // folded again
	Rows            map[string]int64 // compared, by table
	// Forgotten counts heartbeats that only the tables have, or that are newer
	// there than what the log has left: they aged out and cannot be compared.
	Forgotten   int64
	Differences []Difference // at most 1,000
	Unlisted    int64        // differences beyond those
}

// maxDifferences bounds what a report lists.
const maxDifferences = 1000

// Verify folds the log again, up to the checkpoints, and compares every column
// of every row with the tables, in one snapshot of them; and the heartbeats that
// the log still has; and the registry of search attributes. It waits first until the checkpoints have reached the log's
// end. What it finds is in the report; an
// error means that the comparison could not be completed.
func (s *Store) Verify(ctx context.Context, log events.Log, o VerifyOptions) (VerifyReport, error) {
	if o.Wait == 0 {
		o.Wait = 30 * time.Second
	}
	for replaced := 0; ; replaced++ {
		r, err := s.verify(ctx, log, o)
		if !isReplaced(err) || replaced == replacements {
			return r, err
		}
	}
}

func (s *Store) verify(ctx context.Context, log events.Log, o VerifyOptions) (VerifyReport, error) {
	if err := s.CheckVersion(ctx); err != nil {
		return VerifyReport{}, err
	}
	v := &verifying{store: s, log: log, o: o, report: VerifyReport{Rows: map[string]int64{}}}
	ends, err := v.ends(ctx)
	if err != nil {
		return VerifyReport{}, err
	}
	heartbeats, err := v.lastHeartbeat(ctx)
	if err != nil {
		return VerifyReport{}, err
	}
	if err := s.await(ctx, log.Identity(), ends, heartbeats, o.Wait); err != nil {
		return VerifyReport{}, err
	}
	control, err := v.awaitControl(ctx)
	if err != nil {
		return VerifyReport{}, err
	}
	err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		v.tx = tx
		if err := v.run(ctx, ends); err != nil {
			return err
		}
		if err := v.heartbeats(ctx, heartbeats); err != nil {
			return fmt.Errorf("verify heartbeats: %w", err)
		}
		if err := v.control(ctx, control); err != nil {
			return fmt.Errorf("verify the registry of search attributes: %w", err)
		}
		return nil
	})
	return v.report, err
}

// ends are where the partitions end that are to be verified.
func (v *verifying) ends(ctx context.Context) (map[events.Partition]uint64, error) {
	id := v.log.Identity()
	if one := v.o.Workflow; one != nil {
		last, err := events.LastOf(ctx, v.log, *one)
		return map[events.Partition]uint64{id.Map.Partition(one.Slot()): last}, err
	}
	ends := map[events.Partition]uint64{}
	for p := range events.Partition(id.Map.Partitions()) {
		b, err := v.log.Bounds(ctx, p)
		if err != nil {
			return nil, err
		}
		ends[p] = b.Last
	}
	return ends, nil
}

// await waits until the checkpoints have reached the ends, at most as long as
// said; the caller sees what is missing.
func (s *Store) await(ctx context.Context, id events.Identity, ends map[events.Partition]uint64, heartbeats uint64, wait time.Duration) error {
	return waitUntil(ctx, wait, func() (bool, error) {
		cs, err := s.Checkpoints(ctx)
		if err != nil {
			return false, err
		}
		reached := map[events.Partition]uint64{}
		for _, c := range cs {
			reached[c.Partition] = c.Sequence
		}
		kept, err := heartbeatCheckpoint(ctx, s.pool, id)
		if err != nil {
			return false, err
		}
		all := kept >= heartbeats
		for p, end := range ends {
			all = all && reached[p] >= end
		}
		return all, nil
	})
}

// waitUntil asks at longer and longer intervals, until the answer is yes, or as long as
// said.
func waitUntil(ctx context.Context, wait time.Duration, reached func() (bool, error)) error {
	deadline := time.Now().Add(wait)
	delays := backoff.NewExponentialBackOff(backoff.WithInitialInterval(5*time.Millisecond), backoff.WithMaxInterval(250*time.Millisecond), backoff.WithMaxElapsedTime(0))
	for {
		if yes, err := reached(); err != nil || yes || time.Now().After(deadline) {
			return err
		}
		select {
		case <-time.After(delays.NextBackOff()):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// verifying is one verification under way.
type verifying struct {
	store  *Store
	log    events.Log
	o      VerifyOptions
	tx     pgx.Tx
	report VerifyReport
	// waits are the quarantined subjects.
	waits map[string]bool
	types typesOf
	mode  EventsMode // of the live tables
	// late are search attributes whose type the tables' registry does not have yet:
	// a row may have been typed already, or not yet.
	late map[attributeKey]bool
	// firstHeartbeat is the first sequence that the stream of heartbeats held
	// when the verification began.
	firstHeartbeat uint64
}

func (v *verifying) differs(d Difference) {
	if len(v.report.Differences) < maxDifferences {
		v.report.Differences = append(v.report.Differences, d)
		return
	}
	v.report.Unlisted++
}

func (v *verifying) run(ctx context.Context, ends map[events.Partition]uint64) error {
	cs, err := v.store.projection.CheckpointsIn(ctx, v.tx)
	if err != nil {
		return err
	}
	if err := v.quarantine(ctx); err != nil {
		return err
	}
	mode, _, err := v.store.projection.ModeIn(ctx, v.tx)
	if err != nil {
		return err
	}
	v.mode = EventsMode(mode)
	// The snapshot of the tables is taken by now: what they were typed with is in
	// the control stream.
	if err := v.loadTypes(ctx); err != nil {
		return err
	}
	have := map[events.Partition]projection.Checkpoint{}
	for _, c := range cs {
		have[c.Partition] = c
		if n := v.log.Identity().Map.Partitions(); int(c.Partition) >= n && v.o.Workflow == nil {
			v.differs(Difference{Kind: KindCheckpoint, Where: fmt.Sprintf("partition %d: the log has %d partitions", c.Partition, n)})
		}
	}
	for p := range events.Partition(v.log.Identity().Map.Partitions()) {
		end, wanted := ends[p]
		if !wanted {
			continue
		}
		c, ok := have[p]
		if !ok {
			id := v.log.Identity()
			c = projection.Checkpoint{Partition: p, LogID: id.LogID, LogEpoch: id.Epoch}
		}
		if c.Sequence < end {
			d, err := v.lag(ctx, c, end)
			if err != nil {
				return err
			}
			v.differs(d)
		}
		fits, err := v.checkpoint(ctx, c)
		if err != nil {
			return err
		}
		if !fits { // to which sequence the rows should be compared is unknown
			if c.LogID == v.log.Identity().LogID {
				if err := v.workflowEnds(ctx, c); err != nil {
					return fmt.Errorf("verify partition %d: %w", p, err)
				}
			}
			continue
		}
		if err := v.partition(ctx, c); err != nil {
			return fmt.Errorf("verify partition %d: %w", p, err)
		}
	}
	return nil
}

// quarantine reports what waits, and leaves it out of the comparison.
func (v *verifying) quarantine(ctx context.Context) error {
	page, err := v.store.projection.QuarantinedIn(ctx, v.tx, postgres.QuarantineQuery{Workflow: v.o.Workflow})
	if err != nil {
		return err
	}
	v.waits = make(map[string]bool, len(page.Entries))
	for _, q := range page.Entries {
		what := q.Workflow.Subject()
		if q.Workflow == (events.Workflow{}) {
			what = q.Subject
		}
		v.waits[what] = true
		v.differs(Difference{Kind: KindQuarantined, Workflow: q.Workflow, Where: fmt.Sprintf("position %s: %s of %s are not in the tables since %s (%s: %s)",
			q.Position(), counted(q.Waiting, "message"), what, q.Since.Format(time.RFC3339), q.Kind, q.Reason)})
	}
	return nil
}

func counted(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// checkpoint reports whether a checkpoint fits the log.
func (v *verifying) checkpoint(ctx context.Context, c projection.Checkpoint) (bool, error) {
	wrong := func(w events.Workflow, what any) (bool, error) {
		v.differs(Difference{Kind: KindCheckpoint, Workflow: w, Where: fmt.Sprintf("partition %d: %v", c.Partition, what)})
		return false, nil
	}
	err := projection.Check(ctx, v.log, c)
	var bad *projection.WrongCheckpointError
	if errors.As(err, &bad) {
		return wrong(bad.Workflow, err)
	}
	if err != nil || c.Sequence == 0 {
		return err == nil, err
	}
	m, err := v.log.Message(ctx, c.Position())
	if err != nil {
		return false, err
	}
	if got, want := c.Time, m.Time.UTC().Truncate(time.Microsecond); !got.Equal(want) {
		_, _ = wrong(events.Workflow{}, fmt.Sprintf("the checkpoint says that commit %s was stored at %s, the log says %s", c.Position(), got.Format(time.RFC3339Nano), want.Format(time.RFC3339Nano)))
	}
	return true, nil
}

// lag says what the tables do not have yet, and whose commit is the first: the
// one that the projector has stopped before, if it has.
func (v *verifying) lag(ctx context.Context, c projection.Checkpoint, end uint64) (Difference, error) {
	if one := v.o.Workflow; one != nil {
		return Difference{Kind: KindLag, Workflow: *one, Where: fmt.Sprintf("partition %d: the tables are at %d, the workflow ended at %d", c.Partition, c.Sequence, end)}, nil
	}
	next := events.Position{Partition: c.Partition, Sequence: c.Sequence + 1}
	d := Difference{Kind: KindLag, Where: fmt.Sprintf("partition %d: the tables are at %d, the log was at %d; the first that they lack is at %s", c.Partition, c.Sequence, end, next)}
	m, err := v.log.Message(ctx, next)
	if errors.Is(err, events.ErrNotFound) {
		return d, nil // gone: the check of the log says so
	}
	if w, bad := events.ParseSubject(m.Subject); bad == nil {
		d.Workflow = w
	}
	return d, err
}

// partition folds a partition up to its checkpoint and compares.
func (v *verifying) partition(ctx context.Context, c projection.Checkpoint) error {
	w := newComparison(v, c)
	stored, err := w.openEvents(ctx)
	if err != nil {
		return err
	}
	defer stored.close()
	if err := w.foldLog(ctx, stored); err != nil {
		return err
	}
	if err := stored.finish(ctx); err != nil {
		return err
	}
	for _, t := range tables {
		if t != runEventsTable { // the events have been compared
			if err := w.compareTable(ctx, t); err != nil {
				return err
			}
		}
	}
	if w.mode == EventsFull {
		return w.compareCommits(ctx)
	}
	return nil
}

// foldLog folds what the checkpoint covers, comparing events as it goes and
// keeping the rows of the other tables.
func (w *comparison) foldLog(ctx context.Context, stored *storedEvents) error {
	if w.checkpoint.Sequence == 0 {
		return nil
	}
	follow := events.FollowOptions{Until: w.checkpoint.Sequence}
	if one := w.o.Workflow; one != nil {
		last, err := events.LastOf(ctx, w.log, *one)
		if err != nil || last == 0 {
			return err
		}
		follow = events.FollowOptions{Until: last, Workflow: one}
	}
	f := newFolder(w.checkpoint)
	f.types, f.mode = w.types, w.mode
	b := f.builder()
	n := 0
	for m, err := range w.log.Follow(ctx, w.checkpoint.Partition, follow) {
		if err != nil {
			return err
		}
		if m.Position.Sequence > w.checkpoint.Sequence {
			break
		}
		before := len(b.events)
		if err := w.foldMessage(ctx, f, b, m); err != nil {
			return err
		}
		if err := stored.compare(m.Position.Sequence, b.events[before:]); err != nil {
			return err
		}
		if err := w.expectCommits(b); err != nil {
			return err
		}
		if n++; n%5000 == 0 {
			if err := w.keep(b); err != nil {
				return err
			}
			b = f.builder()
		}
	}
	w.condemn()
	return w.keep(b)
}

// foldMessage applies one message. A workflow whose log cannot be folded is
// reported once and left out of the comparison from there on, unless a void
// covers what could not.
func (w *comparison) foldMessage(ctx context.Context, f *folder, b *builder, m events.Message) error {
	if w.waits[m.Subject] {
		return nil
	}
	c, err := projection.Decode(m)
	if err != nil {
		workflow, nobodys := events.ParseSubject(m.Subject)
		if nobodys != nil || w.unfolded[workflow] {
			return nil // of what is nobody's the tables have nothing; the check of the log names it
		}
		w.unfold(workflow, "", m.Position, err, true)
		return nil
	}
	if w.unfolded[c.Workflow] && (c.Void == nil || !w.doubts[c.Workflow].voidable) {
		return nil
	}
	err = projection.Complete(ctx, w.log, &c)
	if err != nil && !errors.Is(err, projection.ErrCannotApply) {
		return err
	}
	before := len(b.events)
	if err == nil {
		err = f.apply(b, c)
	}
	if err != nil {
		b.events = b.events[:before]
		if w.unfolded[c.Workflow] {
			return nil
		}
		var broken *brokenChainError
		var missing *missingError
		w.unfold(c.Workflow, c.Run.Run, c.Position, err, errors.As(err, &broken) || errors.As(err, &missing) || errors.Is(err, projection.ErrCannotApply))
		return nil
	}
	delete(w.unfolded, c.Workflow)
	delete(w.doubts, c.Workflow)
	w.report.Commits++
	w.report.Events += int64(c.Count())
	if w.o.Progress != nil {
		w.o.Progress(c.Count())
	}
	return nil
}

// doubt is why a workflow could not be folded further.
type doubt struct {
	difference Difference
	at         uint64
	voidable   bool // by a void behind it
}

func (w *comparison) unfold(workflow events.Workflow, run events.RunID, at events.Position, err error, voidable bool) {
	w.unfolded[workflow] = true
	w.doubts[workflow] = doubt{Difference{Kind: KindNotFolded, Workflow: workflow, Run: run, Where: fmt.Sprintf("position %s: %v", at, err)}, at.Sequence, voidable}
}

// condemn makes differences of what no void covers.
func (w *comparison) condemn() {
	for _, d := range slices.SortedFunc(maps.Values(w.doubts), func(a, b doubt) int { return cmp.Compare(a.at, b.at) }) {
		w.differs(d.difference)
	}
}

// keep merges the rows of a builder into those that are expected.
func (w *comparison) keep(b *builder) error {
	rows, err := b.rows()
	if err != nil {
		return err
	}
	for _, t := range rows.byTable() {
		for _, r := range slices.Concat(t.added, t.changed) {
			values, err := canonicalRow(t.table, r)
			if err != nil {
				return err
			}
			w.expected[t.table][t.keyOf(values)] = values
		}
	}
	return nil
}
