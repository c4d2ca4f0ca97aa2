package projection

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// WaitsConfig is how waits work. Zero fields mean the default.
type WaitsConfig struct {
	// Max is how many may wait at a time, each for about 300 bytes; 10,000.
	Max int
}

func (c WaitsConfig) withDefaults() WaitsConfig {
	if c.Max == 0 {
		c.Max = 10_000
	}
	return c
}

// Waits lets any number of callers wait until a projection's tables include a
// vector. However many there are, one of their questions at a time is asked of
// the tables, and answers all of them; nobody asks while nobody waits.
//
// It looks at once for a wait that finds nobody waiting, and then again whenever
// the youngest wait has lasted a quarter longer, but no more often than every
// quickestLook and no less often than every slowestLook.
type Waits struct {
	look   func(context.Context) ([]Checkpoint, error)
	config WaitsConfig
	// came tells who looks that a wait has begun, or that the last has ended.
	came chan struct{}

	mu      sync.Mutex // guards the rest, and is never held while looking
	waiting map[*wait]struct{}
	looking bool      // somebody does
	newest  time.Time // when the youngest wait began
	looked  time.Time // when the last look ended; zero: nobody has, since somebody waits
	failed  time.Time // when it did last
	reached events.Vector
}

// How often tables are looked at, as far as waits want it.
const (
	quickestLook = 2 * time.Millisecond
	slowestLook  = 250 * time.Millisecond
	// afterFailure is how long nobody looks after a look that failed, however
	// many try again.
	afterFailure = 100 * time.Millisecond
	// longestLook is how long a look may take before it has failed.
	longestLook = 5 * time.Second
)

// wait is one caller's.
type wait struct {
	vector  events.Vector
	missing []events.Position // what no look has seen yet
	looked  bool              // missing is what a look since it began has not seen
	done    chan error        // takes one
}

// NewWaits is waits on tables whose checkpoints look reads: those of the
// generation that queries read, from the database that they read. It fails on a
// config that cannot work.
func NewWaits(look func(context.Context) ([]Checkpoint, error), c WaitsConfig) (*Waits, error) {
	if c.Max < 0 {
		return nil, fmt.Errorf("projection: at most %d waits", c.Max)
	}
	return &Waits{look: look, config: c.withDefaults(), came: make(chan struct{}, 1), waiting: map[*wait]struct{}{}}, nil
}

// For returns once the tables include the vector. It waits as long as the context
// lets it, and then fails with ErrBehind (*BehindError, which wraps the context's
// cause), or with that cause alone where nobody could say in time how far the
// tables are. It fails with events.ErrWrongLog at once if the vector is bound to
// another log than the tables are made from, with ErrTooManyWaits, and as looking
// at the checkpoints does.
func (w *Waits) For(ctx context.Context, v events.Vector) error {
	if _, _, bound := v.Bound(); v.IsZero() && !bound {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	one := &wait{vector: v, missing: v.Positions(), done: make(chan error, 1)}
	if err := w.begin(one); err != nil {
		return err
	}
	select {
	case err := <-one.done:
		return err
	case <-ctx.Done():
		return w.giveUp(one, context.Cause(ctx))
	}
}

func (w *Waits) begin(one *wait) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) >= w.config.Max {
		return &TooManyWaitsError{Max: w.config.Max}
	}
	w.waiting[one] = struct{}{}
	w.newest = time.Now()
	if !w.looking {
		w.looking, w.looked = true, time.Time{}
		go w.lookout()
	}
	w.tell()
	return nil
}

// Known is what the last look saw, however long ago that was: no proof for a
// query, and a hint that it need not wait.
func (w *Waits) Known() events.Vector {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reached
}

// tell has who looks think again.
func (w *Waits) tell() {
	select {
	case w.came <- struct{}{}:
	default:
	}
}

// giveUp is the end of a wait whose context has ended.
func (w *Waits) giveUp(one *wait, cause error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, still := w.waiting[one]; !still { // it was answered at this moment
		return <-one.done
	}
	delete(w.waiting, one)
	if len(w.waiting) == 0 {
		w.tell()
	}
	if !one.looked {
		return cause
	}
	e := &BehindError{Cause: cause}
	for _, p := range one.missing {
		e.Behind = append(e.Behind, Behind{Wanted: p, Checkpoint: w.reached.At(p.Partition)})
	}
	return e
}

