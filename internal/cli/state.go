package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution"
	"github.com/annals-io/annals/pkg/replay"
)

func stateCommand(a *app) *cobra.Command {
	var run, at string
	c := &cobra.Command{
		Use:   "state WORKFLOW",
		Short: "Print the state of a run, folded from the log",
		Long: `Prints what the events of a run add up to: after its last event, after event N (inclusive), or at a time.

The state at a time is that of the longest prefix before the first event later than it: event times do run
backwards in real histories.`,
		Example: `  annals state order-1
  annals state order-1 --at 12 -o json
  annals state order-1 --at 2026-01-31T12:00:00Z`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	c.Flags().StringVar(&run, "run", "", "run `ID` (default: the newest)")
	c.Flags().StringVar(&at, "at", "", "event id, inclusive, or RFC 3339 time `N|TIME` (default: the end)")
	o := outputFlag(c, formatTable, formatJSON)
	c.RunE = func(c *cobra.Command, args []string) error {
		point, err := parsePoint("at", at)
		if err != nil {
			return err
		}
		log, err := a.open(c.Context())
		if err != nil {
			return err
		}
		s, err := replay.State(c.Context(), log, a.workflow(args[0]), events.RunID(run), point)
		if err != nil {
			return err
		}
		if o.is(formatJSON) {
			return printJSON(a.out, s)
		}
		return a.printState(s)
	}
	return c
}

// parsePoint reads the event id or the time of a flag; empty is the end.
func parsePoint(flag, s string) (replay.Point, error) {
	if s == "" {
		return replay.AtEnd(), nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if n < 1 {
			return replay.Point{}, usagef("--%s is %d, event ids begin at 1", flag, n)
		}
		return replay.AtEvent(events.EventID(n)), nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.IsZero() {
		return replay.Point{}, usagef("--%s is %q, want an event id or a time like 2026-01-31T12:00:00Z", flag, s)
	}
	return replay.AtTime(t), nil
}

// printState prints what people look for first; -o json has all.
func (a *app) printState(s *execution.State) error {
	t := newTable(a.out)
	t.row("workflow", s.Workflow)
	t.row("run", s.RunID)
	t.row("type", s.Type)
	t.row("status", s.Status)
	t.row("task queue", s.TaskQueue)
	t.row("started", s.StartTime)
	if !s.IsOpen() {
		t.row("closed", s.CloseTime())
	}
	t.row("updated", s.UpdatedAt)
	t.row("events", fmt.Sprintf("%d, %d bytes", s.EventCount, s.HistorySizeBytes))
	optional := func(name string, v any, is bool) {
		if is {
			t.row(name, v)
		}
	}
	if s.Parent != nil {
		t.row("parent", s.Parent.WorkflowID+" "+string(s.Parent.RunID))
	}
	optional("continued from", s.ContinuedFromRunID, s.ContinuedFromRunID != "")
	optional("continued to", s.ContinuedToRunID, s.ContinuedToRunID != "")
	if s.Reset != nil {
		t.row("reset", fmt.Sprintf("from %s at event %d", s.Reset.BaseRunID, s.Reset.EventID))
	}
	optional("attempt", s.Attempt, s.Attempt > 1)
	optional("cron", s.CronSchedule, s.CronSchedule != "")
	if s.CancelRequest != nil {
		t.row("cancel requested", s.CancelRequest.Time)
	}
	if s.Pause != nil {
		t.row("paused", fmt.Sprintf("%s by %s: %s", cell(s.Pause.Time), cell(s.Pause.Identity), cell(s.Pause.Reason)))
	}
	for i, m := range execution.FailureMessages(s.LastFailure) {
		name := "last failure"
		if i > 0 {
			name = "  caused by"
		}
		t.row(name, m)
	}
	optional("signals", s.Counts.Signals, s.Counts.Signals > 0)
	optional("unknown events", s.Counts.UnknownEvents, s.Counts.UnknownEvents > 0)
	optional("missing references", s.Counts.MissingReferences, s.Counts.MissingReferences > 0)
	if err := t.flush(); err != nil {
		return err
	}
	return a.printPending(s)
}

// printPending prints what the run waits for.
func (a *app) printPending(s *execution.State) error {
	if len(s.Activities)+len(s.Timers)+len(s.Children)+len(s.NexusOperations)+len(s.Updates) == 0 && s.WorkflowTasks.Pending == nil {
		return nil
	}
	fmt.Fprintln(a.out)
	t := newTable(a.out, "pending", "event", "id", "type", "status", "since", "note")
	if task := s.WorkflowTasks.Pending; task != nil {
		status := "Scheduled"
		if task.StartedEventID != 0 {
			status = "Started"
		}
		t.row("workflow task", task.ScheduledEventID, "", "", status, task.ScheduledTime, attempt(task.Attempt))
	}
	for _, x := range s.Activities {
		t.row("activity", x.ScheduledEventID, x.ActivityID, x.Type, x.Status, x.ScheduledTime, attempt(x.Attempt))
	}
	for _, x := range s.Timers {
		t.row("timer", x.StartedEventID, x.TimerID, "", x.Status, x.StartedTime, "due "+cell(x.FireTime))
	}
	for _, x := range s.Children {
		t.row("child", x.InitiatedEventID, x.WorkflowID, x.Type, x.Status, x.InitiatedTime, x.RunID)
	}
	for _, x := range s.NexusOperations {
		t.row("nexus operation", x.ScheduledEventID, x.OperationToken, x.Service+"/"+x.Operation, x.Status, x.ScheduledTime, x.Endpoint)
	}
	for _, x := range s.Updates {
		since := x.AdmittedTime
		if since.IsZero() {
			since = x.AcceptedTime
		}
		t.row("update", x.EventID, x.ID, x.Name, x.Status, since, "")
	}
	return t.flush()
}

func attempt(n int32) string {
	if n < 2 {
		return ""
	}
	return fmt.Sprintf("attempt %d", n)
}
