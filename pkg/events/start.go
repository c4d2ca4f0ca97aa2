package events

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
)

// StartRequest is a run to be started, and what becomes of it where the workflow
// has a run already. The policies mean what Temporal's mean; left out, they are
// its defaults.
type StartRequest struct {
	Workflow Workflow
	// Events are the run's first: a start, and what else goes into its commit.
	Events []*Event
	// Conflict decides where a run is open. Fail (the default of Start): it is
	// refused. UseExisting (the default of SignalWithStart): that run is the
	// answer, or gets the signals. TerminateExisting: the end of that run and the
	// start of the new one are one commit.
	Conflict enumspb.WorkflowIdConflictPolicy
	// Reuse decides where the newest run is closed; no older one is looked at.
	// AllowDuplicate (the default): the new run follows. AllowDuplicateFailedOnly:
	// it follows one that failed, timed out, or was canceled or terminated.
	// RejectDuplicate: it is refused. TerminateIfRunning is the old name of
	// AllowDuplicate with TerminateExisting.
	Reuse enumspb.WorkflowIdReusePolicy
	// Terminate closes the open run under TerminateExisting; nil: a
	// WorkflowTerminated that says why. It belongs to the content of the commit:
	// a repeat must have the same.
	Terminate *Event
	// RunID, CommitID and Traceparent are those of Request. With a commit id a
	// repeat finds what an earlier call has stored, whatever way it took, as far
	// back as NewRun looks; that of a SignalWithStart, as far back as AtEnd.
	RunID       RunID
	CommitID    CommitID
	Traceparent string
	// Expect is zero, or what the OutcomeUnknownError of an earlier call carried;
	// its commit id goes with it.
	Expect Expectation
}

// StartOutcome is which way a start went.
type StartOutcome uint8

const (
	// RunStarted: no run was open, and the new one is.
	RunStarted StartOutcome = iota + 1
	// RunUsed: a run is open, and nothing was appended. Of the Result only
	// RunID and Cursor are set, both of that run. A repeat decides again.
	RunUsed
	// RunReplaced: the open run was terminated and the new one started, by one commit.
	RunReplaced
	// RunSignaled: a run was open and got the signals.
	RunSignaled
)

// String is the outcome's name.
func (o StartOutcome) String() string {
	switch o {
	case RunStarted:
		return "started"
	case RunUsed:
		return "used existing"
	case RunReplaced:
		return "replaced"
	case RunSignaled:
		return "signaled"
	default:
		return fmt.Sprintf("outcome(%d)", uint8(o))
	}
}

// StartResult says what a start did. Its RunID is the run that was started, used
// or signaled.
type StartResult struct {
	Result
	Outcome StartOutcome
	// Terminated is the run that made room, where the outcome is RunReplaced.
	Terminated RunID
}

// Start starts a run as the request's policies say. It appends one commit or
// none, and only where the workflow stands as it was judged: who loses a race is
// judged again, until the context ends, or for 30 s if it has no deadline.
//
// A refusal by a policy is ErrConflict, and *ConflictError has the run that is in
// the way, with its status. The other errors are those of Append: nothing was
// stored, or the outcome is unknown and to call Start again with the commit id
// and the expectation of *OutcomeUnknownError settles it.
func Start(ctx context.Context, log Log, r StartRequest) (StartResult, error) {
	s := &starting{log: log, r: r}
	return s.run(ctx)
}

// SignalWithStart appends the signals to the open run, or starts one whose first
// commit ends with them. Conflict is UseExisting or TerminateExisting here: then
// the open run is terminated and the new one gets the signals. For the rest it is
// as Start.
//
// Signals are any events that neither open nor close a run, without ids.
func SignalWithStart(ctx context.Context, log Log, r StartRequest, signals ...*Event) (StartResult, error) {
	s := &starting{log: log, r: r, signals: signals, signaling: true}
	return s.run(ctx)
}

// startPatience is how long a start is tried that loses one race after the other
// under a context without a deadline.
const startPatience = 30 * time.Second

