package heads

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/pkg/events"
)

// Check is the comparison of a log with files of heads. Either Run reads the
// log, or somebody who reads it anyway gives every message to the partitions'
// checkers. Its methods are safe for concurrent use.
type Check struct {
	id    events.Identity
	files []*File
	one   *events.Workflow

	mu     sync.Mutex // guards report
	report Report
}

// NewCheck is a comparison with these files; of one workflow's heads alone, if
// one is named. It fails with events.ErrWrongLog if a file is another log's, and
// with ErrNoWorkflows if one workflow's heads are not in a file.
func NewCheck(id events.Identity, one *events.Workflow, files ...*File) (*Check, error) {
	c := &Check{id: id, files: files, one: one}
	for _, f := range files {
		if err := f.Of(id); err != nil {
			return nil, err
		}
		if one != nil && !f.Header.Workflows {
			return nil, fmt.Errorf("%s: %w", f.Name, ErrNoWorkflows)
		}
		if f.Header.Epoch > id.Epoch {
			c.report.differs(Difference{Kind: KindOlder, File: f.Name, Detail: fmt.Sprintf(
				"the log is of epoch %d, the heads were written in epoch %d: an older state of the log was put in its place", id.Epoch, f.Header.Epoch)})
		}
	}
	return c, nil
}

// Run reads the log up to the heads, or to its end if that is before them.
// Progress, if set, is told now and then about messages that were read, by
// several goroutines.
func (c *Check) Run(ctx context.Context, log events.Source, progress func(messages int)) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for p := range events.Partition(c.id.Map.Partitions()) {
		if c.one != nil && c.id.Map.Partition(c.one.Slot()) != p {
			continue
		}
		g.Go(func() error {
			if err := c.partition(ctx, log, p, progress); err != nil {
				return fmt.Errorf("check heads of partition %d: %w", p, err)
			}
			return nil
		})
	}
	return g.Wait()
}

const progressEvery = 1000

func (c *Check) partition(ctx context.Context, log events.Source, p events.Partition, progress func(int)) error {
	k := c.Partition(p)
	end, _, err := events.LastMessage(ctx, log, p)
	if err != nil {
		return err
	}
	if until := end.Position.Sequence; until > 0 {
		for m, err := range log.Follow(ctx, p, events.FollowOptions{Until: until}) {
			if err != nil {
				return err
			}
			if m.Position.Sequence > k.furthest {
				break
			}
			if err := k.Message(m); err != nil {
				return err
			}
			if n := k.report.Messages; progress != nil && n%progressEvery == 0 {
				progress(progressEvery)
			}
			if m.Position.Sequence == k.furthest {
				break
			}
		}
	}
	return k.End(end.Position.Sequence)
}

// Report is what was found by the checkers that have ended.
func (c *Check) Report() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.report
	r.Differences = slices.Clone(r.Differences)
	slices.SortStableFunc(r.Differences, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Position.Partition, b.Position.Partition), cmp.Compare(a.Position.Sequence, b.Position.Sequence))
	})
	return r
}

// Partition begins the comparison of one partition. The checker is for one
// goroutine.
func (c *Check) Partition(p events.Partition) *Checker {
	k := &Checker{check: c, partition: p, lines: newLines(), whole: newDigest(), workflows: map[string]end{}}
	for i, f := range c.files {
		part := f.partitions[p]
		k.pending = append(k.pending, &expected{
			number: i + 1, file: f, head: part.head, marks: part.marks, window: newDigest(),
			sameEpoch: f.Header.Epoch == c.id.Epoch,
		})
		k.furthest = max(k.furthest, part.head.Last)
		k.keep = k.keep || f.Header.Workflows
	}
	return k
}

