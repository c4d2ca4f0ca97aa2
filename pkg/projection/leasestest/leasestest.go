// Package leasestest is the suite that every implementation of projection.Leases
// passes.
package leasestest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-io/annals/pkg/projection"
)

// How long leases live in a test: so short that their end can be waited for, or so
// long that they do not expire meanwhile, however slow the machine is.
const (
	short = time.Second
	long  = time.Hour
)

// patience bounds what is waited for.
const patience = time.Minute

// Run tests leases. open gives those of one projection, which nobody has used yet
// and which live for ttl, to a new member each time that the function it returns
// is called.
func Run(t *testing.T, open func(t *testing.T, ttl time.Duration) (member func() projection.Leases)) {
	t.Run("one member has a lease", func(t *testing.T) {
		t.Parallel()
		join := open(t, long)
		a, b := join(), join()
		claim(t, a, names, names...)
		claim(t, b, names)
		holds(t, a, names[0], true)
		holds(t, b, names[0], false)
		claim(t, a, names) // it has them already
	})
	t.Run("what is released is free at once, and only by its holder", func(t *testing.T) {
		t.Parallel()
		join := open(t, long)
		a, b := join(), join()
		claim(t, a, names, names...)
		must(t, b.Release(t.Context(), names))
		claim(t, b, names)
		must(t, a.Release(t.Context(), names[:1]))
		holds(t, a, names[0], false)
		holds(t, a, names[1], true)
		claim(t, b, names, names[0])
	})
	t.Run("who leaves has nothing, and is no member", func(t *testing.T) {
		t.Parallel()
		join := open(t, long)
		a, b := join(), join()
		renew(t, a)
		claim(t, a, names, names...)
		must(t, a.Leave(t.Context()))
		holds(t, a, names[0], false)
		if s := renew(t, b); len(s.Members) != 1 || s.Members[0].ID != b.Member().ID {
			t.Errorf("members: %+v", s.Members)
		}
		claim(t, b, names, names...)
	})
	t.Run("a lease that is not renewed expires, and cannot be renewed then", func(t *testing.T) {
		t.Parallel()
		join := open(t, short)
		a, b := join(), join()
		renew(t, a)
		asked := time.Now()
		claim(t, a, names[:1], names[0])
		got := eventually(t, func() bool { return len(claimed(t, b, names[:1])) == 1 })
		if since := got.Sub(asked); since < short {
			t.Errorf("it was taken after %s", since)
		}
		holds(t, a, names[0], false)
		s := renew(t, a, names[0])
		if lease(s, names[0]).Holder.ID != b.Member().ID {
			t.Errorf("after its first holder tried to renew it: %+v", s.Leases)
		}
		eventually(t, func() bool { return lease(renew(t, a), names[0]).Left <= 0 })
		if s := renew(t, b, names[0]); lease(s, names[0]).Left > 0 {
			t.Error("it was renewed though it had expired")
		}
		eventually(t, func() bool { return len(renew(t, a).Members) == 1 })
	})
	t.Run("a lease that is renewed is kept", func(t *testing.T) {
		t.Parallel()
		join := open(t, short)
		a, b := join(), join()
		asked := time.Now()
		claim(t, a, names[:1], names[0])
		for until := asked.Add(3 * short); time.Now().Before(until); {
			before := asked
			asked = time.Now()
			l := lease(renew(t, a, names[0]), names[0])
			got := claimed(t, b, names[:1])
			if time.Since(before) >= short {
				// The machine was too slow to renew it in time: once more.
				must(t, b.Release(t.Context(), names))
				must(t, a.Release(t.Context(), names))
				asked = time.Now()
				until = asked.Add(3 * short)
				claim(t, a, names[:1], names[0])
				continue
			}
			if !l.HeldBy(a.Member().ID) || l.Left > short || len(got) > 0 {
				t.Fatalf("%+v, and another member took %v", l, got)
			}
		}
	})
	t.Run("Renew tells who has what, and how it stands", func(t *testing.T) {
		t.Parallel()
		join := open(t, long)
		a, b := join(), join()
		claim(t, a, names, names...)
		must(t, a.Release(t.Context(), names[1:]))
		claim(t, b, names[1:2], names[1])
		if _, err := a.Renew(t.Context(), []string{"partition", "heartbeats"}, map[string]projection.Standing{names[0]: {Phase: projection.PhaseStopped, Reason: "a \x00 reason"}}); err != nil {
			t.Fatal(err)
		}
		s := renew(t, b, names[1])
		type told struct {
			Name, Holder, Phase string
			PID                 int
		}
		var got []told
		for _, l := range s.Leases {
			if l.Left > 0 {
				got = append(got, told{l.Name, l.Holder.ID, string(l.Phase), l.Holder.PID})
			}
		}
		want := []told{
			{names[0], a.Member().ID, "stopped", a.Member().PID},
			{names[1], b.Member().ID, "following", b.Member().PID},
		}
		slices.SortFunc(want, func(a, b told) int { return cmpNames(a.Name, b.Name) })
		slices.SortFunc(got, func(a, b told) int { return cmpNames(a.Name, b.Name) })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("leases, wanted (-) and told (+):\n%s", diff)
		}
		if r := lease(s, names[0]).Reason; r == "" {
			t.Error("no reason")
		}
		if l := lease(s, names[2]); l.Holder.ID != "" || l.Left > 0 {
			t.Errorf("one that was released: %+v", l)
		}
		if len(s.Members) != 2 {
			t.Errorf("members: %+v", s.Members)
		}
		for _, m := range s.Members {
			if m.ID == a.Member().ID && !slices.Equal(m.Kinds, []string{"partition", "heartbeats"}) {
				t.Errorf("kinds of %+v", m)
			}
		}
	})
	t.Run("Hold keeps a lease for one member at a time", func(t *testing.T) {
		t.Parallel()
		join := open(t, long)
		a, b := join(), join()
		held, release, err := projection.Hold(t.Context(), a, projection.RebuildLease, projection.MembershipConfig{})
		must(t, err)
		_, _, err = projection.Hold(t.Context(), b, projection.RebuildLease, projection.MembershipConfig{})
		var by *projection.LeaseHeldError
		if !errors.Is(err, projection.ErrLeaseHeld) || !errors.As(err, &by) || by.Lease.Holder.ID != a.Member().ID {
			t.Errorf("a second one: %v", err)
		}
		if held.Err() != nil {
			t.Errorf("the first one: %v", context.Cause(held))
		}
		must(t, release())
		if held.Err() == nil {
			t.Error("what was held goes on after its release")
		}
		_, release, err = projection.Hold(t.Context(), b, projection.RebuildLease, projection.MembershipConfig{})
		must(t, err)
		must(t, release())
	})
	t.Run("at any interleaving no two members believe to have a lease", func(t *testing.T) {
		t.Parallel()
		join := open(t, short)
		w := &witness{}
		var members []projection.Leases
		for range 4 {
			members = append(members, join())
		}
		began := time.Now()
		for { // a slow machine needs longer until each lease was held
			ctx, cancel := context.WithTimeout(t.Context(), 3*short)
			var all sync.WaitGroup
			for _, leases := range members {
				all.Go(func() { w.play(ctx, leases) })
			}
			all.Wait()
			cancel()
			err := w.check()
			if err == nil {
				return
			}
			if !errors.Is(err, errTooFew) || time.Since(began) > patience {
				t.Fatal(err)
			}
		}
	})
}

