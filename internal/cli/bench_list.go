package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-io/annals/internal/bench"
)

func benchListCommand(a *app) *cobra.Command {
	o := bench.ListOptions{}
	var plans bool
	c := &cobra.Command{
		Use:   "list",
		Short: "Measure lists of executions while a projector writes",
		Long: `Measures what a support engineer asks for in a day, the first page of 100 and the hundredth, in tables of executions of five
types, an eighth of them open, while runs are appended and projected at a steady rate. Beside it, in turns, raw: the same
statement on a connection of its own, with the client library alone, its rows left unread.

The figures are medians; the ratio is raw by ours: over 1 is better than raw. p50 and p99 are the milliseconds of one page.
INDEXES are those that its plan uses. The servers are its own, NATS in this process, Postgres beside it, both with their
default settings and with their data in a temporary folder (TMPDIR), which should be on a real disk: a million executions
take some 8 GB for a while.`,
		Example: `  annals bench list --quick
  annals bench list --executions 1000000
  annals bench list --filter 'stuck|charging' --plans`,
		Args: cobra.NoArgs,
	}
	f := c.Flags()
	common := benchFlagsOf(f, "all cases in less than 20 seconds, of 20,000 executions, in pages of 2")
	f.IntVar(&o.Executions, "executions", 1_000_000, "how many `EXECUTIONS` the tables have at first")
	f.IntVar(&o.Rate, "rate", 5_000, "`EVENTS` a second that are appended meanwhile")
	f.DurationVar(&o.Duration, "duration", 4*time.Second, "how long each case is measured, ours and raw each")
	f.BoolVar(&plans, "plans", false, "print each plan, too, as EXPLAIN (COSTS OFF) does; --json always has it")
	c.RunE = func(c *cobra.Command, _ []string) error {
		switch {
		case o.Executions < bench.LeastExecutions:
			return usagef("--executions is %d, it is at least %d", o.Executions, bench.LeastExecutions)
		case o.Rate < 1:
			return usagef("--rate is %d, it is at least 1", o.Rate)
		}
		if err := checkDuration(o.Duration); err != nil {
			return err
		}
		var err error
		if o.Filter, err = common.cases(); err != nil {
			return err
		}
		if common.quick {
			unlessGiven(c.Flags(), map[string]func(){
				"executions": func() { o.Executions = 20_000 },
				"duration":   func() { o.Duration = 300 * time.Millisecond },
			})
		}
		o.Logger = a.servers.Logger
		columns := lists
		if plans {
			columns.below = func(r bench.Result) []string { return r.Plan }
		}
		return a.printBench(common, columns, func(each func(bench.Result) error) error { return bench.List(c.Context(), o, each) })
	}
	return c
}

// lists are the columns of benchmarks of queries.
var lists = benchColumns{
	format: "%-34s  %8s  %8s  %5s  %8s  %8s  %7s  %s\n",
	head:   []any{"CASE", "P50 MS", "RAW P50", "RATIO", "P99 MS", "RAW P99", "N", "INDEXES"},
	row: func(r bench.Result) []any {
		ms := func(v float64) string { return fmt.Sprintf("%.3f", v) }
		return []any{r.Name, ms(r.P50), ms(r.RawP50), fmt.Sprintf("%.2f", r.Ratio), ms(r.P99), ms(r.RawP99), fmt.Sprint(r.N), strings.Join(r.Indexes, ", ")}
	},
}
