package natslog_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/annals-io/annals/internal/embednats"
	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventstest"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// place is a port of this machine on which one server after the other may run.
type place struct {
	t      *testing.T
	port   int
	server *embednats.Server
}

func newPlace(t *testing.T) *place {
	t.Helper()
	ports, err := embednats.StablePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	p := &place{t: t, port: ports[0]}
	t.Cleanup(p.stop)
	return p
}

// newPlaceWithALog is a place at which there was a log in the folder before.
func newPlaceWithALog(t *testing.T, store string) *place {
	t.Helper()
	p := newPlace(t)
	p.start(store)
	nc, _ := p.connect()
	create(t, nc, natslog.CreateOptions{Streams: 1})
	nc.Close()
	return p
}

func (p *place) stop() {
	if p.server == nil {
		return
	}
	if err := p.server.Stop(); err != nil {
		p.t.Error(err)
	}
	p.server = nil
}

func (p *place) start(store string) {
	p.t.Helper()
	p.stop()
	s, err := embednats.Start(p.t.Context(), embednats.Options{Port: p.port, StoreDir: store})
	if err != nil {
		p.t.Fatal(err)
	}
	p.server = s
}

// connect opens a connection that comes back at once, and says when it has.
func (p *place) connect() (*nats.Conn, <-chan nats.Status) {
	p.t.Helper()
	nc := testenv.Connect(p.t, fmt.Sprintf("nats://127.0.0.1:%d", p.port), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	return nc, nc.StatusChanged(nats.CONNECTED)
}

// TestAnotherLogBehindTheConnectionIsNoticed: the server is started again with
// another store, the client reconnects by itself.
func TestAnotherLogBehindTheConnectionIsNoticed(t *testing.T) {
	t.Parallel()
	one, other := t.TempDir(), t.TempDir()
	p := newPlaceWithALog(t, other)
	p.start(one)
	nc, connected := p.connect()
	id := create(t, nc, natslog.CreateOptions{Streams: 1})
	log := open(t, nc, natslog.Config{AttemptTimeout: 200 * time.Millisecond})
	w := events.Workflow{Namespace: "n", ID: "w"}
	at, err := log.Append(t.Context(), request(w, events.NewRun(), started()))
	if err != nil {
		t.Fatal(err)
	}

	p.start(other)
	<-connected
	_, err = log.Append(t.Context(), request(w, events.After(at.Cursor), signal()))
	wrongLog(t, err, "log id")
	_, err = log.Tail(t.Context(), w)
	wrongLog(t, err, "log id")
	for _, err := range log.Read(t.Context(), w, events.ReadOptions{}) {
		wrongLog(t, err, "log id")
	}
	_, err = log.Bounds(t.Context(), 0)
	wrongLog(t, err, "log id")
	for _, err := range log.Follow(t.Context(), 0, events.FollowOptions{}) {
		wrongLog(t, err, "log id")
	}
	if b, err := open(t, nc, natslog.Config{}).Bounds(t.Context(), 0); err != nil || b.Last != 0 {
		t.Errorf("the other log holds %+v, %v: something was written to it", b, err)
	}

	// The log itself again: all goes on.
	p.start(one)
	<-connected
	if _, err = log.Append(t.Context(), request(w, events.After(at.Cursor), signal())); err != nil {
		t.Errorf("back at log %s: %v", id.LogID, err)
	}
	eventstest.CheckWorkflow(t, log, w)
}

// TestAppendOfUnknownOutcomeIsNotSettledByAnotherLog: what is unknown of one
// log stays unknown while the connection leads to another.
func TestAppendOfUnknownOutcomeIsNotSettledByAnotherLog(t *testing.T) {
	t.Parallel()
	one, other := t.TempDir(), t.TempDir()
	p := newPlaceWithALog(t, other)
	p.start(one)
	nc, connected := p.connect()
	create(t, nc, natslog.CreateOptions{Streams: 1})
	log := open(t, nc, natslog.Config{AttemptTimeout: 200 * time.Millisecond})
	w := events.Workflow{Namespace: "n", ID: "w"}

	r := request(w, events.NewRun().WithAttempt(events.Attempt{Run: "r", Time: time.Now()}), started())
	r.CommitID = "c"
	p.start(other)
	<-connected
	_, err := log.Append(t.Context(), r)
	if !errors.Is(err, events.ErrOutcomeUnknown) || !errors.Is(err, events.ErrWrongLog) {
		t.Errorf("append gave %v, want that its outcome is still unknown, for the log is wrong", err)
	}
	p.start(one)
	<-connected
	// It may find what an attempt of its own has stored whose answer was late.
	if res, err := log.Append(t.Context(), r); err != nil || res.LastEventID != 1 {
		t.Errorf("append gave %+v, %v", res, err)
	}
	eventstest.CheckWorkflow(t, log, w)
}

func TestFollowSurvivesARestart(t *testing.T) {
	t.Parallel()
	store := t.TempDir()
	p := newPlace(t)
	p.start(store)
	nc, _ := p.connect()
	create(t, nc, natslog.CreateOptions{Streams: 1})
	log := open(t, nc, natslog.Config{AttemptTimeout: 200 * time.Millisecond})
	w := events.Workflow{Namespace: "n", ID: "w"}
	at, err := log.Append(t.Context(), request(w, events.NewRun(), started()))
	if err != nil {
		t.Fatal(err)
	}
	var got, want []uint64
	for m, err := range log.Follow(t.Context(), 0, events.FollowOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		got, want = append(got, m.Position.Sequence), append(want, uint64(len(want)+1))
		if len(got) == 30 {
			break
		}
		if len(got)%10 == 0 {
			p.start(store)
		}
		if at, err = log.Append(t.Context(), request(w, events.After(at.Cursor), signal())); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("followed sequences (-want +got):\n%s", diff)
	}
	s, err := jetStream(t, nc).Stream(t.Context(), natslog.StreamName(0))
	if err != nil {
		t.Fatal(err)
	}
	if n := s.CachedInfo().State.Consumers; n != 0 {
		t.Errorf("%d consumers are left", n)
	}
}

// TestNothingIsLostWhenTheServerIsKilled: writers append while the server's
// process is killed again and again. What was acknowledged is there once; what
// is unknown is settled by the expectation that the error carries.
func TestNothingIsLostWhenTheServerIsKilled(t *testing.T) {
	t.Parallel()
	p := testenv.NATSProcess(t, "")
	connect := func() *nats.Conn {
		return testenv.Connect(t, p.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	}
	nc := connect()
	create(t, nc, natslog.CreateOptions{Streams: 2})
	config := natslog.Config{AttemptTimeout: 60 * time.Millisecond, LookBack: 10}
	settleUnderFaults(t, open(t, nc, natslog.Config{}), func() *natslog.Log { return open(t, connect(), config) }, func() {
		p.Kill()
		p.Restart()
	})
}

// TestNothingIsLostWhenTheLeaderChanges does the same on three servers.
func TestNothingIsLostWhenTheLeaderChanges(t *testing.T) {
	t.Parallel()
	nc := testenv.NATSCluster(t)
	create(t, nc, natslog.CreateOptions{Streams: 1, Replicas: 3})
	config := natslog.Config{AttemptTimeout: 50 * time.Millisecond, LookBack: 10}
	settleUnderFaults(t, open(t, nc, natslog.Config{}),
		func() *natslog.Log { return open(t, testenv.Connect(t, testenv.URL(nc)), config) },
		func() { testenv.StepDown(t, nc, natslog.StreamName(0)) })
}

// settleUnderFaults has writers append to workflows of their own and to one
// that they share, through three faults, and checks that each append is stored
// once.
func settleUnderFaults(t *testing.T, sound *natslog.Log, connect func() *natslog.Log, fault func()) {
	const writers = 6
	shared := events.Workflow{Namespace: "n", ID: "shared"}
	if _, err := sound.Append(t.Context(), request(shared, events.NewRun(), started())); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), linearPatience)
	defer cancel()
	stop := make(chan struct{})
	stored := make([]map[events.CommitID]events.Result, writers)
	unknown := make([]int, writers)
	progress := make(chan struct{}, writers)
	var wg sync.WaitGroup
	for i := range writers {
		stored[i] = map[events.CommitID]events.Result{}
		log := connect()
		own := events.Workflow{Namespace: "n", ID: fmt.Sprint("own ", i)}
		wg.Go(func() {
			// How long an append may take: so short that outcomes are unknown, but longer
			// while none is known.
			const least = 150 * time.Millisecond
			brief := least
			cursor := events.Cursor{}
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case progress <- struct{}{}:
				default:
				}
				r := request(own, events.After(cursor), signal())
				switch {
				case n == 0:
					r = request(own, events.NewRun(), started())
				case n%2 == 1:
					r = request(shared, events.AtEnd(), signal())
				}
				r.CommitID = events.CommitID(fmt.Sprintf("%d/%d", i, n))
				for {
					attempt, cancel := context.WithTimeout(ctx, brief)
					res, err := log.Append(attempt, r)
					cancel()
					if err == nil {
						brief = max(brief*3/4, least)
						if stored[i][r.CommitID] = res; r.Workflow == own {
							cursor = res.Cursor
						}
						break
					}
					brief *= 2
					var doubt *events.OutcomeUnknownError
					switch {
					case errors.As(err, &doubt):
						unknown[i]++
						r.Expect = doubt.Expectation
					case !events.SafeToRetry(err):
						t.Errorf("writer %d, append %d: %v", i, n, err)
						return
					}
					if ctx.Err() != nil {
						t.Errorf("writer %d, append %d was not settled in time: %v", i, n, err)
						return
					}
				}
			}
		})
	}
	some := func() { // appends between the faults
		for range fewer(20) * writers {
			select {
			case <-progress:
			case <-ctx.Done():
			}
		}
	}
	for range 3 {
		some()
		fault()
	}
	some()
	close(stop)
	wg.Wait()
	total, doubts := 0, 0
	commits := map[events.Workflow]map[events.CommitID][]*events.Commit{}
	for i := range writers {
		doubts += unknown[i]
		for id, res := range stored[i] {
			total++
			w := res.Cursor.Workflow()
			if commits[w] == nil {
				commits[w] = map[events.CommitID][]*events.Commit{}
				for c, err := range sound.Commits(t.Context(), w) {
					if err != nil {
						t.Fatal(err)
					}
					commits[w][c.ID] = append(commits[w][c.ID], c)
				}
				eventstest.CheckWorkflow(t, sound, w)
			}
			if got := commits[w][id]; len(got) != 1 || got[0].Position != res.Position {
				t.Errorf("commit %s was acknowledged at %s, the log holds it %d times", id, res.Position, len(got))
			}
		}
	}
	all := 0
	for _, ids := range commits {
		all += len(ids)
	}
	if all != total+1 { // and the start of the shared workflow
		t.Errorf("the log holds %d commits, %d were acknowledged", all, total+1)
	}
	t.Logf("%d appends were acknowledged; %d times the outcome was unknown for a while", total, doubts)
}

