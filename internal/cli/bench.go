package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/annals-io/annals/internal/bench"
)

func benchCommand(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use:   "bench",
		Short: "Measure the pipeline beside the raw limit of the machine",
	}, benchAppendCommand(a), benchListCommand(a), benchProjectCommand(a), benchReadCommand(a), benchRebuildCommand(a), benchVisibleCommand(a))
}

// quickly is how long a quick benchmark takes at most, with some room to the 20
// seconds that are promised.
const quickly = 15 * time.Second

func benchAppendCommand(a *app) *cobra.Command {
	var o bench.AppendOptions
	c := &cobra.Command{
		Use:   "append",
		Short: "Measure conditional appends",
		Long: `Measures conditional appends: 1, 64 and 256 writers, each with a workflow of its own; commits of 1 and 10
events of 220 bytes; one replica and three; servers that sync every two minutes (fsync=default) and before they
acknowledge (fsync=always). Beside each, in turns on the same connection, it measures raw publishes with the client library
alone: messages with the same headers, of the same size, with the same expectation.

The servers are its own, in this process, with their data in a temporary folder (TMPDIR), which should be on a real disk;
three replicas are three servers in one process. With --nats-url or --nats-context it measures that server instead
(fsync=server), which must hold no log: one is created for it, and deleted in the end. NATS_URL is not looked at.

The rates are medians of 20 rounds (3 with --quick). The ratio is ours by raw: over 1 is better than raw. p50 and p99 are
the milliseconds of one append.`,
		Example: `  annals bench append --quick
  annals bench append --filter 'writers=64/events=1/.*fsync=always'
  annals bench append --json --duration 10s`,
		Args: cobra.NoArgs,
	}
	f := c.Flags()
	common := benchFlagsOf(f, "all cases in less than 20 seconds")
	f.DurationVar(&o.Duration, "duration", 5*time.Second, "how long each case is measured, ours and raw each")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := checkDuration(o.Duration); err != nil {
			return err
		}
		var err error
		if o.Filter, err = common.cases(); err != nil {
			return err
		}
		if common.quick {
			o.Within = quickly
		}
		if flags := c.Flags(); flags.Changed("nats-url") || flags.Changed("nats-context") {
			o.Connect = a.servers.NATS
		}
		return a.printBench(common, latencies, func(each func(bench.Result) error) error { return bench.Append(c.Context(), o, each) })
	}
	return c
}

func benchVisibleCommand(a *app) *cobra.Command {
	var o bench.VisibleOptions
	c := &cobra.Command{
		Use:   "visible",
		Short: "Measure how soon what is appended is in the tables",
		Long: `Measures the time from the acknowledgement of an append to the end of a wait for its position, for every append
at a steady rate: 500 and 5,000 events of 220 bytes a second, in commits of 1 and 5, to 1,024 workflows in turn. NATS (which
syncs every two minutes), the projector and those who wait are in this process, Postgres beside it, with fsync, all on a
temporary folder (TMPDIR), which should be on a real disk. Beside it, in turns, it measures an INSERT of one row with its
COMMIT, until another connection that asks without a pause has seen it.

The figures are medians; the ratio is raw by ours: over 1 is better than raw.`,
		Example: `  annals bench visible --quick
  annals bench visible --filter rate=5000 --json`,
		Args: cobra.NoArgs,
	}
	f := c.Flags()
	common := benchFlagsOf(f, "all cases in less than 20 seconds")
	f.DurationVar(&o.Duration, "duration", 10*time.Second, "how long each case is measured, ours and raw each")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := checkDuration(o.Duration); err != nil {
			return err
		}
		var err error
		if o.Filter, err = common.cases(); err != nil {
			return err
		}
		if common.quick {
			o.Within = quickly
		}
		o.Logger = slog.Default()
		return a.printBench(common, latencies, func(each func(bench.Result) error) error { return bench.Visible(c.Context(), o, each) })
	}
	return c
}

// checkDuration refuses a --duration that leaves no time to measure.
func checkDuration(duration time.Duration) error {
	if duration <= 0 {
		return usagef("--duration is %s, it is more than 0", duration)
	}
	return nil
}

// unlessGiven sets what --quick has in place of defaults, but not of flags that the
// command line has.
func unlessGiven(flags *pflag.FlagSet, settings map[string]func()) {
	for flag, set := range settings {
		if !flags.Changed(flag) {
			set()
		}
	}
}

// benchFlags are those that every benchmark has.
type benchFlags struct {
	quick, json bool
	filter      string
}

func benchFlagsOf(f *pflag.FlagSet, quick string) *benchFlags {
	var b benchFlags
	f.BoolVar(&b.quick, "quick", false, quick)
	f.BoolVar(&b.json, "json", false, "print one JSON object a line and case")
	f.StringVar(&b.filter, "filter", "", "only the cases whose names match the regular `EXPRESSION`")
	return &b
}

// cases is what the names of cases must match; nil: any will do.
func (b *benchFlags) cases() (*regexp.Regexp, error) {
	if b.filter == "" {
		return nil, nil
	}
	filter, err := regexp.Compile(b.filter)
	if err != nil {
		return nil, usagef("--filter: %v", err)
	}
	return filter, nil
}

// benchColumns are what a table shows of a result. Each row is printed when it is
// measured, so the columns have fixed widths.
type benchColumns struct {
	format string
	head   []any
	row    func(bench.Result) []any
	// below are lines that follow a row; nil: none.
	below func(bench.Result) []string
}

// latencies are the columns of benchmarks that take the time of each operation.
var latencies = benchColumns{
	format: "%-52s  %10s  %10s  %9s  %5s  %8s  %8s  %8s  %8s  %7s\n",
	head:   []any{"CASE", "OURS", "RAW", "UNIT", "RATIO", "P50 MS", "RAW P50", "P99 MS", "RAW P99", "N"},
	row: func(r bench.Result) []any {
		figure := "%.0f"
		if r.Unit == "ms" {
			figure = "%.3f"
		}
		ms := func(v float64) string { return fmt.Sprintf("%.3f", v) }
		return []any{
			r.Name, fmt.Sprintf(figure, r.Value), fmt.Sprintf(figure, r.Raw), r.Unit, fmt.Sprintf("%.2f", r.Ratio),
			ms(r.P50), ms(r.RawP50), ms(r.P99), ms(r.RawP99), fmt.Sprint(r.N),
		}
	},
}

// printBench prints what is measured. That no case matches is wrong usage.
func (a *app) printBench(b *benchFlags, columns benchColumns, measure func(each func(bench.Result) error) error) error {
	head := false
	err := measure(func(r bench.Result) error {
		if b.json {
			return printLine(a.out, r)
		}
		if !head {
			fmt.Fprintf(a.out, columns.format, columns.head...)
			head = true
		}
		text := fmt.Sprintf(columns.format, columns.row(r)...)
		if columns.below != nil {
			for _, line := range columns.below(r) {
				text += "    " + line + "\n"
			}
		}
		_, err := io.WriteString(a.out, text)
		return err
	})
	if errors.Is(err, bench.ErrNoCase) {
		return &usageError{err}
	}
	return err
}
