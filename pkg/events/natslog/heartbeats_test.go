package natslog_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
)

func beat(id string, attempt int32) events.Heartbeat {
	return events.Heartbeat{
		Activity: events.Activity{Workflow: events.Workflow{Namespace: "n", ID: "w"}, RunID: "r", ID: id},
		Attempt:  attempt, Time: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
	}
}

func record(t *testing.T, log *natslog.Log, h events.Heartbeat) {
	t.Helper()
	if newest, err := log.RecordHeartbeat(t.Context(), h); err != nil || !newest {
		t.Fatalf("heartbeat of %s gave %t, %v", h.Activity, newest, err)
	}
}

// TestHeartbeatsAreStoredAsTheWireFormatSays reads them past the library.
func TestHeartbeatsAreStoredAsTheWireFormatSays(t *testing.T) {
	t.Parallel()
	nc := testenv.NATS(t)
	create(t, nc, natslog.CreateOptions{Streams: 1})
	log := open(t, nc, natslog.Config{})
	for i, h := range []events.Heartbeat{beat("a", 1), beat("a", 2), beat("b", 1)} {
		record(t, log, h)
		s, err := jetStream(t, nc).Stream(t.Context(), natslog.HeartbeatStream)
		if err != nil {
			t.Fatal(err)
		}
		m, err := s.GetMsg(t.Context(), uint64(i)+1)
		if err != nil {
			t.Fatal(err)
		}
		var before uint64
		if h.Attempt == 2 {
			before = 1
		}
		header, body, err := events.EncodeHeartbeat(&h, before)
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range header {
			if diff := cmp.Diff(values, []string(m.Header[name])); diff != "" {
				t.Errorf("header %s (-want +stored):\n%s", name, diff)
			}
		}
		if !bytes.Equal(body, m.Data) || m.Subject != h.Activity.HeartbeatSubject() {
			t.Errorf("stored on %s: %x, want %x", m.Subject, m.Data, body)
		}
	}
}

// TestHeartbeatsAgeOut polls the stream until the server has dropped what is too
// old.
func TestHeartbeatsAgeOut(t *testing.T) {
	t.Parallel()
	nc := testenv.NATS(t)
	create(t, nc, natslog.CreateOptions{Streams: 1, HeartbeatAge: 100 * time.Millisecond})
	log := open(t, nc, natslog.Config{})
	h := beat("a", 2)
	record(t, log, h)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		b, err := log.HeartbeatBounds(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if b.First == 2 && b.Last == 1 {
			break
		}
	}
	if _, err := log.LastHeartbeat(ctx, h.Activity); !errors.Is(err, events.ErrNotFound) {
		t.Errorf("what has aged out gave %v", err)
	}
	// An older one is the newest again, and following goes on. It may age out before
	// it is followed: then it is recorded once more.
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		for m, err := range log.FollowHeartbeats(ctx, 1) {
			if err != nil || m.Sequence < 2 || m.Attempt != 1 {
				t.Errorf("followed %+v, %v", m, err)
			}
			break
		}
	}()
	for {
		record(t, log, beat("a", 1))
		select {
		case <-followed:
			return
		default:
		}
	}
}

func TestCreateCompletesALogWithoutHeartbeats(t *testing.T) {
	t.Parallel()
	nc := testenv.NATS(t)
	js := jetStream(t, nc)
	id := create(t, nc, natslog.CreateOptions{Streams: 1})
	if err := js.DeleteStream(t.Context(), natslog.HeartbeatStream); err != nil {
		t.Fatal(err)
	}
	refusedOpen(t, nc, natslog.Config{}, "stream ANNALS_HEARTBEATS")
	if diff := cmp.Diff(id, create(t, nc, natslog.CreateOptions{HeartbeatAge: time.Hour})); diff != "" {
		t.Errorf("created and completed (-created +completed):\n%s", diff)
	}
	c, err := configOf(t, js, natslog.HeartbeatStream)
	if err != nil {
		t.Fatal(err)
	}
	if c.MaxAge != time.Hour || c.MaxMsgsPerSubject != 1 || c.Replicas != 1 {
		t.Errorf("the stream has %+v", c)
	}
	record(t, open(t, nc, natslog.Config{}), beat("a", 1))

	// The age is a setting of the log: another one is refused, none takes it as
	// it is.
	_, err = natslog.Create(t.Context(), js, natslog.CreateOptions{HeartbeatAge: 2 * time.Hour})
	wrongLog(t, err, "max_age of stream ANNALS_HEARTBEATS")
	create(t, nc, natslog.CreateOptions{HeartbeatAge: time.Hour})
	create(t, nc, natslog.CreateOptions{})
	_, err = natslog.Create(t.Context(), js, natslog.CreateOptions{HeartbeatAge: time.Millisecond})
	var invalid *events.InvalidError
	if !errors.As(err, &invalid) || invalid.Field != "heartbeatAge" {
		t.Errorf("an age of 1 ms gave %v", err)
	}
}

