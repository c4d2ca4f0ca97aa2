package cli

import "github.com/spf13/cobra"

func projectionCommand(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use:   "projection",
		Short: "How the tables stand; make them anew, drop old ones",
	}, projectionStatusCommand(a), rebuildCommand(a), generationsCommand(a), dropCommand(a))
}
