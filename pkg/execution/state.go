package execution

import (
	"maps"
	"slices"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	workflowpb "go.temporal.io/api/workflow/v1"

	"github.com/annals-io/annals/pkg/events"
)

// State is what the events of one run add up to. The zero value of a field
// means that no event said anything about it.
//
// Times are in UTC; one that is absent or that no calendar holds (before year 1,
// after 9999) is the zero time. Durations beyond about 292 years are cut to
// that. Lists of what is pending are sorted by their event id, ascending.
//
// The JSON of a State uses the names in the tags, RFC 3339 for times (null
// where there is none), seconds as in "1.5s" for durations, Temporal's short
// names for enums ("Running") and Temporal's JSON for messages. Every field is
// printed, and three that are derived: open, lastFailureMessages and
// changeVersions.
type State struct {
	Workflow events.Workflow `json:"-"` // printed as namespace and workflowId
	RunID    events.RunID    `json:"runId"`
	Status   events.Status   `json:"status"`

	Type      string `json:"workflowType"`
	TaskQueue string `json:"taskQueue"`
	Identity  string `json:"identity"` // of the client that started the run

	StartTime      time.Time `json:"startTime"`
	ExecutionTime  time.Time `json:"executionTime"`  // StartTime and the first workflow task's backoff
	UpdatedAt      time.Time `json:"updatedAt"`      // of the last event that had a time; may run backwards
	ExpirationTime time.Time `json:"expirationTime"` // when the chain of runs times out

	ExecutionTimeout time.Duration         `json:"executionTimeout"` // of the whole chain; 0: none
	RunTimeout       time.Duration         `json:"runTimeout"`       // 0: none
	TaskTimeout      time.Duration         `json:"taskTimeout"`      // of one workflow task
	RetryPolicy      *commonpb.RetryPolicy `json:"retryPolicy"`
	CronSchedule     string                `json:"cronSchedule"`
	Priority         *commonpb.Priority    `json:"priority"`

	// Memo and SearchAttributes are merged key by key. A payload that is
	// absent, null or an empty list deletes its key. Nil when empty.
	Memo             map[string]*commonpb.Payload `json:"memo"`
	SearchAttributes map[string]*commonpb.Payload `json:"searchAttributes"`

	Parent *Parent    `json:"parent"` // nil: no child
	Root   *Execution `json:"root"`   // nil: the run is its own root

	ContinuedFromRunID events.RunID `json:"continuedFromRunId"`
	ContinuedToRunID   events.RunID `json:"continuedToRunId"` // whatever follows: continue-as-new, retry, cron
	FirstRunID         events.RunID `json:"firstRunId"`       // of the chain
	OriginalRunID      events.RunID `json:"originalRunId"`    // the run in which the start was written; differs after a reset

	Attempt              int32                          `json:"attempt"` // from 1, as the start event says
	Initiator            enumspb.ContinueAsNewInitiator `json:"initiator"`
	ContinuedFailure     *failurepb.Failure             `json:"continuedFailure"`     // of the run before
	LastCompletionResult *commonpb.Payloads             `json:"lastCompletionResult"` // of a run before
	FirstTaskBackoff     time.Duration                  `json:"firstTaskBackoff"`

	// LastFailure is the newest failure that any event of the run recorded: of
	// the run before, of a workflow task (a reset is none), an activity or its
	// last attempt, a child, a Nexus operation, a marker, or of the run itself.
	LastFailure        *failurepb.Failure `json:"lastFailure"`
	LastFailureEventID events.EventID     `json:"lastFailureEventId"`

	Close         *Close         `json:"close"`         // nil while the run is open
	CancelRequest *CancelRequest `json:"cancelRequest"` // the newest; nil: none
	Reset         *Reset         `json:"reset"`         // the newest; nil: none
	Pause         *Pause         `json:"pause"`         // nil: not paused
	LastUnpause   *Pause         `json:"lastUnpause"`   // nil: never resumed

	VersioningOverride  *workflowpb.VersioningOverride `json:"versioningOverride"`
	AttachedRequestIDs  []string                       `json:"attachedRequestIds"`
	CompletionCallbacks []*commonpb.Callback           `json:"completionCallbacks"`

	WorkflowTasks WorkflowTasks `json:"workflowTasks"`
	Worker        Worker        `json:"worker"`

	Activities      []*Activity       `json:"activities"`
	Timers          []*Timer          `json:"timers"`
	Children        []*Child          `json:"children"`
	NexusOperations []*NexusOperation `json:"nexusOperations"`
	Updates         []*Update         `json:"updates"`
	ExternalSignals []*ExternalSignal `json:"externalSignals"`
	ExternalCancels []*ExternalCancel `json:"externalCancels"`

	Counts           Counts         `json:"counts"`
	EventCount       int64          `json:"historyLength"`
	LastEventID      events.EventID `json:"lastEventId"`
	HistorySizeBytes int64          `json:"historySizeBytes"` // what AddBytes was told
}

