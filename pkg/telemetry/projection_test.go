package telemetry_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/telemetry"
)

// A batch is a span of its own that is linked to what produced its commits, and
// is counted; the lag before it and after it is right.
func TestProjection(t *testing.T) {
	m := newMeters(t)
	plain := newLog(t, memlog.Config{})
	tables := newTables(t)
	log := measured(t, plain, m.Providers)
	stop, err := telemetry.Lag(m.Providers, plain, tables.Checkpoints)
	if err != nil {
		t.Fatal(err)
	}
	at := plain.Identity().Map.Partition(order.Slot())
	if _, err := log.Append(t.Context(), start("")); err != nil {
		t.Fatal(err)
	}
	last, err := log.Append(t.Context(), events.Request{Workflow: order, Expect: events.AtEnd(), Events: []*events.Event{events.Signaled("s")}})
	if err != nil {
		t.Fatal(err)
	}
	// One commit without a trace.
	untraced, err := plain.Append(t.Context(), events.Request{Workflow: order, Expect: events.After(last.Cursor), Events: []*events.Event{events.Signaled("s")}})
	if err != nil {
		t.Fatal(err)
	}

	this, that := "{partition="+name(at)+"}", "{partition="+name(1-at)+"}"
	before := m.figures(t)
	if before["annals.projection.lag.commits"+this] != 3 || before["annals.projection.lag"+this] <= 0 {
		t.Errorf("before: %v", before)
	}
	if n, known := before["annals.projection.lag.commits"+that]; !known || n != 0 || before["annals.projection.lag"+that] != 0 {
		t.Errorf("the other partition, before: %v", before)
	}

	target, err := telemetry.Target(tables, m.Providers)
	if err != nil {
		t.Fatal(err)
	}
	p, err := projection.New(plain, target, projection.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	stopStatus, err := telemetry.Projector(m.Providers, p.Status)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	if err := tables.WaitFor(t.Context(), untraced.Vector()); err != nil {
		t.Fatal(err)
	}

	after := m.figures(t)
	if n, known := after["annals.projection.lag.commits"+this]; !known || n != 0 || after["annals.projection.lag"+this] != 0 {
		t.Errorf("after: %v", after)
	}
	if n, known := after["annals.projection.stopped"+this]; !known || n != 0 {
		t.Errorf("it has not stopped: %v", after)
	}

	// A message that is no commit is quarantined.
	plain.Put(at, order.Subject(), nil, []byte("hello"))
	deadline := time.Now().Add(time.Minute)
	for m.figures(t)["annals.projection.quarantined"+this] != 1 {
		if time.Now().After(deadline) {
			t.Fatal("it was not quarantined, or that was not said")
		}
	}
	after = m.figures(t)
	if after["annals.projection.quarantined"+that] != 0 || after["annals.projection.stopped"+this] != 0 || after["annals.projection.lag.commits"+this] != 0 {
		t.Errorf("quarantined: %v", after)
	}
	if after["annals.projection.quarantined.commits"+this] != 1 || after["annals.projection.quarantines{kind=foreign,partition="+name(at)+"}"] != 1 {
		t.Errorf("quarantined: %v", after)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}

	end := m.figures(t)
	links := map[trace.SpanID]int{}
	batches := 0.0
	for _, s := range m.spans.Ended() {
		if s.Name() != "project batch" {
			continue
		}
		batches++
		if s.Parent().IsValid() || s.SpanKind() != trace.SpanKindConsumer || !s.StartTime().Before(s.EndTime()) {
			t.Errorf("a batch with parent %v, kind %s, from %s to %s", s.Parent(), s.SpanKind(), s.StartTime(), s.EndTime())
		}
		for _, l := range s.Links() {
			links[l.SpanContext.SpanID()]++
		}
	}
	produced := 0
	for _, s := range m.spans.Ended() {
		if s.Name() == "append" {
			produced++
			if links[s.SpanContext().SpanID()] != 1 {
				t.Errorf("%d batches are linked to an append, want 1", links[s.SpanContext().SpanID()])
			}
		}
	}
	if produced != 2 || len(links) != 2 {
		t.Errorf("%d appends, %d links, want 2 and 2", produced, len(links))
	}
	if end["annals.projection.events"+this] != 4 || end["annals.projection.batch.commits"] != batches || end["annals.projection.batch.duration{outcome=written}"] != batches {
		t.Errorf("%g batches: %v", batches, end)
	}

	// What was stopped is measured no more.
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if err := stopStatus(); err != nil {
		t.Fatal(err)
	}
	for key := range m.figures(t) {
		if key == "annals.projection.lag"+this || key == "annals.projection.stopped"+this {
			t.Errorf("%s is measured after its end", key)
		}
	}
}

// For how long a partition has waited is measured while it does, and not once it has stopped.
func TestWaitingPartitions(t *testing.T) {
	m := newMeters(t)
	since := time.Now().Add(-time.Hour)
	stop, err := telemetry.Projector(m.Providers, func() []projection.PartitionStatus {
		return []projection.PartitionStatus{
			{Phase: projection.PhaseFollowing}, {Phase: projection.PhaseWaiting, Since: since}, {Phase: projection.PhaseStopped, Since: since},
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	got := m.figures(t)
	if n, known := got["annals.projection.waiting{partition=0}"]; !known || n != 0 {
		t.Errorf("one that follows: %v", got)
	}
	if n := got["annals.projection.waiting{partition=1}"]; n < 3600 || n > 4000 {
		t.Errorf("one that has waited for an hour: %v", got)
	}
	if n := got["annals.projection.waiting{partition=2}"]; n != 0 {
		t.Errorf("one that has stopped: %v", got)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func name(p events.Partition) string { return string(rune('0' + p)) }

// A batch that another projector was before is counted as such.
func TestFencedBatch(t *testing.T) {
	m := newMeters(t)
	log := newLog(t, memlog.Config{})
	target, err := telemetry.Target(newTables(t), m.Providers)
	if err != nil {
		t.Fatal(err)
	}
	result, err := log.Append(t.Context(), start(""))
	if err != nil {
		t.Fatal(err)
	}
	at := result.Position.Partition
	c, err := target.Checkpoint(t.Context(), log.Identity(), at)
	if err != nil {
		t.Fatal(err)
	}
	message, err := log.Message(t.Context(), result.Position)
	if err != nil {
		t.Fatal(err)
	}
	commit, err := projection.Decode(message)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"written", "fenced"} {
		batch, err := target.Folder(c).Fold(t.Context(), []projection.Commit{commit})
		if err != nil {
			t.Fatal(err)
		}
		if err := batch.Write(t.Context()); (err != nil) != (i > 0) {
			t.Fatal(err)
		}
		if got := m.figures(t)["annals.projection.batch.duration{outcome="+want+"}"]; got != 1 {
			t.Errorf("%s: %g", want, got)
		}
	}
	if got := m.figures(t)["annals.projection.events{partition="+name(at)+"}"]; got != 2 {
		t.Errorf("%g events were written, want those of one batch: 2", got)
	}
}
