package memlog_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/google/uuid"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

// TestWhatIsRememberedChangesNoAnswer does the same on two logs, at random: appends
// of every kind, starts by policy, resets, foreign messages and voids, and
// repetitions of them, by three handles. The handles of one log remember the ends
// of workflows, those of the other do not, and all answers are the same. Only a
// commit id that lies further back than is looked may be found by what is remembered.
func TestWhatIsRememberedChangesNoAnswer(t *testing.T) {
	seed := rand.Uint64()
	for round := range uint64(250) {
		p := pair{T: t, rng: rand.New(rand.NewPCG(seed, round)), clock: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
		p.open([2]int{4, 1000}[round%2])
		for step := range 40 {
			if !p.step(step) {
				break
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d, round %d, of the log without memory:\n%s", seed, round, p.told)
		}
	}
}

// pair is two logs to which the same happens.
type pair struct {
	*testing.T
	rng     *rand.Rand
	clock   time.Time
	handles [2][3]*memlog.Log // of the log that remembers, and of the other
	did     []func(*memlog.Log) answer
	told    string
}

// answer is what a call said.
type answer struct {
	what    string // where it lies, or the error
	existed bool
}

func (p *pair) open(lookBack int) {
	for i := range p.handles {
		log, err := memlog.New(memlog.Config{Streams: 1, Now: func() time.Time { return p.clock }})
		if err != nil {
			p.Fatal(err)
		}
		for h := range p.handles[i] {
			p.handles[i][h] = log.Open(memlog.Config{LookBack: lookBack, CachedCursors: -i})
		}
	}
}

// step does one thing on both logs by the same handle. It reports false where the
// two have parted for a good reason.
func (p *pair) step(n int) bool {
	p.clock = p.clock.Add(time.Duration(p.rng.IntN(40)) * time.Second)
	do := p.thing(n)
	if k := len(p.did); k > 0 && p.rng.IntN(5) == 0 {
		do = p.did[max(0, k-1-p.rng.IntN(8))]
	} else {
		p.did = append(p.did, do)
	}
	h := p.rng.IntN(len(p.handles[0]))
	with, without := do(p.handles[0][h]), do(p.handles[1][h])
	p.told += fmt.Sprintf("%d, by handle %d: %+v\n", n, h, without)
	if with.existed && !without.existed {
		return false // it was found further back
	}
	if with != without {
		p.Errorf("%d, by handle %d, with memory: %+v", n, h, with)
	}
	return true
}

// thing is something to do.
func (p *pair) thing(n int) func(*memlog.Log) answer {
	event := func(t enumspb.EventType) *events.Event { return &events.Event{EventType: t} }
	var (
		w       = events.Workflow{Namespace: "n", ID: []string{"a", "b"}[p.rng.IntN(2)]}
		run     = events.RunID(fmt.Sprint("r", n))
		start   = events.WorkflowStarted("T", "q")
		signal  = event(enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)
		end     = event(enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED)
		more    = p.rng.IntN(2) == 0
		r       = events.Request{Workflow: w, CommitID: p.commitID(n), Events: []*events.Event{signal}}
		tail, _ = p.handles[1][0].Tail(p.Context(), w)
	)
	switch p.rng.IntN(14) {
	case 0, 1:
		if r.RunID, r.Events = run, []*events.Event{start}; more {
			r.Events = append(r.Events, end)
		}
	case 2, 3, 4:
		r.Expect = events.AtEnd()
	case 5:
		if r.Expect, r.Events = events.AtEnd(), []*events.Event{end}; more {
			r.RunID, r.Events = run, append(r.Events, start)
		}
	case 6:
		r.Expect = events.AfterEvent(tail.Run(), tail.LastEventID()-events.EventID(p.rng.IntN(2)))
	case 7:
		if r.RunID, r.Base = run, (&events.Base{Run: tail.Run(), Event: 1}); events.IsOpen(tail.Status()) {
			r.Expect, r.Events = events.AtEnd(), []*events.Event{events.WorkflowTerminated("reset"), signal}
		}
	case 8, 9:
		return func(log *memlog.Log) answer {
			if more || n%4 != 0 { // else it stays corrupt for a while
				defer func() { _, _ = log.Void(p.Context(), events.VoidRequest{Workflow: w, CommitID: r.CommitID}) }()
			}
			return answer{what: fmt.Sprint("foreign at ", log.Put(0, w.Subject(), nil, []byte("x")))}
		}
	case 10, 11, 12:
		s := events.StartRequest{
			Workflow: w, Events: []*events.Event{start}, RunID: run, CommitID: r.CommitID,
			Conflict: enumspb.WorkflowIdConflictPolicy(p.rng.IntN(4)), Reuse: enumspb.WorkflowIdReusePolicy(p.rng.IntN(5)),
		}
		return func(log *memlog.Log) answer {
			call := func() (events.StartResult, error) { return events.Start(p.Context(), log, s) }
			if more {
				call = func() (events.StartResult, error) { return events.SignalWithStart(p.Context(), log, s, signal) }
			}
			res, err := call()
			return answer{fmt.Sprint(res.Outcome, " ", res.Terminated, " ", told(res.Result, err)), res.Existed}
		}
	default:
		r.Expect = events.AtEndOf(run)
	}
	return func(log *memlog.Log) answer {
		res, err := log.Append(p.Context(), r)
		return answer{told(res, err), res.Existed}
	}
}

// commitID is a word, or a UUIDv7 of up to a hundred seconds ago.
func (p *pair) commitID(n int) events.CommitID {
	if p.rng.IntN(3) != 0 {
		return events.CommitID(fmt.Sprint("c", n))
	}
	id := uuid.Must(uuid.NewV7())
	ms := p.clock.Add(-time.Duration(p.rng.IntN(100)) * time.Second).UnixMilli()
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	return events.CommitID(id.String())
}

func told(res events.Result, err error) string {
	for _, is := range []error{
		events.ErrConflict, events.ErrClosed, events.ErrNotFound, events.ErrInvalid, events.ErrCommitIDReused, events.ErrCorrupt,
	} {
		if errors.Is(err, is) {
			return is.Error()
		}
	}
	return fmt.Sprintf("%s %d-%d at %s, %s, %v", res.RunID, res.FirstEventID, res.LastEventID, res.Position, res.Cursor, err)
}
