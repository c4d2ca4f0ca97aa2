package searchattribute

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/annals-io/annals/pkg/events"
)

// MaxNameBytes bounds the name of an attribute.
const MaxNameBytes = 255

// reservedPrefix begins the names that are Temporal's own.
const reservedPrefix = "Temporal"

// system are the fields of every execution, which no attribute may be called.
var system = map[string]bool{
	"WorkflowId": true, "RunId": true, "WorkflowType": true, "StartTime": true, "ExecutionTime": true, "CloseTime": true, "ExecutionStatus": true,
	"TaskQueue": true, "HistoryLength": true, "HistorySizeBytes": true, "ExecutionDuration": true, "StateTransitionCount": true,
	"ParentWorkflowId": true, "ParentRunId": true, "RootWorkflowId": true, "RootRunId": true, "NamespaceId": true, "VisibilityTimestamp": true,
}

// predefined are the attributes that Temporal's SDKs and server write under names
// of their own: their types are known without a registration.
var predefined = map[string]Type{
	"TemporalChangeVersion":                KeywordList,
	"BinaryChecksums":                      KeywordList,
	"BuildIds":                             KeywordList,
	"BatcherNamespace":                     Keyword,
	"BatcherUser":                          Keyword,
	"TemporalScheduledStartTime":           Datetime,
	"TemporalScheduledById":                Keyword,
	"TemporalSchedulePaused":               Bool,
	"TemporalNamespaceDivision":            Keyword,
	"TemporalPauseInfo":                    KeywordList,
	"TemporalReportedProblems":             KeywordList,
	"TemporalWorkerDeployment":             Keyword,
	"TemporalWorkerDeploymentVersion":      Keyword,
	"TemporalWorkflowVersioningBehavior":   Keyword,
	"TemporalUsedWorkerDeploymentVersions": KeywordList,
	"TemporalExternalPayloadCount":         Int,
	"TemporalExternalPayloadSizeBytes":     Int,
}

// Predefined is the type of an attribute that needs no registration.
func Predefined(name string) (Type, bool) {
	t, ok := predefined[name]
	return t, ok
}

// PredefinedNames are the names of the attributes that need no registration, sorted.
func PredefinedNames() []string { return slices.Sorted(maps.Keys(predefined)) }

// CheckName refuses, as *events.InvalidError, a name that cannot be registered: it
// is empty, longer than 255 bytes, no UTF-8, holds control characters or a
// backquote (by which a filter writes a name), or is a system field's or Temporal's
// own.
func CheckName(name string) error {
	if err := events.CheckID("name", name, MaxNameBytes); err != nil {
		return err
	}
	_, known := predefined[name]
	switch {
	case strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || r == '`' }):
		return &events.InvalidError{Field: "name", Reason: "holds a control character or a backquote"}
	case system[name]:
		return &events.InvalidError{Field: "name", Reason: "is " + name + ", a field that every execution has"}
	case known || strings.HasPrefix(name, reservedPrefix):
		return &events.InvalidError{Field: "name", Reason: "is " + name + ", and such names are Temporal's own: they need no registration"}
	}
	return nil
}
