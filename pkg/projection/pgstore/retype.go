package pgstore

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/temporalproto"

	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
	"github.com/annals-io/annals/pkg/searchattribute"
)

// A value is typed when its row is written, if its attribute has a type then. Where
// the type comes later, by a command or by a value that says it, the transaction that
// brings it into annals.search_attributes types what is in the tables already. A batch
// with values that have no type yet and such a transaction exclude each other by an
// advisory lock, and a batch that finds a type in the registry gives it to its rows
// before it commits. So what is in the tables is typed by all that is in the
// registry, whoever was first.

// typingLock is the key of the advisory lock.
const typingLock = 0x616e6e616c737479 // "annalsty"

var (
	//go:embed sql/types_found.sql
	typesFoundSQL string
	//go:embed sql/untyped.sql
	untypedSQL string
	//go:embed sql/retype.sql
	retypeSQL string
)

// attributeKey names a search attribute.
type attributeKey struct{ namespace, name string }

// knownKey is one of a log, which another epoch may not have.
type knownKey struct {
	logID string
	epoch uint32
	attributeKey
}

// typesFor is what has a type in a log: as its registry says, as far as the caller
// knows that (nil: not at all), or as the tables were found to say.
func (s *Store) typesFor(c projection.Checkpoint, r *searchattribute.Registry) typesOf {
	return func(namespace, name string) (searchattribute.Type, bool) {
		if r != nil {
			if t, ok := r.Type(namespace, name); ok {
				return t, true
			}
		} else if t, ok := searchattribute.Predefined(name); ok {
			return t, true
		}
		if t, ok := s.known.Load(knownKey{c.LogID, c.LogEpoch, attributeKey{namespace, name}}); ok {
			return t.(searchattribute.Type), true
		}
		return 0, false
	}
}

// queueTypingLock has a transaction wait for those that bring types.
func queueTypingLock(q *pgx.Batch) {
	q.Queue(`SELECT pg_advisory_xact_lock_shared($1)`, int64(typingLock))
}

// settle types what the transaction has written without a type, where the registry in
// the tables has one. The transaction holds the lock.
func (s *Store) settle(ctx context.Context, tx pgx.Tx, c projection.Checkpoint, untyped map[attributeKey]bool) error {
	if len(untyped) == 0 {
		return nil
	}
	namespaces, names := make([]string, 0, len(untyped)), make([]string, 0, len(untyped))
	for k := range untyped {
		namespaces, names = append(namespaces, k.namespace), append(names, k.name)
	}
	rows, err := tx.Query(ctx, typesFoundSQL, namespaces, names, c.LogID, int64(c.LogEpoch))
	if err != nil {
		return err
	}
	found, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (a searchattribute.Attribute, err error) {
		err = r.Scan(&a.Namespace, &a.Name, &a.TypeName)
		a.Type = searchattribute.TypeNamed(a.TypeName)
		return a, err
	})
	if err != nil {
		return err
	}
	for _, a := range found {
		if err := s.retype(ctx, tx, c.Generation, a); err != nil {
			return err
		}
		s.known.Store(knownKey{c.LogID, c.LogEpoch, attributeKey{a.Namespace, a.Name}}, a.Type)
	}
	return nil
}

// Registry is the registry of search attributes in the database of the tables. What
// has been projected before a type was known is typed with it.
func (s *Store) Registry() *postgres.Registry {
	return postgres.NewRegistry(s.pool, postgres.RegistryConfig{Registered: s.registered, AnswerTimeout: s.config.AnswerTimeout})
}

// registered is told, in the transaction that brings them, of attributes that have
// types now.
func (s *Store) registered(ctx context.Context, tx pgx.Tx, attributes []searchattribute.Attribute) error {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(typingLock)); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `SELECT generation FROM annals.generations WHERE projection = $1 AND version = $2 ORDER BY generation`, Name, Version)
	if err != nil {
		return err
	}
	generations, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return err
	}
	for _, generation := range generations {
		for _, a := range attributes {
			if err := s.retype(ctx, tx, generation, a); err != nil {
				return fmt.Errorf("give search attribute %q of namespace %s its type: %w", a.Name, a.Namespace, err)
			}
		}
	}
	return nil
}

// retyped is how many rows are typed at once.
const retyped = 5000

// retype gives the rows of a generation that have an attribute without a type its type.
func (s *Store) retype(ctx context.Context, tx pgx.Tx, generation int, a searchattribute.Attribute) error {
	schema := postgres.SchemaOf(Name, generation)
	read, write := strings.ReplaceAll(untypedSQL, "generation.", schema+"."), strings.ReplaceAll(retypeSQL, "generation.", schema+".")
	for {
		var (
			slots           []int16
			workflows, runs []string
			values          []*string
			slot            int16
			workflow, run   string
			stored          []byte
		)
		rows, err := tx.Query(ctx, read, a.Namespace, a.Name, retyped)
		if err != nil {
			return err
		}
		_, err = pgx.ForEachRow(rows, []any{&slot, &workflow, &run, &stored}, func() error {
			v, err := retypedValue(a.Type, stored)
			slots, workflows, runs, values = append(slots, slot), append(workflows, workflow), append(runs, run), append(values, v)
			return err
		})
		if err != nil || len(slots) == 0 {
			return err
		}
		if _, err := tx.Exec(ctx, write, a.Namespace, a.Name, slots, workflows, runs, values); err != nil {
			return err
		}
		if len(slots) < retyped {
			return nil
		}
	}
}

// retypedValue is a stored payload as its attribute's type has it, in JSON; nil if it
// does not fit.
func retypedValue(t searchattribute.Type, stored []byte) (*string, error) {
	var p commonpb.Payload
	if err := (temporalproto.CustomJSONUnmarshalOptions{DiscardUnknown: true}).Unmarshal(stored, &p); err != nil {
		return nil, fmt.Errorf("a stored payload: %w", err)
	}
	v, ok := searchValue(t, &p)
	if !ok {
		return nil, nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	value := withoutNUL(b)
	return &value, nil
}
