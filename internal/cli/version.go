package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/annals-io/annals/pkg/events"
)

// build says which program this is.
type build struct {
	Version   string `json:"version"` // of the module, "(devel)" if built from a checkout
	Revision  string `json:"revision"`
	Modified  bool   `json:"modified"` // whether the checkout had changes
	Go        string `json:"go"`
	Platform  string `json:"platform"`
	LogFormat int    `json:"logFormat"` // that it reads and writes
}

func thisBuild() build {
	b := build{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, LogFormat: events.Format}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func versionCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "version",
		Short: "Which program this is",
		Args:  cobra.NoArgs,
	}
	o := outputFlag(c, formatTable, formatJSON)
	c.RunE = func(*cobra.Command, []string) error {
		b := thisBuild()
		if o.is(formatJSON) {
			return printJSON(a.out, b)
		}
		revision := b.Revision
		if b.Modified {
			revision += " and changes"
		}
		t := newTable(a.out)
		t.row("version", b.Version)
		t.row("revision", revision)
		t.row("go", b.Go)
		t.row("platform", b.Platform)
		t.row("log format", fmt.Sprint(b.LogFormat))
		return t.flush()
	}
	return c
}
