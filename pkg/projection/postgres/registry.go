package postgres

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/searchattribute"
)

var (
	//go:embed sql/control_checkpoint_read.sql
	controlCheckpointReadSQL string
	//go:embed sql/control_checkpoint_move.sql
	controlCheckpointMoveSQL string
	//go:embed sql/control_begin.sql
	controlBeginSQL string
	//go:embed sql/control_elsewhere.sql
	controlElsewhereSQL string
	//go:embed sql/attributes_insert.sql
	attributesInsertSQL string
	//go:embed sql/conflicts_insert.sql
	conflictsInsertSQL string
	//go:embed sql/attributes.sql
	attributesSQL string
	//go:embed sql/conflicts.sql
	conflictsSQL string
)

// Registry is the tables of the registry of search attributes,
// annals.search_attributes and annals.search_attribute_conflicts. It is safe for
// concurrent use and does not own the pool.
type Registry struct {
	pool   *pgxpool.Pool
	config RegistryConfig
	// fault is set by tests: what a write fails with before it commits, and after.
	fault func(committed bool) error
}

var _ projection.ControlTarget = (*Registry)(nil)

// Registered is told of attributes that have types now, in the transaction that
// brings them into the tables. What it fails with, the transaction fails with.
type Registered func(ctx context.Context, tx pgx.Tx, attributes []searchattribute.Attribute) error

// RegistryConfig are the settings of a Registry.
type RegistryConfig struct {
	// Registered is told of what is new; nil: nobody is.
	Registered Registered
	// AnswerTimeout bounds what is asked of the database, as TargetConfig's does; at
	// least 0, which is a minute. What Registered does may take longer: a transaction
	// in which it is told of anything is not bounded.
	AnswerTimeout time.Duration
}

// NewRegistry is the registry in a database that Migrate has prepared.
func NewRegistry(pool *pgxpool.Pool, c RegistryConfig) *Registry {
	if c.AnswerTimeout <= 0 {
		c.AnswerTimeout = defaultAnswerTimeout
	}
	return &Registry{pool: pool, config: c}
}

// ControlCheckpoint is projection.ControlTarget's.
func (r *Registry) ControlCheckpoint(ctx context.Context, id events.Identity) (projection.ControlCheckpoint, error) {
	ctx, cancel := BoundAnswer(ctx, r.config.AnswerTimeout)
	defer cancel()
	c, err := r.checkpoint(ctx, id)
	return c, AnswerError(ctx, r.pool, err)
}

func (r *Registry) checkpoint(ctx context.Context, id events.Identity) (projection.ControlCheckpoint, error) {
	if err := checkMigrations(ctx, r.pool); err != nil {
		return projection.ControlCheckpoint{}, err
	}
	c, there, err := ReadControlCheckpoint(ctx, r.pool)
	if err != nil || there && c.LogID == id.LogID && c.LogEpoch == id.Epoch {
		return c, err
	}
	err = pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) error { return begin(ctx, tx, id) })
	if err != nil {
		return projection.ControlCheckpoint{}, err
	}
	c, _, err = ReadControlCheckpoint(ctx, r.pool)
	if err == nil && (c.LogID != id.LogID || c.LogEpoch != id.Epoch) {
		err = projection.ErrFenced
	}
	return c, err
}

// begin empties the tables for a log's control stream.
func begin(ctx context.Context, tx pgx.Tx, id events.Identity) error {
	tag, err := tx.Exec(ctx, controlBeginSQL, id.LogID, int64(id.Epoch))
	if err != nil || tag.RowsAffected() == 0 {
		return err
	}
	var logID string
	var epoch int64
	err = tx.QueryRow(ctx, controlElsewhereSQL, id.LogID, int64(id.Epoch)).Scan(&logID, &epoch)
	if err == nil {
		return fmt.Errorf("%w: the tables are those of log %s in epoch %d, this is %s in epoch %d: rebuild them", projection.ErrWrongCheckpoint, logID, epoch, id.LogID, id.Epoch)
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	_, err = tx.Exec(ctx, `DELETE FROM annals.search_attributes; DELETE FROM annals.search_attribute_conflicts`)
	return err
}

// ReadControlCheckpoint is how far the tables have come with a control stream, as q
// sees it; there is false where they have not begun.
func ReadControlCheckpoint(ctx context.Context, q Querier) (c projection.ControlCheckpoint, there bool, err error) {
	rows, err := q.Query(ctx, controlCheckpointReadSQL)
	if err != nil {
		return projection.ControlCheckpoint{}, false, fmt.Errorf("read the checkpoint of the control stream: %w", err)
	}
	c, err = pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (c projection.ControlCheckpoint, err error) {
		var epoch, sequence int64
		err = row.Scan(&c.LogID, &epoch, &sequence, &c.CommitID)
		c.LogEpoch, c.Sequence = uint32(epoch), uint64(sequence)
		return c, err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return projection.ControlCheckpoint{}, false, nil
	}
	if err != nil {
		return projection.ControlCheckpoint{}, false, fmt.Errorf("read the checkpoint of the control stream: %w", err)
	}
	return c, true, nil
}

// WriteRegistry is projection.ControlTarget's.
func (r *Registry) WriteRegistry(ctx context.Context, from, to projection.ControlCheckpoint, rows projection.RegistryRows) error {
	if !r.tells(rows) {
		var cancel context.CancelFunc
		ctx, cancel = BoundAnswer(ctx, r.config.AnswerTimeout)
		defer cancel()
	}
	return AnswerError(ctx, r.pool, r.write(ctx, from, to, rows))
}

// tells reports whether Registered is told of anything.
func (r *Registry) tells(rows projection.RegistryRows) bool {
	return r.config.Registered != nil && len(rows.Attributes) > 0
}

func (r *Registry) write(ctx context.Context, from, to projection.ControlCheckpoint, rows projection.RegistryRows) error {
	err := pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) error {
		var q pgx.Batch
		// The compare-and-set comes first and locks the checkpoint: of two writers one
		// waits here and then finds that it has moved.
		q.Queue(controlCheckpointMoveSQL, from.LogID, int64(from.LogEpoch), int64(from.Sequence), int64(to.Sequence), string(to.CommitID)).Exec(Moved)
		if len(rows.Attributes) > 0 {
			q.Queue(attributesInsertSQL, attributeColumns(rows.Attributes)...)
		}
		if len(rows.Conflicts) > 0 {
			q.Queue(conflictsInsertSQL, conflictColumns(rows.Conflicts)...)
		}
		if err := tx.SendBatch(ctx, &q).Close(); err != nil {
			return err
		}
		if r.tells(rows) {
			if err := r.config.Registered(ctx, tx, rows.Attributes); err != nil {
				return err
			}
		}
		return r.crash(false)
	})
	if err != nil {
		return err
	}
	return r.crash(true)
}