// Execution names a run of a workflow in the same namespace.
type Execution struct {
	WorkflowID string       `json:"workflowId"`
	RunID      events.RunID `json:"runId"`
}

// Parent is the run that started this one as its child.
type Parent struct {
	Namespace        string         `json:"namespace"`
	WorkflowID       string         `json:"workflowId"`
	RunID            events.RunID   `json:"runId"`
	InitiatedEventID events.EventID `json:"initiatedEventId"` // in the parent's history
}

// Counts are over the whole run, closed things included.
type Counts struct {
	Activities             int64 `json:"activities"` // scheduled
	Timers                 int64 `json:"timers"`     // started
	Children               int64 `json:"children"`   // initiated
	NexusOperations        int64 `json:"nexusOperations"`
	ExternalSignals        int64 `json:"externalSignals"` // initiated
	ExternalCancels        int64 `json:"externalCancels"` // initiated
	Signals                int64 `json:"signals"`         // received
	CancelRequests         int64 `json:"cancelRequests"`  // received
	Markers                int64 `json:"markers"`
	VersionMarkers         int64 `json:"versionMarkers"` // those of Markers that record a code version
	UpdatesAdmitted        int64 `json:"updatesAdmitted"`
	UpdatesAccepted        int64 `json:"updatesAccepted"`
	UpdatesCompleted       int64 `json:"updatesCompleted"`
	UpdatesRejected        int64 `json:"updatesRejected"`
	Pauses                 int64 `json:"pauses"`
	Resets                 int64 `json:"resets"`
	WorkflowTasksCompleted int64 `json:"workflowTasksCompleted"`
	WorkflowTasksFailed    int64 `json:"workflowTasksFailed"` // resets excluded
	WorkflowTasksTimedOut  int64 `json:"workflowTasksTimedOut"`
	UnknownEvents          int64 `json:"unknownEvents"`     // of no type that this version knows
	MissingReferences      int64 `json:"missingReferences"` // references, not events: one event may have several
}

// New is the state of a run before its first event.
func New(w events.Workflow, run events.RunID) *State {
	return &State{Workflow: w, RunID: run}
}

// AddBytes adds n bytes to the history's size. The fold does not know the size
// of what it is given on the wire; whoever read the commit does.
func (s *State) AddBytes(n int64) { s.HistorySizeBytes += n }

// IsOpen reports whether the run has begun and not closed; Paused is open.
func (s *State) IsOpen() bool { return events.IsOpen(s.Status) }

// CloseTime is the closing event's time, zero while the run is open.
func (s *State) CloseTime() time.Time {
	if s.Close == nil {
		return time.Time{}
	}
	return s.Close.Time
}

// EndsBefore reports whether the prefix that makes the state at time t ends
// before e, which is so if e is later than t. The first event for which it is
// true ends the prefix, whatever the times of those after it. An event without
// a time never ends it.
func EndsBefore(e *events.Event, t time.Time) bool {
	return timeOf(e.GetEventTime()).After(t)
}

// Clone is a copy that can be folded further without changing s, nor the other
// way round. It shares the sub-messages of events.
func (s *State) Clone() *State {
	c := *s
	c.Memo = maps.Clone(s.Memo)
	c.SearchAttributes = maps.Clone(s.SearchAttributes)
	c.AttachedRequestIDs = slices.Clone(s.AttachedRequestIDs)
	c.CompletionCallbacks = slices.Clone(s.CompletionCallbacks)
	c.Worker.BuildIDs = slices.Clone(s.Worker.BuildIDs)
	c.Worker.BuildIDTags = slices.Clone(s.Worker.BuildIDTags)
	c.Worker.BinaryChecksums = slices.Clone(s.Worker.BinaryChecksums)
	c.Worker.UsedVersions = slices.Clone(s.Worker.UsedVersions)
	if p := s.WorkflowTasks.Pending; p != nil {
		task := *p
		c.WorkflowTasks.Pending = &task
	}
	c.Activities = cloneAll(s.Activities)
	c.Timers = cloneAll(s.Timers)
	c.Children = cloneAll(s.Children)
	c.NexusOperations = cloneAll(s.NexusOperations)
	c.ExternalSignals = cloneAll(s.ExternalSignals)
	c.ExternalCancels = cloneAll(s.ExternalCancels)
	c.Updates = cloneAll(s.Updates)
	for _, u := range c.Updates {
		u.AttachedRequestIDs = slices.Clone(u.AttachedRequestIDs)
		u.CompletionCallbacks = slices.Clone(u.CompletionCallbacks)
	}
	return &c
}
