package eventstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	"google.golang.org/protobuf/proto"

	"github.com/google/uuid"

	"github.com/annals-io/annals/pkg/events"
)

const (
	anyReuse       = enumspb.WORKFLOW_ID_REUSE_POLICY_UNSPECIFIED
	allowDuplicate = enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
	failedOnly     = enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY
	rejectAny      = enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
	ifRunning      = enumspb.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING //nolint:staticcheck // the old name is still sent

	anyConflict = enumspb.WORKFLOW_ID_CONFLICT_POLICY_UNSPECIFIED
	fail        = enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL
	useExisting = enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
	terminate   = enumspb.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
)

func policyCases() []testCase {
	var cases []testCase
	for _, p := range policies {
		for _, signaling := range []bool{false, true} {
			if signaling && p.conflict == fail {
				continue
			}
			name := fmt.Sprintf("start with %s and %s", p.reuse, p.conflict)
			if signaling {
				name = "signal with " + name
			}
			cases = append(cases, testCase{strings.ToLower(name), func(c *scene) { policy(c, p, signaling) }})
		}
	}
	for _, w := range ways {
		for _, id := range []struct {
			name string
			id   func() events.CommitID
		}{
			{"a word", func() events.CommitID { return "one id" }},
			{"a UUIDv7", func() events.CommitID { return events.CommitID(uuid.Must(uuid.NewV7()).String()) }},
		} {
			cases = append(cases, testCase{fmt.Sprintf("%s, repeated with %s", w.name, id.name), func(c *scene) { repeatedStart(c, w, id.id) }})
		}
	}
	return append(cases, named(
		startOrUseExisting, terminateAndStartByPolicy, rejectDuplicate, failedOnlyFollowsAFailure, signalWithStart,
		startKeepsTheTerminationThatWasGiven, startRefusesBadRequestsByField, startSaysWhatElseIsWrong, startIdWithOtherContentIsRefused,
		startIsLookedForAlongTheStarts,
	)...)
}

// policies are those that may be combined.
var policies = []struct {
	reuse    enumspb.WorkflowIdReusePolicy
	conflict enumspb.WorkflowIdConflictPolicy
}{
	{anyReuse, anyConflict},
	{allowDuplicate, fail},
	{allowDuplicate, useExisting},
	{allowDuplicate, terminate},
	{failedOnly, fail},
	{failedOnly, useExisting},
	{failedOnly, terminate},
	{rejectAny, fail},
	{rejectAny, useExisting},
	{ifRunning, anyConflict},
}

// states are how a workflow may be found: by what its last commit holds, and
// whether AllowDuplicateFailedOnly lets a run follow.
var states = []struct {
	name   string
	last   enumspb.EventType
	open   bool
	failed bool
}{
	{"running", enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED, true, false},
	{"paused", enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED, true, false},
	{"completed", enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, false, false},
	{"continued", enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW, false, false},
	{"failed", enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED, false, true},
	{"timed out", enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT, false, true},
	{"canceled", enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED, false, true},
	{"terminated", enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED, false, true},
}

