package natslog_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/faultproxy"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventstest"
	"github.com/annals-io/annals/pkg/events/internal/subjectlog"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// fate is what became of the appends of a trouble.
type fate int

const (
	unknownStored fate = iota
	unknownNotStored
	unknownEither // or it may yet be stored
	known         // the library finds out by itself
)

// trouble is one thing that happens to appends on real servers.
type trouble struct {
	name string
	// begin comes when all appends are about to be sent. What it gives is closed
	// once it was seen to meet them.
	begin func(*troubled) (seen <-chan struct{})
	// then comes once it was seen; after that the appends give up, if they do.
	then func(*troubled)
	// end comes when they have.
	end  func(*troubled)
	fate fate
}

// onConnections are the troubles on the way to a server.
var onConnections = []trouble{
	{
		"the acknowledgement is lost", func(e *troubled) <-chan struct{} { return e.lose(faultproxy.ToClient) },
		(*troubled).awaitStored, (*troubled).pass, unknownStored,
	},
	{
		"the connection is cut before the server has stored it", func(e *troubled) <-chan struct{} { return e.lose(faultproxy.ToServer) },
		(*troubled).sever, (*troubled).pass, unknownNotStored,
	},
	{
		"the connection is cut after the server has stored it", func(e *troubled) <-chan struct{} { return e.lose(faultproxy.ToClient) },
		func(e *troubled) { e.awaitStored(); e.sever() }, (*troubled).pass, unknownStored,
	},
	{
		"the acknowledgement is late", func(e *troubled) <-chan struct{} { return e.hold(faultproxy.ToClient) },
		(*troubled).awaitStored, (*troubled).pass, unknownStored,
	},
	{
		"what was sent arrives when nobody waits any more", func(e *troubled) <-chan struct{} { return e.hold(faultproxy.ToServer) },
		nothing, (*troubled).pass, unknownEither,
	},
	{
		"the connection is cut once before the server has stored it", func(e *troubled) <-chan struct{} { return e.lose(faultproxy.ToServer) },
		(*troubled).pass, nothing, known,
	},
	{
		"the connection is cut once after the server has stored it", func(e *troubled) <-chan struct{} { return e.lose(faultproxy.ToClient) },
		func(e *troubled) { e.awaitStored(); e.pass() }, nothing, known,
	},
	{
		"the way to the server stalls for longer than an attempt", func(e *troubled) <-chan struct{} { return e.hold(faultproxy.ToServer) },
		func(e *troubled) { e.lasts(3 * unknownAttempt); e.pass() }, nothing, known,
	},
}

func nothing(*troubled) {}

// TestOutcomesOnConnectionsR1 and those below: fifteen appends at once meet each
// trouble. None is lost, none is stored twice, and none is reported as what it
// is not; what is unknown is settled by the expectation that came with it.
func TestOutcomesOnConnectionsR1(t *testing.T) {
	t.Parallel()
	direct := testenv.NATS(t)
	create(t, direct, natslog.CreateOptions{Streams: 2})
	for _, x := range onConnections {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			meet(t, direct, testenv.URL(direct), x)
		})
	}
}

func TestOutcomesOnConnectionsR3(t *testing.T) {
	t.Parallel()
	direct := testenv.NATSCluster(t)
	create(t, direct, natslog.CreateOptions{Streams: 1, Replicas: 3})
	for _, x := range append(onConnections, onLeaders...) {
		t.Run(x.name, func(t *testing.T) { meet(t, direct, testenv.URL(direct), x) })
	}
}

// onLeaders are the troubles of a stream whose leader changes.
var onLeaders = []trouble{
	{
		"the leader steps down between the append and its acknowledgement", func(e *troubled) <-chan struct{} { return e.hold(faultproxy.ToClient) },
		func(e *troubled) { e.awaitStored(); e.stepDown() }, (*troubled).pass, unknownStored,
	},
	{
		"the leader steps down while the append is on its way", func(e *troubled) <-chan struct{} { return e.hold(faultproxy.ToServer) },
		(*troubled).stepDown, (*troubled).pass, unknownEither,
	},
	{
		"the leader steps down while appends are sent", func(e *troubled) <-chan struct{} {
			seen := make(chan struct{})
			close(seen)
			return seen
		},
		(*troubled).stepDown, nothing, known,
	},
}

