package importer_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/api/serviceerror"

	"github.com/annals-io/annals/internal/importer"
	"github.com/annals-io/annals/internal/temporal"
	"github.com/annals-io/annals/internal/testenv/temporalfake"
	"github.com/annals-io/annals/pkg/events"
)

var quiet = slog.New(slog.DiscardHandler)

func dial(t *testing.T, s *temporalfake.Server) *temporal.Server {
	t.Helper()
	c, err := temporal.Dial(temporal.Config{Address: s.Address, Namespace: temporalfake.Namespace, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// fromServer imports all runs of a server and gives their outcomes by their names.
func fromServer(t *testing.T, s *temporalfake.Server, log importer.Log) map[string]string {
	t.Helper()
	got := map[string]string{}
	_, err := importer.RunServer(t.Context(), log, dial(t, s), "", importer.Config{Namespace: "default", Report: func(r importer.Result) {
		if _, twice := got[r.Workflow+"/"+r.Run]; twice {
			t.Errorf("%s/%s is reported twice", r.Workflow, r.Run)
		}
		got[r.Workflow+"/"+r.Run] = outcome(r)
	}})
	if err != nil {
		t.Error(err)
	}
	return got
}

func wantFromServer(t *testing.T, s *temporalfake.Server, log importer.Log, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, fromServer(t, s, log)); diff != "" {
		t.Fatalf("outcomes (-want +got):\n%s", diff)
	}
}

// run is a run of a server, which the list has as its events say.
func run(id, workflow string, evs []*events.Event) temporalfake.Run {
	r := temporalfake.Run{Workflow: workflow, ID: id, Began: evs[0].EventTime.AsTime(), Events: evs}
	if last := evs[len(evs)-1]; events.Closes(last) {
		r.Closed = last.EventTime.AsTime()
	}
	return r
}

// What was imported is present, and what has grown is extended, in the commits of a
// file with the same events.
func TestServersRunsAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, log events.Log) {
		s := temporalfake.New(t, temporalfake.Options{Page: 7})
		s.Put(run("A", "w", closed("w", "A", noon, 250)))
		s.Put(run("B", "w", open("w", "B", noon.Add(time.Hour), 120)))
		s.Put(run("C", "v", open("v", "C", noon, 1)))
		wantFromServer(t, s, log, map[string]string{"w/A": "imported", "w/B": "imported", "v/C": "imported"})
		wantFromServer(t, s, log, map[string]string{"w/A": "present", "w/B": "present", "v/C": "present"})
		s.Put(run("B", "w", closed("w", "B", noon.Add(time.Hour), 310)))
		s.Put(run("D", "w", open("w", "D", noon.Add(2*time.Hour), 2)))
		wantFromServer(t, s, log, map[string]string{"w/A": "present", "w/B": "extended", "w/D": "imported", "v/C": "present"})
		for _, id := range []string{"A", "B", "D"} {
			same(t, log, "w", id, s.Stored("w", id))
		}
		want := []string{"A 1-100", "A 101-200", "A 201-250", "B 1-100", "B 101-120", "B 121-200", "B 201-300", "B 301-310", "D 1-2"}
		if diff := cmp.Diff(want, commits(t, log, "w")); diff != "" {
			t.Errorf("commits (-want +got):\n%s", diff)
		}
	})
}