// policy goes through all that a workflow can be found as. The newest run alone
// decides: the one before it failed in every case.
func policy(c *scene, p struct {
	reuse    enumspb.WorkflowIdReusePolicy
	conflict enumspb.WorkflowIdConflictPolicy
}, signaling bool,
) {
	call := func(w events.Workflow) (events.StartResult, error) {
		return startBy(signaling)(c.ctx(), c.log, events.StartRequest{Workflow: w, Events: list(started("mine")), Reuse: p.reuse, Conflict: p.conflict})
	}
	// They are not read in every way when the case has passed: there are many, and
	// checkStart reads their commits.
	workflow := func(id string) events.Workflow { return events.Workflow{Namespace: c.ns, ID: id} }
	res, err := call(workflow("new"))
	if err != nil || res.Outcome != events.RunStarted || res.FirstEventID != 1 || res.Existed {
		c.Fatalf("of a new workflow: %+v, %v", res, err)
	}
	checkStart(c, workflow("new"), res, 1)
	for i, state := range states {
		if c.h.Short && i%2 != 0 {
			continue
		}
		w := workflow(state.name)
		c.start(w, failedBy(nil))
		at := c.start(w, &events.Event{EventType: state.last})
		// What Temporal's documents say of each policy.
		want := events.RunStarted
		switch {
		case state.open && (p.conflict == terminate || p.reuse == ifRunning):
			want = events.RunReplaced
		case state.open && signaling:
			want = events.RunSignaled
		case state.open && p.conflict == useExisting:
			want = events.RunUsed
		case state.open, p.reuse == rejectAny, p.reuse == failedOnly && !state.failed:
			want = 0
		}
		res, err := call(w)
		if want == 0 {
			got := as[*events.ConflictError](c, err, events.ErrConflict, state.name)
			c.same("the run that is in the way", at.Cursor, got.Actual)
			if got.Workflow != w || got.Expected == "" {
				c.Errorf("%s: error is %+v", state.name, got)
			}
			continue
		}
		if err != nil || res.Outcome != want || res.Existed {
			c.Fatalf("%s: %+v, %v; want that it %s", state.name, res, err, want)
		}
		checkStart(c, w, res, 1)
		if own := want == events.RunUsed || want == events.RunSignaled; own != (res.RunID == at.RunID) {
			c.Errorf("%s: the run is %s, the one before was %s", state.name, res.RunID, at.RunID)
		}
		if want == events.RunReplaced && res.Terminated != at.RunID {
			c.Errorf("%s: run %s was terminated, want %s", state.name, res.Terminated, at.RunID)
		}
		n := 3
		if want == events.RunUsed {
			c.same("the run that is used", at.Cursor, res.Cursor)
			n = 2
		}
		if got := c.countCommits(w); got != n {
			c.Errorf("%s: %d commits, want %d", state.name, got, n)
		}
	}
}

// starter is Start, or SignalWithStart with one signal.
type starter = func(context.Context, events.Log, events.StartRequest) (events.StartResult, error)

func startBy(signaling bool) starter {
	if !signaling {
		return events.Start
	}
	return func(ctx context.Context, log events.Log, r events.StartRequest) (events.StartResult, error) {
		return events.SignalWithStart(ctx, log, r, signaled("mine"))
	}
}

// checkStart holds what a start was told against the log, which must hold it so
// many times.
func checkStart(c *scene, w events.Workflow, res events.StartResult, times int) {
	c.Helper()
	if res.Outcome == events.RunUsed {
		if res.RunID == "" || res.Cursor.Run() != res.RunID || res.Position != (events.Position{}) || res.CommitID != "" || res.Existed {
			c.Fatalf("used an existing run: %+v", res)
		}
		return
	}
	commits := c.commitsWith(w, res.CommitID)
	if len(commits) != times {
		c.Fatalf("%d commits with id %q, want %d", len(commits), res.CommitID, times)
	}
	commit := commits[0]
	got := events.StartResult{Result: events.Result{
		RunID: commit.Run.Run, FirstEventID: commit.Run.First, LastEventID: commit.Run.Last, Position: commit.Position,
		CommitID: commit.ID, Cursor: commit.Cursor(c.log.Identity()), Existed: res.Existed, Warning: res.Warning,
	}}
	switch {
	case !commit.Run.Opens():
		got.Outcome = events.RunSignaled
	case commit.Closed == nil:
		got.Outcome = events.RunStarted
	default:
		got.Outcome, got.Terminated = events.RunReplaced, commit.Closed.Run
		if commit.Closed.After != enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED || commit.Closed.Count() != 1 {
			c.Errorf("the closed run's part is %+v", commit.Closed)
		}
	}
	c.same("what was told (-stored +told)", got, res)
}

