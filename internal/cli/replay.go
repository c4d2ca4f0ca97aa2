package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-io/annals/internal/importer"
	"github.com/annals-io/annals/internal/replayer"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/replay"
)

// replaying is what `annals replay` was asked for.
type replaying struct {
	workflowType, query string
	workflow, run       string
	files               []string
	all                 bool
	compare             []string
	check               bool
	require             int
	config              replayer.Config
}

func replayCommand(a *app) *cobra.Command {
	var r replaying
	c := &cobra.Command{
		DisableFlagsInUseLine: true,
		Use:                   "replay (--type TYPE | --query FILTER | --workflow WORKFLOW | --file PATH…) [flags] --check PROGRAM [ARG…]",
		Short:                 "Hold today's code of a workflow against recorded histories",
		Long: `Runs PROGRAM, which has the workflow's code, over recorded histories, task by task, and compares the
commands that it asks for with those recorded: activities, timers, children, markers, signals and cancel requests
to others, answers to updates, search attributes, memo, Nexus operations, and how the run ends. Of each history
where the two part it prints the first event at which they do, both sides, and the events around. Exit code 1 if
there is any, 3 if any history could not be checked: something to put before a deployment. --require N makes sure
that a misspelt type does not pass for one without a difference.

PROGRAM is asked by lines of JSON on its standard input and answers by lines on its standard output, in whatever
language; docs/replay.md has the protocol, and complete examples. Several processes are asked side by side.

Which histories: of the open runs of a type (--type, with --all of the closed ones too), which are listed from the
log, so that tables that lag behind hide none; of what a query lists (--query, from the tables); of one workflow
(--workflow); or those in files, folders and patterns (--file). The histories themselves are always the log's.

Compared is what says which command it is: types, ids and names. --compare task-queues, inputs, times or all asks
for more. --check stands last: what follows PROGRAM is for the program, flags too.`,
		Example: `  annals replay --type Order --check ./order-check
  annals replay --type Shipment --all --check node replay.js
  annals replay --query "WorkflowType = 'Order' AND StartTime > '2026-01-01T00:00:00Z'" --check ./order-check -o jsonl
  annals replay --file testdata/histories --compare inputs --check ./order-check`,
		Args: cobra.ArbitraryArgs,
	}
	f := c.Flags()
	f.SetInterspersed(false)
	f.StringVar(&r.workflowType, "type", "", "the open runs of workflows of `TYPE`")
	f.StringVarP(&r.query, "query", "q", "", "the runs that `FILTER` lists from the tables, as annals list does")
	f.StringVarP(&r.workflow, "workflow", "w", "", "one `WORKFLOW`")
	f.StringVar(&r.run, "run", "", "with --workflow: run `ID` (default: the newest)")
	f.StringArrayVarP(&r.files, "file", "f", nil, "histories in a file, a folder or those that a pattern names `PATH`; may be given several times")
	f.BoolVar(&r.all, "all", false, "with --type: closed runs too")
	f.BoolVar(&r.check, "check", false, "the last flag: behind it stand the program with the code and its arguments, flags too")
	f.StringSliceVar(&r.compare, "compare", nil, "what else must be as it was: task-queues, inputs, times, all `WHAT,…`")
	f.IntVar(&r.config.Check.Around, "around", 5, "print `N` events before and after the one where code and history part")
	f.BoolVar(&r.config.Check.Piecemeal, "piecemeal", false, "the engine, one without workflow tasks, does not record at once what it decides at once")
	f.IntVar(&r.require, "require", 0, "fail with exit code 3 if fewer than `N` runs were checked")
	f.IntVar(&r.config.Processes, "processes", runtime.GOMAXPROCS(0), "run `N` processes side by side")
	f.DurationVar(&r.config.Program.Timeout, "timeout", 30*time.Second, "how long one answer may take")
	o := outputFlag(c, formatTable, formatJSON, formatJSONL)
	_ = c.RegisterFlagCompletionFunc("compare", cobra.FixedCompletions([]string{"task-queues", "inputs", "times", "all"}, cobra.ShellCompDirectiveNoFileComp))
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := r.validate(args); err != nil {
			return err
		}
		return a.replay(c.Context(), &r, o)
	}
	return c
}

