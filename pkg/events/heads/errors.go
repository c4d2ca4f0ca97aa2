package heads

import (
	"errors"
	"fmt"
)

// ErrDamaged occurs when a file is no file of heads, was cut short, or is not
// what its last line vouches for. Nothing can be said about the log: take
// another copy.
var ErrDamaged = errors.New("damaged file of heads")

// ErrNoWorkflows occurs when one workflow is to be checked and the file has no
// heads of workflows. Check the whole log, or write the next file with workflows.
var ErrNoWorkflows = errors.New("the file has no heads of workflows")

// DamagedError says what is wrong with a file of heads.
type DamagedError struct {
	File   string
	Line   int // from 1; 0 where it is about the whole
	Reason string
}

func (e *DamagedError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s is no file of heads: %s", e.File, e.Reason)
	}
	return fmt.Sprintf("%s is no file of heads: line %d %s", e.File, e.Line, e.Reason)
}

// Is makes the error an ErrDamaged.
func (e *DamagedError) Is(target error) bool { return target == ErrDamaged }
