package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// finding is something that the doctor looked at.
type finding struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Warning string `json:"warning"` // empty: there is none. It is no problem yet
	Problem string `json:"problem"` // empty: nothing is wrong with it
}

// diagnosis is `doctor -o json`.
type diagnosis struct {
	OK       bool      `json:"ok"`
	Findings []finding `json:"findings"`
}

// examination is a doctor at work.
type examination struct {
	*app
	maxLag time.Duration
	now    func() time.Time // this machine's clock
	found  []finding
}

func doctorCommand(a *app) *cobra.Command {
	x := &examination{app: a, now: time.Now}
	c := &cobra.Command{
		Use:   "doctor",
		Short: "What runs, in which durability mode, and what is wrong with it",
		Long: `Looks at the servers, the log, the tables and how far these are behind, and changes nothing. Exit code 1 if
there is a problem. A warning is none yet, and leaves the exit code as it is.

Whether acknowledged events survive a power cut is the NATS server's sync_interval, which it tells to its
system account and on its monitoring port only; annals dev says it itself. There, each server tells its version
and what storage it has left, too.

What is counted: storage (an account's, a server's, a stream's limit) that is used by 80 % is a warning, by 90 % a
problem; so is a disk of annals dev with less than 5 GiB, 1 GiB left; so are clocks that differ by a second, by a
minute, the time that it takes to ask them left out.`,
		Example: `  annals doctor
  annals doctor --nats-monitor http://127.0.0.1:8222 -o json`,
		Args: cobra.NoArgs,
	}
	a.monitorFlag(c.Flags())
	c.Flags().DurationVar(&x.maxLag, "max-lag", 30*time.Second, "how old a commit may be that is not in the tables")
	o := outputFlag(c, formatTable, formatJSON)
	c.RunE = func(c *cobra.Command, _ []string) error {
		x.run(c.Context())
		if c.Context().Err() != nil {
			return context.Cause(c.Context())
		}
		return x.print(o)
	}
	return c
}

func (x *examination) print(o *output) error {
	problems := 0
	for _, f := range x.found {
		if f.Problem != "" {
			problems++
		}
	}
	var err error
	if o.is(formatJSON) {
		err = printJSON(x.out, diagnosis{OK: problems == 0, Findings: x.found})
	} else {
		t := newTable(x.out)
		for _, f := range x.found {
			mark, said := "ok", ""
			switch {
			case f.Problem != "":
				mark, said = "PROBLEM", f.Problem
			case f.Warning != "":
				mark, said = "warning", f.Warning
			}
			t.row(mark, f.Name, strings.Trim(f.Value+": "+said, ": "))
		}
		err = t.flush()
	}
	if err == nil && problems > 0 {
		return nof("%s found", plural(int64(problems), "problem"))
	}
	return err
}

// note records what was found. An empty problem is none.
func (x *examination) note(name, value, problem string) {
	x.found = append(x.found, finding{Name: name, Value: value, Problem: problem})
}

// weigh records what is a problem, or only a warning, or neither.
func (x *examination) weigh(name, value string, grade severity, what string) {
	f := finding{Name: name, Value: value}
	switch grade {
	case problematic:
		f.Problem = what
	case doubtful:
		f.Warning = what
	}
	x.found = append(x.found, f)
}

// severity is how bad a figure is.
type severity int

const (
	fine severity = iota
	doubtful
	problematic
)

func (x *examination) run(ctx context.Context) {
	x.note("annals", thisBuild().Version, "")
	if running, err := x.servers.Running(); err != nil {
		x.note("annals dev", "", err.Error())
	} else if running != nil {
		x.note("annals dev", fmt.Sprintf("process %d in %s", running.PID, running.Folder), "")
	}
	log := x.nats(ctx)
	x.postgres(ctx, log)
}
