package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-io/annals/internal/importer"
)

func importCommand(a *app) *cobra.Command {
	c := importer.Config{}
	var ids string
	var from fromFlags
	cmd := &cobra.Command{
		Use:   "import PATH… | --from HOST:PORT",
		Short: "Import Temporal histories, files or those of a server, into the log",
		Long: `Takes histories in Temporal's JSON (what 'temporal workflow show -o json' and the SDKs' replay tests write: one
{"events": […]}, the same inside {"history": …}, an array of events, or one event a line), or as the protobuf message
temporal.api.history.v1.History (.pb, .binpb, or told by its bytes), into the log. Of a folder, and the folders in
it, all files that end in .json, .jsonl, .ndjson, .pb or .binpb are taken; what is neither a file nor a folder is taken for a
pattern.

The workflow id is the start event's, else the file's name without its extension (--ids file: always that).
To import again changes nothing: what is there is present, what has grown is extended. A history that cannot
go in (the same run is there with other content, another run is open, a newer one is there, it is damaged) is
refused by name with the reason, the others go in, and the exit code is 1. Where the log did not answer in
time the exit code is 3: import again.

Fields that this version of Temporal's API does not know are reported, and dropped from JSON but kept from
protobuf; --strict refuses both.

With --from the histories are those of a running Temporal server: of all runs in --from-namespace, or those
that --query is true of, in Temporal's list filter. They go into --namespace, as from files: to import again
changes nothing, and an open run that has grown is extended. With --follow it keeps up with the server until
it is interrupted: docs/import.md says how. The server is only read.`,
		Example: `  annals import histories/
  annals import --ids file --strict order-1.json order-2.json
  annals import -o jsonl histories/ | jq 'select(.outcome == "refused")'
  annals import --from 127.0.0.1:7233 --follow
  annals import --from my-ns.acct.tmprl.cloud:7233 --from-namespace my-ns.acct --tls --query "WorkflowType = 'Order'"`,
		Args: func(cmd *cobra.Command, paths []string) error {
			if from.address != "" {
				if len(paths) > 0 {
					return usagef("--from takes no files: leave out --from or %s", strings.Join(paths, " "))
				}
				return nil
			}
			return cobra.MinimumNArgs(1)(cmd, paths)
		},
	}
	f := cmd.Flags()
	f.StringVar(&ids, "ids", "event", "where workflow ids come from: event (the start event, else the file's name) or file `SOURCE`")
	f.BoolVar(&c.Strict, "strict", false, "refuse files with fields that this version does not know")
	f.DurationVar(&c.Timeout, "timeout", 5*time.Minute, "how long one file, or one run of a server, may take, however often the log has to be asked again; with --follow: as long as it takes")
	f.IntVar(&c.Workflows, "concurrency", 32, "how many workflows are imported at the same time")
	from.add(f)
	o := outputFlag(cmd, formatTable, formatJSON, formatJSONL)
	_ = cmd.RegisterFlagCompletionFunc("ids", cobra.FixedCompletions([]string{"event", "file"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(cmd *cobra.Command, paths []string) error {
		switch {
		case ids != "event" && ids != "file":
			return usagef("--ids is %q, want event or file", ids)
		case c.Workflows < 1:
			return usagef("--concurrency is %d, want 1 or more", c.Workflows)
		case c.Timeout <= 0:
			return checkTimeout(c.Timeout)
		}
		c.IDsFromFiles = ids == "file"
		c.Namespace = a.namespace
		if err := from.check(cmd.Flags()); err != nil {
			return err
		}
		if from.address != "" {
			return a.importFrom(cmd.Context(), c, from, o)
		}
		log, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		p := a.startProgress("import")
		c.Found = func(files int) { p.expect(2 * files) } // each is read, and then filed
		c.Looked = func() { p.add(1, 0) }
		var results []importer.Result
		var printed error
		c.Report = func(r importer.Result) {
			p.add(1, r.Appended)
			if o.is(formatJSONL) {
				printed = cmp.Or(printed, printLine(a.out, r))
				return
			}
			results = append(results, r)
		}
		began := time.Now()
		summary, err := importer.Run(cmd.Context(), log, paths, c)
		p.finish()
		if err == nil {
			err = printed
		}
		if !o.is(formatJSONL) {
			err = cmp.Or(err, a.printImported(o, "file", results))
		}
		fmt.Fprintln(a.err, summarize(summary, "file", time.Since(began)))
		if err != nil {
			return fmt.Errorf("import: %w", err)
		}
		return verdict(summary, "file")
	}
	return cmd
}

// verdict is how an import ends that went through.
func verdict(s importer.Summary, noun string) error {
	switch {
	case s.Failed > 0:
		return fmt.Errorf("%s not finished in time: import again", plural(int64(s.Failed), noun))
	case s.Refused > 0:
		return nof("%s refused", plural(int64(s.Refused), noun))
	}
	return nil
}

// summarize is the last line of an import, of files or of what the noun says.
func summarize(s importer.Summary, noun string, took time.Duration) string {
	text := fmt.Sprintf("%s: %d imported, %d extended, %d present, %d refused",
		plural(int64(s.Files), noun), s.Imported, s.Extended, s.Present, s.Refused)
	if s.Gone > 0 {
		text += fmt.Sprintf(", %d gone", s.Gone)
	}
	if s.Open > 0 {
		text += fmt.Sprintf("; %d of them open", s.Open)
	}
	text += fmt.Sprintf("; %s in %s (%s)", plural(int64(s.Events), "event"), took.Round(time.Millisecond), rate(int64(s.Events), took))
	if s.Dropped > 0 {
		text += fmt.Sprintf("; fields that this version does not know were dropped from %s", plural(int64(s.Dropped), "file"))
	}
	return text
}

// printImported prints results, of files or of what the noun says, in the order of the
// files and then of the workflows.
func (a *app) printImported(o *output, noun string, results []importer.Result) error {
	slices.SortStableFunc(results, func(x, y importer.Result) int {
		return cmp.Or(strings.Compare(x.File, y.File), strings.Compare(x.Workflow, y.Workflow))
	})
	if o.is(formatJSON) {
		if results == nil {
			results = []importer.Result{}
		}
		return printJSON(a.out, map[string][]importer.Result{noun + "s": results})
	}
	head, files := []string{"workflow", "run", "events", "outcome", "note"}, noun == "file"
	if files {
		head = slices.Insert(head, 0, noun)
	}
	t := newTable(a.out, head...)
	for _, r := range results {
		note := r.Reason
		if len(r.Dropped) > 0 && note == "" {
			note = "dropped " + shortList(r.Dropped)
		}
		if len(r.Kept) > 0 && note == "" {
			note = "kept, though unknown: " + shortList(r.Kept)
		}
		row := []any{r.Workflow, r.Run, r.Events, r.Outcome, note}
		if files {
			row = slices.Insert(row, 0, any(r.File))
		}
		t.row(row...)
	}
	return t.flush()
}

// shortList is the first items of a list, and how many more there are.
func shortList(items []string) string {
	const shown = 2
	if len(items) <= shown {
		return strings.Join(items, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(items[:shown], ", "), len(items)-shown)
}