// way is one of those that a start can take.
type way struct {
	name   string
	behind [][]*events.Event // the commits that it finds
	// skip is how many commits are refused before the one that is stored.
	skip     int32
	start    starter
	conflict enumspb.WorkflowIdConflictPolicy
	want     events.StartOutcome
	// reuse may refuse the run once others have been there; anyReuse does not.
	reuse enumspb.WorkflowIdReusePolicy
}

// refused reports whether an error is the refusal that the way may end with.
func (y way) refused(err error) bool {
	return y.reuse != anyReuse && errors.Is(err, events.ErrConflict)
}

var ways = []way{
	{name: "start of a new workflow", start: events.Start, conflict: useExisting, want: events.RunStarted},
	{name: "start after a closed run", behind: [][]*events.Event{list(started("T"), completed())}, skip: 1, start: events.Start, conflict: useExisting, want: events.RunStarted},
	{name: "start of what was never there", start: events.Start, conflict: useExisting, want: events.RunStarted, reuse: rejectAny},
	{name: "start after a failed run", behind: [][]*events.Event{list(started("T"), failedBy(nil))}, skip: 1, start: events.Start, conflict: useExisting, want: events.RunStarted, reuse: failedOnly},
	{name: "terminate and start", behind: [][]*events.Event{list(started("T"))}, skip: 1, start: events.Start, conflict: terminate, want: events.RunReplaced},
	{name: "terminate and start or follow a failed run", behind: [][]*events.Event{list(started("T"))}, skip: 1, start: events.Start, conflict: terminate, want: events.RunReplaced, reuse: failedOnly},
	{name: "signal with start of a new workflow", start: startBy(true), conflict: useExisting, want: events.RunStarted},
	{name: "signal with start after a closed run", behind: [][]*events.Event{list(started("T")), list(completed())}, start: startBy(true), conflict: useExisting, want: events.RunStarted},
	{name: "signal with start of an open run", behind: [][]*events.Event{list(started("T")), signals(1, "s")}, start: startBy(true), conflict: useExisting, want: events.RunSignaled},
	{name: "signal with terminate and start", behind: [][]*events.Event{list(started("T"))}, skip: 1, start: startBy(true), conflict: terminate, want: events.RunReplaced},
}

// prepare makes what the way finds in a workflow, and the request.
func (y way) prepare(c *scene, name string, id events.CommitID) events.StartRequest {
	c.Helper()
	w := c.workflow(name)
	for i, list := range y.behind {
		r := events.Request{Workflow: w, Events: list}
		if i > 0 {
			r.Expect = events.AtEnd()
		}
		c.append(r)
	}
	return events.StartRequest{Workflow: w, CommitID: id, Conflict: y.conflict, Reuse: y.reuse, Events: list(started("mine"))}
}

// repeatedStart: the same commit id again, at once and after all that others do,
// from this handle and from another.
func repeatedStart(c *scene, y way, id func() events.CommitID) {
	r := y.prepare(c, "w", id())
	first, err := y.start(c.ctx(), c.log, r)
	if err != nil || first.Outcome != y.want || first.Existed {
		c.Fatalf("gave %+v, %v; want that it %s", first, err, y.want)
	}
	checkStart(c, r.Workflow, first, 1)
	first.Existed = true
	for _, between := range between {
		c.others(r.Workflow, between)
		for i, log := range []events.Log{c.log, c.h.Open(c, Options{})} {
			again, err := y.start(c.ctx(), log, r)
			if err != nil {
				c.Fatalf("after %s, by handle %d: %v", between, i, err)
			}
			c.same(fmt.Sprintf("the same again after %s, by handle %d", between, i), first, again)
		}
	}
	checkStart(c, r.Workflow, first, 1)
}

