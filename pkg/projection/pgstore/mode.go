package pgstore

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

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

// modeOf is the mode of a generation of the tables. It fails with
// projection.ErrFenced if there is no such generation any more.
func (s *Store) modeOf(ctx context.Context, generation int) (EventsMode, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	mode, ok, err := s.projection.At(generation).ModeIn(ctx, s.pool)
	switch {
	case err != nil:
		return "", s.failed(ctx, fmt.Errorf("read how the tables keep events: %w", err))
	case !ok:
		return "", projection.ErrFenced
	}
	return EventsMode(mode), nil
}

// checkMode fails with *projection.ModeError if the live tables keep events in
// another way than the one that was asked for.
func (s *Store) checkMode(ctx context.Context) error {
	if s.config.Events == "" {
		return nil
	}
	p, err := postgres.Open(s.pool, s.define(s.config.Events))
	if err != nil {
		return err
	}
	return p.CheckVersion(ctx)
}

// Migrate brings the database to what this program needs: the bookkeeping by
// numbered migrations, and the projection's tables, which keep events as
// Config.Events says, if there are none. It is idempotent, and safe when several
// processes do it at once. It fails with projection.ErrVersion if the tables are of
// another version, or keep events in another way than was asked for
// (*projection.ModeError).
func (s *Store) Migrate(ctx context.Context) error {
	mode := cmp.Or(s.config.Events, EventsIndex)
	for {
		p, err := postgres.Open(s.pool, s.define(mode))
		if err != nil {
			return err
		}
		err = p.Migrate(ctx)
		var other *projection.ModeError
		if s.config.Events != "" || !errors.As(err, &other) {
			return err
		}
		// Tables that there are, or that another process has just made, are taken as they
		// are; the views that they want may be others.
		mode = EventsMode(other.Tables)
	}
}

//go:embed sql/rebuilt_mode.sql
var rebuiltModeSQL string

// rebuilt is the projection as a rebuild makes it: in the mode that was asked for, or
// else in that of the rebuild that is under way, or of the live tables.
func (s *Store) rebuilt(ctx context.Context) (*postgres.Projection, error) {
	mode := s.config.Events
	if mode == "" {
		err := s.pool.QueryRow(ctx, rebuiltModeSQL, Name).Scan(&mode)
		// Bookkeeping that is not there, or older than modes, is migrated by the rebuild.
		if err != nil && !errors.Is(err, pgx.ErrNoRows) && !postgres.IsMissing(err) && !isUnknownColumn(err) {
			return nil, fmt.Errorf("read how the tables keep events: %w", err)
		}
	}
	return postgres.Open(s.pool, s.define(cmp.Or(mode, EventsIndex)))
}
