package cli

import "github.com/spf13/cobra"

func projectionCommand(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use:   "projection",
		Short: "How the tables stand, what they lack, and how to mend, remake and drop them",
	}, projectionStatusCommand(a), quarantineCommand(a), healCommand(a), rebuildCommand(a), generationsCommand(a), dropCommand(a))
}
