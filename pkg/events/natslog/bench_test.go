package natslog_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/annals-io/annals/internal/bench/raw"
	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// eventBytes is the size of the event that figures are measured with.
const eventBytes = 220

// ordinary is an event of about eventBytes bytes, with its id and its time.
func ordinary(id events.EventID) *events.Event {
	return &events.Event{
		EventId: int64(id), EventTime: now, EventType: template.EventType, Attributes: template.Attributes,
	}
}

var (
	now      = timestamppb.New(time.Date(2026, 11, 23, 12, 34, 56, 789012345, time.UTC))
	template = func() *events.Event {
		e := sized(0)
		e.EventId, e.EventTime = 1, now
		for proto.Size(e) < eventBytes {
			e.GetWorkflowExecutionSignaledEventAttributes().SignalName += "x"
		}
		return e
	}()
)

// TestACommitOnDisk holds what a commit of one event of 220 bytes takes on disk
// with ordinary ids, envelope and all: under 600 bytes.
func TestACommitOnDisk(t *testing.T) {
	const commits, limit = 2000, 600
	nc := testenv.NATS(t)
	create(t, nc, natslog.CreateOptions{Streams: 1})
	log := open(t, nc, natslog.Config{})
	for i := range 20 {
		w := events.Workflow{Namespace: "default", ID: fmt.Sprintf("order-%08d", i)}
		var at events.Result
		for n := range events.EventID(commits / 20) {
			r := request(w, events.After(at.Cursor), ordinary(n+1))
			if n == 0 {
				start := started()
				start.EventId, start.EventTime = 1, timestamppb.Now()
				start.GetWorkflowExecutionStartedEventAttributes().Identity = string(make([]byte, eventBytes-40))
				r.Expect, r.Events = events.NewRun(), []*events.Event{start}
			}
			var err error
			if at, err = log.Append(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
	}
	s, err := jetStream(t, nc).Stream(t.Context(), natslog.StreamName(0))
	if err != nil {
		t.Fatal(err)
	}
	state := s.CachedInfo().State
	each := float64(state.Bytes) / float64(state.Msgs)
	t.Logf("a commit of one event of %d bytes takes %.0f bytes on disk", eventBytes, each)
	if state.Msgs != commits || each > limit {
		t.Errorf("%d commits take %.0f bytes each, want %d and at most %d", state.Msgs, each, commits, limit)
	}
}

// newRawPublish publishes, by the client library alone, messages with the headers
// of an ordinary commit and of its size, on the same condition.
func newRawPublish(b *testing.B, nc *nats.Conn, w events.Workflow) *raw.Publisher {
	body, err := proto.Marshal(&historypb.History{Events: []*events.Event{ordinary(2)}})
	if err != nil {
		b.Fatal(err)
	}
	c := events.Commit{
		Workflow: w, Kind: events.KindEvents, ID: events.CommitID(uuid.NewString()), Back: []uint64{8000, 7900, 7800, 7700, 7600, 7500, 7400, 7300},
		Run: events.Segment{Run: events.RunID(uuid.NewString()), First: 20, Last: 20, Type: "Order", Before: 1, After: 1, Size: 4000, RunFirst: 7000},
	}
	return raw.NewPublisher(jetStream(b, nc), w.Subject(), nats.Header(events.EncodeHeader(&c)), body)
}

// appender is a writer of the log that keeps to one workflow.
type appender struct {
	log *natslog.Log
	w   events.Workflow
	at  events.Cursor
}

func (a *appender) append(ctx context.Context) error {
	r := request(a.w, events.After(a.at), ordinary(a.at.LastEventID()+1))
	if a.at.IsZero() {
		r.Expect, r.Events = events.NewRun(), []*events.Event{started()}
	}
	res, err := a.log.Append(ctx, r)
	a.at = res.Cursor
	return err
}

func BenchmarkAppend(b *testing.B) {
	for _, replicas := range []int{1, 3} {
		for _, writers := range []int{1, 64} {
			nc := testenv.NATS(b)
			if replicas == 3 {
				nc = testenv.NATSCluster(b)
			}
			create(b, nc, natslog.CreateOptions{Streams: 4, Replicas: replicas})
			log := open(b, nc, natslog.Config{})
			var n atomic.Int64
			workflow := func() events.Workflow {
				return events.Workflow{Namespace: "default", ID: fmt.Sprintf("order-%08d", n.Add(1))}
			}
			name := fmt.Sprintf("writers=%d/events=1/replicas=%d/", writers, replicas)
			b.Run(name+"by=annals", func(b *testing.B) {
				write(b, writers, func() func(context.Context) error { return (&appender{log: log, w: workflow()}).append })
			})
			b.Run(name+"by=raw", func(b *testing.B) {
				write(b, writers, func() func(context.Context) error { return newRawPublish(b, nc, workflow()).Publish })
			})
		}
	}
}

// write shares b.N appends among writers.
func write(b *testing.B, writers int, writer func() func(context.Context) error) {
	ctx := context.Background()
	do := make([]func(context.Context) error, writers)
	for i := range do {
		do[i] = writer()
		if err := do[i](ctx); err != nil {
			b.Fatal(err)
		}
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	errs := make(chan error, writers)
	b.ResetTimer()
	for _, append := range do {
		go func() {
			for left.Add(-1) >= 0 {
				if err := append(ctx); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range do {
		if err := <-errs; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
}

func BenchmarkRead(b *testing.B) {
	for _, n := range []int{30, 10_000} {
		nc := testenv.NATS(b)
		create(b, nc, natslog.CreateOptions{Streams: 4})
		log := open(b, nc, natslog.Config{})
		a := &appender{log: log, w: events.Workflow{Namespace: "default", ID: "order-42"}}
		for range n {
			if err := a.append(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprintf("events=%d/by=annals", n), func(b *testing.B) {
			for b.Loop() {
				got := 0
				for _, err := range log.Read(b.Context(), a.w, events.ReadOptions{}) {
					if err != nil {
						b.Fatal(err)
					}
					got++
				}
				if got != n {
					b.Fatalf("%d events, want %d", got, n)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
		b.Run(fmt.Sprintf("events=%d/by=raw", n), func(b *testing.B) {
			for b.Loop() {
				if got := rawRead(b, nc, a.at.Position().Partition, a.w.Subject()); got != n {
					b.Fatalf("%d events, want %d", got, n)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// rawRead reads a subject by direct gets of pages, as a stranger would: it
// decodes the bodies, and trusts what it gets.
func rawRead(b *testing.B, nc *nats.Conn, p events.Partition, subject string) int {
	b.Helper()
	sub, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	n, seq := 0, uint64(1)
	for {
		body, err := json.Marshal(map[string]any{"seq": seq, "next_by_subj": subject, "batch": 256})
		if err != nil {
			b.Fatal(err)
		}
		if err := nc.PublishRequest("$JS.API.DIRECT.GET."+natslog.StreamName(p), sub.Subject, body); err != nil {
			b.Fatal(err)
		}
		for {
			m, err := sub.NextMsg(10 * time.Second)
			if err != nil {
				b.Fatal(err)
			}
			status := m.Header.Get("Status")
			if status == "404" || status == "204" && m.Header.Get("Nats-Num-Pending") == "0" {
				return n
			}
			if status == "204" {
				break
			}
			if seq, err = strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64); err != nil {
				b.Fatal(err)
			}
			seq++
			var h historypb.History
			if err := proto.Unmarshal(m.Data, &h); err != nil {
				b.Fatal(err)
			}
			n += len(h.Events)
		}
	}
}
