package historytest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"pgregory.net/rapid"

	"github.com/annals-io/annals/pkg/events"
)

// Options say what histories are like. Zero fields mean the default.
type Options struct {
	Workflows int // 6
	// Tame leaves the oddities out: what an engine writes on a good day.
	Tame bool
	// Moves is the most that happens in one commit; 4. A move is 1 to 3 events.
	Moves int
	// Resets has some runs begin as resets of an earlier one.
	Resets bool
	// Put, if set, stores a message on a subject past the library: now and then one is put behind a workflow's
	// last commit, and declared void. The log must be an events.Voider then.
	Put func(subject string)
}

// Generator writes commits to a log and knows where each workflow stands. It is
// for one goroutine.
type Generator struct {
	options Options
	flows   []*flow
	commits int
}

// Step is one commit: of which workflow (modulo their number), and the seed of
// all that is in it.
type Step struct {
	Workflow int
	Seed     uint64
}

// New is a generator of workflows that have not begun.
func New(o Options) *Generator {
	if o.Workflows == 0 {
		o.Workflows = 6
	}
	if o.Moves == 0 {
		o.Moves = 4
	}
	g := &Generator{options: o}
	for i := range o.Workflows {
		g.flows = append(g.flows, &flow{name: workflowName(i, o.Tame), tame: o.Tame, resets: o.Resets})
	}
	return g
}

// Drawn draws steps: rapid's to shorten and to make simpler.
func Drawn(t *rapid.T, atMost int) []Step {
	step := rapid.Custom(func(t *rapid.T) Step {
		return Step{Workflow: rapid.IntRange(0, 11).Draw(t, "workflow"), Seed: rapid.Uint64().Draw(t, "seed")}
	})
	return rapid.SliceOfN(step, 1, atMost).Draw(t, "steps")
}

// Seeded are n steps that follow from a seed.
func Seeded(seed uint64, n int) []Step {
	r := rand.New(rand.NewPCG(seed, 1))
	steps := make([]Step, n)
	for i := range steps {
		steps[i] = Step{Workflow: r.IntN(1 << 20), Seed: r.Uint64()}
	}
	return steps
}

// awkward are ids that subjects, SQL and URLs could trip over.
var awkward = []string{
	"order.1", "a*b>c", "100%", "with space", "überraschung-日本", "'; DROP TABLE annals.events; --",
	`back\slash"quote`, "{brace,comma}", "..", "%00", "tab\tnew\nline", "\u202eright-to-left",
}

func workflowName(i int, tame bool) events.Workflow {
	switch {
	case tame || i%3 == 0:
		return events.Workflow{Namespace: "default", ID: fmt.Sprintf("order-%d", i)}
	case i%3 == 1:
		return events.Workflow{Namespace: "default", ID: awkward[(i/3)%len(awkward)] + fmt.Sprint(i)}
	default: // the same ids in another namespace
		return events.Workflow{Namespace: "shop.eu/*", ID: fmt.Sprintf("order-%d", i-2)}
	}
}

// Workflows are all that the generator may write, begun or not.
func (g *Generator) Workflows() []events.Workflow {
	out := make([]events.Workflow, len(g.flows))
	for i, f := range g.flows {
		out[i] = f.name
	}
	return out
}

// Append writes one commit. It fails only if the log does.
func (g *Generator) Append(ctx context.Context, log events.Appender, s Step) (events.Result, error) {
	f := g.flows[s.Workflow%len(g.flows)]
	g.commits++
	random := rand.New(rand.NewPCG(s.Seed, 0))
	if g.options.Put != nil && random.IntN(15) == 0 {
		return g.void(ctx, log, f)
	}
	r := f.commit(random, g.options.Moves, g.commits)
	res, err := log.Append(ctx, r)
	if err != nil {
		return events.Result{}, fmt.Errorf("append to %s after %s: %w", f.name, f.cursor, err)
	}
	f.cursor = res.Cursor
	if f.open {
		f.next = int64(res.LastEventID) + 1
	}
	f.lengths[f.run] = int64(res.LastEventID)
	return res, nil
}

// void puts one or two messages that are none behind a workflow's last commit, and has them declared void.
func (g *Generator) void(ctx context.Context, log events.Appender, f *flow) (events.Result, error) {
	for range 1 + g.commits%2 {
		g.options.Put(f.name.Subject())
	}
	v, ok := log.(events.Voider)
	if !ok {
		return events.Result{}, fmt.Errorf("a %T has no voids", log)
	}
	res, err := v.Void(ctx, events.VoidRequest{Workflow: f.name, CommitID: events.CommitID(fmt.Sprintf("commit-%d", g.commits)), Reason: "put there"})
	if err != nil {
		return events.Result{}, fmt.Errorf("void what was put behind %s: %w", f.name, err)
	}
	if f.run != "" {
		f.cursor = res.Cursor
	}
	return events.Result{Position: res.Position, CommitID: res.CommitID, Cursor: res.Cursor}, nil
}

// AppendAll writes steps one after the other.
func (g *Generator) AppendAll(ctx context.Context, log events.Appender, steps []Step) error {
	for _, s := range steps {
		if _, err := g.Append(ctx, log, s); err != nil {
			return err
		}
	}
	return nil
}

// epoch is when the first events happen.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
