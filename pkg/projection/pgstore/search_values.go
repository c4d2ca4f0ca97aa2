package pgstore

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/pkg/execution"
	"github.com/annals-io/annals/pkg/searchattribute"
)

// typesOf is the type of a namespace's search attribute, if it has one; a type of a
// later version is 0, and ok.
type typesOf func(namespace, name string) (t searchattribute.Type, ok bool)

// predefined are the types that need no registration.
func predefined(_, name string) (searchattribute.Type, bool) { return searchattribute.Predefined(name) }

// noValues are the search values of a run without any.
const noValues = "{}"

// datetimeLayout makes the order of the texts that of the times.
const datetimeLayout = "2006-01-02T15:04:05.000000Z"

// searchValues are the search attributes of a run as their types have them, as JSON,
// and the names of those whose type nobody has said yet. A value that is none of its
// type is in neither.
func searchValues(s *execution.State, types typesOf) (values string, untyped []string, err error) {
	d := s.Deployment()
	if len(s.SearchAttributes) == 0 && s.Pause == nil && len(s.Worker.BuildIDTags) == 0 && len(s.Worker.BinaryChecksums) == 0 && d == (execution.Deployment{}) {
		return noValues, nil, nil
	}
	m := make(map[string]any, len(s.SearchAttributes)+4)
	for _, name := range slices.Sorted(maps.Keys(s.SearchAttributes)) { // in order, since two may be the same without their NULs
		t, ok := types(s.Workflow.Namespace, name)
		if !ok {
			untyped = append(untyped, name)
			continue
		}
		if v, ok := searchValue(t, s.SearchAttributes[name]); ok {
			m[text(name)] = v
		}
	}
	systemValues(m, s, d)
	values, err = encodeValues(m)
	return values, untyped, err
}

// systemValues are those that Temporal's server sets without an event.
func systemValues(m map[string]any, s *execution.State, d execution.Deployment) {
	list := func(name string, values []string) {
		if len(values) > 0 {
			m[name] = values
		}
	}
	list("BuildIds", s.Worker.BuildIDTags)
	list("BinaryChecksums", s.Worker.BinaryChecksums)
	list("TemporalUsedWorkerDeploymentVersions", s.Worker.UsedVersions)
	if d.Name != "" {
		m["TemporalWorkerDeployment"] = d.Name
	}
	if v := d.Version(); v != "" {
		m["TemporalWorkerDeploymentVersion"] = v
	}
	if d.Behavior != enumspb.VERSIONING_BEHAVIOR_UNSPECIFIED {
		m["TemporalWorkflowVersioningBehavior"] = d.Behavior.String()
	}
	if s.Pause != nil {
		info := []string{"Workflow:" + s.Workflow.ID}
		if s.Pause.Reason != "" {
			info = append(info, "Reason:"+s.Pause.Reason)
		}
		m["TemporalPauseInfo"] = info
	}
}

// encodeValues is values as a column can hold them.
func encodeValues(m map[string]any) (string, error) {
	if len(m) == 0 {
		return noValues, nil
	}
	b, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	return withoutNUL(b), nil
}

// searchValue is a value of a type as JSON has it, false where it does not fit.
func searchValue(t searchattribute.Type, p *commonpb.Payload) (any, bool) {
	v, ok := searchattribute.Fitting(t, p)
	if !ok {
		return nil, false
	}
	if at, isTime := v.(time.Time); isTime {
		if at.Year() < 0 || at.Year() > 9999 {
			return nil, false
		}
		return at.Format(datetimeLayout), true
	}
	return v, true
}

// durationOf is how long a closed run took from its execution time, in nanoseconds,
// or null.
func durationOf(s *execution.State) any {
	if s.Close == nil || s.ExecutionTime.IsZero() || s.Close.Time.IsZero() {
		return nil
	}
	return int64(s.Close.Time.Sub(s.ExecutionTime))
}