// startOrUseExisting: the answer is the run that is open, whoever started it.
func startOrUseExisting(c *scene) {
	w := c.workflow("w")
	r := events.StartRequest{Workflow: w, Conflict: useExisting, Events: list(started("T"))}
	first, err := events.Start(c.ctx(), c.log, r)
	if err != nil || first.Outcome != events.RunStarted {
		c.Fatalf("gave %+v, %v", first, err)
	}
	at := c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "s")})
	for range 3 {
		again, err := events.Start(c.ctx(), c.log, r)
		if err != nil {
			c.Fatal(err)
		}
		c.same("the second start", events.StartResult{Outcome: events.RunUsed, Result: events.Result{RunID: first.RunID, Cursor: at.Cursor}}, again)
	}
	// The cursor is what to go on from.
	c.append(events.Request{Workflow: w, Expect: events.After(at.Cursor), Events: list(completed())})
	next, err := events.Start(c.ctx(), c.log, r)
	if err != nil || next.Outcome != events.RunStarted || next.RunID == first.RunID {
		c.Errorf("after the run's end: %+v, %v", next, err)
	}
}

// terminateAndStartByPolicy: the end of one run and the start of the next are one
// commit, so that at no time neither or both are open.
func terminateAndStartByPolicy(c *scene) {
	w := c.workflow("w")
	r := events.StartRequest{Workflow: w, Conflict: terminate, Events: list(started("T"), signaled("with it"))}
	var before events.StartResult
	for i := range 4 {
		r.RunID = events.RunID(fmt.Sprint("run ", i))
		res, err := events.Start(c.ctx(), c.log, r)
		if err != nil || res.RunID != r.RunID || res.Terminated != before.RunID || (i > 0) != (res.Outcome == events.RunReplaced) || res.LastEventID != 2 {
			c.Fatalf("start %d: %+v, %v", i, res, err)
		}
		if n := c.countCommits(w); n != i+1 {
			c.Fatalf("%d commits after %d starts", n, i+1)
		}
		before = res
	}
	for i := range 3 {
		got := c.history(w, events.RunID(fmt.Sprint("run ", i)))
		if len(got) != 3 || got[2].EventType != enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED || got[2].GetWorkflowExecutionTerminatedEventAttributes().GetReason() == "" {
			c.Errorf("run %d ends with %v", i, got)
		}
	}
}

// rejectDuplicate: there is one run, for ever.
func rejectDuplicate(c *scene) {
	w := c.workflow("w")
	r := events.StartRequest{Workflow: w, Reuse: rejectAny, Events: list(started("T"))}
	first, err := events.Start(c.ctx(), c.log, r)
	if err != nil {
		c.Fatal(err)
	}
	at := first.Cursor
	for _, more := range [][]*events.Event{signals(1, "s"), list(terminated()), list(started("T"), failedBy(nil))} {
		at = c.append(events.Request{Workflow: w, Expect: events.After(at), Events: more}).Cursor
		for _, start := range []starter{events.Start, startBy(true)} {
			if more[0].EventType == enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED && fmt.Sprintf("%p", start) != fmt.Sprintf("%p", starter(events.Start)) {
				continue // a signal of an open run is no duplicate
			}
			_, err := start(c.ctx(), c.log, r)
			got := as[*events.ConflictError](c, err, events.ErrConflict, "a duplicate")
			c.same("the run that is in the way", at, got.Actual)
		}
	}
}

// failedOnlyFollowsAFailure: a run is tried again until one completes.
func failedOnlyFollowsAFailure(c *scene) {
	w := c.workflow("w")
	r := events.StartRequest{Workflow: w, Reuse: failedOnly, Events: list(started("T"))}
	for i := range 3 {
		res, err := events.Start(c.ctx(), c.log, r)
		if err != nil || res.Outcome != events.RunStarted {
			c.Fatalf("start %d: %+v, %v", i, res, err)
		}
		end := failedBy(nil)
		if i == 2 {
			end = completed()
		}
		c.append(events.Request{Workflow: w, Expect: events.After(res.Cursor), Events: list(end)})
	}
	_, err := events.Start(c.ctx(), c.log, r)
	got := as[*events.ConflictError](c, err, events.ErrConflict, "after the completion")
	if got.Actual.Status() != enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED {
		c.Errorf("the run in the way is %s", got.Actual)
	}
}

