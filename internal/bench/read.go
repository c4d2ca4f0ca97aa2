package bench

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	historypb "go.temporal.io/api/history/v1"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/annals-io/annals/internal/bench/raw"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/replay"
	"github.com/annals-io/annals/pkg/replay/snapshot"
)

// ReadOptions say what is measured.
type ReadOptions struct {
	// Others are the events among which histories are spread; at least LeastOthers.
	Others int
	// Long is the length of the long histories.
	Long int
	// Huge is the length of the history whose state is taken with snapshots.
	Huge int
	// Histories are read at once.
	Histories int
	// Filter keeps the cases whose names it matches; nil: all.
	Filter *regexp.Regexp
	// Duration is how long each case is measured, ours and raw each.
	Duration time.Duration
	// Logger gets the warnings of our own servers, and what is under way.
	Logger *slog.Logger
}

// LeastOthers are as many as 1,024 histories have.
const LeastOthers = otherEvents * readWriters * openAtOnce

// What a read is measured beside.
const (
	besideConsumer = "consumer" // the client library's ordered consumer
	besidePages    = "pages"    // of direct gets
	besideSelect   = "select"   // of the same bodies from Postgres
)

// readCase is one read, or several, beside another way to the same events.
type readCase struct {
	name   string
	beside string
	run    func(*reads, context.Context, readCase) (Result, error)
}

func (c readCase) String() string {
	if c.beside == "" {
		return "read/" + c.name
	}
	return "read/" + c.name + "/beside=" + c.beside
}

func readCases(o ReadOptions) (cases []readCase) {
	for _, among := range []string{"together", "spread"} {
		for _, of := range []string{spreadName(shortHistory, 1), spreadName(o.Long, 1), spreadName(o.Long, 3)} {
			if among == "together" && of == spreadName(o.Long, 3) {
				continue
			}
			for _, beside := range []string{besideConsumer, besidePages, besideSelect} {
				cases = append(cases, readCase{of + "/" + among, beside, func(r *reads, ctx context.Context, c readCase) (Result, error) {
					targets := r.spread
					if among == "together" {
						targets = r.together
					}
					return r.one(ctx, c, targets[of])
				}})
			}
		}
	}
	for _, beside := range []string{besideConsumer, besidePages, besideSelect} {
		cases = append(cases, readCase{fmt.Sprintf("histories=%d/events=%d/commit=%d", o.Histories, otherEvents, otherCommit), beside, (*reads).many})
	}
	return append(cases,
		readCase{fmt.Sprintf("state/events=%d/with=snapshot", o.Huge), "tail", (*reads).state},
		readCase{fmt.Sprintf("state/events=%d/with=snapshot", o.Huge), "fold", (*reads).state},
		readCase{"append/beside-readers=4", "", (*reads).appends},
		readCase{"append/beside-raw-readers=4", "", (*reads).appends},
		readCase{"append/beside-hashers=4", "", (*reads).appends},
	)
}

