package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/pkg/events"
)

// Difference is something in the log that is not as it must be.
type Difference struct {
	// Kind is one of the Kind constants.
	Kind     string
	Workflow events.Workflow // zero where the message does not say
	Run      events.RunID    // empty where it is not about one run
	Position events.Position
	Detail   string
}

// The kinds of differences in a log.
const (
	KindForeign  = "foreign message" // a message that is no commit
	KindGap      = "gap"             // sequences that are missing
	KindChain    = "broken chain"    // a commit that does not follow from the one before it
	KindEnvelope = "wrong envelope"  // an envelope that contradicts the commits before it
	KindBody     = "wrong body"      // events that contradict their envelope
	KindBase     = "wrong base"      // a reset of what is not there, or not as it says
	KindVoid     = "wrong void"      // a void of what cannot be void
)

// LogReport is what was checked, and what was found.
type LogReport struct {
	Commits, Events, Runs int64
	// Voided is how many messages are no commits and were declared void.
	Voided      int64
	Differences []Difference // by position, at most 1,000
	Unlisted    int64        // differences beyond those
	// Ends is the sequence up to which each partition was checked, inclusive.
	Ends []uint64
}

// maxDifferences bounds what a report lists.
const maxDifferences = 1000

// VerifyOptions restrict a verification. The zero value checks the whole log.
type VerifyOptions struct {
	Workflow *events.Workflow
	// Progress, if set, is told about events that were checked. It is called
	// from several goroutines.
	Progress func(events int)
	// Beside, if set, begins what is given every message of a partition in the
	// same pass, such as a comparison with heads.
	Beside func(events.Partition) Observer
}

// Observer is given the messages of one partition in order, or those of one
// workflow, and then the sequence of the last one that the partition holds. An
// error ends the verification.
type Observer interface {
	Message(m events.Message) error
	End(last uint64) error
}

// VerifyLog checks the log against itself, up to where it ended at the start:
// sequences without a gap, every message a commit, every commit the follower of
// the one before it (chain, event ids, status, sizes, hints), every body what
// its envelope says. What it finds is in the report; an error means that the
// check could not be completed.
//
// The chain proves gaps, swaps and alterations inside a workflow. It cannot
// prove that a workflow's last commits were not cut off together, or replaced by
// others with right hashes: checkpoints and exported heads do (package heads).
// docs/adr/0006-verify.md has the table.
func VerifyLog(ctx context.Context, log events.Log, o VerifyOptions) (LogReport, error) {
	n := log.Identity().Map.Partitions()
	report := LogReport{Ends: make([]uint64, n)}
	var mu sync.Mutex // guards report
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for p := range events.Partition(n) {
		if o.Workflow != nil && log.Identity().Map.Partition(o.Workflow.Slot()) != p {
			continue
		}
		g.Go(func() error {
			v := &verifying{log: log, partition: p, o: o, ends: map[events.Workflow]*end{}}
			if o.Beside != nil {
				v.beside = o.Beside(p)
			}
			if err := v.run(ctx); err != nil {
				return fmt.Errorf("verify partition %d: %w", p, err)
			}
			mu.Lock()
			defer mu.Unlock()
			report.Commits += v.report.Commits
			report.Events += v.report.Events
			report.Runs += v.report.Runs
			report.Voided += v.report.Voided
			report.Ends[p] = v.last
			report.Differences = append(report.Differences, v.report.Differences...)
			report.Unlisted += v.report.Unlisted
			return nil
		})
	}
	err := g.Wait()
	slices.SortStableFunc(report.Differences, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Position.Partition, b.Position.Partition), cmp.Compare(a.Position.Sequence, b.Position.Sequence))
	})
	if n := len(report.Differences); n > maxDifferences {
		report.Differences = report.Differences[:maxDifferences]
		report.Unlisted += int64(n - maxDifferences)
	}
	return report, err
}

// verifying is the check of one partition.
type verifying struct {
	log       events.Log
	partition events.Partition
	o         VerifyOptions
	ends      map[events.Workflow]*end
	beside    Observer // nil: none
	report    LogReport
	last      uint64
}

// end is where one workflow's log stood before the commit at hand.
type end struct {
	hash   events.Hash
	run    events.Segment
	back   []uint64
	broken bool // reported already: what follows would only repeat it
	// runs are the workflow's, once it has had more than one.
	runs map[events.RunID]bool
	// suspect is set since a message that is no commit of the workflow.
	suspect *suspect
}

