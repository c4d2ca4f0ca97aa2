package postgres

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/pkg/events"
)

// Definition is what a projection's tables are.
type Definition struct {
	// Name is the projection's: a lower-case letter, then up to 39 lower-case
	// letters, digits and underscores. Unique in the database.
	Name string
	// Version is that of the tables: of their shape and of what is made of an
	// event; at least 1. Tables of another version must be rebuilt.
	Version int
	// Mode is in which of several ways the tables are kept, where the projection has
	// such: lower-case letters, digits and underscores. Tables of another mode are made
	// by a rebuild alone; until then they are refused (*projection.ModeError). Empty:
	// those that there are are taken, whatever their mode is.
	Mode string
	// Tables are the SQL statements that make the tables, with the keys by which
	// rows are updated and read back while they are filled, and without indexes that
	// only readers need. Names stand without a schema.
	Tables string
	// Indexes are made after Tables, each a statement of its own, so that a
	// rebuild can fill the tables first: CREATE [UNIQUE] INDEX name ON table …, or
	// ALTER TABLE table ADD CONSTRAINT name …, as keys of tables whose rows are
	// written once. Names are unique, and stand without a schema and without quotes. What
	// is to be said of an index (COMMENT ON INDEX) may follow behind a semicolon.
	// A commit whose rows one of them refuses is quarantined, as by what Tables says:
	// a rebuild that meets such rows fills its tables a second time, more slowly,
	// with all Indexes in place. So what is expected to refuse belongs into Tables.
	Indexes []string
	// Views are the tables that readers see, and Schema is where they see them
	// under the same names. The schema is made if it is not there.
	Views  []string
	Schema string
}

var (
	projectionName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)
	identifier     = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)
)

func (d *Definition) validate() error {
	invalid := func(field, reason string) error {
		return &events.InvalidError{Field: field, Reason: reason}
	}
	switch {
	case !projectionName.MatchString(d.Name):
		return invalid("definition.name", fmt.Sprintf("is %q; wanted: a lower-case letter, then up to 39 lower-case letters, digits and underscores", d.Name))
	case d.Version < 1:
		return invalid("definition.version", fmt.Sprintf("is %d, less than 1", d.Version))
	case d.Mode != "" && !identifier.MatchString(d.Mode):
		return invalid("definition.mode", fmt.Sprintf("is %q; wanted: lower-case letters, digits and underscores", d.Mode))
	case d.Tables == "":
		return invalid("definition.tables", "makes no tables")
	case len(d.Views) > 0 && !identifier.MatchString(d.Schema):
		return invalid("definition.schema", fmt.Sprintf("is %q; wanted: the schema that the views are in", d.Schema))
	}
	names := map[string]bool{}
	for i, sql := range d.Indexes {
		x, ok := parseIndex(sql)
		if !ok {
			return invalid(fmt.Sprintf("definition.indexes[%d]", i), "is not of the form CREATE [UNIQUE] INDEX name ON table … or ALTER TABLE table ADD CONSTRAINT name …")
		}
		if names[x.name] {
			return invalid(fmt.Sprintf("definition.indexes[%d]", i), fmt.Sprintf("makes %s, as one before it does", x.name))
		}
		names[x.name] = true
	}
	if i := slices.IndexFunc(d.Views, func(v string) bool { return !identifier.MatchString(v) }); i >= 0 {
		return invalid("definition.views", fmt.Sprintf("names %q; wanted: a table's name", d.Views[i]))
	}
	return nil
}

// SchemaOf is the schema of a generation of a projection's tables. It needs no
// quotes.
func SchemaOf(projection string, generation int) string {
	return fmt.Sprintf("annals_%s_%d", projection, generation)
}

func quoted(parts ...string) string { return pgx.Identifier(parts).Sanitize() }
