package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventjson"
)

// appendFlags are what the command line says of an append.
type appendFlags struct {
	file        string
	newRun      bool
	after       string
	atEnd       bool
	expectation string
	commitID    string
	run         string
	timeout     time.Duration
}

func appendCommand(a *app) *cobra.Command {
	var f appendFlags
	c := &cobra.Command{
		Use:   "append WORKFLOW --events FILE|-",
		Short: "Append events to a workflow",
		Long: `Appends events, given as Temporal's JSON, as one commit: all of them or none.

The input is a history ({"events": […]}), an array of events, or one event a line. Ids and times may be absent
and are assigned then. A field that is not known is refused, never dropped.

What the workflow is expected to be: --new-run (no open run), --after RUN:N (exactly this history so far),
--at-end (wherever it ends). Without one the events decide: a start opens a run, anything else goes at the end.
With a start among the events --run names the new run, else the only run to append to.

The outcome is always known, or said to be unknown. A conflict prints the actual end of the workflow and exits
with 1. An unknown outcome (exit code 3) prints a commit id and an expectation: the same command with
--commit-id and --expectation settles it, now or tomorrow, without ever storing the events twice.`,
		Example: `  echo '{"eventType": "WorkflowExecutionStarted", "workflowExecutionStartedEventAttributes":
         {"workflowType": {"name": "Order"}, "taskQueue": {"name": "orders"}, "input": [{"order": 7}]}}' |
    annals append order-7 --events -
  annals append order-7 --events signal.json --at-end
  annals append order-7 --events next.json --after 0199…:12 --commit-id step-13`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := c.Flags()
	flags.StringVarP(&f.file, "events", "e", "", "`FILE` of the events, - for standard input (required)")
	flags.BoolVar(&f.newRun, "new-run", false, "expect that no run is open, and start one")
	flags.StringVar(&f.after, "after", "", "expect that the newest run is RUN and its last event N: `RUN:N`")
	flags.BoolVar(&f.atEnd, "at-end", false, "append wherever the open run ends")
	flags.StringVar(&f.expectation, "expectation", "", "`TOKEN` that an append of unknown outcome printed")
	flags.StringVar(&f.commitID, "commit-id", "", "`ID` by which a repeated append is recognised (default: a new one)")
	flags.StringVar(&f.run, "run", "", "`ID` of the new run if an event starts one; otherwise the only run to append to")
	flags.DurationVar(&f.timeout, "timeout", 30*time.Second, "how long to try")
	o := outputFlag(c, formatTable, formatJSON)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := checkTimeout(f.timeout); err != nil {
			return err
		}
		request, err := a.request(args[0], f)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(c.Context(), f.timeout)
		defer cancel()
		log, err := a.open(ctx)
		if err != nil {
			return err
		}
		result, err := log.Append(ctx, request)
		if err != nil {
			return a.printRefusal(o, err)
		}
		return a.printAppended(o, result)
	}
	return c
}

// request is the append that the command line asks for.
func (a *app) request(id string, f appendFlags) (events.Request, error) {
	r := events.Request{Workflow: a.workflow(id), CommitID: events.CommitID(f.commitID)}
	evs, err := a.readEvents(f.file)
	if err != nil {
		return r, err
	}
	r.Events = evs
	starts := false
	for _, e := range evs {
		starts = starts || events.Opens(e)
	}
	given := 0
	for _, is := range []bool{f.newRun, f.after != "", f.atEnd, f.expectation != ""} {
		if is {
			given++
		}
	}
	if given > 1 {
		return r, usagef("--new-run, --after, --at-end and --expectation exclude each other")
	}
	continues := f.run != "" && !starts // --run names the run to append to
	switch {
	case f.expectation != "":
		if continues {
			return r, usagef("--run says nothing beside --expectation, which names the run, unless an event starts one")
		}
		if f.commitID == "" {
			return r, usagef("--expectation goes with the --commit-id that was printed beside it")
		}
		if err := r.Expect.UnmarshalText([]byte(f.expectation)); err != nil {
			return r, err
		}
	case f.after != "":
		run, n, err := runAndEvent(f.after)
		if err != nil {
			return r, err
		}
		if continues && events.RunID(f.run) != run {
			return r, usagef("--run is %q and --after names run %q", f.run, run)
		}
		r.Expect = events.AfterEvent(run, n)
	case f.newRun, !f.atEnd && events.Opens(evs[0]):
		r.Expect = events.NewRun()
	case continues:
		r.Expect = events.AtEndOf(events.RunID(f.run))
	default:
		r.Expect = events.AtEnd()
	}
	if starts {
		r.RunID = events.RunID(f.run)
	}
	return r, nil
}

// runAndEvent reads RUN:N. Run ids may hold colons.
func runAndEvent(s string) (events.RunID, events.EventID, error) {
	i := strings.LastIndexByte(s, ':')
	if i <= 0 {
		return "", 0, usagef("--after is %q, want RUN:N, a run id and its last event's id", s)
	}
	n, err := strconv.ParseInt(s[i+1:], 10, 64)
	if err != nil || n < 1 {
		return "", 0, usagef("--after is %q, and %q is no event id", s, s[i+1:])
	}
	return events.RunID(s[:i]), events.EventID(n), nil
}

