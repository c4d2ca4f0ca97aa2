package cli

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/postgres"
	"github.com/annals-io/annals/pkg/searchattribute"
)

// rebuilding is a line of `projection rebuild -o jsonl`: where it stands.
type rebuilding struct {
	postgres.RebuildProgress
	// SecondsLeft is how long the phase will take if it goes on so; null: not known.
	SecondsLeft *float64 `json:"secondsLeft"`
}

// rebuilt is `projection rebuild -o json`, and the last line of -o jsonl.
type rebuilt struct {
	Phase      postgres.RebuildPhase `json:"phase"` // "done"
	Projection string                `json:"projection"`
	Version    int                   `json:"version"`
	Generation int                   `json:"generation"` // that readers see now
	Replaced   int                   `json:"replaced"`   // 0: there was none
	Dropped    bool                  `json:"dropped"`    // the one that was replaced
	Resumed    bool                  `json:"resumed"`    // an earlier run had begun
	Commits    uint64                `json:"commits"`    // in the tables
	Events     uint64                `json:"events"`     // written by this run
	Attempts   int                   `json:"attempts"`   // to swap
	// Seconds, of this run.
	Seconds          float64 `json:"seconds"`
	FillingSeconds   float64 `json:"fillingSeconds"`
	IndexingSeconds  float64 `json:"indexingSeconds"`
	FollowingSeconds float64 `json:"followingSeconds"`
	// How long the live projectors stood for the swap, and readers at the most.
	StoodSeconds        float64 `json:"stoodSeconds"`
	ReadersStoodSeconds float64 `json:"readersStoodSeconds"`
	// EventsPerSecond is Events by Seconds.
	EventsPerSecond float64 `json:"eventsPerSecond"`
}

func describeRebuilt(r postgres.Rebuilt, took time.Duration) rebuilt {
	v := rebuilt{
		Phase: postgres.RebuildDone, Projection: r.Projection, Version: r.Version, Generation: r.Generation, Replaced: r.Replaced,
		Dropped: r.Dropped, Resumed: r.Resumed, Commits: r.Commits, Events: r.Events, Attempts: r.Attempts,
		Seconds: took.Seconds(), FillingSeconds: r.Filling.Seconds(), IndexingSeconds: r.Indexing.Seconds(), FollowingSeconds: r.Following.Seconds(),
		StoodSeconds: r.Stood.Seconds(), ReadersStoodSeconds: r.ReadersStood.Seconds(),
	}
	if took > 0 {
		v.EventsPerSecond = float64(r.Events) / took.Seconds()
	}
	return v
}

