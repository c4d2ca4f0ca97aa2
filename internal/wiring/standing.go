package wiring

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/telemetry"
)

// Standing is which log it is, and what its acknowledgements are worth.
type Standing struct {
	Log        events.Identity
	Replicas   int // the fewest that a stream has; 0: nobody told
	Durability Durability
}

// Attrs are what a program logs of it.
func (s Standing) Attrs() []any {
	attrs := []any{slog.String("log", s.Log.LogID), slog.Uint64("epoch", uint64(s.Log.Epoch)), slog.Int("streams", s.Log.Map.Partitions())}
	if s.Replicas > 0 {
		attrs = append(attrs, slog.Int("replicas", s.Replicas))
	}
	return append(attrs, slog.String("durability", s.Durability.Mode()), slog.String("sync", s.Durability.String()))
}

// level is how much an operator ought to notice it.
func (s Standing) level() slog.Level {
	if s.Durability.Mode() == "interval" {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// standingPause lies between two looks at a standing, unless the connection is made
// anew: a server may have been started again with another configuration.
const standingPause = time.Minute

// TellStanding logs, in one line, which log was opened and how durable it is, as
// soon as the servers have said so or have not in time, and has both measured. It
// goes on to look, and logs what has changed, until the context ends; then it
// returns nil. It fails only if the meter takes no such instruments.
func (c Config) TellStanding(ctx context.Context, log *Log, p telemetry.Providers) error {
	connected := log.Conn().StatusChanged(nats.CONNECTED)
	defer log.Conn().RemoveStatusListener(connected)
	now := c.standing(ctx, log, Standing{Log: log.Identity()})
	if ctx.Err() != nil {
		return nil
	}
	c.logger().Log(ctx, now.level(), "the log is open", now.Attrs()...)
	var told atomic.Pointer[Standing]
	told.Store(&now)
	stop, err := telemetry.Durability(p, func() (string, int) {
		s := told.Load()
		return s.Durability.Mode(), s.Replicas
	})
	if err != nil {
		return err
	}
	again := time.NewTicker(standingPause)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return stop()
		case <-again.C:
		case <-connected:
		}
		before := *told.Load()
		now := c.standing(ctx, log, before)
		if now.Replicas == before.Replicas && now.Durability.Mode() == before.Durability.Mode() {
			continue
		}
		told.Store(&now)
		c.logger().Log(ctx, now.level(), "the log's durability has changed", append(now.Attrs(),
			slog.Group("before", slog.Int("replicas", before.Replicas), slog.String("durability", before.Durability.Mode())))...)
	}
}

// standing asks the servers. What nobody tells in time is as it was before.
func (c Config) standing(ctx context.Context, log *Log, before Standing) Standing {
	now := before
	switch d, err := c.FindDurability(ctx, log.Conn(), c.Monitors); {
	case err == nil && d.Known():
		now.Durability = d
	case err != nil && !before.Durability.Known():
		now.Durability.Why = err.Error()
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if streams, err := Streams(ctx, log.JetStream(), now.Log); err == nil {
		now.Replicas = Replicas(streams)
	}
	return now
}
