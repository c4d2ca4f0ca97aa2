package projection_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
)

// somewhere is where the tables are, in a test: what looks are answered with.
type somewhere struct {
	mu    sync.Mutex
	at    []projection.Checkpoint
	err   error
	takes time.Duration // a look
	looks []time.Time   // when each began
	under atomic.Int32  // looks at this moment
	most  atomic.Int32
}

func (s *somewhere) look(ctx context.Context) ([]projection.Checkpoint, error) {
	s.most.Store(max(s.most.Load(), s.under.Add(1)))
	defer s.under.Add(-1)
	s.mu.Lock()
	s.looks = append(s.looks, time.Now())
	takes := s.takes
	s.mu.Unlock()
	if takes > 0 {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]projection.Checkpoint(nil), s.at...), s.err
}

// move has looks find the tables at these sequences, one a partition from 0.
func (s *somewhere) move(sequences ...uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = nil
	for p, n := range sequences {
		s.at = append(s.at, projection.Checkpoint{Partition: events.Partition(p), LogID: "log", LogEpoch: 2, Sequence: n})
	}
}

func (s *somewhere) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *somewhere) looked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.looks)
}

func newWaits(t *testing.T, s *somewhere, c projection.WaitsConfig) *projection.Waits {
	t.Helper()
	w, err := projection.NewWaits(s.look, c)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func at(p events.Partition, sequence uint64) events.Vector {
	return events.VectorOf(events.Position{Partition: p, Sequence: sequence})
}

// waiting begins so many waits and gives where their ends arrive.
func waiting(w *projection.Waits, n int, ctx context.Context, v func(i int) events.Vector) <-chan error {
	ended := make(chan error, n)
	for i := range n {
		go func() { ended <- w.For(ctx, v(i)) }()
	}
	return ended
}

func allEnd(t *testing.T, n int, ended <-chan error, want func(error) bool) {
	t.Helper()
	for range n {
		if err := <-ended; !want(err) {
			t.Fatalf("a wait ended with %v", err)
		}
	}
}

func isNil(err error) bool { return err == nil }

// A thousand waits cost the tables what one costs, and all end with the look
// that sees what they wait for.
func TestAThousandWaitsLookAsOneDoes(t *testing.T) {
	looks := map[int]int{}
	for _, n := range []int{1, 1000} {
		synctest.Test(t, func(t *testing.T) {
			s := &somewhere{takes: time.Millisecond}
			s.move(3, 4)
			w := newWaits(t, s, projection.WaitsConfig{})
			began := time.Now()
			ended := waiting(w, n, t.Context(), func(i int) events.Vector { return at(events.Partition(i%2), uint64(5+i%7)) })
			time.Sleep(80 * time.Millisecond)
			select {
			case err := <-ended:
				t.Fatalf("it did not wait: %v", err)
			default:
			}
			s.move(11, 11)
			allEnd(t, n, ended, isNil)
			if took := time.Since(began); took > 110*time.Millisecond {
				t.Errorf("%d waits took %s, what they wait for came after 80 ms", n, took)
			}
			looks[n] = s.looked()
			if s.most.Load() != 1 {
				t.Errorf("%d looks at a time", s.most.Load())
			}
			time.Sleep(time.Hour)
			if s.looked() != looks[n] {
				t.Errorf("%d looks while nobody waited", s.looked()-looks[n])
			}
		})
	}
	if looks[1000] > looks[1]+1 || looks[1] < 5 {
		t.Errorf("looks by waits: %v", looks)
	}
}

// Looks are frequent while a wait is young, and rare when it is not.
func TestLooksGrowRare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &somewhere{}
		s.move(3)
		w := newWaits(t, s, projection.WaitsConfig{})
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := w.For(ctx, at(0, 4)); !errors.Is(err, projection.ErrBehind) {
			t.Fatal(err)
		}
		early := 0
		for _, l := range s.looks {
			if l.Sub(began) < 10*time.Millisecond {
				early++
			}
		}
		if first := s.looks[0].Sub(began); first != 0 || early < 4 || len(s.looks) > 160 {
			t.Errorf("first after %s, %d in 10 ms, %d in 30 s", first, early, len(s.looks))
		}
	})
}

// One that has waited for long does not keep a new one waiting.
func TestANewWaitIsSoonLookedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &somewhere{}
		s.move(3)
		w := newWaits(t, s, projection.WaitsConfig{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		old := waiting(w, 1, ctx, func(int) events.Vector { return at(0, 100) })
		time.Sleep(time.Minute)
		began := time.Now()
		if err := w.For(ctx, at(0, 3)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 3*time.Millisecond {
			t.Errorf("what was there took %s", took)
		}
		cancel()
		allEnd(t, 1, old, func(err error) bool { return errors.Is(err, context.Canceled) && errors.Is(err, projection.ErrBehind) })
	})
}

