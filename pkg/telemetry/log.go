package telemetry

import (
	"context"
	"errors"
	"iter"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/annals-io/annals/pkg/events"
)

// Log is l, with its appends, heartbeats and reads measured. An append that has no
// traceparent gets that of its span, or of the context's if there is no tracer.
// It fails if the meter takes no such instruments.
func Log(l events.Log, p Providers) (events.Log, error) {
	m := p.meter()
	var errs [4]error
	w := &measuredLog{Log: l, tracer: p.tracer()}
	w.appends, errs[0] = m.Int64Counter("annals.appends", metric.WithUnit("{append}"),
		metric.WithDescription("Appends, by how they ended."))
	w.duration, errs[1] = m.Float64Histogram("annals.append.duration", metric.WithUnit("s"), Seconds,
		metric.WithDescription("How long appends took, retries within included."))
	w.events, errs[2] = m.Int64Counter("annals.append.events", metric.WithUnit("{event}"),
		metric.WithDescription("Events that appends stored."))
	w.heartbeats, errs[3] = m.Int64Counter("annals.heartbeats", metric.WithUnit("{heartbeat}"),
		metric.WithDescription("Heartbeats of activities, by how they ended."))
	return w, errors.Join(errs[:]...)
}

type measuredLog struct {
	events.Log
	tracer     trace.Tracer
	appends    metric.Int64Counter
	duration   metric.Float64Histogram
	events     metric.Int64Counter
	heartbeats metric.Int64Counter
}

// Append is events.Appender's.
func (l *measuredLog) Append(ctx context.Context, r events.Request) (events.Result, error) {
	began := time.Now()
	ctx, span := l.tracer.Start(ctx, "append", trace.WithSpanKind(trace.SpanKindProducer))
	if r.Traceparent == "" {
		r.Traceparent = inject(ctx)
	}
	result, err := l.Log.Append(ctx, r)
	how := outcome(result, err)
	by := metric.WithAttributeSet(outcomes[how])
	l.appends.Add(ctx, 1, by)
	l.duration.Record(ctx, time.Since(began).Seconds(), by)
	if err == nil && !result.Existed {
		l.events.Add(ctx, int64(len(r.Events)))
	}
	if span.IsRecording() {
		span.SetAttributes(workflow(r.Workflow)...)
		span.SetAttributes(attribute.String("annals.outcome", how), attribute.Int("annals.events", len(r.Events)))
		if err == nil {
			span.SetAttributes(attribute.String("annals.run", string(result.RunID)), attribute.String("annals.position", result.Position.String()))
		}
		end(span, err)
	}
	return result, err
}

// RecordHeartbeat is events.Heartbeats'.
func (l *measuredLog) RecordHeartbeat(ctx context.Context, h events.Heartbeat) (newest bool, err error) {
	ctx, span := l.tracer.Start(ctx, "record heartbeat", trace.WithSpanKind(trace.SpanKindProducer))
	newest, err = l.Log.RecordHeartbeat(ctx, h)
	how := heartbeatOutcome(newest, err)
	l.heartbeats.Add(ctx, 1, metric.WithAttributeSet(outcomes[how]))
	if span.IsRecording() {
		span.SetAttributes(workflow(h.Activity.Workflow)...)
		span.SetAttributes(attribute.String("annals.outcome", how), attribute.String("annals.run", string(h.Activity.RunID)),
			attribute.String("annals.activity", h.Activity.ID), attribute.Int("annals.attempt", int(h.Attempt)))
	}
	end(span, err)
	return newest, err
}

// Read is events.Reader's.
func (l *measuredLog) Read(ctx context.Context, w events.Workflow, o events.ReadOptions) iter.Seq2[*events.Event, error] {
	return measured(ctx, l.tracer, "read history", w, func(ctx context.Context) iter.Seq2[*events.Event, error] {
		return l.Log.Read(ctx, w, o)
	})
}

// Commits is events.Reader's.
func (l *measuredLog) Commits(ctx context.Context, w events.Workflow) iter.Seq2[*events.Commit, error] {
	return measured(ctx, l.tracer, "read commits", w, func(ctx context.Context) iter.Seq2[*events.Commit, error] {
		return l.Log.Commits(ctx, w)
	})
}

// measured is a read with a span from its first step to its last.
func measured[T any](ctx context.Context, tracer trace.Tracer, name string, w events.Workflow, read func(context.Context) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		ctx, span := tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient))
		count := 0
		var failed error
		defer func() {
			if span.IsRecording() {
				span.SetAttributes(workflow(w)...)
				span.SetAttributes(attribute.Int("annals.count", count))
			}
			end(span, failed)
		}()
		for v, err := range read(ctx) {
			if failed = err; err == nil {
				count++
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

func workflow(w events.Workflow) []attribute.KeyValue {
	return []attribute.KeyValue{attribute.String("annals.namespace", w.Namespace), attribute.String("annals.workflow", w.ID)}
}

// end ends a span. What a caller has to expect, such as a conflict, is an answer
// and no fault.
func end(span trace.Span, err error) {
	if err != nil && !expected(err) {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}
