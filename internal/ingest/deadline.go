package ingest

import (
	"context"
	"time"

	"connectrpc.com/connect/v2"
)

// endInTime gives every call a deadline: some time before the client's, so that
// an answer reaches it. An append whose outcome is not known by then must still
// say how it is settled.
func (s *Server) endInTime(next connect.ServerFunc) connect.ServerFunc {
	return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
		end := time.Now().Add(s.config.CallTimeout)
		if deadline, ok := ctx.Deadline(); ok {
			end = deadline.Add(-margin(time.Until(deadline)))
		}
		ctx, cancel := context.WithDeadline(ctx, end)
		defer cancel()
		return next(ctx, spec, stream)
	}
}

// margin is how much of the time that a client has left is kept for the way back.
func margin(left time.Duration) time.Duration { return min(left/5, 500*time.Millisecond) }
