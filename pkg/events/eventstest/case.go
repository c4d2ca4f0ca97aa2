package eventstest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/annals-io/annals/pkg/events"
)

// scene is one case under way: a log, and a namespace that nobody else uses.
type scene struct {
	*testing.T
	h   Harness
	log events.Log
	ns  string
	// sound is false once the case has damaged a workflow: then what it left is
	// not checked.
	sound bool
	seen  []events.Workflow
}

func newCase(t *testing.T, h Harness) *scene {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r
		}
		return '-'
	}, strings.ToLower(t.Name()))
	c := &scene{
		T: t, h: h, log: h.Open(t, Options{}), sound: true,
		ns: fmt.Sprintf("%s-%016x", name[max(0, len(name)-100):], rand.Uint64()),
	}
	t.Cleanup(func() {
		if c.sound && !t.Failed() {
			for _, w := range c.seen {
				CheckWorkflow(t, c.log, w)
			}
		}
	})
	return c
}

// workflow names a workflow in the case's namespace; it is checked when the
// case has passed.
func (c *scene) workflow(id string) events.Workflow {
	c.Helper()
	w := events.Workflow{Namespace: c.ns, ID: id}
	if !slices.Contains(c.seen, w) {
		c.seen = append(c.seen, w)
	}
	return w
}

// ctx is the case's context; it outlives the case, so that what is left can be
// checked.
func (c *scene) ctx() context.Context { return context.WithoutCancel(c.Context()) }

// append must succeed.
func (c *scene) append(r events.Request) events.Result {
	c.Helper()
	res, err := c.log.Append(c.ctx(), r)
	if err != nil {
		c.Fatalf("append %s to %s: %v", r.Expect, r.Workflow, err)
	}
	return res
}

// start starts a run, and it must succeed.
func (c *scene) start(w events.Workflow, more ...*events.Event) events.Result {
	c.Helper()
	return c.append(events.Request{Workflow: w, Events: list(started("T"), more...)})
}

// refused is an append that must fail as want; it gives the error as E.
func refused[E error](c *scene, r events.Request, want error) E {
	c.Helper()
	res, err := c.log.Append(c.ctx(), r)
	return as[E](c, err, want, fmt.Sprintf("append %s to %.80s gave %+v and", r.Expect, r.Workflow, res))
}

// as checks that err is want, and gives it as E. An unknown outcome is nothing
// else, whatever its cause is.
func as[E error](c *scene, err, want error, what string) E {
	c.Helper()
	var e E
	if !errors.Is(err, want) || !errors.As(err, &e) || errors.Is(err, events.ErrOutcomeUnknown) != errors.Is(want, events.ErrOutcomeUnknown) {
		c.Fatalf("%s error %v (%T), want %v as %T", what, err, err, want, e)
	}
	return e
}

// read is a read that must succeed.
func (c *scene) read(w events.Workflow, o events.ReadOptions) []*events.Event {
	c.Helper()
	got, err := collect(c.log.Read(c.ctx(), w, o))
	if err != nil {
		c.Fatalf("read %s %+v: %v", w, o, err)
	}
	return got
}

// history is the whole history of a run, empty for the newest.
func (c *scene) history(w events.Workflow, run events.RunID) []*events.Event {
	c.Helper()
	return c.read(w, events.ReadOptions{Run: run})
}

// commits are those of a workflow.
func (c *scene) commits(w events.Workflow) []*events.Commit {
	c.Helper()
	got, err := collect(c.log.Commits(c.ctx(), w))
	if err != nil {
		c.Fatalf("commits of %s: %v", w, err)
	}
	return got
}