func TestServersRules(t *testing.T) {
	t.Parallel()
	later := noon.Add(time.Hour)
	base := closed("w", "A", noon, 5)
	atReset := run("C", "w", reset(base, 3, "A", "C", events.WorkflowCompleted()))
	atReset.Began = noon.Add(3 * time.Hour)
	early := run("C", "w", reset(base, 3, "A", "C", events.WorkflowCompleted())) // an hour after its base began
	early.Began = later
	between := run("B", "w", closed("w", "B", noon.Add(30*time.Minute), 3))
	twice := run("D", "w", reset(base, 2, "A", "D", events.WorkflowCompleted()))
	twice.Began = later.Add(time.Minute)
	notStored := run("A", "w", open("w", "A", noon, 3))
	notStored.NotStored = open("w", "A", noon, 5)[3:]
	forgotten := run("A", "w", base)
	forgotten.Forgotten = true
	forgottenOpen := run("A", "w", open("w", "A", noon, 3))
	forgottenOpen.Forgotten = true
	gap := run("A", "w", base)
	gap.Events = append(gap.Events[:2:2], gap.Events[3:]...)

	for _, c := range []struct {
		name, why string
		before    []temporalfake.Run // imported first, from another server
		runs      []temporalfake.Run
		want      map[string]string
	}{
		{
			name: "a reset of an older run", why: "it began when it was reset, and has the start event of its base",
			runs: []temporalfake.Run{run("A", "w", base), run("B", "w", closed("w", "B", later, 3)), atReset},
			want: map[string]string{"w/A": "imported", "w/B": "imported", "w/C": "imported"},
		},
		{
			name: "other content", why: "the first event that differs is named",
			before: []temporalfake.Run{run("A", "w", changed(base, 3))}, runs: []temporalfake.Run{run("A", "w", base)},
			want: map[string]string{"w/A": "refused: run A is there with other content: event 3 differs"},
		},
		{
			name: "closed in the log only", why: "whoever closed it there, the server did not",
			before: []temporalfake.Run{run("A", "w", closed("w", "A", noon, 3))}, runs: []temporalfake.Run{run("A", "w", open("w", "A", noon, 4))},
			want: map[string]string{"w/A": "refused: run A is there with other content: event 3 differs"},
		},
		{
			name: "events that are not stored", why: "they may never be",
			runs: []temporalfake.Run{notStored}, want: map[string]string{"w/A": "imported"},
		},
		{
			name: "forgotten", why: "the list is behind",
			runs: []temporalfake.Run{forgotten}, want: map[string]string{"w/A": "gone: the server does not have it any more: it was deleted, or its retention is over"},
		},
		{
			name: "a run that the log has open, and the query does not ask for", why: "the server closed it before the next began",
			before: []temporalfake.Run{run("A", "w", open("w", "A", noon, 3))},
			runs:   []temporalfake.Run{run("A", "w", closed("w", "A", noon, 4)), run("B", "w", open("w", "B", later, 2))},
			want:   map[string]string{"w/A": "extended", "w/B": "imported"},
		},
		{
			name: "a run that the log has open, and the server has forgotten", why: "its end is lost",
			before: []temporalfake.Run{run("A", "w", open("w", "A", noon, 3))}, runs: []temporalfake.Run{forgottenOpen, run("B", "w", open("w", "B", later, 2))},
			want: map[string]string{
				"w/A": "gone: the server does not have it any more: it was deleted, or its retention is over",
				"w/B": "refused: another run, A, is open in the log, and the server does not have its end any more",
			},
		},
		{
			name: "a gap", why: "nothing behind it is taken",
			runs: []temporalfake.Run{gap}, want: map[string]string{"w/A": "refused: the server gives event 4 after event 2"},
		},
		{
			name: "a run that is older than a reset", why: "a reset began when it was made, not with its base",
			before: []temporalfake.Run{run("A", "w", base), early}, runs: []temporalfake.Run{between},
			want: map[string]string{"w/B": "refused: a newer run, C, is there: it started at 2026-01-31T13:00:00Z, this one at 2026-01-31T12:30:00Z"},
		},
		{
			name: "a reset after a reset", why: "both of a run that is older than either",
			before: []temporalfake.Run{run("A", "w", base), early}, runs: []temporalfake.Run{twice},
			want: map[string]string{"w/D": "imported"},
		},
		{
			name: "an older run", why: "the newer one is there",
			before: []temporalfake.Run{run("B", "w", closed("w", "B", later, 3))}, runs: []temporalfake.Run{run("A", "w", base)},
			want: map[string]string{"w/A": "refused: a newer run, B, is there: it started at 2026-01-31T13:00:00Z, this one at 2026-01-31T12:00:00Z"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, raw := range []bool{false, true} {
				log := memory(t, nil)
				if len(c.before) > 0 {
					first := temporalfake.New(t, temporalfake.Options{})
					for _, r := range c.before {
						first.Put(r)
					}
					fromServer(t, first, log)
				}
				s := temporalfake.New(t, temporalfake.Options{Raw: raw})
				for _, r := range c.runs {
					s.Put(r)
				}
				if diff := cmp.Diff(c.want, fromServer(t, s, log)); diff != "" {
					t.Errorf("%s: outcomes, raw %v (-want +got):\n%s", c.why, raw, diff)
				}
				for name, outcome := range c.want {
					if outcome == "imported" || outcome == "extended" {
						id := name[len("w/"):]
						same(t, log, "w", id, s.Stored("w", id))
					}
				}
			}
		})
	}
}

