package projectiontest

import (
	"context"
	"testing"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
)

// Subject is the projection that the suite runs on.
type Subject struct {
	// Open makes the projection with empty tables of its own. It is called some
	// thirty times, by one goroutine at a time.
	Open func(t *testing.T) Tables
	// Histories are what the projection makes rows of; at least one, and between
	// them they should hold every event that it knows.
	Histories []History
	// Rounds is how often each thing is tried with other random choices; 3.
	Rounds int
	// Seed is what the choices follow from; 0: another one each time. The suite
	// logs it.
	Seed uint64
}

// Tables are a projection that has been opened.
type Tables struct {
	Target projection.Target
	// Dump is every row of every table as text, in any order.
	Dump func(ctx context.Context) ([]string, error)
	// Fail has every batch fail that is written until it is called with false,
	// when its rows are written and not committed; nil if that cannot be done.
	Fail func(bool)
	// Rebuild makes the tables anew from the log, so that Dump shows the new
	// ones; nil if the projection cannot.
	Rebuild func(ctx context.Context, source events.Source) error
	// Heal makes the rows of one workflow anew from the log; nil if the
	// projection cannot.
	Heal func(ctx context.Context, log events.Log, w events.Workflow) error
	// Upgrades, one an earlier version: each has tables that the earlier version
	// made, by its target and project, be replaced by those of this one, so that
	// Dump shows these; none if that cannot be tried.
	Upgrades []func(ctx context.Context, source events.Source, project func(earlier projection.Target) error) error
}

// History is a workflow's: the events of each commit in order, the first of which
// starts a run. Event ids may be left out.
type History [][]*events.Event

// Run runs the suite. It takes seconds.
func Run(t *testing.T, s Subject) {
	t.Helper()
	p, err := begin(t, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if err := p.in(t, c); err != nil {
				t.Error(err)
			}
		})
	}
	t.Logf("%d commits of %d workflows in %d partitions; %d batches written, %d refused that came again or too late, %d rolled back, %d interrupted (%d of them stored), %d workflows healed",
		p.commits, p.workflows, partitions, p.count.written, p.count.refused, p.count.rolledBack, p.count.interrupted, p.count.stored, p.count.healed)
}

// test is a case of the suite: its error is what is wrong with the projection.
type test struct {
	name string
	run  func(*proof) error
}

var cases = []test{
	{"the same again", (*proof).again},
	{"any batches", (*proof).batches},
	{"any order of partitions", (*proof).order},
	{"a batch that comes again", (*proof).redelivered},
	{"a batch that is rolled back", (*proof).rolledBack},
	{"interrupted at any moment", (*proof).interrupted},
	{"two projectors", (*proof).two},
	{"by a projector", (*proof).projector},
	{"healed", (*proof).healed},
	{"rebuilt", (*proof).rebuilt},
	{"another version", (*proof).upgraded},
	{"a workflow that cannot be read", (*proof).poisoned}, // adds to the log, so it comes last
}

// begin writes the log and the rows that all others are held against.
func begin(t *testing.T, s Subject) (*proof, error) {
	t.Helper()
	if s.Open == nil || len(s.Histories) == 0 {
		t.Fatal("projectiontest: the subject needs Open and at least one history")
	}
	if s.Rounds == 0 {
		s.Rounds = 3
	}
	return newProof(t, s)
}

// in runs a case as a part of a test.
func (p *proof) in(t *testing.T, c test) error {
	p.t = t
	return c.run(p)
}
