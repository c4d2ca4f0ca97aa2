package cli

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	commonpb "go.temporal.io/api/common/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

func describeCommand(a *app) *cobra.Command {
	var run string
	c := &cobra.Command{
		Use:   "describe WORKFLOW",
		Short: "Describe a run from the tables, with what is pending in it",
		Long: `Prints what the tables have of a run: its execution, pending activities, timers and children, and its last
failure. The newest run if none is named. Exit code 1 if the tables have no such workflow or run.

annals state says the same, and more, from the log.`,
		Example: `  annals describe order-1
  annals describe order-1 --run 0199… -o json
  annals describe order-1 --wait-for 3:1042   # as of an append that printed this position`,
		Args: cobra.ExactArgs(1),
	}
	c.Flags().StringVar(&run, "run", "", "run `ID` (default: the newest)")
	r := waitFlags(c)
	o := outputFlag(c, formatTable, formatJSON, formatJSONL)
	c.RunE = func(c *cobra.Command, args []string) error {
		store, include, err := a.read(c.Context(), r)
		if err != nil {
			return err
		}
		d, err := store.Describe(c.Context(), pgstore.DescribeQuery{Workflow: a.workflow(args[0]), Run: events.RunID(run), Include: include})
		if err != nil {
			return queryFault(err)
		}
		switch {
		case o.is(formatJSON):
			return printJSON(a.out, d)
		case o.is(formatJSONL):
			return printLine(a.out, d)
		}
		return a.printDescription(d)
	}
	return c
}

// printDescription prints what people look for first; -o json has all.
func (a *app) printDescription(d pgstore.Description) error {
	e := d.Execution
	t := newTable(a.out)
	t.row("workflow", e.Namespace+"/"+e.WorkflowID)
	t.row("run", e.RunID)
	t.row("type", e.WorkflowType)
	t.row("status", e.Status)
	if q := d.Quarantine; q != nil {
		t.row("QUARANTINED", fmt.Sprintf("the tables lack %s from %s on, since %s", plural(q.Waiting, "commit"), q.Position, cell(q.Since)))
		t.row("  because", q.Kind+": "+q.Reason)
	}
	t.row("task queue", e.TaskQueue)
	t.row("started", orZero(e.StartTime))
	if e.CloseTime != nil {
		t.row("closed", *e.CloseTime)
	}
	t.row("updated", orZero(e.UpdatedAt))
	t.row("events", fmt.Sprintf("%d, %d bytes", e.HistoryLength, e.HistorySizeBytes))
	t.row("position", e.Position)
	if d.Workflow.NewestRunID != e.RunID {
		t.row("newest run", d.Workflow.NewestRunID)
	}
	if d.Workflow.Runs > 1 {
		t.row("runs", d.Workflow.Runs)
	}
	optional := func(name, value string, is bool) {
		if is {
			t.row(name, value)
		}
	}
	optional("parent", e.ParentWorkflowID+" "+e.ParentRunID, e.ParentWorkflowID != "")
	optional("root", e.RootWorkflowID+" "+e.RootRunID, e.RootWorkflowID != e.WorkflowID || e.RootRunID != e.RunID)
	optional("continued from", e.ContinuedFromRunID, e.ContinuedFromRunID != "")
	optional("continued to", e.ContinuedToRunID, e.ContinuedToRunID != "")
	optional("reset from", e.ResetFromRunID, e.ResetFromRunID != "")
	optional("attempt", fmt.Sprint(e.Attempt), e.Attempt > 1)
	optional("cron", e.CronSchedule, e.CronSchedule != "")
	optional("cancel requested", "yes", e.CancelRequested)
	optional("paused", string(e.Pause), e.Pause != nil)
	if e.LastFailure != nil {
		t.row("last failure", *e.LastFailure)
		for _, cause := range e.LastFailureCauses {
			t.row("  caused by", cause)
		}
	}
	optional("failed workflow tasks", fmt.Sprint(e.WorkflowTaskFailures), e.WorkflowTaskFailures > 0)
	optional("signals", fmt.Sprint(e.Signals), e.Signals > 0)
	optional("pending nexus operations", fmt.Sprint(e.PendingNexusOperations), e.PendingNexusOperations > 0)
	optional("pending updates", fmt.Sprint(e.PendingUpdates), e.PendingUpdates > 0)
	optional("unknown events", fmt.Sprint(e.UnknownEvents), e.UnknownEvents > 0)
	optional("missing references", fmt.Sprint(e.MissingReferences), e.MissingReferences > 0)
	if err := t.flush(); err != nil {
		return err
	}
	return a.printDescribedPending(d)
}

// shownDetails is how much of a heartbeat's details a table shows.
const shownDetails = 60

// heartbeatNote is a heartbeat in short: when, and its details as far as they are
// texts.
func heartbeatNote(h *pgstore.ActivityHeartbeat) string {
	note := "heartbeat " + cell(h.Time)
	if h.LastFailure != nil {
		note += " after " + *h.LastFailure
	}
	var details commonpb.Payloads
	if h.Details == nil || protojson.Unmarshal(h.Details, &details) != nil {
		return note
	}
	for _, p := range details.Payloads {
		text := fmt.Sprintf("%d bytes", len(p.Data))
		if data := string(p.Data); len(data) <= shownDetails && utf8.ValidString(data) {
			text = data
		}
		note += " " + text
	}
	return note
}

// printDescribedPending prints what the run waits for.
func (a *app) printDescribedPending(d pgstore.Description) error {
	if len(d.PendingActivities)+len(d.PendingTimers)+len(d.PendingChildren) == 0 {
		return nil
	}
	fmt.Fprintln(a.out)
	t := newTable(a.out, "pending", "event", "id", "type", "status", "since", "note")
	for _, x := range d.PendingActivities {
		// A heartbeat knows of attempts that the history does not tell of.
		attempts := x.Attempt
		if h := x.LastHeartbeat; h != nil {
			attempts = max(attempts, h.Attempt)
		}
		note := attempt(attempts)
		if x.LastFailure != nil {
			note = strings.TrimSpace(note + " " + *x.LastFailure)
		}
		if h := x.LastHeartbeat; h != nil {
			note = strings.TrimSpace(note + " " + heartbeatNote(h))
		}
		t.row("activity", x.ScheduledEventID, x.ActivityID, x.ActivityType, x.Status, orZero(x.ScheduledTime), note)
	}
	for _, x := range d.PendingTimers {
		t.row("timer", x.StartedEventID, x.TimerID, "", "Started", orZero(x.StartedTime), "due "+cell(orZero(x.FireTime)))
	}
	for _, x := range d.PendingChildren {
		t.row("child", x.InitiatedEventID, x.WorkflowID, x.WorkflowType, x.Status, orZero(x.InitiatedTime), x.RunID)
	}
	return t.flush()
}
