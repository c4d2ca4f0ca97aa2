package dev

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// calm is a handler that takes warnings for details. The log warns when it
// has to follow a server anew, which says on a busy machine only that the
// server, in this process, was slow for a moment.
type calm struct{ slog.Handler }

func (c calm) Enabled(ctx context.Context, l slog.Level) bool {
	if l == slog.LevelWarn {
		l = slog.LevelDebug
	}
	return c.Handler.Enabled(ctx, l)
}

func (c calm) Handle(ctx context.Context, r slog.Record) error {
	if r.Level == slog.LevelWarn {
		r.Level = slog.LevelDebug
	}
	return c.Handler.Handle(ctx, r)
}

func (c calm) WithAttrs(attrs []slog.Attr) slog.Handler { return calm{c.Handler.WithAttrs(attrs)} }
func (c calm) WithGroup(name string) slog.Handler       { return calm{c.Handler.WithGroup(name)} }

// quiet is a handler that lets nothing through once everything is being
// stopped: servers complain then of the connections that we cut.
type quiet struct {
	slog.Handler
	stopping *atomic.Bool
}

func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return !q.stopping.Load() && q.Handler.Enabled(ctx, l)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quiet{q.Handler.WithAttrs(attrs), q.stopping}
}

func (q quiet) WithGroup(name string) slog.Handler {
	return quiet{q.Handler.WithGroup(name), q.stopping}
}
