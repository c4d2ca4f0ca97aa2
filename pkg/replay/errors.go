package replay

import "errors"

// ErrNotAsked occurs when code cannot be asked at all: it says nothing about
// the history. A Code wraps it, and the check ends with that error.
var ErrNotAsked = errors.New("the code could not be asked")
