package replay

import (
	commandpb "go.temporal.io/api/command/v1"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution"
)

// DefaultVersion is the version of code that ran before the change was made.
const DefaultVersion = -1

// The names of what is in version markers: of Go's and Java's SDKs, and of those on the
// Rust core.
const (
	changeKey     = "change-id"
	changeKeyJava = "changeId"
	versionKey    = "version"
	patchKey      = "patch-data"
)

// VersionMarker is the event by which a run records that it takes a version of a
// change of its code, as Temporal's Go SDK writes it.
func VersionMarker(change string, version int) *events.Event {
	e := events.Custom(execution.VersionMarker, nil)
	details := map[string]*commonpb.Payloads{}
	for key, v := range map[string]any{changeKey: change, versionKey: version} {
		p, err := events.Payloads(v)
		if err != nil { // a string and a number have a payload
			panic(err)
		}
		details[key] = p
	}
	e.GetMarkerRecordedEventAttributes().Details = details
	return e
}

// Version is the version of a change that code has to take in a task: the one
// that the run has recorded; before the change, DefaultVersion, if the task was
// decided without; else newest, and the marker that records it, which code MUST
// issue before what it does differently. The marker is nil where there is none
// to issue: those of earlier tasks and of the task that is repeated are there,
// and need not be issued again, though they may.
func (t Task) Version(change string, newest int) (version int, marker *Command) {
	if v, ok := t.Versions[change]; ok {
		return v, nil
	}
	if t.Recorded {
		return DefaultVersion, nil
	}
	return newest, CommandOf(VersionMarker(change, newest))
}

// RecordedVersion is which version of which change an event records, if it is a
// version marker: of Temporal's Go and Java SDKs, or, as version 1, of the SDKs on
// its Rust core. A marker whose details are encrypted records nothing that can
// be read.
func RecordedVersion(e *events.Event) (change string, version int, ok bool) {
	a := e.GetMarkerRecordedEventAttributes()
	return versionOf(a.GetMarkerName(), a.GetDetails())
}

// versionOf is what a version marker's details say. Other payloads are never
// read; one that is encrypted says nothing.
func versionOf(name string, details map[string]*commonpb.Payloads) (change string, version int, ok bool) {
	switch name {
	case execution.VersionMarker:
		if !read(firstOfKeys(details, changeKey, changeKeyJava), &change) || !read(details[versionKey], &version) {
			return "", 0, false
		}
		return change, version, true
	case execution.PatchMarker:
		var patch struct{ ID string }
		if read(details[patchKey], &patch) && patch.ID != "" {
			return patch.ID, 1, true
		}
	}
	return "", 0, false
}

func firstOfKeys(details map[string]*commonpb.Payloads, keys ...string) *commonpb.Payloads {
	for _, k := range keys {
		if p := details[k]; p != nil {
			return p
		}
	}
	return nil
}

func read(p *commonpb.Payloads, into any) bool {
	return len(p.GetPayloads()) == 1 && events.Value(p.GetPayloads()[0], into) == nil
}

// noteVersion adds what a marker records.
func noteVersion(versions map[string]int, e *events.Event) {
	if change, v, ok := RecordedVersion(e); ok {
		versions[change] = v
	}
}

// recordsVersion says whether a command is about versions only: such a marker,
// or the search attribute that lists them.
func recordsVersion(c *Command) bool {
	switch c.GetCommandType() {
	case enumspb.COMMAND_TYPE_RECORD_MARKER:
		return execution.IsVersionMarker(c.GetRecordMarkerCommandAttributes().GetMarkerName())
	case enumspb.COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
		fields := c.GetUpsertWorkflowSearchAttributesCommandAttributes().GetSearchAttributes().GetIndexedFields()
		return len(fields) == 1 && fields[execution.ChangeVersionAttribute] != nil
	}
	return false
}

// commandVersion is what a command's version marker records.
func commandVersion(a *commandpb.RecordMarkerCommandAttributes) (change string, version int, ok bool) {
	return versionOf(a.GetMarkerName(), a.GetDetails())
}
