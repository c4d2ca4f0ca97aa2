package execution

import (
	"encoding/json"
	"slices"
	"strings"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
)

// Deployment is the code that a run is meant to be run by, as far as events tell:
// what overrides the workers' own word included. Zero fields are unknown.
type Deployment struct {
	Name     string
	BuildID  string
	Behavior enumspb.VersioningBehavior
}

// Version is the deployment's and the build's name, "deployment:build" as Temporal
// writes it; empty where no build is known.
func (d Deployment) Version() string {
	if d.BuildID == "" {
		return ""
	}
	return d.Name + ":" + d.BuildID
}

// Deployment is what Temporal keeps as TemporalWorkerDeployment and the attributes
// beside it.
func (s *State) Deployment() Deployment {
	d := Deployment{Name: s.Worker.DeploymentName, Behavior: s.Worker.VersioningBehavior}
	if d.Behavior != enumspb.VERSIONING_BEHAVIOR_UNSPECIFIED {
		d.BuildID = s.Worker.BuildID
	}
	o := s.VersioningOverride
	if o == nil {
		return d
	}
	if d.Behavior = overridingBehavior(o); d.Behavior == enumspb.VERSIONING_BEHAVIOR_PINNED {
		if name, build := overridingVersion(o); build != "" {
			d.Name, d.BuildID = name, build
		}
	}
	return d
}

func overridingBehavior(o *workflowpb.VersioningOverride) enumspb.VersioningBehavior {
	switch {
	case o.GetAutoUpgrade():
		return enumspb.VERSIONING_BEHAVIOR_AUTO_UPGRADE
	case o.GetPinned() != nil, o.GetOneTime() != nil:
		return enumspb.VERSIONING_BEHAVIOR_PINNED
	default:
		return o.GetBehavior()
	}
}

// overridingVersion is the deployment and build that an override names. The API has
// renamed these fields several times; the newest that is set wins.
func overridingVersion(o *workflowpb.VersioningOverride) (name, build string) {
	if v := o.GetOneTime().GetTargetDeploymentVersion(); v != nil {
		return v.GetDeploymentName(), v.GetBuildId()
	}
	if v := o.GetPinned().GetVersion(); v != nil {
		return v.GetDeploymentName(), v.GetBuildId()
	}
	if v := o.GetPinnedVersion(); v != "" {
		if i := strings.LastIndexAny(v, ".:"); i >= 0 {
			return v[:i], v[i+1:]
		}
	}
	return o.GetDeployment().GetSeriesName(), o.GetDeployment().GetBuildId()
}

const (
	buildIDsAttribute        = "BuildIds"
	binaryChecksumsAttribute = "BinaryChecksums"
	usedVersionsAttribute    = "TemporalUsedWorkerDeploymentVersions"

	unversionedTag = "unversioned"
	pinnedTag      = "pinned:"
	assignedTag    = "assigned:"
)

// resumeVersioning takes what the run before had, which its start event carries as
// search attributes.
func (s *State) resumeVersioning() {
	s.Worker.BuildIDTags = keywords(s.SearchAttributes[buildIDsAttribute])
	s.Worker.BinaryChecksums = keywords(s.SearchAttributes[binaryChecksumsAttribute])
	s.Worker.UsedVersions = keywords(s.SearchAttributes[usedVersionsAttribute])
}

// keywords are those of a search attribute that is a list of them.
func keywords(p *commonpb.Payload) []string {
	var list []string
	if p == nil || json.Unmarshal(p.Data, &list) != nil || len(list) == 0 {
		return nil
	}
	return list[max(0, len(list)-maxBuildIDs):]
}

// versioned keeps what Temporal keeps of versions when a workflow task has completed.
func (s *State) versioned(a *historypb.WorkflowTaskCompletedEventAttributes) {
	w := &s.Worker
	if target := s.VersioningOverride.GetOneTime().GetTargetDeploymentVersion(); target != nil &&
		w.BuildID == target.GetBuildId() && w.DeploymentName == target.GetDeploymentName() {
		s.VersioningOverride = nil // for one time: this was it
	}
	if sum := a.GetBinaryChecksum(); sum != "" {
		w.BinaryChecksums = among(w.BinaryChecksums, sum)
	}
	if w.DeploymentName != "" && w.BuildID != "" && (a.GetDeploymentVersion() != nil || a.GetWorkerDeploymentVersion() != "" || a.GetDeployment() != nil) {
		w.UsedVersions = among(w.UsedVersions, w.DeploymentName+":"+w.BuildID)
	}
	s.tagBuildIDs(a.GetWorkerVersion())
}

// tagBuildIDs makes Temporal's list of builds: first whether the run is bound to
// none or to one, then those that it was run by.
func (s *State) tagBuildIDs(stamp *commonpb.WorkerVersionStamp) {
	d := s.Deployment()
	first := ""
	switch {
	case d.Behavior == enumspb.VERSIONING_BEHAVIOR_PINNED:
		first = pinnedTag + d.Version()
	case d.Behavior == enumspb.VERSIONING_BEHAVIOR_UNSPECIFIED && !stamp.GetUseVersioning():
		first = unversionedTag
	}
	used := ""
	switch {
	case stamp.GetBuildId() == "":
	case stamp.GetUseVersioning():
		used = "versioned:" + stamp.GetBuildId()
	default:
		used = unversionedTag + ":" + stamp.GetBuildId()
	}
	old := s.Worker.BuildIDTags
	if len(old) > 0 && old[0] == first && (used == "" || slices.Contains(old[1:], used)) {
		return // as nearly always
	}
	var tags []string
	if first != "" {
		tags = append(tags, first)
	}
	for _, tag := range old {
		if tag != unversionedTag && !strings.HasPrefix(tag, pinnedTag) && !strings.HasPrefix(tag, assignedTag) && tag != used {
			tags = append(tags, tag)
		}
	}
	if used != "" {
		tags = append(tags, used)
	}
	if n := len(tags) - maxBuildIDs; n > 0 {
		at := 0
		if first != "" {
			at = 1
		}
		tags = slices.Delete(tags, at, at+n)
	}
	s.Worker.BuildIDTags = tags
}

// among is a list with s in it, of which the newest maxBuildIDs are kept.
func among(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	list = append(list, s)
	return slices.Delete(list, 0, max(0, len(list)-maxBuildIDs))
}