// validate checks the flags, and finds the program.
func (r *replaying) validate(args []string) error {
	sources := 0
	for _, given := range []bool{r.workflowType != "" && r.query == "", r.query != "", r.workflow != "", len(r.files) > 0} {
		if given {
			sources++
		}
	}
	switch {
	case sources == 0:
		return usagef("which histories? Give one of --type, --query, --workflow and --file")
	case sources > 1 || r.query != "" && r.workflowType != "":
		return usagef("give one of --type, --query, --workflow and --file: a query names a type by WorkflowType = '…'")
	case r.run != "" && r.workflow == "":
		return usagef("--run belongs to --workflow")
	case r.all && r.workflowType == "":
		return usagef("--all belongs to --type: the others name open and closed runs alike")
	case !r.check || len(args) == 0:
		return usagef("which program has the code? End with --check PROGRAM [ARG…]")
	case r.config.Processes < 1:
		return usagef("--processes is %d, want 1 or more", r.config.Processes)
	case r.config.Check.Around < 1:
		return usagef("--around is %d, want 1 or more", r.config.Check.Around)
	case r.require < 0:
		return usagef("--require is %d, want 0 or more", r.require)
	case r.config.Program.Timeout <= 0:
		return checkTimeout(r.config.Program.Timeout)
	}
	for _, what := range r.compare {
		switch what {
		case "task-queues":
			r.config.Check.Compare |= replay.CompareTaskQueues
		case "inputs":
			r.config.Check.Compare |= replay.CompareInputs
		case "times":
			r.config.Check.Compare |= replay.CompareTimes
		case "all":
			r.config.Check.Compare |= replay.CompareAll
		default:
			return usagef("--compare: %q is none of task-queues, inputs, times and all", what)
		}
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		return usagef("--check: %w", err)
	}
	r.config.Program.Path, r.config.Program.Args = path, args[1:]
	return nil
}

// replay holds the program against what was asked for, and prints what it finds.
func (a *app) replay(ctx context.Context, r *replaying, o *output) error {
	p := a.startProgress("replay")
	finish := sync.OnceFunc(p.finish)
	defer finish()
	histories, n, err := a.histories(ctx, r, p)
	if err != nil {
		return err
	}
	p.expect(n)
	p.remark("")
	var (
		results []replayer.Result
		printed error
	)
	r.config.Report = func(res replayer.Result) {
		read := 0
		if res.Report != nil {
			read = res.Report.Events
		}
		p.add(1, read)
		switch {
		case o.is(formatJSONL):
			printed = errors.Join(printed, printLine(a.out, checkedRun{res}))
		case o.is(formatJSON) || res.Err != nil || !res.Report.Agrees():
			results = append(results, res)
		}
	}
	began := time.Now()
	s, err := replayer.Run(ctx, histories, r.config)
	finish()
	if printed == nil {
		printed = printChecked(a.out, o, results)
	}
	fmt.Fprintln(a.err, summarizeReplay(s, n, time.Since(began)))
	switch {
	case err != nil:
		return fmt.Errorf("replay: %w", err)
	case printed != nil:
		return printed
	case s.Failed > 0:
		return fmt.Errorf("replay: %s could not be checked", plural(int64(s.Failed), "run"))
	case s.Agree+s.Differ < r.require:
		return fmt.Errorf("replay: %s checked, and --require asks for %d", plural(int64(s.Agree+s.Differ), "run"), r.require)
	case s.Differ > 0:
		return nof("the code does not do what was recorded in %s", plural(int64(s.Differ), "run"))
	}
	return nil
}

// histories are those that were asked for, and how many there are.
func (a *app) histories(ctx context.Context, r *replaying, p *progress) (iter.Seq[replayer.History], int, error) {
	if len(r.files) > 0 {
		return a.fileHistories(r.files)
	}
	log, err := a.open(ctx)
	if err != nil {
		return nil, 0, err
	}
	var runs []replayer.History
	add := func(w events.Workflow, run events.RunID) {
		runs = append(runs, replayer.History{Workflow: w, Run: run, Events: log.Read(ctx, w, events.ReadOptions{Run: run})})
	}
	switch {
	case r.workflow != "":
		w, run := a.workflow(r.workflow), events.RunID(r.run)
		tail, err := log.Tail(ctx, w)
		if err != nil {
			return nil, 0, notChecked(w, run, err)
		}
		if run == "" {
			run = tail.Run()
		}
		for _, err := range log.Read(ctx, w, events.ReadOptions{Run: run, Limit: 1}) {
			if err != nil {
				return nil, 0, notChecked(w, run, err)
			}
		}
		add(w, run)
	case r.query != "":
		store, err := a.tables(ctx)
		if err != nil {
			return nil, 0, err
		}
		q := pgstore.ListQuery{Namespace: a.namespace, Query: r.query, OrderBy: "StartTime ASC", Limit: pgstore.MaxLimit}
		for {
			page, err := store.List(ctx, q)
			if err != nil {
				return nil, 0, queryFault(err)
			}
			for _, e := range page.Executions {
				add(a.workflow(e.WorkflowID), events.RunID(e.RunID))
			}
			if q.PageToken = page.NextPageToken; q.PageToken == "" {
				break
			}
		}
	default:
		p.remark("listing runs from the log")
		listed, err := replay.Runs(ctx, log, replay.RunFilter{Namespace: a.namespace, Type: r.workflowType, Closed: r.all})
		if err != nil {
			return nil, 0, err
		}
		for _, run := range listed {
			add(run.Workflow, run.Run)
		}
	}
	return slices.Values(runs), len(runs), nil
}

