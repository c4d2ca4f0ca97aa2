package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/wiring"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

func (x *examination) postgres(ctx context.Context, log events.Log) {
	pool, err := x.app.postgres(ctx)
	if err != nil {
		x.note("postgres", "", err.Error())
		return
	}
	if err := x.servers.Ping(ctx, pool); err != nil {
		x.note("postgres", "", err.Error())
		return
	}
	var number int
	var version, database string
	if err := pool.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_version'), current_database()`).Scan(&number, &version, &database); err != nil {
		x.note("postgres", "", err.Error())
		return
	}
	problem := ""
	if number/10000 < minPostgres {
		problem = fmt.Sprintf("older than %d", minPostgres)
	}
	x.note("postgres", fmt.Sprintf("version %s, database %s", version, database), problem)
	x.postgresClock(ctx, pool)
	store, err := x.tables(ctx)
	if err == nil {
		err = store.CheckVersion(ctx)
	}
	if err != nil {
		x.note("tables", "", err.Error())
		return
	}
	x.note("tables", "of this program's version", "")
	x.quarantine(ctx, store)
	if log != nil {
		x.lag(ctx, log, store.Checkpoints)
		x.heartbeatLag(ctx, log, store)
		x.registry(ctx, log, pool)
	}
}

// postgresClock holds this machine's clock against that of Postgres: ages and lags
// are counted by both.
func (x *examination) postgresClock(ctx context.Context, pool *pgxpool.Pool) {
	before := x.now()
	var theirs time.Time
	if err := pool.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&theirs); err != nil {
		x.note("postgres clock", "", err.Error())
		return
	}
	x.clock("postgres clock", "Postgres", wiring.SkewOf(before, theirs, x.now()), "")
}

// heartbeatLag holds what the tables have of heartbeats against the log: they are
// not far behind.
func (x *examination) heartbeatLag(ctx context.Context, log events.Log, store *pgstore.Store) {
	c, behind, err := store.HeartbeatLag(ctx, log)
	switch {
	case err != nil:
		x.note("kept heartbeats", "", err.Error())
	case behind == 0:
		x.note("kept heartbeats", "has everything", "")
	default:
		value, problem := fmt.Sprintf("at most %s behind", grouped(int64(behind))), ""
		// How old the oldest is, if it is there still.
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		for h, err := range log.FollowHeartbeats(ctx, c.Sequence) {
			if age := time.Since(h.Time).Round(time.Millisecond); err == nil && age > 0 {
				value += fmt.Sprintf(", the oldest %s old", age)
				if age > x.maxLag {
					problem = "the projector does not run, has stopped, or does not keep up"
				}
			}
			break
		}
		x.note("kept heartbeats", value, problem)
	}
}

// registry holds the tables' registry of search attributes against the log: it is
// not behind. Conflicts are counted: they stop nothing.
func (x *examination) registry(ctx context.Context, log events.Log, pool *pgxpool.Pool) {
	const what = "search attributes"
	c, there, err := postgres.ReadControlCheckpoint(ctx, pool)
	var rows projection.RegistryRows
	var b events.Bounds
	if err == nil {
		rows, err = postgres.ReadRegistry(ctx, pool)
	}
	if err == nil {
		b, err = log.DecisionBounds(ctx)
	}
	if err != nil {
		x.note(what, "", err.Error())
		return
	}
	value := fmt.Sprintf("%d registered", len(rows.Attributes))
	if n := len(rows.Conflicts); n > 0 {
		value += fmt.Sprintf(", %s (annals search-attribute list)", plural(int64(n), "conflict"))
	}
	id := log.Identity()
	problem := ""
	switch {
	case there && (c.LogID != id.LogID || c.LogEpoch != id.Epoch):
		problem = fmt.Sprintf("the tables were made from log %s in epoch %d: rebuild them", c.LogID, c.LogEpoch)
	case c.Sequence > b.Last:
		problem = fmt.Sprintf("the tables have decisions up to %d, and the control stream ends at %d: it was lost or made anew; see docs/operation.md", c.Sequence, b.Last)
	case c.Sequence < b.Last:
		value += fmt.Sprintf(", %s behind", plural(int64(b.Last-c.Sequence), "decision"))
	}
	x.note(what, value, problem)
}

// quarantine names what the tables lack since it could not be applied.
func (x *examination) quarantine(ctx context.Context, store *pgstore.Store) {
	page, err := store.Quarantined(ctx, postgres.QuarantineQuery{Limit: 3})
	switch {
	case err != nil:
		x.note("quarantine", "", err.Error())
		return
	case page.Total == 0:
		x.note("quarantine", "empty", "")
		return
	}
	var list []string
	for _, q := range page.Entries {
		list = append(list, q.String())
	}
	if more := page.Total - int64(len(page.Entries)); more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	x.note("quarantine", plural(page.Total, "subject"), strings.Join(list, "; ")+": annals projection quarantine, then annals projection heal")
}

// lag holds the checkpoints against the log: they fit, and are not far behind.
func (x *examination) lag(ctx context.Context, log events.Log, checkpoints func(context.Context) ([]projection.Checkpoint, error)) {
	lags, err := projection.LagOf(ctx, log, checkpoints)
	if err != nil {
		x.note("projection", "", err.Error())
		return
	}
	stored, err := checkpoints(ctx)
	if err != nil {
		x.note("projection", "", err.Error())
		return
	}
	id := log.Identity()
	have := make([]projection.Checkpoint, id.Map.Partitions())
	for p := range have {
		have[p] = projection.Checkpoint{Partition: events.Partition(p), LogID: id.LogID, LogEpoch: id.Epoch}
	}
	for _, c := range stored {
		if int(c.Partition) < len(have) {
			have[c.Partition] = c
		}
	}
	var bad []string
	for p, c := range have {
		if err := projection.Check(ctx, log, c); err != nil {
			bad = append(bad, err.Error())
			lags[p] = projection.Lag{Partition: c.Partition} // what follows a place that the log has not got is no lag
		}
	}
	for _, l := range lags {
		next := events.Position{Partition: l.Partition, Sequence: l.Checkpoint + 1}
		switch {
		case errors.Is(l.Err, events.ErrNotFound):
			bad = append(bad, fmt.Sprintf("the log has nothing at %s, which comes next", next))
		case l.Err != nil:
			bad = append(bad, l.Err.Error())
		}
	}
	value := "has everything"
	if behind := lags.Commits(); behind > 0 {
		value = fmt.Sprintf("%s behind", plural(int64(behind), "commit"))
		if age := lags.Age().Round(time.Millisecond); age > 0 {
			value += fmt.Sprintf(", the oldest %s old", age)
			if age > x.maxLag {
				bad = append(bad, "the projector does not run, has stopped, or does not keep up")
			}
		}
	}
	x.note("projection", value, strings.Join(bad, "; "))
}
