package execution

import "errors"

// ErrEncoding is returned by [State.UnmarshalBinary] for bytes that
// [State.AppendBinary] of this version did not write: damaged, cut short, or of
// another version. The state in them is lost, the history is not: fold the
// run's events again.
var ErrEncoding = errors.New("not an encoded execution state")