// starting is a start under way. What it appends has at most two forms: one for
// where no run is open, which is RunStarted, and one for where a run is.
//
// Whatever it tries may be stored at one place at a time. Before the first at a
// place, all commits up to there that could be one of the forms were looked
// through for the commit id, unless no call but this one can have used it. So at
// most one is stored, whoever repeats it, and whichever form it takes.
type starting struct {
	log       Log
	r         StartRequest
	signals   []*Event
	signaling bool
	onOpen    StartOutcome // 0: refused
}

func (s *starting) run(ctx context.Context) (StartResult, error) {
	if err := s.check(); err != nil {
		return StartResult{}, err
	}
	began := time.Now()
	done, tail, err := s.begin(ctx)
	for done == nil && err == nil {
		if _, bounded := ctx.Deadline(); !bounded && time.Since(began) > startPatience {
			return StartResult{}, fmt.Errorf("start of %s: others were faster for %s: %w", s.r.Workflow, startPatience, ErrUnavailable)
		}
		var expect Expectation
		var form StartOutcome
		if expect, form, err = s.judge(tail); err != nil {
			break
		}
		if form == RunUsed {
			return StartResult{Result: Result{RunID: tail.Run(), Cursor: tail}, Outcome: RunUsed}, nil
		}
		if done, tail, err = s.try(ctx, expect, form); done == nil && err == nil {
			done, tail, err = s.look(ctx, tail)
		}
	}
	if err != nil {
		return StartResult{}, err
	}
	return *done, nil
}

// begin settles what an earlier call has left, or makes the first step.
func (s *starting) begin(ctx context.Context) (*StartResult, Cursor, error) {
	if _, ok := s.r.Expect.Attempted(); ok {
		done, tail, err := s.try(ctx, s.r.Expect, s.formOf(s.r.Expect))
		if done != nil || err != nil {
			return done, tail, err
		}
		return s.look(ctx, tail)
	}
	if s.onOpen == RunSignaled || s.follows() {
		return s.look(ctx, Cursor{})
	}
	return nil, Cursor{}, nil // that it is new is found out by trying
}

// nowhere is an expectation that is never met: what comes back is the append that
// has the commit id, which is looked for as AtEnd and NewRun look for theirs, or
// where the workflow ends.
var nowhere = AfterEvent("", 0)

// look gives where the workflow ends by now, after which nothing with the commit
// id is stored, or what is. Tail is where it was seen to end.
func (s *starting) look(ctx context.Context, tail Cursor) (*StartResult, Cursor, error) {
	switch {
	case s.onOpen == RunSignaled:
		return s.try(ctx, AtEnd(), RunSignaled)
	case s.follows():
		return s.try(ctx, NewRun(), RunStarted)
	case s.r.CommitID == "", s.r.Reuse == enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE:
		return nil, tail, nil // under RejectDuplicate only the first commit can have it, and that has not
	default:
		return s.try(ctx, nowhere, RunStarted)
	}
}

// follows reports whether NewRun does what is wanted where no run is open, and
// looks on the way, along the starts: both forms are one.
func (s *starting) follows() bool {
	return s.r.CommitID != "" && s.onOpen != RunSignaled && s.r.Reuse != enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE &&
		s.r.Reuse != enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY
}

// judge says how a start goes on where the workflow ends at tail.
func (s *starting) judge(tail Cursor) (Expectation, StartOutcome, error) {
	refused := func(expected string) (Expectation, StartOutcome, error) {
		return Expectation{}, 0, &ConflictError{Workflow: s.r.Workflow, Expected: expected, Actual: tail}
	}
	switch {
	case tail.Run() == "":
		return NewWorkflow(), RunStarted, nil
	case IsOpen(tail.Status()) && s.onOpen == RunSignaled:
		return AtEnd(), RunSignaled, nil
	case IsOpen(tail.Status()) && s.onOpen == 0:
		return refused("no open run")
	case IsOpen(tail.Status()):
		return After(tail), s.onOpen, nil
	case s.r.Reuse == enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE:
		return refused("no run at all")
	case s.r.Reuse == enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY && !failed(tail.Status()):
		return refused("no run, or a newest one that failed, timed out, or was canceled or terminated")
	default:
		return After(tail), RunStarted, nil
	}
}

