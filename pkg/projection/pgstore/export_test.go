package pgstore

import (
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// The places where tests let a transaction fail.
const (
	AfterRows    = int(afterRows)
	BeforeCommit = int(beforeCommit)
	AfterCommit  = int(afterCommit)
)

// FailAt sets what happens at each place of each transaction. Nil: nothing.
func (s *Store) FailAt(fault func(place int) error) {
	if fault == nil {
		s.fault = nil
		return
	}
	s.fault = func(at crashPoint) error { return fault(int(at)) }
}

// CopyFrom sets how many new rows of a table are copied and not inserted.
func (s *Store) CopyFrom(n int) { s.many = n }

// Cached is how many workflows a folder of this package keeps in memory.
func Cached(f projection.Folder) int { return len(f.(*folder).cache) }

// Column is a column as the descriptions in Go have it.
type Column struct {
	Name, Type string
	Key        bool
}

// Table is a table as the descriptions in Go have it.
type Table struct {
	Name    string // without the schema
	Face    string // the view by which reports name it
	Columns []Column
}

// Described are all tables of a mode, by name.
func Described(mode EventsMode) []Table {
	var out []Table
	for _, t := range tablesOf(mode) {
		d := Table{Name: t.name, Face: t.face()}
		for i, c := range t.all() {
			d.Columns = append(d.Columns, Column{Name: c.name, Type: c.pgType, Key: i < len(t.key)})
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b Table) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// DescribedColumns are "table.column type" of all tables of a mode, by table and place.
func DescribedColumns(mode EventsMode) []string {
	var out []string
	for _, t := range Described(mode) {
		for _, c := range t.Columns {
			out = append(out, t.Name+"."+c.Name+" "+c.Type)
		}
	}
	return out
}

// CanonicalJSON writes JSON in the one way in which Verify compares it.
func CanonicalJSON(s string) (string, error) { return canonicalJSON(s) }

// CommitRow is what the row of a commit has of its events, and its bytes.
func CommitRow(c projection.Commit) (events string, body []byte, err error) {
	r, err := commitRow(c)
	if err != nil {
		return "", nil, err
	}
	return r[len(r)-1].(string), r[len(r)-2].([]byte), nil
}

// NewVersion is a store of another version of the tables, whose definition is
// changed.
func NewVersion(pool *pgxpool.Pool, version int, change func(*postgres.Definition)) (*Store, error) {
	s, err := New(pool, Config{})
	if err != nil {
		return nil, err
	}
	s.define = func(mode EventsMode) postgres.Definition {
		d := DefinitionOf(mode)
		d.Version = version
		if change != nil {
			change(&d)
		}
		return d
	}
	s.projection, err = postgres.Open(pool, s.define(""))
	return s, err
}

// WriteTogether has one transaction of small batches under way at a time, and the next
// ones wait so long for it.
func (s *Store) WriteTogether(patience time.Duration) {
	s.together.parallel, s.together.patience = 1, patience
}

// Waiting is how many batches wait for the next such transaction.
func (s *Store) Waiting() int {
	s.together.mu.Lock()
	defer s.together.mu.Unlock()
	return len(s.together.waiting)
}

// MayShare reports whether a batch of this package may share a transaction.
func MayShare(b projection.Batch) bool { return b.(*batch).mayShare() }
