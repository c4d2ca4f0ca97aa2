package pgstore

import (
	"context"
	_ "embed"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/pkg/projection/pgstore/filter"
	"github.com/annals-io/annals/pkg/searchattribute"
)

//go:embed sql/vocabulary.sql
var vocabularySQL string

// vocabulary is what namespaces have registered as search attributes, as queries
// last saw it.
type vocabulary struct {
	mu         sync.Mutex // guards the map, while it is read or set
	namespaces map[string]knownTypes
}

type knownTypes struct {
	types map[string]searchattribute.Type
	read  time.Time
}

// What is registered is only added to, but where the tables are made from another
// log: a query that finds its names among what was read so lately need not look.
const vocabularyLife = 10 * time.Second

// maxVocabularies bounds for how many namespaces it is kept.
const maxVocabularies = 1000

func (v *vocabulary) of(namespace string) (types map[string]searchattribute.Type, fresh bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	known, ok := v.namespaces[namespace]
	return known.types, ok && time.Since(known.read) < vocabularyLife
}

func (v *vocabulary) set(namespace string, types map[string]searchattribute.Type, read time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.namespaces == nil || len(v.namespaces) >= maxVocabularies {
		v.namespaces = map[string]knownTypes{}
	}
	v.namespaces[namespace] = knownTypes{types, read}
}

// compile has a query compiled with what the namespace has registered. It looks
// anew before it refuses a name, once the tables include what the query asks for:
// that may be what registered it.
func (s *Store) compile(ctx context.Context, namespace string, in Include, compile func(map[string]searchattribute.Type) (guessed bool, err error)) error {
	types, fresh := s.vocabulary.of(namespace)
	guessed, err := compile(types)
	if err != nil && !filter.IsUnknown(err) || err == nil && (fresh || !guessed) {
		return err
	}
	if types, err = s.readVocabulary(ctx, namespace); err != nil {
		return err
	}
	_, err = compile(types)
	if !filter.IsUnknown(err) || !in.asks() {
		return err
	}
	if err := s.answer(ctx, "read the search attributes", in, func(pgx.Tx) error { return nil }); err != nil {
		return err
	}
	if types, err = s.readVocabulary(ctx, namespace); err != nil {
		return err
	}
	_, err = compile(types)
	return err
}

func (s *Store) readVocabulary(ctx context.Context, namespace string) (map[string]searchattribute.Type, error) {
	begun := time.Now()
	rows, err := s.pool.Query(ctx, vocabularySQL, namespace)
	if err != nil {
		return nil, s.queryError(ctx, "read the search attributes", err)
	}
	types := map[string]searchattribute.Type{}
	var name, typ string
	_, err = pgx.ForEachRow(rows, []any{&name, &typ}, func() error {
		types[name] = searchattribute.TypeNamed(typ)
		return nil
	})
	if err != nil {
		return nil, s.queryError(ctx, "read the search attributes", err)
	}
	s.vocabulary.set(namespace, types, begun)
	return types, nil
}