// failed reports whether AllowDuplicateFailedOnly lets a run follow one that
// ended so.
func failed(s Status) bool {
	switch s {
	case enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT,
		enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED:
		return true
	}
	return false
}

// try appends one form. Without a result and an error nothing was stored, and the
// workflow ends at the cursor.
func (s *starting) try(ctx context.Context, expect Expectation, form StartOutcome) (*StartResult, Cursor, error) {
	res, err := s.log.Append(ctx, s.request(expect, form))
	var conflict *ConflictError
	var closed *ClosedError
	var missing *NotFoundError
	switch {
	case err == nil:
		return s.done(ctx, res, expect, form)
	case errors.As(err, &conflict):
		return nil, conflict.Actual, nil
	case errors.As(err, &closed):
		return nil, closed.Actual, nil
	case errors.As(err, &missing):
		return nil, Cursor{}, nil
	case errors.Is(err, ErrCommitIDReused):
		return s.recognise(ctx, form, err)
	default:
		return nil, Cursor{}, s.inRequest(form, err)
	}
}

// recognise finds out whether the commit id, which has other content than one
// form, has that of the other.
func (s *starting) recognise(ctx context.Context, not StartOutcome, reused error) (*StartResult, Cursor, error) {
	form := RunStarted
	if form == not {
		form = s.onOpen
	}
	if form != RunStarted && form != RunReplaced && form != RunSignaled {
		return nil, Cursor{}, reused
	}
	res, err := s.log.Append(ctx, s.request(nowhere, form))
	switch {
	case err == nil:
		return s.done(ctx, res, nowhere, form)
	case errors.Is(err, ErrCommitIDReused), errors.Is(err, ErrConflict), errors.Is(err, ErrNotFound):
		return nil, Cursor{}, reused
	default:
		return nil, Cursor{}, s.inRequest(form, err)
	}
}

// done is what a stored commit of a form means.
func (s *starting) done(ctx context.Context, res Result, expect Expectation, form StartOutcome) (*StartResult, Cursor, error) {
	out := &StartResult{Result: res, Outcome: form}
	if form != RunReplaced {
		return out, Cursor{}, nil
	}
	if before, ok := expect.AfterCursor(); ok {
		out.Terminated = before.Run()
		return out, Cursor{}, nil
	}
	m, err := s.log.Message(ctx, res.Position)
	if err != nil {
		return nil, Cursor{}, fmt.Errorf("commit %q of %s is stored at %s: which run it terminated: %w", res.CommitID, s.r.Workflow, res.Position, err)
	}
	c, err := Decode(m)
	if err != nil {
		return nil, Cursor{}, err
	}
	if c.Closed != nil {
		out.Terminated = c.Closed.Run
	}
	return out, Cursor{}, nil
}

func (s *starting) request(expect Expectation, form StartOutcome) Request {
	r := Request{Workflow: s.r.Workflow, Expect: expect, CommitID: s.r.CommitID, Traceparent: s.r.Traceparent}
	if form == RunReplaced {
		r.Events = append(r.Events, s.r.Terminate)
	}
	if form != RunSignaled {
		r.RunID = s.r.RunID
		r.Events = append(r.Events, s.r.Events...)
	}
	r.Events = append(r.Events, s.signals...)
	return r
}

// inRequest is err with a field that it names as the request has it.
func (s *starting) inRequest(form StartOutcome, err error) error {
	var invalid *InvalidError
	var i int
	if !errors.As(err, &invalid) {
		return err
	}
	if n, _ := fmt.Sscanf(invalid.Field, "events[%d]", &i); n != 1 {
		return err
	}
	rest := invalid.Field[len(fmt.Sprintf("events[%d]", i)):]
	if form == RunReplaced {
		i--
	}
	switch n := len(s.r.Events); {
	case i < 0:
		return &InvalidError{Field: "terminate" + rest, Reason: invalid.Reason}
	case form == RunSignaled:
	case i < n:
		return &InvalidError{Field: fmt.Sprintf("events[%d]%s", i, rest), Reason: invalid.Reason}
	default:
		i -= n
	}
	return &InvalidError{Field: fmt.Sprintf("signals[%d]%s", i, rest), Reason: invalid.Reason}
}

