package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/heads"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/replay"
)

// verified is `verify -o json`.
type verified struct {
	Commits     int64            `json:"commits"`
	Events      int64            `json:"events"`
	Runs        int64            `json:"runs"`
	Rows        map[string]int64 `json:"rows"`
	Differences []difference     `json:"differences"`
	Unlisted    int64            `json:"unlisted"` // differences beyond those
	// Forgotten heartbeats are in the tables only: the log's have aged out.
	Forgotten int64 `json:"forgotten"`
	// Voided messages are no commits, and were declared void.
	Voided int64 `json:"voided"`
}

// difference is one place at which the log or the tables are not as they must be.
type difference struct {
	Kind      string       `json:"kind"`
	Namespace string       `json:"namespace"`
	Workflow  string       `json:"workflow"`
	Run       events.RunID `json:"run"`
	Where     string       `json:"where"`
}

func verifyCommand(a *app) *cobra.Command {
	var workflow string
	var wait time.Duration
	var against []string
	c := &cobra.Command{
		Use:   "verify",
		Short: "Check the log against itself, and the tables against the log",
		Long: `Checks that the log is whole (no gap, every commit the follower of the one before it, every body what its
envelope says), then folds it again and compares every column of every table, and the heartbeats that the log
still has; those that are in the tables only are counted. It waits until the tables have reached the end that
the log had at the start.

What was cut off or replaced as a whole, with right hashes, is found where the tables or heads know better: the
tables' checkpoints and the last commit of each workflow in them, and the files given by --heads, which annals
log heads wrote. docs/adr/0006-verify.md says what is found by which.

Exit code 1 on any difference, and where nothing was compared though the log has events. A verification that
could not be completed is exit code 3.`,
		Example: `  annals verify
  annals verify --workflow order-1 -o json
  annals verify --heads heads-2026-11-27.jsonl`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVarP(&workflow, "workflow", "w", "", "only this workflow `ID`")
	c.Flags().DurationVar(&wait, "wait", 30*time.Second, "how long the tables may take to reach the log's end; lag is then a difference")
	c.Flags().StringArrayVar(&against, "heads", nil, "hold the log against the heads in this `FILE` too; may be repeated")
	o := outputFlag(c, formatTable, formatJSON)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if wait < 0 {
			return usagef("--wait is %s", wait)
		}
		ctx := c.Context()
		files, err := a.openHeads(against)
		if err != nil {
			return err
		}
		log, err := a.log(ctx)
		if err != nil {
			return err
		}
		store, err := a.tables(ctx)
		if err != nil {
			return err
		}
		var one *events.Workflow
		var missing error // the log has nothing of the workflow
		if workflow != "" {
			w := a.workflow(workflow)
			if _, err := log.Tail(ctx, w); errors.Is(err, events.ErrNotFound) {
				missing = err
			} else if err != nil && !errors.Is(err, events.ErrCorrupt) {
				return err
			}
			one = &w
		}
		v, err := a.verify(ctx, log, store, one, wait, files)
		if err != nil {
			return err
		}
		if missing != nil && len(v.Differences) == 0 {
			return missing // nor has anything else
		}
		return a.printVerified(o, v)
	}
	return c
}

// verify checks the log, the tables and the heads, side by side.
func (a *app) verify(ctx context.Context, log events.Log, store *pgstore.Store, one *events.Workflow, wait time.Duration, files []*heads.File) (verified, error) {
	check, err := heads.NewCheck(log.Identity(), one, files...)
	if err != nil {
		return verified{}, err
	}
	p := a.startProgress("verify")
	p.expect(2)
	defer p.finish()
	count := func(n int) { p.add(0, n) }
	inLogOptions := replay.VerifyOptions{Workflow: one, Progress: count}
	if len(files) > 0 {
		inLogOptions.Beside = func(p events.Partition) replay.Observer { return check.Partition(p) }
	}
	var inLog replay.LogReport
	var inTables pgstore.VerifyReport
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		inLog, err = replay.VerifyLog(gctx, log, inLogOptions)
		p.add(1, 0)
		return err
	})
	g.Go(func() (err error) {
		inTables, err = store.Verify(gctx, log, pgstore.VerifyOptions{Workflow: one, Wait: max(wait, time.Nanosecond), Progress: count})
		p.add(1, 0)
		return err
	})
	if err := g.Wait(); err != nil {
		return verified{}, err
	}
	v := verification(inLog, inTables)
	found := check.Report()
	v.Differences = append(v.Differences, inHeads(found)...)
	v.Unlisted += found.Unlisted
	return v, nil
}

// verification puts both reports together.
func verification(inLog replay.LogReport, inTables pgstore.VerifyReport) verified {
	v := verified{Commits: inLog.Commits, Events: inLog.Events, Runs: inLog.Runs, Rows: inTables.Rows, Differences: []difference{}, Unlisted: inLog.Unlisted + inTables.Unlisted, Forgotten: inTables.Forgotten, Voided: inLog.Voided}
	for _, d := range inLog.Differences {
		v.Differences = append(v.Differences, difference{
			Kind: d.Kind, Namespace: d.Workflow.Namespace, Workflow: d.Workflow.ID, Run: d.Run, Where: fmt.Sprintf("log %s: %s", d.Position, d.Detail),
		})
	}
	for _, d := range inTables.Differences {
		v.Differences = append(v.Differences, difference{
			Kind: d.Kind, Namespace: d.Workflow.Namespace, Workflow: d.Workflow.ID, Run: d.Run, Where: d.Where,
		})
	}
	rows := int64(0)
	for _, n := range v.Rows {
		rows += n
	}
	if v.Events > 0 && rows == 0 {
		v.Differences = append(v.Differences, difference{Kind: "nothing compared", Where: "the log has events, and no row of the tables was compared"})
	}
	return v
}

func (a *app) printVerified(o *output, v verified) error {
	var err error
	if o.is(formatJSON) {
		err = printJSON(a.out, v)
	} else {
		err = a.printVerifiedTable(v)
	}
	if err != nil {
		return err
	}
	if n := int64(len(v.Differences)) + v.Unlisted; n > 0 {
		return nof("%s", plural(n, "difference"))
	}
	return nil
}

func (a *app) printVerifiedTable(v verified) error {
	t := newTable(a.out)
	t.row("commits", v.Commits)
	t.row("events", v.Events)
	t.row("runs", v.Runs)
	for _, name := range slices.Sorted(maps.Keys(v.Rows)) {
		t.row("rows of "+name, v.Rows[name])
	}
	if v.Voided > 0 {
		t.row("voided messages", v.Voided)
	}
	if v.Forgotten > 0 {
		t.row("forgotten heartbeats", v.Forgotten)
	}
	t.row("differences", int64(len(v.Differences))+v.Unlisted)
	if v.Unlisted > 0 {
		t.row("not listed", v.Unlisted)
	}
	if err := t.flush(); err != nil {
		return err
	}
	return a.printDifferences(v.Differences)
}

func (a *app) printDifferences(ds []difference) error {
	if len(ds) == 0 {
		return nil
	}
	fmt.Fprintln(a.out)
	d := newTable(a.out, "kind", "workflow", "run", "where")
	for _, x := range ds {
		name := x.Workflow
		if x.Namespace != a.namespace && x.Namespace != "" {
			name = x.Namespace + "/" + name
		}
		d.row(x.Kind, name, x.Run, x.Where)
	}
	return d.flush()
}
