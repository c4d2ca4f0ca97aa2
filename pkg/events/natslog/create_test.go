package natslog_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
)

func TestCreateIsIdempotentUnderARace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		connect func(testing.TB) *nats.Conn
		options natslog.CreateOptions
	}{
		{"R1", testenv.NATS, natslog.CreateOptions{}},
		{"R3", testenv.NATSCluster, natslog.CreateOptions{Streams: 3, Replicas: 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			nc := c.connect(t)
			const creators = 16
			ids := make([]events.Identity, creators)
			errs := make([]error, creators)
			barrier := make(chan struct{})
			var wg sync.WaitGroup
			for i := range creators {
				js := jetStream(t, testenv.Connect(t, testenv.URL(nc)))
				wg.Go(func() {
					<-barrier
					ids[i], errs[i] = natslog.Create(t.Context(), js, c.options)
				})
			}
			close(barrier)
			wg.Wait()
			for i := range creators {
				if errs[i] != nil {
					t.Fatalf("creator %d: %v", i, errs[i])
				}
				if diff := cmp.Diff(ids[0], ids[i]); diff != "" {
					t.Fatalf("creators 0 and %d made two logs (-0 +%d):\n%s", i, i, diff)
				}
			}
			if diff := cmp.Diff(ids[0], open(t, nc, natslog.Config{LogID: ids[0].LogID}).Identity()); diff != "" {
				t.Errorf("created and opened (-created +opened):\n%s", diff)
			}
		})
	}
}

func TestCreateCompletesAHalfMadeLog(t *testing.T) {
	t.Parallel()
	for _, left := range []int{1, 2} { // streams that had been made when the creator died
		nc := testenv.NATS(t)
		js := jetStream(t, nc)
		want := create(t, nc, natslog.CreateOptions{Streams: 4})
		for p := left; p < 4; p++ {
			if err := js.DeleteStream(t.Context(), natslog.StreamName(events.Partition(p))); err != nil {
				t.Fatal(err)
			}
		}
		refusedOpen(t, nc, natslog.Config{}, "stream ANNALS_0")
		if diff := cmp.Diff(want, create(t, nc, natslog.CreateOptions{})); diff != "" {
			t.Errorf("completed with %d streams left (-begun +completed):\n%s", left, diff)
		}
		open(t, nc, natslog.Config{LogID: want.LogID})
	}
}

func TestCreateRefusesAnotherLog(t *testing.T) {
	t.Parallel()
	nc := testenv.NATS(t)
	js := jetStream(t, nc)
	create(t, nc, natslog.CreateOptions{Streams: 2})
	for what, o := range map[string]natslog.CreateOptions{
		"number of streams": {Streams: 3}, "replicas": {Replicas: 3},
	} {
		_, err := natslog.Create(t.Context(), js, o)
		wrongLog(t, err, what)
	}
	for field, o := range map[string]natslog.CreateOptions{
		"streams": {Streams: 1025}, "replicas": {Replicas: 6},
	} {
		_, err := natslog.Create(t.Context(), js, o)
		var invalid *events.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("%+v gave %v, want an invalid %s", o, err, field)
		}
	}
}

func TestCreateTakesNoStreamOfOthers(t *testing.T) {
	t.Parallel()
	nc := testenv.NATS(t)
	js := jetStream(t, nc)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ANNALS_00", Subjects: []string{"others"}}); err != nil {
		t.Fatal(err)
	}
	_, err := natslog.Create(t.Context(), js, natslog.CreateOptions{})
	wrongLog(t, err, "stream ANNALS_00")
	refusedOpen(t, nc, natslog.Config{}, "stream ANNALS_00")
}

// wrongLog checks that an error says that this is another log, and in what.
func wrongLog(t testing.TB, err error, what string) {
	t.Helper()
	var wrong *events.WrongLogError
	if !errors.Is(err, events.ErrWrongLog) || !errors.As(err, &wrong) || !strings.Contains(wrong.What, what) || wrong.Want == "" || wrong.Got == "" {
		t.Errorf("gave %v, want a wrong %q", err, what)
	}
}

func refusedOpen(t testing.TB, nc *nats.Conn, c natslog.Config, what string) {
	t.Helper()
	log, err := natslog.Open(t.Context(), jetStream(t, nc), c)
	if log != nil {
		t.Errorf("opened, want it refused for its %s", what)
	}
	wrongLog(t, err, what)
}

func TestOpenRefusesWhatItDoesNotRecognise(t *testing.T) {
	t.Parallel()
	nc := testenv.NATS(t)
	refusedOpen(t, nc, natslog.Config{}, "stream ANNALS_00") // there is no log
	create(t, nc, natslog.CreateOptions{Streams: 2})
	refusedOpen(t, nc, natslog.Config{LogID: "another"}, "log id")
	refusedOpen(t, nc, natslog.Config{Limits: events.Limits{CommitBytes: 4 << 20}}, "max_payload")
	open(t, nc, natslog.Config{Limits: events.Limits{CommitBytes: 4<<20 - 64<<10}})

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := natslog.Open(canceled, jetStream(t, nc), natslog.Config{}); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}

