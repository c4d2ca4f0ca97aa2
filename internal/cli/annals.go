package cli

import "github.com/spf13/cobra"

// annals is the program for people.
func annals(a *app) *cobra.Command {
	root := group(&cobra.Command{
		Use:   "annals",
		Short: "The durable record of every workflow",
		Long: `Annals keeps the histories of workflows in NATS JetStream, projects them into Postgres tables, and reads
them back.

Servers are found by NATS_URL (or a context of the nats CLI) and DATABASE_URL (or any PG* variable); without
them the commands use the annals dev that runs for this folder. Data goes to standard output, logs and
progress to standard error.

Exit codes: 0 done; 1 the answer is no (a difference, a conflict, not found, some refused); 2 wrong usage;
3 could not do it.`,
		Example: `  annals dev                                  # everything in one process, here
  annals import histories/                    # in another terminal: Temporal histories into the log
  annals list --query "ExecutionStatus = 'Running'"
  annals history order-1 -o temporal
  annals verify`,
	},
		devCommand(a), demoCommand(a), importCommand(a), appendCommand(a), historyCommand(a), stateCommand(a), diffCommand(a),
		listCommand(a), countCommand(a), describeCommand(a), watchCommand(a), replayCommand(a), verifyCommand(a), projectionCommand(a), logCommand(a), searchAttributeCommand(a), benchCommand(a), doctorCommand(a), versionCommand(a),
	)
	a.serverFlags(root.PersistentFlags())
	a.logFlags(root.PersistentFlags(), "info", "text")
	root.PersistentFlags().StringVarP(&a.namespace, "namespace", "n", env("ANNALS_NAMESPACE", "default"), "namespace of the workflows ($ANNALS_NAMESPACE)")
	return root
}
