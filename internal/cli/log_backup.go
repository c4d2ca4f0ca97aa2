package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/backup"
	"github.com/annals-io/annals/pkg/replay"
)

func logBackupCommand(a *app) *cobra.Command {
	var check bool
	c := &cobra.Command{
		Use:   "backup DIR",
		Short: "Back up the log into a folder, or check a backup",
		Long: `Copies the log into a folder, or adds to the backup in it what has come since. It may run beside appends: each
stream is held exactly up to where it ended at the start. If it is killed, the folder stays the backup of
before. A folder of another log, or of this one before a restore, is refused.

--check asks no server: it holds the files against their checksums, and the commits in them against each other
as verify does.

Exit code 1 where the folder is refused, and for --check where anything is damaged or differs.`,
		Example: `  annals log backup /backups/annals
  annals log backup --check /backups/annals -o json`,
		Args: cobra.ExactArgs(1),
	}
	c.Flags().BoolVar(&check, "check", false, "check the backup in the folder instead")
	o := outputFlag(c, formatTable, formatJSON)
	c.RunE = func(c *cobra.Command, args []string) error {
		if args[0] == "" {
			return errNoFolder
		}
		if check {
			return a.checkBackup(c, o, args[0])
		}
		log, err := a.log(c.Context())
		if err != nil {
			return err
		}
		p := a.startProgressOf("backup", "commit")
		defer p.finish()
		began := time.Now()
		r, err := log.Backup(c.Context(), args[0], backup.Options{
			Begin: func(n int64) { p.expect(int(n)) }, Progress: func(n int) { p.add(n, n) },
		})
		if err != nil {
			return err
		}
		return a.printBackup(o, r, time.Since(began))
	}
	return c
}

// errNoFolder keeps an empty DIR, say of a variable that is not set, from being the
// current folder.
var errNoFolder = usagef("DIR is empty: name a folder")

// backedUp is `log backup -o json`.
type backedUp struct {
	LogID      string    `json:"logId"`
	Epoch      uint32    `json:"epoch"`
	Taken      time.Time `json:"taken"`
	Full       bool      `json:"full"`    // the folder held nothing before
	Copied     int64     `json:"copied"`  // commits, by this run
	Commits    int64     `json:"commits"` // that the folder has
	Heartbeats int64     `json:"heartbeats"`
	Decisions  int64     `json:"decisions"`
	Bytes      int64     `json:"bytes"` // of messages
	Size       int64     `json:"size"`  // of files
}

func (a *app) printBackup(o *output, r backup.Report, took time.Duration) error {
	m := r.Manifest
	v := backedUp{
		LogID: m.LogID, Epoch: m.Epoch, Taken: m.Taken, Full: r.Full, Copied: r.Messages, Commits: m.Messages(), Heartbeats: r.Heartbeats, Decisions: r.Decisions, Bytes: m.Bytes(), Size: m.Size(),
	}
	if o.is(formatJSON) {
		return printJSON(a.out, v)
	}
	t := newTable(a.out)
	t.row("log", v.LogID)
	t.row("epoch", v.Epoch)
	t.row("commits", v.Commits)
	t.row("heartbeats", v.Heartbeats)
	t.row("decisions", v.Decisions)
	t.row("bytes", fmt.Sprintf("%s, %s in files", grouped(v.Bytes), grouped(v.Size)))
	t.row("copied", fmt.Sprintf("%s in %s (%s)", plural(v.Copied, "commit"), took.Round(10*time.Millisecond), rateOf(v.Copied, "commit", took)))
	return t.flush()
}

// backupChecked is `log backup --check -o json`. Where anything is damaged, nothing is
// counted.
type backupChecked struct {
	LogID       string       `json:"logId"`
	Epoch       uint32       `json:"epoch"`
	Taken       time.Time    `json:"taken"`
	Commits     int64        `json:"commits"`
	Events      int64        `json:"events"`
	Runs        int64        `json:"runs"`
	Heartbeats  int64        `json:"heartbeats"`
	Decisions   int64        `json:"decisions"`
	Damaged     []damage     `json:"damaged"`
	Differences []difference `json:"differences"`
	Unlisted    int64        `json:"unlisted"` // differences beyond those
}

