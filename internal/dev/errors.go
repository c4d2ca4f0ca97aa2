package dev

import (
	"fmt"

	"github.com/annals-io/annals/internal/wiring/discovery"
)

// InUseError occurs when the data folder is served already. Use the one that
// runs, stop it, or name another folder.
type InUseError struct {
	DataDir string
	Running *discovery.Record // nil if it is not known which process it is
	Cause   error
}

func (e *InUseError) Error() string {
	if e.Running == nil {
		return fmt.Sprintf("%s is in use: stop what runs there, or name another folder with --data (%v)", e.DataDir, e.Cause)
	}
	return fmt.Sprintf("annals dev already runs on %s: process %d, since %s; use it (commands started in %s find it), stop it, or name another folder with --data",
		e.DataDir, e.Running.PID, e.Running.StartedAt.Format("15:04:05"), e.Running.Folder)
}

func (e *InUseError) Unwrap() error { return e.Cause }

// EndedError occurs when a part ends that should have gone on.
type EndedError struct {
	Part  string
	Cause error
}

func (e *EndedError) Error() string { return fmt.Sprintf("%s has ended: %v", e.Part, e.Cause) }
func (e *EndedError) Unwrap() error { return e.Cause }
