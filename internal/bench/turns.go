package bench

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// operation is done again and again, by one goroutine.
type operation func(context.Context) error

// side is what one of two that are compared did in all rounds.
type side struct {
	rates []float64       // operations a second, one a round
	took  []time.Duration // each operation
}

// turns has both sides work for length each, cut into rounds that alternate,
// after a warm-up that is not measured. Each operation is a writer of its own.
func turns(ctx context.Context, length time.Duration, rounds int, ours, raw []operation) (o, r side, err error) {
	slice := length / time.Duration(rounds)
	if slice <= 0 {
		return o, r, fmt.Errorf("%s are too short for %d rounds", length, rounds)
	}
	var warm side
	for round := range rounds + 1 {
		a, b := &o, &r
		if round == 0 {
			a, b = &warm, &warm
		}
		first, second := func() error { return a.work(ctx, slice, ours) }, func() error { return b.work(ctx, slice, raw) }
		if round%2 == 1 {
			first, second = second, first
		}
		if err := first(); err != nil {
			return o, r, err
		}
		if err := second(); err != nil {
			return o, r, err
		}
	}
	return o, r, nil
}

// work has all writers do their operation, at least once, until the time is up.
func (s *side) work(ctx context.Context, length time.Duration, writers []operation) error {
	took := make([][]time.Duration, len(writers))
	g, ctx := errgroup.WithContext(ctx)
	start := time.Now()
	end := start.Add(length)
	for i, do := range writers {
		g.Go(func() error {
			for at := start; at.Before(end); {
				if err := do(ctx); err != nil {
					return err
				}
				now := time.Now()
				took[i] = append(took[i], now.Sub(at))
				at = now
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	elapsed := time.Since(start)
	n := len(s.took)
	for _, t := range took {
		s.took = append(s.took, t...)
	}
	s.rates = append(s.rates, float64(len(s.took)-n)/elapsed.Seconds())
	return nil
}
