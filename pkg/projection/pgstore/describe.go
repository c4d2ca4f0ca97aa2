package pgstore

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

var (
	//go:embed sql/workflow.sql
	workflowSQL string
	//go:embed sql/pending_activities.sql
	pendingActivitiesSQL string
	//go:embed sql/pending_timers.sql
	pendingTimersSQL string
	//go:embed sql/pending_children.sql
	pendingChildrenSQL string
	//go:embed sql/pending_nexus_operations.sql
	pendingNexusSQL string
	//go:embed sql/pending_updates.sql
	pendingUpdatesSQL string
	//go:embed sql/pending_requests.sql
	pendingRequestsSQL string
	//go:embed sql/as_of.sql
	asOfSQL string
	//go:embed sql/gaps.sql
	gapsSQL string
)

// Description is a run with what is pending in it, all of one moment. Lists are
// sorted by their event ids and are empty where there is nothing.
type Description struct {
	Execution         Execution         `json:"execution"`
	Workflow          WorkflowRuns      `json:"workflow"`
	PendingActivities []PendingActivity `json:"pendingActivities"`
	PendingTimers     []PendingTimer    `json:"pendingTimers"`
	PendingChildren   []PendingChild    `json:"pendingChildren"`
	// What else is pending: Nexus operations, updates, and signals and cancel
	// requests that the run sent to other workflows.
	PendingNexusOperations  []PendingNexusOperation  `json:"pendingNexusOperations"`
	PendingUpdates          []PendingUpdate          `json:"pendingUpdates"`
	PendingExternalRequests []PendingExternalRequest `json:"pendingExternalRequests"`
	// AsOf is how far the tables were in the workflow's partition when this was read.
	AsOf AsOf `json:"asOf"`
	// Lag is what the partition's log had beyond that, once it was asked (AskLag); nil:
	// it was not, or could not be.
	Lag *AnswerLag `json:"lag"`
	// Quarantine says that the tables lack commits of the workflow, and why: the
	// rest is as it was before the first of them. Nil: it is not quarantined.
	Quarantine *Quarantine `json:"quarantine"`
	// Gaps are messages of the workflow's partition that are gone from the log: any of
	// them may have been the workflow's. The first 10 that nobody has acknowledged.
	Gaps []Quarantine `json:"gaps"`
}

// WorkflowRuns is what the workflow's runs add up to.
type WorkflowRuns struct {
	NewestRunID string `db:"newest_run_id" json:"newestRunId"`
	Runs        int64  `db:"runs" json:"runs"`
}

// PendingActivity is an activity that was scheduled and is not over.
type PendingActivity struct {
	ScheduledEventID       int64      `db:"scheduled_event_id" json:"scheduledEventId"`
	ActivityID             string     `db:"activity_id" json:"activityId"`
	ActivityType           string     `db:"activity_type" json:"activityType"`
	TaskQueue              string     `db:"task_queue" json:"taskQueue"`
	Status                 string     `db:"status" json:"status"` // "Scheduled" or "Started"
	ScheduledTime          *time.Time `db:"scheduled_time" json:"scheduledTime"`
	StartedEventID         int64      `db:"started_event_id" json:"startedEventId"` // 0: none
	StartedTime            *time.Time `db:"started_time" json:"startedTime"`
	Attempt                int32      `db:"attempt" json:"attempt"` // from 1; 0: not started
	CancelRequested        bool       `db:"cancel_requested" json:"cancelRequested"`
	WorkerIdentity         string     `db:"worker_identity" json:"workerIdentity"`
	ScheduleToCloseTimeout Timeout    `db:"schedule_to_close_timeout" json:"scheduleToCloseTimeout"`
	ScheduleToStartTimeout Timeout    `db:"schedule_to_start_timeout" json:"scheduleToStartTimeout"`
	StartToCloseTimeout    Timeout    `db:"start_to_close_timeout" json:"startToCloseTimeout"`
	HeartbeatTimeout       Timeout    `db:"heartbeat_timeout" json:"heartbeatTimeout"`
	LastFailure            *string    `db:"last_failure" json:"lastFailure"` // of its last attempt
	LastFailureCauses      []string   `db:"last_failure_causes" json:"lastFailureCauses"`
	MaximumAttempts        int32      `db:"maximum_attempts" json:"maximumAttempts"` // 0: no limit
	// LastHeartbeat is the newest of its heartbeats, or of those of an earlier
	// activity of the run that had the same id; nil: there was none.
	LastHeartbeat *ActivityHeartbeat `db:"-" json:"lastHeartbeat"`
}

