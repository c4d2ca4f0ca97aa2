package execution

import (
	"slices"

	commonpb "go.temporal.io/api/common/v1"

	"github.com/annals-io/annals/pkg/events"
)

func (s *State) optionsUpdated(e *events.Event, ch *Changes) {
	a := e.GetWorkflowExecutionOptionsUpdatedEventAttributes()
	switch {
	case a.GetUnsetVersioningOverride():
		s.VersioningOverride = nil
	case a.GetVersioningOverride() != nil:
		s.VersioningOverride = a.GetVersioningOverride()
	}
	if a.GetUnsetVersioningOverride() || a.GetVersioningOverride() != nil {
		s.tagBuildIDs(nil)
	}
	if p := a.GetPriority(); p != nil {
		s.Priority = p
	}
	s.AttachedRequestIDs = appendNew(s.AttachedRequestIDs, a.GetAttachedRequestId())
	s.CompletionCallbacks = appendCallbacks(s.CompletionCallbacks, a.GetAttachedCompletionCallbacks())
	for _, o := range a.GetWorkflowUpdateOptions() {
		s.updateOptionsUpdated(o.GetUpdateId(), o.GetAttachedRequestId(), o.GetAttachedCompletionCallbacks(), ch)
	}
}

// updateOptionsUpdated attaches a further caller to an update that is pending.
func (s *State) updateOptionsUpdated(id, request string, callbacks []*commonpb.Callback, ch *Changes) {
	u := s.pendingUpdate(id, UpdateAccepted)
	if u == nil {
		u = s.pendingUpdate(id, UpdateAdmitted)
	}
	if u == nil {
		s.missing()
		return
	}
	u = s.changeUpdate(u, ch)
	u.AttachedRequestIDs = appendNew(u.AttachedRequestIDs, request)
	u.CompletionCallbacks = appendCallbacks(u.CompletionCallbacks, callbacks)
}

func appendNew(list []string, id string) []string {
	if id == "" || slices.Contains(list, id) {
		return list
	}
	return append(list, id)
}

func appendCallbacks(list, more []*commonpb.Callback) []*commonpb.Callback {
	for _, c := range more {
		if c != nil {
			list = append(list, c)
		}
	}
	return list
}
