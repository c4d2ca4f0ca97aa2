package projection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/annals-io/annals/pkg/events"
)

// stretch is the sequences between two, both exclusive.
type stretch struct{ after, before uint64 }

// isVoid reports whether what could not be applied is void: whether a void
// behind it on its subject covers it. If so it is passed over from here on. It
// fails if that cannot be found out now.
func (p *partition) isVoid(ctx context.Context, cause error) (bool, error) {
	var bad *CannotApplyError
	if !errors.As(cause, &bad) || bad.Workflow == (events.Workflow{}) {
		return false, nil
	}
	void, err := p.source.Covering(ctx, bad.Workflow, bad.Position)
	if errors.Is(err, events.ErrNotFound) || errors.Is(err, events.ErrCorrupt) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for a void of the message at %s: %w", bad.Position, err)
	}
	// Not from the void's Back on, which is a hint: what could be applied is no
	// reason to pass anything over.
	subject := bad.Workflow.Subject()
	p.voided[subject] = append(p.voided[subject], stretch{after: bad.Position.Sequence - 1, before: void.Position.Sequence})
	p.logger.LogAttrs(ctx, slog.LevelWarn, "messages that are no commits are passed over: they were declared void",
		append(place(cause), slog.String("void", void.Position.String()), slog.String("reason", string(void.Body)))...)
	return true, nil
}

// passes reports whether a message is passed over.
func (p *partition) passes(m events.Message) bool {
	if len(p.voided) == 0 {
		return false
	}
	for _, s := range p.voided[m.Subject] {
		if s.after < m.Position.Sequence && m.Position.Sequence < s.before {
			return true
		}
	}
	return false
}