// Read measures reads of histories beside other ways to the same events, and gives each
// case when it is done.
func Read(ctx context.Context, o ReadOptions, each func(Result) error) (err error) {
	var cases []readCase
	needTables := false
	for _, c := range readCases(o) {
		if o.Filter == nil || o.Filter.MatchString(c.String()) {
			cases = append(cases, c)
			needTables = needTables || c.beside == besideSelect
		}
	}
	switch {
	case len(cases) == 0:
		return fmt.Errorf("%w: %s matches none", ErrNoCase, o.Filter)
	case o.Others < LeastOthers || o.Long <= shortHistory || o.Huge < hugeCommit || o.Histories < 1 || o.Histories > o.Others/otherEvents:
		return fmt.Errorf("%w: %d others, %d and %d events, %d histories: at least %d, %d, %d and 1", ErrNoCase, o.Others, o.Long, o.Huge, o.Histories, LeastOthers, shortHistory+1, hugeCommit)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &reads{ReadOptions: o}
	measure := func() error {
		for _, c := range cases {
			runtime.GC()
			result, err := c.run(r, ctx, c)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", c, err)
			}
			if err := each(result); err != nil {
				return err
			}
		}
		return nil
	}
	write := func(log *natslog.Log) error {
		o.Logger.LogAttrs(ctx, slog.LevelInfo, "writing the log", slog.Int("events", o.Others))
		r.log = log
		return r.write(ctx, o.Others, o.Long, o.Huge)
	}
	if needTables {
		return onTables(ctx, o.Logger, func(log events.Appender) error { return write(log.(*natslog.Log)) }, func(m *making) (err error) {
			if m.store, err = pgstore.New(m.pool, pgstore.Config{Events: pgstore.EventsFull}); err != nil {
				return err
			}
			o.Logger.LogAttrs(ctx, slog.LevelInfo, "filling the tables")
			if err := m.fill(ctx); err != nil {
				return err
			}
			for _, sql := range []string{"VACUUM ANALYZE", "CHECKPOINT"} { // or the server does it while the first cases are measured
				if _, err := m.pool.Exec(ctx, sql); err != nil {
					return err
				}
			}
			r.making = m
			return measure()
		})
	}
	return onServers(ctx, setting{1, FsyncDefault}, AppendOptions{Logger: o.Logger}, func(_ *servers, log *natslog.Log) error {
		if err := write(log); err != nil {
			return err
		}
		return measure()
	})
}

// reads are reads being measured.
type reads struct {
	ReadOptions
	readLog
	making *making // nil: Postgres is not measured
}

const readRounds = 5

// count decodes bodies, and counts their events.
func count(n *int) func([]byte) error {
	return func(body []byte) error {
		var h historypb.History
		if err := proto.Unmarshal(body, &h); err != nil {
			return err
		}
		*n += len(h.Events)
		return nil
	}
}

// selected are the bodies of a workflow's commits, from tables that keep them.
const selected = `SELECT body FROM annals.commits WHERE (slot, sequence) IN
	(SELECT slot, sequence FROM annals.events WHERE slot = $1 AND namespace = $2 AND workflow_id = $3) ORDER BY sequence`

// beside reads a workflow in another way, and gives how many events came.
func (r *reads) beside(ctx context.Context, how string, conn *pgx.Conn, js jetstream.JetStream, w events.Workflow, end events.Position) (n int, err error) {
	stream, nc := natslog.StreamName(end.Partition), r.log.Conn()
	switch how {
	case besideConsumer:
		err = raw.Consume(ctx, js, stream, w.Subject(), end.Sequence, count(&n))
	case besidePages:
		err = raw.Pages(ctx, nc, stream, w.Subject(), count(&n))
	case besideSelect:
		err = raw.SelectBodies(ctx, conn, selected, []any{w.Slot(), w.Namespace, w.ID}, count(&n))
	default:
		err = fmt.Errorf("%w: beside %s", ErrNoCase, how)
	}
	return n, err
}

// whole fails unless as many events came as there are.
func whole(n, want int, err error) error {
	if err == nil && n != want {
		err = fmt.Errorf("%d events came, want %d", n, want)
	}
	return err
}

