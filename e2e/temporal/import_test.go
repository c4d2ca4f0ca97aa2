package temporal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/annals-io/annals/internal/importer"
	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/faultproxy"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventjson"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// Your own Temporal, in SQL: a thousand workflows of a server, and every scenario, are
// imported by one command, and what the tables then say is what the server says.
func TestImportFromARunningServer(t *testing.T) {
	t.Parallel()
	s := startServer(t, byDefault)
	t.Run("scenarios", func(t *testing.T) {
		for _, scenario := range scenarios {
			t.Run(scenario.name, func(t *testing.T) {
				t.Parallel()
				scenario.start(t, s)
			})
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	s.record(t) // until every scenario is where it is left
	crowd := s.crowd(t, "crowd", 1000)
	s.disperse(t, crowd)
	s.settled(t)

	a := newFollowed(t, s.namespace)
	imported := startProgram(t, a.url, s.importing(a, "-o", "jsonl")...).ends(0)
	runs := s.settled(t)
	if len(runs) <= len(crowd)+len(scenarios) || len(imported) != len(runs) {
		t.Errorf("%d runs are in the server's list, and %d were imported", len(runs), len(imported))
	}
	wantOutcomes(t, imported, importer.Imported, len(runs))
	a.wantHistories(t, s, runs)
	a.wantTables(t, s)

	t.Run("again, nothing is new", func(t *testing.T) {
		wantOutcomes(t, startProgram(t, a.url, s.importing(a, "-o", "jsonl")...).ends(0), importer.Present, len(runs))
	})
	t.Run("a file of the same run is the same", func(t *testing.T) {
		folder := t.TempDir()
		for _, r := range runs[:20] {
			text, err := eventjson.Encode(s.historyOf(t, r.Execution.WorkflowId, r.Execution.RunId))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(folder, r.Execution.RunId+".json"), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		wantOutcomes(t, startProgram(t, a.url, "import", folder, "-n", a.namespace, "-o", "jsonl").ends(0), importer.Present, 20)
	})
	t.Run("a query", func(t *testing.T) {
		b := a
		b.namespace = "terminated"
		terminated := startProgram(t, a.url, s.importing(b, "-o", "jsonl", "--query", "ExecutionStatus = 'Terminated' AND WorkflowId STARTS_WITH 'crowd'")...).ends(0)
		wantOutcomes(t, terminated, importer.Imported, len(crowd)/4)
	})
	t.Run("what the server refuses names the flag", func(t *testing.T) {
		p := startProgram(t, a.url, s.importing(a, "--query", "Colour = 'red'")...)
		if p.ends(2); !strings.Contains(p.said(), "--query: invalid query: invalid search attribute: Colour") {
			t.Errorf("of a query: %s", p.said())
		}
		p = startProgram(t, a.url, "import", "--from", s.address, "--from-namespace", "nowhere")
		if p.ends(3); !strings.Contains(p.said(), "name it by --from-namespace") {
			t.Errorf("of a namespace: %s", p.said())
		}
	})
	t.Run("what has grown is extended", func(t *testing.T) {
		r := crowd[1]
		if err := s.SignalWorkflow(t.Context(), r.id, r.run, "noise", nil); err != nil {
			t.Fatal(err)
		}
		got := startProgram(t, a.url, s.importing(a, "-o", "jsonl", "--query", fmt.Sprintf("WorkflowId = '%s'", r.id))...).ends(0)
		wantOutcomes(t, got, importer.Extended, 1)
		a.wantHistories(t, s, slices.DeleteFunc(slices.Clone(runs), func(x *workflowpb.WorkflowExecutionInfo) bool { return x.Execution.WorkflowId != r.id }))
	})
}

// The server is followed while workflows begin, go on and end, through a killed
// program, one that is started again, and a server and a log that are away for a while:
// in the end every event is there once, in order.
func TestFollowARunningServer(t *testing.T) {
	t.Parallel()
	s := startServer(t, unlimited)
	a := newFollowed(t, s.namespace)
	way, logWay := faultproxy.New(t, s.address), faultproxy.New(t, a.url)
	throughFaults := s
	throughFaults.address = way.Addr()
	follow := func() *program {
		return startProgram(t, logWay.URL(), throughFaults.importing(a, "--follow", "-o", "jsonl", "--long-polls", "20")...)
	}

	first := s.crowd(t, "first", 100)
	p := follow()
	a.catchesUp(t, s)
	s.disperse(t, first[:50])
	second := s.crowd(t, "second", 100)
	p.killed() // in the middle, wherever that is
	s.disperse(t, second)
	p = follow()
	third := s.crowd(t, "third", 60)
	a.catchesUp(t, s)

	<-way.Sever()
	s.disperse(t, third)
	s.chains(t)
	way.Pass()
	a.catchesUp(t, s)

	<-logWay.Sever()
	s.disperse(t, first[50:])
	s.reset(t, "chain-0")
	s.pauseRun(t, first[51])
	logWay.Pass()
	a.catchesUp(t, s)

	runs := s.settled(t)
	results := p.interrupted()
	if len(results) != len(runs) {
		t.Errorf("%d runs were reported, and the server has %d", len(results), len(runs))
	}
	for _, r := range results {
		if r.Outcome == importer.Refused || r.Outcome == importer.Gone {
			t.Errorf("%s, run %s: %s: %s", r.Workflow, r.Run, r.Outcome, r.Reason)
		}
	}
	a.wantTables(t, s)
	wantOutcomes(t, startProgram(t, a.url, s.importing(a, "-o", "jsonl")...).ends(0), importer.Present, len(runs))
}

// followed is a log that a program imports into, and its tables.
type followed struct {
	annals
	url string // of its NATS server
}

func newFollowed(t *testing.T, namespace string) followed {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	nc := testenv.NATS(t)
	log := newLogOn(ctx, t, nc)
	a := followed{annals{namespace: namespace, log: log, tables: newTables(ctx, t)}, testenv.URL(nc)}
	a.project(t, newRegistrar(ctx, t, log, namespace))
	return a
}

// importing are the arguments that import a server's runs.
func (s server) importing(a followed, more ...string) []string {
	return append([]string{"import", "--from", s.address, "--from-namespace", s.namespace, "-n", a.namespace}, more...)
}

// started is a run that the test began.
type started struct{ id, run string }

// crowd starts workflows that no worker ever takes up.
func (s server) crowd(t *testing.T, name string, n int) []started {
	t.Helper()
	all := make([]started, n)
	sideBySide(t, n, func(ctx context.Context, i int) error {
		id := fmt.Sprintf("%s-%d", name, i)
		r, err := s.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: nobody, TypedSearchAttributes: attributes(customer.ValueSet(name), amount.ValueSet(int64(i))), WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING}, "Wait", "")
		if err != nil {
			return err
		}
		all[i] = started{id, r.GetRunID()}
		return nil
	})
	return all
}

// disperse terminates a quarter of them, signals two quarters, once or three times, and
// leaves the rest.
func (s server) disperse(t *testing.T, crowd []started) {
	t.Helper()
	sideBySide(t, len(crowd), func(ctx context.Context, i int) error {
		r := crowd[i]
		switch i % 4 {
		case 0:
			err := s.TerminateWorkflow(ctx, r.id, r.run, "enough")
			var over *serviceerror.NotFound
			if errors.As(err, &over) {
				return nil // done by a call that was late
			}
			return err
		case 1:
			return s.SignalWorkflow(ctx, r.id, r.run, "noise", map[string]int{"n": i})
		case 2:
			for n := range 3 {
				if err := s.SignalWorkflow(ctx, r.id, r.run, "noise", map[string]int{"n": n}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// chains runs workflows that continue as new, by a worker.
func (s server) chains(t *testing.T) {
	t.Helper()
	sideBySide(t, 10, func(ctx context.Context, i int) error {
		r, err := s.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: fmt.Sprintf("chain-%d", i), TaskQueue: queue}, "Again", 4)
		if err != nil {
			return err
		}
		return r.Get(ctx, nil)
	})
}

// reset begins a workflow's newest run anew behind its first task.
func (s server) reset(t *testing.T, id string) {
	t.Helper()
	d, err := s.DescribeWorkflowExecution(t.Context(), id, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ResetWorkflowExecution(t.Context(), &workflowservice.ResetWorkflowExecutionRequest{
		Namespace: s.namespace, WorkflowExecution: d.WorkflowExecutionInfo.Execution, Reason: "once more", WorkflowTaskFinishEventId: 4, RequestId: "reset",
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.GetWorkflow(t.Context(), id, "").Get(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

// pauseRun pauses a run: the server then lets nobody wait for its events.
func (s server) pauseRun(t *testing.T, r started) {
	t.Helper()
	if _, err := s.WorkflowService().PauseWorkflowExecution(t.Context(), &workflowservice.PauseWorkflowExecutionRequest{
		Namespace: s.namespace, WorkflowId: r.id, RunId: r.run, Identity: "client", Reason: "to look", RequestId: "pause",
	}); err != nil {
		t.Fatal(err)
	}
}

// sideBySide does n things, several at a time. The SDK gives the server ten seconds for
// each call, which a busy machine may take: what was late is done again, so it is to be
// such that this does no harm.
func sideBySide(t testing.TB, n int, do func(ctx context.Context, i int) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for i := range n {
		g.Go(func() error {
			for {
				err := do(ctx, i)
				var late *serviceerror.DeadlineExceeded
				if !errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &late) || ctx.Err() != nil {
					return err
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// settled is the server's list, once it says what the executions themselves say.
func (s server) settled(t *testing.T) (runs []*workflowpb.WorkflowExecutionInfo) {
	t.Helper()
	until(t, "the server's list is up to date", func(context.Context) (bool, error) {
		sideBySide(t, 1, func(ctx context.Context, _ int) (err error) {
			runs, err = s.list(ctx, "")
			return err
		})
		var stale atomic.Bool
		sideBySide(t, len(runs), func(ctx context.Context, i int) error {
			r := runs[i]
			if r.Status != running && r.Status != paused {
				return nil // a closed one stays as it is
			}
			d, err := s.DescribeWorkflowExecution(ctx, r.Execution.WorkflowId, r.Execution.RunId)
			if err == nil && d.WorkflowExecutionInfo.Status != r.Status {
				stale.Store(true)
			}
			return err
		})
		return !stale.Load(), nil
	})
	return runs
}

// catchesUp waits until the log has every event that the server has.
func (a followed) catchesUp(t *testing.T, s server) {
	t.Helper()
	runs := s.settled(t)
	for i, want := range s.fetchAll(t, runs) {
		x, last := runs[i].Execution, want[len(want)-1].EventId
		w := events.Workflow{Namespace: a.namespace, ID: x.WorkflowId}
		until(t, fmt.Sprintf("%s, run %s, is there up to event %d", w.ID, x.RunId, last), func(ctx context.Context) (bool, error) {
			for _, err := range a.log.Read(ctx, w, events.ReadOptions{Run: events.RunID(x.RunId), From: events.EventID(last), Limit: 1}) {
				return err == nil, nil
			}
			return false, nil
		})
		a.wantHistory(t, x, want)
	}
}

// wantHistories holds every history against the server's.
func (a followed) wantHistories(t *testing.T, s server, runs []*workflowpb.WorkflowExecutionInfo) {
	t.Helper()
	for i, want := range s.fetchAll(t, runs) {
		a.wantHistory(t, runs[i].Execution, want)
	}
}

func (a followed) wantHistory(t *testing.T, x *commonpb.WorkflowExecution, want []*historypb.HistoryEvent) {
	t.Helper()
	got := a.history(t, events.Workflow{Namespace: a.namespace, ID: x.WorkflowId}, events.RunID(x.RunId))
	if !proto.Equal(&historypb.History{Events: want}, got) {
		t.Errorf("%s, run %s, is not as in the server: %d events, want %d", x.WorkflowId, x.RunId, len(got.Events), len(want))
	}
}

// wantTables holds the tables against the log, and lists and counts against the server.
func (a followed) wantTables(t *testing.T, s server) {
	t.Helper()
	r, err := a.tables.Verify(t.Context(), a.log, pgstore.VerifyOptions{Wait: patience})
	if err != nil || len(r.Differences) > 0 {
		t.Fatalf("the tables are not as the log says: %v, %v", r.Differences, err)
	}
	want, err := s.answer(t, "")
	if err != nil {
		t.Fatal(err)
	}
	got, err := a.answer(t, "")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want.Runs) // of those that closed at one instant any may be the first
	slices.Sort(got.Runs)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the list (-Temporal +Annals):\n%s", diff)
	}
	const byStatus = "GROUP BY ExecutionStatus"
	if want, err = s.groups(t, byStatus); err != nil {
		t.Fatal(err)
	}
	if got, err = a.groups(t, byStatus); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the runs by status (-Temporal +Annals):\n%s", diff)
	}
}

func wantOutcomes(t *testing.T, results []importer.Result, want importer.Outcome, n int) {
	t.Helper()
	if len(results) != n {
		t.Errorf("%d results, want %d", len(results), n)
	}
	for _, r := range results {
		if r.Outcome != want {
			t.Errorf("%s, run %s: %s, want %s: %s", r.Workflow, r.Run, r.Outcome, want, r.Reason)
		}
	}
}