// lookout looks until nobody waits.
func (w *Waits) lookout() {
	for w.pause() {
		ctx, cancel := context.WithTimeoutCause(context.Background(), longestLook, errors.New("the tables did not say in time how far they are"))
		checkpoints, err := w.look(ctx)
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		cancel()
		w.answer(checkpoints, err)
	}
}

// pause returns when it is time to look; false: nobody waits any more, and
// whoever comes finds nobody looking.
func (w *Waits) pause() bool {
	var timer *time.Timer
	for {
		w.mu.Lock()
		if len(w.waiting) == 0 {
			w.looking = false
			w.mu.Unlock()
			return false
		}
		left := time.Until(w.next())
		w.mu.Unlock()
		if left <= 0 {
			return true
		}
		if timer == nil {
			timer = time.NewTimer(left)
			defer timer.Stop()
		} else {
			timer.Reset(left)
		}
		select {
		case <-timer.C:
		case <-w.came:
		}
	}
}

// next is when to look.
func (w *Waits) next() time.Time {
	next := w.failed.Add(afterFailure)
	if !w.looked.IsZero() {
		interval := min(max(w.looked.Sub(w.newest)/4, quickestLook), slowestLook)
		if at := w.looked.Add(interval); at.After(next) {
			next = at
		}
	}
	return next
}

// answer tells all who wait what a look has seen.
func (w *Waits) answer(checkpoints []Checkpoint, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looked = time.Now()
	if err != nil {
		w.failed = w.looked
		for one := range w.waiting {
			w.end(one, err)
		}
		return
	}
	w.reached = Reached(checkpoints)
	for one := range w.waiting {
		if err := ofTables(one.vector, checkpoints); err != nil {
			w.end(one, err)
			continue
		}
		one.looked = true
		one.missing = slices.DeleteFunc(one.missing, func(p events.Position) bool { return w.reached.At(p.Partition) >= p.Sequence })
		if len(one.missing) == 0 {
			w.end(one, nil)
		}
	}
}

func (w *Waits) end(one *wait, err error) {
	delete(w.waiting, one)
	one.done <- err
}

// Reached is the vector that checkpoints of one projection hold. It is bound to
// their log, unless there is none, or they are of several.
func Reached(checkpoints []Checkpoint) events.Vector {
	positions := make([]events.Position, len(checkpoints))
	for i, c := range checkpoints {
		positions[i] = c.Position()
	}
	v := events.VectorOf(positions...)
	for _, c := range checkpoints {
		b, err := v.Bind(events.Identity{LogID: c.LogID, Epoch: c.LogEpoch})
		if err != nil {
			return events.VectorOf(positions...)
		}
		v = b
	}
	return v
}

// ofTables refuses a vector of another log than the tables are made from. Tables
// without a checkpoint are made from none yet.
func ofTables(v events.Vector, checkpoints []Checkpoint) error {
	if _, _, bound := v.Bound(); !bound {
		return nil
	}
	for _, c := range checkpoints {
		if err := v.Of(events.Identity{LogID: c.LogID, Epoch: c.LogEpoch}); err != nil {
			return fmt.Errorf("the tables are made from another log than the positions are of: %w", err)
		}
	}
	return nil
}

// Includes is nil if checkpoints hold a vector, as they stand: otherwise it is
// ErrBehind (*BehindError, without a cause), or events.ErrWrongLog if the vector
// is bound to another log than theirs.
func Includes(checkpoints []Checkpoint, v events.Vector) error {
	if err := ofTables(v, checkpoints); err != nil {
		return err
	}
	reached := Reached(checkpoints)
	var e BehindError
	for _, p := range v.Beyond(reached) {
		e.Behind = append(e.Behind, Behind{Wanted: p, Checkpoint: reached.At(p.Partition)})
	}
	if len(e.Behind) > 0 {
		return &e
	}
	return nil
}