// Each wait lasts as long as its own context, and then says what is behind, and
// by how much.
func TestWaitsEndOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &somewhere{takes: time.Millisecond}
		s.move(5, 4)
		w := newWaits(t, s, projection.WaitsConfig{})
		wanted := events.VectorOf(events.Position{Partition: 2, Sequence: 1}, events.Position{Partition: 1, Sequence: 9}, events.Position{Sequence: 5})
		began := time.Now()
		var all sync.WaitGroup
		for _, bound := range []time.Duration{50 * time.Millisecond, time.Second, 10 * time.Second} {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), bound)
				defer cancel()
				err := w.For(ctx, wanted)
				if took := time.Since(began); took != bound {
					t.Errorf("bounded by %s it took %s", bound, took)
				}
				var behind *projection.BehindError
				if !errors.As(err, &behind) || !errors.Is(err, projection.ErrBehind) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v, want a *BehindError of the deadline", err)
					return
				}
				want := []projection.Behind{
					{Wanted: events.Position{Partition: 1, Sequence: 9}, Checkpoint: 4}, {Wanted: events.Position{Partition: 2, Sequence: 1}},
				}
				if diff := cmp.Diff(want, behind.Behind); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if got, want := err.Error(), "the tables are behind: 1:9 wanted, partition is at 4, 5 behind; 2:1 wanted, partition is at 0, 1 behind: context deadline exceeded"; got != want {
					t.Errorf("%s\nwant %s", got, want)
				}
			})
		}
		all.Wait()
	})
}

// What fails is told to all who wait, by one look; and however many try again at
// once, there is not more than one look every afterFailure.
func TestAFailureIsToldToAll(t *testing.T) {
	errGone := errors.New("gone")
	synctest.Test(t, func(t *testing.T) {
		s := &somewhere{takes: time.Millisecond, err: errGone}
		w := newWaits(t, s, projection.WaitsConfig{})
		began := time.Now()
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() {
				for time.Since(began) < time.Second {
					if err := w.For(t.Context(), at(0, 1)); !errors.Is(err, errGone) || errors.Is(err, projection.ErrBehind) {
						t.Errorf("gave %v", err)
					}
				}
			})
		}
		all.Wait()
		if n := s.looked(); n < 5 || n > 11 {
			t.Errorf("%d looks in a second", n)
		}
		s.fail(nil)
		s.move(1)
		began = time.Now()
		if err := w.For(t.Context(), at(0, 1)); err != nil || time.Since(began) > 150*time.Millisecond {
			t.Errorf("when it was back: %v after %s", err, time.Since(began))
		}
	})
}

// A look that hangs ends nobody's wait late, and says so in the end.
func TestALookThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &somewhere{takes: time.Hour}
		w := newWaits(t, s, projection.WaitsConfig{})
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		patient := waiting(w, 3, t.Context(), func(int) events.Vector { return at(0, 1) })
		if err := w.For(ctx, at(0, 1)); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, projection.ErrBehind) || time.Since(began) != time.Second {
			t.Errorf("gave %v after %s", err, time.Since(began))
		}
		allEnd(t, 3, patient, func(err error) bool { return err != nil && !errors.Is(err, projection.ErrBehind) })
		if took := time.Since(began); took != 5*time.Second || s.looked() != 1 {
			t.Errorf("took %s, %d looks", took, s.looked())
		}
	})
}

func TestTooManyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &somewhere{}
		s.move(0)
		w := newWaits(t, s, projection.WaitsConfig{Max: 2})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		two := waiting(w, 2, ctx, func(int) events.Vector { return at(0, 1) })
		synctest.Wait()
		err := w.For(ctx, at(0, 1))
		var many *projection.TooManyWaitsError
		if !errors.Is(err, projection.ErrTooManyWaits) || !errors.As(err, &many) || many.Max != 2 {
			t.Errorf("a third: %v", err)
		}
		if err := w.For(ctx, events.Vector{}); err != nil {
			t.Errorf("nothing to wait for: %v", err)
		}
		s.move(1)
		allEnd(t, 2, two, isNil)
		if err := w.For(ctx, at(0, 1)); err != nil {
			t.Errorf("when they had ended: %v", err)
		}
	})
	if _, err := projection.NewWaits(nil, projection.WaitsConfig{Max: -1}); err == nil {
		t.Error("at most -1 waits")
	}
}