// same fails with a diff unless both are equal.
func (c *scene) same(what string, want, got any) {
	c.Helper()
	if diff := cmp.Diff(want, got, compare); diff != "" {
		c.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

var compare = cmp.Options{
	protocmp.Transform(),
	cmp.Comparer(func(a, b events.Cursor) bool { return text(a) == text(b) }),
}

// text is a value's text form, which holds all of it.
func text(v interface{ MarshalText() ([]byte, error) }) string {
	b, err := v.MarshalText()
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func collect[T any](seq func(func(T, error) bool)) ([]T, error) {
	var out []T
	for v, err := range seq {
		if err != nil {
			return out, err
		}
		out = append(out, v)
	}
	return out, nil
}

// Reporter is what CheckWorkflow needs of a test, or of a check of a property.
type Reporter interface {
	Helper()
	Error(args ...any)
	Errorf(format string, args ...any)
}

// CheckWorkflow reads a workflow in every way and fails unless all agree: the
// commits chain, their events are dense, each run reads the same in both
// directions, and the tail is the last commit.
func CheckWorkflow(t Reporter, log events.Log, w events.Workflow) {
	t.Helper()
	ctx := context.Background()
	tail, err := log.Tail(ctx, w)
	if errors.Is(err, events.ErrNotFound) {
		for c, err := range log.Commits(ctx, w) {
			if !errors.Is(err, events.ErrNotFound) && (err != nil || c.Void == nil) {
				t.Errorf("%s has no tail, and its commits give %v", w, err)
			}
		}
		return
	}
	if err != nil {
		t.Errorf("tail of %s: %v", w, err)
		return
	}
	commits, err := collect(log.Commits(ctx, w))
	if err != nil {
		t.Errorf("commits of %s: %v", w, err)
		return
	}
	runs, order := model(t, commits)
	last := commits[len(commits)-1]
	if got := last.Cursor(log.Identity()); text(got) != text(tail) {
		t.Errorf("tail of %s is %v, its last commit ends at %v", w, tail, got)
	}
	for _, run := range order {
		forward, err := collect(log.Read(ctx, w, events.ReadOptions{Run: run}))
		if err != nil {
			t.Errorf("read run %s of %s: %v", run, w, err)
			return
		}
		if diff := cmp.Diff(runs[run], forward, compare); diff != "" {
			t.Errorf("run %s of %s as its commits hold it, and as it is read (-commits +read):\n%s", run, w, diff)
		}
		backward, err := collect(log.Read(ctx, w, events.ReadOptions{Run: run, Reverse: true}))
		if err != nil {
			t.Errorf("read run %s of %s reversed: %v", run, w, err)
			return
		}
		slices.Reverse(backward)
		if diff := cmp.Diff(forward, backward, compare); diff != "" {
			t.Errorf("run %s of %s in both directions (-forward +backward):\n%s", run, w, diff)
		}
	}
}

// model rebuilds the runs of a workflow from its commits by plain code, and
// checks each envelope against what the commits before it hold.
func model(t Reporter, commits []*events.Commit) (runs map[events.RunID][]*events.Event, order []events.RunID) {
	t.Helper()
	runs = map[events.RunID][]*events.Event{}
	first := map[events.RunID]uint64{}
	var hash events.Hash
	var sequences []uint64
	var before events.RunID
	hashes := map[uint64]events.Hash{}
	for _, c := range commits {
		if c.ChainHash(hash) != c.Hash {
			t.Errorf("%s at %s does not follow", c.Workflow, c.Position)
		}
		hash = c.Hash
		back := slices.Clone(sequences)
		slices.Reverse(back)
		back = back[:min(len(back), events.MaxBack)]
		if !slices.Equal(back, c.Back) {
			t.Errorf("%s at %s names %v before it, they are %v", c.Workflow, c.Position, c.Back, back)
		}
		sequences = append(sequences, c.Position.Sequence)
		hashes[c.Position.Sequence] = c.Hash
		parts, err := c.Segments()
		if err != nil {
			t.Error(err)
			return runs, order
		}
		for _, p := range parts {
			if p.Opens() {
				first[p.Run] = c.Position.Sequence
				if p.PrevRunFirst != first[before] {
					t.Errorf("%s: run %s says that the run before began at %d, it did at %d", c.Workflow, p.Run, p.PrevRunFirst, first[before])
				}
				before = p.Run
				order = append(order, p.Run)
			}
			if p.Opens() && c.Base != nil && p.Segment == &c.Run {
				if hashes[c.Base.Sequence] != c.Base.Hash || int(c.Base.Event) > len(runs[c.Base.Run]) {
					t.Errorf("%s at %s begins with %+v, which is not there", c.Workflow, c.Position, c.Base)
					return runs, order
				}
				runs[p.Run] = slices.Clone(runs[c.Base.Run][:c.Base.Event])
			}
			if p.RunFirst != first[p.Run] {
				t.Errorf("%s: run %s says that it began at %d, it did at %d", c.Workflow, p.Run, p.RunFirst, first[p.Run])
			}
			runs[p.Run] = append(runs[p.Run], p.Events...)
			size, status := 0, events.Status(0)
			for i, e := range runs[p.Run] {
				if e.EventId != int64(i+1) {
					t.Errorf("%s: run %s has event %d at %d", c.Workflow, p.Run, e.EventId, i+1)
				}
				n := proto.Size(e)
				size += n + 1 + varint(n)
				status = events.StatusAfter(status, e)
			}
			if p.Last != events.EventID(len(runs[p.Run])) || p.Size != int64(size) || p.After != status {
				t.Errorf("%s: run %s says it has %d events, %d bytes, %s; it has %d, %d, %s",
					c.Workflow, p.Run, p.Last, p.Size, p.After, len(runs[p.Run]), size, status)
			}
		}
	}
	return runs, order
}

// varint is how many bytes n takes as a varint.
func varint(n int) int {
	size := 1
	for ; n >= 128; n >>= 7 {
		size++
	}
	return size
}
