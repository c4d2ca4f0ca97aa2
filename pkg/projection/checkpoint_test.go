package projection_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/annals-io/annals/pkg/projection"
)

const patience = time.Minute

// scene is a log of one stream on a real server, with ten commits.
type scene struct {
	js  jetstream.JetStream
	log *natslog.Log
}

func newScene(t *testing.T) scene {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	js, err := jetstream.New(testenv.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := natslog.Create(ctx, js, natslog.CreateOptions{Streams: 1}); err != nil {
		t.Fatal(err)
	}
	log, err := natslog.Open(ctx, js, natslog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		w := events.Workflow{Namespace: "default", ID: "order-" + string(rune('0'+i))}
		if _, err := log.Append(ctx, events.Request{Workflow: w, Events: []*events.Event{events.WorkflowStarted("Order", "orders")}}); err != nil {
			t.Fatal(err)
		}
	}
	return scene{js, log}
}

// at is the checkpoint that a projection of this log has after a commit.
func (s scene) at(t *testing.T, sequence uint64) projection.Checkpoint {
	t.Helper()
	c := projection.Checkpoint{LogID: s.log.Identity().LogID, LogEpoch: s.log.Identity().Epoch, Epoch: 1, Sequence: sequence}
	if sequence == 0 {
		return c
	}
	m, err := s.log.Message(t.Context(), c.Position())
	if err != nil {
		t.Fatal(err)
	}
	commit, err := events.Decode(m)
	if err != nil {
		t.Fatal(err)
	}
	c.Hash, c.Time = commit.Hash, m.Time
	return c
}

// purge removes what is before a sequence, as an administrator could.
func (s scene) purge(t *testing.T, before uint64) {
	t.Helper()
	stream, err := s.js.Stream(t.Context(), natslog.StreamName(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(before)); err != nil {
		t.Fatal(err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		why        string
		checkpoint func(*testing.T, scene) projection.Checkpoint
		says       string // empty: it fits
	}{
		{"nothing projected", "it begins at the beginning", func(t *testing.T, s scene) projection.Checkpoint { return s.at(t, 0) }, ""},
		{"in the middle", "the ordinary case", func(t *testing.T, s scene) projection.Checkpoint { return s.at(t, 5) }, ""},
		{"at the end", "the ordinary case, with nothing to do", func(t *testing.T, s scene) projection.Checkpoint { return s.at(t, 10) }, ""},
		{"another log", "tables made elsewhere", func(t *testing.T, s scene) projection.Checkpoint {
			c := s.at(t, 5)
			c.LogID = "another"
			return c
		}, "the tables were made from log another"},
		{"another epoch", "the log was restored", func(t *testing.T, s scene) projection.Checkpoint {
			c := s.at(t, 5)
			c.LogEpoch++
			return c
		}, "the tables were made in epoch 2, this is 1"},
		{"the beginning is gone", "the server raises a start below FirstSeq silently", func(t *testing.T, s scene) projection.Checkpoint {
			c := s.at(t, 3)
			s.purge(t, 5)
			if m := s.next(t, 3); m.Position.Sequence != 5 {
				t.Errorf("the server begins at %d; if it does not raise the start silently, this check is not needed", m.Position.Sequence)
			}
			return c
		}, "the log begins at 5: what was between is gone"},
		{"the beginning is gone before anything was projected", "the same, from nothing", func(t *testing.T, s scene) projection.Checkpoint {
			s.purge(t, 2)
			return s.at(t, 0)
		}, "the log begins at 2"},
		{"purged up to the next", "nothing that is needed is gone, but the commit of the checkpoint is not there to compare", func(t *testing.T, s scene) projection.Checkpoint {
			c := s.at(t, 4)
			s.purge(t, 5)
			return c
		}, "the log has no message there"},
		{"beyond the end", "the server takes such a start and then waits for ever", func(t *testing.T, s scene) projection.Checkpoint {
			c := s.at(t, 10)
			c.Sequence = 11
			return c
		}, "the log ends at 10: it lost commits that the tables have"},
		{"everything is gone", "a purge of all", func(t *testing.T, s scene) projection.Checkpoint {
			c := s.at(t, 10)
			s.purge(t, 11)
			return c
		}, "the log has no message there"},
		{"another commit there", "a log that was truncated and went on", func(t *testing.T, s scene) projection.Checkpoint {
			c := s.at(t, 5)
			c.Hash[0]++
			return c
		}, "the log has another commit there"},
		{"no commit there", "a foreign message has the place", func(t *testing.T, s scene) projection.Checkpoint {
			w := events.Workflow{Namespace: "default", ID: "order-0"}
			if _, err := s.js.Publish(t.Context(), w.Subject(), []byte("x")); err != nil {
				t.Fatal(err)
			}
			c := s.at(t, 5)
			c.Sequence = 11
			return c
		}, "the log has no commit there"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			c := tt.checkpoint(t, s)
			err := projection.Check(t.Context(), s.log, c)
			if tt.says == "" {
				if err != nil {
					t.Errorf("Check: %v", err)
				}
				return
			}
			var wrong *projection.WrongCheckpointError
			if !errors.Is(err, projection.ErrWrongCheckpoint) || !errors.As(err, &wrong) || wrong.Checkpoint != c || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Check: %v; want %q", err, tt.says)
			}
		})
	}
}

// next is the first message that the server gives to a follower from there.
func (s scene) next(t *testing.T, after uint64) events.Message {
	t.Helper()
	for m, err := range s.log.Follow(t.Context(), 0, events.FollowOptions{After: after}) {
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	t.Fatal("nothing to follow")
	return events.Message{}
}

// What cannot be found out is not a wrong checkpoint: the tables may be right.
func TestCheckWithoutServer(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	c := s.at(t, 5)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := projection.Check(ctx, s.log, c); err == nil || errors.Is(err, projection.ErrWrongCheckpoint) {
		t.Errorf("Check: %v", err)
	}
}

func TestNewRefusesNegativeSettings(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for _, c := range []projection.Config{{BatchCommits: -1}, {BatchBytes: -1}, {BufferBytes: -1}, {MaxBackoff: -1}} {
		if _, err := projection.New(s.log, nil, c); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}
