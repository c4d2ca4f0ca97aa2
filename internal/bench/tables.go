package bench

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/bench/bulk"
	"github.com/annals-io/annals/internal/bench/raw"
	"github.com/annals-io/annals/internal/embedpg"
	"github.com/annals-io/annals/internal/scratch"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// TablesCase is one way to make the tables from a log.
type TablesCase struct {
	// Rebuild: tables without indexes are filled, and those are made afterwards.
	// Otherwise a projector catches up with all of them there.
	Rebuild bool
	Events  int // of the log: histories of 10, those of up to 1,000 workflows interleaved
	Commit  int // events of a commit
	// Mode is what the tables keep of events; empty: pgstore.EventsIndex.
	Mode pgstore.EventsMode
}

// String is the case's name.
func (c TablesCase) String() string {
	kind := "project"
	if c.Rebuild {
		kind = "rebuild"
	}
	return fmt.Sprintf("%s/events=%d/commit=%d/workflows=%d/mode=%s", kind, c.Events, c.Commit, c.workflows(), c.mode())
}

// interleaved is how many workflows are open at a time.
const interleaved = 1000

func (c TablesCase) mode() pgstore.EventsMode { return cmp.Or(c.Mode, pgstore.EventsIndex) }

func (c TablesCase) workflows() int { return min(interleaved, c.Events/bulk.Events) }

// TablesOptions say what is measured.
type TablesOptions struct {
	// Cases are measured one after the other; those of one log that follow each
	// other share it.
	Cases []TablesCase
	// Filter keeps the cases whose names it matches; nil: all.
	Filter *regexp.Regexp
	// Rounds is how often each side of a case is measured; 1.
	Rounds int
	// Logger gets the warnings of our own servers, and what is under way.
	Logger *slog.Logger
}

// Tables measures how fast the tables are made from a log on disk, beside COPY of
// the rows that result into the same tables, in turns, and gives each case when it
// is done. Both servers are in this process or its children.
func Tables(ctx context.Context, o TablesOptions, each func(Result) error) error {
	var cases []TablesCase
	for _, c := range o.Cases {
		if c.Events < bulk.Events || c.Commit < 1 {
			return fmt.Errorf("%w: %s: at least %d events, in commits of at least 1", ErrNoCase, c, bulk.Events)
		}
		if o.Filter == nil || o.Filter.MatchString(c.String()) {
			cases = append(cases, c)
		}
	}
	if len(cases) == 0 {
		return fmt.Errorf("%w: %s matches none", ErrNoCase, o.Filter)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Rounds = max(o.Rounds, 1)
	for len(cases) > 0 {
		n := 1
		for n < len(cases) && cases[n].Events == cases[0].Events && cases[n].Commit == cases[0].Commit {
			n++
		}
		if err := onLog(ctx, cases[:n], o, each); err != nil {
			return err
		}
		cases = cases[n:]
	}
	return nil
}

// onLog measures the cases of one log.
func onLog(ctx context.Context, cases []TablesCase, o TablesOptions, each func(Result) error) error {
	c := cases[0]
	write := func(log events.Appender) error {
		o.Logger.LogAttrs(ctx, slog.LevelInfo, "writing the log", slog.Int("events", c.Events), slog.Int("commit", c.Commit))
		return bulk.Write(ctx, log, c.Events/bulk.Events/c.workflows(), c.workflows(), c.Commit)
	}
	return onTables(ctx, o.Logger, write, func(m *making) error {
		for _, c := range cases {
			r, err := m.measure(ctx, c, o.Rounds)
			if err != nil {
				return fmt.Errorf("%s: %w", c, err)
			}
			if err := each(r); err != nil {
				return err
			}
		}
		return nil
	})
}

// onTables runs servers of our own, writes a log, and does something with a
// database that has its tables, empty.
func onTables(ctx context.Context, logger *slog.Logger, write func(events.Appender) error, do func(*making) error) (err error) {
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx) // and not of what it ended
		}
	}()
	s, err := start(ctx, setting{1, FsyncDefault}, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if _, err := natslog.Create(ctx, s.js, natslog.CreateOptions{Streams: int(streams), Replicas: 1}); err != nil {
		return err
	}
	log, err := natslog.Open(ctx, s.js, natslog.Config{Logger: logger})
	if err != nil {
		return err
	}
	if err := write(log); err != nil {
		return err
	}

	folder, err := scratch.New("bench", scratch.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Remove()) }()
	db, err := embedpg.Start(ctx, embedpg.Options{Logger: logger})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Stop()) }()
	m := &making{log: log, url: db.ConnString("postgres"), folder: folder.Path, logger: logger}
	pool, err := postgres.OpenPool(ctx, m.url, postgres.PoolConfig{MaxConns: 40})
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := m.open(ctx, pool); err != nil {
		return err
	}
	return do(m)
}