// ActivityHeartbeat is the newest heartbeat of an activity.
type ActivityHeartbeat struct {
	Attempt     int32           `json:"attempt"` // from 1; the history tells less of attempts
	Time        time.Time       `json:"time"`
	Details     json.RawMessage `json:"details"`     // Payloads as Temporal's JSON; null: none
	LastFailure *string         `json:"lastFailure"` // message of that of the attempt before
	Failure     json.RawMessage `json:"failure"`     // the same, whole: Failure as Temporal's JSON
	Identity    string          `json:"identity"`    // of the worker
}

// pendingActivityRow is a pending activity as it is read.
type pendingActivityRow struct {
	PendingActivity
	HeartbeatAttempt     *int32          `db:"heartbeat_attempt"` // null: it has no heartbeat
	HeartbeatTime        *time.Time      `db:"heartbeat_time"`
	HeartbeatDetails     json.RawMessage `db:"heartbeat_details"`
	HeartbeatLastFailure *string         `db:"heartbeat_last_failure"`
	HeartbeatFailure     json.RawMessage `db:"heartbeat_failure"`
	HeartbeatIdentity    *string         `db:"heartbeat_identity"`
}

func (r *pendingActivityRow) pending() PendingActivity {
	if r.HeartbeatAttempt != nil {
		r.LastHeartbeat = &ActivityHeartbeat{
			Attempt: *r.HeartbeatAttempt, Time: r.HeartbeatTime.UTC(), Details: r.HeartbeatDetails,
			LastFailure: r.HeartbeatLastFailure, Failure: r.HeartbeatFailure, Identity: *r.HeartbeatIdentity,
		}
	}
	return r.PendingActivity
}

// PendingTimer is a timer that was started and is not over.
type PendingTimer struct {
	StartedEventID int64      `db:"started_event_id" json:"startedEventId"`
	TimerID        string     `db:"timer_id" json:"timerId"`
	StartedTime    *time.Time `db:"started_time" json:"startedTime"`
	FireTime       *time.Time `db:"fire_time" json:"fireTime"` // when it is due
}

// PendingChild is a child workflow that was initiated and is not over, as the
// parent's history tells it.
type PendingChild struct {
	InitiatedEventID  int64      `db:"initiated_event_id" json:"initiatedEventId"`
	Namespace         string     `db:"child_namespace" json:"namespace"`
	WorkflowID        string     `db:"child_workflow_id" json:"workflowId"`
	RunID             string     `db:"child_run_id" json:"runId"` // its first run; empty: not started
	WorkflowType      string     `db:"child_type" json:"workflowType"`
	TaskQueue         string     `db:"task_queue" json:"taskQueue"`
	ParentClosePolicy string     `db:"parent_close_policy" json:"parentClosePolicy"`
	Status            string     `db:"status" json:"status"` // "Initiated" or "Started"
	InitiatedTime     *time.Time `db:"initiated_time" json:"initiatedTime"`
	StartedEventID    int64      `db:"started_event_id" json:"startedEventId"` // 0: none
	StartedTime       *time.Time `db:"started_time" json:"startedTime"`
}

// PendingNexusOperation is a Nexus operation that was scheduled and is not over.
type PendingNexusOperation struct {
	ScheduledEventID       int64      `db:"scheduled_event_id" json:"scheduledEventId"`
	Endpoint               string     `db:"endpoint" json:"endpoint"`
	Service                string     `db:"service" json:"service"`
	Operation              string     `db:"operation" json:"operation"`
	RequestID              string     `db:"request_id" json:"requestId"`
	OperationToken         string     `db:"operation_token" json:"operationToken"` // empty: the handler has given none
	Status                 string     `db:"status" json:"status"`                  // "Scheduled" or "Started"
	ScheduledTime          *time.Time `db:"scheduled_time" json:"scheduledTime"`
	StartedEventID         int64      `db:"started_event_id" json:"startedEventId"` // 0: none
	StartedTime            *time.Time `db:"started_time" json:"startedTime"`
	ScheduleToCloseTimeout Timeout    `db:"schedule_to_close_timeout" json:"scheduleToCloseTimeout"`
	ScheduleToStartTimeout Timeout    `db:"schedule_to_start_timeout" json:"scheduleToStartTimeout"`
	StartToCloseTimeout    Timeout    `db:"start_to_close_timeout" json:"startToCloseTimeout"`
	CancelRequested        bool       `db:"cancel_requested" json:"cancelRequested"`
	CancelRequestedTime    *time.Time `db:"cancel_requested_time" json:"cancelRequestedTime"`
	CancelDelivered        bool       `db:"cancel_delivered" json:"cancelDelivered"` // the handler took the request
	CancelFailure          *string    `db:"cancel_failure" json:"cancelFailure"`     // why it did not
}

