package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"connectrpc.com/connect/v2/connectproto"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/ingest"
	"github.com/annals-io/annals/internal/testenv"
	annalsv1 "github.com/annals-io/annals/pkg/api/annals/v1"
	"github.com/annals-io/annals/pkg/api/annals/v1/annalsv1connect"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// A client that does what the errors say, through whichever instance, has every
// event stored once, while the log's leaders change and calls have little time.
func TestEveryAppendIsSettledOnce(t *testing.T) {
	t.Parallel()
	const writers, each = 4, 5
	nc := testenv.NATSCluster(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := natslog.Create(t.Context(), js, natslog.CreateOptions{Streams: 1, Replicas: 3}); err != nil {
		t.Fatal(err)
	}
	var instances []annalsv1connect.LogServiceClient
	for range 2 {
		instances = append(instances, serve(t, ingest.Config{Log: openNATS(t, testenv.Connect(t, testenv.URL(nc)))}).log(t, connecthttp.WithGRPC()))
	}
	w := &annalsv1.Workflow{WorkflowId: "w"}
	if _, err := settle(t, instances, &annalsv1.AppendRequest{
		Workflow: w, CommitId: "start", Expect: &annalsv1.AppendRequest_NewRun{NewRun: &annalsv1.NewRun{RunId: "r"}},
		Events: []*events.Event{events.WorkflowStarted("T", "q")},
	}); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	var leaders, work sync.WaitGroup
	changes := 0
	leaders.Go(func() {
		for ctx.Err() == nil {
			testenv.StepDown(t, nc, natslog.StreamName(0))
			changes++
		}
	})
	var mu sync.Mutex // guards resent
	resent := 0
	for n := range writers {
		work.Go(func() {
			for i := range each {
				again, err := settle(t, instances, &annalsv1.AppendRequest{
					Workflow: w, CommitId: fmt.Sprintf("c-%d-%d", n, i), Expect: &annalsv1.AppendRequest_AtEnd{AtEnd: &annalsv1.AtEnd{RunId: "r"}},
					Events: []*events.Event{events.Signaled(fmt.Sprintf("%d/%d", n, i))},
				})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				resent += again
				mu.Unlock()
			}
		})
	}
	work.Wait()
	cancel()
	leaders.Wait()
	t.Logf("%d appends, %d sent again, %d changes of the leader", writers*each, resent, changes)

	got := map[string]int{}
	history, err := instances[0].GetHistory(t.Context(), &annalsv1.GetHistoryRequest{Workflow: w})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range history.Events[1:] {
		got[e.GetWorkflowExecutionSignaledEventAttributes().SignalName]++
	}
	for n := range writers {
		for i := range each {
			if name := fmt.Sprintf("%d/%d", n, i); got[name] != 1 {
				t.Errorf("signal %s is there %d times", name, got[name])
			}
		}
	}
	if len(got) != writers*each || changes == 0 {
		t.Errorf("%d signals, want %d; %d changes of the leader", len(got), writers*each, changes)
	}
}

// settle sends a request until it has an answer, to one instance after the other,
// and says how often it was sent again.
func settle(t *testing.T, instances []annalsv1connect.LogServiceClient, r *annalsv1.AppendRequest) (again int, err error) {
	until := time.Now().Add(5 * time.Minute)
	for brief := 250 * time.Millisecond; ; again, brief = again+1, min(2*brief, 10*time.Second) {
		ctx, cancel := context.WithTimeout(t.Context(), brief)
		_, err := instances[again%len(instances)].Append(ctx, r)
		cancel()
		code := connect.CodeOf(err)
		switch {
		case err == nil:
			return again, nil
		case time.Now().After(until), code != connect.CodeUnavailable && code != connect.CodeDeadlineExceeded:
			return again, fmt.Errorf("%s: %w", r.CommitId, err)
		}
		var e *connect.Error
		if errors.As(err, &e) {
			for _, d := range e.Details() {
				m, err := connectproto.UnmarshalErrorDetail(d)
				if err != nil {
					return again, err
				}
				if unknown, ok := m.(*annalsv1.OutcomeUnknown); ok {
					r.Expect = &annalsv1.AppendRequest_Expectation{Expectation: unknown.Expectation}
				}
			}
		}
	}
}
