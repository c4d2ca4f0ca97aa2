package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	commonpb "go.temporal.io/api/common/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

func describeCommand(a *app) *cobra.Command {
	var run string
	c := &cobra.Command{
		Use:   "describe WORKFLOW",
		Short: "Describe a run from the tables, with what is pending in it",
		Long: `Prints what the tables have of a run: its execution with its search attributes, its last failure, and what is
pending: activities, timers, children, Nexus operations, updates, and requests to other workflows. "tables at" is how far
the tables are, and what the log has beyond that. The newest run if none is named. Exit code 1 if the tables have no such
workflow or run.

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
		a.askLag(c.Context(), &d)
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

// lagPatience is how long the log is asked how far it is beyond an answer: the tables
// answer without it too.
const lagPatience = time.Second

// askLag tells how much the log has that the answer lacks, where the log can be asked.
func (a *app) askLag(ctx context.Context, d *pgstore.Description) {
	ctx, cancel := context.WithTimeout(ctx, lagPatience)
	defer cancel()
	if log, err := a.open(ctx); err == nil {
		d.AskLag(ctx, log)
	}
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
	for _, g := range d.Gaps {
		t.row("GAP", fmt.Sprintf("%s from %s on are gone from the log, and may have been of this workflow", plural(g.Waiting, "message"), g.Position))
	}
	t.row("task queue", e.TaskQueue)
	t.row("started", orZero(e.StartTime))
	if e.ExecutionTime != nil && e.StartTime != nil && e.ExecutionTime.After(*e.StartTime) {
		t.row("first task due", *e.ExecutionTime)
	}
	if e.CloseTime != nil {
		t.row("closed", *e.CloseTime)
	}
	t.row("updated", orZero(e.UpdatedAt))
	t.row("events", fmt.Sprintf("%d, %d bytes", e.HistoryLength, e.HistorySizeBytes))
	t.row("position", e.Position)
	t.row("tables at", asOfNote(d))
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
	if e.Pause != nil {
		t.row("paused", pauseNote(e.Pause))
	}
	optional("terminated because", e.CloseReason, e.CloseReason != "")
	optional("worker", workerNote(e), e.BuildID != "" || e.Deployment != "" || e.SDKName != "")
	for i, v := range searchValueNotes(e) {
		if i == 0 {
			t.row("search attributes", " ")
		}
		t.row("  "+v[0], v[1])
	}
	if e.LastFailure != nil {
		t.row("last failure", *e.LastFailure)
		for _, cause := range e.LastFailureCauses {
			t.row("  caused by", cause)
		}
	}
	optional("failed workflow tasks", fmt.Sprint(e.WorkflowTaskFailures), e.WorkflowTaskFailures > 0)
	optional("signals", fmt.Sprint(e.Signals), e.Signals > 0)
	optional("unknown events", fmt.Sprint(e.UnknownEvents), e.UnknownEvents > 0)
	optional("missing references", fmt.Sprint(e.MissingReferences), e.MissingReferences > 0)
	if err := t.flush(); err != nil {
		return err
	}
	return a.printDescribedPending(d)
}

// asOfNote is how far the tables were, and what the log had beyond.
func asOfNote(d pgstore.Description) string {
	if d.AsOf.Position == "" {
		return ""
	}
	note := d.AsOf.Position
	if d.AsOf.Time != nil {
		note += " of " + cell(*d.AsOf.Time)
	}
	switch {
	case d.Lag == nil:
		note += ", the log was not asked"
	case d.Lag.Commits == 0:
		note += ", no lag"
	default:
		note += fmt.Sprintf(", lag %s, %.1f s", plural(int64(d.Lag.Commits), "commit"), d.Lag.Seconds)
	}
	return note
}

// pauseNote says who paused a run, since when and why.
func pauseNote(stored json.RawMessage) string {
	var p execution.Pause
	if json.Unmarshal(stored, &p) != nil {
		return string(stored)
	}
	note := "since " + cell(p.Time)
	if p.Identity != "" {
		note += " by " + p.Identity
	}
	if p.Reason != "" {
		note += ": " + p.Reason
	}
	return note
}

// workerNote says which code ran the newest workflow task.
func workerNote(e pgstore.Execution) string {
	var parts []string
	for _, s := range []string{e.Deployment, e.BuildID, e.VersioningBehavior, strings.TrimSpace(e.SDKName + " " + e.SDKVersion)} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ", ")
}

// searchValueNotes are the search attributes by name, under a heading; those without
// a type say so.
func searchValueNotes(e pgstore.Execution) (notes [][2]string) {
	var values map[string]json.RawMessage
	if json.Unmarshal(e.SearchValues, &values) != nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		text := string(values[name])
		var s string
		if json.Unmarshal(values[name], &s) == nil {
			text = s
		}
		notes = append(notes, [2]string{name, text})
	}
	for _, name := range e.UntypedAttributes {
		notes = append(notes, [2]string{name, "(no type yet: annals search-attribute add)"})
	}
	return notes
}

// withCauses is a failure's message with those of its causes, but for what it says
// itself, as wrapped errors of Go do.
func withCauses(message string, causes []string) string {
	for _, cause := range causes {
		if !strings.HasSuffix(message, cause) {
			message += ": " + cause
		}
	}
	return message
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
	if len(d.PendingActivities)+len(d.PendingTimers)+len(d.PendingChildren)+len(d.PendingNexusOperations)+len(d.PendingUpdates)+len(d.PendingExternalRequests) == 0 {
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
		if x.MaximumAttempts > 0 && note != "" {
			note += fmt.Sprint(" of ", x.MaximumAttempts)
		}
		if x.LastFailure != nil {
			note = strings.TrimSpace(note + " " + withCauses(*x.LastFailure, x.LastFailureCauses))
		}
		if x.CancelRequested {
			note = strings.TrimSpace(note + " to be canceled")
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
	for _, x := range d.PendingNexusOperations {
		note := "at " + x.Endpoint
		switch {
		case x.CancelFailure != nil:
			note += " not canceled: " + *x.CancelFailure
		case x.CancelRequested:
			note += " to be canceled"
		}
		t.row("nexus operation", x.ScheduledEventID, x.OperationToken, x.Service+"/"+x.Operation, x.Status, orZero(x.ScheduledTime), note)
	}
	for _, x := range d.PendingUpdates {
		since := orZero(x.AcceptedTime)
		if since.IsZero() {
			since = orZero(x.AdmittedTime)
		}
		t.row("update", x.EventID, x.UpdateID, x.UpdateName, x.Status, since, x.Identity)
	}
	for _, x := range d.PendingExternalRequests {
		what := x.SignalName
		if x.Kind == "Cancel" {
			what = x.Reason
		}
		t.row(strings.ToLower(x.Kind), x.InitiatedEventID, x.WorkflowID, what, "Initiated", orZero(x.InitiatedTime), "to "+x.Namespace)
	}
	return t.flush()
}
