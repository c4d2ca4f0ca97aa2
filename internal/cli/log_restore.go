package cli

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/backup"
	"github.com/annals-io/annals/pkg/events/natslog"
)

func logRestoreCommand(a *app) *cobra.Command {
	var restore natslog.RestoreOptions
	c := &cobra.Command{
		Use:   "restore DIR",
		Short: "Make a log of a backup, where there is none",
		Long: `Makes the log that a folder is the backup of: the same commits at the same positions, in a new epoch, so that
whatever has a cursor, a position or tables of the log as it was is refused. Rebuild the tables afterwards: drop
the schema annals, then projector migrate and projector run.
Where there is a log already, unless it is empty, nothing is done. The backup's checksums are checked first.

It takes a NATS server on which nothing has a log open: annals dev has its own open for as long as it runs.
Stop all that appends before. Until the last step the streams are no log and nobody reaches them; if it is
killed before, nothing opens them: --resume goes on with it, or delete the streams ANNALS_* and begin anew.

When a commit was stored is another time afterwards; the backup keeps the old one. Heartbeats begin their age
anew; those that the log would have forgotten by now are left out.`,
		Example: `  annals log restore /backups/annals
  annals log restore /backups/annals --replicas 3`,
		Args: cobra.ExactArgs(1),
	}
	c.Flags().IntVar(&restore.Replicas, "replicas", 0, "replicas of each stream, 1 to 5 (default as the log had)")
	c.Flags().BoolVar(&restore.Resume, "resume", false, "go on with a restore from this folder that was not completed")
	o := outputFlag(c, formatTable, formatJSON)
	c.RunE = func(c *cobra.Command, args []string) error {
		if args[0] == "" {
			return errNoFolder
		}
		if c.Flags().Changed("replicas") && restore.Replicas == 0 {
			return usagef("--replicas is at least 1")
		}
		folder, err := backup.Open(args[0])
		if err != nil {
			return err
		}
		nc, err := a.servers.NATS()
		if err != nil {
			return err
		}
		a.onClose(nc.Close)
		// Else the log would be there, and no program could open it.
		if need := natslog.NeedPayload(events.Limits{}); nc.MaxPayload() < need {
			return fmt.Errorf("max_payload of the server is %d, a log needs at least %d bytes: set max_payload: 4MB in its configuration", nc.MaxPayload(), need)
		}
		js, err := jetstream.New(nc)
		if err != nil {
			return err
		}
		p := a.startProgressOf("restore", "commit")
		defer p.finish()
		p.expect(int(folder.Manifest().Messages()))
		restore.Progress = func(n int) { p.add(n, n) }
		began := time.Now()
		r, err := natslog.Restore(c.Context(), js, folder, restore)
		if err != nil {
			return err
		}
		return a.printRestored(o, r, folder.Manifest(), time.Since(began))
	}
	return c
}

// restoredLog is `log restore -o json`.
type restoredLog struct {
	LogID       string    `json:"logId"`
	Epoch       uint32    `json:"epoch"`
	BackupEpoch uint32    `json:"backupEpoch"`
	Taken       time.Time `json:"taken"` // the backup
	Commits     int64     `json:"commits"`
	Heartbeats  int64     `json:"heartbeats"`
	Decisions   int64     `json:"decisions"`
	Forgotten   int64     `json:"forgotten"` // heartbeats of the backup that were too old
}

func (a *app) printRestored(o *output, r natslog.RestoreReport, m *backup.Manifest, took time.Duration) error {
	v := restoredLog{
		LogID: r.Identity.LogID, Epoch: r.Identity.Epoch, BackupEpoch: m.Epoch, Taken: m.Taken, Commits: r.Messages, Heartbeats: r.Heartbeats, Decisions: r.Decisions, Forgotten: r.Forgotten,
	}
	if o.is(formatJSON) {
		return printJSON(a.out, v)
	}
	t := newTable(a.out)
	t.row("log", v.LogID)
	t.row("epoch", fmt.Sprintf("%d, was %d", v.Epoch, v.BackupEpoch))
	t.row("taken", v.Taken)
	t.row("restored", fmt.Sprintf("%s in %s (%s)", plural(v.Commits, "commit"), took.Round(10*time.Millisecond), rateOf(v.Commits, "commit", took)))
	t.row("decisions", v.Decisions)
	t.row("heartbeats", fmt.Sprintf("%d, forgotten %d", v.Heartbeats, v.Forgotten))
	if err := t.flush(); err != nil {
		return err
	}
	fmt.Fprintln(a.out, "\nThe tables are of the log as it was: rebuild them (drop the schema annals, projector migrate, projector run).")
	return nil
}