// signalWithStart: whether the run was there or not, it has the signals, in order.
func signalWithStart(c *scene) {
	w := c.workflow("w")
	r := events.StartRequest{Workflow: w, Events: list(started("T"))}
	signal := func(want events.StartOutcome, first events.EventID, names ...string) events.StartResult {
		c.Helper()
		var list []*events.Event
		for _, name := range names {
			list = append(list, signaled(name))
		}
		res, err := events.SignalWithStart(c.ctx(), c.log, r, list...)
		if err != nil || res.Outcome != want || res.FirstEventID != first {
			c.Fatalf("signals %q gave %+v, %v", names, res, err)
		}
		checkStart(c, w, res, 1)
		return res
	}
	one := signal(events.RunStarted, 1, "a", "b")
	signal(events.RunSignaled, 4, "c")
	signal(events.RunSignaled, 5, "d", "e")
	var names []string
	for _, e := range c.history(w, one.RunID)[1:] {
		names = append(names, e.GetWorkflowExecutionSignaledEventAttributes().GetSignalName())
	}
	if !slices.Equal(names, []string{"a", "b", "c", "d", "e"}) {
		c.Errorf("the run has the signals %q", names)
	}
	c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: list(completed())})
	two := signal(events.RunStarted, 1, "f")
	r.Conflict = terminate
	three := signal(events.RunReplaced, 1, "g")
	if three.Terminated != two.RunID || two.RunID == one.RunID || len(c.history(w, three.RunID)) != 2 {
		c.Errorf("the third run is %+v, the second %+v, the first %+v", three, two, one)
	}
}

