package bench

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Both sides are measured as often as each other, in turns, and the warm-up is not.
func TestTurns(t *testing.T) {
	var order []string
	op := func(name string) operation {
		return func(context.Context) error {
			order = append(order, name)
			return nil
		}
	}
	o, r, err := turns(t.Context(), 0, 3, []operation{op("ours")}, []operation{op("raw")})
	if err == nil {
		t.Errorf("no time gave %+v, %+v", o, r)
	}
	order = nil
	o, r, err = turns(t.Context(), 4, 4, []operation{op("ours")}, []operation{op("raw")}) // a nanosecond each
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"ours", "raw", "raw", "ours", "ours", "raw", "raw", "ours", "ours", "raw"}, order); d != "" {
		t.Errorf("order (-want +got):\n%s", d)
	}
	if len(o.took) != 4 || len(r.took) != 4 || len(o.rates) != 4 || len(r.rates) != 4 {
		t.Errorf("got %+v and %+v, want 4 of each", o, r)
	}
}

// All writers of a side work, and the first that fails ends it.
func TestTurnsOfManyWriters(t *testing.T) {
	var n [3]atomic.Int64
	writers := make([]operation, len(n))
	for i := range writers {
		writers[i] = func(context.Context) error {
			n[i].Add(1)
			return nil
		}
	}
	failed := errors.New("failed")
	o, _, err := turns(t.Context(), time.Millisecond, 1, writers, writers)
	if err != nil || len(o.took) < len(n) {
		t.Errorf("%d operations, %v", len(o.took), err)
	}
	for i := range n {
		if n[i].Load() == 0 {
			t.Errorf("writer %d did nothing", i)
		}
	}
	fails := func(ctx context.Context) error { return failed }
	waits := func(ctx context.Context) error {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	if _, _, err := turns(t.Context(), time.Minute, 1, []operation{fails, waits}, writers[:1]); !errors.Is(err, failed) {
		t.Errorf("gave %v", err)
	}
}

func TestRates(t *testing.T) {
	ms := func(n ...int) (d []time.Duration) {
		for _, n := range n {
			d = append(d, time.Duration(n)*time.Millisecond)
		}
		return d
	}
	ours := side{rates: []float64{10, 1000, 30, 20}, took: ms(9, 1, 2, 3, 4, 5, 6, 7, 8, 100)}
	raw := side{rates: []float64{50, 40, 1}, took: ms(7)}
	want := Result{Name: "x", Value: 25, Raw: 40, Unit: "y/s", Ratio: 0.625, P50: 5, P99: 100, RawP50: 7, RawP99: 7, N: 10}
	if d := cmp.Diff(want, rates("x", "y/s", ours, raw)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
