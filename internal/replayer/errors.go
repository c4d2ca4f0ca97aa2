package replayer

import (
	"errors"
	"fmt"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/replay"
)

// ErrStopped occurs when the program has failed so often that some histories
// were not tried: it is to be mended first.
var ErrStopped = errors.New("stopped: the program fails too often")

// ProgramError occurs when the program cannot be asked: it did not start, died,
// did not answer in time, or answered what is no answer. It wraps
// replay.ErrNotAsked. The program is to be mended; the history is not judged.
type ProgramError struct {
	Program  string
	Workflow events.Workflow
	Run      events.RunID
	Next     events.EventID // of the task that it was asked for; 0: none
	What     string
	Stderr   string // the end of what it wrote to standard error
}

func (e *ProgramError) Error() string {
	text := fmt.Sprintf("%s %s", e.Program, e.What)
	if e.Next > 0 {
		text = fmt.Sprintf("%s, asked about %s for what comes as event %d, %s", e.Program, named(e.Workflow, e.Run), e.Next, e.What)
	}
	if e.Stderr == "" {
		return text + " (its standard error is empty)"
	}
	return text + "; its standard error ends:\n" + e.Stderr
}

func (e *ProgramError) Unwrap() error { return replay.ErrNotAsked }

// named says whose history it is.
func named(w events.Workflow, run events.RunID) string {
	return (&replay.CheckReport{Workflow: w, Run: run}).Name()
}