// Checker compares one partition: it wants its messages in order, all of them up
// to the heads, or those of the one workflow, and then the end.
type Checker struct {
	check     *Check
	partition events.Partition
	lines     *lines
	whole     *digest
	furthest  uint64         // the last sequence that a head is at
	pending   []*expected    // files whose head was not reached
	keep      bool           // whether workflows are wanted
	workflows map[string]end // by subject
	report    Report
}

// end is the last message of a subject so far.
type end struct {
	sequence uint64
	hash     string
	seen     int // the number of the last file that has it
}

// expected is what one file says about the partition, as far as it was compared.
type expected struct {
	number    int
	file      *File
	head      Head
	marks     []Mark // those that were not reached
	window    *digest
	at        events.Message // the one at the head
	sameEpoch bool
	other     []Mark   // windows that hold something else
	had       []uint64 // how many messages each of those has in the log
}

// Message is the next message of the partition.
func (k *Checker) Message(m events.Message) error {
	seq := m.Position.Sequence
	if seq > k.furthest {
		return k.pass(seq)
	}
	if err := k.pass(seq); err != nil {
		return err
	}
	k.report.Messages++
	if k.check.one == nil {
		line := k.lines.of(m)
		k.whole.add(line)
		for _, e := range k.pending {
			e.window.add(line)
			if seq == e.head.Last {
				e.at = events.Message{Position: m.Position, Subject: m.Subject, Time: m.Time, Header: m.Header}
			}
		}
	}
	if k.keep {
		k.workflows[m.Subject] = end{sequence: seq, hash: chainHash(m)}
	}
	return nil
}

// pass ends the windows and the heads that are before a sequence.
func (k *Checker) pass(seq uint64) error {
	left := k.pending[:0]
	for _, e := range k.pending {
		if k.check.one == nil {
			e.pass(seq)
		}
		if e.head.Last >= seq {
			left = append(left, e)
			continue
		}
		if err := k.finish(e); err != nil {
			return err
		}
	}
	clear(k.pending[len(left):])
	k.pending = left
	return nil
}

// pass ends the windows that are before a sequence.
func (e *expected) pass(seq uint64) {
	for len(e.marks) > 0 && e.marks[0].Last < seq {
		m := e.marks[0]
		if e.window.messages != m.Messages || e.window.text() != m.Digest {
			e.other = append(e.other, m)
			e.had = append(e.had, e.window.messages)
		}
		e.marks = e.marks[1:]
		e.window.reset()
	}
}

// End says that the partition holds nothing after the sequence, 0 if nothing at
// all, and adds what was found to the check's report.
func (k *Checker) End(end uint64) error {
	if err := k.pass(end + 1); err != nil {
		return err
	}
	for _, e := range k.pending {
		if k.check.one == nil {
			k.short(e, end)
		}
		if err := k.ofWorkflows(e, end); err != nil {
			return err
		}
	}
	k.pending = nil
	k.check.mu.Lock()
	defer k.check.mu.Unlock()
	k.check.report.merge(k.report)
	return nil
}

func (k *Checker) differs(e *expected, kind string, seq uint64, format string, args ...any) {
	k.report.differs(Difference{
		Kind: kind, File: e.file.Name, Position: events.Position{Partition: k.partition, Sequence: seq}, Detail: fmt.Sprintf(format, args...),
	})
}

// short reports a partition that ends before a head.
func (k *Checker) short(e *expected, end uint64) {
	detail := fmt.Sprintf("partition %d ends at %d, its head is at %d", k.partition, end, e.head.Last)
	if e.sameEpoch {
		detail += ": it was cut short, or its streams were put back to an older state"
	} else {
		detail += fmt.Sprintf(": the log was restored (epoch %d, the head's was %d) from a backup that is older than the head", k.check.id.Epoch, e.file.Header.Epoch)
	}
	k.windows(e)
	if m := e.marks[0]; m.First <= end {
		detail += fmt.Sprintf("; whether sequences %d to %d are as they were cannot be told", m.First, end)
	}
	k.differs(e, KindShort, end+1, "%s", detail)
}