func (r *reads) read(ctx context.Context, w events.Workflow) (n int, err error) {
	for _, err := range r.log.Read(ctx, w, events.ReadOptions{}) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// one measures the read of one history; a long one as a rate.
func (r *reads) one(ctx context.Context, c readCase, t *target) (Result, error) {
	js, err := jetstream.New(r.log.Conn())
	if err != nil {
		return Result{}, err
	}
	conn, release, err := r.conn(ctx, c.beside)
	if err != nil {
		return Result{}, err
	}
	defer release()
	ours := func(ctx context.Context) error {
		n, err := r.read(ctx, t.workflow)
		return whole(n, t.events, err)
	}
	theirs := func(ctx context.Context) error {
		n, err := r.beside(ctx, c.beside, conn, js, t.workflow, t.at.Position())
		return whole(n, t.events, err)
	}
	o, w, err := turns(ctx, r.Duration, readRounds, []operation{ours}, []operation{theirs})
	if err != nil {
		return Result{}, err
	}
	result := times(c.String(), o.took, w.took)
	if t.events > shortHistory {
		result.perSecond(t.events)
	}
	return result, nil
}

// perSecond makes a rate of a time, of so much an operation.
func (r *Result) perSecond(of int) {
	rate := func(ms float64) float64 { return float64(of) / ms * 1000 }
	r.Value, r.Raw, r.Unit = rate(r.P50), rate(r.RawP50), "events/s"
	r.Ratio = r.Value / r.Raw
}

// conn is a connection to Postgres, nil where none is needed.
func (r *reads) conn(ctx context.Context, beside string) (*pgx.Conn, func(), error) {
	if beside != besideSelect {
		return nil, func() {}, nil
	}
	c, err := r.making.pool.Acquire(ctx)
	if err != nil {
		return nil, nil, err
	}
	return c.Conn(), c.Release, nil
}

// atOnce is how many are read at a time, beside ours too.
const atOnce = 16

// many measures many histories at once.
func (r *reads) many(ctx context.Context, c readCase) (Result, error) {
	js, err := jetstream.New(r.log.Conn())
	if err != nil {
		return Result{}, err
	}
	runs := make([]replay.Run, r.Histories)
	ends := make([]events.Position, r.Histories)
	for i := range runs {
		runs[i].Workflow = other(i * (r.others / r.Histories))
		end, err := r.log.Tail(ctx, runs[i].Workflow)
		if err != nil {
			return Result{}, err
		}
		ends[i] = end.Position()
	}
	want := r.Histories * otherEvents
	ours := func(ctx context.Context) error {
		n := 0
		for h, err := range replay.Histories(ctx, r.log, runs, replay.HistoriesOptions{Concurrency: atOnce}) {
			if err != nil {
				return err
			}
			n += len(h.Events)
		}
		return whole(n, want, nil)
	}
	theirs := func(ctx context.Context) error {
		var next, n atomic.Int64
		g, ctx := errgroup.WithContext(ctx)
		for range atOnce {
			g.Go(func() error {
				conn, release, err := r.conn(ctx, c.beside)
				if err != nil {
					return err
				}
				defer release()
				for i := int(next.Add(1)) - 1; i < len(runs); i = int(next.Add(1)) - 1 {
					got, err := r.beside(ctx, c.beside, conn, js, runs[i].Workflow, ends[i])
					if err != nil {
						return err
					}
					n.Add(int64(got))
				}
				return nil
			})
		}
		err := g.Wait()
		return whole(int(n.Load()), want, err)
	}
	o, w, err := turns(ctx, r.Duration, min(readRounds, 3), []operation{ours}, []operation{theirs})
	if err != nil {
		return Result{}, err
	}
	result := times(c.String(), o.took, w.took)
	result.perSecond(want)
	return result, nil
}

// state measures the state of a long history with a snapshot, taken at its end, beside a read of its last message, and beside folding it.
func (r *reads) state(ctx context.Context, c readCase) (Result, error) {
	cached := &replay.Cached{Log: r.log, Snapshots: snapshot.NewMemory(64 << 20)}
	if _, _, err := cached.Load(ctx, r.huge.workflow); err != nil {
		return Result{}, err
	}
	ours := func(ctx context.Context) error {
		s, _, err := cached.Load(ctx, r.huge.workflow)
		if err != nil {
			return err
		}
		return whole(int(s.LastEventID), r.huge.events, nil)
	}
	theirs := func(ctx context.Context) error {
		if c.beside == "tail" {
			n := 0
			end := r.huge.at.Position()
			err := raw.Last(ctx, r.log.Conn(), natslog.StreamName(end.Partition), r.huge.workflow.Subject(), count(&n))
			return whole(n, hugeCommit, err)
		}
		_, _, err := replay.Load(ctx, r.log, r.huge.workflow)
		return err
	}
	o, w, err := turns(ctx, r.Duration, min(readRounds, 3), []operation{ours}, []operation{theirs})
	if err != nil {
		return Result{}, err
	}
	return times(c.String(), o.took, w.took), nil
}

const (
	// readersBeside read, each on a connection of its own, while appends are measured.
	readersBeside = 4
	// appendsBeside are the writers whose appends are measured, each at its own pace.
	appendsBeside = 4
	appendPause   = 4 * time.Millisecond
)

// appends measures what an append takes at the 99th of 100 while long histories are
// read, or while as many compute and ask nothing of the log, beside the same alone.
func (r *reads) appends(ctx context.Context, c readCase) (Result, error) {
	t := r.spread[spreadName(r.Long, 1)]
	byRaw, hash := strings.Contains(c.name, "raw"), strings.Contains(c.name, "hashers")
	var readers []operation
	for range readersBeside {
		nc, err := nats.Connect(r.log.Conn().ConnectedUrl())
		if err != nil {
			return Result{}, err
		}
		defer nc.Close()
		js, err := jetstream.New(nc)
		if err != nil {
			return Result{}, err
		}
		log, err := natslog.Open(ctx, js, natslog.Config{Logger: r.Logger})
		if err != nil {
			return Result{}, err
		}
		reader := *r
		reader.log = log
		if hash {
			block := make([]byte, 256<<10)
			readers = append(readers, func(context.Context) error {
				sum := sha256.Sum256(block)
				copy(block, sum[:])
				return nil
			})
			continue
		}
		readers = append(readers, func(ctx context.Context) error {
			if byRaw {
				n, err := reader.beside(ctx, besideConsumer, nil, js, t.workflow, t.at.Position())
				return whole(n, t.events, err)
			}
			n, err := reader.read(ctx, t.workflow)
			return whole(n, t.events, err)
		})
	}
	var busy, idle []time.Duration
	const rounds = 4
	for round := range rounds + 1 {
		for _, side := range []struct {
			took    *[]time.Duration
			readers []operation
		}{{&idle, nil}, {&busy, readers}} {
			took, err := r.paced(ctx, r.Duration/rounds, side.readers)
			if err != nil {
				return Result{}, err
			}
			if round > 0 {
				*side.took = append(*side.took, took...)
			}
		}
	}
	result := times(c.String(), busy, idle)
	result.Value, result.Raw = result.P99, result.RawP99
	result.Ratio = result.Raw / result.Value
	return result, nil
}

// paced gives what appends take while readers read again and again.
func (r *reads) paced(ctx context.Context, length time.Duration, readers []operation) ([]time.Duration, error) {
	g, ctx := errgroup.WithContext(ctx)
	reading, stop := context.WithCancel(ctx)
	defer stop()
	for _, read := range readers {
		g.Go(func() error {
			for reading.Err() == nil {
				if err := read(reading); err != nil && reading.Err() == nil {
					return err
				}
			}
			return nil
		})
	}
	took := make([][]time.Duration, appendsBeside)
	writers, writing := errgroup.WithContext(ctx)
	for i := range appendsBeside {
		writers.Go(func() error {
			t := &target{workflow: newWorkflow(), events: math.MaxInt, commit: 1}
			tick := time.NewTicker(appendPause)
			defer tick.Stop()
			for end := time.Now().Add(length); time.Now().Before(end) || len(took[i]) == 0; {
				select {
				case <-tick.C:
				case <-writing.Done():
					return context.Cause(writing)
				}
				start := time.Now()
				if err := t.append(writing, r.log); err != nil {
					return err
				}
				took[i] = append(took[i], time.Since(start))
			}
			return nil
		})
	}
	err := writers.Wait()
	stop()
	err = errors.Join(err, g.Wait())
	return slices.Concat(took...), err
}