// A server that asks for less, or loses its page tokens, is asked again; what was
// taken is not taken twice.
func TestAServerInTrouble(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		fail func(temporalfake.Call) error
	}{
		{"asked too often", func(c temporalfake.Call) error {
			if c.N%2 == 1 {
				return serviceerror.NewResourceExhausted(0, "namespace rate limit exceeded")
			}
			return nil
		}},
		{"away now and then", func(c temporalfake.Call) error {
			if c.N%3 == 1 {
				return serviceerror.NewUnavailable("shutting down")
			}
			return nil
		}},
		{"it loses page tokens", func(c temporalfake.Call) error {
			if c.Paging && c.N%5 == 4 && c.N < 20 {
				return serviceerror.NewInvalidArgument("invalid NextPageToken")
			}
			return nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := temporalfake.New(t, temporalfake.Options{Fail: c.fail})
			log := memory(t, nil)
			want := map[string]string{}
			for i := range 5 {
				w := fmt.Sprintf("w%d", i)
				s.Put(run("A", w, closed(w, "A", noon, 10)))
				want[w+"/A"] = "imported"
			}
			wantFromServer(t, s, log, want)
			for i := range 5 {
				w := fmt.Sprintf("w%d", i)
				same(t, log, w, "A", s.Stored(w, "A"))
			}
		})
	}
}

// A server that cannot answer for one run is asked for those of other workflows all the
// same, and the run goes in next time, and those behind it. One that answers for none
// ends the import.
func TestAServerThatCannotAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		away func(temporalfake.Call) bool
		want error
	}{
		{"for one run", func(c temporalfake.Call) bool { return c.Run == "sick" }, nil},
		{"for any", func(c temporalfake.Call) bool { return c.Run != "" }, temporal.ErrAway},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var well atomic.Bool
			s := temporalfake.New(t, temporalfake.Options{Page: 100, Fail: func(call temporalfake.Call) error {
				if c.away(call) && !well.Load() {
					return serviceerror.NewUnavailable("shard is lost")
				}
				return nil
			}})
			want := map[string]string{
				"x/sick":   "refused: not finished within 5m0s, import it again: history of x, run sick: the server does not answer: shard is lost",
				"x/behind": "refused: the run before it, sick, is not finished: import it again",
			}
			const others = 200 // enough that some are asked for while the sick one is
			for i := range others {
				w := fmt.Sprint(i)
				s.Put(run("A", w, closed(w, "A", noon.Add(time.Hour), 10)))
				want[w+"/A"] = "imported"
			}
			s.Put(run("sick", "x", closed("x", "sick", noon, 10)))
			s.Put(run("behind", "x", closed("x", "behind", noon.Add(time.Minute), 10)))
			client, err := temporal.Dial(temporal.Config{Address: s.Address, Namespace: temporalfake.Namespace, Logger: quiet, Patience: 300 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			log := memory(t, nil)
			got := map[string]string{}
			sum, err := importer.RunServer(t.Context(), log, client, "", importer.Config{Namespace: "default", Report: func(r importer.Result) {
				got[r.Workflow+"/"+r.Run] = outcome(r)
			}})
			if c.want != nil {
				if !errors.Is(err, c.want) || len(got) > 0 {
					t.Errorf("got %v, %v, want %v", got, err, c.want)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" || err != nil || sum.Failed != 2 {
				t.Errorf("%v, %+v (-want +got):\n%s", err, sum, diff)
			}
			well.Store(true)
			for name := range want {
				want[name] = "present"
			}
			want["x/sick"], want["x/behind"] = "imported", "imported"
			wantFromServer(t, s, log, want)
		})
	}
}

