package projection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// What may happen to members that share leases.
const (
	joins   = "joins"   // a new process
	leaves  = "leaves"  // a clean stop
	dies    = "dies"    // killed: its work ends at once, and nobody is told
	stops   = "stops"   // its way to the leases is cut, for good
	cut     = "cut"     // the same, for a while
	loses   = "loses"   // for a while it hears no answer to what is done all the same
	nothing = "nothing" // time passes
)

type step struct {
	What   string
	Member int           // which of those that there are
	Then   time.Duration // passes before the next step
}

// At any interleaving at most one member works on a lease that it believes to
// have; and when nothing happens any more all leases are worked on, in shares that
// differ by one at most, and no lease changes hands for nothing.
func TestMembersShareLeases(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		names := leaseNames(rapid.IntRange(1, 16).Draw(rt, "leases"))
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
			return step{
				What:   rapid.SampledFrom([]string{joins, joins, joins, leaves, dies, stops, cut, loses, nothing}).Draw(t, "what"),
				Member: rapid.IntRange(0, 10).Draw(t, "member"),
				Then:   time.Duration(rapid.IntRange(0, 8_000).Draw(t, "then, ms")) * time.Millisecond,
			}
		}), 1, 12).Draw(rt, "steps")
		var found error
		synctest.Test(t, func(t *testing.T) { found = play(t.Context(), names, steps) })
		if found != nil {
			rt.Fatal(found)
		}
	})
}

const memoryTTL = 6 * time.Second

// stage is members at work.
type stage struct {
	ctx    context.Context
	leases *MemoryLeases
	names  []string
	born   int

	mu      sync.Mutex
	working map[string]string // lease to the member that works on it
	begun   int               // works
	wrong   error

	players []*player
}

// player is one process.
type player struct {
	*faultyLeases
	stop func()
	done chan struct{}
}

// faultyLeases are leases that cannot be reached as they should.
type faultyLeases struct {
	Leases
	mu    sync.Mutex
	fault func() (apply bool, err error)
}

func (f *faultyLeases) set(fault func() (bool, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

func (f *faultyLeases) do(call func() error) error {
	f.mu.Lock()
	fault := f.fault
	f.mu.Unlock()
	if fault == nil {
		return call()
	}
	apply, err := fault()
	if apply {
		if err := call(); err != nil {
			return err
		}
	}
	return err
}

func (f *faultyLeases) Renew(ctx context.Context, kinds []string, standing map[string]Standing) (s Sharing, err error) {
	err = f.do(func() (err error) { s, err = f.Leases.Renew(ctx, kinds, standing); return err })
	if err != nil {
		return Sharing{}, err
	}
	return s, nil
}

func (f *faultyLeases) Claim(ctx context.Context, names []string) (l []Lease, err error) {
	err = f.do(func() (err error) { l, err = f.Leases.Claim(ctx, names); return err })
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (f *faultyLeases) Release(ctx context.Context, names []string) error {
	return f.do(func() error { return f.Leases.Release(ctx, names) })
}

func (f *faultyLeases) Leave(ctx context.Context) error {
	return f.do(func() error { return f.Leases.Leave(ctx) })
}

var errCut = errors.New("the way to the leases is cut")

func cutOff() (bool, error)      { return false, errCut }
func answersLost() (bool, error) { return true, errCut }

func (s *stage) join() {
	s.born++
	p := &player{faultyLeases: &faultyLeases{Leases: s.leases.Of(fmt.Sprintf("m%02d", s.born))}, done: make(chan struct{})}
	m, err := NewMembership(p.faultyLeases, MembershipConfig{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		s.fail(err)
		return
	}
	var ctx context.Context
	ctx, p.stop = context.WithCancel(s.ctx)
	work := func(ctx context.Context, h *Holding) {
		s.mu.Lock()
		s.begun++
		if other := s.working[h.name]; other != "" && s.wrong == nil {
			s.wrong = fmt.Errorf("%s begins to work on %s while %s does", p.Member().ID, h.name, other)
		}
		s.working[h.name] = p.Member().ID
		s.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-h.handedOver():
		}
		s.mu.Lock()
		delete(s.working, h.name)
		s.mu.Unlock()
	}
	go func() {
		defer close(p.done)
		if err := m.share(ctx, s.names, work, func(string) Standing { return Standing{Phase: PhaseFollowing} }); err != nil {
			s.fail(err)
		}
	}()
	s.players = append(s.players, p)
}

func (s *stage) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wrong == nil {
		s.wrong = err
	}
}

// remove takes a player from the stage.
func (s *stage) remove(i int) *player {
	p := s.players[i]
	s.players = append(s.players[:i:i], s.players[i+1:]...)
	return p
}

func play(ctx context.Context, names []string, steps []step) error {
	s := &stage{ctx: ctx, leases: NewMemoryLeases(memoryTTL), names: names, working: map[string]string{}}
	var gone []*player
	s.join()
	for _, step := range steps {
		i := 0
		if n := len(s.players); n > 0 {
			i = step.Member % n
		}
		switch {
		case step.What == joins && len(s.players) < 5:
			s.join()
		case len(s.players) == 0 || step.What == nothing:
		case step.What == leaves:
			p := s.remove(i)
			p.stop()
			gone = append(gone, p)
		case step.What == dies:
			p := s.remove(i)
			p.set(cutOff)
			p.stop()
			gone = append(gone, p)
		case step.What == stops:
			p := s.remove(i)
			p.set(cutOff)
			gone = append(gone, p)
		case step.What == cut:
			s.players[i].set(cutOff)
		case step.What == loses:
			s.players[i].set(answersLost)
		}
		time.Sleep(step.Then)
		for _, p := range s.players {
			p.set(nil)
		}
	}
	err := s.settled()
	for _, p := range append(gone, s.players...) {
		p.stop()
		<-p.done
	}
	synctest.Wait()
	if s.wrong != nil {
		return s.wrong
	}
	if len(s.working) > 0 {
		return fmt.Errorf("everybody has left, and there is work on %v", s.working)
	}
	return err
}

// settled lets what has happened come to rest, and looks at the shares.
func (s *stage) settled() error {
	if len(s.players) == 0 {
		s.join()
	}
	time.Sleep(3 * memoryTTL)
	counts := map[string]int{}
	s.mu.Lock()
	begun := s.begun
	for _, m := range s.working {
		counts[m]++
	}
	n := len(s.working)
	s.mu.Unlock()
	if n != len(s.names) {
		return fmt.Errorf("of %d leases %d are worked on", len(s.names), n)
	}
	for _, p := range s.players {
		if c, fair := counts[p.Member().ID], len(s.names)/len(s.players); c != fair && c != fair+1 {
			return fmt.Errorf("%d leases among %d: %v", len(s.names), len(s.players), counts)
		}
	}
	time.Sleep(10 * memoryTTL)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun != begun {
		return fmt.Errorf("%d leases changed hands for nothing", s.begun-begun)
	}
	return nil
}

// A member that joins gets its share, and no lease changes hands but those that it
// gets; one that leaves, or dies, has its leases taken, and no other moves.
func TestFewLeasesMove(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{ctx: t.Context(), leases: NewMemoryLeases(memoryTTL), names: leaseNames(16), working: map[string]string{}}
		moves := func(after time.Duration, want int, f func()) {
			t.Helper()
			s.mu.Lock()
			before := s.begun
			s.mu.Unlock()
			f()
			time.Sleep(after)
			s.mu.Lock()
			defer s.mu.Unlock()
			if n := s.begun - before; n != want || len(s.working) != 16 {
				t.Errorf("%d leases moved, want %d; %d are worked on", n, want, len(s.working))
			}
		}
		moves(time.Second, 16, s.join)
		moves(3*time.Second, 8, s.join)
		moves(3*time.Second, 5, s.join) // 6, 5 and 5 of them
		moves(2*time.Second, 5, func() { p := s.remove(2); p.stop(); <-p.done })
		moves(10*time.Second, 8, func() { p := s.remove(0); p.set(cutOff); p.stop(); <-p.done })
		for _, p := range s.players {
			p.stop()
			<-p.done
		}
		if s.wrong != nil {
			t.Error(s.wrong)
		}
	})
}

