package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
)

// defaultLockTimeout is less than Postgres takes before it looks for a deadlock
// (1 s), so that it is never a reader who is made to fail for one.
const defaultLockTimeout = 500 * time.Millisecond

// RebuildOptions say how tables are made anew. Zero fields mean the default.
type RebuildOptions struct {
	// Projector is how the projector works that fills the tables.
	Projector projection.Config
	// ParallelIndexes is how many indexes are made at a time; 2.
	ParallelIndexes int
	// LockTimeout is the longest that readers stand behind one attempt to swap;
	// 500 ms. An attempt that takes longer is given up, and made again later.
	LockTimeout time.Duration
	// CatchUp is the longest that the live projectors stand while the new tables
	// make up for the last commits; 2 s.
	CatchUp time.Duration
	// Wait is how long another rebuild of the same tables is waited for; 10 s: one
	// that was killed elsewhere counts as running for 6. Negative: not at all.
	Wait time.Duration
	// KeepOld leaves the tables that were live before, to be dropped later.
	KeepOld bool
	// LogChanged says that the live tables were made of a log that was replaced
	// or cut short since, and that readers shall see what the log has now, even
	// if they saw more before. A log that was restored, in a new epoch, does not
	// need it.
	LogChanged bool
	// Progress is told where it stands, by one goroutine at a time: several times a
	// second, but while indexes are made, when they begin and when each is there.
	Progress func(RebuildProgress)
	// Logger gets what happens; slog.Default().
	Logger *slog.Logger
}

func (o RebuildOptions) withDefaults() RebuildOptions {
	if o.ParallelIndexes == 0 {
		o.ParallelIndexes = 2
	}
	if o.LockTimeout == 0 {
		o.LockTimeout = defaultLockTimeout
	}
	if o.Wait == 0 {
		o.Wait = 10 * time.Second
	}
	if o.CatchUp == 0 {
		o.CatchUp = 2 * time.Second
	}
	if o.Progress == nil {
		o.Progress = func(RebuildProgress) {}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Projector.Logger == nil {
		o.Projector.Logger = o.Logger
	}
	return o
}

// RebuildPhase is what a rebuild is doing.
type RebuildPhase string

// The phases of a rebuild, in order.
const (
	RebuildFilling   RebuildPhase = "filling"   // tables without indexes, from the start of the log
	RebuildIndexing  RebuildPhase = "indexing"  // nothing is projected meanwhile
	RebuildFollowing RebuildPhase = "following" // what has come since, until it is as far as the live tables
	RebuildDone      RebuildPhase = "done"      // readers see the new tables
)

// RebuildProgress is where a rebuild stands.
type RebuildProgress struct {
	Projection string       `json:"projection"`
	Generation int          `json:"generation"`
	Phase      RebuildPhase `json:"phase"`
	// Commits of Total are in the new tables; Total rises with the log.
	Commits uint64 `json:"commits"`
	Total   uint64 `json:"total"`
	// Events were written by this run.
	Events uint64 `json:"events"`
	// Rate is events a second in this phase.
	Rate float64 `json:"eventsPerSecond"`
	// Left is how long the phase will take if it goes on so; negative: not known.
	Left time.Duration `json:"-"`
	// Index is the one that was made last; Indexes of IndexesTotal are there.
	Index        string `json:"index,omitempty"`
	Indexes      int    `json:"indexes,omitempty"`
	IndexesTotal int    `json:"indexesTotal,omitempty"`
}

// Rebuilt is what a rebuild did.
type Rebuilt struct {
	Projection string
	Version    int
	Generation int // live now
	Replaced   int // was live before; 0: none was
	Dropped    bool
	// NotDropped is why the old tables are still there although they should not be.
	NotDropped error
	// Resumed says that an earlier run had begun.
	Resumed bool
	// Commits are in the tables; Events were written by this run.
	Commits, Events uint64
	// How long each phase took in this run.
	Filling, Indexing, Following time.Duration
	// Attempts is how often the swap was tried.
	Attempts int
	// Stood is how long the live projectors stood for the swap, ReadersStood how
	// long readers did, at the most.
	Stood, ReadersStood time.Duration
}

// Rebuild makes the projection's tables anew, beside those that readers see: it
// fills a new generation from the start of the log, by a projector on what target
// gives for the projection at that generation, makes the indexes, follows the log until the new
// tables are as far as the live ones in every partition, and then has the views
// show the new ones, in one transaction.
//
// Readers see no gap, nothing twice, and no step back. A transaction whose
// snapshot is older than the swap gets SQLSTATE 40001 from the views. Projectors
// of the live generation, in any process, are fenced by the swap and go on with
// the new one if they are of its version.
//
// It works on connections of its own, as many as the projection's pool may have, and
// four more: projectors on that pool, whose batches stand while the new tables make
// up for the last commits, do not keep it from doing so. The projection that target is given is on
// them, until Rebuild returns.
//
// Whenever it is ended, by whatever, the live tables are as they were, and
// another call, from any machine, goes on where it was. Tables that were filled
// by another version or from a log of another epoch are dropped, and it begins
// again. What cannot be gone on with is dropped at once: tables that cannot
// become as far as the live ones (*StuckError), or whose indexes cannot be made.
//
// Where the rows break what Definition.Indexes says, which the live tables do not
// let in, the tables are filled again with all of it in place: those workflows are
// quarantined, as they are in the live tables.
//
// It fails with ErrRebuilding while another process does it, ErrCanceled when
// somebody else has ended it, ErrNotRebuildable when it would be of no use, and
// events.ErrWrongLog when the log was replaced while it ran.
func (p *Projection) Rebuild(ctx context.Context, source events.Source, target func(at *Projection) projection.Target, o RebuildOptions) (Rebuilt, error) {
	if o.LockTimeout < 0 || o.CatchUp < 0 || o.ParallelIndexes < 0 {
		return Rebuilt{}, &events.InvalidError{Field: "rebuild", Reason: "has a setting that is less than nothing"}
	}
	own, err := ownPool(ctx, p.pool)
	if err != nil {
		return Rebuilt{}, err
	}
	defer own.Close()
	if err := migrate(ctx, own); err != nil {
		return Rebuilt{}, err
	}
	r := &rebuild{Projection: (&Projection{pool: own, definition: p.definition}).At(0), source: source, target: target, o: o.withDefaults()}
	r.done.Projection, r.done.Version = p.definition.Name, p.definition.Version
	defer r.close()
	err = r.hold(ctx, r.run)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return r.done, fmt.Errorf("rebuild %s: %w", p.definition.Name, err)
	}
	return r.done, nil
}