// What only a person can mend ends the import.
func TestAServerThatDenies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		err  error
		want error
	}{
		{"it denies", serviceerror.NewPermissionDenied("Request unauthorized.", ""), temporal.ErrDenied},
		{"the query", serviceerror.NewInvalidArgument("invalid query: unable to parse"), temporal.ErrQuery},
		{"the namespace", serviceerror.NewNamespaceNotFound("default"), temporal.ErrNamespace},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := temporalfake.New(t, temporalfake.Options{Fail: func(temporalfake.Call) error { return c.err }})
			log := memory(t, nil)
			if _, err := importer.RunServer(t.Context(), log, dial(t, s), "x", importer.Config{Namespace: "default"}); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if _, err := importer.FollowServer(t.Context(), log, dial(t, s), "x", importer.Config{Namespace: "default"}, importer.FollowConfig{}); !errors.Is(err, c.want) {
				t.Errorf("followed: got %v, want %v", err, c.want)
			}
		})
	}
}

// followed is a server that is followed.
type followed struct {
	t      *testing.T
	log    events.Log
	server *temporalfake.Server
	stop   context.CancelFunc
	ended  chan error
	sum    importer.Summary
	said   bytes.Buffer // to be read when it has ended

	mu       sync.Mutex // guards what follows
	got      map[string]string
	reported chan struct{} // closed, and made anew, with each result
}

// until waits until results of all these runs were reported.
func (f *followed) until(names ...string) {
	f.t.Helper()
	over := time.After(2 * time.Minute)
	for {
		f.mu.Lock()
		missing := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return f.got[n] != "" })
		reported := f.reported
		f.mu.Unlock()
		if len(missing) == 0 {
			return
		}
		select {
		case <-reported:
		case <-over:
			f.t.Fatalf("nothing is reported of %v", missing)
		}
	}
}

// follow begins to follow a server, and stands still in between for tests only as long
// as it takes.
func follow(t *testing.T, log events.Log, s *temporalfake.Server) *followed {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	f := &followed{t: t, log: log, server: s, stop: stop, ended: make(chan error, 1), got: map[string]string{}, reported: make(chan struct{})}
	client := dial(t, s)
	go func() {
		var err error
		f.sum, err = importer.FollowServer(ctx, log, client, "", importer.Config{Namespace: "default", Report: func(r importer.Result) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.got[r.Workflow+"/"+r.Run] = outcome(r)
			close(f.reported)
			f.reported = make(chan struct{})
		}}, importer.FollowConfig{LongPolls: 2, Every: 10 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&f.said, nil))})
		f.ended <- err
	}()
	t.Cleanup(stop)
	return f
}

// wait waits until the log has a run as the server has it.
func (f *followed) wait(workflow, run string) {
	f.t.Helper()
	want := f.server.Stored(workflow, run)
	ctx, cancel := context.WithTimeout(f.t.Context(), 2*time.Minute)
	defer cancel()
	w := events.Workflow{Namespace: "default", ID: workflow}
	p := f.log.Identity().Map.Partition(w.Slot())
	for _, err := range f.log.Follow(ctx, p, events.FollowOptions{Workflow: &w}) {
		if err != nil {
			f.t.Fatalf("%s/%s: %v", workflow, run, err)
		}
		for _, err := range f.log.Read(ctx, w, events.ReadOptions{Run: events.RunID(run), From: events.EventID(len(want)), Limit: 1}) {
			if err == nil {
				same(f.t, f.log, workflow, run, want)
				return
			}
		}
	}
}

// end interrupts it.
func (f *followed) end() (importer.Summary, map[string]string) {
	f.t.Helper()
	f.stop()
	if err := <-f.ended; err != nil {
		f.t.Error(err)
	}
	return f.sum, f.got
}

