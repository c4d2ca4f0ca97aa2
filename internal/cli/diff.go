package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/replay"
)

func diffCommand(a *app) *cobra.Command {
	var run, from, to, with, withRun string
	c := &cobra.Command{
		Use:   "diff WORKFLOW",
		Short: "Print what changed in a run between two points, or how two runs differ",
		Long: `Folds a run from the log up to two points, and prints what its events between them opened, changed and
closed, and the fields of its state that differ. A point is an event id, inclusive, or a time; --to may come
before --from.

With --with-run, or --with and a workflow, the state of one run at --from (default: its end) is compared with
that of another at --to: a run with the one that it was reset from, say.

-o json has every field by which the JSON of the two states differs; the table leaves out counts, times and
sizes. Exit code 0, whether anything differs or not.`,
		Example: `  annals diff order-1 --from 5 --to 12
  annals diff order-1 --from 2026-01-31T12:00:00Z -o json
  annals diff order-1 --run A --with-run B`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := c.Flags()
	f.StringVar(&run, "run", "", "run `ID` (default: the newest)")
	f.StringVar(&from, "from", "", "event id, inclusive, or RFC 3339 time `N|TIME` (default: the first event; of two runs, the end)")
	f.StringVar(&to, "to", "", "event id, inclusive, or RFC 3339 time `N|TIME` (default: the end)")
	f.StringVar(&with, "with", "", "the other `WORKFLOW` (default: the same)")
	f.StringVar(&withRun, "with-run", "", "the other run's `ID` (default: the same, or the newest of the other workflow)")
	o := outputFlag(c, formatTable, formatJSON)
	c.RunE = func(c *cobra.Command, args []string) error {
		left := replay.Place{Workflow: a.workflow(args[0]), Run: events.RunID(run), At: replay.AtEvent(1)}
		right := left
		if with != "" || withRun != "" {
			left.At = replay.AtEnd()
			right.Run = events.RunID(withRun)
			if with != "" {
				right.Workflow = a.workflow(with)
			}
		}
		var err error
		if from != "" {
			if left.At, err = parsePoint("from", from); err != nil {
				return err
			}
		}
		if right.At, err = parsePoint("to", to); err != nil {
			return err
		}
		log, err := a.open(c.Context())
		if err != nil {
			return err
		}
		d, err := replay.Diff(c.Context(), log, left, right)
		if err != nil {
			return err
		}
		if o.is(formatJSON) {
			return printJSON(a.out, d)
		}
		_, err = fmt.Fprint(a.out, d)
		return err
	}
	return c
}
