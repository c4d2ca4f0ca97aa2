package projectiontest

import (
	"fmt"
	"slices"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
)

// feeder hands a partition's commits to a target, as a projector does.
type feeder struct {
	*proof
	tables Tables
	part   int
	at     projection.Checkpoint
	folder projection.Folder
}

// feeder begins at the checkpoint, with nothing in memory.
func (p *proof) feeder(tables Tables, part int) (*feeder, error) {
	f := &feeder{proof: p, tables: tables, part: part}
	return f, f.begin()
}

func (f *feeder) begin() error {
	c, err := f.tables.Target.Checkpoint(f.ctx(), f.log.Identity(), events.Partition(f.part))
	if err != nil {
		return fmt.Errorf("read the checkpoint: %w", err)
	}
	f.at, f.folder = c, f.tables.Target.Folder(c)
	return nil
}

// feed writes a partition's commits to the end. size says how many of those that
// are left come next.
func (p *proof) feed(tables Tables, part int, size func(left int) int) error {
	f, err := p.feeder(tables, part)
	for err == nil && f.left() > 0 {
		_, err = f.write(size(f.left()))
	}
	return err
}

// rest are the commits that are behind the checkpoint.
func (f *feeder) rest() []projection.Commit {
	i := slices.IndexFunc(f.parts[f.part], func(c projection.Commit) bool { return c.Position.Sequence > f.at.Sequence })
	if i < 0 {
		return nil
	}
	return f.parts[f.part][i:]
}

func (f *feeder) left() int { return len(f.rest()) }

// fold makes a batch of the next n commits.
func (f *feeder) fold(n int) (projection.Batch, error) {
	b, err := f.folder.Fold(f.ctx(), f.rest()[:n])
	if err != nil {
		return nil, fmt.Errorf("fold %d commits after %s: %w", n, f.at.Position(), err)
	}
	return b, nil
}

// write writes the next n commits.
func (f *feeder) write(n int) (projection.Batch, error) {
	b, err := f.fold(n)
	if err != nil {
		return nil, err
	}
	if err := b.Write(f.ctx()); err != nil {
		return nil, fmt.Errorf("write %d commits after %s: %w", n, f.at.Position(), err)
	}
	f.count.written++
	f.at = b.Checkpoint()
	return b, nil
}