// unknownAttempt is how long an attempt waits for its answer.
const unknownAttempt = 60 * time.Millisecond

// troubled is a log whose clients reach it through proxies only.
type troubled struct {
	*testing.T
	direct  *nats.Conn
	sound   *natslog.Log
	proxies []*faultproxy.Proxy
	urls    string
	appends []*doubtful
}

// doubtful is one append that meets a trouble.
type doubtful struct {
	name    string
	request events.Request
	tail    uint64 // the sequence that it must follow
	how     string // it is settled
	err     error
	result  events.Result
}

// handle is the log on a new connection, whose client keeps nothing for the next
// one: what is lost on the way is lost.
func (e *troubled) handle() *natslog.Log {
	e.Helper()
	nc := testenv.Connect(e, e.urls, append(faultproxy.Options(), nats.ReconnectBufSize(-1))...)
	return open(e, nc, natslog.Config{AttemptTimeout: unknownAttempt})
}

// each does something to every proxy. What it gives is closed once that has met
// something on one of them.
func (e *troubled) each(do func(*faultproxy.Proxy) <-chan struct{}) <-chan struct{} {
	seen := make(chan struct{})
	var once sync.Once
	for _, p := range e.proxies {
		hit := do(p)
		go func() {
			select {
			case <-hit:
				once.Do(func() { close(seen) })
			case <-e.Context().Done():
			}
		}()
	}
	return seen
}

func (e *troubled) lose(d faultproxy.Direction) <-chan struct{} {
	return e.each(func(p *faultproxy.Proxy) <-chan struct{} { return p.Lose(d) })
}

func (e *troubled) hold(d faultproxy.Direction) <-chan struct{} {
	return e.each(func(p *faultproxy.Proxy) <-chan struct{} { return p.Hold(d) })
}

func (e *troubled) sever() { e.each((*faultproxy.Proxy).Sever) }

func (e *troubled) pass() {
	for _, p := range e.proxies {
		p.Pass()
	}
}

func (e *troubled) stepDown() { testenv.StepDown(e, e.direct, natslog.StreamName(0)) }

// lasts lets a trouble go on for a while.
func (e *troubled) lasts(d time.Duration) {
	if err := subjectlog.Sleep(e.Context(), d); err != nil {
		e.Error(err)
	}
}

// awaitStored returns when the log holds all appends.
func (e *troubled) awaitStored() {
	ctx, cancel := context.WithTimeout(e.Context(), patience)
	defer cancel()
	for _, d := range e.appends {
		w := d.request.Workflow
		for m, err := range e.sound.Follow(ctx, e.sound.Partition(w), events.FollowOptions{Workflow: &w, After: d.tail}) {
			if err != nil {
				e.Errorf("%s is not stored: %v", d.name, err)
				return
			}
			if c, err := events.Decode(m); err == nil && c.ID == d.request.CommitID {
				break
			}
		}
	}
}

// atOnce is a store that sends nothing of the appends before all of them are
// about to be sent.
type atOnce struct {
	subjectlog.Store
	appends map[events.CommitID]*doubtful
	ready   *sync.WaitGroup
	begun   <-chan struct{}
	sent    sync.Map
	// left is closed once an attempt at each append has left and ended, or has
	// ended, if they may never leave.
	left     chan struct{}
	ended    sync.Map
	missing  atomic.Int32 // appends of which none has
	mayNever bool
}

func (s *atOnce) Publish(ctx context.Context, m subjectlog.Outgoing) (uint64, error) {
	if d := s.appends[m.CommitID]; m.Expected == d.tail {
		if _, again := s.sent.LoadOrStore(m.CommitID, true); !again {
			s.ready.Done()
			<-s.begun
		}
	}
	seq, err := s.Store.Publish(ctx, m)
	if s.appends[m.CommitID] != nil && (s.mayNever || !errors.Is(err, subjectlog.ErrNotSent)) {
		if _, again := s.ended.LoadOrStore(m.CommitID, true); !again && s.missing.Add(-1) == 0 {
			close(s.left)
		}
	}
	return seq, err
}

