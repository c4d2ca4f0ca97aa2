package projection

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// CatchUp projects what the log has when it is called, and returns when all of
// that is in the tables: what a rebuild begins with. It works on Config.Parallel
// partitions at a time and writes a batch when it is full or the last one, and not
// as soon as it can: fewer, larger batches cost less, and nobody waits for them.
//
// It goes on from the checkpoints, like Run, and is called once, instead of Run.
// When the context ends it returns its cause; what was written stays. It fails
// when a partition has stopped, once the others are done.
func (p *Projector) CatchUp(ctx context.Context) error {
	for _, part := range p.parts {
		b, err := p.source.Bounds(ctx, part.number)
		if err != nil {
			return fmt.Errorf("look for the end of partition %d: %w", part.number, err)
		}
		part.catchingUp, part.until = true, b.Last
	}
	errs := make([]error, len(p.parts))
	turns := make(chan struct{}, p.config.Parallel)
	var wg sync.WaitGroup
	for i, part := range p.parts {
		select {
		case turns <- struct{}{}:
		case <-ctx.Done():
			wg.Wait()
			return context.Cause(ctx)
		}
		wg.Go(func() {
			defer func() { <-turns }()
			errs[i] = part.run(ctx)
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errors.Join(errs...)
}

// errCaughtUp ends the work on a partition that has come to where it shall.
var errCaughtUp = errors.New("caught up")
