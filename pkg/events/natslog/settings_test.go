package natslog_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// Whoever mends a log is told of everything at once, in the order of the streams.
func TestObjectionsAreAllThatIsWrong(t *testing.T) {
	t.Parallel()
	nc := testenv.NATS(t)
	js := jetStream(t, nc)
	create(t, nc, natslog.CreateOptions{Streams: 3})
	if got := natslog.Objections(t.Context(), js); len(got) > 0 {
		t.Errorf("against a new log: %v", got)
	}
	change := func(name string, f func(*jetstream.StreamConfig)) {
		t.Helper()
		c, err := configOf(t, js, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := js.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		f(&c)
		if _, err := js.CreateStream(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	change("ANNALS_02", func(c *jetstream.StreamConfig) {
		c.Storage, c.MaxAge, c.AllowRollup, c.DenyDelete = jetstream.MemoryStorage, time.Hour, true, false
		c.Metadata["annals.epoch"] = "2"
	})
	change("ANNALS_00", func(c *jetstream.StreamConfig) {
		c.MaxMsgsPerSubject, c.Subjects = 5, append(c.Subjects[3:], "orders")
	})
	if err := js.DeleteStream(t.Context(), "ANNALS_01"); err != nil {
		t.Fatal(err)
	}
	change(natslog.HeartbeatStream, func(c *jetstream.StreamConfig) { c.MaxMsgs, c.AllowDirect = 7, false })

	want := []string{
		"max_msgs_per_subject of stream ANNALS_00", "subjects of stream ANNALS_00",
		"stream ANNALS_01",
		"stream ANNALS_02", "deny_delete of stream ANNALS_02", "max_age of stream ANNALS_02", "storage of stream ANNALS_02", "allow_rollup_hdrs of stream ANNALS_02",
		"max_msgs of stream ANNALS_HEARTBEATS", "allow_direct of stream ANNALS_HEARTBEATS",
	}
	var got []string
	objections := natslog.Objections(t.Context(), js)
	for _, err := range objections {
		var wrong *events.WrongLogError
		if !errors.As(err, &wrong) {
			t.Fatalf("%v is no wrong log", err)
		}
		got = append(got, wrong.What)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("objections (-want +got):\n%s", diff)
	}
	if _, err := natslog.Open(t.Context(), js, natslog.Config{}); err == nil || len(objections) == 0 || err.Error() != objections[0].Error() {
		t.Errorf("Open fails with %v, want the first objection", err)
	}

	nc.Close()
	if got := natslog.Objections(t.Context(), js); len(got) != 1 || !errors.Is(got[0], events.ErrUnavailable) {
		t.Errorf("without a connection: %v", got)
	}
}