// formOf is the form that was tried with an expectation, 0 if none was.
func (s *starting) formOf(e Expectation) StartOutcome {
	if e.IsNewWorkflow() || e.IsNewRun() && s.follows() {
		return RunStarted
	}
	if run, ok := e.IsAtEnd(); ok && run == "" {
		return RunSignaled
	}
	if c, ok := e.AfterCursor(); ok {
		if IsOpen(c.Status()) {
			return RunReplaced
		}
		return RunStarted
	}
	return 0
}

// check refuses what could not be meant, and resolves the policies.
func (s *starting) check() error {
	if len(s.r.Events) == 0 {
		return &InvalidError{Field: "events", Reason: "is empty"}
	}
	if !Opens(s.r.Events[0]) {
		return &InvalidError{Field: "events[0].eventType", Reason: fmt.Sprintf("is %s: a new run begins with a start", s.r.Events[0].GetEventType())}
	}
	if s.signaling && len(s.signals) == 0 {
		return &InvalidError{Field: "signals", Reason: "is empty"}
	}
	for i, e := range s.signals {
		if Opens(e) || Closes(e) {
			return &InvalidError{Field: fmt.Sprintf("signals[%d].eventType", i), Reason: fmt.Sprintf("is %s, which opens or closes a run", e.GetEventType())}
		}
		if e.GetEventId() != 0 {
			return &InvalidError{Field: fmt.Sprintf("signals[%d].eventId", i), Reason: "is set, and where the signal will stand is not known"}
		}
	}
	if err := s.checkPolicies(); err != nil {
		return err
	}
	if s.r.Terminate == nil {
		s.r.Terminate = WorkflowTerminated("another run was started in its place")
	} else if t := s.r.Terminate.EventType; t != enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED {
		return &InvalidError{Field: "terminate.eventType", Reason: fmt.Sprintf("is %s", t)}
	}
	if _, ok := s.r.Expect.Attempted(); !ok {
		if s.r.Expect.IsNewRun() {
			return nil
		}
		return &InvalidError{Field: "expectation", Reason: "is none of an unknown outcome: a start decides for itself what it expects"}
	}
	if form := s.formOf(s.r.Expect); form == 0 || form != RunStarted && form != s.onOpen {
		return &InvalidError{Field: "expectation", Reason: "is that of an append which this request would not make"}
	}
	return nil
}

func (s *starting) checkPolicies() error {
	conflict := s.r.Conflict
	switch s.r.Reuse {
	case enumspb.WORKFLOW_ID_REUSE_POLICY_UNSPECIFIED, enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY:
	case enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE:
		if conflict == enumspb.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING {
			return &InvalidError{Field: "reuse", Reason: "is RejectDuplicate: a run that is terminated would not be followed by another"}
		}
	case enumspb.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING: //nolint:staticcheck // the old name is still sent
		if conflict != enumspb.WORKFLOW_ID_CONFLICT_POLICY_UNSPECIFIED {
			return &InvalidError{Field: "reuse", Reason: "is TerminateIfRunning, which stands for a conflict policy itself"}
		}
		conflict = enumspb.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
	default:
		return &InvalidError{Field: "reuse", Reason: fmt.Sprintf("is %s, which is not known", s.r.Reuse)}
	}
	switch conflict {
	case enumspb.WORKFLOW_ID_CONFLICT_POLICY_UNSPECIFIED:
		if s.signaling {
			s.onOpen = RunSignaled
		}
	case enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL:
		if s.signaling {
			return &InvalidError{Field: "conflict", Reason: "is Fail: an open run gets the signals"}
		}
	case enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING:
		if s.onOpen = RunUsed; s.signaling {
			s.onOpen = RunSignaled
		}
	case enumspb.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING:
		s.onOpen = RunReplaced
	default:
		return &InvalidError{Field: "conflict", Reason: fmt.Sprintf("is %s, which is not known", s.r.Conflict)}
	}
	return nil
}
