package projection

import (
	"context"
	"log/slog"
	"time"
)

// sayAgain is how long the same trouble goes on before it is logged again, and
// from when on it is logged as an error: what has not passed by then may need
// somebody.
const sayAgain = time.Minute

// trouble is what keeps a partition from going on, from its first failed attempt
// until an attempt goes well.
type trouble struct {
	since    time.Time // zero: there is none
	attempts int
	writing  bool // the last attempt failed to write a batch, which is still to be written
	said     string
	saidAt   time.Time
}

// met counts a failed attempt, and logs it unless that was just done.
func (t *trouble) met(ctx context.Context, logger *slog.Logger, err error) {
	now := time.Now()
	if t.since.IsZero() {
		t.since = now
	}
	t.attempts++
	if text := err.Error(); text != t.said || now.Sub(t.saidAt) >= sayAgain {
		level := slog.LevelWarn
		if now.Sub(t.since) >= sayAgain {
			level = slog.LevelError
		}
		t.said, t.saidAt = text, now
		logger.LogAttrs(ctx, level, "projecting was interrupted; trying again",
			slog.Any("error", err), slog.Int("attempts", t.attempts), slog.Duration("for", now.Sub(t.since).Round(time.Millisecond)))
	}
}

// over forgets it, and logs that it has passed.
func (t *trouble) over(ctx context.Context, logger *slog.Logger) {
	if t.since.IsZero() {
		*t = trouble{}
		return
	}
	logger.LogAttrs(ctx, slog.LevelInfo, "projecting goes on", slog.Int("attempts", t.attempts), slog.Duration("after", time.Since(t.since).Round(time.Millisecond)))
	*t = trouble{}
}
