package importer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-io/annals/internal/importer"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

var errLost = errors.New("connection lost")

// Every message is lost once, and of every other message the acknowledgement:
// each event is stored once. The log cannot tell then whose attempt it was.
func TestLostMessagesAndAcknowledgements(t *testing.T) {
	var mu sync.Mutex
	tries := map[events.CommitID]int{}
	log := memory(t, func(op memlog.Op) (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		tries[op.CommitID]++
		switch tries[op.CommitID] {
		case 1:
			return false, errLost
		case 2:
			return true, errLost
		}
		return true, nil
	})
	f := newFolder(t)
	f.history("a.json", closed("a", "A", noon, 250))
	f.history("b.json", open("b", "B", noon, 120))
	f.want(log, map[string]string{"a.json": "present", "b.json": "present"})
	same(t, log, "a", "A", closed("a", "A", noon, 250))
	same(t, log, "b", "B", open("b", "B", noon, 120))
	if diff := cmp.Diff([]string{"A 1-100", "A 101-200", "A 201-250"}, commits(t, log, "a")); diff != "" {
		t.Errorf("commits (-want +got):\n%s", diff)
	}
}

// unsteady is a log whose operations fail at random before or after they are
// done, as a server does that is killed and started again.
type unsteady struct {
	events.Log
	mu   sync.Mutex
	rand *rand.Rand
}

func (u *unsteady) fails() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.rand.IntN(3) == 0
}

func (u *unsteady) Tail(ctx context.Context, w events.Workflow) (events.Cursor, error) {
	if u.fails() {
		return events.Cursor{}, events.ErrUnavailable
	}
	return u.Log.Tail(ctx, w)
}

func (u *unsteady) Append(ctx context.Context, r events.Request) (events.Result, error) {
	if u.fails() {
		return events.Result{}, fmt.Errorf("not sent: %w", events.ErrUnavailable)
	}
	result, err := u.Log.Append(ctx, r)
	if err == nil && u.fails() {
		if _, ok := r.Expect.Attempted(); !ok {
			before := events.Cursor{}
			if c, ok := r.Expect.AfterCursor(); ok {
				before = c
			}
			r.Expect = r.Expect.WithAttempt(events.Attempt{After: before, Run: r.RunID, Time: noon})
		}
		return events.Result{}, &events.OutcomeUnknownError{Workflow: r.Workflow, CommitID: r.CommitID, Expectation: r.Expect, Cause: errLost}
	}
	return result, err
}

// Two importers of the same files on an unsteady log: whatever each of them
// does, every history is there once.
func TestTwoImportersOfTheSameFiles(t *testing.T) {
	log := memory(t, nil)
	f := newFolder(t)
	want := map[string][]*events.Event{}
	for i := range 12 {
		w := fmt.Sprintf("w%d", i)
		want[w] = open(w, "A", noon, 1+i*40)
		f.history(w+".json", want[w])
	}
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			u := &unsteady{Log: log, rand: rand.New(rand.NewPCG(1, uint64(i)))}
			got, s := f.run(u, importer.Config{})
			for name, o := range got {
				if o != "imported" && o != "extended" && o != "present" {
					t.Errorf("%s: %s", name, o)
				}
			}
			if s.Files != len(want) {
				t.Errorf("summary %+v", s)
			}
		})
	}
	wg.Wait()
	for w, evs := range want {
		same(t, log, w, "A", evs)
	}
}

// overtaken is a log on which another writer does something between the first
// look of an import and its append.
type overtaken struct {
	events.Log
	once  sync.Once
	other func()
}

func (o *overtaken) Tail(ctx context.Context, w events.Workflow) (events.Cursor, error) {
	c, err := o.Log.Tail(ctx, w)
	o.once.Do(o.other)
	return c, err
}