// PendingUpdate is an update that has neither completed nor been rejected.
type PendingUpdate struct {
	EventID         int64      `db:"event_id" json:"eventId"` // that made it known
	UpdateID        string     `db:"update_id" json:"updateId"`
	UpdateName      string     `db:"update_name" json:"updateName"`
	Status          string     `db:"status" json:"status"` // "Admitted" or "Accepted"
	Identity        string     `db:"identity" json:"identity"`
	AdmittedTime    *time.Time `db:"admitted_time" json:"admittedTime"`
	AcceptedEventID int64      `db:"accepted_event_id" json:"acceptedEventId"` // 0: none
	AcceptedTime    *time.Time `db:"accepted_time" json:"acceptedTime"`
	RequestIDs      []string   `db:"request_ids" json:"requestIds"` // that wait for it
}

// PendingExternalRequest is a signal or a cancel request that the run sent to another
// workflow, and of which it does not know yet whether it arrived.
type PendingExternalRequest struct {
	InitiatedEventID  int64      `db:"initiated_event_id" json:"initiatedEventId"`
	Kind              string     `db:"kind" json:"kind"` // "Signal" or "Cancel"
	Namespace         string     `db:"target_namespace" json:"namespace"`
	WorkflowID        string     `db:"target_workflow_id" json:"workflowId"`
	RunID             string     `db:"target_run_id" json:"runId"` // empty: whichever is open
	SignalName        string     `db:"signal_name" json:"signalName"`
	Reason            string     `db:"reason" json:"reason"`
	ChildWorkflowOnly bool       `db:"child_workflow_only" json:"childWorkflowOnly"`
	InitiatedTime     *time.Time `db:"initiated_time" json:"initiatedTime"`
}

// AsOf is how far tables are in a partition.
type AsOf struct {
	// Position is the last commit that is in them, "partition:sequence".
	Position string     `json:"position"`
	Time     *time.Time `json:"time"` // when the log stored it
	// Checkpoint is the same, for who asks the log how much it has since.
	Checkpoint projection.Checkpoint `json:"-"`
}

// AnswerLag is what an answer lacks of a partition: commits of other workflows too.
type AnswerLag struct {
	Commits uint64  `json:"commits"`
	Seconds float64 `json:"seconds"` // since the oldest of them was stored, by the clock of the log's server
}

// AskLag asks the log how far it was beyond the answer. Where it cannot tell, Lag
// stays nil.
func (d *Description) AskLag(ctx context.Context, source events.Source) {
	if d.AsOf.Position == "" || source.Identity().LogID == "" {
		return
	}
	if l := projection.LagAt(ctx, source, d.AsOf.Checkpoint); l.Err == nil {
		d.Lag = &AnswerLag{Commits: l.Commits, Seconds: l.Age.Seconds()}
	}
}

// DescribeQuery says which run.
type DescribeQuery struct {
	Workflow events.Workflow
	Run      events.RunID // empty: the newest
	// Include is what the answer must include.
	Include Include
}

// Describe describes a run. It fails with ErrNotFound if the tables have no such
// workflow or run (which *NotFoundError.Quarantined explains, if it is
// quarantined), events.ErrInvalid if no log can have the workflow,
// projection.ErrVersion if there are no tables, and as Include says.
func (s *Store) Describe(ctx context.Context, q DescribeQuery) (Description, error) {
	w, run := q.Workflow, q.Run
	if err := w.Validate(); err != nil {
		return Description{}, err
	}
	if run != "" {
		if err := events.CheckID("runId", string(run), events.MaxRunIDBytes); err != nil {
			return Description{}, err
		}
	}
	var d Description
	err := s.answer(ctx, "describe "+w.String(), q.Include, func(tx pgx.Tx) error {
		if q.Include.asks() {
			if err := s.whole(ctx, tx, w, q.Include.Vector); err != nil {
				return err
			}
		}
		rows, err := tx.Query(ctx, workflowSQL, int16(w.Slot()), w.Namespace, w.ID)
		if err != nil {
			return err
		}
		d.Workflow, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[WorkflowRuns])
		if errors.Is(err, pgx.ErrNoRows) {
			return s.explain(ctx, tx, &NotFoundError{Workflow: w})
		}
		if err != nil {
			return err
		}
		newest := run
		if newest == "" {
			newest = events.RunID(d.Workflow.NewestRunID)
		}
		err = d.readRun(ctx, tx, w, newest)
		var missing *NotFoundError
		if errors.As(err, &missing) {
			return s.explain(ctx, tx, missing)
		}
		if err != nil || !d.Execution.Quarantined {
			return err
		}
		q, err := s.quarantined(ctx, tx, w)
		if q != nil {
			d.Quarantine = QuarantineOf(*q)
		}
		return err
	})
	if err != nil {
		return Description{}, err
	}
	d.normalize()
	return d, nil
}

