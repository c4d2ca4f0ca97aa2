package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

func healCommand(a *app) *cobra.Command {
	var all bool
	var acknowledge string
	c := &cobra.Command{
		Use:   "heal [WORKFLOW…] [--all] [--acknowledge POSITION]",
		Short: "Make the rows of workflows anew from the log, and end their quarantine",
		Long: `A workflow with a commit that cannot be applied is quarantined: its rows stay as they were before that commit,
and what follows waits, while all others go on. Once the cause is gone, this command reads the workflow from the log,
replaces its rows in every table, and lets the projector go on with it; in the tables that a rebuild is filling, too.
It may run beside projectors, under load, be
repeated, and be used on a workflow with which nothing is wrong: rows that were changed by hand are put right.

Where the cause is not gone it says so, changes nothing, and exits with code 1. What is no commit, at the end of a
workflow, is declared void first (annals log void); a commit that was altered or is gone comes back with a backup only.

What is no workflow's (a message on a subject of no workflow, a gap in a stream) holds up nobody and cannot be healed:
--acknowledge takes it off the list, by the position that annals projection quarantine shows.

A workflow in a projection of your own is healed by the service that has its handler (docs/projections.md); --acknowledge
works with --projection, too.`,
		Example: `  annals projection heal order-7
  annals projection heal --all
  annals projection heal --acknowledge 3:1042`,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	c.Flags().BoolVar(&all, "all", false, "heal all that is quarantined, of every namespace")
	c.Flags().StringVar(&acknowledge, "acknowledge", "", "take off the list what is no workflow's and begins at `POSITION`")
	name := projectionFlag(c.Flags())
	o := outputFlag(c, formatTable, formatJSON)
	c.RunE = func(c *cobra.Command, args []string) error {
		if n := len(args); (n > 0) == all && acknowledge == "" || acknowledge != "" && (all || n > 0) {
			return usagef("wanted: workflows, or --all, or --acknowledge")
		}
		ctx := c.Context()
		if acknowledge != "" {
			return a.acknowledge(ctx, *name, o, acknowledge)
		}
		if *name != pgstore.Name {
			return a.ownProjection(ctx, *name, "makes its rows", "postgres.Target.Heal")
		}
		store, err := a.tables(ctx)
		if err != nil {
			return err
		}
		log, err := a.log(ctx)
		if err != nil {
			return err
		}
		var workflows []events.Workflow
		for _, id := range args {
			workflows = append(workflows, a.workflow(id))
		}
		r := healReport{Healed: []healing{}}
		if all {
			if workflows, r.Unhealable, err = quarantinedWorkflows(ctx, store); err != nil {
				return err
			}
		}
		for _, w := range workflows {
			h, err := heal(ctx, store, log, w)
			if err != nil {
				return err
			}
			r.Healed = append(r.Healed, h)
		}
		return a.printHealed(o, r)
	}
	return c
}

// quarantinedWorkflows are those of the tables that readers see, and of those that a
// rebuild fills; beside them, how many entries of the former are no workflow's.
func quarantinedWorkflows(ctx context.Context, store *pgstore.Store) (list []events.Workflow, others int64, err error) {
	generations, err := postgres.Generations(ctx, store.Projection().Pool())
	if err != nil {
		return nil, 0, err
	}
	for _, g := range generations {
		if g.Projection != pgstore.Name || g.State == "retired" {
			continue
		}
		page, err := store.At(g.Generation).Quarantined(ctx, postgres.QuarantineQuery{})
		if err != nil {
			return nil, 0, err
		}
		for _, q := range page.Entries {
			switch {
			case q.Workflow != (events.Workflow{}) && !slices.Contains(list, q.Workflow):
				list = append(list, q.Workflow)
			case q.Workflow == (events.Workflow{}) && g.State == "live":
				others++
			}
		}
	}
	return list, others, nil
}

// healReport is `projection heal -o json`.
type healReport struct {
	Healed []healing `json:"healed"`
	// Unhealable are entries that are no workflow's, which --all leaves.
	Unhealable int64 `json:"unhealable"`
}

// healing is what became of one workflow.
type healing struct {
	Namespace string `json:"namespace"`
	Workflow  string `json:"workflow"`
	Outcome   string `json:"outcome"` // "healed" or "refused"
	Reason    string `json:"reason"`  // why it was refused
	// Quarantine is how it was quarantined; null: it was not, or still is.
	Quarantine *pgstore.Quarantine `json:"quarantine"`
	Commits    int                 `json:"commits"`  // that its rows were made of
	Position   string              `json:"position"` // up to where the log was read
}

// heal heals one workflow, or says why it cannot be.
func heal(ctx context.Context, store *pgstore.Store, log events.Log, w events.Workflow) (healing, error) {
	x := healing{Namespace: w.Namespace, Workflow: w.ID}
	h, err := store.Heal(ctx, log, w)
	var not *projection.NotHealedError
	if errors.As(err, &not) {
		x.Outcome, x.Reason = "refused", not.Reason()
		return x, nil
	}
	if err != nil {
		return healing{}, err
	}
	x.Outcome, x.Commits, x.Position = "healed", h.Commits, h.Checkpoint.Position().String()
	was := h.Was
	if was == nil && h.Building != nil {
		was = h.Building.Was
	}
	if was != nil {
		x.Quarantine = pgstore.QuarantineOf(*was)
	}
	return x, nil
}

func (a *app) printHealed(o *output, r healReport) error {
	refused := int64(0)
	for _, x := range r.Healed {
		if x.Outcome != "healed" {
			refused++
		}
	}
	var err error
	if o.is(formatJSON) {
		err = printJSON(a.out, r)
	} else {
		err = a.printHealedTable(r)
	}
	if err == nil && refused > 0 {
		return nof("%s not healed", plural(refused, "workflow"))
	}
	return err
}

func (a *app) printHealedTable(r healReport) error {
	if len(r.Healed) == 0 {
		fmt.Fprintln(a.out, "No workflow is quarantined.")
	} else {
		t := newTable(a.out, "workflow", "outcome", "commits", "was quarantined at", "why")
		for _, x := range r.Healed {
			at, why := "", x.Reason
			if q := x.Quarantine; q != nil {
				at, why = q.Position, q.Kind+": "+q.Reason
			}
			t.row(a.shownWorkflow(events.Workflow{Namespace: x.Namespace, ID: x.Workflow}), x.Outcome, x.Commits, at, why)
		}
		if err := t.flush(); err != nil {
			return err
		}
	}
	if r.Unhealable > 0 {
		fmt.Fprintf(a.err, "%s no workflow's: annals projection quarantine lists them, --acknowledge takes them off\n", areWhat(r.Unhealable, "entry", "entries"))
	}
	return nil
}

// areWhat is "1 entry is" or "2 entries are".
func areWhat(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one + " is"
	}
	return fmt.Sprintf("%d %s are", n, many)
}

// shownWorkflow names a workflow, and its namespace where that is not the
// command's.
func (a *app) shownWorkflow(w events.Workflow) string {
	if w.Namespace == a.namespace {
		return w.ID
	}
	return w.Namespace + "/" + w.ID
}

func (a *app) acknowledge(ctx context.Context, name string, o *output, position string) error {
	at, err := events.ParsePosition(position)
	if err != nil {
		return usagef("--acknowledge: %w", err)
	}
	books, err := a.books(ctx, name)
	if err != nil {
		return err
	}
	q, err := books.Acknowledge(ctx, at)
	var none *postgres.NoEntryError
	if errors.As(err, &none) {
		return nof("%w", err)
	}
	if err != nil {
		return err
	}
	if o.is(formatJSON) {
		return printJSON(a.out, quarantineEntryOf(q))
	}
	_, err = fmt.Fprintf(a.out, "Acknowledged: %s\n", q)
	return err
}
