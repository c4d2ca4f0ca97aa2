package execution

import (
	"fmt"
	"slices"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	deploymentpb "go.temporal.io/api/deployment/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	sdkpb "go.temporal.io/api/sdk/v1"
)

func taskCases() []foldCase {
	scheduled, running := order()[:2], order()[:3]
	pending := &WorkflowTask{ScheduledEventID: 2, ScheduledTime: at(2), Attempt: 1, TaskQueue: "orders", StartToClose: 10 * time.Second}
	failedOnce := append(order()[:3:3], event(4, &historypb.WorkflowTaskFailedEventAttributes{ScheduledEventId: 2, StartedEventId: 3, Failure: failure("panic")}))
	return []foldCase{
		{
			name:   "pending from now",
			before: order()[:1],
			event:  order()[1],
			want:   func(s *State) { s.WorkflowTasks.Pending = pending },
		},
		{
			name:   "the pending one",
			before: scheduled,
			event:  order()[2],
			want: func(s *State) {
				p := *pending
				p.StartedEventID, p.StartedTime, p.Identity = 3, at(3), "worker-1"
				s.WorkflowTasks.Pending = &p
			},
		},
		{
			name:   "one that is not pending",
			before: scheduled,
			event:  event(3, &historypb.WorkflowTaskStartedEventAttributes{ScheduledEventId: 1}),
			want:   func(s *State) { s.Counts.MissingReferences = 1 },
		},
		{
			name:   "by a versioned worker",
			before: running,
			event: event(4, &historypb.WorkflowTaskCompletedEventAttributes{
				ScheduledEventId: 2, StartedEventId: 3, Identity: "worker-1",
				VersioningBehavior: enumspb.VERSIONING_BEHAVIOR_PINNED,
				DeploymentVersion:  &deploymentpb.WorkerDeploymentVersion{DeploymentName: "orders", BuildId: "b2"},
				WorkerVersion:      &commonpb.WorkerVersionStamp{BuildId: "older name of the same"},
				SdkMetadata:        &sdkpb.WorkflowTaskCompletedMetadata{SdkName: "temporal-go", SdkVersion: "1.30"},
			}),
			want: func(s *State) {
				s.WorkflowTasks = WorkflowTasks{LastCompletedEventID: 4, LastStartedEventID: 3}
				s.Counts.WorkflowTasksCompleted = 1
				s.Worker = Worker{
					BuildID: "b2", BuildIDs: []string{"b2"}, DeploymentName: "orders", Identity: "worker-1",
					VersioningBehavior: enumspb.VERSIONING_BEHAVIOR_PINNED, SDKName: "temporal-go", SDKVersion: "1.30",
					BuildIDTags: []string{"pinned:orders:b2", "unversioned:older name of the same"}, UsedVersions: []string{"orders:b2"},
				}
			},
		},
		{
			name:   "by a worker that names its version as one string",
			before: running,
			event: event(4, &historypb.WorkflowTaskCompletedEventAttributes{
				ScheduledEventId: 2, StartedEventId: 3, WorkerDeploymentName: "shop.orders", WorkerDeploymentVersion: "shop.orders.b2",
			}),
			want: func(s *State) {
				s.WorkflowTasks = WorkflowTasks{LastCompletedEventID: 4, LastStartedEventID: 3}
				s.Counts.WorkflowTasksCompleted = 1
				s.Worker = Worker{BuildID: "b2", BuildIDs: []string{"b2"}, DeploymentName: "shop.orders", BuildIDTags: []string{"unversioned"}, UsedVersions: []string{"shop.orders:b2"}}
			},
		},
		{
			name:   "a success ends the row of failures, and keeps the last one",
			before: append(failedOnce[:4:4], event(5, &historypb.WorkflowTaskScheduledEventAttributes{}), event(6, &historypb.WorkflowTaskStartedEventAttributes{ScheduledEventId: 5})),
			event:  event(7, &historypb.WorkflowTaskCompletedEventAttributes{ScheduledEventId: 5, StartedEventId: 6, BinaryChecksum: "sum"}),
			want: func(s *State) {
				s.WorkflowTasks = WorkflowTasks{LastCompletedEventID: 7, LastStartedEventID: 6, LastFailure: failure("panic")}
				s.Counts.WorkflowTasksCompleted = 1
				s.Worker = Worker{BuildID: "sum", BuildIDs: []string{"sum"}, BuildIDTags: []string{"unversioned"}, BinaryChecksums: []string{"sum"}}
			},
		},
		{
			name:   "which was never scheduled",
			before: order()[:1],
			event:  event(2, &historypb.WorkflowTaskCompletedEventAttributes{ScheduledEventId: 7, StartedEventId: 8}),
			want: func(s *State) {
				s.WorkflowTasks = WorkflowTasks{LastCompletedEventID: 2, LastStartedEventID: 8}
				s.Worker.BuildIDTags = []string{"unversioned"}
				s.Counts.WorkflowTasksCompleted = 1
				s.Counts.MissingReferences = 2
			},
		},
		{
			name:   "counts as a failure in a row",
			before: running,
			event:  event(4, &historypb.WorkflowTaskTimedOutEventAttributes{ScheduledEventId: 2, StartedEventId: 3, TimeoutType: enumspb.TIMEOUT_TYPE_START_TO_CLOSE}),
			want: func(s *State) {
				s.WorkflowTasks = WorkflowTasks{LastTimeoutType: enumspb.TIMEOUT_TYPE_START_TO_CLOSE, ConsecutiveFailures: 1}
				s.Counts.WorkflowTasksTimedOut = 1
			},
		},
		{
			name:   "with cause and failure",
			before: running,
			event: event(4, &historypb.WorkflowTaskFailedEventAttributes{
				ScheduledEventId: 2, StartedEventId: 3, Cause: enumspb.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR, Failure: failure("panic"),
			}),
			want: func(s *State) {
				s.WorkflowTasks = WorkflowTasks{
					LastFailureCause: enumspb.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR, LastFailure: failure("panic"), ConsecutiveFailures: 1,
				}
				s.Counts.WorkflowTasksFailed = 1
				s.LastFailure, s.LastFailureEventID = failure("panic"), 4
			},
		},
		{
			name:   "a reset is no failure",
			before: running,
			event: event(4, &historypb.WorkflowTaskFailedEventAttributes{
				ScheduledEventId: 2, StartedEventId: 3, Cause: enumspb.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW,
				Failure: failure("again"), BaseRunId: "run-0", NewRunId: "run-1", Identity: "ann",
			}),
			want: func(s *State) {
				s.WorkflowTasks = WorkflowTasks{}
				s.Counts.Resets = 1
				s.Reset = &Reset{EventID: 4, Time: at(4), BaseRunID: "run-0", NewRunID: "run-1", Reason: "again", Identity: "ann"}
			},
		},
	}
}