// readRun reads the rows of a run in one round trip.
func (d *Description) readRun(ctx context.Context, tx pgx.Tx, w events.Workflow, run events.RunID) error {
	key := []any{int16(w.Slot()), w.Namespace, w.ID, string(run)}
	var b pgx.Batch
	b.Queue(executionsSQL+"WHERE slot = $1 AND namespace = $2 AND workflow_id = $3 AND run_id = $4", key...).Query(func(rows pgx.Rows) (err error) {
		d.Execution, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Execution])
		if errors.Is(err, pgx.ErrNoRows) {
			return &NotFoundError{Workflow: w, Run: run}
		}
		return err
	})
	b.Queue(pendingActivitiesSQL, key...).Query(func(rows pgx.Rows) error {
		read, err := pgx.CollectRows(rows, pgx.RowToStructByName[pendingActivityRow])
		d.PendingActivities = make([]PendingActivity, len(read))
		for i := range read {
			d.PendingActivities[i] = read[i].pending()
		}
		return err
	})
	b.Queue(pendingTimersSQL, key...).Query(collect(&d.PendingTimers))
	b.Queue(pendingChildrenSQL, key...).Query(collect(&d.PendingChildren))
	b.Queue(pendingNexusSQL, key...).Query(collect(&d.PendingNexusOperations))
	b.Queue(pendingUpdatesSQL, key...).Query(collect(&d.PendingUpdates))
	b.Queue(pendingRequestsSQL, key...).Query(collect(&d.PendingExternalRequests))
	b.Queue(asOfSQL, key[:3]...).Query(func(rows pgx.Rows) error {
		c, err := pgx.CollectRows(rows, postgres.ScanCheckpoint)
		if err == nil && len(c) == 1 {
			d.AsOf = asOf(c[0])
		}
		return err
	})
	b.Queue(gapsSQL, append(key[:3:3], namedLacking)...).Query(func(rows pgx.Rows) error {
		gaps, err := pgx.CollectRows(rows, postgres.ScanQuarantined)
		d.Gaps = make([]Quarantine, len(gaps))
		for i := range gaps {
			d.Gaps[i] = *QuarantineOf(gaps[i])
		}
		return err
	})
	return tx.SendBatch(ctx, &b).Close()
}

func asOf(c projection.Checkpoint) AsOf {
	a := AsOf{Position: c.Position().String(), Checkpoint: c}
	if !c.Time.IsZero() {
		a.Time = &c.Time
	}
	return a
}

func collect[T any](to *[]T) func(pgx.Rows) error {
	return func(rows pgx.Rows) (err error) {
		*to, err = pgx.CollectRows(rows, pgx.RowToStructByName[T])
		return err
	}
}

func (d *Description) normalize() {
	d.Execution.normalize()
	for i := range d.PendingActivities {
		inUTC(&d.PendingActivities[i].ScheduledTime, &d.PendingActivities[i].StartedTime)
	}
	for i := range d.PendingTimers {
		inUTC(&d.PendingTimers[i].StartedTime, &d.PendingTimers[i].FireTime)
	}
	for i := range d.PendingNexusOperations {
		o := &d.PendingNexusOperations[i]
		inUTC(&o.ScheduledTime, &o.StartedTime, &o.CancelRequestedTime)
	}
	for i := range d.PendingUpdates {
		inUTC(&d.PendingUpdates[i].AdmittedTime, &d.PendingUpdates[i].AcceptedTime)
	}
	for i := range d.PendingExternalRequests {
		inUTC(&d.PendingExternalRequests[i].InitiatedTime)
	}
	for i := range d.PendingChildren {
		inUTC(&d.PendingChildren[i].InitiatedTime, &d.PendingChildren[i].StartedTime)
	}
}
