package projectiontest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection"
)

// proof is one run of the suite.
type proof struct {
	Subject
	t                  *testing.T // of the case that runs
	log                *memlog.Log
	parts              [partitions][]projection.Commit
	commits, workflows int
	want               []string // the rows, commit by commit
	count              struct{ written, refused, rolledBack, interrupted, stored, healed int }
}

func newProof(t *testing.T, s Subject) (*proof, error) {
	t.Helper()
	if s.Seed == 0 {
		s.Seed = rand.Uint64()
	}
	t.Logf("Seed: %d", s.Seed)
	p := &proof{Subject: s, t: t, log: newWorld(t, s.Seed, s.Histories)}
	return p, p.measure()
}

// measure makes the rows that all others are held against, commit by commit.
func (p *proof) measure() error {
	p.commits = 0
	seen := map[events.Workflow]bool{}
	for n := range p.parts {
		p.parts[n] = p.decoded(p.t, events.Partition(n))
		p.commits += len(p.parts[n])
		for _, c := range p.parts[n] {
			seen[c.Workflow] = true
		}
	}
	p.workflows = len(seen)
	tables := p.open()
	if err := p.oneByOne(tables); err != nil {
		return err
	}
	var err error
	if p.want, err = p.dump(tables); err == nil && len(p.want) == 0 {
		err = errors.New("the log made no rows: the suite needs histories that the projection makes rows of")
	}
	return err
}

// decoded are a partition's commits, as a projector hands them over: what is void
// is left out.
func (p *proof) decoded(t *testing.T, n events.Partition) []projection.Commit {
	t.Helper()
	b, err := p.log.Bounds(t.Context(), n)
	if err != nil || b.Last == 0 {
		return nil
	}
	var out []projection.Commit
	for m, err := range p.log.Follow(t.Context(), n, events.FollowOptions{Until: b.Last}) {
		if err != nil {
			t.Fatal(err)
		}
		c, err := projection.Decode(m)
		if errors.Is(err, projection.ErrCannotApply) {
			continue
		}
		if err == nil {
			err = projection.Complete(t.Context(), p.log, &c)
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

func (p *proof) ctx() context.Context { return p.t.Context() }

func (p *proof) open() Tables { return p.Open(p.t) }

func (p *proof) rand(round int) *rand.Rand { return rand.New(rand.NewPCG(p.Seed, uint64(round))) }

// oneByOne writes the log in batches of one commit.
func (p *proof) oneByOne(tables Tables) error {
	for n := range p.parts {
		if err := p.feed(tables, n, func(int) int { return 1 }); err != nil {
			return err
		}
	}
	return nil
}

func (p *proof) dump(tables Tables) ([]string, error) {
	rows, err := tables.Dump(p.ctx())
	if err != nil {
		return nil, fmt.Errorf("dump the tables: %w", err)
	}
	slices.Sort(rows)
	return rows, nil
}

// same holds that the tables have the rows that they should.
func (p *proof) same(tables Tables, hint string) error {
	rows, err := p.dump(tables)
	if err != nil {
		return err
	}
	if diff := cmp.Diff(p.want, rows); diff != "" {
		return fmt.Errorf("the rows differ from those of one batch a commit (-), %s:\n%s", hint, diff)
	}
	return nil
}