func (r *Registry) crash(committed bool) error {
	if r.fault == nil {
		return nil
	}
	return r.fault(committed)
}

// places are the columns that say where decisions stand.
type places struct {
	sequences  []int64
	times      []time.Time
	by         []string
	partitions []*int16
	causes     []*int64
}

func (p *places) add(at searchattribute.Place) {
	var partition *int16
	var cause *int64
	if at.Cause != (events.Position{}) {
		n, s := int16(at.Cause.Partition), int64(at.Cause.Sequence)
		partition, cause = &n, &s
	}
	p.sequences, p.times, p.by = append(p.sequences, int64(at.Sequence)), append(p.times, at.Time), append(p.by, at.By)
	p.partitions, p.causes = append(p.partitions, partition), append(p.causes, cause)
}

func (p *places) columns() []any { return []any{p.sequences, p.times, p.by, p.partitions, p.causes} }

func attributeColumns(list []searchattribute.Attribute) []any {
	var namespaces, names, types []string
	var p places
	for _, a := range list {
		namespaces, names, types = append(namespaces, a.Namespace), append(names, a.Name), append(types, a.TypeName)
		p.add(a.Place)
	}
	return append([]any{namespaces, names, types}, p.columns()...)
}

func conflictColumns(list []searchattribute.Conflict) []any {
	var namespaces, names, sorts, found, types []string
	var p places
	for _, c := range list {
		namespaces, names, sorts = append(namespaces, c.Namespace), append(names, c.Name), append(sorts, string(c.Sort))
		found, types = append(found, c.Found), append(types, c.TypeName)
		p.add(c.Place)
	}
	return append([]any{namespaces, names, sorts, found, types}, p.columns()...)
}

// ReadRegistry is what the tables hold, as q sees them.
func ReadRegistry(ctx context.Context, q Querier) (rows projection.RegistryRows, err error) {
	list, err := q.Query(ctx, attributesSQL)
	if err != nil {
		return projection.RegistryRows{}, fmt.Errorf("read the search attributes: %w", err)
	}
	rows.Attributes, err = pgx.CollectRows(list, func(row pgx.CollectableRow) (a searchattribute.Attribute, err error) {
		a.Place, err = scan(row, &a.Namespace, &a.Name, &a.TypeName)
		a.Type = searchattribute.TypeNamed(a.TypeName)
		return a, err
	})
	if err != nil {
		return projection.RegistryRows{}, fmt.Errorf("read the search attributes: %w", err)
	}
	if list, err = q.Query(ctx, conflictsSQL); err != nil {
		return projection.RegistryRows{}, fmt.Errorf("read the conflicts of search attributes: %w", err)
	}
	rows.Conflicts, err = pgx.CollectRows(list, func(row pgx.CollectableRow) (c searchattribute.Conflict, err error) {
		c.Place, err = scan(row, &c.Namespace, &c.Name, &c.Sort, &c.Found, &c.TypeName)
		return c, err
	})
	if err != nil {
		return projection.RegistryRows{}, fmt.Errorf("read the conflicts of search attributes: %w", err)
	}
	return rows, nil
}

// scan reads a row whose last columns say where its decision stands.
func scan(row pgx.CollectableRow, first ...any) (at searchattribute.Place, err error) {
	var sequence int64
	var partition *int16
	var cause *int64
	if err := row.Scan(append(first, &sequence, &at.Time, &at.By, &partition, &cause)...); err != nil {
		return searchattribute.Place{}, err
	}
	at.Sequence, at.Time = uint64(sequence), at.Time.UTC()
	if partition != nil && cause != nil {
		at.Cause = events.Position{Partition: events.Partition(*partition), Sequence: uint64(*cause)}
	}
	return at, nil
}
