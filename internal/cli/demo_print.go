package cli

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/annals-io/annals/internal/demo"
	"github.com/annals-io/annals/internal/demo/workflows"
	"github.com/annals-io/annals/pkg/events"
)

// shownRuns is how many resumed runs the table lists.
const shownRuns = 12

// statuses are the columns of the table, in their order, by the names that they
// have there.
var statuses = []struct{ status, column string }{
	{"Completed", "completed"},
	{"Failed", "failed"},
	{"Canceled", "canceled"},
	{"Terminated", "terminated"},
	{"TimedOut", "timed out"},
	{"ContinuedAsNew", "continued"},
	{"Paused", "paused"},
	{"Running", "running"},
}

// demonstrated is `demo -o json`.
type demonstrated struct {
	Workflows       int               `json:"workflows"`
	Counts          []demoCount       `json:"counts"`
	Commits         int64             `json:"commits"`
	Events          int64             `json:"events"`
	Seconds         float64           `json:"seconds"`
	EventsPerSecond float64           `json:"eventsPerSecond"`
	Lag             demoLag           `json:"lag"`
	Killed          demoKilled        `json:"killed"`
	Resumed         []demo.ResumedRun `json:"resumed"`
	Histories       demoHistories     `json:"histories"`
	Verify          verified          `json:"verify"`
}

type demoCount struct {
	WorkflowType string `json:"workflowType"`
	Status       string `json:"status"`
	Count        int64  `json:"count"`
}

type demoLag struct {
	Commits         int64   `json:"commits"`
	Seconds         float64 `json:"seconds"` // the age of the oldest
	CaughtUpSeconds float64 `json:"caughtUpSeconds"`
}

type demoKilled struct {
	Worker int `json:"worker"`
	PID    int `json:"pid"`
	Held   int `json:"held"`
}

type demoHistories struct {
	Runs           int         `json:"runs"`
	WellFormed     int         `json:"wellFormed"`
	Replayed       int         `json:"replayed"`
	Activities     int         `json:"activities"`
	Retried        int         `json:"retried"`
	TakenOver      int         `json:"takenOver"`
	ScheduledTwice int         `json:"scheduledTwice"`
	Faults         []demoFault `json:"faults"`
}

type demoFault struct {
	Kind       string       `json:"kind"`
	WorkflowID string       `json:"workflowId"`
	RunID      events.RunID `json:"runId"`
	Detail     string       `json:"detail"`
}

func shownJSON(s demo.Summary, v verified) demonstrated {
	d := demonstrated{
		Workflows: s.Workflows, Commits: s.Commits, Events: s.Events, Seconds: s.Took.Seconds(), EventsPerSecond: float64(s.Events) / s.Took.Seconds(),
		Lag: demoLag{Commits: s.Lag.Commits, Seconds: s.Lag.Age.Seconds(), CaughtUpSeconds: s.Lag.CaughtUp.Seconds()}, Killed: demoKilled(s.Killed), Resumed: s.Resumed, Verify: v,
		Counts: []demoCount{},
		Histories: demoHistories{
			Runs: s.Histories.Runs, WellFormed: s.Histories.WellFormed(), Replayed: s.Histories.Replayed, Activities: s.Histories.Activities,
			Retried: s.Histories.Retried, TakenOver: s.Histories.TakenOver, ScheduledTwice: s.Histories.Count(demo.FaultTwice), Faults: []demoFault{},
		},
	}
	for _, c := range s.Counts {
		d.Counts = append(d.Counts, demoCount{WorkflowType: c.Type, Status: c.Status, Count: c.Runs})
	}
	for _, f := range s.Histories.Faults {
		d.Histories.Faults = append(d.Histories.Faults, demoFault{Kind: f.Kind, WorkflowID: f.Workflow.ID, RunID: f.Run, Detail: f.Detail})
	}
	return d
}

func (a *app) printDemo(s demo.Summary, v verified, kept bool) error {
	fmt.Fprintln(a.out)
	if err := a.printCounts(s.Counts); err != nil {
		return err
	}
	fmt.Fprintln(a.out)
	if err := a.printResumed(s); err != nil {
		return err
	}
	fmt.Fprintln(a.out)
	h := s.Histories
	t := newTable(a.out)
	t.row("log", fmt.Sprintf("%s, %s in %s: %s", plural(s.Commits, "commit"), plural(s.Events, "event"), s.Took.Round(10*time.Millisecond), rate(s.Events, s.Took)))
	lag := "none when the last workflow ended"
	if s.Lag.Commits > 0 {
		lag = fmt.Sprintf("%s, the oldest %s old, when the last workflow ended; none %s later", plural(s.Lag.Commits, "commit"), s.Lag.Age.Round(time.Millisecond), s.Lag.CaughtUp.Round(time.Millisecond))
	}
	t.row("lag of the tables", lag)
	t.row("activities", fmt.Sprintf("%d, %d of them with retries, %d went on from a heartbeat", h.Activities, h.Retried, h.TakenOver))
	t.row("scheduled twice", h.Count(demo.FaultTwice))
	t.row("histories well-formed", fmt.Sprintf("%d of %d", h.WellFormed(), h.Runs))
	t.row("replayed by today's code", fmt.Sprintf("%d of %d", h.Replayed, h.Runs))
	rows := int64(0)
	for _, n := range v.Rows {
		rows += n
	}
	t.row("verify", fmt.Sprintf("%s, %s and %s checked: %s", plural(v.Commits, "commit"), plural(v.Events, "event"), plural(rows, "row"), plural(int64(len(v.Differences))+v.Unlisted, "difference")))
	if err := t.flush(); err != nil {
		return err
	}
	if err := a.printFaults(s, v); err != nil {
		return err
	}
	a.printNext(s, kept)
	return nil
}

