package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/heads"
)

// standardStream as a file's name is standard output.
const standardStream = "-"

func logHeadsCommand(a *app) *cobra.Command {
	var write heads.Options
	var out string
	var check []string
	c := &cobra.Command{
		Use:   "heads",
		Short: "Record where the log is, and hold it against such a record",
		Long: `Writes the heads of the log: for each partition its last commit, and digests of everything up to there. Kept
where those who administer the log cannot write, the file is an anchor: with --check (or annals verify --heads)
any change before the heads is found, a consistently rewritten history or a log that was cut short too. Marks
every --window commits say where; with --workflows the file has the last commit of every workflow, so that a
difference names it.

A log that was restored since, and so is of a later epoch, is compared by sequences and contents as any other: if
its backup was older than the heads, it ends before them. The form of the file is in docs/heads.md.

Exit code 1 on any difference; 3 where a file is damaged or another log's.`,
		Example: `  annals log heads --workflows --out heads-2026-11-27.jsonl
  annals log heads --check heads-2026-11-27.jsonl`,
		Args: cobra.NoArgs,
	}
	c.Flags().BoolVar(&write.Workflows, "workflows", false, "write the last commit of every workflow too")
	c.Flags().IntVar(&write.Window, "window", 1000, "commits that a mark covers, at least 1: a difference is placed as exactly")
	c.Flags().StringVar(&out, "out", standardStream, "`FILE` to write, which must not be there yet; - is standard output")
	c.Flags().StringArrayVar(&check, "check", nil, "hold the log against this `FILE`; may be repeated")
	for _, flag := range []string{"workflows", "window", "out"} {
		c.MarkFlagsMutuallyExclusive("check", flag)
	}
	o := outputFlag(c, formatTable, formatJSON)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if write.Window < 1 {
			return usagef("--window is %d, it is at least 1", write.Window)
		}
		if out == "" {
			return usagef("--out is empty: name a FILE, or - for standard output")
		}
		if len(check) == 0 && c.Flags().Changed("output") {
			return usagef("--output is for --check: heads are written in a form of their own")
		}
		files, err := a.openHeads(check)
		if err != nil {
			return err
		}
		log, err := a.open(c.Context())
		if err != nil {
			return err
		}
		if len(files) > 0 {
			return a.checkHeads(c.Context(), o, log, files)
		}
		return a.writeHeads(c.Context(), log, out, write)
	}
	return c
}

// openHeads opens files of heads. They are closed when the program ends.
func (a *app) openHeads(names []string) ([]*heads.File, error) {
	files := make([]*heads.File, 0, len(names))
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		a.onClose(func() { _ = f.Close() })
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		opened, err := heads.Open(name, f, info.Size())
		if err != nil {
			return nil, err
		}
		files = append(files, opened)
	}
	return files, nil
}

// writeHeads writes to the file whole or not at all, and says on standard error
// what it holds.
func (a *app) writeHeads(ctx context.Context, log events.Log, out string, o heads.Options) error {
	p := a.startProgress("heads")
	defer p.finish()
	if err := expectAll(ctx, p, log); err != nil {
		return err
	}
	o.Progress = func(n int) { p.add(n, 0) }
	var s heads.Summary
	write := func(to io.Writer) (err error) {
		s, err = heads.Write(ctx, log, to, o)
		return err
	}
	var err error
	if out == standardStream {
		err = write(a.out)
	} else {
		err = createWhole(out, write)
	}
	if err != nil {
		return err
	}
	what := plural(int64(s.Messages), "commit") + " in " + plural(int64(s.Partitions), "partition")
	if o.Workflows {
		what += " of " + plural(s.Workflows, "workflow")
	}
	fmt.Fprintf(a.err, "heads of log %s, epoch %d: %s; sha256 %s\n", s.LogID, s.Epoch, what, s.Digest)
	return nil
}

// expectAll sets as many steps as the log has messages.
func expectAll(ctx context.Context, p *progress, log events.Log) error {
	total := uint64(0)
	for i := range events.Partition(log.Identity().Map.Partitions()) {
		b, err := log.Bounds(ctx, i)
		if err != nil {
			return err
		}
		total += b.Last + 1 - b.First
	}
	p.expect(int(total))
	return nil
}

