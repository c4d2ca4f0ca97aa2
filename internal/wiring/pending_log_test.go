package wiring_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/annals-io/annals/internal/wiring"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

// firstOf is the error that a read begins with; nil if it yields a value, or
// nothing.
func firstOf[T any](read iter.Seq2[T, error]) error {
	for _, err := range read {
		return err
	}
	return nil
}

// Every call is refused until the log is open, and answered by it from then on.
func TestPendingLog(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w := events.Workflow{Namespace: "default", ID: "w"}
	activity := events.Activity{Workflow: w, RunID: "r", ID: "1"}
	var at events.Position
	log := wiring.NewPendingLog()
	calls := []struct {
		name string
		call func() error
	}{
		{"Append", func() error {
			result, err := log.Append(ctx, events.Request{Workflow: w, RunID: "r", Events: []*events.Event{events.WorkflowStarted("Order", "orders")}})
			at = result.Position
			return err
		}},
		{"RecordHeartbeat", func() error {
			newest, err := log.RecordHeartbeat(ctx, events.Heartbeat{Activity: activity, Attempt: 1})
			if err == nil && !newest {
				return errors.New("it is not kept")
			}
			return err
		}},
		{"Tail", func() error { _, err := log.Tail(ctx, w); return err }},
		{"Read", func() error { return firstOf(log.Read(ctx, w, events.ReadOptions{})) }},
		{"Commits", func() error { return firstOf(log.Commits(ctx, w)) }},
		{"Bounds", func() error { _, err := log.Bounds(ctx, 0); return err }},
		{"Message", func() error { _, err := log.Message(ctx, at); return err }},
		{"Follow", func() error { return firstOf(log.Follow(ctx, at.Partition, events.FollowOptions{})) }},
		{"LastHeartbeat", func() error { _, err := log.LastHeartbeat(ctx, activity); return err }},
		{"FollowHeartbeats", func() error { return firstOf(log.FollowHeartbeats(ctx, 0)) }},
		{"Decide", func() error {
			_, _, err := log.Decide(ctx, events.Decision{Topic: events.Topic{Namespace: "default", Kind: "k", Key: "x"}, Content: []byte(`{}`)}, 0)
			return err
		}},
		{"Decisions", func() error { return firstOf(log.Decisions(ctx, 0)) }},
		{"FollowDecisions", func() error { return firstOf(log.FollowDecisions(ctx, 0)) }},
		{"DecisionBounds", func() error { _, err := log.DecisionBounds(ctx); return err }},
		{"HeartbeatBounds", func() error { _, err := log.HeartbeatBounds(ctx); return err }},
	}
	refused := func(why string) {
		t.Helper()
		for _, c := range calls {
			err := c.call()
			var notOpen *wiring.NotOpenError
			if !errors.As(err, &notOpen) || !errors.Is(err, events.ErrUnavailable) || !events.SafeToRetry(err) || !strings.Contains(err.Error(), why) {
				t.Errorf("%s before it is open: %v, want a NotOpenError with %q", c.name, err, why)
			}
			// The log that it may become is another matter.
			if errors.Is(err, events.ErrWrongLog) {
				t.Errorf("%s before it is open is of the wrong log: %v", c.name, err)
			}
		}
		if id := log.Identity(); id.LogID != "" || id.Map.Partitions() != 0 {
			t.Errorf("before it is open it is %+v", id)
		}
		select {
		case <-log.Opened():
			t.Error("it is open")
		default:
		}
	}
	refused("not open yet")
	log.Failed(&events.WrongLogError{What: "stream ANNALS_00", Want: "there", Got: "not found"})
	refused("not open yet: wrong log: stream ANNALS_00")

	opened, err := memlog.New(memlog.Config{Streams: 2})
	if err != nil {
		t.Fatal(err)
	}
	log.Open(opened)
	<-log.Opened()
	for _, c := range calls {
		if err := c.call(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if got, want := log.Identity().LogID, opened.Identity().LogID; got != want {
		t.Errorf("its log id is %q, want %q", got, want)
	}
}
