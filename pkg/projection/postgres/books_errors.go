package postgres

import (
	"fmt"
	"strings"

	"github.com/annals-io/annals/pkg/events"
)

// NoProjectionError occurs when a database has no projection of a name: look for
// the right name among those that are there, or for the right database.
type NoProjectionError struct {
	Name  string
	There []string
}

func (e *NoProjectionError) Error() string {
	there := "none"
	if len(e.There) > 0 {
		there = strings.Join(e.There, ", ")
	}
	return fmt.Sprintf("the database has no projection %q; it has: %s", e.Name, there)
}

// Is makes it match events.ErrNotFound.
func (e *NoProjectionError) Is(target error) bool { return target == events.ErrNotFound }