// Runs go on, end, continue as others and appear; more are open than are asked about
// at once. Then the same by another process, with nothing but the log to go by.
func TestFollow(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, log events.Log) {
		s := temporalfake.New(t, temporalfake.Options{})
		for i := range 5 {
			w := fmt.Sprintf("w%d", i)
			s.Put(run("A", w, open(w, "A", noon, 4)))
		}
		f := follow(t, log, s)
		for i := range 5 {
			f.wait(fmt.Sprintf("w%d", i), "A")
		}
		s.Put(run("A", "w0", open("w0", "A", noon, 11)))
		f.wait("w0", "A")

		// It continues as a run that the list does not have yet.
		next := run("B", "w1", open("w1", "B", noon.Add(time.Hour), 2))
		next.Unlisted = true
		s.Put(next)
		continued := events.ContinuedAsNew("Order", "orders")
		continued.GetWorkflowExecutionContinuedAsNewEventAttributes().NewExecutionRunId = "B"
		s.Put(run("A", "w1", history(noon, append(open("w1", "A", noon, 4), continued)...)))
		f.wait("w1", "A")
		f.wait("w1", "B")

		// The next run of a workflow is noticed with the end of the one before.
		s.Put(run("A", "w2", closed("w2", "A", noon, 8)))
		s.Put(run("B", "w2", closed("w2", "B", noon.Add(time.Hour), 8)))
		f.wait("w2", "A")
		f.wait("w2", "B")

		paused := run("A", "w3", open("w3", "A", noon, 5))
		paused.Paused = true
		s.Put(paused)
		f.wait("w3", "A")
		sum, got := f.end()
		want := map[string]string{"w0/A": "imported", "w1/A": "imported", "w1/B": "imported", "w2/A": "imported", "w2/B": "imported", "w3/A": "imported", "w4/A": "imported"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		if sum.Open != 4 || sum.Files != 7 {
			t.Errorf("%+v, want 7 runs, 4 of them open", sum)
		}

		s.Put(run("A", "w0", closed("w0", "A", noon, 20)))
		s.Put(run("A", "w4", changed(open("w4", "A", noon, 9), 3)))
		f = follow(t, log, s)
		f.wait("w0", "A")
		s.Put(run("A", "w5", closed("w5", "A", noon, 9)))
		f.wait("w5", "A")
		other := temporalfake.New(t, temporalfake.Options{})
		other.Put(run("A", "elsewhere", open("elsewhere", "A", noon, 3)))
		fromServer(t, other, log)
		f.end()
		f = follow(t, log, s)
		s.Put(run("A", "w6", closed("w6", "A", noon, 9)))
		f.until("w0/A", "w1/A", "w2/A", "w2/B", "w4/A", "w5/A", "w6/A", "elsewhere/A")
		_, got = f.end()
		want = map[string]string{
			"w0/A": "present", "w1/A": "present", "w2/A": "present", "w2/B": "present", "w5/A": "present", "w6/A": "imported",
			"w4/A":        "refused: run A is there with other content: event 3 differs",
			"elsewhere/A": "gone: it is open in the log, and the server does not have it",
		}
		delete(got, "w1/B") // open: looked at until now, or not yet
		delete(got, "w3/A")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("outcomes of the third (-want +got):\n%s", diff)
		}
	})
}

// On a log that fails before and after it has appended, and a server that fails now and
// then, every run is there once and whole, whoever of two followers took it.
func TestFollowThroughFaults(t *testing.T) {
	t.Parallel()
	log := memory(t, nil)
	s := temporalfake.New(t, temporalfake.Options{Page: 40, Fail: func(c temporalfake.Call) error {
		switch {
		case c.N%23 == 5:
			return serviceerror.NewUnavailable("shutting down")
		case c.Paging && c.N%29 == 3:
			return serviceerror.NewInvalidArgument("Current branch token and request branch token doesn't match.")
		}
		return nil
	}})
	var all []*followed
	for i := range 2 {
		all = append(all, follow(t, &unsteady{Log: log, rand: rand.New(rand.NewPCG(2, uint64(i)))}, s))
	}
	for n := 3; n < 60; n += 28 {
		for i := range 3 {
			w := fmt.Sprintf("w%d", i)
			s.Put(run("A", w, open(w, "A", noon, n+i)))
			all[0].wait(w, "A")
		}
	}
	for i := range 3 {
		w := fmt.Sprintf("w%d", i)
		s.Put(run("A", w, closed(w, "A", noon, 120)))
		all[1].wait(w, "A")
	}
	for _, f := range all {
		_, got := f.end()
		for name, outcome := range got {
			if outcome != "imported" && outcome != "extended" && outcome != "present" {
				t.Errorf("%s: %s", name, outcome)
			}
		}
	}
}

