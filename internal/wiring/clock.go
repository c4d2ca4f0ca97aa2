package wiring

import "time"

// Skew is how far another clock is ahead of this machine's; it is behind if that
// is negative.
type Skew struct {
	Ahead time.Duration
	// Within is how far Ahead may be off: half of how long the answer took.
	Within time.Duration
}

// SkewOf is that of a clock that was read between two readings of this machine's.
func SkewOf(before, theirs, after time.Time) Skew {
	half := after.Sub(before) / 2
	return Skew{Ahead: theirs.Sub(before.Add(half)), Within: half}
}

// Certain is by how much the clocks differ at least.
func (s Skew) Certain() time.Duration { return max(s.Ahead.Abs()-s.Within, 0) }
