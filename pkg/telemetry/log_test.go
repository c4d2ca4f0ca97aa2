package telemetry_test

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"
	commonpb "go.temporal.io/api/common/v1"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/telemetry"
)

var order = events.Workflow{Namespace: "default", ID: "order-7"}

func start(id events.CommitID) events.Request {
	return events.Request{Workflow: order, CommitID: id, Events: []*events.Event{events.WorkflowStarted("Order", "orders"), events.Signaled("paid")}}
}

// Each way in which an append ends is counted under its name, and nothing else is.
func TestAppendsByOutcome(t *testing.T) {
	var lossy atomic.Bool
	var meanwhile func() // done once, while an append is under way
	plain := newLog(t, memlog.Config{Limits: events.Limits{CommitBytes: 2000}, AppendTimeout: 50 * time.Millisecond, MaxInFlightCommits: 1, Hook: func(memlog.Op) (bool, error) {
		if do := meanwhile; do != nil {
			meanwhile = nil
			do()
		}
		if lossy.Load() {
			return false, errors.New("lost")
		}
		return true, nil
	}})
	m := newMeters(t)
	log := measured(t, plain, m.Providers)
	try := func(r events.Request, want error) {
		t.Helper()
		if _, err := log.Append(t.Context(), r); !errors.Is(err, want) {
			t.Fatalf("got %v, want %v", err, want)
		}
	}
	signal := func(n int, e events.Expectation, id events.CommitID) events.Request {
		return events.Request{Workflow: order, Expect: e, CommitID: id, Events: []*events.Event{events.Signaled("s", make([]byte, n))}}
	}
	try(start("c1"), nil)
	try(start("c1"), nil)
	try(start("c2"), events.ErrConflict)
	try(signal(0, events.NewRun(), ""), events.ErrInvalid)
	try(signal(3000, events.AtEnd(), ""), events.ErrLimit)
	meanwhile = func() { try(signal(0, events.AtEnd(), ""), events.ErrOverloaded) }
	try(signal(0, events.AtEnd(), "c3"), nil)
	try(signal(1, events.AtEnd(), "c3"), events.ErrCommitIDReused)
	none := signal(0, events.AtEnd(), "")
	none.Workflow.ID = "none"
	try(none, events.ErrNotFound)
	foreign := signal(0, events.AtEnd(), "")
	foreign.Workflow.ID = "foreign"
	plain.Put(plain.Identity().Map.Partition(foreign.Workflow.Slot()), foreign.Workflow.Subject(), nil, []byte("hello"))
	try(foreign, events.ErrCorrupt)
	elsewhere, err := newLog(t, memlog.Config{}).Append(t.Context(), start(""))
	if err != nil {
		t.Fatal(err)
	}
	try(signal(0, events.After(elsewhere.Cursor), ""), events.ErrWrongLog)
	lossy.Store(true)
	try(signal(0, events.AtEnd(), ""), events.ErrOutcomeUnknown)
	lossy.Store(false)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = log.Append(canceled, none)
	if err == nil {
		t.Fatal("an append was made after its context's end")
	}
	try(events.Request{Workflow: order, Expect: events.AtEnd(), Events: []*events.Event{events.WorkflowCompleted()}}, nil)
	try(signal(0, events.AtEnd(), ""), events.ErrClosed)

	got := m.figures(t)
	want := map[string]float64{"annals.append.events": 4}
	for how, n := range map[string]float64{
		"stored": 3, "existed": 1, "conflict": 1, "invalid": 1, "limit": 1, "commit_id_reused": 1, "not_found": 1,
		"corrupt": 1, "wrong_log": 1, "unknown": 1, "closed": 1, "overloaded": 1,
	} {
		want["annals.appends{outcome="+how+"}"], want["annals.append.duration{outcome="+how+"}"] = n, n
	}
	// What the log makes of an ended context is its own affair; it is counted once.
	for _, how := range []string{"not_found", "unavailable", "error"} {
		for _, name := range []string{"annals.appends", "annals.append.duration"} {
			key := name + "{outcome=" + how + "}"
			if n := got[key]; n > want[key] {
				want[key]++
			}
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// Each way in which a heartbeat ends is counted under its name, without a label
// that names anything, and is a span.
func TestHeartbeatsByOutcome(t *testing.T) {
	var lossy atomic.Bool
	plain := newLog(t, memlog.Config{Limits: events.Limits{CommitBytes: 2000}, AppendTimeout: 50 * time.Millisecond, Hook: func(memlog.Op) (bool, error) {
		if lossy.Load() {
			return false, errors.New("lost")
		}
		return true, nil
	}})
	m := newMeters(t)
	log := measured(t, plain, m.Providers)
	ctx := t.Context()
	h := events.Heartbeat{Activity: events.Activity{Workflow: order, RunID: "r", ID: "a"}, Attempt: 2}
	record := func(attempt int32, newest bool, want error) {
		t.Helper()
		h.Attempt = attempt
		if got, err := log.RecordHeartbeat(ctx, h); got != newest || !errors.Is(err, want) {
			t.Fatalf("got %t, %v", got, err)
		}
	}
	record(2, true, nil)
	record(3, true, nil)
	record(1, false, nil)
	record(0, false, events.ErrInvalid)
	h.Details = &commonpb.Payloads{Payloads: []*commonpb.Payload{{Data: make([]byte, 3000)}}}
	record(4, false, events.ErrLimit)
	h.Details = nil
	lossy.Store(true)
	record(4, false, events.ErrOutcomeUnknown)
	lossy.Store(false)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	ctx = ended
	record(4, false, events.ErrUnavailable)
	ctx = t.Context()
	h.Activity.ID = "foreign"
	plain.PutHeartbeat(h.Activity.HeartbeatSubject(), nil, []byte("hello"))
	record(4, false, events.ErrCorrupt)
	want := map[string]float64{
		"annals.heartbeats{outcome=newest}": 2, "annals.heartbeats{outcome=older}": 1, "annals.heartbeats{outcome=invalid}": 1, "annals.heartbeats{outcome=limit}": 1,
		"annals.heartbeats{outcome=unknown}": 1, "annals.heartbeats{outcome=unavailable}": 1, "annals.heartbeats{outcome=corrupt}": 1,
	}
	if d := cmp.Diff(want, m.figures(t)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	var outcomes []string
	faults := 0
	for _, s := range m.spans.Ended() {
		for _, kv := range s.Attributes() {
			if kv.Key == "annals.outcome" && s.Name() == "record heartbeat" {
				outcomes = append(outcomes, kv.Value.AsString())
			}
		}
		// What the caller did wrong is an answer and no fault.
		if s.Status().Code == codes.Error {
			faults++
		}
	}
	if faults != 3 {
		t.Errorf("%d spans of faults, want those of an unknown outcome, of a log that is unavailable and of one that is corrupt", faults)
	}
	if d := cmp.Diff([]string{"newest", "newest", "older", "invalid", "limit", "unknown", "unavailable", "corrupt"}, outcomes); d != "" {
		t.Errorf("spans (-want +got)\n%s", d)
	}
}

// Twelve milliseconds are not "under five seconds".
func TestBoundsFitSeconds(t *testing.T) {
	m := newMeters(t)
	log := measured(t, newLog(t, memlog.Config{}), m.Providers)
	if _, err := log.Append(t.Context(), start("")); err != nil {
		t.Fatal(err)
	}
	for _, metric := range m.collect(t) {
		if metric.Name != "annals.append.duration" {
			continue
		}
		bounds := metric.Data.(metricdata.Histogram[float64]).DataPoints[0].Bounds
		if metric.Unit != "s" || len(bounds) < 10 || bounds[0] > .001 || bounds[len(bounds)-1] > 60 {
			t.Errorf("unit %q, bounds %v", metric.Unit, bounds)
		}
		return
	}
	t.Error("there is no annals.append.duration")
}

const remote = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// called is a context as a call with a trace context has it.
func called(t *testing.T) context.Context {
	t.Helper()
	return propagation.TraceContext{}.Extract(t.Context(), propagation.MapCarrier{"traceparent": remote})
}

// stored is the traceparent of a workflow's only commit.
func stored(t *testing.T, l events.Log) string {
	t.Helper()
	var all []string
	for c, err := range l.Commits(t.Context(), order) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c.Traceparent)
	}
	if len(all) != 1 {
		t.Fatalf("%d commits", len(all))
	}
	return all[0]
}

// The span of an append is in the trace of its caller, and in the commit.
func TestTraceContextIsStored(t *testing.T) {
	m := newMeters(t)
	plain := newLog(t, memlog.Config{})
	result, err := measured(t, plain, m.Providers).Append(called(t), start(""))
	if err != nil {
		t.Fatal(err)
	}
	span := m.span(t, "append")
	if got := span.Parent().SpanID().String(); got != "b7ad6b7169203331" || !span.Parent().IsRemote() {
		t.Errorf("the parent is %s", got)
	}
	sc := span.SpanContext()
	if got, want := stored(t, plain), "00-0af7651916cd43dd8448eb211c80319c-"+sc.SpanID().String()+"-01"; got != want {
		t.Errorf("the commit has %q, want %q", got, want)
	}
	attributes := map[string]string{}
	for _, kv := range span.Attributes() {
		attributes[string(kv.Key)] = kv.Value.String()
	}
	want := map[string]string{
		"annals.namespace": "default", "annals.workflow": "order-7", "annals.outcome": "stored", "annals.events": "2",
		"annals.run": string(result.RunID), "annals.position": result.Position.String(),
	}
	if d := cmp.Diff(want, attributes); d != "" || span.SpanKind() != trace.SpanKindProducer {
		t.Errorf("kind %s (-want +got)\n%s", span.SpanKind(), d)
	}
}

// Without a tracer the caller's context is handed on, and without a caller there
// is none.
func TestTraceContextWithoutTracer(t *testing.T) {
	for want, ctx := range map[string]context.Context{remote: called(t), "": t.Context()} {
		plain := newLog(t, memlog.Config{})
		if _, err := measured(t, plain, telemetry.Providers{}).Append(ctx, start("")); err != nil {
			t.Fatal(err)
		}
		if got := stored(t, plain); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// A traceparent that the caller gave stays.
func TestTraceContextOfTheRequest(t *testing.T) {
	plain := newLog(t, memlog.Config{})
	r := start("")
	r.Traceparent = remote
	if _, err := measured(t, plain, newMeters(t).Providers).Append(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if got := stored(t, plain); got != remote {
		t.Errorf("got %q", got)
	}
}

// Reads are spans; a reader that stops early ends its span too. What has to be
// expected is no fault.
func TestReads(t *testing.T) {
	m := newMeters(t)
	log := measured(t, newLog(t, memlog.Config{}), m.Providers)
	if _, err := log.Append(t.Context(), start("")); err != nil {
		t.Fatal(err)
	}
	for range log.Read(t.Context(), order, events.ReadOptions{}) {
		break
	}
	for range log.Commits(t.Context(), order) {
	}
	for _, err := range log.Commits(t.Context(), events.Workflow{Namespace: "default", ID: "none"}) {
		if !errors.Is(err, events.ErrNotFound) {
			t.Fatal(err)
		}
	}
	if s := m.span(t, "read history"); s.Status().Code == codes.Error {
		t.Errorf("got %v", s.Status())
	}
	spans := 0
	for _, s := range m.spans.Ended() {
		if s.Name() == "read commits" {
			spans++
			if s.Status().Code == codes.Error {
				t.Errorf("got %v", s.Status())
			}
		}
	}
	if spans != 2 || len(m.spans.Started()) != len(m.spans.Ended()) {
		t.Errorf("%d spans of commits, %d begun, %d ended", spans, len(m.spans.Started()), len(m.spans.Ended()))
	}
}

// What it costs to be measured by nobody.
func BenchmarkAppend(b *testing.B) {
	plain, err := memlog.New(memlog.Config{})
	if err != nil {
		b.Fatal(err)
	}
	wrapped, err := telemetry.Log(plain, telemetry.Providers{})
	if err != nil {
		b.Fatal(err)
	}
	workflows := 0
	for _, c := range []struct {
		name string
		log  events.Log
	}{{"plain", plain}, {"no provider", wrapped}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			r := start("")
			for b.Loop() {
				workflows++
				r.Workflow.ID = strconv.Itoa(workflows)
				if _, err := c.log.Append(b.Context(), r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
