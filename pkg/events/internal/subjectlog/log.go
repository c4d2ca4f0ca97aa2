package subjectlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// Config is how a log behaves. Zero fields mean the default.
type Config struct {
	Limits events.Limits
	// AppendTimeout ends an append whose context has no deadline; 30 s.
	AppendTimeout time.Duration
	// LookBack is how many earlier commits (run starts, for NewRun) are
	// compared with a commit id that is no UUIDv7; 1,000.
	LookBack int
	// CachedCursors and CachedBytes bound the ends of workflows that are kept, so
	// that an append without a cursor needs no look-up either; 16,384 and 32 MiB.
	// Less than 0: none are kept.
	CachedCursors int
	CachedBytes   int64
	// MaxInFlightCommits and MaxInFlightBytes (of events) bound the appends under
	// way; 16,384 and 256 MiB. Less than 0: no bound.
	MaxInFlightCommits int
	MaxInFlightBytes   int64
	// Logger gets what is worth knowing and no error says; slog.Default().
	Logger *slog.Logger
	// Now is the clock that dates events without a time; time.Now.
	Now func() time.Time
}

// WithDefaults fills in the zero fields.
func (c Config) WithDefaults() Config {
	c.Limits = c.Limits.WithDefaults()
	if c.AppendTimeout == 0 {
		c.AppendTimeout = 30 * time.Second
	}
	if c.LookBack == 0 {
		c.LookBack = 1000
	}
	if c.CachedCursors == 0 {
		c.CachedCursors = 16_384
	}
	if c.CachedBytes == 0 {
		c.CachedBytes = 32 << 20
	}
	if c.MaxInFlightCommits == 0 {
		c.MaxInFlightCommits = 16_384
	}
	if c.MaxInFlightBytes == 0 {
		c.MaxInFlightBytes = 256 << 20
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Log is events.Appender and events.Reader over a Store. It is safe for
// concurrent use if the store is.
type Log struct {
	store    Store
	identity events.Identity
	config   Config
	owner    [events.Slots]events.Partition
	cache    *cache
	inFlight inFlight
}

// New is the log of this identity over a store. The identity's map must be valid.
func New(s Store, id events.Identity, c Config) *Log {
	c = c.WithDefaults()
	l := &Log{store: s, identity: id, config: c, cache: newCache(c.CachedCursors, c.CachedBytes, c.LookBack)}
	for slot := range events.Slot(events.Slots) {
		l.owner[slot] = id.Map.Partition(slot)
	}
	return l
}

// Identity says which log this is.
func (l *Log) Identity() events.Identity { return l.identity }

// Partition is the one that a workflow lies in.
func (l *Log) Partition(w events.Workflow) events.Partition { return l.owner[w.Slot()] }

// Message is the one stored at a position, or events.ErrNotFound.
func (l *Log) Message(ctx context.Context, p events.Position) (events.Message, error) {
	if err := l.CheckPartition(p.Partition); err != nil {
		return events.Message{}, err
	}
	if p.Sequence == 0 {
		return events.Message{}, fmt.Errorf("message at %s: %w", p, events.ErrNotFound)
	}
	m, err := l.store.Get(ctx, p)
	if errors.Is(err, ErrNone) {
		return events.Message{}, fmt.Errorf("message at %s: %w", p, events.ErrNotFound)
	}
	return m, Unavailable(err)
}

// CheckPartition refuses, as *events.InvalidError, a partition that the log does not have.
func (l *Log) CheckPartition(p events.Partition) error {
	if n := l.identity.Map.Partitions(); p < 0 || int(p) >= n {
		return &events.InvalidError{Field: "partition", Reason: fmt.Sprintf("is %d, the log has 0 to %d", p, n-1)}
	}
	return nil
}

// Tail is the end of a workflow as its stream's leader knows it.
func (l *Log) Tail(ctx context.Context, w events.Workflow) (events.Cursor, error) {
	if err := w.Validate(); err != nil {
		return events.Cursor{}, err
	}
	generation := l.store.Generation()
	c, err := l.tail(ctx, w)
	if err != nil {
		return events.Cursor{}, err
	}
	l.cache.see(c, l.identity, generation, time.Now(), false)
	return c.Cursor(l.identity), nil
}

// tail is the last commit of a workflow that has a run.
func (l *Log) tail(ctx context.Context, w events.Workflow) (*events.Commit, error) {
	c, err := l.last(ctx, w)
	if err == nil && c.Run.Run == "" {
		return nil, &events.NotFoundError{Workflow: w}
	}
	return c, err
}

// last is the last commit of a workflow, which is a void where it has no run.
func (l *Log) last(ctx context.Context, w events.Workflow) (*events.Commit, error) {
	m, err := l.store.Last(ctx, l.Partition(w), w.Subject())
	if errors.Is(err, ErrNone) {
		return nil, &events.NotFoundError{Workflow: w}
	}
	if err != nil {
		return nil, Unavailable(err)
	}
	return decode(w, m)
}

// decode makes a commit of a message that should be one of w.
func decode(w events.Workflow, m events.Message) (*events.Commit, error) {
	c, err := events.Decode(m)
	if err != nil {
		var bad *events.CorruptError
		if errors.As(err, &bad) {
			bad.Workflow = w
		}
		return nil, err
	}
	if c.Workflow != w {
		return nil, &events.CorruptError{Workflow: w, Position: m.Position, Reason: "the commit belongs to " + c.Workflow.String()}
	}
	return c, nil
}

// Unavailable marks an error of a read as one that passes, unless it says what
// it is already.
func Unavailable(err error) error {
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, events.ErrWrongLog), errors.Is(err, events.ErrCorrupt), errors.Is(err, events.ErrUnavailable):
		return err
	default:
		return &unavailableError{cause: err}
	}
}

type unavailableError struct{ cause error }

func (e *unavailableError) Error() string {
	return events.ErrUnavailable.Error() + ": " + e.cause.Error()
}
func (e *unavailableError) Is(target error) bool { return target == events.ErrUnavailable }
func (e *unavailableError) Unwrap() error        { return e.cause }
