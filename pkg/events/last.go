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
