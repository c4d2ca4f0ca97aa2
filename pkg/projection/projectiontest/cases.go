package projectiontest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
)

func (p *proof) again() error {
	tables := p.open()
	if err := p.oneByOne(tables); err != nil {
		return err
	}
	return p.same(tables, "at another time on other tables: does the handler read a clock, or anything else that is not in the log?")
}

// rounds writes the log on other tables as often as is asked for, and holds the rows
// against those that are wanted.
func (p *proof) rounds(hint string, write func(round int, r *rand.Rand, tables Tables) error) error {
	for round := range p.Rounds {
		tables := p.open()
		if err := write(round, p.rand(round), tables); err != nil {
			return err
		}
		if err := p.same(tables, hint); err != nil {
			return err
		}
	}
	return nil
}

func (p *proof) batches() error {
	return p.rounds("in other batches: does the handler look at a batch as a whole?", func(round int, r *rand.Rand, tables Tables) error {
		for n := range p.parts {
			size := func(left int) int { return 1 + r.IntN(left) }
			if round == 0 {
				size = func(left int) int { return left } // all at once
			}
			if err := p.feed(tables, n, size); err != nil {
				return err
			}
		}
		return nil
	})
}

func (p *proof) order() error {
	return p.rounds("with the partitions mixed: does a row depend on workflows of several partitions?", func(round int, r *rand.Rand, tables Tables) error {
		var fs []*feeder
		for n := range p.parts {
			f, err := p.feeder(tables, partitions-1-n)
			if err != nil {
				return err
			}
			fs = append(fs, f)
		}
		for len(fs) > 0 {
			i := r.IntN(len(fs))
			if round == 0 {
				i = 0 // one after the other, the last one first
			}
			if fs[i].left() == 0 {
				fs = slices.Delete(fs, i, i+1)
				continue
			}
			if _, err := fs[i].write(1 + r.IntN(min(4, fs[i].left()))); err != nil {
				return err
			}
		}
		return nil
	})
}

func (p *proof) redelivered() error {
	return p.rounds("although each batch came again", func(_ int, r *rand.Rand, tables Tables) error {
		for n := range p.parts {
			f, err := p.feeder(tables, n)
			if err != nil {
				return err
			}
			for f.left() > 0 {
				late, err := p.feeder(tables, n) // has the same commits before it
				if err != nil {
					return err
				}
				b, err := f.write(1 + r.IntN(min(4, f.left())))
				if err != nil {
					return err
				}
				if err := b.Write(p.ctx()); !errors.Is(err, projection.ErrFenced) {
					return fmt.Errorf("a batch that is in the tables was written again: %w, want ErrFenced", err)
				}
				if _, err := late.write(1 + r.IntN(late.left())); !errors.Is(err, projection.ErrFenced) {
					return fmt.Errorf("what is in the tables was written again: %w, want ErrFenced", err)
				}
				p.count.refused += 2
			}
		}
		return nil
	})
}

