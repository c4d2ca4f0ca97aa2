package execution

import (
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"

	"github.com/annals-io/annals/pkg/events"
)

// WorkflowTasks is what the workflow tasks of a run have come to. An engine
// without workflow tasks leaves it zero. How many there were is in [Counts].
type WorkflowTasks struct {
	Pending *WorkflowTask `json:"pending"` // nil: none

	LastCompletedEventID events.EventID `json:"lastCompletedEventId"` // of the completion
	LastStartedEventID   events.EventID `json:"lastStartedEventId"`   // of the start that it completed

	// The newest failed or timed out task; resets are not among them.
	LastFailureCause enumspb.WorkflowTaskFailedCause `json:"lastFailureCause"` // Unspecified after a time-out
	LastTimeoutType  enumspb.TimeoutType             `json:"lastTimeoutType"`  // Unspecified after a failure
	LastFailure      *failurepb.Failure              `json:"lastFailure"`

	ConsecutiveFailures int64 `json:"consecutiveFailures"` // failures and time-outs since the last completion or reset
}

// WorkflowTask is a task that was scheduled and is not over.
type WorkflowTask struct {
	ScheduledEventID events.EventID `json:"scheduledEventId"`
	StartedEventID   events.EventID `json:"startedEventId"` // 0: not started
	ScheduledTime    time.Time      `json:"scheduledTime"`
	StartedTime      time.Time      `json:"startedTime"`
	Attempt          int32          `json:"attempt"`
	TaskQueue        string         `json:"taskQueue"`
	StartToClose     time.Duration  `json:"startToCloseTimeout"`
	Identity         string         `json:"identity"` // of the worker that started it
}

// Reset says that the history before it was copied from another run.
type Reset struct {
	EventID   events.EventID `json:"eventId"` // the failed workflow task at which the copy ends
	Time      time.Time      `json:"time"`
	BaseRunID events.RunID   `json:"baseRunId"`
	NewRunID  events.RunID   `json:"newRunId"`
	Reason    string         `json:"reason"`
	Identity  string         `json:"identity"`
}

// Worker is the code that runs the workflow, as far as events tell.
type Worker struct {
	BuildID            string                     `json:"buildId"` // that completed the newest workflow task
	DeploymentName     string                     `json:"deploymentName"`
	VersioningBehavior enumspb.VersioningBehavior `json:"versioningBehavior"` // Unspecified: not versioned
	SDKName            string                     `json:"sdkName"`
	SDKVersion         string                     `json:"sdkVersion"`
	Identity           string                     `json:"identity"`
	InheritedBuildID   string                     `json:"inheritedBuildId"` // from the parent or the run before
	// BuildIDs are all that completed workflow tasks, each once, in the order
	// of their newest use; at most the newest 20.
	BuildIDs []string `json:"buildIds"`
	// BuildIDTags, BinaryChecksums and UsedVersions are what Temporal keeps in
	// the search attributes BuildIds ("unversioned", "versioned:b", "pinned:d:b", …),
	// BinaryChecksums and TemporalUsedWorkerDeploymentVersions ("deployment:build"),
	// those of the run that was continued included; at most the newest 20 of each.
	BuildIDTags     []string `json:"buildIdTags"`
	BinaryChecksums []string `json:"binaryChecksums"`
	UsedVersions    []string `json:"usedVersions"`
}

// maxBuildIDs bounds Worker.BuildIDs.
const maxBuildIDs = 20

func (s *State) workflowTaskScheduled(e *events.Event, _ *Changes) {
	a := e.GetWorkflowTaskScheduledEventAttributes()
	s.WorkflowTasks.Pending = &WorkflowTask{
		ScheduledEventID: events.EventID(e.EventId),
		ScheduledTime:    timeOf(e.EventTime),
		Attempt:          a.GetAttempt(),
		TaskQueue:        a.GetTaskQueue().GetName(),
		StartToClose:     durationOf(a.GetStartToCloseTimeout()),
	}
}

func (s *State) workflowTaskStarted(e *events.Event, _ *Changes) {
	a := e.GetWorkflowTaskStartedEventAttributes()
	p := s.WorkflowTasks.Pending
	if p == nil || p.ScheduledEventID != events.EventID(a.GetScheduledEventId()) {
		s.missing()
		return
	}
	p.StartedEventID = events.EventID(e.EventId)
	p.StartedTime = timeOf(e.EventTime)
	p.Identity = a.GetIdentity()
}

func (s *State) workflowTaskCompleted(e *events.Event, _ *Changes) {
	a := e.GetWorkflowTaskCompletedEventAttributes()
	s.endWorkflowTask(a.GetScheduledEventId(), a.GetStartedEventId(), e)
	s.Counts.WorkflowTasksCompleted++
	s.WorkflowTasks.ConsecutiveFailures = 0
	s.WorkflowTasks.LastCompletedEventID = events.EventID(e.EventId)
	s.WorkflowTasks.LastStartedEventID = events.EventID(a.GetStartedEventId())
	s.Worker.completed(a)
	s.versioned(a)
}