func TestAnotherWriterIsFaster(t *testing.T) {
	whole := closed("w", "B", noon, 250)
	for _, tc := range []struct {
		name, why string
		other     []*events.Event
		want      string
		events    int
	}{
		{"with all of the file", "it is the other import's", whole, "present", 0},
		{"with the beginning of the file", "the rest is ours", whole[:100], "imported", 150},
		{
			"with another run, which is closed", "a new run may follow it, whichever is older", closed("w", "A", noon.Add(time.Hour), 3),
			"imported: stored after a run that another writer stored meanwhile: nobody has looked whether that one is older", 250,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			log := memory(t, nil)
			f, g := newFolder(t), newFolder(t)
			f.history("w.json", whole)
			g.history("w.json", tc.other)
			o := &overtaken{Log: log, other: func() { g.want(log, map[string]string{"w.json": "imported"}) }}
			got, s := f.run(o, importer.Config{})
			if diff := cmp.Diff(map[string]string{"w.json": tc.want}, got); diff != "" {
				t.Errorf("outcome, because %s (-want +got):\n%s", tc.why, diff)
			}
			if s.Events != tc.events {
				t.Errorf("%d events are said to be appended, want %d", s.Events, tc.events)
			}
			same(t, log, "w", "B", whole)
			f.want(log, map[string]string{"w.json": "present"})
		})
	}
}

// A file whose outcome cannot be learnt in time is not said to be imported, and
// importing again settles it.
func TestALogThatDoesNotAnswer(t *testing.T) {
	down := true
	var mu sync.Mutex
	log := memory(t, func(memlog.Op) (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		if down {
			return true, errLost // stored, and nobody is told
		}
		return true, nil
	})
	f := newFolder(t)
	f.history("w.json", closed("w", "A", noon, 3))
	got, s := f.run(log, importer.Config{Timeout: 50 * time.Millisecond})
	if !strings.HasPrefix(got["w.json"], "refused: not finished within 50ms, import it again: ") {
		t.Errorf("outcome %q", got["w.json"])
	}
	if s.Failed != 1 || s.Refused != 1 || s.Events != 0 {
		t.Errorf("summary %+v", s)
	}
	mu.Lock()
	down = false
	mu.Unlock()
	f.want(log, map[string]string{"w.json": "present"})
	same(t, log, "w", "A", closed("w", "A", noon, 3))
}

// An import that is interrupted says so, and the next one goes on.
func TestInterrupted(t *testing.T) {
	log := memory(t, nil)
	f := newFolder(t)
	for i := range 20 {
		f.history(fmt.Sprintf("w%02d.json", i), open(fmt.Sprintf("w%02d", i), "A", noon, 3))
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	stop := errors.New("interrupted")
	reports := 0
	s, err := importer.Run(ctx, log, []string{f.dir}, importer.Config{Namespace: "default", Workflows: 1, Report: func(importer.Result) {
		if reports++; reports == 5 {
			cancel(stop)
		}
	}})
	if !errors.Is(err, stop) || s.Imported != 5 {
		t.Fatalf("%+v, %v; want 5 imported and %v", s, err, stop)
	}
	_, s = f.run(log, importer.Config{})
	if s.Present != 5 || s.Imported != 15 {
		t.Errorf("the next import: %+v, want 5 present and 15 imported", s)
	}
}

// Files that do not fit into what stays decoded are read twice, and one that is
// another then is refused.
func TestFilesThatAreReadTwice(t *testing.T) {
	log := memory(t, nil)
	f := newFolder(t)
	f.history("a.json", open("w", "A", noon, 3))
	f.history("b.json", closed("w2", "B", noon, 3))
	got, _ := f.run(log, importer.Config{KeepBytes: 1})
	if diff := cmp.Diff(map[string]string{"a.json": "imported", "b.json": "imported"}, got); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	same(t, log, "w", "A", open("w", "A", noon, 3))

	c := importer.Config{Namespace: "default", KeepBytes: 1, Workflows: 1}
	f.history("a.json", open("w", "A", noon, 4))
	f.history("b.json", closed("w2", "B", noon, 3))
	outcomes := map[string]string{}
	c.Report = func(r importer.Result) {
		if len(outcomes) == 0 {
			f.history("b.json", closed("w2", "B", noon, 4)) // while it waits for its turn
		}
		outcomes[r.Workflow] = outcome(r)
	}
	if _, err := importer.Run(t.Context(), log, []string{f.path("a.json"), f.path("b.json")}, c); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"w": "extended", "w2": "refused: it was changed while it was imported"}, outcomes); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

func TestConfig(t *testing.T) {
	log := memory(t, nil)
	for _, tc := range []struct {
		name string
		c    importer.Config
	}{
		{"no namespace", importer.Config{}},
		{"a namespace that no log takes", importer.Config{Namespace: "a\x00b"}},
		{"a negative time", importer.Config{Namespace: "default", Timeout: -1}},
	} {
		if _, err := importer.Run(t.Context(), log, nil, tc.c); err == nil {
			t.Errorf("%s: accepted", tc.name)
		}
	}
}
