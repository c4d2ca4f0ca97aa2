package cli

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-io/annals/pkg/projection/postgres"
)

func generationsCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "generations",
		Short: "List the sets of tables that there are",
		Long: `Lists the generations of all projections in the database: which readers see (live), which is being filled
(building), and which can be dropped (retired); with --projection, of one. MODE is how they are kept, of executions what
they keep of events (--events). Rows are as Postgres last counted them.`,
		Example: `  annals projection generations -o json`,
		Args:    cobra.NoArgs,
	}
	var name string
	c.Flags().StringVar(&name, "projection", "", "only those of the projection of this `NAME`")
	o := outputFlag(c, formatTable, formatJSON)
	c.RunE = func(c *cobra.Command, _ []string) error {
		pool, err := a.postgres(c.Context())
		if err != nil {
			return err
		}
		if err := a.servers.Ping(c.Context(), pool); err != nil {
			return err
		}
		list, err := postgres.Generations(c.Context(), pool)
		if err != nil {
			return err
		}
		if name != "" {
			if _, err := postgres.OpenBooks(c.Context(), pool, name); err != nil {
				return err
			}
			list = slices.DeleteFunc(list, func(g postgres.Generation) bool { return g.Projection != name })
		}
		if o.is(formatJSON) {
			return printJSON(a.out, struct {
				Generations []postgres.Generation `json:"generations"`
			}{append([]postgres.Generation{}, list...)})
		}
		t := newTable(a.out, "projection", "generation", "version", "mode", "state", "since", "rows", "bytes", "schema")
		for _, g := range list {
			since := g.CreatedAt
			for _, at := range []*time.Time{g.LiveAt, g.RetiredAt} {
				if at != nil {
					since = *at
				}
			}
			t.row(g.Projection, g.Generation, g.Version, g.Mode, g.State, since, g.Rows, g.Bytes, g.Schema)
		}
		return t.flush()
	}
	return c
}

func dropCommand(a *app) *cobra.Command {
	var retired bool
	var lockTimeout time.Duration
	c := &cobra.Command{
		Use:   "drop [GENERATION]",
		Short: "Drop tables that readers do not see any more",
		Long: `Drops a generation that was replaced by a rebuild, or with --retired all of them; the live one never. Nobody who
reads or writes it is waited for longer than --lock-timeout, a few times over.

Exit code 1 where it is refused or not there, 3 where it was in use all the time.`,
		Example: `  annals projection drop 3
  annals projection drop --retired`,
		Args: cobra.MaximumNArgs(1),
	}
	c.Flags().BoolVar(&retired, "retired", false, "drop all that were replaced")
	name := projectionFlag(c.Flags())
	c.Flags().DurationVar(&lockTimeout, "lock-timeout", 500*time.Millisecond, "how long to wait at a time for those who use it")
	c.RunE = func(c *cobra.Command, args []string) error {
		if retired == (len(args) == 1) {
			return usagef("name a GENERATION, or give --retired")
		}
		if lockTimeout <= 0 {
			return usagef("--lock-timeout is %s, it is more than 0s", lockTimeout)
		}
		var wanted []int
		if len(args) == 1 {
			n, err := strconv.Atoi(args[0])
			if err != nil || n < 1 {
				return usagef("GENERATION is %q, it is a number from 1", args[0])
			}
			wanted = []int{n}
		}
		ctx := c.Context()
		pool, err := a.postgres(ctx)
		if err != nil {
			return err
		}
		if err := a.servers.Ping(ctx, pool); err != nil {
			return err
		}
		books, err := postgres.OpenBooks(ctx, pool, *name)
		if err != nil {
			return err
		}
		if retired {
			list, err := postgres.Generations(ctx, pool)
			if err != nil {
				return err
			}
			for _, g := range list {
				if g.Projection == *name && g.State == "retired" {
					wanted = append(wanted, g.Generation)
				}
			}
		}
		for _, n := range wanted {
			if err := books.Drop(ctx, n, lockTimeout); err != nil {
				return err
			}
			slog.Info("dropped", slog.String("projection", *name), slog.Int("generation", n))
		}
		fmt.Fprintln(a.out, plural(int64(len(wanted)), "generation")+" dropped")
		return nil
	}
	return c
}
