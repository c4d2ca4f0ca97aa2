package natslog_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
)

func decision(key string, n int) events.Decision {
	return events.Decision{Topic: events.Topic{Namespace: "n", Kind: "k", Key: key}, Content: fmt.Appendf(nil, `{"n":%d}`, n)}
}

func decide(t testing.TB, log events.Log, d events.Decision, after uint64) events.StoredDecision {
	t.Helper()
	s, existed, err := log.Decide(t.Context(), d, after)
	if err != nil || existed {
		t.Fatalf("decide on %s after %d: existed %t, %v", d.Topic, after, existed, err)
	}
	return s
}

func decided(t testing.TB, log events.Log) (all []events.StoredDecision) {
	t.Helper()
	for d, err := range log.Decisions(t.Context(), 0) {
		if err != nil && !errors.Is(err, events.ErrCorrupt) {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

func TestCreateCompletesALogWithoutAControlStream(t *testing.T) {
	t.Parallel()
	nc := testenv.NATS(t)
	js := jetStream(t, nc)
	id := create(t, nc, natslog.CreateOptions{Streams: 1})
	if err := js.DeleteStream(t.Context(), natslog.ControlStream); err != nil {
		t.Fatal(err)
	}
	refusedOpen(t, nc, natslog.Config{}, "stream ANNALS_CONTROL")
	if diff := cmp.Diff(id, create(t, nc, natslog.CreateOptions{})); diff != "" {
		t.Errorf("created and completed (-created +completed):\n%s", diff)
	}
	decide(t, open(t, nc, natslog.Config{}), decision("a", 1), 0)
	c, err := configOf(t, js, natslog.ControlStream)
	if err != nil || !c.DenyDelete || c.MaxAge != 0 || c.Discard != jetstream.DiscardNew {
		t.Errorf("its settings are %+v, %v", c, err)
	}
	s, err := js.Stream(t.Context(), natslog.ControlStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteMsg(t.Context(), 1); err == nil {
		t.Error("a decision could be deleted")
	}
}

// A control stream that could lose decisions, or is another log's, is refused.
func TestOpenRefusesWrongControlSettings(t *testing.T) {
	t.Parallel()
	nc := testenv.NATS(t)
	js := jetStream(t, nc)
	create(t, nc, natslog.CreateOptions{Streams: 1})
	right, err := configOf(t, js, natslog.ControlStream)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []struct {
		name   string
		change func(*jetstream.StreamConfig)
		what   string
	}{
		{"that allows deletes", func(c *jetstream.StreamConfig) { c.DenyDelete = false }, "deny_delete"},
		{"that keeps the last only", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1 }, "max_msgs_per_subject"},
		{"in memory", func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage }, "storage"},
		{"with another subject", func(c *jetstream.StreamConfig) { c.Subjects = []string{"annals-control.>"} }, "subjects"},
		{"of another log", func(c *jetstream.StreamConfig) { c.Metadata["annals.log-id"] = "another" }, "stream"},
		{"of another epoch", func(c *jetstream.StreamConfig) { c.Metadata["annals.epoch"] = "9" }, "stream"},
	} {
		c := right
		c.Metadata = map[string]string{}
		for k, v := range right.Metadata {
			c.Metadata[k] = v
		}
		wrong.change(&c)
		if err := js.DeleteStream(t.Context(), natslog.ControlStream); err != nil {
			t.Fatal(err)
		}
		if _, err := js.CreateStream(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		what := "stream ANNALS_CONTROL"
		if wrong.what != "stream" {
			what = wrong.what + " of " + what
		}
		refusedOpen(t, nc, natslog.Config{}, what)
	}
}

// Who reads on in a control stream that was made anew is told, and gets nothing of it.
func TestAControlStreamThatWasMadeAnewIsNoticed(t *testing.T) {
	t.Parallel()
	nc := testenv.NATS(t)
	js := jetStream(t, nc)
	create(t, nc, natslog.CreateOptions{Streams: 1})
	log := open(t, nc, natslog.Config{})
	decide(t, log, decision("a", 1), 0)
	second := decide(t, log, decision("b", 1), 0)
	c, err := configOf(t, js, natslog.ControlStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), natslog.ControlStream); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	decide(t, log, decision("c", 1), 0)
	for d, err := range log.Decisions(t.Context(), second.Sequence) {
		if !errors.Is(err, events.ErrWrongLog) {
			t.Errorf("it gave %+v, %v", d, err)
		}
	}
	if _, _, err := log.Decide(t.Context(), decision("b", 2), second.Sequence); !errors.Is(err, events.ErrWrongLog) {
		t.Errorf("a decision on what is gone gave %v", err)
	}
}

// Decisions are part of a backup, which is added to, and of the log that is made of
// it, at the same sequences: what was decided goes on from there.
func TestDecisionsAreBackedUpAndRestored(t *testing.T) {
	t.Parallel()
	nc, dir := testenv.NATS(t), t.TempDir()
	create(t, nc, natslog.CreateOptions{Streams: 1})
	log := open(t, nc, natslog.Config{})
	first := decide(t, log, decision("a", 1), 0)
	if r := backUp(t, log, dir); r.Decisions != 1 {
		t.Errorf("the first backup: %+v", r)
	}
	put(t, nc, first.Topic.Subject(), nil, []byte("no decision"))
	last := decide(t, log, events.Decision{Topic: first.Topic, CommitID: "mine", By: "me", Cause: events.Position{Partition: 0, Sequence: 7}, Content: []byte(`{"n":2}`)}, 2)
	decide(t, log, decision("b", 1), 0)
	if r := backUp(t, log, dir); r.Decisions != 4 {
		t.Errorf("the second backup: %+v", r)
	}
	to := testenv.NATS(t)
	if r := restore(t, to, dir, natslog.RestoreOptions{}); r.Decisions != 4 || r.Messages != 0 {
		t.Errorf("restored: %+v", r)
	}
	restored := open(t, to, natslog.Config{})
	if diff := cmp.Diff(decided(t, log), decided(t, restored)); diff != "" {
		t.Errorf("decisions (-before +restored):\n%s", diff)
	}
	if _, existed, err := restored.Decide(t.Context(), last.Decision, 0); err != nil || !existed {
		t.Errorf("repeated in the restored log: existed %t, %v", existed, err)
	}
	decide(t, restored, decision("a", 3), last.Sequence)
}

// A folder of a version without decisions makes a log that has none, and is added
// to as it is.
func TestABackupWithoutAControlStreamIsRestored(t *testing.T) {
	t.Parallel()
	nc, dir := testenv.NATS(t), t.TempDir()
	create(t, nc, natslog.CreateOptions{Streams: 1})
	log := open(t, nc, natslog.Config{})
	w := events.Workflow{Namespace: "default", ID: "order"}
	if _, err := log.Append(t.Context(), request(w, events.NewRun(), started())); err != nil {
		t.Fatal(err)
	}
	backUp(t, log, dir)
	path := filepath.Join(dir, "manifest.json")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var sealed struct {
		Manifest map[string]json.RawMessage `json:"manifest"`
	}
	if err := json.Unmarshal(b, &sealed); err != nil {
		t.Fatal(err)
	}
	if len(sealed.Manifest["control"]) == 0 {
		t.Fatalf("the manifest has no control stream: %s", b)
	}
	delete(sealed.Manifest, "control")
	sealed.Manifest["format"] = json.RawMessage("1")
	if b, err = json.Marshal(sealed.Manifest); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, "{\"manifest\": %s,\n\"sha256\": \"%x\"}\n", b, sha256.Sum256(b)), 0o644); err != nil {
		t.Fatal(err)
	}
	to := testenv.NATS(t)
	if r := restore(t, to, dir, natslog.RestoreOptions{}); r.Messages != 1 || r.Decisions != 0 {
		t.Errorf("restored %+v", r)
	}
	decide(t, open(t, to, natslog.Config{}), decision("a", 1), 0)

	decide(t, log, decision("a", 1), 0)
	if r := backUp(t, log, dir); r.Full || r.Decisions != 1 || r.Messages != 0 {
		t.Errorf("what the old folder got: %+v", r)
	}
	again := testenv.NATS(t)
	if r := restore(t, again, dir, natslog.RestoreOptions{}); r.Messages != 1 || r.Decisions != 1 {
		t.Errorf("restored %+v", r)
	}
}
