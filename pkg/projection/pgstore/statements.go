package pgstore

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/annals-io/annals/pkg/projection/postgres"
)

// statements are those that write and read back the rows of one generation. Those
// that write are made from the tables' descriptions: each takes one array a
// column, in the order of table.all.
type statements struct {
	writes map[*table]*writeStatements
	load   string
}

// writeStatements of a table: insert adds rows that are not there, update
// replaces rows that are there, copy takes rows in COPY's binary format, remove
// deletes those of a workflow: of run_events before its executions.
type writeStatements struct{ insert, update, copy, remove string }

//go:embed sql/load.sql
var loadSQL string

// statementsOf are a generation's, made once.
func (s *Store) statementsOf(generation int) *statements {
	if made, ok := s.statements.Load(generation); ok {
		return made.(*statements)
	}
	schema := postgres.SchemaOf(Name, generation)
	made := &statements{writes: map[*table]*writeStatements{}, load: strings.ReplaceAll(loadSQL, "generation.", schema+".")}
	for _, t := range allTables {
		name := schema + "." + t.name
		made.writes[t] = &writeStatements{insert: t.insertInto(name), update: t.updateOf(name), copy: t.copyInto(name), remove: "DELETE FROM " + name + " WHERE slot = $1 AND " + ofWorkflow}
	}
	// Rows of runs that the log has and executions may lack are removed too.
	made.writes[runEventsTable].remove = "DELETE FROM " + schema + "." + runEventsTable.name + " WHERE slot = $1 AND " + eventsOfWorkflow(schema)
	s.statements.Store(generation, made)
	return made
}

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

func (t *table) insertInto(name string) string {
	return fmt.Sprintf("INSERT INTO %s (%s) %s", name, columnNames(t.all(), ""), t.unnested())
}

// ofWorkflow is the condition that rows of the slot $1 are of a workflow.
const ofWorkflow = "namespace = $2 AND workflow_id = $3"

// eventsOfWorkflow is the same of run_events, whose runs are those that executions
// of that schema has, and those of the numbers $4.
func eventsOfWorkflow(schema string) string {
	return "run_no IN (SELECT run_no FROM " + schema + "." + executionsTable.name + " WHERE slot = $1 AND " + ofWorkflow + " UNION SELECT unnest($4::bigint[]))"
}

func (t *table) updateOf(name string) string {
	var set strings.Builder
	for i, c := range t.columns {
		if i > 0 {
			set.WriteString(", ")
		}
		set.WriteString(c.name + " = r." + c.name)
	}
	return fmt.Sprintf("UPDATE %s AS t SET %s FROM (%s) AS r WHERE (%s) = (%s)",
		name, set.String(), t.unnested(), columnNames(t.key, "t."), columnNames(t.key, "r."))
}

func (t *table) copyInto(name string) string {
	return fmt.Sprintf("COPY %s (%s) FROM STDIN (FORMAT binary)", name, columnNames(t.all(), ""))
}