// rebuild is one call of Rebuild.
type rebuild struct {
	*Projection
	source events.Source
	target func(at *Projection) projection.Target
	o      RebuildOptions
	done   Rebuilt

	conn *pgx.Conn // swaps
	live numbered
	at   numbered // the one that is built
	// misfit are the partitions in which the live tables do not fit the log: the
	// new ones must reach its end instead.
	misfit map[events.Partition]bool
}

func (r *rebuild) run(ctx context.Context) error {
	if err := r.begin(ctx); err != nil {
		return err
	}
	err := r.complete(ctx)
	var stuck *StuckError
	if errors.As(err, &stuck) {
		r.discard(ctx)
	}
	if err != nil {
		return err
	}
	r.finish(ctx)
	return nil
}

// complete brings the tables to where they are live.
func (r *rebuild) complete(ctx context.Context) error {
	if !r.at.Indexed {
		if err := r.fill(ctx); err != nil {
			return err
		}
		err := r.makeIndexes(ctx)
		switch {
		case Refuses(err):
			if err := r.fillIndexed(ctx, err); err != nil {
				return err
			}
		case isFinal(err) && !errors.Is(err, ErrCanceled):
			r.discard(ctx)
			return err
		case err != nil:
			return err
		}
	}
	return r.follow(ctx)
}

// fillIndexed fills tables anew that have their indexes from the start, since there
// are rows that break what one of them says: with it in place, as it is in the live
// tables, the commits that such rows are of are quarantined.
func (r *rebuild) fillIndexed(ctx context.Context, refused error) error {
	r.o.Logger.Warn("the rebuild begins again, with all indexes from the start, so that commits that they refuse are quarantined",
		slog.String("projection", r.definition.Name), slog.Int("generation", r.at.Generation), slog.Any("reason", refused))
	if err := r.dropBuilding(ctx, r.at.Generation, r.o.LockTimeout); err != nil {
		return err
	}
	if err := r.make(ctx, true); err != nil {
		return err
	}
	r.done.Generation = r.at.Generation
	return r.fill(ctx)
}