func TestBuildIDs(t *testing.T) {
	var w Worker
	for _, id := range []string{"b1", "b2", "", "b2", "b1"} {
		w.used(id)
	}
	if want := []string{"b2", "b1"}; !slices.Equal(w.BuildIDs, want) {
		t.Errorf("%q, want each once by its newest use: %q", w.BuildIDs, want)
	}
	for i := range 3 * maxBuildIDs {
		w.used(fmt.Sprint("n", i))
	}
	if len(w.BuildIDs) != maxBuildIDs || w.BuildIDs[maxBuildIDs-1] != fmt.Sprint("n", 3*maxBuildIDs-1) {
		t.Errorf("%d build ids, the newest %q", len(w.BuildIDs), w.BuildIDs[len(w.BuildIDs)-1])
	}
}

func TestBuildIDOf(t *testing.T) {
	for _, c := range []struct{ version, deployment, want string }{
		{"orders.b1", "orders", "b1"},
		{"shop.orders.b.1", "shop.orders", "b.1"},
		{"orders:b1", "orders", "b1"},
		{"__unversioned__", "orders", ""},
		{"orders", "orders", ""},
		{"ordersb1", "orders", ""},
		{"", "", ""},
	} {
		if got := buildIDOf(c.version, c.deployment); got != c.want {
			t.Errorf("build of %q in %q: %q, want %q", c.version, c.deployment, got, c.want)
		}
	}
}