func startKeepsTheTerminationThatWasGiven(c *scene) {
	w := c.workflow("w")
	one := c.start(w)
	end := terminated()
	end.GetWorkflowExecutionTerminatedEventAttributes().Identity = "operator"
	r := events.StartRequest{
		Workflow: w, RunID: "next", CommitID: "x", Conflict: terminate, Terminate: end, Events: numbered(1, list(started("T"))),
		Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
	res, err := events.Start(c.ctx(), c.log, r)
	if err != nil || res.RunID != "next" || res.CommitID != "x" || res.Terminated != one.RunID {
		c.Fatalf("gave %+v, %v", res, err)
	}
	if got := c.commits(w)[1].Traceparent; got != r.Traceparent {
		c.Errorf("the traceparent is %q", got)
	}
	got := c.history(w, one.RunID)[1]
	want := proto.CloneOf(end)
	want.EventId, want.EventTime = 2, got.EventTime
	c.same("the termination", want, got)
	c.same("the start", r.Events, c.history(w, "next"))
}

func startRefusesBadRequestsByField(c *scene) {
	w := c.workflow("w")
	open := c.start(w)
	before := bounds(c)
	long := strings.Repeat("é", 501)
	for _, bad := range []struct {
		name, field string
		r           events.StartRequest
		signals     []*events.Event // nil: Start
	}{
		{"no workflow", "workflowId", events.StartRequest{Workflow: events.Workflow{Namespace: "n"}, Events: list(started("T"))}, nil},
		{"no events", "events", events.StartRequest{}, nil},
		{"no start", "events[0].eventType", events.StartRequest{Events: signals(1, "s")}, nil},
		{"no start, with a signal", "events[0].eventType", events.StartRequest{Events: signals(1, "s")}, signals(1, "s")},
		{"a nil start", "events[0].eventType", events.StartRequest{Events: list(nil)}, nil},
		{"a nil event", "events[1]", events.StartRequest{Events: list(started("T"), nil)}, nil},
		{"a long type", "events[0].workflowType", events.StartRequest{Events: list(started(long))}, nil},
		{"no signals", "signals", events.StartRequest{Events: list(started("T"))}, []*events.Event{}},
		{"a nil signal", "signals[1]", events.StartRequest{Events: list(started("T"))}, list(signaled("s"), nil)},
		{"a signal that opens", "signals[0].eventType", events.StartRequest{Events: list(started("T"))}, list(started("T"))},
		{"a signal that closes", "signals[1].eventType", events.StartRequest{Events: list(started("T"))}, list(signaled("s"), completed())},
		{"a signal with an id", "signals[0].eventId", events.StartRequest{Events: list(started("T"))}, numbered(2, signals(1, "s"))},
		{"a termination that is none", "terminate.eventType", events.StartRequest{Events: list(started("T")), Terminate: completed()}, nil},
		{"a termination with a wrong id", "terminate.eventId", events.StartRequest{Events: list(started("T")), Conflict: terminate, Terminate: numbered(7, list(terminated()))[0]}, nil},
		{"reuse that is not known", "reuse", events.StartRequest{Events: list(started("T")), Reuse: 99}, nil},
		{"a conflict that is not known", "conflict", events.StartRequest{Events: list(started("T")), Conflict: 99}, nil},
		{"reject and terminate", "reuse", events.StartRequest{Events: list(started("T")), Reuse: rejectAny, Conflict: terminate}, nil},
		{"two policies for one thing", "reuse", events.StartRequest{Events: list(started("T")), Reuse: ifRunning, Conflict: fail}, nil},
		{"signals that fail", "conflict", events.StartRequest{Events: list(started("T")), Conflict: fail}, signals(1, "s")},
		{"an expectation of another's", "expectation", events.StartRequest{Events: list(started("T")), Expect: events.AtEnd()}, nil},
		{"an attempt of another's", "expectation", events.StartRequest{
			Events: list(started("T")), CommitID: "x", Reuse: rejectAny, Expect: events.NewRun().WithAttempt(events.Attempt{}),
		}, nil},
		{"an attempt at one run's end", "expectation", events.StartRequest{
			Events: list(started("T")), CommitID: "x", Expect: events.AtEndOf(open.RunID).WithAttempt(events.Attempt{After: open.Cursor}),
		}, signals(1, "s")},
		{"an attempt to signal", "expectation", events.StartRequest{
			Events: list(started("T")), CommitID: "x", Expect: events.AtEnd().WithAttempt(events.Attempt{After: open.Cursor}),
		}, nil},
		{"an attempt to terminate", "expectation", events.StartRequest{
			Events: list(started("T")), CommitID: "x", Expect: events.After(open.Cursor).WithAttempt(events.Attempt{After: open.Cursor}),
		}, nil},
		{"an attempt without its commit id", "commitId", events.StartRequest{
			Events: list(started("T")), Expect: events.NewWorkflow().WithAttempt(events.Attempt{}),
		}, nil},
	} {
		if bad.r.Workflow.Namespace == "" {
			bad.r.Workflow = w
		}
		var res events.StartResult
		var err error
		if bad.signals == nil {
			res, err = events.Start(c.ctx(), c.log, bad.r)
		} else {
			res, err = events.SignalWithStart(c.ctx(), c.log, bad.r, bad.signals...)
		}
		var got *events.InvalidError
		if !errors.Is(err, events.ErrInvalid) || !errors.As(err, &got) || got.Field != bad.field || got.Reason == "" {
			c.Errorf("%s gave %+v, %v; want an invalid %s", bad.name, res, err, bad.field)
		}
	}
	if after := bounds(c); after != before {
		c.Errorf("the log held %+v before and holds %+v", before, after)
	}
}

// startSaysWhatElseIsWrong: what Append refuses, a start does, and stores nothing.
func startSaysWhatElseIsWrong(c *scene) {
	ended, cancel := context.WithCancel(c.ctx())
	cancel()
	log := c.h.Open(c, Options{Limits: events.Limits{CommitBytes: 200, MaxEvents: 2}})
	w := c.workflow("w")
	c.start(w, signaled("s"))
	for _, y := range []struct {
		name  string
		want  error
		start func() (events.StartResult, error)
	}{
		{"an ended context", events.ErrUnavailable, func() (events.StartResult, error) {
			return events.Start(ended, c.log, events.StartRequest{Workflow: w, Events: list(started("T"))})
		}},
		{"an ended context, with a signal", events.ErrUnavailable, func() (events.StartResult, error) {
			return events.SignalWithStart(ended, c.log, events.StartRequest{Workflow: w, Events: list(started("T"))}, signaled("s"))
		}},
		{"a commit that is too large", events.ErrLimit, func() (events.StartResult, error) {
			return events.Start(c.ctx(), log, events.StartRequest{Workflow: w, Conflict: terminate, Events: list(started("T"), marked(300))})
		}},
		{"a run that is full", events.ErrLimit, func() (events.StartResult, error) {
			return events.SignalWithStart(c.ctx(), log, events.StartRequest{Workflow: w, Events: list(started("T"))}, signaled("s"))
		}},
	} {
		if res, err := y.start(); !errors.Is(err, y.want) {
			c.Errorf("%s gave %+v, %v; want %v", y.name, res, err, y.want)
		}
	}
	if n := c.countCommits(w); n != 1 {
		c.Errorf("%d commits, want 1", n)
	}
}

// startIdWithOtherContentIsRefused: in whatever form it is stored.
func startIdWithOtherContentIsRefused(c *scene) {
	for i, y := range ways {
		r := y.prepare(c, fmt.Sprint("w", i), "x")
		w := r.Workflow
		first, err := y.start(c.ctx(), c.log, r)
		if err != nil {
			c.Fatal(err)
		}
		n := c.countCommits(w)
		other := func(start starter, conflict enumspb.WorkflowIdConflictPolicy) {
			c.Helper()
			q := r
			q.Conflict, q.Events = conflict, list(started("another"))
			if conflict == terminate {
				q.Reuse = anyReuse
			}
			_, err := start(c.ctx(), c.log, q)
			got := as[*events.CommitIDReusedError](c, err, events.ErrCommitIDReused, y.name)
			if got.CommitID != "x" || got.Position != first.Position {
				c.Errorf("%s: error is %+v, want position %s", y.name, got, first.Position)
			}
		}
		if y.want != events.RunSignaled { // a start is looked for along the starts
			other(events.Start, useExisting)
			other(events.Start, terminate)
		}
		other(func(ctx context.Context, log events.Log, r events.StartRequest) (events.StartResult, error) {
			return events.SignalWithStart(ctx, log, r, signaled("another"))
		}, useExisting)
		if got := c.countCommits(w); got != n {
			c.Errorf("%s: %d commits, want %d", y.name, got, n)
		}
	}
}

// startIsLookedForAlongTheStarts: a start that is repeated is found however many
// commits its run has had since, whichever way it took.
func startIsLookedForAlongTheStarts(c *scene) {
	for _, y := range ways {
		if strings.HasPrefix(y.name, "signal with start") {
			continue // is looked for as a signal is
		}
		log := c.h.Open(c, Options{LookBack: 4})
		r := y.prepare(c, y.name, "a word")
		first, err := y.start(c.ctx(), log, r)
		if err != nil {
			c.Fatalf("%s: %v", y.name, err)
		}
		for range 8 {
			c.append(events.Request{Workflow: r.Workflow, Expect: events.AtEnd(), Events: signals(1, "later")})
		}
		first.Existed = true
		again, err := y.start(c.ctx(), log, r)
		if err != nil {
			c.Errorf("%s, repeated: %v", y.name, err)
			continue
		}
		c.same(y.name+", repeated", first, again)
	}
}