// TestFollowNoticesALogThatWasCutShort: the server loses what it had
// acknowledged, and goes on. Whoever followed it must not go on with what is
// written in its place.
func TestFollowNoticesALogThatWasCutShort(t *testing.T) {
	t.Parallel()
	store, before := t.TempDir(), t.TempDir()
	p := newPlace(t)
	p.start(store)
	nc, connected := p.connect()
	create(t, nc, natslog.CreateOptions{Streams: 1})
	log := open(t, nc, natslog.Config{AttemptTimeout: 200 * time.Millisecond})
	append := func(id string) {
		t.Helper()
		if _, err := log.Append(t.Context(), request(events.Workflow{Namespace: "n", ID: id}, events.NewRun(), started())); err != nil {
			t.Fatal(err)
		}
	}
	append("kept")
	p.stop()
	if err := os.CopyFS(before, os.DirFS(store)); err != nil {
		t.Fatal(err)
	}
	p.start(store)
	<-connected
	append("lost")

	// One has been given both messages, the other began behind them and was
	// given nothing yet.
	ended := make(chan error, 2)
	given := make(chan struct{}, 2)
	follow := func(after uint64) {
		var last error
		for _, err := range log.Follow(t.Context(), 0, events.FollowOptions{After: after}) {
			if last = err; err == nil {
				given <- struct{}{}
			}
		}
		ended <- last
	}
	go follow(0)
	<-given
	<-given
	made, err := nc.SubscribeSync("$JS.EVENT.ADVISORY.CONSUMER.CREATED." + natslog.StreamName(0) + ".>")
	if err != nil {
		t.Fatal(err)
	}
	go follow(2)
	if _, err := made.NextMsgWithContext(t.Context()); err != nil {
		t.Fatal(err)
	}

	p.start(before)
	<-connected
	append("in its place")
	append("and after it")
	for range 2 {
		wrongLog(t, <-ended, natslog.StreamName(0))
	}
}