// readEvents reads a file strictly; - is standard input. There is one event at
// least.
func (a *app) readEvents(file string) ([]*events.Event, error) {
	var text []byte
	var err error
	switch file {
	case "":
		return nil, usagef("--events is required: a file of events, or - for standard input")
	case "-":
		if text, err = io.ReadAll(io.LimitReader(a.in, eventjson.DefaultMaxBytes+1)); err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		file = "standard input"
	default:
		if text, err = os.ReadFile(file); err != nil {
			return nil, usagef("--events: %w", err)
		}
	}
	evs, _, err := eventjson.Decode(text, eventjson.Options{})
	if err != nil {
		return nil, usagef("%s: %w", file, err)
	}
	if len(evs) == 0 {
		return nil, usagef("%s: holds no events", file)
	}
	return evs, nil
}

// appended is `append -o json`.
type appended struct {
	RunID        events.RunID    `json:"runId"`
	FirstEventID events.EventID  `json:"firstEventId"`
	LastEventID  events.EventID  `json:"lastEventId"`
	Position     string          `json:"position"` // partition:sequence
	Vector       string          `json:"vector"`   // the same, bound to the log
	Existed      bool            `json:"existed"`
	CommitID     events.CommitID `json:"commitId"`
	Status       string          `json:"status"`
}

func (a *app) printAppended(o *output, r events.Result) error {
	if r.Warning != "" {
		slog.Warn(r.Warning)
	}
	v := appended{
		RunID: r.RunID, FirstEventID: r.FirstEventID, LastEventID: r.LastEventID, Position: r.Position.String(), Vector: r.Vector().String(),
		Existed: r.Existed, CommitID: r.CommitID, Status: r.Cursor.Status().String(),
	}
	if o.is(formatJSON) {
		return printJSON(a.out, v)
	}
	t := newTable(a.out)
	t.row("run", v.RunID)
	t.row("events", fmt.Sprintf("%d to %d", v.FirstEventID, v.LastEventID))
	t.row("position", v.Position)
	t.row("status", v.Status)
	t.row("commit", v.CommitID)
	if v.Existed {
		t.row("existed", "yes: an earlier attempt had stored it")
	}
	return t.flush()
}

// end is where a workflow ends.
type end struct {
	RunID    events.RunID   `json:"runId"`
	EventID  events.EventID `json:"eventId"`
	Status   string         `json:"status"`
	Position string         `json:"position"`
}

func endOf(c events.Cursor) *end {
	return &end{RunID: c.Run(), EventID: c.LastEventID(), Status: c.Status().String(), Position: c.Position().String()}
}

// refusal is the error of `append -o json`.
type refusal struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	// Actual is set for conflict and closed: where the workflow ends.
	Actual *end `json:"actual,omitempty"`
	// CommitID and Expectation are set for outcomeUnknown: what to send back.
	CommitID    events.CommitID `json:"commitId,omitempty"`
	Expectation string          `json:"expectation,omitempty"`
}

// codes name what refuses an append.
var codes = []struct {
	is   error
	code string
}{
	{events.ErrOutcomeUnknown, "outcomeUnknown"}, // whatever its cause is
	{events.ErrConflict, "conflict"},
	{events.ErrClosed, "closed"},
	{events.ErrNotFound, "notFound"},
	{events.ErrLimit, "limit"},
	{events.ErrCommitIDReused, "commitIdReused"},
	{events.ErrInvalid, "invalid"},
	{events.ErrOverloaded, "overloaded"},
	{events.ErrUnavailable, "unavailable"},
	{events.ErrCorrupt, "corrupt"},
	{events.ErrWrongLog, "wrongLog"},
}

// printRefusal prints what an append says beside its error, and returns that.
func (a *app) printRefusal(o *output, err error) error {
	r := refusal{Code: "unknown", Message: err.Error()}
	for _, c := range codes {
		if errors.Is(err, c.is) {
			r.Code = c.code
			break
		}
	}
	var conflict *events.ConflictError
	var closed *events.ClosedError
	var unknown *events.OutcomeUnknownError
	switch {
	case errors.As(err, &conflict):
		r.Actual = endOf(conflict.Actual)
	case errors.As(err, &closed):
		r.Actual = endOf(closed.Actual)
	case errors.As(err, &unknown):
		token, tokenErr := unknown.Expectation.MarshalText()
		if tokenErr != nil {
			return errors.Join(err, tokenErr)
		}
		r.CommitID, r.Expectation = unknown.CommitID, string(token)
	}
	if o.is(formatJSON) {
		return errors.Join(err, printJSON(a.out, struct {
			Error refusal `json:"error"`
		}{r}))
	}
	t := newTable(a.out)
	switch {
	case r.Actual != nil:
		t.row("actual run", r.Actual.RunID)
		t.row("at event", r.Actual.EventID)
		t.row("status", r.Actual.Status)
		t.row("position", r.Actual.Position)
	case r.Expectation != "":
		t.row("commit", r.CommitID)
		t.row("expectation", r.Expectation)
	}
	return errors.Join(err, t.flush())
}
