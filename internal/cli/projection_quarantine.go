package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

func quarantineCommand(a *app) *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use:   "quarantine",
		Short: "What could not be applied, and waits",
		Long: `Lists the workflows of all namespaces of which a commit could not be applied, with where and why, and how many
commits wait; and what is no workflow's. The oldest position of each partition comes first.`,
		Example: `  annals projection quarantine
  annals projection quarantine -o json`,
		Args: cobra.NoArgs,
	}
	c.Flags().IntVar(&limit, "limit", 100, "list at most `N`")
	name := projectionFlag(c.Flags())
	o := outputFlag(c, formatTable, formatJSON)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if limit < 1 {
			return usagef("--limit: is %d, less than 1", limit)
		}
		books, err := a.books(c.Context(), *name)
		if err != nil {
			return err
		}
		page, err := books.Quarantined(c.Context(), postgres.QuarantineQuery{Limit: limit})
		if err != nil {
			return err
		}
		return a.printQuarantine(o, page)
	}
	return c
}

// quarantineList is `projection quarantine -o json`.
type quarantineList struct {
	Entries []quarantineEntry `json:"entries"`
	Total   int64             `json:"total"` // those that are not listed included
}

// quarantineEntry is a subject that waits. Namespace and workflow are empty where
// it is no workflow's.
type quarantineEntry struct {
	Namespace string `json:"namespace"`
	Workflow  string `json:"workflow"`
	Subject   string `json:"subject"`
	pgstore.Quarantine
	LastPosition string `json:"lastPosition"` // of the last message that waits
}

// quarantineShown is how much of it `projection status -o json` lists.
const quarantineShown = 10

func quarantineListOf(page postgres.QuarantinePage) quarantineList {
	list := quarantineList{Entries: []quarantineEntry{}, Total: page.Total}
	for _, q := range page.Entries {
		list.Entries = append(list.Entries, quarantineEntryOf(q))
	}
	return list
}

func quarantineEntryOf(q projection.Quarantined) quarantineEntry {
	return quarantineEntry{
		Namespace: q.Workflow.Namespace, Workflow: q.Workflow.ID, Subject: q.Subject, Quarantine: *pgstore.QuarantineOf(q),
		LastPosition: events.Position{Partition: q.Partition, Sequence: q.Last}.String(),
	}
}

func (a *app) printQuarantine(o *output, page postgres.QuarantinePage) error {
	if o.is(formatJSON) {
		return printJSON(a.out, quarantineListOf(page))
	}
	if len(page.Entries) == 0 {
		_, err := fmt.Fprintln(a.out, "Nothing is quarantined.")
		return err
	}
	t := newTable(a.out, "workflow", "position", "kind", "waiting", "since", "why")
	for _, q := range page.Entries {
		what := q.Subject
		if q.Workflow != (events.Workflow{}) {
			what = a.shownWorkflow(q.Workflow)
		}
		t.row(what, q.Position(), q.Kind, q.Waiting, q.Since, q.Reason)
	}
	if err := t.flush(); err != nil {
		return err
	}
	if more := page.Total - int64(len(page.Entries)); more > 0 {
		fmt.Fprintf(a.err, "%d more: --limit\n", more)
	}
	return nil
}