// TestWhatNeverLeftReachesNoOtherLog: an append that is tried while there is no
// connection is not kept for the next one, behind which there may be another
// log. It is known not to be stored.
func TestWhatNeverLeftReachesNoOtherLog(t *testing.T) {
	t.Parallel()
	one, other := t.TempDir(), t.TempDir()
	p := newPlaceWithALog(t, other)
	p.start(one)
	nc, connected := p.connect()
	create(t, nc, natslog.CreateOptions{Streams: 1})
	log := open(t, nc, natslog.Config{AttemptTimeout: 100 * time.Millisecond})

	gone := nc.StatusChanged(nats.RECONNECTING)
	p.stop()
	<-gone
	w := events.Workflow{Namespace: "n", ID: "w"}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := log.Append(ctx, request(w, events.NewRun(), started()))
	if !errors.Is(err, events.ErrUnavailable) || errors.Is(err, events.ErrOutcomeUnknown) {
		t.Errorf("append gave %v, and nothing was sent", err)
	}
	beat := events.Heartbeat{Activity: events.Activity{Workflow: w, RunID: "r", ID: "a"}, Attempt: 1}
	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err = log.RecordHeartbeat(ctx, beat); !errors.Is(err, events.ErrUnavailable) {
		t.Errorf("heartbeat gave %v, and nothing was sent", err)
	}

	p.start(other)
	<-connected
	if err := nc.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	there := open(t, nc, natslog.Config{})
	if b, err := there.Bounds(t.Context(), 0); err != nil || b.Last != 0 {
		t.Errorf("the other log holds %+v, %v", b, err)
	}
	if h, err := there.LastHeartbeat(t.Context(), beat.Activity); !errors.Is(err, events.ErrNotFound) {
		t.Errorf("the other log holds %+v, %v", h, err)
	}
}