// notChecked says that a run could not be checked. That there is none is no
// answer to whether code agrees with it.
func notChecked(w events.Workflow, run events.RunID, err error) error {
	which := replay.CheckReport{Workflow: w, Run: run}
	return fmt.Errorf("replay: %s could not be checked: %v", which.Name(), err) //nolint:errorlint // its exit code is not that of the cause
}

// fileHistories are read one by one, as they are asked for.
func (a *app) fileHistories(paths []string) (iter.Seq[replayer.History], int, error) {
	files, err := importer.Find(paths)
	if err != nil {
		return nil, 0, &usageError{err}
	}
	config := importer.Config{Namespace: a.namespace}
	return func(yield func(replayer.History) bool) {
		for _, path := range files {
			h := replayer.History{File: path, Workflow: a.workflow(path)}
			file, err := config.Read(path)
			if err == nil {
				h.Workflow, h.Run = file.Workflow, file.Run
			}
			h.Events = func(yield func(*events.Event, error) bool) {
				if err != nil {
					yield(nil, err)
					return
				}
				for _, e := range file.Events {
					if !yield(e, nil) {
						return
					}
				}
			}
			if !yield(h) {
				return
			}
		}
	}, len(files), nil
}

// checkedRun is a result as JSON: the report, or the run and the error.
type checkedRun struct{ replayer.Result }

func (c checkedRun) MarshalJSON() ([]byte, error) {
	if c.Err == nil {
		return c.Report.MarshalJSON()
	}
	return json.Marshal(struct {
		File       string       `json:"file,omitempty"`
		Namespace  string       `json:"namespace"`
		WorkflowID string       `json:"workflowId"`
		RunID      events.RunID `json:"runId"`
		Error      string       `json:"error"`
	}{c.History.File, c.History.Workflow.Namespace, c.History.Workflow.ID, c.History.Run, c.Err.Error()})
}

// shownWhole is how many runs that do not agree are printed whole, as text: of
// the others the first line says which, and where.
const shownWhole = 20

// printChecked prints results in the order of their workflows; as text, those
// that do not agree.
func printChecked(to io.Writer, o *output, results []replayer.Result) error {
	slices.SortStableFunc(results, func(x, y replayer.Result) int {
		return strings.Compare(x.History.Workflow.String()+" "+string(x.History.Run), y.History.Workflow.String()+" "+string(y.History.Run))
	})
	switch {
	case o.is(formatJSON):
		runs := make([]checkedRun, len(results))
		for i, r := range results {
			runs[i] = checkedRun{r}
		}
		return printJSON(to, struct {
			Runs []checkedRun `json:"runs"`
		}{runs})
	case o.is(formatTable):
		for i, r := range results {
			text := ""
			if i > 0 {
				text = "\n"
			}
			if r.Err != nil {
				which := replay.CheckReport{File: r.History.File, Workflow: r.History.Workflow, Run: r.History.Run}
				text += fmt.Sprintf("%s: could not be checked: %v", which.Name(), r.Err)
			} else {
				text += r.Report.String()
			}
			if i >= shownWhole {
				text, _, _ = strings.Cut(strings.TrimPrefix(text, "\n"), "\n")
			}
			if _, err := fmt.Fprintln(to, text); err != nil {
				return err
			}
		}
	}
	return nil
}

// summarizeReplay is the last line of a replay.
func summarizeReplay(s replayer.Summary, n int, took time.Duration) string {
	if n == 0 {
		return "no runs: nothing was compared"
	}
	text := fmt.Sprintf("%s: %d agree, %d differ", plural(int64(n), "run"), s.Agree, s.Differ)
	if s.Failed > 0 {
		text += fmt.Sprintf(", %d could not be checked", s.Failed)
	}
	if rest := n - s.Agree - s.Differ - s.Failed; rest > 0 {
		text += fmt.Sprintf(", %d not tried", rest)
	}
	return fmt.Sprintf("%s; %s in %s (%s)", text, plural(int64(s.Events), "event"), took.Round(time.Millisecond), rate(int64(s.Events), took))
}
