package replay_test

import (
	"context"
	"testing"

	commonpb "go.temporal.io/api/common/v1"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/replay"
)

// Markers as SDKs write them.
func TestRecordedVersion(t *testing.T) {
	t.Parallel()
	marker := func(name string, details map[string]any) *events.Event {
		e := events.Custom(name, nil)
		d := map[string]*commonpb.Payloads{}
		for k, v := range details {
			p, err := events.Payloads(v)
			if err != nil {
				t.Fatal(err)
			}
			d[k] = p
		}
		e.GetMarkerRecordedEventAttributes().Details = d
		return e
	}
	encrypted := marker("Version", map[string]any{"change-id": "fee", "version": 3})
	encrypted.GetMarkerRecordedEventAttributes().Details["version"].Payloads[0].Metadata["encoding"] = []byte("binary/encrypted")
	for _, tt := range []struct {
		name    string
		event   *events.Event
		change  string
		version int
	}{
		{"ours", replay.VersionMarker("fee", 3), "fee", 3},
		{"Go's", marker("Version", map[string]any{"change-id": "fee", "version": 3, "version-search-attribute-updated": true}), "fee", 3},
		{"Java's", marker("Version", map[string]any{"changeId": "fee", "version": 2}), "fee", 2},
		{"the core's", marker("core_patch", map[string]any{"patch-data": map[string]any{"id": "fee", "deprecated": false}}), "fee", 1},
		{"an encrypted one", encrypted, "", 0},
		{"a side effect", marker("SideEffect", map[string]any{"data": 1}), "", 0},
		{"no marker", events.Signaled("Version"), "", 0},
		{"one that says nothing", marker("Version", nil), "", 0},
	} {
		change, version, ok := replay.RecordedVersion(tt.event)
		if change != tt.change || version != tt.version || ok != (tt.change != "") {
			t.Errorf("%s: %q %d %t", tt.name, change, version, ok)
		}
	}
}

// Code that asks for a version: in a task of before the change, in one that
// recorded it, in a new one.
func TestVersion(t *testing.T) {
	t.Parallel()
	code := func(_ context.Context, task replay.Task) ([]*replay.Command, error) {
		kind := "Charge"
		version, marker := task.Version("by-invoice", 2)
		if version == 2 {
			kind = "Invoice"
		}
		var all []*replay.Command
		if marker != nil {
			all = append(all, marker)
		}
		return append(all, replay.CommandOf(events.ActivityScheduled("a", kind))), nil
	}
	start := func() *events.Event { return events.WorkflowStarted("Order", "orders") }
	for _, tt := range []struct {
		name    string
		history []*events.Event
		agrees  bool
		ahead   int
	}{
		{"before the change", withTasks(start(), decided{events.ActivityScheduled("a", "Charge")}), true, 0},
		{"with it", withTasks(start(), decided{replay.VersionMarker("by-invoice", 2), events.ActivityScheduled("a", "Invoice")}), true, 0},
		{"with it, and without the version", withTasks(start(), decided{events.ActivityScheduled("a", "Invoice")}), false, 0},
		{"a new one", withTasks(start()), true, 2},
	} {
		report, err := replay.CheckHistory(t.Context(), order, "r", sequence(tt.history), code, replay.CheckOptions{})
		if err != nil || report.Agrees() != tt.agrees || len(report.Ahead) != tt.ahead {
			t.Errorf("%s: %v, ahead %v, %v", tt.name, report, report.Ahead, err)
		}
	}
	// One that says that it takes a version which the run has not recorded.
	eager := func(context.Context, replay.Task) ([]*replay.Command, error) {
		return replay.CommandsOf(replay.VersionMarker("by-invoice", 2), events.ActivityScheduled("a", "Charge")), nil
	}
	report, err := replay.CheckHistory(t.Context(), order, "r", sequence(withTasks(start(), decided{events.ActivityScheduled("a", "Charge")})), eager, replay.CheckOptions{})
	if err != nil || report.Agrees() || report.Mismatch.Reason != "the run has not recorded this version" {
		t.Errorf("%v, %v", report, err)
	}
}
