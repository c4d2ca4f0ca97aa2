package heads

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// Options say what a file of heads holds. The zero value is one head a
// partition, and marks.
type Options struct {
	// Workflows adds the last commit of every workflow, so that a difference
	// names it. The writer then needs memory for one partition's workflows.
	Workflows bool
	// Window is how many messages a mark covers, at least 1; 0: 1,000. A
	// difference is placed as exactly as the windows are small.
	Window int
	// Progress, if set, is told now and then about messages that were read.
	Progress func(messages int)
}

// Summary is what a file holds.
type Summary struct {
	LogID      string
	Epoch      uint32
	Partitions int
	Messages   uint64
	Workflows  int64
	// Digest is the SHA-256 of the whole file, hexadecimal, as sha256sum prints it.
	Digest string
}

// Write reads the log, each partition up to where it ends when its turn comes,
// and writes its heads. Appends may go on meanwhile.
func Write(ctx context.Context, log events.Source, to io.Writer, o Options) (Summary, error) {
	if o.Window == 0 {
		o.Window = 1000
	}
	if o.Window < 0 {
		return Summary{}, &events.InvalidError{Field: "window", Reason: fmt.Sprintf("is %d, it is at least 1", o.Window)}
	}
	id := log.Identity()
	w := &writing{log: log, o: o, sum: sha256.New(), lines: newLines()}
	w.out = bufio.NewWriterSize(io.MultiWriter(to, w.sum), 64<<10)
	w.summary = Summary{LogID: id.LogID, Epoch: id.Epoch, Partitions: id.Map.Partitions()}
	if err := w.line(Header{
		Type: kindHeader, Version: Version, LogID: id.LogID, Epoch: id.Epoch, Format: id.Format, MapVersion: id.Map.Version,
		Partitions: id.Map.Partitions(), Window: o.Window, Workflows: o.Workflows, Time: time.Now().UTC().Truncate(time.Second),
	}); err != nil {
		return Summary{}, err
	}
	for p := range events.Partition(id.Map.Partitions()) {
		if err := w.partition(ctx, p); err != nil {
			return Summary{}, fmt.Errorf("heads of partition %d: %w", p, err)
		}
	}
	if err := w.out.Flush(); err != nil {
		return Summary{}, err
	}
	err := w.line(End{Type: kindEnd, Lines: w.count, Digest: hex.EncodeToString(w.sum.Sum(nil))})
	if err == nil {
		err = w.out.Flush()
	}
	w.summary.Digest = hex.EncodeToString(w.sum.Sum(nil))
	return w.summary, err
}

// writing is one file under way.
type writing struct {
	log     events.Source
	o       Options
	out     *bufio.Writer
	sum     hash.Hash // of what was flushed
	count   int       // lines
	lines   *lines
	summary Summary
}

func (w *writing) line(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.count++
	_, err = w.out.Write(append(b, '\n'))
	return err
}

func (w *writing) partition(ctx context.Context, p events.Partition) error {
	end, _, err := events.LastMessage(ctx, w.log, p)
	if err != nil {
		return err
	}
	head := Head{Type: kindHead, Partition: p, Last: end.Position.Sequence, Subject: end.Subject, Hash: chainHash(end), Time: end.Time.UTC()}
	whole, window := newDigest(), newDigest()
	begin := uint64(1)
	mark := func(last uint64) error {
		m := Mark{Type: kindMark, Partition: p, First: begin, Last: last, Messages: window.messages, Digest: window.text()}
		begin = last + 1
		if w.o.Progress != nil {
			w.o.Progress(int(window.messages))
		}
		window.reset()
		return w.line(m)
	}
	workflows := map[events.Workflow]last{}
	if head.Last > 0 {
		for m, err := range w.log.Follow(ctx, p, events.FollowOptions{Until: head.Last}) {
			if err != nil {
				return err
			}
			line := w.lines.of(m)
			whole.add(line)
			window.add(line)
			if w.o.Workflows {
				if name, l, ok := workflowOf(m); ok {
					workflows[name] = l
				}
			}
			if window.messages == uint64(w.o.Window) {
				if err := mark(m.Position.Sequence); err != nil {
					return err
				}
			}
		}
		if window.messages > 0 {
			if err := mark(head.Last); err != nil {
				return err
			}
		}
	}
	head.Messages, head.Digest = whole.messages, whole.text()
	w.summary.Messages += head.Messages
	w.summary.Workflows += int64(len(workflows))
	if err := w.line(head); err != nil {
		return err
	}
	inOrder := slices.SortedFunc(maps.Keys(workflows), func(a, b events.Workflow) int {
		return cmp.Compare(workflows[a].sequence, workflows[b].sequence)
	})
	for _, name := range inOrder {
		l := workflows[name]
		if err := w.line(Workflow{
			Type: kindWorkflow, Partition: p, Namespace: name.Namespace, WorkflowID: name.ID,
			Run: l.run, LastEventID: l.event, Sequence: l.sequence, Hash: l.hash,
		}); err != nil {
			return err
		}
	}
	return nil
}