// prepare makes the appends, each on a workflow of its own.
func (e *troubled) prepare(name string) {
	e.Helper()
	put := func(r events.Request) events.Result {
		e.Helper()
		res, err := e.sound.Append(e.Context(), r)
		if err != nil {
			e.Fatal(err)
		}
		return res
	}
	for _, how := range []string{"by the same handle", "by a new handle", "after other commits"} {
		for _, kind := range []string{"a new run", "the next run", "after a cursor", "after an event", "at the end"} {
			d := &doubtful{name: kind + ", settled " + how, how: how}
			w := events.Workflow{Namespace: "unknown", ID: name + ": " + d.name}
			switch kind {
			case "a new run":
				d.request = request(w, events.NewRun(), started())
			case "the next run":
				at := put(request(w, events.NewRun(), started(), completed()))
				d.request, d.tail = request(w, events.NewRun(), started()), at.Position.Sequence
			default:
				at := put(request(w, events.NewRun(), started()))
				d.request, d.tail = request(w, events.AtEnd(), signal()), at.Position.Sequence
				switch kind {
				case "after a cursor":
					d.request.Expect = events.After(at.Cursor)
				case "after an event":
					d.request.Expect = events.AfterEvent(at.RunID, at.LastEventID)
				}
			}
			d.request.CommitID = events.CommitID("doubtful: " + d.name)
			e.appends = append(e.appends, d)
		}
	}
}

// meet has fifteen appends meet the trouble, and settles them.
func meet(t *testing.T, direct *nats.Conn, servers string, x trouble) {
	e := &troubled{T: t, direct: direct, sound: open(t, direct, natslog.Config{})}
	e.proxies, e.urls = faultproxy.All(t, servers)
	e.prepare(x.name)
	handle := e.handle()
	e.append(handle, x)
	if t.Failed() {
		return
	}
	stored := map[*doubtful]*events.Commit{}
	for _, d := range e.appends {
		c := e.find(d)
		if x.fate == known {
			if d.err != nil || c == nil || c.Position != d.result.Position {
				t.Errorf("%s: gave %+v, %v; the log holds %+v", d.name, d.result, d.err, c)
			}
			continue
		}
		var doubt *events.OutcomeUnknownError
		if x.fate == unknownNotStored && errors.Is(d.err, events.ErrUnavailable) && !errors.Is(d.err, events.ErrOutcomeUnknown) {
			// Cut before its first attempt was sent, on a busy machine: then there is
			// nothing to settle, and it is sent again as it was.
			if c != nil {
				t.Errorf("%s: gave %v, and the log holds %+v", d.name, d.err, c)
			}
			continue
		}
		if !errors.Is(d.err, events.ErrOutcomeUnknown) || !errors.As(d.err, &doubt) || !events.SafeToRetry(d.err) {
			t.Fatalf("%s: gave %+v, %v", d.name, d.result, d.err)
		}
		if x.fate == unknownStored && c == nil || x.fate == unknownNotStored && c != nil {
			t.Errorf("%s: the log holds %+v", d.name, c)
		}
		stored[d], d.request.Expect = c, e.token(doubt.Expectation)
	}
	if x.fate != known {
		for _, d := range e.appends {
			e.settle(handle, d, stored[d])
		}
	}
	for _, d := range e.appends {
		eventstest.CheckWorkflow(t, e.sound, d.request.Workflow)
	}
}

// token is an expectation as another process gets it.
func (e *troubled) token(x events.Expectation) (again events.Expectation) {
	e.Helper()
	text, err := x.MarshalText()
	if err != nil {
		e.Fatal(err)
	}
	if err := again.UnmarshalText(text); err != nil {
		e.Fatal(err)
	}
	return again
}

