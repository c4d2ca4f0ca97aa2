package projection

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Holding is a lease that a member works on. A nil one is the right of whoever
// shares with nobody.
type Holding struct {
	name   string
	leases Leases
	ctx    context.Context //nolint:containedctx // that of the work; ends with ErrLeaseLost when the lease is lost
	cancel context.CancelCauseFunc
	lose   func(why string) // safe for concurrent use
	done   chan struct{}    // closed when the work has ended
	drain  chan struct{}    // closed when another shall have the lease
	until  *time.Timer      // when it expires, unless it is prolonged
	cutOff *time.Timer      // when the work must have ended that is drained

	drained bool
}

// handedOver is closed when another shall have the lease: the work ends with what
// it has begun.
func (h *Holding) handedOver() <-chan struct{} {
	if h == nil {
		return nil
	}
	return h.drain
}

// isHandedOver reports whether another shall have the lease.
func (h *Holding) isHandedOver() bool {
	select {
	case <-h.handedOver():
		return true
	default:
		return false
	}
}

// confirm fails if the lease is not held, as far as where it lies knows, or if
// that cannot be found out. What is called after the checkpoint was read: whoever
// takes the lease after this raises the epoch that was read, and whoever took it
// before is noticed here. Not before it: then a projector that was stopped between
// the two would go on with the epoch of its successor.
func (h *Holding) confirm(ctx context.Context) error {
	if h == nil {
		return nil
	}
	err := h.leases.Holds(ctx, h.name)
	if errors.Is(err, ErrLeaseLost) {
		h.lose("it expired, and was missed before the work began again")
	}
	if err != nil {
		return fmt.Errorf("lease %s: %w", h.name, err)
	}
	return nil
}

func (h *Holding) prolong(until time.Time) { h.until.Reset(time.Until(until)) }

// end ends the work.
func (h *Holding) end(cause error) {
	h.until.Stop()
	if h.cutOff != nil {
		h.cutOff.Stop()
	}
	h.cancel(cause)
}

// lost reports whether the lease was.
func (h *Holding) lost() bool { return errors.Is(context.Cause(h.ctx), ErrLeaseLost) }