// Two follow the same server into the same log: each event is there once.
func TestTwoFollowTheSameServer(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, log events.Log) {
		s := temporalfake.New(t, temporalfake.Options{})
		one, two := follow(t, log, s), follow(t, log, s)
		for n := 2; n < 40; n += 3 {
			s.Put(run("A", "w", open("w", "A", noon, n)))
			one.wait("w", "A")
		}
		s.Put(run("A", "w", closed("w", "A", noon, 41)))
		two.wait("w", "A")
		one.end()
		two.end()
		same(t, log, "w", "A", s.Stored("w", "A"))
	})
}

// Another importer begins a run between our look at the end of the log and our look
// at the run: it is not one that the log has closed, and it goes on.
func TestAnotherImporterBeginsTheRun(t *testing.T) {
	t.Parallel()
	whole := closed("w", "B", noon.Add(time.Hour), 250)
	begun, all := temporalfake.New(t, temporalfake.Options{}), temporalfake.New(t, temporalfake.Options{Page: 100})
	begun.Put(run("B", "w", whole[:100]))
	all.Put(run("B", "w", whole))
	for _, c := range []struct {
		name string
		take func(t *testing.T, log events.Log) string
	}{
		{"by an import", func(t *testing.T, log events.Log) string { return fromServer(t, all, log)["w/B"] }},
		{"by a follower", func(t *testing.T, log events.Log) string {
			f := follow(t, log, all)
			f.until("w/B")
			_, got := f.end()
			return got["w/B"]
		}},
		{"from a file", func(t *testing.T, log events.Log) string {
			f := newFolder(t)
			f.history("w.json", all.Stored("w", "B"))
			got, _ := f.run(log, importer.Config{})
			return got["w.json"]
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := memory(t, nil)
			before := newFolder(t)
			before.history("w.json", closed("w", "A", noon, 3))
			before.want(log, map[string]string{"w.json": "imported"})
			o := &overtaken{Log: log, other: func() { wantFromServer(t, begun, log, map[string]string{"w/B": "imported"}) }}
			if got := c.take(t, o); got != "imported" && got != "extended" {
				t.Errorf("outcome %q", got)
			}
			same(t, log, "w", "B", all.Stored("w", "B"))
		})
	}
}

// mended is a log that is corrupt, and then full, until somebody mends it.
type mended struct {
	events.Log
	mu             sync.Mutex
	tails, appends int
}

func (m *mended) Tail(ctx context.Context, w events.Workflow) (events.Cursor, error) {
	m.mu.Lock()
	m.tails++
	corrupt := m.tails == 1
	m.mu.Unlock()
	if corrupt {
		return events.Cursor{}, &events.CorruptError{Workflow: w, Reason: "no commit"}
	}
	return m.Log.Tail(ctx, w)
}

func (m *mended) Append(ctx context.Context, r events.Request) (events.Result, error) {
	m.mu.Lock()
	m.appends++
	full := m.appends < 4
	m.mu.Unlock()
	if full {
		return events.Result{}, &events.LimitError{Workflow: r.Workflow, What: "bytes of events in one commit", Got: 100, Remedy: "the server refuses it: maximum bytes exceeded"}
	}
	return m.Log.Append(ctx, r)
}

// Whoever follows waits until what is wrong is mended, and gives up on what no waiting
// helps.
func TestFollowUntilItIsMended(t *testing.T) {
	t.Parallel()
	s := temporalfake.New(t, temporalfake.Options{Fail: func(c temporalfake.Call) error {
		if c.Method == "history" && c.N < 3 || c.Method == "list" && c.N == 3 {
			return serviceerror.NewUnimplemented("unexpected HTTP status code: 404")
		}
		return nil
	}})
	s.Put(run("A", "w", closed("w", "A", noon, 10)))
	log := memory(t, nil)
	f := follow(t, &mended{Log: log}, s)
	f.until("w/A")
	gap := run("A", "gap", closed("gap", "A", noon, 9))
	gap.Events = slices.Delete(gap.Events, 4, 5)
	s.Put(gap)
	f.until("gap/A")
	_, got := f.end()
	if diff := cmp.Diff(map[string]string{"w/A": "imported", "gap/A": "refused: the server gives event 6 after event 4"}, got); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	same(t, log, "w", "A", s.Stored("w", "A"))
}