// finish compares a head whose messages were all there to be read.
func (k *Checker) finish(e *expected) error {
	if k.check.one == nil {
		k.windows(e)
		switch digest := k.whole.text(); {
		case digest != e.head.Digest && len(e.other) == 0:
			k.differs(e, KindOther, 1, "the partition's digest up to %d is another, that of each window is right: the file contradicts itself", e.head.Last)
		case e.sameEpoch && len(e.other) == 0 && e.head.Last > 0 && !e.at.Time.Equal(e.head.Time):
			k.differs(e, KindOther, e.head.Last, "the message is the same, but was stored at %s instead of %s: the stream was made anew", e.at.Time.UTC().Format(timeForm), e.head.Time.Format(timeForm))
		}
	}
	return k.ofWorkflows(e, e.head.Last)
}

const timeForm = "2006-01-02T15:04:05.999999999Z07:00"

// windows reports those that hold something else, neighbours together.
func (k *Checker) windows(e *expected) {
	for i := 0; i < len(e.other); {
		j := i
		had, was := uint64(0), uint64(0)
		for ; j < len(e.other) && (j == i || e.other[j].First == e.other[j-1].Last+1); j++ {
			had += e.had[j]
			was += e.other[j].Messages
		}
		first, end := e.other[i].First, e.other[j-1].Last
		what := fmt.Sprintf("%d messages that were others, or in another order", had)
		switch {
		case had == 0:
			what = fmt.Sprintf("none of the %d messages that were there", was)
		case had != was:
			what = fmt.Sprintf("%d messages where there were %d", had, was)
		}
		k.differs(e, KindOther, first, "sequences %d to %d hold %s", first, end, what)
		i = j
	}
}

// ofWorkflows compares the heads of workflows with those of the log up to end.
func (k *Checker) ofWorkflows(e *expected, end uint64) error {
	if !e.file.Header.Workflows {
		return nil
	}
	one := k.check.one
	for was, err := range e.file.Workflows(k.partition) {
		if err != nil {
			return err
		}
		name := events.Workflow{Namespace: was.Namespace, ID: was.WorkflowID}
		if one != nil && name != *one {
			continue
		}
		k.report.Workflows++
		subject := name.Subject()
		now, ok := k.workflows[subject]
		if ok {
			now.seen = e.number
			k.workflows[subject] = now
		}
		d := Difference{Kind: KindOther, File: e.file.Name, Workflow: name, Run: was.Run, Position: events.Position{Partition: k.partition, Sequence: was.Sequence}}
		switch {
		case ok && now.sequence == was.Sequence && now.hash == was.Hash:
			continue
		case !ok:
			d.Kind, d.Detail = KindShort, fmt.Sprintf("it ended here, with event %d; the log has nothing of it", was.LastEventID)
		case now.sequence < was.Sequence:
			d.Kind, d.Detail = KindShort, fmt.Sprintf("it ended here, with event %d; in the log it ends at %d", was.LastEventID, now.sequence)
		case now.sequence > was.Sequence:
			d.Position.Sequence = now.sequence
			d.Detail = fmt.Sprintf("it ended at %d, here is another message of it that was not there", was.Sequence)
		default:
			d.Detail = fmt.Sprintf("its last commit has chain hash %q, it was %q: its commits up to here were replaced", now.hash, was.Hash)
		}
		k.report.differs(d)
	}
	for subject, now := range k.workflows {
		if now.seen == e.number || now.sequence > end {
			continue
		}
		name, err := events.ParseSubject(subject)
		if err != nil || one != nil && name != *one {
			continue // no workflow's: the window says so
		}
		k.report.differs(Difference{
			Kind: KindOther, File: e.file.Name, Workflow: name, Position: events.Position{Partition: k.partition, Sequence: now.sequence},
			Detail: "the log has this workflow before the head, which does not know it",
		})
	}
	return nil
}