// damage is a file that is not what the manifest says.
type damage struct {
	File   string `json:"file"`
	Reason string `json:"reason"`
}

// onlySource is a log of which nothing is used but what it holds.
type onlySource struct {
	events.Source
	events.Appender
	events.Reader
	events.Voider
	events.Heartbeats
	events.Control
}

func (a *app) checkBackup(c *cobra.Command, o *output, dir string) error {
	v := backupChecked{Damaged: []damage{}, Differences: []difference{}}
	folder, err := backup.Open(dir)
	if err == nil {
		m := folder.Manifest()
		v.LogID, v.Epoch, v.Taken, v.Heartbeats, v.Decisions = m.LogID, m.Epoch, m.Taken, m.Heartbeats.Messages, m.Control.Messages
		err = folder.Check(c.Context())
	}
	// Where files are damaged, what is in them says no more.
	if err == nil {
		p := a.startProgress("check")
		defer p.finish()
		p.expect(1)
		var r replay.LogReport
		r, err = replay.VerifyLog(c.Context(), onlySource{Source: folder}, replay.VerifyOptions{Progress: func(n int) { p.add(0, n) }})
		v.Commits, v.Events, v.Runs, v.Unlisted = r.Commits, r.Events, r.Runs, r.Unlisted
		for _, d := range r.Differences {
			v.Differences = append(v.Differences, difference{
				Kind: d.Kind, Namespace: d.Workflow.Namespace, Workflow: d.Workflow.ID, Run: d.Run, Where: fmt.Sprintf("log %s: %s", d.Position, d.Detail),
			})
		}
	}
	for _, p := range []events.Partition{backup.Heartbeats, backup.Control} {
		if err != nil {
			break
		}
		for _, err = range folder.Follow(c.Context(), p, events.FollowOptions{}) {
			if err != nil {
				break
			}
		}
	}
	var bad *backup.DamagedError
	if errors.As(err, &bad) {
		for _, d := range bad.Damage {
			v.Damaged = append(v.Damaged, damage(d))
		}
	} else if err != nil {
		return err
	}
	return a.printBackupChecked(o, v)
}

func (a *app) printBackupChecked(o *output, v backupChecked) error {
	if o.is(formatJSON) {
		if err := printJSON(a.out, v); err != nil {
			return err
		}
	} else {
		t := newTable(a.out)
		t.row("log", v.LogID)
		t.row("epoch", v.Epoch)
		t.row("taken", v.Taken)
		if len(v.Damaged) == 0 { // else nothing was counted
			t.row("commits", v.Commits)
			t.row("events", v.Events)
			t.row("runs", v.Runs)
			t.row("heartbeats", v.Heartbeats)
			t.row("decisions", v.Decisions)
		}
		t.row("damaged", len(v.Damaged))
		t.row("differences", int64(len(v.Differences))+v.Unlisted)
		if err := t.flush(); err != nil {
			return err
		}
		if len(v.Damaged) > 0 {
			fmt.Fprintln(a.out)
			t := newTable(a.out, "file", "what is wrong")
			for _, d := range v.Damaged {
				t.row(d.File, d.Reason)
			}
			if err := t.flush(); err != nil {
				return err
			}
		}
		if err := a.printDifferences(v.Differences); err != nil {
			return err
		}
	}
	switch n := int64(len(v.Differences)) + v.Unlisted; {
	case len(v.Damaged) > 0:
		return nof("the backup is damaged: %s", plural(int64(len(v.Damaged)), "file"))
	case n > 0:
		return nof("the log has %s, and so has its backup", plural(n, "difference"))
	}
	return nil
}