// opens notes that a run begins, and reports whether its id is new.
func (e *end) opens(run events.RunID) bool {
	if e.run.Run == "" {
		return true // the first: e.run will have it
	}
	if e.runs == nil {
		e.runs = map[events.RunID]bool{e.run.Run: true}
	}
	known := e.runs[run]
	e.runs[run] = true
	return !known
}

func (v *verifying) run(ctx context.Context) error {
	m, b, err := events.LastMessage(ctx, v.log, v.partition)
	if err != nil {
		return err
	}
	v.last = b.Last
	if b.First > 1 {
		v.differs(Difference{Kind: KindGap, Position: events.Position{Partition: v.partition, Sequence: b.First}, Detail: fmt.Sprintf("the log begins here, not at 1: %d messages are gone", b.First-1)})
	}
	held := m.Position.Sequence
	if held > 0 {
		if err := v.follow(ctx, b.First, held); err != nil {
			return err
		}
	}
	if next := max(held+1, b.First); next <= b.Last { // what was deleted last leaves its number
		v.differs(Difference{Kind: KindGap, Position: events.Position{Partition: v.partition, Sequence: b.Last}, Detail: fmt.Sprintf("sequences %d to %d are missing, and nothing comes after them", next, b.Last)})
	}
	if v.beside != nil {
		return v.beside.End(held)
	}
	return nil
}

// follow checks the messages from the partition's first to the last that it
// holds, or those of the one workflow.
func (v *verifying) follow(ctx context.Context, first, held uint64) error {
	follow := events.FollowOptions{Until: held}
	if v.o.Workflow != nil {
		last, err := lastOf(ctx, v.log, *v.o.Workflow)
		if err != nil || last == 0 {
			return err
		}
		follow = events.FollowOptions{Until: last, Workflow: v.o.Workflow}
	}
	next := first
	for m, err := range v.log.Follow(ctx, v.partition, follow) {
		if err != nil {
			return err
		}
		if seq := m.Position.Sequence; v.o.Workflow == nil {
			if seq != next {
				v.differs(Difference{Kind: KindGap, Position: m.Position, Detail: fmt.Sprintf("sequences %d to %d are missing", next, seq-1)})
			}
			next = seq + 1
		}
		if v.beside != nil {
			if err := v.beside.Message(m); err != nil {
				return err
			}
		}
		if err := v.message(ctx, m); err != nil {
			return err
		}
	}
	v.condemn()
	return nil
}

// lastOf is the sequence of a workflow's last message, 0 if it has none.
func lastOf(ctx context.Context, log events.Reader, w events.Workflow) (uint64, error) {
	tail, err := log.Tail(ctx, w)
	var corrupt *events.CorruptError
	switch {
	case errors.As(err, &corrupt):
		return corrupt.Position.Sequence, nil
	case errors.Is(err, events.ErrNotFound):
		return 0, nil
	}
	return tail.Position().Sequence, err
}

func (v *verifying) differs(d Difference) {
	if len(v.report.Differences) < maxDifferences {
		v.report.Differences = append(v.report.Differences, d)
		return
	}
	v.report.Unlisted++
}

// message checks one message against what came before it on its subject.
func (v *verifying) message(ctx context.Context, m events.Message) error {
	c, err := events.Decode(m)
	if err != nil {
		w, _ := events.ParseSubject(m.Subject)
		e := v.ends[w]
		if e == nil {
			e = &end{}
			v.ends[w] = e
		}
		e.doubt(nil, Difference{Kind: KindForeign, Workflow: w, Position: m.Position, Detail: err.Error()})
		e.broken = true
		return nil
	}
	v.report.Commits++
	v.report.Events += int64(c.Count())
	if v.o.Progress != nil {
		v.o.Progress(c.Count())
	}
	before := v.ends[c.Workflow]
	if before == nil {
		before = &end{}
		v.ends[c.Workflow] = before
	}
	if c.Void != nil {
		v.void(c, before)
		return nil
	}
	base, err := v.base(ctx, c)
	if err != nil {
		return err
	}
	if before.suspect != nil {
		before.suspect.count(c)
	}
	if !before.broken {
		if d, ok := checkCommit(c, before, base); !ok {
			if d.Kind == KindChain {
				before.doubt(c, d)
			} else {
				v.found(before, d)
			}
			// What follows is checked against this commit, as it is.
		}
	}
	before.broken = false
	for _, s := range []*events.Segment{c.Closed, &c.Run} {
		if s == nil || !s.Opens() {
			continue
		}
		v.report.Runs++
		if !before.opens(s.Run) {
			v.found(before, Difference{Kind: KindEnvelope, Workflow: c.Workflow, Run: s.Run, Position: c.Position, Detail: "it starts a run whose id an earlier run has"})
		}
		before.run.Run = s.Run
	}
	before.hash, before.run, before.back = c.Hash, c.Run, c.Cursor(v.log.Identity()).Back()
	return nil
}