func rebuildCommand(a *app) *cobra.Command {
	var o postgres.RebuildOptions
	var cancel bool
	c := &cobra.Command{
		Use:   "rebuild",
		Short: "Make the tables anew from the log, beside those that are read",
		Long: `Fills a new generation of tables from the start of the log, makes their indexes, follows the log until they are
as far as the live ones, and then shows them to readers, in one transaction: no reader sees a gap, anything
twice, or a step back. A transaction that began before may get SQLSTATE 40001: it is to be run again. Projectors
go on with the new tables by themselves. The old tables are dropped, unless --keep-old.

It is what a new version of the tables asks for: programs of the old version project and read the old ones until
the swap. It is how tables come to keep more or less of events (--events). And it is what brings back tables that were
lost or spoilt, or a log that was restored.

Until the swap nothing that readers see is changed. Interrupted or killed, it goes on where it was when it is run
again, from any machine; --cancel drops what was filled instead. One runs at a time: one that was killed elsewhere counts as
running for 6 s more, and is waited for.

A projection of your own is rebuilt by the service that has its handler (docs/projections.md); --cancel drops what
was filled of one, too.

Exit code 1 where it is refused: another one runs, or it would show readers what they should not see. 3 where it
was interrupted, or canceled by somebody.`,
		Example: `  annals projection rebuild
  annals projection rebuild --events full
  annals projection rebuild --cancel`,
		Args: cobra.NoArgs,
	}
	f := c.Flags()
	f.BoolVar(&cancel, "cancel", false, "drop the tables of a rebuild that is not finished")
	f.BoolVar(&o.KeepOld, "keep-old", false, "leave the old tables, for annals projection drop")
	f.BoolVar(&o.LogChanged, "log-changed", false, "the log was replaced or cut short: show what it has now, though readers saw more")
	f.DurationVar(&o.LockTimeout, "lock-timeout", 500*time.Millisecond, "how long readers may stand behind one attempt to swap")
	events := eventsFlag(f)
	name := projectionFlag(f)
	out := outputFlag(c, formatTable, formatJSON, formatJSONL)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if o.LockTimeout <= 0 {
			return usagef("--lock-timeout is %s, it is more than 0s", o.LockTimeout)
		}
		ctx := c.Context()
		if *name != pgstore.Name && !cancel {
			return a.ownProjection(ctx, *name, "fills its tables", "postgres.Projection.Rebuild")
		}
		mode, err := events()
		if err != nil {
			return err
		}
		pool, err := a.postgres(ctx)
		if err != nil {
			return err
		}
		store, err := pgstore.New(pool, pgstore.Config{Events: mode})
		if err != nil {
			return err
		}
		if err := a.servers.Ping(ctx, store.Projection().Pool()); err != nil {
			return err
		}
		if cancel {
			books, err := postgres.OpenBooks(ctx, store.Projection().Pool(), *name)
			if err != nil {
				return err
			}
			n, err := books.CancelRebuild(ctx, o.LockTimeout)
			if err != nil {
				return err
			}
			slog.Info("the rebuild is canceled, its tables are dropped", slog.Int("generation", n))
			return nil
		}
		log, err := a.log(ctx)
		if err != nil {
			return err
		}
		// Attributes get their types by the values that a rebuild comes to, too.
		o.Projector.Attributes = searchattribute.NewRegistrar(log, "rebuild", slog.Default())
		p := a.startProgress("rebuild")
		o.Progress = func(v postgres.RebuildProgress) {
			note := string(v.Phase)
			if v.Index != "" {
				note += ", made " + v.Index
			}
			line := rebuilding{RebuildProgress: v}
			if v.Left >= 0 && v.Phase != postgres.RebuildIndexing {
				note += ", " + v.Left.Round(time.Second).String() + " left"
				left := v.Left.Seconds()
				line.SecondsLeft = &left
			}
			p.at(int64(v.Commits), int64(max(v.Total, v.Commits)), int64(v.Events))
			p.remark(note)
			if out.is(formatJSONL) {
				_ = printLine(a.out, line)
			}
		}
		began := time.Now()
		r, err := store.Rebuild(ctx, log, o)
		p.finish()
		if err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("interrupted: what was filled is kept: run it again to go on, or with --cancel to drop it: %w", context.Cause(ctx))
			}
			return err
		}
		if r.NotDropped != nil {
			slog.Warn("the old tables could not be dropped: annals projection drop does it later", slog.Int("generation", r.Replaced), slog.Any("error", r.NotDropped))
		}
		return a.printRebuilt(out, describeRebuilt(r, time.Since(began)))
	}
	return c
}

func (a *app) printRebuilt(o *output, v rebuilt) error {
	switch {
	case o.is(formatJSONL):
		return printLine(a.out, v)
	case o.is(formatJSON):
		return printJSON(a.out, v)
	}
	seconds := func(s float64) string {
		return time.Duration(s * float64(time.Second)).Round(time.Millisecond).String()
	}
	t := newTable(a.out)
	t.row("projection", fmt.Sprintf("%s, version %d", v.Projection, v.Version))
	t.row("generation", v.Generation)
	switch {
	case v.Replaced == 0:
	case v.Dropped:
		t.row("replaced", fmt.Sprintf("%d, dropped", v.Replaced))
	default:
		t.row("replaced", fmt.Sprintf("%d, kept", v.Replaced))
	}
	t.row("commits", grouped(int64(v.Commits)))
	t.row("events", fmt.Sprintf("%s, %s", grouped(int64(v.Events)), rate(int64(v.Events), time.Duration(v.Seconds*float64(time.Second)))))
	t.row("took", fmt.Sprintf("%s: filling %s, indexing %s, following %s", seconds(v.Seconds), seconds(v.FillingSeconds), seconds(v.IndexingSeconds), seconds(v.FollowingSeconds)))
	t.row("swap", fmt.Sprintf("%s; projectors stood %s, readers at most %s", plural(int64(v.Attempts), "attempt"), seconds(v.StoodSeconds), seconds(v.ReadersStoodSeconds)))
	return t.flush()
}
