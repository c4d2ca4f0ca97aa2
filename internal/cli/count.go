package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/annals-io/annals/pkg/projection/pgstore"
)

func countCommand(a *app) *cobra.Command {
	var q pgstore.CountQuery
	c := &cobra.Command{
		Use:   "count",
		Short: "Count executions in the tables",
		Long: `Counts executions in the tables, all at one moment; with --group-by each group, the largest first.

` + queryHelp + `

Groups are of fields that have few values: ExecutionStatus, WorkflowType, TaskQueue, StartDay and CloseDay (in UTC),
and search attributes that are keywords, booleans or whole numbers. An execution that has no value is in the group of
the empty one. GROUP BY may as well stand behind the filter.

-o json prints {"count", "groups": [{"values", "count"}]}, -o jsonl a group a line, or without --group-by the
whole on one.`,
		Example: `  annals count
  annals count --query "WorkflowType = 'Order'" --group-by ExecutionStatus
  annals count --group-by WorkflowType,ExecutionStatus -o jsonl
  annals count --query "ExecutionStatus = 'Failed'" --group-by CloseDay,WorkflowType`,
		Args: cobra.NoArgs,
	}
	f := c.Flags()
	f.StringVarP(&q.Query, "query", "q", "", "`FILTER` of the executions (default: all)")
	f.StringSliceVar(&q.GroupBy, "group-by", nil, "count groups of the same `FIELD[,FIELD]`, such as ExecutionStatus, WorkflowType, TaskQueue, StartDay, CloseDay")
	_ = c.RegisterFlagCompletionFunc("group-by", cobra.FixedCompletions([]string{"ExecutionStatus", "WorkflowType", "TaskQueue", "StartDay", "CloseDay"}, cobra.ShellCompDirectiveNoFileComp))
	r := waitFlags(c)
	o := outputFlag(c, formatTable, formatJSON, formatJSONL)
	c.RunE = func(c *cobra.Command, _ []string) error {
		q.Namespace = a.namespace
		store, include, err := a.read(c.Context(), r)
		if err != nil {
			return err
		}
		q.Include = include
		count, err := store.Count(c.Context(), q)
		if err != nil {
			return queryFault(err)
		}
		a.warnOfLacking(count.Lacking)
		return a.printCount(o, count)
	}
	return c
}

func (a *app) printCount(o *output, count pgstore.Count) error {
	grouped := len(count.GroupBy) > 0
	switch {
	case o.is(formatJSON):
		return printJSON(a.out, count)
	case o.is(formatJSONL) && grouped:
		for _, g := range count.Groups {
			if err := printLine(a.out, g); err != nil {
				return err
			}
		}
		return nil
	case o.is(formatJSONL):
		return printLine(a.out, count)
	case !grouped:
		_, err := fmt.Fprintln(a.out, count.Count)
		return err
	}
	t := newTable(a.out, append(append([]string(nil), count.GroupBy...), "count")...)
	for _, g := range count.Groups {
		cells := make([]any, 0, len(g.Values)+1)
		for _, v := range g.Values {
			if v == "" {
				v = "-"
			}
			cells = append(cells, v)
		}
		t.row(append(cells, g.Count)...)
	}
	total := make([]any, len(count.GroupBy)+1)
	total[0], total[len(count.GroupBy)] = "total", count.Count
	for i := 1; i < len(count.GroupBy); i++ {
		total[i] = " "
	}
	t.row(total...)
	return t.flush()
}
