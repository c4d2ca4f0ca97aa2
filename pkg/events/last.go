package events

import (
	"context"
	"errors"
)

// LastMessage is the last message that a partition holds, and its bounds; the
// zero Message if it holds none. A partition whose last messages were deleted
// ends, by its bounds, behind it, and whoever follows up to there waits for
// ever. It looks backwards, a request for each message that is missing.
func LastMessage(ctx context.Context, s Source, p Partition) (Message, Bounds, error) {
	b, err := s.Bounds(ctx, p)
	if err != nil {
		return Message{}, Bounds{}, err
	}
	for seq := b.Last; seq >= b.First && seq > 0; seq-- {
		m, err := s.Message(ctx, Position{Partition: p, Sequence: seq})
		if !errors.Is(err, ErrNotFound) {
			return m, b, err
		}
	}
	return Message{}, b, nil
}

// LastOf is the sequence of a workflow's last message, whatever it is; 0 if it
// has none.
func LastOf(ctx context.Context, r Reader, w Workflow) (uint64, error) {
	tail, err := r.Tail(ctx, w)
	var corrupt *CorruptError
	switch {
	case errors.Is(err, ErrNotFound):
		return 0, nil
	case errors.As(err, &corrupt):
		return corrupt.Position.Sequence, nil
	}
	return tail.Position().Sequence, err
}