// Work that is to be handed over ends with what it has begun; if that takes too
// long it is cut off.
func TestWorkIsHandedOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		leases := NewMemoryLeases(memoryTTL)
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		share := func(id string, work func(context.Context, *Holding)) {
			m, err := NewMembership(leases.Of(id), MembershipConfig{Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() {
				if err := m.share(ctx, leaseNames(2), work, func(string) Standing { return Standing{} }); err != nil {
					t.Error(err)
				}
			})
		}
		took := make(chan time.Duration, 2)
		share("busy", func(ctx context.Context, h *Holding) {
			select {
			case <-h.handedOver():
			case <-ctx.Done():
				return
			}
			began := time.Now()
			<-ctx.Done()
			took <- time.Since(began)
		})
		time.Sleep(time.Second)
		share("other", func(ctx context.Context, _ *Holding) { <-ctx.Done() })
		if d := <-took; d != 2*time.Second {
			t.Errorf("the work was cut off after %s", d)
		}
		time.Sleep(time.Second)
		s, err := leases.Of("watcher").Renew(t.Context(), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if h := holders(s); h["partition/0"] != "busy" || h["partition/1"] != "other" {
			t.Errorf("holders: %v", h)
		}
		cancel()
		all.Wait()
	})
}

// Hold keeps a lease for as long as it is renewed, says who has it otherwise, and
// ends its context when it is lost.
func TestHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		leases := NewMemoryLeases(memoryTTL)
		config := MembershipConfig{Logger: slog.New(slog.DiscardHandler)}
		first := &faultyLeases{Leases: leases.Of("first")}
		held, release, err := Hold(t.Context(), first, RebuildLease, config)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * memoryTTL)
		if held.Err() != nil {
			t.Error("it is lost though it was renewed")
		}
		_, _, err = Hold(t.Context(), leases.Of("second"), RebuildLease, config)
		var by *LeaseHeldError
		if !errors.Is(err, ErrLeaseHeld) || !errors.As(err, &by) || by.Lease.Holder.ID != "first" {
			t.Errorf("a second Hold: %v", err)
		}
		first.set(cutOff)
		began := time.Now()
		<-held.Done()
		if !errors.Is(context.Cause(held), ErrLeaseLost) || time.Since(began) > memoryTTL {
			t.Errorf("after %s: %v", time.Since(began), context.Cause(held))
		}
		second, releaseSecond, err := Hold(t.Context(), leases.Of("second"), RebuildLease, config)
		if err != nil {
			t.Fatal(err)
		}
		if err := release(); !errors.Is(err, errCut) {
			t.Errorf("release without a way to the leases: %v", err)
		}
		if second.Err() != nil {
			t.Error("the second one's lease ended with the first one's")
		}
		if err := releaseSecond(); err != nil {
			t.Error(err)
		}
		_, releaseThird, err := Hold(t.Context(), leases.Of("third"), RebuildLease, config)
		if err != nil {
			t.Fatalf("after release: %v", err)
		}
		if err := releaseThird(); err != nil {
			t.Error(err)
		}
	})
}