// names are leases of several kinds.
var names = []string{projection.PartitionLease(0), projection.PartitionLease(1), projection.HeartbeatsLease}

func cmpNames(a, b string) int { return slices.Index(names, a) - slices.Index(names, b) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func claimed(t *testing.T, l projection.Leases, wanted []string) (got []string) {
	t.Helper()
	taken, err := l.Claim(t.Context(), wanted)
	must(t, err)
	for _, x := range taken {
		if x.Left <= 0 || x.Left > long {
			t.Errorf("taken: %+v", x)
		}
		got = append(got, x.Name)
	}
	return got
}

func claim(t *testing.T, l projection.Leases, wanted []string, want ...string) {
	t.Helper()
	got := claimed(t, l, wanted)
	slices.SortFunc(got, cmpNames)
	if !slices.Equal(got, want) {
		t.Fatalf("claimed %v, want %v", got, want)
	}
}

func holds(t *testing.T, l projection.Leases, name string, want bool) {
	t.Helper()
	err := l.Holds(t.Context(), name)
	if err != nil && !errors.Is(err, projection.ErrLeaseLost) || (err == nil) != want {
		t.Errorf("Holds: %v", err)
	}
}

func renew(t *testing.T, l projection.Leases, held ...string) projection.Sharing {
	t.Helper()
	standing := map[string]projection.Standing{}
	for _, name := range held {
		standing[name] = projection.Standing{Phase: projection.PhaseFollowing}
	}
	s, err := l.Renew(t.Context(), []string{"partition"}, standing)
	must(t, err)
	return s
}

func lease(s projection.Sharing, name string) projection.Lease {
	for _, l := range s.Leases {
		if l.Name == name {
			return l
		}
	}
	return projection.Lease{Name: name}
}

// eventually asks until the answer is yes, and gives the time of that.
func eventually(t *testing.T, f func() bool) time.Time {
	t.Helper()
	for until := time.Now().Add(patience); !f(); {
		if time.Now().After(until) {
			t.Fatal("it never came to be")
		}
	}
	return time.Now()
}

// witness writes down who believed when to have which lease.
type witness struct {
	mu      sync.Mutex
	beliefs []belief
	wrong   error
}

type belief struct {
	name, member string
	from, until  time.Time
}

// play does at random what members do.
func (w *witness) play(ctx context.Context, leases projection.Leases) {
	held := map[string]*belief{}
	end := func(name string, at time.Time) {
		if b := held[name]; b != nil {
			if at.Before(b.until) {
				b.until = at
			}
			w.mu.Lock()
			w.beliefs = append(w.beliefs, *b)
			w.mu.Unlock()
			delete(held, name)
		}
	}
	for ctx.Err() == nil {
		name := names[rand.IntN(len(names))]
		began := time.Now()
		var err error
		switch rand.IntN(8) {
		case 0:
			end(name, began)
			err = leases.Release(ctx, []string{name})
		case 1:
			for name := range held {
				end(name, began)
			}
			err = leases.Leave(ctx)
		case 2:
			// It is not heard of for longer than its leases live.
			select {
			case <-time.After(short + short/4):
			case <-ctx.Done():
			}
		case 3, 4, 5:
			standing := map[string]projection.Standing{}
			for name := range held {
				standing[name] = projection.Standing{Phase: projection.PhaseFollowing}
			}
			var s projection.Sharing
			if s, err = leases.Renew(ctx, []string{"partition"}, standing); err != nil {
				break
			}
			for name, b := range held {
				if l := lease(s, name); l.HeldBy(leases.Member().ID) && began.Before(b.until) {
					b.until = began.Add(l.Left)
				} else {
					end(name, b.until)
				}
			}
		default:
			var taken []projection.Lease
			taken, err = leases.Claim(ctx, []string{name})
			for _, l := range taken {
				end(l.Name, began)
				held[l.Name] = &belief{l.Name, leases.Member().ID, time.Now(), began.Add(l.Left)}
			}
		}
		if err != nil && ctx.Err() == nil {
			w.mu.Lock()
			w.wrong = errors.Join(w.wrong, err)
			w.mu.Unlock()
			return
		}
	}
	for name := range held {
		end(name, time.Now())
	}
}

// check looks for two at once.
func (w *witness) check() error {
	slices.SortFunc(w.beliefs, func(a, b belief) int { return a.from.Compare(b.from) })
	last := map[string]belief{}
	members := map[string]bool{}
	for _, b := range w.beliefs {
		if before, ok := last[b.name]; ok && before.until.After(b.from) {
			return fmt.Errorf("%s: %s had it until %s, and %s from %s on", b.name, before.member, before.until, b.member, b.from)
		}
		last[b.name] = b
		members[b.member] = true
	}
	if w.wrong != nil {
		return w.wrong
	}
	if len(last) < len(names) || len(members) < 2 {
		return fmt.Errorf("%w: %d, by %d members", errTooFew, len(last), len(members))
	}
	return nil
}

// errTooFew: what was seen shows nothing.
var errTooFew = errors.New("too few leases were ever held")
