package pgstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/bench/bulk"
	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

const (
	benchWorkflows = 1000 // open at a time
	benchRounds    = 10
	benchEvents    = benchRounds * benchWorkflows * bulk.Events
)

// rawCopy is what a stranger would write who has the rows already: COPY into
// each table, one after the other.
type rawCopy struct {
	tables []rawTable
}

type rawTable struct {
	name    string
	columns []string
	rows    [][]any
}

// readRaw takes the rows out of the tables.
func readRaw(b *testing.B, pool *pgxpool.Pool) rawCopy {
	b.Helper()
	var out rawCopy
	for _, table := range pgstore.Described(pgstore.EventsIndex) {
		t := rawTable{name: table.Name}
		for _, c := range table.Columns {
			t.columns = append(t.columns, c.Name)
		}
		rows, err := pool.Query(b.Context(), "SELECT * FROM annals."+table.Name)
		if err != nil {
			b.Fatal(err)
		}
		for rows.Next() {
			values, err := rows.Values()
			if err != nil {
				b.Fatal(err)
			}
			for i, v := range values {
				if i, ok := v.(pgtype.Interval); ok {
					v = time.Duration(i.Microseconds) * time.Microsecond
				}
				values[i] = v
			}
			t.rows = append(t.rows, values)
		}
		if err := rows.Err(); err != nil {
			b.Fatal(err)
		}
		out.tables = append(out.tables, t)
	}
	return out
}

// run copies all rows in one transaction.
func (r rawCopy) run(b *testing.B, pool *pgxpool.Pool) {
	b.Helper()
	err := pgx.BeginFunc(b.Context(), pool, func(tx pgx.Tx) error {
		for _, t := range r.tables {
			if _, err := tx.CopyFrom(b.Context(), pgx.Identifier{"annals_executions_1", t.name}, t.columns, pgx.CopyFromRows(t.rows)); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

func truncate(b *testing.B, pool *pgxpool.Pool) {
	b.Helper()
	sql := "TRUNCATE annals.checkpoints, annals.quarantine"
	for _, t := range pgstore.Described(pgstore.EventsIndex) {
		sql += ", annals_executions_1." + t.Name
	}
	if _, err := pool.Exec(b.Context(), sql+"; CHECKPOINT"); err != nil {
		b.Fatal(err)
	}
}

// runToEnd projects a log from its beginning to its end and gives the time that
// it took.
func runToEnd(b *testing.B, log events.Log, pool *pgxpool.Pool) time.Duration {
	b.Helper()
	store := storeOn(b, pool, pgstore.Config{})
	left := map[events.Partition]uint64{}
	for _, p := range ends(b, log).Positions() {
		left[p.Partition] = p.Sequence
	}
	wrote := make(chan projection.Checkpoint, 100_000)
	target := watched{store, func(c projection.Checkpoint, err error) {
		if err != nil {
			b.Error(err)
		}
		wrote <- c
	}}
	begin := time.Now()
	r := start(b, log, target, projection.Config{Attributes: registrar(log, "bench")})
	batches := 0
	for len(left) > 0 {
		c := <-wrote
		batches++
		if c.Sequence == left[c.Partition] {
			delete(left, c.Partition)
		}
	}
	took := time.Since(begin)
	if err := r.stop(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(batches), "batches")
	return took
}

// A projector that catches up, beside COPY of the same rows into the same
// tables, in turns.
func BenchmarkProject(b *testing.B) {
	for _, streams := range []int{1, 16} {
		for _, size := range []int{3, 1} {
			b.Run(fmt.Sprintf("log=nats/streams=%d/workflows=%d/events=%d/commit=%d", streams, benchWorkflows, bulk.Events, size), func(b *testing.B) {
				log := natsLog(b, testenv.NATS(b), streams)
				if err := bulk.Write(b.Context(), log, benchRounds, benchWorkflows, size); err != nil {
					b.Fatal(err)
				}
				benchProject(b, log)
			})
		}
	}
	b.Run(fmt.Sprintf("log=memory/streams=1/workflows=%d/events=%d/commit=3", benchWorkflows, bulk.Events), func(b *testing.B) {
		log := newLog(b, 1)
		if err := bulk.Write(b.Context(), log, benchRounds, benchWorkflows, 3); err != nil {
			b.Fatal(err)
		}
		benchProject(b, log)
	})
}

func benchProject(b *testing.B, log events.Log) {
	b.Helper()
	pool := newTables(b)
	runToEnd(b, log, pool)
	raw := readRaw(b, pool)
	var took, tookRaw time.Duration
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		truncate(b, pool)
		begin := time.Now()
		raw.run(b, pool)
		tookRaw += time.Since(begin)
		truncate(b, pool)
		b.StartTimer()
		took += runToEnd(b, log, pool)
	}
	n := float64(b.N) * benchEvents
	b.ReportMetric(n/took.Seconds(), "events/s")
	b.ReportMetric(n/tookRaw.Seconds(), "raw_events/s")
	b.ReportMetric(tookRaw.Seconds()/took.Seconds(), "ratio")
	b.ReportMetric(0, "ns/op")
}

// What the fold alone takes: decoded commits to rows, without Postgres.
func BenchmarkFold(b *testing.B) {
	for _, size := range []int{3, 1} {
		b.Run(fmt.Sprintf("workflows=%d/events=%d/commit=%d", benchWorkflows, bulk.Events, size), func(b *testing.B) {
			log := newLog(b, 1)
			if err := bulk.Write(b.Context(), log, benchRounds, benchWorkflows, size); err != nil {
				b.Fatal(err)
			}
			ms := messages(b, log, 0)
			store := storeOn(b, newTables(b), pgstore.Config{})
			c, err := store.Checkpoint(b.Context(), log.Identity(), 0)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				f := store.Folder(c)
				for from := 0; from < len(ms); from += 2000 {
					if _, err := f.Fold(context.Background(), decoded(b, ms[from:min(from+2000, len(ms))])); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.N)*benchEvents/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// The tables against the log: everything folded again, every row compared.
func BenchmarkVerify(b *testing.B) {
	log := newLog(b, 4)
	if err := bulk.Write(b.Context(), log, benchRounds, benchWorkflows, 3); err != nil {
		b.Fatal(err)
	}
	store := storeOn(b, newTables(b), pgstore.Config{})
	projectAll(b, log, store, 0)
	b.ResetTimer()
	for range b.N {
		if r := verify(b, log, store, noWait); len(r.Differences) > 0 || r.Events != benchEvents {
			b.Fatalf("%+v", r)
		}
	}
	b.ReportMetric(float64(b.N)*benchEvents/b.Elapsed().Seconds(), "events/s")
}