// A vector of another log, or of before a restore, is refused at once: it would
// be waited for in vain, or be found where it is not.
func TestVectorsOfAnotherLogAreNotWaitedFor(t *testing.T) {
	bound := func(id string, epoch uint32, v events.Vector) events.Vector {
		b, err := v.Bind(events.Identity{LogID: id, Epoch: epoch})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	synctest.Test(t, func(t *testing.T) {
		s := &somewhere{}
		w := newWaits(t, s, projection.WaitsConfig{})
		// No projector has begun: nobody knows which log it will be.
		early := waiting(w, 1, t.Context(), func(int) events.Vector { return bound("log", 2, at(0, 1)) })
		late := waiting(w, 1, t.Context(), func(int) events.Vector { return bound("log", 3, at(0, 1)) })
		time.Sleep(time.Second)
		s.move(5)
		allEnd(t, 1, early, isNil)
		allEnd(t, 1, late, func(err error) bool { return errors.Is(err, events.ErrWrongLog) })
		began := time.Now()
		for _, tt := range []struct {
			vector events.Vector
			what   string
		}{
			{bound("other", 2, at(0, 1)), "log id"},
			{bound("log", 1, at(0, 1)), "epoch"},
			{bound("log", 3, at(0, 99)), "epoch"},
			{bound("log", 1, events.Vector{}), "epoch"},
		} {
			err := w.For(t.Context(), tt.vector)
			var wrong *events.WrongLogError
			if !errors.Is(err, events.ErrWrongLog) || !errors.As(err, &wrong) || wrong.What != tt.what {
				t.Errorf("%s gave %v", tt.vector, err)
			}
			if err := projection.Includes(s.at, tt.vector); !errors.Is(err, events.ErrWrongLog) {
				t.Errorf("%s: Includes gave %v", tt.vector, err)
			}
		}
		if took := time.Since(began); took > 10*time.Millisecond {
			t.Errorf("they were waited for: %s", took)
		}
	})
}

func TestAWaitThatHasEndedBefore(t *testing.T) {
	s := &somewhere{}
	w := newWaits(t, s, projection.WaitsConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.For(ctx, at(0, 1)); !errors.Is(err, context.Canceled) || s.looked() != 0 {
		t.Errorf("gave %v after %d looks", err, s.looked())
	}
}

// No wait ends before the tables have what it waits for, and none is forgotten,
// whoever comes and goes meanwhile.
func TestWaitsUnderLoad(t *testing.T) {
	s := &somewhere{}
	s.move(0, 0, 0)
	w := newWaits(t, s, projection.WaitsConfig{})
	const last = 300
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 0))
			for n := uint64(1); n <= last; n += 1 + random.Uint64N(60) {
				v := at(events.Partition(random.IntN(3)), n)
				ctx, cancel := context.WithCancel(t.Context())
				if random.IntN(4) == 0 {
					ctx, cancel = context.WithTimeout(t.Context(), time.Duration(random.IntN(3000))*time.Microsecond)
				}
				err := w.For(ctx, v)
				s.mu.Lock()
				there := projection.Includes(s.at, v)
				s.mu.Unlock()
				if err == nil && there != nil {
					t.Errorf("%s was waited for: %v", v, there)
				}
				if err != nil && ctx.Err() == nil {
					t.Errorf("%s gave %v", v, err)
				}
				cancel()
			}
		})
	}
	ended := make(chan struct{})
	go func() { all.Wait(); close(ended) }()
	tick := time.NewTicker(100 * time.Microsecond)
	defer tick.Stop()
	for n := uint64(0); ; {
		select {
		case <-tick.C:
			n = min(n+1, last)
			s.move(n, n, n)
		case <-ended:
			if s.most.Load() != 1 {
				t.Errorf("%d looks at a time", s.most.Load())
			}
			return
		}
	}
}

func TestIncludes(t *testing.T) {
	s := &somewhere{}
	s.move(5, 0, 7)
	for v, want := range map[string]string{
		"": "", "0:5": "", "0:1,2:7": "", "0:5,2:7@log/2": "",
		"0:6,1:1,3:2": "the tables are behind: 0:6 wanted, partition is at 5, 1 behind; 1:1 wanted, partition is at 0, 1 behind; 3:2 wanted, partition is at 0, 2 behind",
	} {
		vector, err := events.ParseVector(v)
		if err != nil {
			t.Fatal(err)
		}
		err = projection.Includes(s.at, vector)
		if got := ""; err != nil {
			got = err.Error()
			if got != want || !errors.Is(err, projection.ErrBehind) {
				t.Errorf("%q: %s\nwant %s", v, got, want)
			}
		} else if want != "" {
			t.Errorf("%q is included, want %s", v, want)
		}
	}
	if got := projection.Reached(s.at).String(); got != "0:5,2:7@log/2" {
		t.Errorf("reached is %s", got)
	}
}
