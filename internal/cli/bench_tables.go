package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/annals-io/annals/internal/bench"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

func benchRebuildCommand(a *app) *cobra.Command {
	return benchTablesCommand(a, &cobra.Command{
		Use:   "rebuild",
		Short: "Measure how fast the tables are made anew",
		Long: `Measures how fast all tables are made from a log: filled without indexes that only readers need, and these made afterwards.
The log has histories of 10 events, those of 1,000 workflows interleaved, in 16 streams. Beside it, in turns, raw: the rows
that result, COPY from files into the same tables with the same keys, on two connections at a time, and the same indexes
made afterwards in the same way, with the client library alone. Either figure has all of that in it.

The servers are its own, NATS in this process, Postgres beside it, both with their default settings and with their data in a
temporary folder (TMPDIR), which should be on a real disk: ten million events take some 20 GB for a while.

CPU US is what an event takes of all processes together, in microseconds of one core: where other work shares the machine it
says more than the rates. PEAK MB is the most memory that this process had meanwhile, the NATS server included. B/EXEC and B/EVENT are
what the tables take when ours are made, and their indexes: those with a row an event or a commit by the event, all others by the execution.`,
		Example: `  annals bench rebuild --quick
  annals bench rebuild --events 1000000 --rounds 3
  annals bench rebuild --events 100000 --mode index,full,none
  annals bench rebuild --events 10000000 --json`,
	}, true, []int{1_000_000, 10_000_000}, []int{3}, 50_000)
}

func benchProjectCommand(a *app) *cobra.Command {
	return benchTablesCommand(a, &cobra.Command{
		Use:   "project",
		Short: "Measure how fast a projector catches up",
		Long: `Measures how fast a projector catches up with a log, all tables and indexes there. The log has histories of 10 events, those of
1,000 workflows interleaved, in 16 streams. Beside it, in turns, raw: the rows that result, COPY from files into the same
tables, on two connections at a time, with the client library alone.

The servers are its own, NATS in this process, Postgres beside it, both with their default settings and with their data in a
temporary folder (TMPDIR), which should be on a real disk.

CPU US is what an event takes of all processes together, in microseconds of one core: where other work shares the machine it
says more than the rates. PEAK MB is the most memory that this process had meanwhile, the NATS server included. B/EXEC and B/EVENT are
what the tables take when ours are made, and their indexes: those with a row an event or a commit by the event, all others by the execution.`,
		Example: `  annals bench project --quick
  annals bench project --commit 1 --rounds 5`,
	}, false, []int{300_000}, []int{3, 1}, 20_000)
}

// benchTablesCommand measures each number of events in commits of each size; a
// quick run has one number.
func benchTablesCommand(a *app, c *cobra.Command, rebuild bool, events, commits []int, quickEvents int) *cobra.Command {
	var o bench.TablesOptions
	c.Args = cobra.NoArgs
	f := c.Flags()
	f.IntSliceVar(&events, "events", events, "how many `EVENTS` the log has, one case each")
	f.IntSliceVar(&commits, "commit", commits, "`EVENTS` of a commit, one case each")
	modes := f.StringSlice("mode", []string{string(pgstore.EventsIndex)}, "what the tables keep of events: index, full, none, one case each")
	f.IntVar(&o.Rounds, "rounds", 1, "how often each side is measured; the figures are medians")
	common := benchFlagsOf(f, fmt.Sprintf("all cases in less than 20 seconds, of %d events", quickEvents))
	c.RunE = func(c *cobra.Command, _ []string) error {
		if o.Rounds < 1 {
			return usagef("--rounds is %d, it is at least 1", o.Rounds)
		}
		var err error
		if o.Filter, err = common.cases(); err != nil {
			return err
		}
		if common.quick && !c.Flags().Changed("events") {
			events = []int{quickEvents}
		}
		for _, n := range events {
			for _, size := range commits {
				for _, name := range *modes {
					mode, err := pgstore.ParseEventsMode(name)
					if err != nil || mode == "" {
						return usagef("--mode is %q, it is index, full or none", name)
					}
					o.Cases = append(o.Cases, bench.TablesCase{Rebuild: rebuild, Events: n, Commit: size, Mode: mode})
				}
			}
		}
		o.Logger = a.servers.Logger
		return a.printBench(common, loads, func(each func(bench.Result) error) error { return bench.Tables(c.Context(), o, each) })
	}
	return c
}

// loads are the columns of benchmarks that fill tables.
var loads = benchColumns{
	format: "%-60s  %10s  %10s  %8s  %5s  %7s  %7s  %9s  %9s  %8s  %7s  %11s  %9s\n",
	head:   []any{"CASE", "OURS", "RAW", "UNIT", "RATIO", "CPU US", "RAW CPU", "TOOK MS", "RAW MS", "N", "PEAK MB", "B/EXEC", "B/EVENT"},
	row: func(r bench.Result) []any {
		return []any{
			r.Name, fmt.Sprintf("%.0f", r.Value), fmt.Sprintf("%.0f", r.Raw), r.Unit,
			fmt.Sprintf("%.2f", r.Ratio), fmt.Sprintf("%.1f", r.CPU), fmt.Sprintf("%.1f", r.RawCPU),
			fmt.Sprintf("%.0f", r.P50), fmt.Sprintf("%.0f", r.RawP50), fmt.Sprint(r.N), fmt.Sprint(r.PeakRSS / 1_000_000),
			fmt.Sprintf("%.0f+%.0f", r.Bytes.Execution, r.Bytes.ExecutionIndexes), fmt.Sprintf("%.0f+%.0f", r.Bytes.Event, r.Bytes.EventIndexes),
		}
	},
}
