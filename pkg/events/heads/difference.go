package heads

import "github.com/annals-io/annals/pkg/events"

// Difference is something in the log that is not as a file of heads says.
type Difference struct {
	// Kind is one of the Kind constants.
	Kind     string
	File     string          // its name
	Workflow events.Workflow // zero where it is about a partition
	Run      events.RunID    // empty where it is not about one run
	// Position is the first that differs, as far as that is known; where the
	// log ends early the first that it lacks.
	Position events.Position
	Detail   string
}

// The kinds of differences between a log and a file of heads.
const (
	// KindShort: the log, or a workflow, ends before its head. It was cut short,
	// or restored from a backup that is older than the head.
	KindShort = "ends before the head"
	// KindOther: up to the head there is something else than there was.
	KindOther = "differs from the head"
	// KindOlder: the log is of an earlier epoch than the heads are. An older
	// state of it was put in its place.
	KindOlder = "older than the heads"
)

// maxDifferences bounds what a report lists.
const maxDifferences = 1000

// Report is what was compared, and what was found.
type Report struct {
	Messages    int64        // that were read and are before a head
	Workflows   int64        // heads of workflows that were compared
	Differences []Difference // by position, at most 1,000
	Unlisted    int64        // differences beyond those
}

func (r *Report) differs(d Difference) {
	if len(r.Differences) < maxDifferences {
		r.Differences = append(r.Differences, d)
		return
	}
	r.Unlisted++
}

// merge adds another report, and keeps the bound.
func (r *Report) merge(o Report) {
	r.Messages += o.Messages
	r.Workflows += o.Workflows
	r.Unlisted += o.Unlisted
	for _, d := range o.Differences {
		r.differs(d)
	}
}