// createWhole makes a file that must not be there, under its name only once it
// is written and synced.
func createWhole(name string, write func(io.Writer) error) (err error) {
	taken := fmt.Errorf("%s is there already: a record is kept, not replaced", name)
	if _, err := os.Lstat(name); err == nil {
		return taken
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil { //nolint:gosec // it holds no secret: names and digests
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	// A link, unlike a rename, replaces nothing that came meanwhile; not every
	// file system has them.
	switch err := os.Link(f.Name(), name); {
	case errors.Is(err, fs.ErrExist):
		return taken
	case err != nil:
		return os.Rename(f.Name(), name)
	}
	return nil
}

// headsChecked is `log heads --check -o json`.
type headsChecked struct {
	LogID       string       `json:"logId"`
	Epoch       uint32       `json:"epoch"`
	Files       []headsFile  `json:"files"`
	Commits     int64        `json:"commits"`   // that were read: those up to the furthest heads
	Workflows   int64        `json:"workflows"` // heads of workflows that were compared
	Differences []difference `json:"differences"`
	Unlisted    int64        `json:"unlisted"`
}

// headsFile is one file of heads.
type headsFile struct {
	File   string    `json:"file"`
	Epoch  uint32    `json:"epoch"`
	Time   time.Time `json:"time"`
	Digest string    `json:"digest"`
}

func (a *app) checkHeads(ctx context.Context, o *output, log events.Log, files []*heads.File) error {
	id := log.Identity()
	check, err := heads.NewCheck(id, nil, files...)
	if err != nil {
		return err
	}
	p := a.startProgress("heads")
	defer p.finish()
	if err := expectAll(ctx, p, log); err != nil {
		return err
	}
	if err := check.Run(ctx, log, func(n int) { p.add(n, 0) }); err != nil {
		return err
	}
	report := check.Report()
	v := headsChecked{LogID: id.LogID, Epoch: id.Epoch, Commits: report.Messages, Workflows: report.Workflows, Differences: inHeads(report), Unlisted: report.Unlisted}
	for _, f := range files {
		v.Files = append(v.Files, headsFile{File: f.Name, Epoch: f.Header.Epoch, Time: f.Header.Time, Digest: f.Digest})
	}
	if err := a.printHeads(o, v); err != nil {
		return err
	}
	if n := int64(len(v.Differences)) + v.Unlisted; n > 0 {
		return nof("%s", plural(n, "difference"))
	}
	return nil
}

// inHeads are a comparison's differences as they are printed.
func inHeads(report heads.Report) []difference {
	ds := make([]difference, 0, len(report.Differences))
	for _, d := range report.Differences {
		where := fmt.Sprintf("%s: %s", d.File, d.Detail)
		if d.Position.Sequence > 0 {
			where = fmt.Sprintf("log %s: %s (%s)", d.Position, d.Detail, d.File)
		}
		ds = append(ds, difference{Kind: d.Kind, Namespace: d.Workflow.Namespace, Workflow: d.Workflow.ID, Run: d.Run, Where: where})
	}
	return ds
}

func (a *app) printHeads(o *output, v headsChecked) error {
	if o.is(formatJSON) {
		return printJSON(a.out, v)
	}
	t := newTable(a.out)
	t.row("log", v.LogID)
	t.row("epoch", v.Epoch)
	for _, f := range v.Files {
		what := fmt.Sprintf("%s of %s", f.File, f.Time.Format(time.RFC3339))
		if f.Epoch < v.Epoch {
			what += fmt.Sprintf(", epoch %d: the log was restored since", f.Epoch)
		}
		t.row("heads", what)
	}
	t.row("commits", v.Commits)
	t.row("workflows", v.Workflows)
	t.row("differences", int64(len(v.Differences))+v.Unlisted)
	if v.Unlisted > 0 {
		t.row("not listed", v.Unlisted)
	}
	if err := t.flush(); err != nil {
		return err
	}
	return a.printDifferences(v.Differences)
}