// TestOpenRefusesWrongSettings makes one stream of a log anew with one setting
// changed.
func TestOpenRefusesWrongSettings(t *testing.T) {
	t.Parallel()
	type config = jetstream.StreamConfig
	meta := func(key, value string) func(*config) {
		return func(c *config) { c.Metadata["annals."+key] = value }
	}
	nc := testenv.NATS(t)
	js := jetStream(t, nc)
	create(t, nc, natslog.CreateOptions{Streams: 2})
	if _, err := js.CreateStream(t.Context(), config{Name: "OTHER", Subjects: []string{"other"}}); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []struct {
		name   string
		change func(*config)
		what   string
	}{
		{"not a log's", func(c *config) { c.Metadata = nil }, "stream ANNALS_01"},
		{"another log's", meta("log-id", "another"), "stream ANNALS_01"},
		{"of another epoch", meta("epoch", "2"), "stream ANNALS_01"},
		{"of an epoch that is none", meta("epoch", "new"), "annals.epoch"},
		{"of another format", meta("format", "2"), "format"},
		{"of another map", meta("map-version", "2"), "stream ANNALS_01"},
		{"of a log of more streams", meta("streams", "3"), "stream ANNALS_01"},
		{"without slots", meta("slots", ""), "annals.slots"},
		{"with too few slots", func(c *config) { meta("slots", "513-1024")(c); c.Subjects = c.Subjects[1:] }, "map of slots"},
		{"without a subject", func(c *config) { c.Subjects = c.Subjects[1:] }, "subjects"},
		{"with a subject more", func(c *config) { c.Subjects = append(c.Subjects, "orders") }, "number of subjects"},
		{"in memory", func(c *config) { c.Storage = jetstream.MemoryStorage }, "storage"},
		{"with another retention", func(c *config) { c.Retention = jetstream.InterestPolicy }, "retention"},
		{"that allows deletes", func(c *config) { c.DenyDelete = false }, "deny_delete"},
		{"that allows rollups", func(c *config) { c.AllowRollup = true }, "allow_rollup"},
		{"that lets messages expire", func(c *config) { c.AllowMsgTTL = true }, "allow_msg_ttl"},
		{"with an age limit", func(c *config) { c.MaxAge = time.Hour }, "max_age"},
		{"with a limit per subject", func(c *config) { c.MaxMsgsPerSubject = 100 }, "max_msgs_per_subject"},
		{"with a limit that drops old messages", func(c *config) { c.MaxMsgs, c.Discard = 100, jetstream.DiscardOld }, "discard"},
		{"with a size that drops old messages", func(c *config) { c.MaxBytes, c.Discard = 1<<20, jetstream.DiscardOld }, "discard"},
		{"with a limit on messages", func(c *config) { c.MaxMsgSize = 1 << 20 }, "max_msg_size"},
		{"that acknowledges too early", func(c *config) { c.PersistMode = jetstream.AsyncPersistMode }, "persist_mode"},
		{"that acknowledges nothing", func(c *config) { c.NoAck = true }, "no_ack"},
		{"that renames subjects", func(c *config) {
			c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: "annals.600.*.*", Destination: "annals.601.{{wildcard(1)}}.{{wildcard(2)}}"}
		}, "subject_transform"},
		{"that mirrors another", func(c *config) { c.Mirror, c.Subjects = &jetstream.StreamSource{Name: "OTHER"}, nil }, "mirror"},
		{"that takes from another", func(c *config) { c.Sources = []*jetstream.StreamSource{{Name: "OTHER"}} }, "mirror and sources"},
		{"without direct gets", func(c *config) { c.AllowDirect = false }, "allow_direct"},
	} {
		t.Run(bad.name, func(t *testing.T) {
			c, err := configOf(t, js, "ANNALS_01")
			if err != nil {
				t.Fatal(err)
			}
			if err := js.DeleteStream(t.Context(), c.Name); err != nil {
				t.Fatal(err)
			}
			bad.change(&c)
			if _, err := js.CreateStream(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			refusedOpen(t, nc, natslog.Config{}, bad.what)
			_, err = natslog.Create(t.Context(), js, natslog.CreateOptions{})
			wrongLog(t, err, bad.what)
			// Without the stream the log is half made, and can be completed.
			if err := js.DeleteStream(t.Context(), c.Name); err != nil {
				t.Fatal(err)
			}
			create(t, nc, natslog.CreateOptions{})
		})
	}
	t.Run("sealed", func(t *testing.T) {
		c, err := configOf(t, js, "ANNALS_01")
		if err != nil {
			t.Fatal(err)
		}
		c.Sealed = true
		if _, err := js.UpdateStream(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		refusedOpen(t, nc, natslog.Config{}, "sealed")
	})
}

func configOf(t *testing.T, js jetstream.JetStream, name string) (jetstream.StreamConfig, error) {
	t.Helper()
	s, err := js.Stream(t.Context(), name)
	if err != nil {
		return jetstream.StreamConfig{}, err
	}
	return s.CachedInfo().Config, nil
}
