package postgres

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/annals-io/annals/pkg/events"
)

var (
	// ErrRebuilding: another process rebuilds the projection. Wait for it, or
	// cancel what it does.
	ErrRebuilding = errors.New("the tables are being rebuilt by another process")
	// ErrCanceled: somebody canceled the rebuild while it ran: its tables are
	// gone, and the live ones are as they were.
	ErrCanceled = errors.New("the rebuild was canceled")
	// ErrNotRebuildable: the rebuild would end in something that nobody wants.
	// Nothing that readers see was changed; *NotRebuildableError says why, and what
	// to do.
	ErrNotRebuildable = errors.New("the tables cannot be rebuilt")
	// ErrInUse: others held what was to be changed for as long as was waited.
	// Nothing was changed; *InUseError says who.
	ErrInUse = errors.New("the tables are in use")
	// ErrNoGeneration: a projection has no such generation. Nothing was changed.
	ErrNoGeneration = errors.New("there is no such generation")
	// ErrGenerationLive: readers see this generation: it is not dropped.
	ErrGenerationLive = errors.New("the generation is live")
)

// NotRebuildableError says why.
type NotRebuildableError struct {
	Projection string
	Reason     string
	Advice     string // what a person may do about it
}

func (e *NotRebuildableError) Error() string {
	s := fmt.Sprintf("the tables of %s cannot be rebuilt: %s", e.Projection, e.Reason)
	if e.Advice != "" {
		s += ": " + e.Advice
	}
	return s
}

// Is makes it match ErrNotRebuildable.
func (e *NotRebuildableError) Is(target error) bool { return target == ErrNotRebuildable }

// StuckError is why the new tables cannot get as far as the live ones: a partition
// has stopped before. It is ErrNotRebuildable.
type StuckError struct {
	Partition events.Partition
	At        uint64 // sequence up to which the new tables are
	Wanted    uint64 // sequence that they must reach
	Cause     error
}

func (e *StuckError) Error() string {
	return fmt.Sprintf("partition %d of the new tables has stopped at %d, and must reach %d: %v", e.Partition, e.At, e.Wanted, e.Cause)
}

// Is makes it match ErrNotRebuildable.
func (e *StuckError) Is(target error) bool { return target == ErrNotRebuildable }

// Unwrap is why it stopped.
func (e *StuckError) Unwrap() error { return e.Cause }

// DependentsError names what would be lost with tables or views that are to be
// dropped. It is ErrNotRebuildable.
type DependentsError struct {
	Of      []string // what is to be dropped, with schemas
	Objects []string // what depends on it, as Postgres describes it
}

func (e *DependentsError) Error() string {
	return fmt.Sprintf("%s must be dropped, and others depend on it: %s: drop those first, and make them anew afterwards",
		strings.Join(e.Of, ", "), strings.Join(e.Objects, ", "))
}

// Is makes it match ErrNotRebuildable.
func (e *DependentsError) Is(target error) bool { return target == ErrNotRebuildable }

// InUseError says who held what.
type InUseError struct {
	What    string
	Holders []Holder // the oldest transaction first; may be empty if they were gone when it was asked
	Cause   error
}

// Holder is a session that holds locks.
type Holder struct {
	PID         int           `json:"pid"`
	User        string        `json:"user"`
	Application string        `json:"application"`
	State       string        `json:"state"` // as pg_stat_activity says it
	Age         time.Duration `json:"-"`     // of its transaction
}

func (h Holder) String() string {
	s := fmt.Sprintf("process %d", h.PID)
	if h.Application != "" {
		s += fmt.Sprintf(" (%s)", h.Application)
	}
	if h.State != "" {
		s += ", " + h.State
	}
	return s + fmt.Sprintf(", in a transaction for %s", h.Age.Round(time.Millisecond))
}

func (e *InUseError) Error() string {
	s := e.What + " is in use"
	for i, h := range e.Holders {
		if i == 3 {
			return s + fmt.Sprintf("; and %d more", len(e.Holders)-i)
		}
		if i == 0 {
			s += ": "
		} else {
			s += "; "
		}
		s += h.String()
	}
	return s
}

// Is makes it match ErrInUse.
func (e *InUseError) Is(target error) bool { return target == ErrInUse }

// Unwrap is Postgres's error.
func (e *InUseError) Unwrap() error { return e.Cause }

// isFinal reports whether trying a rebuild's step again is of no use.
func isFinal(err error) bool {
	for _, e := range []error{ErrCanceled, ErrNotRebuildable, ErrRebuilding, events.ErrWrongLog} {
		if errors.Is(err, e) {
			return true
		}
	}
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && finalClasses[pgErr.Code[:min(2, len(pgErr.Code))]]
}

// finalClasses are those of Postgres's errors that say what it will say again:
// not supported, not permitted, not there.
var finalClasses = map[string]bool{"0A": true, "22": true, "23": true, "2B": true, "42": true}
