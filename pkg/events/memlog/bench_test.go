package memlog_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

// BenchmarkAppend is what an append costs beside its store: one event, and what
// a worker writes at the end of a workflow task.
func BenchmarkAppend(b *testing.B) {
	at := timestamppb.New(time.Date(2026, 11, 23, 12, 34, 56, 789012345, time.UTC))
	for _, n := range []int{1, 3} {
		b.Run(fmt.Sprintf("events=%d", n), func(b *testing.B) {
			commit := []*events.Event{
				events.WorkflowTaskCompleted(2, 3, "worker-1"),
				events.ActivityScheduled("5", "ChargeCard", map[string]any{"order": "order-00000042", "cents": 1995}),
				events.TimerStarted("6", time.Hour),
			}[3-n:]
			var log *memlog.Log
			var cursor events.Cursor
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%10_000 == 0 { // a new log now and then: this one keeps all it gets
					var err error
					if log, err = memlog.New(memlog.Config{Streams: 1}); err != nil {
						b.Fatal(err)
					}
					start := events.WorkflowStarted("Order", "orders")
					res, err := log.Append(b.Context(), events.Request{Workflow: events.Workflow{Namespace: "default", ID: "order-00000042"}, Events: []*events.Event{start}})
					if err != nil {
						b.Fatal(err)
					}
					cursor = res.Cursor
				}
				for k, e := range commit {
					e.EventId, e.EventTime = int64(cursor.LastEventID())+int64(k)+1, at
				}
				res, err := log.Append(b.Context(), events.Request{Workflow: cursor.Workflow(), Expect: events.After(cursor), Events: commit})
				if err != nil {
					b.Fatal(err)
				}
				cursor = res.Cursor
			}
		})
	}
}
