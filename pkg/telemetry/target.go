package telemetry

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/annals-io/annals/pkg/projection"
)

// maxLinks is how many producers a batch's span names: as many as OpenTelemetry's
// SDK keeps by default.
const maxLinks = 128

// Target is t, with its batches measured. It fails if the meter takes no such
// instruments.
func Target(t projection.Target, p Providers) (projection.Target, error) {
	m := p.meter()
	var errs [3]error
	w := &measuredTarget{Target: t, tracer: p.tracer()}
	w.events, errs[0] = m.Int64Counter("annals.projection.events", metric.WithUnit("{event}"),
		metric.WithDescription("Events whose rows were written."))
	w.duration, errs[1] = m.Float64Histogram("annals.projection.batch.duration", metric.WithUnit("s"), Seconds,
		metric.WithDescription("How long batches took to fold and write, by how they ended."))
	w.size, errs[2] = m.Int64Histogram("annals.projection.batch.commits", metric.WithUnit("{commit}"), commits,
		metric.WithDescription("Commits of the batches that were written."))
	return w, errors.Join(errs[:]...)
}

type measuredTarget struct {
	projection.Target
	tracer   trace.Tracer
	events   metric.Int64Counter
	duration metric.Float64Histogram
	size     metric.Int64Histogram
}

// Folder is projection.Target's.
func (t *measuredTarget) Folder(c projection.Checkpoint) projection.Folder {
	partition := attribute.Int("partition", int(c.Partition))
	return &measuredFolder{
		Folder: t.Target.Folder(c), target: t, partition: partition, label: metric.WithAttributeSet(attribute.NewSet(partition)),
	}
}

type measuredFolder struct {
	projection.Folder
	target    *measuredTarget
	partition attribute.KeyValue
	label     metric.MeasurementOption
}

// Fold is projection.Folder's.
func (f *measuredFolder) Fold(ctx context.Context, commits []projection.Commit) (projection.Batch, error) {
	return f.measure(commits, func() (projection.Batch, error) { return f.Folder.Fold(ctx, commits) })
}

// FoldPast is projection.Folder's.
func (f *measuredFolder) FoldPast(ctx context.Context, commits []projection.Commit, passed projection.Passed) (projection.Batch, error) {
	return f.measure(commits, func() (projection.Batch, error) { return f.Folder.FoldPast(ctx, commits, passed) })
}

func (f *measuredFolder) measure(commits []projection.Commit, fold func() (projection.Batch, error)) (projection.Batch, error) {
	began := time.Now()
	b, err := fold()
	if err != nil {
		return b, err
	}
	m := &measuredBatch{Batch: b, folder: f, commits: len(commits), folding: time.Since(began)}
	for _, c := range commits {
		m.events += c.Count()
	}
	m.producers = producers(commits)
	return m, nil
}

// producers are the spans that stored the commits, each once.
func producers(commits []projection.Commit) []trace.Link {
	var links []trace.Link
	seen := map[string]bool{}
	for _, c := range commits {
		if c.Traceparent == "" || seen[c.Traceparent] {
			continue
		}
		seen[c.Traceparent] = true
		if sc := extract(c.Traceparent); sc.IsValid() {
			links = append(links, trace.Link{SpanContext: sc})
		}
		if len(links) == maxLinks {
			break
		}
	}
	return links
}

type measuredBatch struct {
	projection.Batch
	folder    *measuredFolder
	producers []trace.Link
	commits   int
	events    int
	folding   time.Duration
}

// Write is projection.Batch's.
func (b *measuredBatch) Write(ctx context.Context) error {
	t := b.folder.target
	began := time.Now()
	// The span begins with the folding, though batches wait between the two: one
	// that is never written leaves none behind.
	ctx, span := t.tracer.Start(ctx, "project batch", trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithTimestamp(began.Add(-b.folding)), trace.WithLinks(b.producers...),
		trace.WithAttributes(b.folder.partition, attribute.Int("annals.commits", b.commits), attribute.Int("annals.events", b.events)))
	err := b.Batch.Write(ctx)
	how := "written"
	switch {
	case err == nil:
		t.events.Add(ctx, int64(b.events), b.folder.label)
		t.size.Record(ctx, int64(b.commits))
	case errors.Is(err, projection.ErrFenced):
		how = "fenced"
	default:
		how = "failed"
	}
	t.duration.Record(ctx, (b.folding + time.Since(began)).Seconds(), metric.WithAttributes(attribute.String("outcome", how)))
	end(span, err)
	return err
}
