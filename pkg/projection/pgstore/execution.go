package pgstore

import (
	_ "embed"
	"encoding/json"
	"reflect"
	"strings"
	"time"
)

//go:embed sql/executions.sql
var executionsSQL string

// executionsSelect and executionsFrom are the two halves of it, between which more
// columns may stand. executionColumns are the names of those that it has.
var (
	executionsSelect, executionsFrom = halves(executionsSQL)
	executionColumns                 = listOfColumns(reflect.TypeFor[Execution]())
)

func halves(sql string) (selected, from string) {
	const middle = "\nFROM annals.executions\n"
	selected, rest, ok := strings.Cut(sql, middle)
	if !ok || rest != "" {
		panic("sql/executions.sql does not end in FROM annals.executions")
	}
	return selected, middle
}

// listOfColumns are the columns that the fields of a struct are read from.
func listOfColumns(row reflect.Type) string {
	var list []string
	for _, f := range reflect.VisibleFields(row) {
		list = append(list, f.Tag.Get("db"))
	}
	return strings.Join(list, ", ")
}

// Execution is a run as the tables have it. Its JSON is stable: fields are only
// added. Times are in UTC, to the microsecond, and nil where there is none;
// texts are empty, timeouts zero and lists empty where there is none.
type Execution struct {
	Namespace    string `db:"namespace" json:"namespace"`
	WorkflowID   string `db:"workflow_id" json:"workflowId"`
	RunID        string `db:"run_id" json:"runId"`
	WorkflowType string `db:"workflow_type" json:"workflowType"`
	// Status is as Temporal names it: "Running", "Paused", "Completed", "Failed",
	// "Canceled", "Terminated", "ContinuedAsNew" or "TimedOut".
	Status    string `db:"status" json:"status"`
	TaskQueue string `db:"task_queue" json:"taskQueue"`

	StartTime     *time.Time `db:"start_time" json:"startTime"`
	ExecutionTime *time.Time `db:"execution_time" json:"executionTime"` // StartTime and the first workflow task's backoff
	CloseTime     *time.Time `db:"close_time" json:"closeTime"`         // nil while the run is open
	UpdatedAt     *time.Time `db:"updated_at" json:"updatedAt"`         // of the last event; may run backwards

	HistoryLength    int64  `db:"history_length" json:"historyLength"` // events
	HistorySizeBytes int64  `db:"history_size_bytes" json:"historySizeBytes"`
	Attempt          int32  `db:"attempt" json:"attempt"`   // from 1
	Identity         string `db:"identity" json:"identity"` // of the client that started the run

	ExecutionTimeout Timeout `db:"execution_timeout" json:"executionTimeout"` // of the whole chain of runs
	RunTimeout       Timeout `db:"run_timeout" json:"runTimeout"`
	TaskTimeout      Timeout `db:"task_timeout" json:"taskTimeout"` // of one workflow task
	// RetryPolicy and Priority are Temporal's messages as JSON; nil: none.
	RetryPolicy  json.RawMessage `db:"retry_policy" json:"retryPolicy"`
	CronSchedule string          `db:"cron_schedule" json:"cronSchedule"`
	Priority     json.RawMessage `db:"priority" json:"priority"`
	// Memo and SearchAttributes have a Temporal payload as JSON for each key; nil: none.
	Memo             json.RawMessage `db:"memo" json:"memo"`
	SearchAttributes json.RawMessage `db:"search_attributes" json:"searchAttributes"`

	ParentNamespace    string `db:"parent_namespace" json:"parentNamespace"`
	ParentWorkflowID   string `db:"parent_workflow_id" json:"parentWorkflowId"`
	ParentRunID        string `db:"parent_run_id" json:"parentRunId"`
	RootWorkflowID     string `db:"root_workflow_id" json:"rootWorkflowId"` // its own for a run without a parent
	RootRunID          string `db:"root_run_id" json:"rootRunId"`
	FirstRunID         string `db:"first_run_id" json:"firstRunId"`       // of the chain of runs
	OriginalRunID      string `db:"original_run_id" json:"originalRunId"` // differs after a reset
	ContinuedFromRunID string `db:"continued_from_run_id" json:"continuedFromRunId"`
	ContinuedToRunID   string `db:"continued_to_run_id" json:"continuedToRunId"`
	ResetFromRunID     string `db:"reset_from_run_id" json:"resetFromRunId"`

	CancelRequested bool            `db:"cancel_requested" json:"cancelRequested"`
	Pause           json.RawMessage `db:"pause" json:"pause"` // nil: not paused
	// LastFailure is the message of the newest failure that any event recorded;
	// nil: none did. LastFailureCauses are its causes', outermost first.
	LastFailure          *string  `db:"last_failure" json:"lastFailure"`
	LastFailureCauses    []string `db:"last_failure_causes" json:"lastFailureCauses"`
	WorkflowTaskFailures int64    `db:"workflow_task_failures" json:"workflowTaskFailures"`

	// What is begun and not over; in a closed run what its history never ended.
	PendingActivities      int32 `db:"pending_activities" json:"pendingActivities"`
	PendingTimers          int32 `db:"pending_timers" json:"pendingTimers"`
	PendingChildren        int32 `db:"pending_children" json:"pendingChildren"`
	PendingNexusOperations int32 `db:"pending_nexus_operations" json:"pendingNexusOperations"`
	PendingUpdates         int32 `db:"pending_updates" json:"pendingUpdates"`
	Signals                int64 `db:"signals" json:"signals"` // received

	ChangeVersions []string `db:"change_versions" json:"changeVersions"`
	BuildIDs       []string `db:"build_ids" json:"buildIds"` // at most the newest 20

	UnknownEvents     int64 `db:"unknown_events" json:"unknownEvents"`
	MissingReferences int64 `db:"missing_references" json:"missingReferences"`

	// Position is the run's last commit in the log, "partition:sequence".
	Position string `db:"position" json:"position"`
	// Quarantined says that the tables lack commits of the workflow: what is here
	// is as it was before the first of them. Describe says why.
	Quarantined bool `db:"quarantined" json:"quarantined"`

	// SearchValues are the search attributes as the registry types them, with those
	// that Temporal keeps of versions and pauses: an object of texts, numbers,
	// booleans and lists of texts; a Datetime is YYYY-MM-DDTHH:MM:SS.ffffffZ.
	// UntypedAttributes have a value and no type yet.
	SearchValues      json.RawMessage `db:"search_values" json:"searchValues"`
	UntypedAttributes []string        `db:"untyped_attributes" json:"untypedAttributes"`
	// ExecutionDuration is CloseTime minus ExecutionTime, in nanoseconds; nil while
	// the run is open.
	ExecutionDuration *int64     `db:"execution_duration" json:"executionDuration"`
	ExpirationTime    *time.Time `db:"expiration_time" json:"expirationTime"` // when the chain of runs times out
	CloseReason       string     `db:"close_reason" json:"closeReason"`       // why it was terminated
	// Of the worker that completed the newest workflow task, or of what overrides it.
	BuildID            string `db:"build_id" json:"buildId"`
	Deployment         string `db:"deployment" json:"deployment"`
	VersioningBehavior string `db:"versioning_behavior" json:"versioningBehavior"` // "Pinned" or "AutoUpgrade"
	SDKName            string `db:"sdk_name" json:"sdkName"`
	SDKVersion         string `db:"sdk_version" json:"sdkVersion"`
}

// inUTC sets times to UTC: pgx gives them in the zone of this machine.
func inUTC(times ...**time.Time) {
	for _, t := range times {
		if *t != nil {
			utc := (*t).UTC()
			*t = &utc
		}
	}
}

func (e *Execution) normalize() {
	inUTC(&e.StartTime, &e.ExecutionTime, &e.CloseTime, &e.UpdatedAt, &e.ExpirationTime)
}