// discard drops what cannot be gone on with.
func (r *rebuild) discard(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	if err := r.dropBuilding(ctx, r.at.Generation, r.o.LockTimeout); err != nil && !errors.Is(err, ErrNoGeneration) {
		r.o.Logger.Warn("what was filled cannot be gone on with, and could not be dropped: the next rebuild does it, or its cancellation (--cancel)",
			slog.String("projection", r.definition.Name), slog.Int("generation", r.at.Generation), slog.Any("error", err))
	}
}

// begin finds the generation to go on with, or makes one.
func (r *rebuild) begin(ctx context.Context) (err error) {
	if r.live, err = r.inState(ctx, r.pool, "live"); err != nil {
		return err
	}
	if r.live.Version > r.definition.Version {
		return &NotRebuildableError{Projection: r.definition.Name, Reason: fmt.Sprintf("they are of version %d, and this program's is %d", r.live.Version, r.definition.Version), Advice: "run the newer program"}
	}
	if err := r.checkOwner(ctx); err != nil {
		return err
	}
	if err := r.checkLive(ctx); err != nil {
		return err
	}
	if r.at, err = r.inState(ctx, r.pool, "building"); err != nil {
		return err
	}
	if r.at.Generation != 0 {
		why, err := r.whyAgain(ctx)
		if err != nil {
			return err
		}
		if why != "" {
			r.o.Logger.Warn("the rebuild begins again", slog.String("projection", r.definition.Name), slog.Int("generation", r.at.Generation), slog.String("reason", why))
			if err := r.dropBuilding(ctx, r.at.Generation, r.o.LockTimeout); err != nil {
				return err
			}
			r.at = numbered{}
		}
	}
	r.done.Resumed = r.at.Generation != 0
	if r.at.Generation == 0 {
		if err := r.make(ctx, false); err != nil {
			return err
		}
	}
	r.done.Generation, r.done.Replaced = r.at.Generation, r.live.Generation
	err = r.tryViews(ctx)
	if err != nil && !r.done.Resumed {
		r.discard(ctx)
	}
	return err
}

// make makes the tables that are to be filled, with their indexes or without.
func (r *rebuild) make(ctx context.Context, indexed bool) error {
	return pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) error {
		generation, err := r.create(ctx, tx, "building")
		if err != nil {
			return fmt.Errorf("make the tables: %w", err)
		}
		if err := r.sameRights(ctx, tx, generation); err != nil {
			return fmt.Errorf("give the tables the rights of the live ones: %w", err)
		}
		if indexed {
			if err := r.index(ctx, tx, generation); err != nil {
				return fmt.Errorf("make the indexes: %w", err)
			}
			if _, err := tx.Exec(ctx, `UPDATE annals.generations SET indexed_at = clock_timestamp() WHERE projection = $1 AND generation = $2`, r.definition.Name, generation); err != nil {
				return err
			}
		}
		r.at = numbered{Generation: generation, Version: r.definition.Version, State: "building", Mode: r.definition.Mode, Indexed: indexed}
		return nil
	})
}

