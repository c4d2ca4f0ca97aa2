package pgstore

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/pkg/events"
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
)

// Description is a run with what is pending in it, all of one moment. Lists are
// sorted by their event ids and are empty where there is nothing.
type Description struct {
	Execution         Execution         `json:"execution"`
	Workflow          WorkflowRuns      `json:"workflow"`
	PendingActivities []PendingActivity `json:"pendingActivities"`
	PendingTimers     []PendingTimer    `json:"pendingTimers"`
	PendingChildren   []PendingChild    `json:"pendingChildren"`
	// Quarantine says that the tables lack commits of the workflow, and why: the
	// rest is as it was before the first of them. Nil: it is not quarantined.
	Quarantine *Quarantine `json:"quarantine"`
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
	return tx.SendBatch(ctx, &b).Close()
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
	for i := range d.PendingChildren {
		inUTC(&d.PendingChildren[i].InitiatedTime, &d.PendingChildren[i].StartedTime)
	}
}