// append sends all appends at once into the trouble.
func (e *troubled) append(handle *natslog.Log, x trouble) {
	begun := make(chan struct{})
	together := &atOnce{
		appends: map[events.CommitID]*doubtful{}, ready: &sync.WaitGroup{}, begun: begun,
		left: make(chan struct{}), mayNever: x.fate == unknownNotStored,
	}
	together.ready.Add(len(e.appends))
	together.missing.Store(int32(len(e.appends)))
	log := handle.Through(func(s subjectlog.Store) subjectlog.Store { together.Store = s; return together })
	ctx, giveUp := context.WithCancelCause(e.Context())
	defer giveUp(nil)
	never := time.AfterFunc(patience, func() { giveUp(errNever) })
	defer never.Stop()
	var all sync.WaitGroup
	for _, d := range e.appends {
		together.appends[d.request.CommitID] = d
	}
	for _, d := range e.appends {
		all.Go(func() { d.result, d.err = log.Append(ctx, d.request) })
	}
	together.ready.Wait()
	seen := x.begin(e)
	close(begun)
	select {
	case <-seen:
	case <-ctx.Done():
		e.Errorf("%s did not happen", x.name)
	}
	x.then(e)
	if x.fate != known {
		select { // who is not known to have tried gives up with nothing to settle
		case <-together.left:
		case <-ctx.Done():
			e.Errorf("not all appends were tried")
		}
		e.lasts(unknownAttempt)
		giveUp(context.DeadlineExceeded)
	}
	all.Wait()
	x.end(e)
}

// find is the append's commit in the log, nil if it holds none.
func (e *troubled) find(d *doubtful) (found *events.Commit) {
	e.Helper()
	for c, err := range e.sound.Commits(e.Context(), d.request.Workflow) {
		switch {
		case errors.Is(err, events.ErrNotFound):
			return nil
		case err != nil:
			e.Fatal(err)
		case c.ID == d.request.CommitID && found != nil:
			e.Errorf("%s: stored at %s and at %s", d.name, found.Position, c.Position)
		case c.ID == d.request.CommitID:
			found = c
		}
	}
	return found
}

// settle sends the append again as its error said, twice, and holds the answers
// against what the log holds.
func (e *troubled) settle(handle *natslog.Log, d *doubtful, before *events.Commit) {
	e.Helper()
	log := handle
	if d.how != "by the same handle" {
		log = e.handle()
	}
	_, atEnd := d.request.Expect.IsAtEnd()
	if d.how == "after other commits" {
		r := request(d.request.Workflow, events.AtEnd(), signal())
		if before == nil && !events.IsOpen(e.status(d)) {
			r = request(d.request.Workflow, events.NewRun(), started())
		}
		if _, err := e.sound.Append(e.Context(), r); err != nil && !errors.Is(err, events.ErrConflict) && !errors.Is(err, events.ErrClosed) {
			e.Fatal(err)
		}
	}
	for i := range 2 {
		res, err := log.Append(e.Context(), d.request)
		now := e.find(d)
		switch {
		case err == nil && (now == nil || now.Position != res.Position):
			e.Errorf("%s: settled at %s, the log holds %+v", d.name, res.Position, now)
		case err == nil && before != nil && (!res.Existed || res.Position != before.Position):
			e.Errorf("%s: stored at %s, settled at %s, existed: %t", d.name, before.Position, res.Position, res.Existed)
		case err == nil && i == 1 && !res.Existed:
			e.Errorf("%s: stored again at %s", d.name, res.Position)
		case err == nil:
			before = now
		case before != nil || now != nil:
			e.Errorf("%s: settled by %v, the log holds %+v", d.name, err, now)
		case atEnd || d.how != "after other commits" || !errors.Is(err, events.ErrConflict):
			e.Errorf("%s: settled by %v", d.name, err)
		}
	}
}

// status is the workflow's, zero if there is none.
func (e *troubled) status(d *doubtful) events.Status {
	e.Helper()
	tail, err := e.sound.Tail(e.Context(), d.request.Workflow)
	if err != nil && !errors.Is(err, events.ErrNotFound) {
		e.Fatal(err)
	}
	return tail.Status()
}
