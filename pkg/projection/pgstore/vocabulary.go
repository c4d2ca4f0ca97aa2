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

// vocabulary is what queries of namespaces can ask for, as they last saw it.
type vocabulary struct {
	mu         sync.Mutex // guards the map, while it is read or set
	namespaces map[string]askable
}

// askable is what queries of a namespace can ask for.
type askable struct {
	types    map[string]searchattribute.Type // registered
	noEvents bool                            // the live tables have no rows of events
	read     time.Time
}

func (a askable) options(after int) filter.Options {
	return filter.Options{Attributes: a.types, NoEvents: a.noEvents, After: after}
}

// What is registered is only added to, but where the tables are made from another
// log: a query that finds its names among what was read so lately need not look.
const vocabularyLife = 10 * time.Second

// maxVocabularies bounds for how many namespaces it is kept.
const maxVocabularies = 1000

func (v *vocabulary) of(namespace string) (known askable, fresh bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	known, ok := v.namespaces[namespace]
	return known, ok && time.Since(known.read) < vocabularyLife
}

func (v *vocabulary) set(namespace string, known askable) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.namespaces == nil || len(v.namespaces) >= maxVocabularies {
		v.namespaces = map[string]askable{}
	}
	v.namespaces[namespace] = known
}

// compile has a query compiled with what the namespace has registered. It looks
// anew before it refuses a name, once the tables include what the query asks for:
// that may be what registered it. And before it asks for rows of events: a rebuild
// may have left them out.
func (s *Store) compile(ctx context.Context, namespace string, in Include, compile func(askable) (filter.Condition, error)) error {
	known, fresh := s.vocabulary.of(namespace)
	c, err := compile(known)
	if err != nil && !filter.IsUnknown(err) || err == nil && !c.Events && (fresh || !c.Guessed) {
		return err
	}
	if known, err = s.readVocabulary(ctx, namespace); err != nil {
		return err
	}
	_, err = compile(known)
	if !filter.IsUnknown(err) || !in.asks() {
		return err
	}
	if err := s.answer(ctx, "read the search attributes", in, func(pgx.Tx) error { return nil }); err != nil {
		return err
	}
	if known, err = s.readVocabulary(ctx, namespace); err != nil {
		return err
	}
	_, err = compile(known)
	return err
}

func (s *Store) readVocabulary(ctx context.Context, namespace string) (askable, error) {
	known := askable{types: map[string]searchattribute.Type{}, read: time.Now()}
	rows, err := s.pool.Query(ctx, vocabularySQL, namespace, Name)
	if err != nil {
		return askable{}, s.queryError(ctx, "read the search attributes", err)
	}
	var kind, name, what string
	_, err = pgx.ForEachRow(rows, []any{&kind, &name, &what}, func() error {
		if kind == "attribute" {
			known.types[name] = searchattribute.TypeNamed(what)
		} else {
			known.noEvents = EventsMode(what) == EventsNone
		}
		return nil
	})
	if err != nil {
		return askable{}, s.queryError(ctx, "read the search attributes", err)
	}
	s.vocabulary.set(namespace, known)
	return known, nil
}
