package execution

import (
	"fmt"
	"slices"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	deploymentpb "go.temporal.io/api/deployment/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
)

func pinnedTo(deployment, build string) *workflowpb.VersioningOverride {
	return &workflowpb.VersioningOverride{Override: &workflowpb.VersioningOverride_Pinned{
		Pinned: &workflowpb.VersioningOverride_PinnedOverride{Version: &deploymentpb.WorkerDeploymentVersion{DeploymentName: deployment, BuildId: build}},
	}}
}

// What overrides a worker's word goes before it, for as long as it does.
func TestDeployment(t *testing.T) {
	byWorker := event(2, &historypb.WorkflowTaskCompletedEventAttributes{
		VersioningBehavior: enumspb.VERSIONING_BEHAVIOR_AUTO_UPGRADE,
		DeploymentVersion:  &deploymentpb.WorkerDeploymentVersion{DeploymentName: "orders", BuildId: "b1"},
	})
	once := &workflowpb.VersioningOverride{Override: &workflowpb.VersioningOverride_OneTime{OneTime: &workflowpb.VersioningOverride_OneTimeOverride{
		TargetDeploymentVersion: &deploymentpb.WorkerDeploymentVersion{DeploymentName: "orders", BuildId: "b1"},
	}}}
	for _, tc := range []struct {
		name     string
		override *workflowpb.VersioningOverride
		want     string
	}{
		{"the worker's own", nil, "orders:b1 AutoUpgrade"},
		{"pinned", pinnedTo("other", "b2"), "other:b2 Pinned"},
		{"pinned, as it was written before", &workflowpb.VersioningOverride{Behavior: enumspb.VERSIONING_BEHAVIOR_PINNED, PinnedVersion: "shop.other.b2"}, "shop.other:b2 Pinned"},
		{"always the newest", &workflowpb.VersioningOverride{Override: &workflowpb.VersioningOverride_AutoUpgrade{AutoUpgrade: true}}, "orders:b1 AutoUpgrade"},
		{"for one task, which is done", once, "orders:b1 AutoUpgrade"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			start := order()[0]
			s := fold(start, event(2, &historypb.WorkflowExecutionOptionsUpdatedEventAttributes{VersioningOverride: tc.override}), byWorker)
			d := s.Deployment()
			if got := d.Version() + " " + d.Behavior.String(); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
}

// The list of builds begins with what the run is bound to, has each once, and keeps
// the newest.
func TestBuildIDTags(t *testing.T) {
	start := order()[0]
	start.GetWorkflowExecutionStartedEventAttributes().SearchAttributes = &commonpb.SearchAttributes{IndexedFields: map[string]*commonpb.Payload{
		"BuildIds": {Data: []byte(`["assigned:b0","versioned:b0"]`)},
	}}
	s := fold(start)
	completed := func(build string) *historypb.WorkflowTaskCompletedEventAttributes {
		return &historypb.WorkflowTaskCompletedEventAttributes{WorkerVersion: &commonpb.WorkerVersionStamp{BuildId: build}}
	}
	s.Apply(event(2, completed("b1")))
	s.Apply(event(3, completed("b1")))
	if want := []string{"unversioned", "versioned:b0", "unversioned:b1"}; !slices.Equal(s.Worker.BuildIDTags, want) {
		t.Errorf("%q, want %q", s.Worker.BuildIDTags, want)
	}
	for i := range 2 * maxBuildIDs {
		s.Apply(event(int64(4+i), completed(fmt.Sprint("n", i))))
	}
	tags := s.Worker.BuildIDTags
	if len(tags) != maxBuildIDs || tags[0] != "unversioned" || tags[maxBuildIDs-1] != fmt.Sprint("unversioned:n", 2*maxBuildIDs-1) {
		t.Errorf("%d tags: %q", len(tags), tags)
	}
	s.Apply(event(99, &historypb.WorkflowExecutionOptionsUpdatedEventAttributes{VersioningOverride: pinnedTo("orders", "b9")}))
	if tags := s.Worker.BuildIDTags; tags[0] != "pinned:orders:b9" || slices.Contains(tags, "unversioned") {
		t.Errorf("pinned: %q", tags)
	}
}
