package searchattribute

import (
	"fmt"

	"github.com/annals-io/annals/pkg/events"
)

// RegisteredError says that an attribute has another type, for good. Nothing was
// stored; use another name. By errors.Is it is events.ErrConflict.
type RegisteredError struct {
	Attribute Attribute // as it is registered
	Wanted    Type
}

func (e *RegisteredError) Error() string {
	a := e.Attribute
	by := a.By
	if a.Cause != (events.Position{}) {
		by = "the value at " + a.Cause.String()
	}
	return fmt.Sprintf("search attribute %s of namespace %s is %s, registered by %s on %s: a type never changes, %s needs another name",
		a.Name, a.Namespace, a.TypeName, by, a.Time.Format("2006-01-02"), e.Wanted)
}
func (e *RegisteredError) Is(target error) bool { return target == events.ErrConflict }
