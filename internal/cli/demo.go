package cli

import (
	"fmt"
	"os"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/annals-io/annals/internal/demo"
)

func demoCommand(a *app) *cobra.Command {
	var o demo.Options
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show the main job: workers run workflows, one is killed and goes on",
		Long: `Runs the workflows of a shop (orders, subscriptions, imports with children) through the whole pipeline, in
ephemeral servers of its own: worker processes append every event to NATS JetStream, the projector keeps
tables in Postgres. In the middle one worker is killed by SIGKILL. It is started again, reads its histories
from the log, and goes on where each of its workflows was.

At the end every history is checked (is it well-formed, was no activity scheduled twice, does the workflows'
code still ask for what it records), and log and tables are verified as annals verify does. Exit code 1 if
anything is wrong.

With --keep servers and workers stay until they are interrupted, so that the other commands, started in the
same folder, can look at what there is.`,
		Example: `  annals demo
  annals demo --keep
  annals demo --workflows 1000 --workers 4 --seed 7
  annals demo -o json`,
		Args: cobra.NoArgs,
		PreRun: func(c *cobra.Command, _ []string) {
			// What servers and workers have to say is not the show.
			if !c.Flags().Changed("log-level") && os.Getenv("ANNALS_LOG_LEVEL") == "" {
				a.logLevel = "warn"
			}
		},
	}
	c.Flags().IntVar(&o.Workflows, "workflows", 210, fmt.Sprintf("how many, from %d on", demo.MinWorkflows))
	c.Flags().IntVar(&o.Workers, "workers", 3, "worker processes, at least 2")
	c.Flags().Uint64Var(&o.Seed, "seed", 1, "other customers for another `NUMBER`")
	c.Flags().StringVar(&o.HTTP, "http", env("ANNALS_HTTP", ""), "`ADDRESS` of ingest (default with --keep 127.0.0.1:7070 if that is free, else any port) ($ANNALS_HTTP)")
	c.Flags().BoolVar(&o.Keep, "keep", false, "leave servers and workers running until interrupted")
	out := outputFlag(c, formatTable, formatJSON)
	c.AddCommand(demoWorkerCommand(a))
	c.RunE = func(c *cobra.Command, _ []string) error { return a.demo(c, o, out) }
	return c
}

// demoWorkerCommand is what annals demo starts its worker processes with.
func demoWorkerCommand(a *app) *cobra.Command {
	o := demo.WorkOptions{}
	c := &cobra.Command{
		Use: "worker", Short: "Work for a demo that runs", Args: cobra.NoArgs, Hidden: true,
		RunE: func(c *cobra.Command, _ []string) error {
			log, err := a.log(c.Context())
			if err != nil {
				return err
			}
			o.Log, o.In, o.Out = log, a.in, a.out
			return demo.Work(c.Context(), o)
		},
	}
	c.Flags().IntVar(&o.Index, "index", 0, "which one, from 0")
	c.Flags().IntVar(&o.Of, "of", 1, "how many there are")
	return c
}

func (a *app) demo(c *cobra.Command, o demo.Options, out *output) (err error) {
	p := a.startProgress("demo")
	shown := false // the summary is about to be: no more progress
	finish := func() {
		if !shown {
			p.finish()
			shown = true
		}
	}
	defer finish()
	p.expect(max(o.Workflows, 1))
	o.Namespace = a.namespace
	o.Err, o.Env = a.err, []string{"ANNALS_LOG_LEVEL=" + a.logLevel, "ANNALS_LOG_FORMAT=" + a.logFormat}
	o.Phase = func(line string) { p.say(a.err, line) }
	o.Progress = func(done, _ int, events int64) { p.reach(int64(done), events) }

	d, err := demo.Start(c.Context(), o)
	if err != nil {
		return err
	}
	defer func() {
		if stopErr := d.Stop(); err == nil {
			err = stopErr
		}
	}()
	s, err := d.Play(c.Context())
	if err != nil {
		return err
	}
	finish()
	v := verification(s.Log, s.Tables)
	if out.is(formatJSON) {
		err = printJSON(a.out, shownJSON(s, v))
	} else {
		err = a.printDemo(s, v, o.Keep)
	}
	if err != nil {
		return err
	}
	if o.Keep {
		// Scripts that read the JSON have the URLs by discovery.
		if !out.is(formatJSON) {
			fmt.Fprintf(a.out, "\n%s", d.Exports())
		}
		if err := d.Wait(c.Context()); err != nil {
			return err
		}
	}
	if n := len(v.Differences) + len(s.Histories.Faults); n > 0 || !s.OK() {
		return nof("%s", plural(int64(n), "difference"))
	}
	return nil
}

// say writes a line, above the bar if there is one.
func (p *progress) say(to interface{ Write([]byte) (int, error) }, line string) {
	if p.bars != nil {
		to = p.bars
	}
	fmt.Fprintln(to, line)
}

// reach sets how far it is.
func (p *progress) reach(done, events int64) {
	p.add(int(done-p.done.Load()), int(events-p.events.Load()))
}

// startedAs is how a shell starts this program again, by the name that it was
// called by.
func startedAs(name string) string {
	switch {
	case strings.Contains(name, "go-build"):
		return "go run ./cmd/annals"
	case strings.Contains(name, "/"): // it may not be in the PATH
		return shellWord(name)
	}
	return "annals"
}

// shellWord quotes a text where a shell would not take it for one word.
func shellWord(text string) string {
	if strings.IndexFunc(text, func(r rune) bool {
		return !strings.ContainsRune("/._-+,:=@%", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