// printCounts prints runs by kind and status; a status that no run is in has no
// column.
func (a *app) printCounts(counts []demo.Count) error {
	runs := map[[2]string]int64{}
	kinds, totals := map[string]int64{}, map[string]int64{}
	for _, c := range counts {
		runs[[2]string{c.Type, c.Status}] += c.Runs
		kinds[c.Type] += c.Runs
		totals[c.Status] += c.Runs
	}
	columns, header := []string{}, []string{"workflow"}
	for _, known := range statuses {
		if totals[known.status] > 0 {
			columns, header = append(columns, known.status), append(header, known.column)
		}
	}
	t := newTable(a.out, append(header, "runs")...)
	names := make([]string, 0, len(kinds))
	for name := range kinds {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(kinds[b], kinds[a]), cmp.Compare(a, b)) })
	all := int64(0)
	row := func(name string, of func(status string) int64, total int64) {
		cells := []any{name}
		for _, status := range columns {
			cell := any(of(status))
			if of(status) == 0 {
				cell = nil
			}
			cells = append(cells, cell)
		}
		t.row(append(cells, total)...)
	}
	for _, name := range names {
		row(name, func(status string) int64 { return runs[[2]string{name, status}] }, kinds[name])
		all += kinds[name]
	}
	row("all", func(status string) int64 { return totals[status] }, all)
	return t.flush()
}

// printResumed lists what the killed worker went on with: of each kind in turn,
// those furthest on first.
func (a *app) printResumed(s demo.Summary) error {
	fmt.Fprintf(a.out, "worker %d was killed holding %s; started again it went on with %d:\n", s.Killed.Worker, plural(int64(s.Killed.Held), "open run"), len(s.Resumed))
	list := slices.Clone(s.Resumed)
	slices.SortStableFunc(list, func(a, b demo.ResumedRun) int { return cmp.Compare(b.EventID, a.EventID) })
	turn, of := map[events.RunID]int{}, map[string]int{}
	for _, r := range list {
		turn[r.RunID] = of[r.Type]
		of[r.Type]++
	}
	slices.SortStableFunc(list, func(a, b demo.ResumedRun) int {
		return cmp.Or(cmp.Compare(turn[a.RunID], turn[b.RunID]), cmp.Compare(a.Type, b.Type))
	})
	t := newTable(a.out, "workflow", "type", "run", "after event", "ended")
	for _, r := range list[:min(shownRuns, len(list))] {
		t.row(r.WorkflowID, r.Type, r.RunID, r.EventID, r.Status)
	}
	if err := t.flush(); err != nil {
		return err
	}
	if more := len(list) - shownRuns; more > 0 {
		fmt.Fprintf(a.out, "… and %d more\n", more)
	}
	return nil
}

func (a *app) printFaults(s demo.Summary, v verified) error {
	if len(s.Histories.Faults) > 0 {
		fmt.Fprintln(a.out)
		t := newTable(a.out, "fault", "workflow", "run", "what")
		for _, f := range s.Histories.Faults {
			t.row(f.Kind, f.Workflow.ID, f.Run, f.Detail)
		}
		if err := t.flush(); err != nil {
			return err
		}
	}
	return a.printDifferences(v.Differences)
}

// Commands that are suggested whether the demo was kept or not.
const (
	failedRuns = `list --query "ExecutionStatus = 'Failed'"`
	countRuns  = "count --group-by WorkflowType,ExecutionStatus"
)

// printNext says what to look at.
func (a *app) printNext(s demo.Summary, kept bool) {
	here := startedAs(os.Args[0])
	if !kept {
		fmt.Fprintln(a.out, "\nNothing was kept. To look around, keep the next one, and ask in another terminal, in this folder:")
		for _, line := range []string{"demo --keep", failedRuns, countRuns, "watch", "doctor"} {
			fmt.Fprintf(a.out, "  %s %s\n", here, line)
		}
		return
	}
	example := ""
	for _, r := range s.Resumed {
		if r.Type == "Order" {
			example = r.WorkflowID
		}
	}
	example = cmp.Or(example, s.Resumed[0].WorkflowID)
	order := `{"eventType":"WorkflowExecutionStarted","workflowExecutionStartedEventAttributes":{"workflowType":{"name":"Order"},"taskQueue":{"name":"` + workflows.TaskQueue + `"},"input":[{"customer":"me","items":[{"sku":"teapot","quantity":1}],"cents":2900,"card":"**** 4242"}]}}`
	fmt.Fprintln(a.out, "\nEverything is running. In another terminal, in this folder:")
	if a.namespace != env("ANNALS_NAMESPACE", "default") {
		here += " --namespace " + shellWord(a.namespace)
	}
	for _, line := range []string{
		"%s " + failedRuns,
		"%s history " + example,
		"%s state " + example + " --at 5",
		"%s " + countRuns,
		"%s watch --workflow my-order",
		"echo '" + order + "' | %s append my-order --events -",
		"%s verify",
	} {
		fmt.Fprintf(a.out, "  "+line+"\n", here)
	}
	fmt.Fprintln(a.out, "The workers are there too: they run the order that is appended. Interrupt (Ctrl-C) to end everything.")
}
