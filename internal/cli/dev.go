package cli

import (
	"github.com/spf13/cobra"

	"github.com/annals-io/annals/internal/dev"
)

func devCommand(a *app) *cobra.Command {
	var o dev.RunOptions
	var data string
	c := &cobra.Command{
		Use:   "dev [flags] [-- COMMAND ARG…]",
		Short: "Run NATS, Postgres and the projector here, in one process",
		Long: `Runs the whole pipeline in one process, with nothing to install: NATS with JetStream (sync_interval always),
Postgres (found on the machine, else fetched once), the projector and ingest. It takes the ports 4222, 5432 and
7070 if they are free and others if not, prints lines that export NATS_URL, DATABASE_URL and ANNALS_URL, and
goes on until it is interrupted. Commands that are started without URLs, in this folder or below it, find it.

ANNALS_URL is where workers in any language append and read by HTTP; $ANNALS_URL/metrics shows what all parts do.

With a COMMAND: runs it with the three URLs set, and PGHOST, PGPORT, PGUSER, PGDATABASE and PGSSLMODE for
psql and its like, hands on interrupts, ends with its exit code, and stops everything, what the command has
started and left behind too.

Data is kept in ./.annals; with --ephemeral nothing is, however the process ends. Tables that an older version has left
are made anew from the log before it is ready.`,
		Example: `  annals dev
  annals dev --data /var/lib/annals
  annals dev --ephemeral -- sh -c 'annals import histories/ && annals verify'
  annals dev -- psql
  annals dev -- sh -c 'curl -H "Content-Type: application/json" -d {} $ANNALS_URL/annals.v1.QueryService/CountExecutions'`,
		Args: func(c *cobra.Command, args []string) error {
			if n := c.ArgsLenAtDash(); len(args) > 0 && n != 0 {
				return usagef("unknown argument %q: the command to run comes after --", args[0])
			}
			return nil
		},
	}
	c.Flags().StringVar(&data, "data", env("ANNALS_DATA", ".annals"), "`FOLDER` that keeps the data ($ANNALS_DATA)")
	c.Flags().StringVar(&o.HTTP, "http", env("ANNALS_HTTP", ""), "`ADDRESS` of ingest (default 127.0.0.1:7070, or another port if that is taken) ($ANNALS_HTTP)")
	c.Flags().BoolVar(&o.Ephemeral, "ephemeral", false, "keep nothing")
	events := eventsFlag(c.Flags())
	c.MarkFlagsMutuallyExclusive("data", "ephemeral")
	c.RunE = func(c *cobra.Command, args []string) error {
		if !o.Ephemeral {
			o.DataDir = data
		}
		var err error
		if o.Events, err = events(); err != nil {
			return err
		}
		o.Command, o.In, o.Out, o.Err = args, a.in, a.out, a.err
		code, err := dev.Run(c.Context(), o)
		if err != nil {
			return err
		}
		if code != 0 {
			return &exitError{code}
		}
		return nil
	}
	return c
}
