package natslog_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventstest"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// TestReadGoesOnFromPageToPage: more commits than a page holds, more bytes than
// a page holds, and messages of other workflows between them.
func TestReadGoesOnFromPageToPage(t *testing.T) {
	t.Parallel()
	nc := testenv.NATS(t)
	create(t, nc, natslog.CreateOptions{Streams: 1})
	log := open(t, nc, natslog.Config{})
	for _, c := range []struct {
		name          string
		commits, size int
	}{{"many small", max(fewer(700), 300), 10}, {"exactly a page", 128, 10}, {"few large", 9, 700_000}, {"larger than a page", 3, 1_500_000}} {
		w, other := events.Workflow{Namespace: c.name, ID: "w"}, events.Workflow{Namespace: c.name, ID: "other"}
		at := map[events.Workflow]events.Cursor{}
		for i := range c.commits {
			for _, to := range []events.Workflow{w, other} {
				r := request(to, events.After(at[to]), sized(c.size))
				if to == other {
					r.Events[0] = signal()
				}
				if i == 0 {
					r.Expect, r.Events[0] = events.NewRun(), started()
				}
				res, err := log.Append(t.Context(), r)
				if err != nil {
					t.Fatal(err)
				}
				at[to] = res.Cursor
			}
		}
		n := 0
		for e, err := range log.Read(t.Context(), w, events.ReadOptions{}) {
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if n++; e.EventId != int64(n) {
				t.Fatalf("%s: event %d came as number %d", c.name, e.EventId, n)
			}
		}
		if n != c.commits {
			t.Errorf("%s: %d events, want %d", c.name, n, c.commits)
		}
		eventstest.CheckWorkflow(t, log, w)
	}
}

// TestReadIsWholeWhicheverReplicaAnswers: after each append on three servers,
// the history is read through each of them. Direct gets may be answered by one
// that is behind; a history never ends there.
func TestReadIsWholeWhicheverReplicaAnswers(t *testing.T) {
	t.Parallel()
	nc := testenv.NATSCluster(t)
	create(t, nc, natslog.CreateOptions{Streams: 1, Replicas: 3})
	writer := open(t, nc, natslog.Config{})
	var conns []*nats.Conn
	var readers []*natslog.Log
	for _, server := range nc.Opts.Servers {
		conn := testenv.Connect(t, server)
		conns, readers = append(conns, conn), append(readers, open(t, conn, natslog.Config{}))
	}
	w := events.Workflow{Namespace: "n", ID: "w"}
	var at events.Result
	stale, whole := 0, 0
	for i := range fewer(700) {
		r := request(w, events.After(at.Cursor), signal())
		switch i % 10 {
		case 0:
			r.Expect, r.Events[0] = events.NewRun(), started()
		case 9:
			r.Events[0] = completed()
		}
		var err error
		if at, err = writer.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		for j, reader := range readers {
			if lastDirect(t, conns[j], at.Position.Partition, w.Subject()) != at.Position.Sequence {
				stale++
			}
			n := 0
			for e, err := range reader.Read(t.Context(), w, events.ReadOptions{}) {
				if err != nil {
					t.Fatal(err)
				}
				if n++; e.EventId != int64(n) {
					t.Fatalf("event %d came as number %d", e.EventId, n)
				}
			}
			if n != int(at.LastEventID) {
				t.Fatalf("append %d, read through server %d: %d events, %d were acknowledged", i, j, n, at.LastEventID)
			}
			whole++
		}
	}
	t.Logf("%d histories were whole; %d direct gets of the last message were not answered with it", whole, stale)
}

// lastDirect is what a direct get says is the last sequence of a subject, 0 if
// there is none.
func lastDirect(t *testing.T, nc *nats.Conn, p events.Partition, subject string) uint64 {
	t.Helper()
	seq, err := askDirect(nc, p, subject)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

// askDirect is lastDirect where nobody may answer: a replica does some time after it is made.
func askDirect(nc *nats.Conn, p events.Partition, subject string) (uint64, error) {
	body, err := json.Marshal(map[string]string{"last_by_subj": subject})
	if err != nil {
		return 0, err
	}
	m, err := nc.Request("$JS.API.DIRECT.GET."+natslog.StreamName(p), body, time.Minute)
	if err != nil {
		return 0, err
	}
	if m.Header.Get("Status") != "" {
		return 0, nil
	}
	return strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
}

// TestFollowLeavesNoConsumerBehind, however it ends.
func TestFollowLeavesNoConsumerBehind(t *testing.T) {
	t.Parallel()
	nc := testenv.NATS(t)
	create(t, nc, natslog.CreateOptions{Streams: 1})
	log := open(t, nc, natslog.Config{})
	n := max(fewer(5000), 2500) // more than is pulled at a time
	for i := range n {
		if _, err := log.Append(t.Context(), request(events.Workflow{Namespace: "n", ID: fmt.Sprint(i)}, events.NewRun(), started())); err != nil {
			t.Fatal(err)
		}
	}
	end := uint64(n)
	for name, o := range map[string]events.FollowOptions{"the middle": {Until: end / 2}, "the end": {Until: end}, "one message": {After: end - 1, Until: end}} {
		want := o.After
		for m, err := range log.Follow(t.Context(), 0, o) {
			if err != nil {
				t.Fatal(err)
			}
			if want++; m.Position.Sequence != want {
				t.Fatalf("to %s: message %d came, %d was due", name, m.Position.Sequence, want)
			}
		}
		if want != o.Until {
			t.Errorf("to %s: ended at %d, want %d", name, want, o.Until)
		}
	}
	for range log.Follow(t.Context(), 0, events.FollowOptions{}) {
		break
	}
	s, err := jetStream(t, nc).Stream(t.Context(), natslog.StreamName(0))
	if err != nil {
		t.Fatal(err)
	}
	if n := s.CachedInfo().State.Consumers; n != 0 {
		t.Errorf("%d consumers are left", n)
	}
}

// TestAClosedConnectionIsSaid: at once, not after a timeout.
func TestAClosedConnectionIsSaid(t *testing.T) {
	t.Parallel()
	nc := testenv.NATS(t)
	create(t, nc, natslog.CreateOptions{Streams: 1})
	mine := testenv.Connect(t, testenv.URL(nc))
	log := open(t, mine, natslog.Config{})
	w := events.Workflow{Namespace: "n", ID: "w"}
	if _, err := log.Append(t.Context(), request(w, events.NewRun(), started())); err != nil {
		t.Fatal(err)
	}
	for _, err := range log.Follow(t.Context(), 0, events.FollowOptions{}) {
		if err == nil {
			mine.Close()
		} else if !errors.Is(err, nats.ErrConnectionClosed) {
			t.Errorf("follow gave %v, want that the connection is closed", err)
		}
	}
	if _, err := log.Append(t.Context(), request(w, events.AtEnd(), signal())); !errors.Is(err, events.ErrUnavailable) || !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("append gave %v, want that the connection is closed", err)
	}
	if _, err := log.Append(t.Context(), request(w, events.NewRun(), started())); !errors.Is(err, events.ErrUnavailable) {
		t.Errorf("append gave %v, want that the log is unavailable", err)
	}
	if _, err := log.Tail(t.Context(), w); !errors.Is(err, events.ErrUnavailable) {
		t.Errorf("tail gave %v, want that the log is unavailable", err)
	}
	for _, err := range log.Read(t.Context(), w, events.ReadOptions{}) {
		if !errors.Is(err, events.ErrUnavailable) {
			t.Errorf("read gave %v, want that the log is unavailable", err)
		}
	}
}