// A run that cannot be imported is told of when the following ends.
func TestFollowingEndsInTrouble(t *testing.T) {
	t.Parallel()
	failed := make(chan struct{})
	var once sync.Once
	s := temporalfake.New(t, temporalfake.Options{Fail: func(c temporalfake.Call) error {
		if c.Method == "history" {
			if c.N == 2 {
				once.Do(func() { close(failed) }) // the first was answered, and dealt with
			}
			return serviceerror.NewUnimplemented("unexpected HTTP status code: 404")
		}
		return nil
	}})
	s.Put(run("A", "w", open("w", "A", noon, 2)))
	f := follow(t, memory(t, nil), s)
	<-failed
	sum, got := f.end()
	want := map[string]string{"w/A": "refused: not finished: history of w, run A: the server refuses: unexpected HTTP status code: 404"}
	if diff := cmp.Diff(want, got); diff != "" || sum.Failed != 1 {
		t.Errorf("%+v, outcomes (-want +got):\n%s", sum, diff)
	}
}

// A log that has more of an open run than its server is compared as the server catches
// up, and goes on from there.
func TestFollowAServerThatIsBehindTheLog(t *testing.T) {
	t.Parallel()
	log := memory(t, nil)
	ahead := temporalfake.New(t, temporalfake.Options{})
	ahead.Put(run("A", "w", open("w", "A", noon, 10)))
	wantFromServer(t, ahead, log, map[string]string{"w/A": "imported"})
	asked := make(chan struct{})
	s := temporalfake.New(t, temporalfake.Options{Fail: func(c temporalfake.Call) error {
		if c.Method == "history" && c.N == 3 { // behind two pages, the last of which it had
			close(asked)
		}
		return nil
	}})
	s.Put(run("A", "w", open("w", "A", noon, 5)))
	f := follow(t, log, s)
	<-asked
	s.Put(run("A", "w", open("w", "A", noon, 8)))
	s.Put(run("A", "w", closed("w", "A", noon, 12)))
	f.until("w/A")
	_, got := f.end()
	if diff := cmp.Diff(map[string]string{"w/A": "extended"}, got); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	same(t, log, "w", "A", s.Stored("w", "A"))
}

// What fails on a later page each time is told, though the first one comes each time.
func TestFollowTellsOfALaterPage(t *testing.T) {
	t.Parallel()
	s := temporalfake.New(t, temporalfake.Options{Fail: func(c temporalfake.Call) error {
		if c.Method == "history" && c.Paging {
			return serviceerror.NewInvalidArgument("invalid NextPageToken")
		}
		return nil
	}})
	s.Put(run("A", "w", open("w", "A", noon, 9)))
	told, said := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	client, log := dial(t, s), memory(t, nil)
	go func() {
		_, err := importer.FollowServer(ctx, log, client, "", importer.Config{Namespace: "default"},
			importer.FollowConfig{Logger: slog.New(slog.NewTextHandler(said, nil))})
		ended <- err
	}()
	line, err := bufio.NewReader(told).ReadString('\n')
	if err != nil || !strings.Contains(line, "level=WARN") || !strings.Contains(line, "workflow=w run=A") {
		t.Errorf("%s, %v", line, err)
	}
	if err := told.Close(); err != nil {
		t.Error(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A paused run is read again from its first event each time; a page without events in
// the middle changes nothing.
func TestFollowAPausedRun(t *testing.T) {
	t.Parallel()
	s := temporalfake.New(t, temporalfake.Options{Fail: func(c temporalfake.Call) error {
		if c.Method == "history" && c.N > 3 && c.N%2 == 0 {
			return temporalfake.ErrEmpty
		}
		return nil
	}})
	r := run("A", "w", open("w", "A", noon, 8))
	r.Paused = true
	s.Put(r)
	log := memory(t, nil)
	f := follow(t, log, s)
	f.wait("w", "A")
	s.Put(run("A", "w", closed("w", "A", noon, 12)))
	f.until("w/A")
	_, got := f.end()
	if diff := cmp.Diff(map[string]string{"w/A": "imported"}, got); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if f.said.Len() > 0 {
		t.Errorf("it says: %s", &f.said)
	}
	same(t, log, "w", "A", s.Stored("w", "A"))
}
