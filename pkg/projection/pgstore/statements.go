package pgstore

import (
	"fmt"
	"strings"
	"sync"
)

// The statements that write rows are made from the tables' descriptions: each
// takes one array a column, in the order of table.all.

// statement caches what is made once a table.
type statements struct{ insert, update, copy string }

var statementsOf = sync.OnceValue(func() map[*table]statements {
	out := map[*table]statements{}
	for _, t := range tables {
		out[t] = statements{insert: t.makeInsert(), update: t.makeUpdate(), copy: t.makeCopy()}
	}
	return out
})

// insertSQL adds rows that are not there.
func (t *table) insertSQL() string { return statementsOf()[t].insert }

// updateSQL replaces rows that are there.
func (t *table) updateSQL() string { return statementsOf()[t].update }

// copySQL takes rows in COPY's binary format.
func (t *table) copySQL() string { return statementsOf()[t].copy }

// unnested is the rows as a table u.
func (t *table) unnested() string {
	var arrays, fields strings.Builder
	for i, c := range t.all() {
		if i > 0 {
			arrays.WriteString(", ")
			fields.WriteString(", ")
		}
		array, field := c.pgType+"[]", "u."+c.name
		switch c.pgType {
		case "jsonb": // sent as text: the arrays of Go values are texts
			array, field = "text[]", field+"::jsonb"
		case "text[]": // an array of arrays would have to be rectangular
			array, field = "text[]", field+"::text[]"
		}
		fmt.Fprintf(&arrays, "$%d::%s", i+1, array)
		fields.WriteString(field + " AS " + c.name)
	}
	return fmt.Sprintf("SELECT %s FROM unnest(%s) AS u (%s)", fields.String(), arrays.String(), columnNames(t.all(), ""))
}

func (t *table) makeInsert() string {
	return fmt.Sprintf("INSERT INTO %s (%s) %s", t.name, columnNames(t.all(), ""), t.unnested())
}

func (t *table) makeUpdate() string {
	var set strings.Builder
	for i, c := range t.columns {
		if i > 0 {
			set.WriteString(", ")
		}
		set.WriteString(c.name + " = r." + c.name)
	}
	return fmt.Sprintf("UPDATE %s AS t SET %s FROM (%s) AS r WHERE (%s) = (%s)",
		t.name, set.String(), t.unnested(), columnNames(t.key, "t."), columnNames(t.key, "r."))
}

func (t *table) makeCopy() string {
	return fmt.Sprintf("COPY %s (%s) FROM STDIN (FORMAT binary)", t.name, columnNames(t.all(), ""))
}
