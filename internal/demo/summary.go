package demo

import (
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/replay"
)

// Summary is what was shown.
type Summary struct {
	Workflows int     // that customers started
	Counts    []Count // runs in the tables, by kind and status
	// Commits and Events are all of the log's, and Took how long it took from
	// the first start to the last end.
	Commits, Events int64
	Took            time.Duration
	Lag             Lag
	Killed          Killed
	Resumed         []ResumedRun // by the worker that was killed
	Histories       Histories
	// Log and Tables are the verification of both.
	Log    replay.LogReport
	Tables pgstore.VerifyReport
}

// Count is how many runs of a kind are in a status.
type Count struct {
	Type, Status string
	Runs         int64
}

// Lag is how far the tables were behind when the last workflow ended.
type Lag struct {
	Commits int64
	// Age is how long ago the oldest of them was stored.
	Age time.Duration
	// CaughtUp is how long after that they had everything.
	CaughtUp time.Duration
}

// Killed is the worker that was killed.
type Killed struct {
	Worker int // from 1
	PID    int
	Held   int // open runs
}

// Histories are what the histories of all runs say.
type Histories struct {
	Runs       int
	Activities int // scheduled
	Retried    int // of those, that needed more than one attempt
	TakenOver  int // of those, that went on from the heartbeat of a worker that was gone
	// Replayed is how many histories the workflows' code was run over and asked
	// for what they record.
	Replayed int
	// Faults are what is wrong with a history, one line each: a rule that it
	// breaks, an activity that was scheduled twice, code that does not fit.
	Faults []Fault
}

// Fault is something wrong with a history.
type Fault struct {
	Kind     string // one of the Fault constants
	Workflow events.Workflow
	Run      events.RunID
	Detail   string
}

// The kinds of faults.
const (
	FaultTwice     = "scheduled twice"
	FaultForm      = "not well-formed"
	FaultCode      = "not what the code asks for"
	FaultForgotten = "not resumed" // an open run of the killed worker
)

// Count is how many faults of a kind there are.
func (h Histories) Count(kind string) (n int) {
	for _, f := range h.Faults {
		if f.Kind == kind {
			n++
		}
	}
	return n
}

// WellFormed is how many runs break no rule.
func (h Histories) WellFormed() int {
	broken := map[events.RunID]bool{}
	for _, f := range h.Faults {
		if f.Kind == FaultForm {
			broken[f.Run] = true
		}
	}
	return h.Runs - len(broken)
}

// OK reports whether everything is as it must be.
func (s Summary) OK() bool {
	return len(s.Histories.Faults) == 0 && len(s.Log.Differences) == 0 && len(s.Tables.Differences) == 0 && s.Log.Events > 0 && len(s.Counts) > 0
}