// checkCommit holds a commit against the end of the workflow before it.
func checkCommit(c *events.Commit, before *end, base *base) (Difference, bool) {
	d := Difference{Workflow: c.Workflow, Run: c.Run.Run, Position: c.Position}
	fail := func(kind, format string, args ...any) (Difference, bool) {
		d.Kind, d.Detail = kind, fmt.Sprintf(format, args...)
		return d, false
	}
	if c.Hash != c.ChainHash(before.hash) {
		return fail(KindChain, "its hash does not follow from the commit before it: that one or this was altered, or one between is gone")
	}
	if len(c.Back) != len(before.back) {
		return fail(KindEnvelope, "it names %d commits before it, there are %d", len(c.Back), len(before.back))
	}
	for i := range c.Back {
		if c.Back[i] != before.back[i] {
			return fail(KindEnvelope, "it names %d as a commit before it, that is %d", c.Back[i], before.back[i])
		}
	}
	first := &c.Run
	if c.Closed != nil {
		first = c.Closed
	}
	prev := before.run
	switch open := events.IsOpen(prev.After); {
	case first.Opens() && open:
		return fail(KindEnvelope, "it starts run %s while run %s is open", first.Run, prev.Run)
	case first.Opens() && first.PrevRunFirst != prev.RunFirst:
		return fail(KindEnvelope, "it says that the run before began at %d, that was %d", first.PrevRunFirst, prev.RunFirst)
	case first.Opens():
	case !open:
		return fail(KindEnvelope, "it goes on with run %s, which is not open", first.Run)
	case first.Run != prev.Run, first.Before != prev.After, first.Type != prev.Type, first.RunFirst != prev.RunFirst, first.PrevRunFirst != prev.PrevRunFirst:
		return fail(KindEnvelope, "it goes on with run %s (%s, type %q, begun at %d), the log has run %s (%s, type %q, begun at %d)",
			first.Run, first.Before, first.Type, first.RunFirst, prev.Run, prev.After, prev.Type, prev.RunFirst)
	case first.First != prev.Last+1:
		return fail(KindEnvelope, "it goes on with event %d after %d", first.First, prev.Last)
	}
	if base != nil && base.wrong != "" {
		return fail(KindBase, "%s", base.wrong)
	}
	return checkBody(c, first, prev, base, d)
}

// checkBody holds the events against their envelope.
func checkBody(c *events.Commit, first *events.Segment, prev events.Segment, base *base, d Difference) (Difference, bool) {
	parts, err := c.Segments()
	if err != nil {
		d.Kind, d.Detail = KindBody, err.Error()
		return d, false
	}
	for _, part := range parts {
		d.Run = part.Run
		status, size := part.Before, int64(0)
		if part.Segment == first && !part.Opens() {
			size = prev.Size
		}
		starts := part.Opens()
		if base != nil && part.Segment == &c.Run {
			status, size, starts = base.status, base.size, false
		}
		for i, e := range part.Events {
			if events.Opens(e) != (i == 0 && starts) {
				d.Kind, d.Detail = KindBody, fmt.Sprintf("event %d is %s, where its envelope says otherwise", e.EventId, e.EventType)
				return d, false
			}
			status = events.StatusAfter(status, e)
			size += events.StoredSize(e)
		}
		if status != part.After {
			d.Kind, d.Detail = KindBody, fmt.Sprintf("after its events the run is %s, its envelope says %s", status, part.After)
			return d, false
		}
		if size != part.Size {
			d.Kind, d.Detail = KindBody, fmt.Sprintf("the run's events take %d bytes, its envelope says %d", size, part.Size)
			return d, false
		}
	}
	return d, true
}
