package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-io/annals/internal/bench"
)

func benchReadCommand(a *app) *cobra.Command {
	var o bench.ReadOptions
	c := &cobra.Command{
		Use:   "read",
		Short: "Measure reads of histories",
		Long: `Measures reads of histories of 30 and of 10,000 events of 220 bytes, that lie together, and that are spread over a million
events of others, in commits of 1 and 3; a thousand histories at once; and the state of a history of 50,000 events with a
snapshot that was taken at its end. Beside each, in turns, on the same connection, it measures the same bodies being read and
decoded with the client library alone: by an ordered consumer (beside=consumer), by pages of 256 direct gets (beside=pages),
and by a SELECT from Postgres, from tables that keep commits whole (beside=select); a state, beside its last message
(beside=tail), and beside folding all of it (beside=fold).

append/beside-readers=4 is the 99th percentile of what appends take, of four writers with 250 a second each, while four readers
read the 10,000 events again and again, each on a connection of its own; raw is the same without readers. With
append/beside-raw-readers=4 they are ordered consumers of the client library; with append/beside-hashers=4 they ask nothing of
the log, and compute: what is left of the difference then is the processors', and nothing that a read holds.

The figures are medians; the ratio is over 1 where ours is better than raw. The log has 16 streams. The servers are its own,
NATS in this process, Postgres beside it, both with their default settings and with their data in a temporary folder (TMPDIR),
which should be on a real disk.`,
		Example: `  annals bench read --quick
  annals bench read --filter 'events=10000/.*consumer'
  annals bench read --filter append --json`,
		Args: cobra.NoArgs,
	}
	f := c.Flags()
	common := benchFlagsOf(f, "all cases in less than 20 seconds, among 30,720 events of others, the huge history of 5,000")
	f.IntVar(&o.Others, "others", 1_000_000, "`EVENTS` of others among which histories are spread")
	f.IntVar(&o.Long, "long", 10_000, "`EVENTS` of the long histories")
	f.IntVar(&o.Huge, "huge", 50_000, "`EVENTS` of the history whose state is taken")
	f.IntVar(&o.Histories, "histories", 1_000, "how many `HISTORIES` are read at once")
	f.DurationVar(&o.Duration, "duration", 4*time.Second, "how long each case is measured, ours and raw each")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := checkDuration(o.Duration); err != nil {
			return err
		}
		var err error
		if o.Filter, err = common.cases(); err != nil {
			return err
		}
		if common.quick {
			unlessGiven(c.Flags(), map[string]func(){
				"others":   func() { o.Others = bench.LeastOthers },
				"huge":     func() { o.Huge = 5_000 },
				"duration": func() { o.Duration = 100 * time.Millisecond },
			})
		}
		o.Logger = a.servers.Logger
		return a.printBench(common, latencies, func(each func(bench.Result) error) error { return bench.Read(c.Context(), o, each) })
	}
	return c
}