// sameRights lets the roles work on the new tables that may work on the live ones.
func (r *rebuild) sameRights(ctx context.Context, tx pgx.Tx, generation int) error {
	if r.live.Generation == 0 {
		return nil
	}
	from, to := SchemaOf(r.definition.Name, r.live.Generation), SchemaOf(r.definition.Name, generation)
	rows, err := tx.Query(ctx, `
		SELECT format('GRANT %s ON SCHEMA %I TO %s', a.privilege_type, $2::text, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END)
		FROM pg_namespace AS n, aclexplode(n.nspacl) AS a WHERE n.nspname = $1 AND a.grantee <> n.nspowner`, from, to)
	if err != nil {
		return err
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, sql := range list {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	if rows, err = tx.Query(ctx, `SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind = 'r'`, quoted(to)); err != nil {
		return err
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, t := range tables {
		said, err := grantsOf(ctx, tx, quoted(from, t), quoted(to, t))
		if err != nil {
			return err
		}
		if err := repeat(ctx, tx, quoted(to, t), said); err != nil {
			return err
		}
	}
	return nil
}

// checkOwner refuses to make tables that the views, which look at them with their
// owner's rights, could not read.
func (r *rebuild) checkOwner(ctx context.Context) error {
	var owner string
	err := r.pool.QueryRow(ctx, `
		SELECT nspowner::regrole::text FROM pg_namespace
		WHERE nspname = $1 AND nspowner <> (SELECT oid FROM pg_roles WHERE rolname = current_user)`,
		SchemaOf(r.definition.Name, r.live.Generation)).Scan(&owner)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return &NotRebuildableError{Projection: r.definition.Name, Reason: "the live ones belong to the role " + owner, Advice: "connect as that role"}
}

// checkLive holds the live tables' checkpoints against the log. Those that do not
// fit say nothing of how far the new tables must come.
func (r *rebuild) checkLive(ctx context.Context) error {
	r.misfit = map[events.Partition]bool{}
	if r.live.Generation == 0 {
		return nil
	}
	list, err := r.At(r.live.Generation).CheckpointsIn(ctx, r.pool)
	if err != nil {
		return err
	}
	id := r.source.Identity()
	for _, c := range list {
		if int(c.Partition) >= id.Map.Partitions() {
			err = &projection.WrongCheckpointError{Checkpoint: c, Reason: fmt.Sprintf("the log has %d partitions", id.Map.Partitions())}
		} else {
			err = projection.Check(ctx, r.source, c)
		}
		var wrong *projection.WrongCheckpointError
		if err != nil && !errors.As(err, &wrong) {
			return err
		}
		if err == nil {
			continue
		}
		restored := c.LogID == id.LogID && c.LogEpoch < id.Epoch
		if c.Sequence > 0 && !restored && !r.o.LogChanged {
			return &NotRebuildableError{
				Projection: r.definition.Name, Reason: "the live tables have what this log does not: " + err.Error(),
				Advice: "open the right log; or say that the log has changed (--log-changed), and readers will see only what it has now",
			}
		}
		r.misfit[c.Partition] = true
		r.o.Logger.Warn("the live tables do not fit the log: the new ones will have what the log has", slog.String("projection", r.definition.Name), slog.Int("partition", int(c.Partition)), slog.Any("error", err))
	}
	return nil
}

// whyAgain says why what an earlier run has filled cannot be gone on with; empty
// if it can.
func (r *rebuild) whyAgain(ctx context.Context) (string, error) {
	if r.at.Version > r.definition.Version {
		return "", &NotRebuildableError{
			Projection: r.definition.Name, Reason: fmt.Sprintf("they are being rebuilt in version %d, and this program's is %d", r.at.Version, r.definition.Version),
			Advice: "run the newer program, or cancel the rebuild (--cancel)",
		}
	}
	if r.at.Version < r.definition.Version {
		return fmt.Sprintf("it was begun in version %d, this program's is %d", r.at.Version, r.definition.Version), nil
	}
	if r.at.Mode != r.definition.Mode {
		return fmt.Sprintf("it was begun in mode %q, and %q is wanted", r.at.Mode, r.definition.Mode), nil
	}
	list, err := r.At(r.at.Generation).CheckpointsIn(ctx, r.pool)
	if err != nil {
		return "", err
	}
	for _, c := range list {
		err := projection.Check(ctx, r.source, c)
		if errors.Is(err, projection.ErrWrongCheckpoint) {
			return "what was filled does not fit the log any more: " + err.Error(), nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", nil
}

// finish drops what was live before.
func (r *rebuild) finish(ctx context.Context) {
	if r.o.KeepOld || r.live.Generation == 0 {
		return
	}
	// The swap is done: that the caller wants to end changes nothing of it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	err := r.Drop(ctx, r.live.Generation, r.o.LockTimeout)
	if errors.Is(err, ErrNoGeneration) {
		err = nil
	}
	r.done.Dropped, r.done.NotDropped = err == nil, err
}