func (s *State) workflowTaskTimedOut(e *events.Event, _ *Changes) {
	a := e.GetWorkflowTaskTimedOutEventAttributes()
	s.endWorkflowTask(a.GetScheduledEventId(), a.GetStartedEventId(), e)
	s.Counts.WorkflowTasksTimedOut++
	t := &s.WorkflowTasks
	t.ConsecutiveFailures++
	t.LastFailureCause, t.LastTimeoutType, t.LastFailure = 0, a.GetTimeoutType(), nil
}

func (s *State) workflowTaskFailed(e *events.Event, _ *Changes) {
	a := e.GetWorkflowTaskFailedEventAttributes()
	s.endWorkflowTask(a.GetScheduledEventId(), a.GetStartedEventId(), e)
	t := &s.WorkflowTasks
	if a.GetCause() == enumspb.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW {
		t.ConsecutiveFailures = 0
		s.Counts.Resets++
		s.Reset = &Reset{
			EventID:   events.EventID(e.EventId),
			Time:      timeOf(e.EventTime),
			BaseRunID: events.RunID(a.GetBaseRunId()),
			NewRunID:  events.RunID(a.GetNewRunId()),
			Reason:    a.GetFailure().GetMessage(),
			Identity:  a.GetIdentity(),
		}
		return
	}
	s.Counts.WorkflowTasksFailed++
	t.ConsecutiveFailures++
	t.LastFailureCause, t.LastTimeoutType, t.LastFailure = a.GetCause(), 0, a.GetFailure()
	s.failed(e, t.LastFailure)
}

// endWorkflowTask lets go of the pending task.
func (s *State) endWorkflowTask(scheduled, started int64, e *events.Event) {
	s.refer(started, e)
	if p := s.WorkflowTasks.Pending; p == nil || p.ScheduledEventID != events.EventID(scheduled) {
		s.missing()
		return
	}
	s.WorkflowTasks.Pending = nil
}

// inherit takes what a start event says about code.
func (w *Worker) inherit(a *historypb.WorkflowExecutionStartedEventAttributes) {
	w.InheritedBuildID = firstOf(
		a.GetInheritedPinnedVersion().GetBuildId(),
		a.GetInheritedAutoUpgradeInfo().GetSourceDeploymentVersion().GetBuildId(),
		a.GetInheritedBuildId(),
		a.GetSourceVersionStamp().GetBuildId(),
	)
}

// completed takes what the worker said of itself. The API has renamed these
// fields several times; the newest that is set wins.
func (w *Worker) completed(a *historypb.WorkflowTaskCompletedEventAttributes) {
	w.Identity = a.GetIdentity()
	w.VersioningBehavior = a.GetVersioningBehavior()
	w.DeploymentName = firstOf(a.GetDeploymentVersion().GetDeploymentName(), a.GetWorkerDeploymentName(), a.GetDeployment().GetSeriesName())
	w.BuildID = firstOf(
		a.GetDeploymentVersion().GetBuildId(),
		buildIDOf(a.GetWorkerDeploymentVersion(), w.DeploymentName),
		a.GetDeployment().GetBuildId(),
		a.GetWorkerVersion().GetBuildId(),
		a.GetBinaryChecksum(),
	)
	if sdk := a.GetSdkMetadata(); sdk != nil {
		// Both are sent only when they have changed.
		w.SDKName = firstOf(sdk.GetSdkName(), w.SDKName)
		w.SDKVersion = firstOf(sdk.GetSdkVersion(), w.SDKVersion)
	}
	w.used(w.BuildID)
}

func (w *Worker) used(id string) {
	n := len(w.BuildIDs)
	if id == "" || n > 0 && w.BuildIDs[n-1] == id {
		return
	}
	if i := slices.Index(w.BuildIDs, id); i >= 0 {
		w.BuildIDs = slices.Delete(w.BuildIDs, i, i+1)
	} else if n == maxBuildIDs {
		w.BuildIDs = slices.Delete(w.BuildIDs, 0, 1)
	}
	w.BuildIDs = append(w.BuildIDs, id)
}

// buildIDOf is the build of "deployment.build", where a deployment's name may
// hold a dot itself.
func buildIDOf(version, deployment string) string {
	rest, found := strings.CutPrefix(version, deployment)
	if !found || len(rest) < 2 || rest[0] != '.' && rest[0] != ':' {
		return ""
	}
	return rest[1:]
}

func firstOf(candidates ...string) string {
	for _, c := range candidates {
		if c != "" {
			return c
		}
	}
	return ""
}