// TestOpenRefusesWrongHeartbeatSettings makes the stream of heartbeats anew with
// one setting changed.
func TestOpenRefusesWrongHeartbeatSettings(t *testing.T) {
	t.Parallel()
	type config = jetstream.StreamConfig
	nc := testenv.NATS(t)
	js := jetStream(t, nc)
	create(t, nc, natslog.CreateOptions{Streams: 1})
	good, err := configOf(t, js, natslog.HeartbeatStream)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []struct {
		name   string
		change func(*config)
		what   string
	}{
		{"not a log's", func(c *config) { c.Metadata = nil }, "stream ANNALS_HEARTBEATS"},
		{"another log's", func(c *config) {
			c.Metadata = map[string]string{"annals.log-id": "another", "annals.epoch": "1", "annals.format": "1"}
		}, "stream ANNALS_HEARTBEATS"},
		{"of another format", func(c *config) {
			c.Metadata = map[string]string{"annals.log-id": "another", "annals.epoch": "1", "annals.format": "2"}
		}, "format"},
		{"that keeps all", func(c *config) { c.MaxMsgsPerSubject = -1 }, "max_msgs_per_subject"},
		{"that refuses new ones", func(c *config) { c.Discard = jetstream.DiscardNew }, "discard"},
		{"without an age", func(c *config) { c.MaxAge = 0 }, "max_age"},
		{"that forgets when there are many", func(c *config) { c.MaxMsgs = 100 }, "max_msgs"},
		{"that forgets when they are large", func(c *config) { c.MaxBytes = 1 << 20 }, "max_bytes"},
		{"in memory", func(c *config) { c.Storage = jetstream.MemoryStorage }, "storage"},
		{"with another retention", func(c *config) { c.Retention = jetstream.InterestPolicy }, "retention"},
		{"that allows rollups", func(c *config) { c.AllowRollup = true }, "allow_rollup"},
		{"that lets messages expire", func(c *config) { c.AllowMsgTTL = true }, "allow_msg_ttl"},
		{"with a limit on messages", func(c *config) { c.MaxMsgSize = 1 << 20 }, "max_msg_size"},
		{"that acknowledges nothing", func(c *config) { c.NoAck = true }, "no_ack"},
		{"without direct gets", func(c *config) { c.AllowDirect = false }, "allow_direct"},
		{"with another subject", func(c *config) { c.Subjects = []string{"annals-heartbeat.>"} }, "subjects"},
		{"with a subject more", func(c *config) { c.Subjects = append(c.Subjects, "orders") }, "number of subjects"},
	} {
		t.Run(bad.name, func(t *testing.T) {
			if err := js.DeleteStream(t.Context(), good.Name); err != nil {
				t.Fatal(err)
			}
			c := good
			c.Subjects = append([]string(nil), good.Subjects...)
			bad.change(&c)
			if _, err := js.CreateStream(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			refusedOpen(t, nc, natslog.Config{}, bad.what)
			_, err := natslog.Create(t.Context(), js, natslog.CreateOptions{})
			wrongLog(t, err, bad.what)
		})
	}
}

// TestFollowingHeartbeatsSurvivesARestart, and notices a stream that ends before
// what was followed.
func TestFollowingHeartbeatsSurvivesARestart(t *testing.T) {
	t.Parallel()
	store := t.TempDir()
	p := newPlace(t)
	p.start(store)
	nc, connected := p.connect()
	create(t, nc, natslog.CreateOptions{Streams: 1})
	log := open(t, nc, natslog.Config{AttemptTimeout: 200 * time.Millisecond})
	record(t, log, beat("a", 1))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got []events.Heartbeat
	for m, err := range log.FollowHeartbeats(ctx, 0) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m.Heartbeat)
		switch len(got) {
		case 1:
			p.start(store)
			<-connected
			record(t, log, beat("a", 2)) // what was followed is no longer there
		case 2:
			record(t, log, beat("b", 1))
		case 3:
			cancel()
		}
		if len(got) == 3 {
			break
		}
	}
	if diff := cmp.Diff([]events.Heartbeat{beat("a", 1), beat("a", 2), beat("b", 1)}, got); diff != "" {
		t.Errorf("followed (-want +got):\n%s", diff)
	}
}
