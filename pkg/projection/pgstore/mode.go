package pgstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// EventsMode is what the tables keep of events. It belongs to a generation of the
// tables: another one is had by a rebuild.
type EventsMode string

// The ways of keeping events.
const (
	// EventsIndex keeps a row an event: where it is in the log, and what it is called.
	EventsIndex EventsMode = "index"
	// EventsFull keeps that, and each commit whole: its bytes and headers as the log
	// has them (annals.commits), and its events as JSON (annals.event_json).
	EventsFull EventsMode = "full"
	// EventsNone keeps no rows of events: annals.events is empty, and a filter by
	// EventType or EventName is refused.
	EventsNone EventsMode = "none"
)

// ParseEventsMode reads a mode; "" is one that is not said. It fails with
// events.ErrInvalid.
func ParseEventsMode(s string) (EventsMode, error) {
	switch m := EventsMode(s); m {
	case "", EventsIndex, EventsFull, EventsNone:
		return m, nil
	}
	return "", &events.InvalidError{Field: "events", Reason: fmt.Sprintf("is %q; wanted: index, full or none", s)}
}

// modeOf is the mode of a generation, which never changes. It fails with
// projection.ErrFenced if there is no such generation any more.
func (s *Store) modeOf(ctx context.Context, generation int) (EventsMode, error) {
	if mode, ok := s.modes.Load(generation); ok {
		return mode.(EventsMode), nil
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	mode, ok, err := s.projection.ModeOf(ctx, s.pool, generation)
	switch {
	case err != nil:
		return "", s.failed(ctx, fmt.Errorf("read how the tables keep events: %w", err))
	case !ok:
		return "", projection.ErrFenced
	}
	s.modes.Store(generation, EventsMode(mode))
	return EventsMode(mode), nil
}

// liveMode is that of the live tables; empty if there are none.
func (s *Store) liveMode(ctx context.Context) (EventsMode, error) {
	mode, _, err := s.projection.ModeOf(ctx, s.pool, 0)
	if postgres.IsMissing(err) {
		return "", nil
	}
	return EventsMode(mode), err
}

// checkMode fails with *projection.ModeError if the live tables keep events in
// another way than the one that was asked for.
func (s *Store) checkMode(ctx context.Context) error {
	if s.config.Events == "" {
		return nil
	}
	mode, err := s.liveMode(ctx)
	if err == nil && mode != "" && mode != s.config.Events {
		err = &projection.ModeError{Projection: Name, Tables: string(mode), Wanted: string(s.config.Events)}
	}
	return err
}

// Migrate brings the database to what this program needs: the bookkeeping by
// numbered migrations, and the projection's tables, which keep events as
// Config.Events says, if there are none. It is idempotent, and safe when several
// processes do it at once. It fails with projection.ErrVersion if the tables are of
// another version, or keep events in another way (*projection.ModeError).
func (s *Store) Migrate(ctx context.Context) error {
	mode := s.config.Events
	if mode == "" {
		mode = EventsIndex
	}
	for {
		p, err := postgres.Open(s.pool, s.define(mode))
		if err != nil {
			return err
		}
		migrated := p.Migrate(ctx)
		if migrated != nil && !errors.Is(migrated, projection.ErrVersion) {
			return migrated
		}
		// Tables that there are, or that another process has just made, are kept as they
		// are; the views that they want may be others.
		live, err := s.liveMode(ctx)
		if err != nil {
			return errors.Join(migrated, err)
		}
		if migrated != nil {
			return migrated
		}
		if live == mode || live == "" {
			return s.checkMode(ctx)
		}
		mode = live
	}
}

// rebuilt is the projection as a rebuild makes it: with the mode that was asked for,
// or that of the live tables.
func (s *Store) rebuilt(ctx context.Context) (*postgres.Projection, error) {
	mode := s.config.Events
	if mode == "" {
		var err error
		if mode, err = s.liveMode(ctx); err != nil && !isUnknownColumn(err) {
			return nil, err
		}
	}
	if mode == "" {
		mode = EventsIndex
	}
	return postgres.Open(s.pool, s.define(mode))
}
