package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// queryHelp is what commands with --query say about it.
const queryHelp = `The filter is Temporal's, whole: fields (WorkflowId, WorkflowType, ExecutionStatus, TaskQueue, StartTime, CloseTime,
ExecutionDuration, ...), Temporal's search attributes and those that the namespace has registered, compared by
= != < <= > >=, [NOT] IN, [NOT] BETWEEN, [NOT] STARTS_WITH, IS [NOT] NULL, and joined by AND, OR, NOT and parentheses.
Texts and times (RFC 3339) stand in quotes, numbers and true or false without. And what only Annals can answer:
HasPendingActivity, HasPendingChild, PendingTimerBefore, LastFailure (LIKE '%timeout%'), EventType, EventName,
StartDay and CloseDay. docs/queries.md has all of it.`

func listCommand(a *app) *cobra.Command {
	var q pgstore.ListQuery
	c := &cobra.Command{
		Use:   "list",
		Short: "List executions from the tables",
		Long: `Lists executions from the tables, one a run: the open ones first, then the last closed.

` + queryHelp + `

The tables follow the log by some milliseconds. --wait-for now shows all that was appended before the command;
--wait-for with the position or the vector that an append printed shows that append; several are joined by commas.

Where more follow than --limit, the token of the next page is nextPageToken in -o json, and a line on standard
error otherwise. Pages by token neither repeat nor skip an execution that keeps its place in the order, whatever
begins or closes meanwhile. One that closes meanwhile may come again in an order by what it has when it closes, as
the default is; it does not with --order-by "StartTime DESC".`,
		Example: `  annals list
  annals list --query "WorkflowType = 'Order' AND ExecutionStatus = 'Running'"
  annals list --query "StartTime >= '2026-01-31T00:00:00Z'" --order-by "StartTime ASC" --limit 1000 -o jsonl
  annals list --query "HasPendingActivity = 'Charge' AND LastFailure LIKE '%timeout%'"
  annals list --query "CustomerId = 'c-7' AND CloseTime IS NULL" --order-by "CustomerId, StartTime DESC"
  annals list --wait-for now -o json`,
		Args: cobra.NoArgs,
	}
	f := c.Flags()
	f.StringVarP(&q.Query, "query", "q", "", "`FILTER` of the executions (default: all)")
	f.StringVar(&q.OrderBy, "order-by", "", "`ORDER`: FIELD [ASC|DESC][, ...] (default: open first, then the last closed, then the last started)")
	f.IntVar(&q.Limit, "limit", pgstore.DefaultLimit, fmt.Sprintf("list at most `N` executions, up to %d", pgstore.MaxLimit))
	f.IntVar(&q.Offset, "offset", 0, "pass over `N` executions first")
	f.StringVar(&q.PageToken, "page-token", "", "go on where the page that gave `TOKEN` ended; same query and order")
	r := waitFlags(c)
	o := outputFlag(c, formatTable, formatJSON, formatJSONL)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if q.Limit < 1 {
			return usagef("--limit: is %d, a page has 1 to %d executions", q.Limit, pgstore.MaxLimit)
		}
		q.Namespace = a.namespace
		store, include, err := a.read(c.Context(), r)
		if err != nil {
			return err
		}
		q.Include = include
		page, err := store.List(c.Context(), q)
		if err != nil {
			return queryFault(err)
		}
		a.warnOfLacking(page.Lacking)
		return a.printPage(o, page)
	}
	return c
}

func (a *app) printPage(o *output, page pgstore.ExecutionPage) error {
	if o.is(formatJSON) {
		return printJSON(a.out, page)
	}
	t := newTable(a.out, "workflow", "run", "type", "status", "started", "closed", "events")
	for _, e := range page.Executions {
		if o.is(formatJSONL) {
			if err := printLine(a.out, e); err != nil {
				return err
			}
			continue
		}
		status := e.Status
		if e.Quarantined {
			status += " (quarantined)" // as it was before the first commit that waits
		}
		t.row(e.WorkflowID, e.RunID, e.WorkflowType, status, orZero(e.StartTime), orZero(e.CloseTime), e.HistoryLength)
	}
	if o.is(formatTable) {
		if err := t.flush(); err != nil {
			return err
		}
	}
	if page.NextPageToken != "" {
		fmt.Fprintf(a.err, "More follow: --page-token %s\n", page.NextPageToken)
	}
	return nil
}

// orZero is the zero time where there is none.
func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