// making is the tables of a log being made, again and again.
type making struct {
	log        events.Log
	pool       *pgxpool.Pool
	url        string
	folder     string // of what is copied
	definition postgres.Definition
	projection *postgres.Projection
	store      *pgstore.Store
	mode       pgstore.EventsMode
	files      [][]raw.File // what is copied in that mode; nil: not dumped yet
	logger     *slog.Logger
	postmaster int // process id
}

func (m *making) open(ctx context.Context, pool *pgxpool.Pool) (err error) {
	m.pool = pool
	if err := pgstore.Migrate(ctx, pool); err != nil {
		return err
	}
	if m.store, err = pgstore.New(pool, pgstore.Config{}); err != nil {
		return err
	}
	return pool.QueryRow(ctx, `SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)::integer`).Scan(&m.postmaster)
}

// in has the tables be made in a mode from now on.
func (m *making) in(ctx context.Context, mode pgstore.EventsMode) (err error) {
	if m.mode == mode {
		return nil
	}
	m.mode, m.files, m.definition = mode, nil, pgstore.DefinitionOf(mode)
	if m.projection, err = postgres.Open(m.pool, m.definition); err != nil {
		return err
	}
	_, err = m.pool.Exec(ctx, "UPDATE annals.generations SET mode = $1 WHERE projection = $2", mode, pgstore.Name)
	return err
}

// parallel is how many connections make indexes, and how many copy.
const parallel = 2

// made is one time that the tables were made.
type made struct {
	took    time.Duration
	cpu     cpu
	peakRSS int64
}

// timed does something and tells what it took.
func (m *making) timed(do func() error) (made, error) {
	forgetPeakRSS()
	begin, before := time.Now(), cpuOf(m.postmaster)
	err := do()
	return made{took: time.Since(begin), cpu: cpuOf(m.postmaster).since(before), peakRSS: peakRSS()}, err
}

// measure has both sides make the tables, in turns.
func (m *making) measure(ctx context.Context, c TablesCase, rounds int) (Result, error) {
	if err := m.in(ctx, c.mode()); err != nil {
		return Result{}, err
	}
	var ours, theirs side
	var list, rawList []made
	var sizes []size
	for round := range rounds {
		one, err := m.ours(ctx, c)
		if err != nil {
			return Result{}, err
		}
		if sizes, err = m.sizes(ctx); err != nil {
			return Result{}, fmt.Errorf("measure the tables: %w", err)
		}
		if m.files == nil {
			if err := m.dump(ctx); err != nil {
				return Result{}, fmt.Errorf("dump the tables: %w", err)
			}
		}
		other, err := m.raw(ctx, c)
		if err != nil {
			return Result{}, fmt.Errorf("raw: %w", err)
		}
		ours.add(c.Events, one.took)
		theirs.add(c.Events, other.took)
		list, rawList = append(list, one), append(rawList, other)
		m.logger.LogAttrs(ctx, slog.LevelInfo, "measured", slog.Int("round", round+1), slog.Duration("ours", one.took), slog.Duration("raw", other.took),
			slog.Duration("cpu", one.cpu.self), slog.Duration("cpu_postgres", one.cpu.server), slog.Duration("raw_cpu", other.cpu.self), slog.Duration("raw_cpu_postgres", other.cpu.server))
	}
	r := rates(c.String(), "events/s", ours, theirs)
	r.N = c.Events
	for _, one := range list {
		r.PeakRSS = max(r.PeakRSS, one.peakRSS)
	}
	r.Bytes = bytesOf(sizes, c.Events)
	r.CPU, r.RawCPU = cpuOfEvent(list, c.Events), cpuOfEvent(rawList, c.Events)
	return r, nil
}

//go:embed sql/sizes.sql
var sizesSQL string

// size is what a table takes on the disk.
type size struct {
	Table          string
	Bytes, Indexes int64
}

func (m *making) sizes(ctx context.Context) ([]size, error) {
	rows, err := m.pool.Query(ctx, sizesSQL, schema)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[size])
}

// bytesOf divides what the tables take: those that have a row an event or a commit by
// the events, all others by the executions.
func bytesOf(sizes []size, events int) *TableBytes {
	var b TableBytes
	for _, s := range sizes {
		switch s.Table {
		case "run_events", "commits":
			b.Event += float64(s.Bytes) / float64(events)
			b.EventIndexes += float64(s.Indexes) / float64(events)
		default:
			b.Execution += float64(s.Bytes) / float64(events/bulk.Events)
			b.ExecutionIndexes += float64(s.Indexes) / float64(events/bulk.Events)
		}
	}
	return &b
}