// rolledBack has each batch be rolled back once its rows are written, and written
// again.
func (p *proof) rolledBack() error {
	if p.open().Fail == nil {
		p.t.Log("no batch can be made to fail")
		return nil
	}
	return p.rounds("each batch rolled back before: are rows written past the transaction, or does the handler keep something in memory?", func(_ int, r *rand.Rand, tables Tables) error {
		for n := range p.parts {
			f, err := p.feeder(tables, n)
			if err != nil {
				return err
			}
			for f.left() > 0 {
				b, err := f.fold(1 + r.IntN(min(4, f.left())))
				if err != nil {
					return err
				}
				tables.Fail(true)
				err = b.Write(p.ctx())
				tables.Fail(false)
				if err == nil {
					return fmt.Errorf("a batch after %s was written, though it had to fail", f.at.Position())
				}
				p.count.rolledBack++
				if err := f.begin(); err != nil {
					return err
				}
				if _, err := f.write(1 + r.IntN(min(4, f.left()))); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (p *proof) interrupted() error {
	return p.rounds("interrupted: are rows written past the transaction, or does the handler keep something in memory?", func(_ int, r *rand.Rand, tables Tables) error {
		for n := range p.parts {
			f, err := p.feeder(tables, n)
			if err != nil {
				return err
			}
			longest := shortInterruption
			for f.left() > 0 {
				before := f.at.Sequence
				if err := p.interrupt(f, 1+r.IntN(min(4, f.left())), time.Duration(r.Int64N(int64(longest)))); err != nil {
					return err
				}
				if f.at.Sequence != before {
					longest = shortInterruption
				} else if longest *= 2; longest > time.Minute {
					return fmt.Errorf("nothing was written after %s within a minute", f.at.Position())
				}
			}
		}
		return nil
	})
}

// shortInterruption is about what a batch takes on an idle machine.
const shortInterruption = 4 * time.Millisecond

// interrupt writes a batch, ends that after a while, whatever has been done, and
// begins again, as a process does that was killed.
func (p *proof) interrupt(f *feeder, size int, after time.Duration) error {
	b, err := f.fold(size)
	if err != nil {
		return err
	}
	before := f.at.Sequence
	ctx, cancel := context.WithTimeout(p.ctx(), after)
	err = b.Write(ctx)
	cancel()
	if err == nil {
		p.count.written++
	} else {
		p.count.interrupted++
	}
	if begun := f.begin(); begun != nil {
		return begun
	}
	stored := f.at.Sequence != before
	if err == nil && !stored {
		return fmt.Errorf("a batch after %d was said to be written, and the checkpoint has not moved", before)
	}
	if err != nil && stored {
		p.count.stored++
	}
	return nil
}

func (p *proof) two() error {
	return p.rounds("by two projectors in turns: does the handler keep something in memory?", func(_ int, r *rand.Rand, tables Tables) error {
		for n := range p.parts {
			a, err := p.feeder(tables, n)
			if err != nil {
				return err
			}
			b, err := p.feeder(tables, n)
			if err != nil {
				return err
			}
			for a.left() > 0 || b.left() > 0 {
				f := []*feeder{a, b}[r.IntN(2)]
				if f.left() > 0 {
					if _, err = f.write(1 + r.IntN(min(4, f.left()))); err == nil {
						continue
					}
					if !errors.Is(err, projection.ErrFenced) {
						return err
					}
					p.count.refused++
				}
				if err := f.begin(); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (p *proof) projector() error {
	tables := p.open()
	if err := p.project(tables.Target); err != nil {
		return err
	}
	return p.same(tables, "by a projector")
}

// project runs a projector until the tables have come to the log's end.
func (p *proof) project(target projection.Target) error {
	projector, err := projection.New(p.log, target, projection.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(p.ctx())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- projector.Run(ctx) }()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case err := <-ended:
			return fmt.Errorf("the projector ended: %w", err)
		case <-look.C:
		}
		there := true
		for n, s := range projector.Status() {
			b, err := p.log.Bounds(p.ctx(), events.Partition(n))
			if err != nil || s.Phase == projection.PhaseStopped {
				return errors.Join(err, s.Err)
			}
			there = there && s.Checkpoint.Sequence == b.Last
		}
		if there {
			cancel()
			return <-ended
		}
	}
}

// healed heals every workflow, though nothing is wrong with it.
func (p *proof) healed() error {
	tables := p.open()
	if tables.Heal == nil {
		p.t.Log("the projection cannot be healed")
		return nil
	}
	if err := p.project(tables.Target); err != nil {
		return err
	}
	done := map[events.Workflow]bool{}
	for _, part := range p.parts {
		for _, c := range part {
			if done[c.Workflow] {
				continue
			}
			done[c.Workflow] = true
			if err := tables.Heal(p.ctx(), p.log, c.Workflow); err != nil {
				return fmt.Errorf("heal %s: %w", c.Workflow, err)
			}
			p.count.healed++
		}
	}
	return p.same(tables, "with each workflow healed: does Forget leave something, or delete what is another workflow's?")
}

func (p *proof) rebuilt() error {
	tables := p.open()
	if tables.Rebuild == nil {
		p.t.Log("the projection cannot be rebuilt")
		return nil
	}
	if err := p.project(tables.Target); err != nil {
		return err
	}
	if err := tables.Rebuild(p.ctx(), p.log); err != nil {
		return err
	}
	return p.same(tables, "rebuilt")
}

func (p *proof) upgraded() error {
	tables := p.open()
	if len(tables.Upgrades) == 0 {
		p.t.Log("the projection has no earlier version")
	}
	for _, upgrade := range tables.Upgrades {
		if err := upgrade(p.ctx(), p.log, p.project); err != nil {
			return err
		}
		if err := p.same(tables, "where an earlier version was"); err != nil {
			return err
		}
	}
	return nil
}

// poisoned has something behind a workflow's last commit that is none, and then
// declares it void.
func (p *proof) poisoned() error {
	victim := p.parts[0][0].Workflow
	id := p.log.Identity()
	p.log.Put(id.Map.Partition(victim.Slot()), victim.Subject(), nil, []byte("no commit"))
	tables := p.open()
	if err := p.project(tables.Target); err != nil {
		return err
	}
	if err := p.same(tables, "with something behind one workflow's last commit that is none"); err != nil {
		return err
	}
	if tables.Heal == nil {
		return nil
	}
	if err := tables.Heal(p.ctx(), p.log, victim); !errors.Is(err, projection.ErrNotHealed) {
		return fmt.Errorf("healed, though the cause is still there: %w", err)
	}
	if _, err := p.log.Void(p.ctx(), events.VoidRequest{Workflow: victim, Reason: "the suite"}); err != nil {
		return err
	}
	if err := tables.Heal(p.ctx(), p.log, victim); err != nil {
		return fmt.Errorf("heal what was declared void: %w", err)
	}
	p.count.healed++
	if err := p.project(tables.Target); err != nil {
		return err
	}
	if err := p.measure(); err != nil { // a void is a commit, too
		return err
	}
	return p.same(tables, "with that declared void, and the workflow healed")
}
