package eventstest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/annals-io/annals/pkg/events"
)

func sourceCases() []testCase {
	return named(followGivesWhatIsThere, followGivesWhatComes, followGivesOneWorkflow, followEndsWithItsContext,
		followAgreesWithMessage, boundsGrow, identityNamesTheLog)
}

// prepared puts some commits of several workflows into one partition and gives
// the sequences of each.
func prepared(c *scene) (p events.Partition, workflows []events.Workflow, sequences map[events.Workflow][]uint64) {
	sequences = map[events.Workflow][]uint64{}
	for i := 0; len(workflows) < 3; i++ {
		w := events.Workflow{Namespace: c.ns, ID: fmt.Sprint("w", i)}
		if len(workflows) == 0 || c.log.Identity().Map.Partition(w.Slot()) == p {
			p = c.log.Identity().Map.Partition(w.Slot())
			workflows = append(workflows, c.workflow(w.ID))
		}
	}
	for round := range 5 {
		for _, w := range workflows {
			r := events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "s")}
			if round == 0 {
				r.Expect, r.Events = events.NewRun(), list(started("T"))
			}
			sequences[w] = append(sequences[w], c.append(r).Position.Sequence)
		}
	}
	return p, workflows, sequences
}

// ours are the sequences of the case's own messages, in the order given.
func ours(c *scene, messages []events.Message) []uint64 {
	c.Helper()
	var out []uint64
	for i, m := range messages {
		if i > 0 && m.Position.Sequence <= messages[i-1].Position.Sequence {
			c.Errorf("message %s came after %s", m.Position, messages[i-1].Position)
		}
		if commit, err := events.Decode(m); err == nil && commit.Workflow.Namespace == c.ns {
			out = append(out, m.Position.Sequence)
		}
	}
	return out
}

func followGivesWhatIsThere(c *scene) {
	p, workflows, sequences := prepared(c)
	var all []uint64
	for _, w := range workflows {
		all = append(all, sequences[w]...)
	}
	slices.Sort(all)
	last := all[len(all)-1]
	for name, o := range map[string]events.FollowOptions{
		"from the start": {Until: last}, "after the first": {After: all[0], Until: last},
		"one": {After: all[3] - 1, Until: all[3]}, "to the middle": {Until: all[7]},
		"none": {After: last, Until: last}, "none, backwards": {After: last, Until: all[0]},
	} {
		got, err := collect(c.log.Follow(c.ctx(), p, o))
		if err != nil {
			c.Fatalf("%s: %v", name, err)
		}
		var want []uint64
		for _, seq := range all {
			if seq > o.After && seq <= o.Until {
				want = append(want, seq)
			}
		}
		c.same(name, want, ours(c, got))
	}
}

func followGivesWhatComes(c *scene) {
	p, workflows, sequences := prepared(c)
	first := sequences[workflows[0]][0]
	w := workflows[1]
	at := c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "s")})
	n := 0
	var got []events.Message
	for m, err := range c.log.Follow(c.ctx(), p, events.FollowOptions{After: first - 1}) {
		if err != nil {
			c.Fatal(err)
		}
		got = append(got, m)
		if m.Position == at.Position { // all that there is: the next one comes while this waits for it
			if n++; n == 10 {
				break
			}
			at = c.append(events.Request{Workflow: w, Expect: events.After(at.Cursor), Events: signals(1, "s")})
		}
	}
	if n := len(ours(c, got)); n != 15+10 {
		c.Errorf("%d messages of ours, want 25", n)
	}
}

func followGivesOneWorkflow(c *scene) {
	p, workflows, sequences := prepared(c)
	w := workflows[1]
	want := sequences[w]
	last := want[len(want)-1]
	for _, after := range []uint64{0, want[0] - 1, want[0], want[2] + 1} {
		got, err := collect(c.log.Follow(c.ctx(), p, events.FollowOptions{After: after, Until: last, Workflow: &w}))
		if err != nil {
			c.Fatal(err)
		}
		var left []uint64
		for _, seq := range want {
			if seq > after {
				left = append(left, seq)
			}
		}
		var sequences []uint64
		for _, m := range got {
			sequences = append(sequences, m.Position.Sequence)
		}
		c.same(fmt.Sprint("after ", after), left, sequences)
	}
}

func followEndsWithItsContext(c *scene) {
	p, workflows, sequences := prepared(c)
	why := errors.New("why it ends")
	for name, after := range map[string]uint64{"while it waits": sequences[workflows[2]][4], "while there is more": 0} {
		ctx, cancel := context.WithCancelCause(c.ctx())
		if name == "while it waits" {
			ctx, cancel = context.WithCancelCause(c.ctx())
			go cancel(why)
		}
		var last error
		n := 0
		for _, err := range c.log.Follow(ctx, p, events.FollowOptions{After: after}) {
			if last != nil {
				c.Errorf("%s: goes on after %v", name, last)
			}
			last = err
			n++
			cancel(why)
		}
		if !errors.Is(last, why) {
			c.Errorf("%s: ends with %v after %d messages, want %v", name, last, n, why)
		}
		cancel(nil)
	}
}

func followAgreesWithMessage(c *scene) {
	p, workflows, sequences := prepared(c)
	w := workflows[0]
	last := sequences[w][4]
	commits := c.commits(w)
	i := 0
	for m, err := range c.log.Follow(c.ctx(), p, events.FollowOptions{Until: last, Workflow: &w}) {
		if err != nil {
			c.Fatal(err)
		}
		followed, err := events.Decode(m)
		if err != nil {
			c.Fatal(err)
		}
		got, err := c.log.Message(c.ctx(), m.Position)
		if err != nil {
			c.Fatal(err)
		}
		gotten, err := events.Decode(got)
		if err != nil {
			c.Fatal(err)
		}
		c.same("what is followed, and what Message gives", followed, gotten)
		c.same("what is followed, and what Commits gives", followed, commits[i])
		i++
	}
}

func boundsGrow(c *scene) {
	w := c.workflow("w")
	p := c.log.Identity().Map.Partition(w.Slot())
	before, err := c.log.Bounds(c.ctx(), p)
	if err != nil {
		c.Fatal(err)
	}
	res := c.start(w)
	after, err := c.log.Bounds(c.ctx(), p)
	if err != nil {
		c.Fatal(err)
	}
	if before.Last != res.Position.Sequence-1 || after.Last != res.Position.Sequence || after.First != 1 {
		c.Errorf("bounds were %+v before %s and %+v after it", before, res.Position, after)
	}
	// Ages of messages are told by it.
	m, err := c.log.Message(c.ctx(), res.Position)
	if err != nil {
		c.Fatal(err)
	}
	if before.Time.IsZero() || before.Time.After(m.Time) || m.Time.After(after.Time) {
		c.Errorf("it was %s, then a message was stored at %s, then it was %s", before.Time, m.Time, after.Time)
	}
}

func identityNamesTheLog(c *scene) {
	id := c.log.Identity()
	if id.LogID == "" || id.Epoch < 1 || id.Format != events.Format {
		c.Errorf("identity is %+v", id)
	}
	if err := id.Map.Validate(); err != nil {
		c.Error(err)
	}
	c.same("identity of another handle", id, c.h.Open(c, Options{}).Identity())
	if err := c.start(c.workflow("w")).Cursor.Of(id); err != nil {
		c.Error(err)
	}
}