// cpuOfEvent is the median, in microseconds an event, of all processes together.
func cpuOfEvent(list []made, events int) float64 {
	var all []float64
	for _, one := range list {
		all = append(all, float64((one.cpu.self+one.cpu.server).Microseconds())/float64(events))
	}
	return median(all)
}

// add counts one round in which n things were done.
func (s *side) add(n int, took time.Duration) {
	s.rates = append(s.rates, float64(n)/took.Seconds())
	s.took = append(s.took, took)
}

// ours makes the tables from the log.
func (m *making) ours(ctx context.Context, c TablesCase) (made, error) {
	if err := m.begin(ctx, !c.Rebuild); err != nil {
		return made{}, err
	}
	if c.Rebuild {
		return m.timed(func() error { return m.rebuild(ctx) })
	}
	return m.timed(func() error { return m.project(ctx) })
}

func (m *making) rebuild(ctx context.Context) error {
	begin, before := time.Now(), cpuOf(m.postmaster)
	p, err := projection.New(m.log, m.store, projection.Config{Logger: m.logger})
	if err != nil {
		return err
	}
	if err := p.CatchUp(ctx); err != nil {
		return err
	}
	filled, used := time.Since(begin), cpuOf(m.postmaster).since(before)
	err = m.projection.BuildIndexes(ctx, 1, parallel, nil)
	m.logger.LogAttrs(ctx, slog.LevelInfo, "rebuilt", slog.Duration("filling", filled), slog.Duration("indexes", time.Since(begin)-filled),
		slog.Duration("filling_cpu", used.self), slog.Duration("filling_cpu_postgres", used.server))
	return err
}

// project runs a projector until all is in the tables.
func (m *making) project(ctx context.Context) error {
	ends := map[events.Partition]uint64{}
	for p := range events.Partition(m.log.Identity().Map.Partitions()) {
		b, err := m.log.Bounds(ctx, p)
		if err != nil {
			return err
		}
		ends[p] = b.Last
	}
	p, err := projection.New(m.log, m.store, projection.Config{Logger: m.logger})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err == nil {
				err = context.Cause(ctx)
			}
			return err
		case <-tick.C:
		}
		for _, s := range p.Status() {
			if s.Checkpoint.Sequence == ends[s.Checkpoint.Partition] {
				delete(ends, s.Checkpoint.Partition)
			}
		}
		if len(ends) == 0 {
			stop()
			return <-done
		}
	}
}

// begin makes the tables anew, empty, as far as they are to be there at first.
func (m *making) begin(ctx context.Context, indexes bool) error {
	if _, err := m.pool.Exec(ctx, "DELETE FROM annals.checkpoints"); err != nil {
		return err
	}
	return m.create(ctx, indexes)
}

// schema is that of the generation that is made.
var schema = postgres.SchemaOf(pgstore.Name, 1)

func (m *making) create(ctx context.Context, indexes bool) error {
	sql := []string{"DROP SCHEMA IF EXISTS " + schema + " CASCADE", "CREATE SCHEMA " + schema, "SET search_path = " + schema, m.definition.Tables}
	if indexes {
		sql = append(sql, m.definition.Indexes...)
	}
	conn, err := m.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	for _, sql := range append(sql, "RESET search_path", "CHECKPOINT") {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// dump writes the rows to files, each table in halves.
func (m *making) dump(ctx context.Context) error {
	rows, err := m.pool.Query(ctx, `SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind = 'r' ORDER BY relname`, schema)
	if err != nil {
		return err
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for half := range parallel {
		var list []raw.File
		for _, table := range tables {
			f := raw.File{Table: table, Path: filepath.Join(m.folder, fmt.Sprintf("%s.%d", table, half))}
			query := fmt.Sprintf("SELECT * FROM %s.%s WHERE slot / %d = %d", schema, table, events.Slots/parallel, half)
			if err := raw.Dump(ctx, m.url, query, f.Path); err != nil {
				return err
			}
			list = append(list, f)
		}
		m.files = append(m.files, list)
	}
	return nil
}

// raw copies the rows into the tables that the case begins with, and makes what it
// makes afterwards.
func (m *making) raw(ctx context.Context, c TablesCase) (made, error) {
	if err := m.create(ctx, !c.Rebuild); err != nil {
		return made{}, err
	}
	indexes := m.definition.Indexes
	if !c.Rebuild {
		indexes = nil
	}
	return m.timed(func() error { return raw.Load(ctx, m.url, schema, m.files, indexes) })
}
