package pgstore_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// insertDescribed makes a workflow of two runs, with things pending and over in
// the newer one and a thing of each kind pending in the older.
func insertDescribed(t *testing.T, pool *pgxpool.Pool) events.Workflow {
	t.Helper()
	w := events.Workflow{Namespace: "default", ID: "order-1"}
	insertRuns(t, pool, w.Namespace,
		storedRun{w.ID, "r1", "Order", "ContinuedAsNew", at(0)},
		storedRun{w.ID, "r2", "Order", "Running", at(1)},
	)
	insertRuns(t, pool, "other", storedRun{w.ID, "r9", "Order", "Running", at(1)})
	if _, err := pool.Exec(t.Context(), `INSERT INTO annals.heartbeat_checkpoints VALUES ('l', 1, 0)`); err != nil {
		t.Fatal(err)
	}
	beat := events.Heartbeat{
		Activity: events.Activity{Workflow: w, RunID: "r2", ID: "a2"}, Attempt: 4, Time: at(4).Add(time.Microsecond), Identity: "worker\x009",
		Details:     &commonpb.Payloads{Payloads: []*commonpb.Payload{{Metadata: map[string][]byte{"encoding": []byte("json/plain")}, Data: []byte(`{"page":7}`)}}},
		LastFailure: &failurepb.Failure{Message: "no answer", Cause: &failurepb.Failure{Message: "cut\x00"}},
	}
	elsewhere := beat // of another run
	elsewhere.Activity.RunID, elsewhere.Attempt = "r1", 9
	from := projection.HeartbeatCheckpoint{LogID: "l", LogEpoch: 1}
	to := from
	to.Sequence = 2
	if err := storeOn(t, pool, pgstore.Config{}).WriteHeartbeats(t.Context(), from, to, []events.StoredHeartbeat{{Heartbeat: beat, Sequence: 1}, {Heartbeat: elsewhere, Sequence: 2}}); err != nil {
		t.Fatal(err)
	}
	slot := int16(w.Slot())
	exec(t, pool, `INSERT INTO annals.workflows VALUES ($1, $2, $3, 'r2', 2, 3, 7, 9, '\x00112233445566778899aabbccddeeff')`, slot, w.Namespace, w.ID)
	exec(t, pool, `UPDATE annals.executions SET last_failure = 'no funds', last_failure_causes = '{"card refused"}' WHERE run_id = 'r2'`)
	exec(t, pool, `INSERT INTO annals.activities VALUES
		($1, $2, $3, 'r1', 4, 'a0', 'Charge', 'orders', 'Scheduled', NULL, NULL, NULL, 0, false, '', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
		($1, $2, $3, 'r2', 5, 'a1', 'Reserve', 'orders', 'Completed', NULL, 6, NULL, 1, false, '', NULL, NULL, NULL, NULL, 7, NULL, NULL),
		($1, $2, $3, 'r2', 12, 'a3', 'Ship', 'ships', 'Scheduled', '2026-01-31T12:00:02Z', NULL, NULL, 0, false, '', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
		($1, $2, $3, 'r2', 8, 'a2', 'Charge', 'orders', 'Started', '2026-01-31T12:00:02Z', 9, '2026-01-31T12:00:03.25Z', 3, true, 'worker-7', '1 hour', '00:00:30', '00:05:00', '10 s', NULL, NULL, 'no funds')`,
		slot, w.Namespace, w.ID)
	exec(t, pool, `INSERT INTO annals.timers VALUES
		($1, $2, $3, 'r1', 9, 't0', 'Started', NULL, NULL, NULL, NULL),
		($1, $2, $3, 'r2', 10, 't1', 'Fired', NULL, NULL, 11, NULL),
		($1, $2, $3, 'r2', 14, 't2', 'Started', '2026-01-31T12:00:04Z', '2026-02-01T12:00:04Z', NULL, NULL)`,
		slot, w.Namespace, w.ID)
	exec(t, pool, `INSERT INTO annals.children VALUES
		($1, $2, $3, 'r1', 15, '', 'c0', NULL, 'Pack', '', 'Terminate', 'Initiated', NULL, NULL, NULL, NULL, NULL, NULL),
		($1, $2, $3, 'r2', 15, '', 'c1', 'cr1', 'Pack', '', 'Terminate', 'Completed', NULL, 16, NULL, 17, NULL, NULL),
		($1, $2, $3, 'r2', 18, '', 'c2', NULL, 'Pack', 'packs', 'Abandon', 'Initiated', '2026-01-31T12:00:05Z', NULL, NULL, NULL, NULL, NULL),
		($1, $2, $3, 'r2', 19, 'elsewhere', 'c3', 'cr3', 'Pack', 'packs', 'RequestCancel', 'Started', '2026-01-31T12:00:05Z', 20, '2026-01-31T12:00:06Z', NULL, NULL, NULL)`,
		slot, w.Namespace, w.ID)
	return w
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	s, pool := newQueries(t)
	w := insertDescribed(t, pool)
	d, err := s.Describe(t.Context(), pgstore.DescribeQuery{Workflow: w})
	if err != nil {
		t.Fatal(err)
	}
	if got := [3]string{d.Execution.RunID, d.Execution.Status, *d.Execution.LastFailure}; got != [3]string{"r2", "Running", "no funds"} {
		t.Errorf("the execution is %v, want the newest run", got)
	}
	d.Execution = pgstore.Execution{} // its JSON is TestListJSON's
	got, err := json.MarshalIndent(struct {
		Workflow   pgstore.WorkflowRuns      `json:"workflow"`
		Activities []pgstore.PendingActivity `json:"pendingActivities"`
		Timers     []pgstore.PendingTimer    `json:"pendingTimers"`
		Children   []pgstore.PendingChild    `json:"pendingChildren"`
	}{d.Workflow, d.PendingActivities, d.PendingTimers, d.PendingChildren}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(descriptionJSON, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

const descriptionJSON = `{
  "workflow": {
    "newestRunId": "r2",
    "runs": 2
  },
  "pendingActivities": [
    {
      "scheduledEventId": 8,
      "activityId": "a2",
      "activityType": "Charge",
      "taskQueue": "orders",
      "status": "Started",
      "scheduledTime": "2026-01-31T12:00:02Z",
      "startedEventId": 9,
      "startedTime": "2026-01-31T12:00:03.25Z",
      "attempt": 3,
      "cancelRequested": true,
      "workerIdentity": "worker-7",
      "scheduleToCloseTimeout": "3600s",
      "scheduleToStartTimeout": "30s",
      "startToCloseTimeout": "300s",
      "heartbeatTimeout": "10s",
      "lastFailure": "no funds",
      "lastFailureCauses": [],
      "maximumAttempts": 0,
      "lastHeartbeat": {
        "attempt": 4,
        "time": "2026-01-31T12:00:04.000001Z",
        "details": {
          "payloads": [
            {
              "data": "eyJwYWdlIjo3fQ==",
              "metadata": {
                "encoding": "anNvbi9wbGFpbg=="
              }
            }
          ]
        },
        "lastFailure": "no answer",
        "failure": {
          "cause": {
            "message": "cut�"
          },
          "message": "no answer"
        },
        "identity": "worker�9"
      }
    },
    {
      "scheduledEventId": 12,
      "activityId": "a3",
      "activityType": "Ship",
      "taskQueue": "ships",
      "status": "Scheduled",
      "scheduledTime": "2026-01-31T12:00:02Z",
      "startedEventId": 0,
      "startedTime": null,
      "attempt": 0,
      "cancelRequested": false,
      "workerIdentity": "",
      "scheduleToCloseTimeout": "0s",
      "scheduleToStartTimeout": "0s",
      "startToCloseTimeout": "0s",
      "heartbeatTimeout": "0s",
      "lastFailure": null,
      "lastFailureCauses": [],
      "maximumAttempts": 0,
      "lastHeartbeat": null
    }
  ],
  "pendingTimers": [
    {
      "startedEventId": 14,
      "timerId": "t2",
      "startedTime": "2026-01-31T12:00:04Z",
      "fireTime": "2026-02-01T12:00:04Z"
    }
  ],
  "pendingChildren": [
    {
      "initiatedEventId": 18,
      "namespace": "default",
      "workflowId": "c2",
      "runId": "",
      "workflowType": "Pack",
      "taskQueue": "packs",
      "parentClosePolicy": "Abandon",
      "status": "Initiated",
      "initiatedTime": "2026-01-31T12:00:05Z",
      "startedEventId": 0,
      "startedTime": null
    },
    {
      "initiatedEventId": 19,
      "namespace": "elsewhere",
      "workflowId": "c3",
      "runId": "cr3",
      "workflowType": "Pack",
      "taskQueue": "packs",
      "parentClosePolicy": "RequestCancel",
      "status": "Started",
      "initiatedTime": "2026-01-31T12:00:05Z",
      "startedEventId": 20,
      "startedTime": "2026-01-31T12:00:06Z"
    }
  ]
}`

func TestDescribeAnOlderRun(t *testing.T) {
	t.Parallel()
	s, pool := newQueries(t)
	w := insertDescribed(t, pool)
	d, err := s.Describe(t.Context(), pgstore.DescribeQuery{Workflow: w, Run: "r1"})
	if err != nil {
		t.Fatal(err)
	}
	got := []string{d.Execution.RunID, d.Execution.Status, d.Workflow.NewestRunID}
	for _, a := range d.PendingActivities {
		got = append(got, a.ActivityID)
	}
	for _, timer := range d.PendingTimers {
		got = append(got, timer.TimerID)
	}
	for _, c := range d.PendingChildren {
		got = append(got, c.WorkflowID)
	}
	if diff := cmp.Diff([]string{"r1", "ContinuedAsNew", "r2", "a0", "t0", "c0"}, got); diff != "" {
		t.Errorf("what is of the older run (-want +got):\n%s", diff)
	}
}

func TestDescribeNothingPending(t *testing.T) {
	t.Parallel()
	s, pool := newQueries(t)
	w := insertDescribed(t, pool)
	exec(t, pool, `DELETE FROM annals.activities`)
	exec(t, pool, `DELETE FROM annals.timers`)
	exec(t, pool, `DELETE FROM annals.children`)
	d, err := s.Describe(t.Context(), pgstore.DescribeQuery{Workflow: w})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if want := `"workflow":{"newestRunId":"r2","runs":2},"pendingActivities":[],"pendingTimers":[],"pendingChildren":[],"pendingNexusOperations":[],"pendingUpdates":[],"pendingExternalRequests":[],"asOf":{"position":"","time":null},"lag":null,"quarantine":null,"gaps":[]}`; !strings.HasSuffix(string(b), want) {
		t.Errorf("%s\ndoes not end in %s", b, want)
	}
}

func TestDescribeFails(t *testing.T) {
	t.Parallel()
	s, pool := newQueries(t)
	w := insertDescribed(t, pool)
	for _, tc := range []struct {
		name string
		w    events.Workflow
		run  events.RunID
		is   error
		want string
	}{
		{"no such workflow", events.Workflow{Namespace: "default", ID: "order-2"}, "", pgstore.ErrNotFound, "workflow default/order-2 is not in the tables"},
		{"in another namespace", events.Workflow{Namespace: "third", ID: w.ID}, "", pgstore.ErrNotFound, "third/order-1"},
		{"no such run", w, "r3", pgstore.ErrNotFound, "run r3 of workflow default/order-1 is not in the tables"},
		{"no id", events.Workflow{Namespace: "default"}, "", events.ErrInvalid, "workflowId"},
		{"NUL in the run", w, "r\x00", events.ErrInvalid, "runId"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := s.Describe(t.Context(), pgstore.DescribeQuery{Workflow: tc.w, Run: tc.run})
			if !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %v with %q", err, tc.is, tc.want)
			}
		})
	}
}

// What is pending beyond activities, timers and children is described too, with how
// far the tables are and what the log has since.
func TestDescribeWhatElseIsPending(t *testing.T) {
	t.Parallel()
	pool, log := newTables(t), newLog(t, 1)
	store := storeOn(t, pool, pgstore.Config{})
	w := events.Workflow{Namespace: "shop", ID: "w"}
	charge := events.ActivityScheduled("a", "Charge")
	charge.GetActivityTaskScheduledEventAttributes().RetryPolicy = &commonpb.RetryPolicy{MaximumAttempts: 5}
	again := events.ActivityStarted(2, 2, "worker")
	again.GetActivityTaskStartedEventAttributes().LastFailure = events.Failure(fmt.Errorf("refused: %w", errors.New("no money")))
	if _, err := log.Append(t.Context(), events.Request{Workflow: w, Events: []*events.Event{
		events.WorkflowStarted("Order", "orders"), charge, again,
		{EventType: enumspb.EVENT_TYPE_NEXUS_OPERATION_SCHEDULED, Attributes: &historypb.HistoryEvent_NexusOperationScheduledEventAttributes{
			NexusOperationScheduledEventAttributes: &historypb.NexusOperationScheduledEventAttributes{Endpoint: "billing", Service: "invoices", Operation: "issue"},
		}},
		{EventType: enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUESTED, Attributes: &historypb.HistoryEvent_NexusOperationCancelRequestedEventAttributes{
			NexusOperationCancelRequestedEventAttributes: &historypb.NexusOperationCancelRequestedEventAttributes{ScheduledEventId: 4},
		}},
		events.UpdateAccepted("u", "add", 1),
		{EventType: enumspb.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED, Attributes: &historypb.HistoryEvent_SignalExternalWorkflowExecutionInitiatedEventAttributes{
			SignalExternalWorkflowExecutionInitiatedEventAttributes: &historypb.SignalExternalWorkflowExecutionInitiatedEventAttributes{
				SignalName: "wake", WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: "other"},
			},
		}},
	}}); err != nil {
		t.Fatal(err)
	}
	projectAll(t, log, store, 0)
	if _, err := log.Append(t.Context(), events.Request{Workflow: events.Workflow{Namespace: "shop", ID: "later"}, Events: []*events.Event{events.WorkflowStarted("Order", "orders")}}); err != nil {
		t.Fatal(err)
	}
	d, err := store.Describe(t.Context(), pgstore.DescribeQuery{Workflow: w})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.PendingActivities) != 1 || len(d.PendingNexusOperations) != 1 || len(d.PendingUpdates) != 1 || len(d.PendingExternalRequests) != 1 {
		t.Fatalf("%+v", d)
	}
	a, o, u, r := d.PendingActivities[0], d.PendingNexusOperations[0], d.PendingUpdates[0], d.PendingExternalRequests[0]
	got := []any{
		a.Attempt, a.MaximumAttempts, *a.LastFailure, a.LastFailureCauses,
		o.Endpoint, o.Service, o.Operation, o.Status, o.CancelRequested, u.UpdateID, u.UpdateName, u.Status, u.AcceptedEventID, r.Kind, r.Namespace, r.WorkflowID, r.SignalName,
		d.AsOf.Position, d.Lag == nil,
	}
	want := []any{
		int32(2), int32(5), "refused: no money",
		[]string{"no money"},
		"billing", "invoices", "issue", "Scheduled", true, "u", "add", "Accepted", int64(6), "Signal", "shop", "other", "wake",
		"0:1", true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	d.AskLag(t.Context(), log)
	if d.Lag == nil || d.Lag.Commits != 1 {
		t.Errorf("the lag is %+v", d.Lag)
	}
	d.Lag = nil
	d.AskLag(t.Context(), newLog(t, 1)) // another log cannot tell
	if d.Lag != nil {
		t.Errorf("by another log the lag is %+v", d.Lag)
	}
}
