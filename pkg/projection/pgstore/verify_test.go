package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// unguarded removes all constraints, so that tests can plant what they forbid.
func unguarded(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	rows, err := pool.Query(t.Context(), `
		SELECT format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', conrelid::regclass, conname)
		FROM pg_constraint WHERE connamespace IN ('annals'::regnamespace, 'annals_executions_1'::regnamespace) AND contype IN ('c', 'f')`)
	if err != nil {
		t.Fatal(err)
	}
	drops, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	rows, err = pool.Query(t.Context(), `
		SELECT format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', attrelid::regclass, attname)
		FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = attrelid
		WHERE c.relnamespace IN ('annals'::regnamespace, 'annals_executions_1'::regnamespace) AND c.relkind = 'r' AND attnum > 0 AND attnotnull
		  AND NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = attrelid AND i.indisprimary AND attnum = ANY (i.indkey))`)
	if err != nil {
		t.Fatal(err)
	}
	nulls, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if len(drops) < 10 || len(nulls) < 50 {
		t.Fatalf("%d constraints and %d columns: the catalogue was read wrongly", len(drops), len(nulls))
	}
	for _, sql := range append(drops, nulls...) {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// another is an expression of another value of the column's type.
var another = map[string]string{
	"text":        "%s || 'x'",
	"smallint":    "%s + 1",
	"integer":     "%s + 1",
	"bigint":      "%s + 1",
	"boolean":     "NOT %s",
	"timestamptz": "%s + interval '1 microsecond'",
	"interval":    "%s + interval '1 microsecond'",
	"jsonb":       `jsonb_build_object('altered', %s)`,
	"text[]":      "%s || ARRAY['']",
	"bytea":       "set_byte(%[1]s, 0, get_byte(%[1]s, 0) # 1)",
}

// some is a value of the column's type in place of a null.
var some = map[string]string{
	"text": "''", "smallint": "1", "integer": "1", "bigint": "1", "boolean": "true", "timestamptz": "'2026-01-01Z'",
	"interval": "'1 day'", "jsonb": "'{}'", "text[]": "'{}'", "bytea": `'\x00'`,
}

// spoiling is tables that a test harms in one place after the other, mending
// each before the next.
type spoiling struct {
	*testing.T
	log   *memlog.Log
	pool  *pgxpool.Pool
	store *pgstore.Store
	want  []string // the tables as they should be
}

func newSpoiling(t *testing.T) *spoiling {
	t.Helper()
	return newSpoilingIn(t, pgstore.EventsIndex)
}

func newSpoilingIn(t *testing.T, mode pgstore.EventsMode) *spoiling {
	t.Helper()
	pool := newTablesIn(t, mode)
	log, workflows := written(t, historytest.Seeded(8, 90), historytest.Options{Workflows: 5})
	// One run that has everything a column can hold.
	full := events.Workflow{Namespace: "default", ID: "full"}
	if _, err := log.Append(t.Context(), events.Request{Workflow: full, Events: fullHistory()}); err != nil {
		t.Fatal(err)
	}
	store := storeOn(t, pool, pgstore.Config{})
	projectAll(t, log, store, 0)
	mustAgree(t, log, store, pool, append(workflows, full))
	unguarded(t, pool)
	return &spoiling{T: t, log: log, pool: pool, store: store, want: dump(t, pool)}
}

// place is the row that is harmed.
type place struct {
	workflow events.Workflow
	run      events.RunID
	rest     string // the key behind the run
}

// pick takes a row of a table, the last by key of those where the condition
// holds.
func (s *spoiling) pick(table pgstore.Table, condition string) (where string, p place, ok bool) {
	s.Helper()
	var keys, run, rest []string
	for _, c := range table.Columns {
		if c.Key {
			keys = append(keys, c.Name)
		}
	}
	run = []string{"''"}
	if len(keys) > 3 {
		run = keys[3:4]
	}
	for _, k := range keys[min(4, len(keys)):] {
		rest = append(rest, fmt.Sprintf("' %s ' || %[1]s", k))
	}
	from := "annals_executions_1." + table.Name + " AS t"
	switch table.Name {
	case "commits":
		rest = []string{"' sequence ' || sequence"}
	case "run_events":
		run, rest = []string{"run_id"}, []string{"' event_id ' || event_id"}
		from += " JOIN annals_executions_1.executions AS x USING (slot, run_no)"
	}
	var ctid string
	err := s.pool.QueryRow(s.Context(), fmt.Sprintf("SELECT t.ctid::text, namespace, workflow_id, %s, %s FROM %s WHERE %s ORDER BY (%s) DESC LIMIT 1",
		run[0], strings.Join(append(rest, "''"), " || "), from, condition, strings.Join(keys, ", "))).
		Scan(&ctid, &p.workflow.Namespace, &p.workflow.ID, &p.run, &p.rest)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", place{}, false
	}
	if err != nil {
		s.Fatal(err)
	}
	return fmt.Sprintf("ctid = '%s'", ctid), p, true
}

func (s *spoiling) exec(sql string) {
	s.Helper()
	tag, err := s.pool.Exec(s.Context(), sql)
	if err != nil || tag.RowsAffected() != 1 {
		s.Fatalf("%s: %d rows, %v", sql, tag.RowsAffected(), err)
	}
}

// mend restores a table from its copy, and checks that it is as it was.
func (s *spoiling) mend(table string) {
	s.Helper()
	if _, err := s.pool.Exec(s.Context(), fmt.Sprintf("DELETE FROM annals.%[1]s; INSERT INTO annals.%[1]s SELECT * FROM copy_%[1]s", table)); err != nil {
		s.Fatal(err)
	}
}

func (s *spoiling) copy(table string) {
	s.Helper()
	if _, err := s.pool.Exec(s.Context(), fmt.Sprintf("CREATE TABLE copy_%[1]s AS SELECT * FROM annals.%[1]s", table)); err != nil {
		s.Fatal(err)
	}
}

// finds fails unless Verify finds exactly these kinds, in any order, each about
// the place in the view (and the column, if one is named); and the same if it
// is asked about the workflow alone.
func (s *spoiling) finds(view, column string, p place, kinds ...string) {
	s.Helper()
	for _, o := range []pgstore.VerifyOptions{{Wait: -1}, {Wait: -1, Workflow: &p.workflow}} {
		var got []string
		for _, d := range verify(s, s.log, s.store, o).Differences {
			got = append(got, d.Kind)
			text := fmt.Sprintf("annals.%s%s", view, p.rest)
			if column != "" && d.Kind == pgstore.KindColumn {
				text += " column " + column + ":"
			}
			if d.Workflow != p.workflow && d.Kind != pgstore.KindExtra || d.Run != p.run && d.Kind != pgstore.KindExtra || !strings.HasPrefix(d.Where, text) && d.Kind != pgstore.KindExtra {
				s.Errorf("%s %s %s: %s\nwant it at %s %s: %s", d.Kind, d.Workflow, d.Run, d.Where, p.workflow, p.run, text)
			}
		}
		want := slices.Clone(kinds)
		if o.Workflow != nil && column != "" && slices.Contains([]string{"slot", "namespace", "workflow_id", "run_no"}, column) && (len(kinds) == 2 || view == "commits") {
			want = []string{pgstore.KindMissing} // the row is another workflow's now
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			s.Errorf("one workflow %v: found %v, want %v", o.Workflow != nil, got, want)
		}
	}
}

// Every cell of every table is compared: changed, made null, and made something
// where it was null.
func TestVerifyFindsEveryChangedCell(t *testing.T) {
	t.Parallel()
	for _, mode := range []pgstore.EventsMode{pgstore.EventsIndex, pgstore.EventsFull} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			findsEveryChangedCell(newSpoilingIn(t, mode), tablesOnlyIn(mode))
		})
	}
}

// tablesOnlyIn are the tables of a mode, but for those that EventsIndex has too.
func tablesOnlyIn(mode pgstore.EventsMode) []pgstore.Table {
	all := pgstore.Described(mode)
	if mode == pgstore.EventsIndex {
		return all
	}
	return slices.DeleteFunc(all, func(t pgstore.Table) bool {
		return slices.ContainsFunc(pgstore.Described(pgstore.EventsIndex), func(x pgstore.Table) bool { return x.Name == t.Name })
	})
}

func findsEveryChangedCell(s *spoiling, tables []pgstore.Table) {
	t := s.T
	t.Helper()
	cells := 0
	for _, table := range tables {
		s.copy(table.Name)
		for _, column := range table.Columns {
			expression, known := another[column.Type]
			if !known {
				t.Fatalf("no other value of type %s", column.Type)
			}
			changes := map[string]string{column.Name + " IS NOT NULL": fmt.Sprintf(expression, column.Name)}
			if !column.Key {
				changes[column.Name+" IS NOT NULL AND true"] = "NULL"
				changes[column.Name+" IS NULL"] = some[column.Type]
			}
			for condition, value := range changes {
				if column.Key { // to the slot above the last one nothing belongs
					condition += " AND slot < 1023"
				}
				where, p, ok := s.pick(table, condition)
				if !ok {
					if value != some[column.Type] {
						t.Errorf("%s.%s: no row to change: the histories prove nothing about it", table.Name, column.Name)
					}
					continue
				}
				s.exec(fmt.Sprintf("UPDATE annals_executions_1.%s SET %s = %s WHERE %s", table.Name, column.Name, value, where))
				kinds := []string{pgstore.KindColumn}
				if column.Key {
					kinds = []string{pgstore.KindExtra, pgstore.KindMissing}
				}
				s.finds(table.Face, column.Name, p, kinds...)
				if t.Failed() {
					t.Fatalf("%s.%s = %s", table.Name, column.Name, value)
				}
				s.mend(table.Name)
				cells++
			}
		}
	}
	if diff := slices.Compare(s.want, dump(t, s.pool)); diff != 0 {
		t.Error("the test did not mend what it harmed")
	}
	if ds := verify(t, s.log, s.store, noWait).Differences; len(ds) > 0 {
		t.Errorf("in the end: %v", ds)
	}
	t.Logf("%d cells changed, each found", cells)
}

func TestVerifyFindsRowsThatAreMissingOrTooMany(t *testing.T) {
	t.Parallel()
	for _, mode := range []pgstore.EventsMode{pgstore.EventsIndex, pgstore.EventsFull} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			findsRowsThatAreMissingOrTooMany(newSpoilingIn(t, mode), tablesOnlyIn(mode))
		})
	}
}

func findsRowsThatAreMissingOrTooMany(s *spoiling, tables []pgstore.Table) {
	t := s.T
	t.Helper()
	for _, table := range tables {
		s.copy(table.Name)
		where, p, _ := s.pick(table, "true")
		s.exec(fmt.Sprintf("DELETE FROM annals_executions_1.%s WHERE %s", table.Name, where))
		s.finds(table.Face, "", p, pgstore.KindMissing)
		s.mend(table.Name)

		// The same row once more, of a workflow that the log does not have, of
		// a run, and at an event that the log does not have.
		last := ""
		for _, c := range table.Columns {
			if c.Key {
				last = c.Name
			}
		}
		other := "workflow_id"
		switch table.Name {
		case "run_events":
			other = "event_id"
		case "commits":
			other = "sequence"
		}
		for _, key := range []string{other, last} {
			var columns, values []string
			for _, c := range table.Columns {
				v := c.Name
				if c.Name == key {
					v = fmt.Sprintf(another[c.Type], c.Name)
				}
				columns, values = append(columns, c.Name), append(values, v)
			}
			_, p, _ := s.pick(table, "true")
			s.exec(fmt.Sprintf("INSERT INTO annals_executions_1.%s (%s) SELECT %s FROM annals_executions_1.%s WHERE %s", table.Name, strings.Join(columns, ", "), strings.Join(values, ", "), table.Name, whereOf(s, table)))
			ds := verify(t, s.log, s.store, noWait).Differences
			if len(ds) != 1 || ds[0].Kind != pgstore.KindExtra || !strings.HasPrefix(ds[0].Where, "annals."+table.Face) ||
				key == "workflow_id" && ds[0].Workflow.ID != p.workflow.ID+"x" || key != "workflow_id" && key != "run_no" && ds[0].Workflow != p.workflow {
				t.Errorf("a row added to %s with another %s: found %v", table.Name, key, ds)
			}
			s.mend(table.Name)
		}
	}
	if ds := verify(t, s.log, s.store, noWait).Differences; len(ds) > 0 {
		t.Errorf("in the end: %v", ds)
	}
}

func whereOf(s *spoiling, table pgstore.Table) string {
	s.Helper()
	where, _, ok := s.pick(table, "true")
	if !ok {
		s.Fatal("no row of " + table.Name)
	}
	return where
}

func TestVerifyFindsWrongCheckpoints(t *testing.T) {
	t.Parallel()
	s := newSpoiling(t)
	s.copy("checkpoints")
	const first = " WHERE partition = 0 AND projection = 'executions'"
	for _, tt := range []struct{ name, sql, kind, says string }{
		{"another log", "UPDATE annals.checkpoints SET log_id = 'x'" + first, pgstore.KindCheckpoint, "made from log x"},
		{"another epoch of the log", "UPDATE annals.checkpoints SET log_epoch = log_epoch + 1" + first, pgstore.KindCheckpoint, "made in epoch 2"},
		{"beyond the end", "UPDATE annals.checkpoints SET sequence = sequence + 1" + first, pgstore.KindCheckpoint, "the log ends at"},
		{"one commit back, with the hash of the next", "UPDATE annals.checkpoints SET sequence = sequence - 1" + first, pgstore.KindCheckpoint, "another commit there"},
		{"another hash", "UPDATE annals.checkpoints SET commit_hash = set_byte(commit_hash, 3, get_byte(commit_hash, 3) # 1)" + first, pgstore.KindCheckpoint, "another commit there"},
		{"another time", "UPDATE annals.checkpoints SET commit_time = commit_time + interval '1 microsecond'" + first, pgstore.KindCheckpoint, "was stored at"},
		{"of a partition that the log does not have", "INSERT INTO annals.checkpoints SELECT projection, 77, log_id, log_epoch, epoch, sequence, commit_hash, commit_time, updated_at, generation FROM annals.checkpoints" + first, pgstore.KindCheckpoint, "partition 77: the log has 3 partitions"},
		{"of a partition that the log does not have, moved there", "UPDATE annals.checkpoints SET partition = 78 WHERE partition = 1", pgstore.KindCheckpoint, "partition 78: the log has 3 partitions"},
		{"gone", "DELETE FROM annals.checkpoints" + first, pgstore.KindLag, "partition 0: the tables are at 0"},
		{"of another projection", "UPDATE annals.checkpoints SET projection = 'x'" + first, pgstore.KindLag, "partition 0: the tables are at 0"},
	} {
		s.exec(tt.sql)
		found := false
		for _, d := range verify(t, s.log, s.store, noWait).Differences {
			found = found || d.Kind == tt.kind && strings.Contains(d.Where, tt.says)
		}
		if !found {
			t.Errorf("%s: found %v", tt.name, verify(t, s.log, s.store, noWait).Differences)
		}
		s.mend("checkpoints")
	}
	if ds := verify(t, s.log, s.store, noWait).Differences; len(ds) > 0 {
		t.Errorf("in the end: %v", ds)
	}
}

// Where a checkpoint does not fit, exactly those workflows are named whose last
// commit in the tables is not in the log.
func TestVerifyNamesTheWorkflowsThatTheLogLost(t *testing.T) {
	t.Parallel()
	s := newSpoiling(t)
	s.copy("checkpoints")
	s.copy("workflows")
	var w events.Workflow
	var partition, last int64
	if err := s.pool.QueryRow(t.Context(), `SELECT namespace, workflow_id, partition, last_sequence FROM annals.workflows ORDER BY last_sequence LIMIT 1`).Scan(&w.Namespace, &w.ID, &partition, &last); err != nil {
		t.Fatal(err)
	}
	const of = " WHERE (namespace, workflow_id) = "
	row := fmt.Sprintf("%s('%s', '%s')", of, w.Namespace, strings.ReplaceAll(w.ID, "'", "''"))
	for _, tt := range []struct{ name, sql, says string }{
		{"none", "", ""},
		{"another hash", "UPDATE annals.workflows SET last_hash = set_byte(last_hash, 3, get_byte(last_hash, 3) # 1)" + row, "the log has another there, with chain hash"},
		{"beyond the end", "UPDATE annals.workflows SET last_sequence = 1000" + row, fmt.Sprintf("position %d:1000: the tables have a commit", partition)},
		{"another workflow's place", fmt.Sprintf("UPDATE annals.workflows SET last_sequence = last_sequence + 1%s AND last_sequence < (SELECT max(last_sequence) FROM annals.workflows WHERE partition = %d)", row, partition), "the log has a message of subject"},
	} {
		s.exec(fmt.Sprintf("UPDATE annals.checkpoints SET log_epoch = log_epoch + 1 WHERE partition = %d AND projection = 'executions'", partition))
		if tt.sql != "" {
			s.exec(tt.sql)
		}
		for _, o := range []pgstore.VerifyOptions{noWait, {Wait: -1, Workflow: &w}} {
			ds := verify(t, s.log, s.store, o).Differences
			if len(ds) == 0 || ds[0].Kind != pgstore.KindCheckpoint {
				t.Fatalf("%s: found %v, want a wrong checkpoint first", tt.name, ds)
			}
			ds = ds[1:]
			if tt.says == "" && len(ds) > 0 || tt.says != "" && (len(ds) != 1 || ds[0].Kind != pgstore.KindNotInLog || ds[0].Workflow != w || !strings.Contains(ds[0].Where, tt.says)) {
				t.Errorf("%s: found %v, want %q", tt.name, ds, tt.says)
			}
		}
		s.mend("checkpoints")
		s.mend("workflows")
	}
	// Of another log the places mean nothing.
	s.exec(fmt.Sprintf("UPDATE annals.checkpoints SET log_id = 'x' WHERE partition = %d AND projection = 'executions'", partition))
	if ds := verify(t, s.log, s.store, noWait).Differences; len(ds) != 1 {
		t.Errorf("another log: found %v, want the wrong checkpoint alone", ds)
	}
}

// What the tables do not have yet is a difference too, and the only one.
func TestVerifyReportsLag(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	log := newLog(t, 2)
	g := historytest.New(historytest.Options{})
	store := storeOn(t, pool, pgstore.Config{})
	if err := g.AppendAll(t.Context(), log, historytest.Seeded(1, 50)); err != nil {
		t.Fatal(err)
	}
	behind := ends(t, log).Positions()
	projectAll(t, log, store, 0)
	if err := g.AppendAll(t.Context(), log, historytest.Seeded(2, 50)); err != nil {
		t.Fatal(err)
	}
	now := ends(t, log).Positions()
	ds := verify(t, log, store, pgstore.VerifyOptions{Wait: time.Millisecond}).Differences
	if len(ds) != len(behind) {
		t.Errorf("found %v, want one difference a partition", ds)
	}
	for i, d := range ds {
		first := events.Position{Partition: behind[i].Partition, Sequence: behind[i].Sequence + 1}
		want := fmt.Sprintf("partition %d: the tables are at %d, the log was at %d; the first that they lack is at %s", behind[i].Partition, behind[i].Sequence, now[i].Sequence, first)
		if d.Kind != pgstore.KindLag || d.Where != want {
			t.Errorf("%s: %s, want %s", d.Kind, d.Where, want)
		}
		m, err := log.Message(t.Context(), first)
		if err != nil {
			t.Fatal(err)
		}
		if m.Subject != d.Workflow.Subject() {
			t.Errorf("%s names %s, the commit is one of %s", d.Kind, d.Workflow, m.Subject)
		}
	}
	// One workflow lags only if a commit of its own is not there.
	for _, w := range g.Workflows() {
		tail, err := log.Tail(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		p := tail.Position()
		var want []pgstore.Difference
		for _, b := range behind {
			if b.Partition == p.Partition && b.Sequence < p.Sequence {
				want = []pgstore.Difference{{Kind: pgstore.KindLag, Workflow: w, Where: fmt.Sprintf("partition %d: the tables are at %d, the workflow ended at %d", p.Partition, b.Sequence, p.Sequence)}}
			}
		}
		if diff := cmp.Diff(want, verify(t, log, store, pgstore.VerifyOptions{Wait: -1, Workflow: &w}).Differences); diff != "" {
			t.Errorf("%s alone (-want +got):\n%s", w, diff)
		}
	}
	// It waits for a projector that is on its way.
	r := start(t, log, store, projection.Config{})
	if ds := verify(t, log, store, pgstore.VerifyOptions{Wait: patience}).Differences; len(ds) > 0 {
		t.Errorf("with a projector: %v", ds)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

// An altered log is told from altered tables: the workflow whose log cannot be
// folded is named with the place, and the others are compared as ever.
func TestVerifyReportsWhatCannotBeFolded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		alter func(*testing.T, *events.Message)
		says  string
	}{
		{"a body", alterBody, "the chain is broken"},
		{"a body that is none", func(_ *testing.T, m *events.Message) { m.Body = []byte{1} }, "body is not a History"},
		{"a hash", func(_ *testing.T, m *events.Message) { m.Header["A-Chain"] = []string{strings.Repeat("A", 22)} }, "the chain is broken"},
		{"a commit id", func(_ *testing.T, m *events.Message) { m.Header["A-Commit"] = []string{"other"} }, "the chain is broken"},
		{"no envelope", func(_ *testing.T, m *events.Message) { m.Header = nil }, "is missing"},
	} {
		for _, last := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, at the end %v", tt.name, last), func(t *testing.T) {
				t.Parallel()
				pool := newTables(t)
				log := newLog(t, 1)
				g := historytest.New(historytest.Options{Workflows: 5})
				if err := g.AppendAll(t.Context(), log, historytest.Seeded(1, 60)); err != nil {
					t.Fatal(err)
				}
				store := storeOn(t, pool, pgstore.Config{})
				projectAll(t, log, store, 0)
				at := events.Position{Sequence: 30}
				if last {
					at.Sequence = 60
				}
				m, err := log.Message(t.Context(), at)
				if err != nil {
					t.Fatal(err)
				}
				w, err := events.ParseSubject(m.Subject)
				if err != nil {
					t.Fatal(err)
				}
				log.Alter(at, func(m *events.Message) { tt.alter(t, m) })
				for _, o := range []pgstore.VerifyOptions{noWait, {Wait: -1, Workflow: &w}} {
					ds := verify(t, log, store, o).Differences
					if len(ds) == 2 && last && ds[0].Kind == pgstore.KindCheckpoint && ds[1].Kind == pgstore.KindNotInLog && ds[1].Workflow == w && strings.Contains(ds[1].Where, at.String()) {
						ds = ds[:1] // where the checkpoint meets it, the workflow is named with it
					}
					if len(ds) != 1 || !strings.Contains(ds[0].Where, at.String()) {
						t.Fatalf("found %v, want one at %s", ds, at)
					}
					d := ds[0]
					switch { // at the end it is the checkpoint that meets it first, if it is in the envelope
					case d.Kind == pgstore.KindNotFolded && d.Workflow == w && strings.Contains(d.Where, tt.says):
					case last && d.Kind == pgstore.KindCheckpoint && (d.Workflow == w || strings.Contains(d.Where, "another commit")):
					default:
						t.Errorf("%s %s: %s", d.Kind, d.Workflow, d.Where)
					}
				}
				// Another workflow's rows are compared all the same.
				if last {
					return
				}
				if _, err := pool.Exec(t.Context(), `UPDATE annals.executions SET attempt = attempt + 1 WHERE (namespace, workflow_id) <> ($1, $2)`, w.Namespace, w.ID); err != nil {
					t.Fatal(err)
				}
				others := 0
				for _, d := range verify(t, log, store, noWait).Differences {
					if d.Kind == pgstore.KindColumn && d.Workflow != w {
						others++
					}
				}
				if others == 0 {
					t.Error("the rows of other workflows were not compared")
				}
			})
		}
	}
}

// The list ends, the count does not.
func TestVerifyListsAThousandDifferences(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	log, _ := written(t, historytest.Seeded(4, 700), historytest.Options{Workflows: 20})
	store := storeOn(t, pool, pgstore.Config{})
	projectAll(t, log, store, 0)
	n, err := pool.Exec(t.Context(), `UPDATE annals.run_events SET name = name || 'x'`)
	if err != nil {
		t.Fatal(err)
	}
	r := verify(t, log, store, noWait)
	if len(r.Differences) != 1000 || r.Unlisted != n.RowsAffected()-1000 {
		t.Errorf("%d listed and %d not, of %d", len(r.Differences), r.Unlisted, n.RowsAffected())
	}
}

func TestVerifyFails(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	log, _ := written(t, historytest.Seeded(4, 10), historytest.Options{})
	store := storeOn(t, pool, pgstore.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.Verify(ctx, log, pgstore.VerifyOptions{}); err == nil {
		t.Error("a verification that was canceled ended without an error")
	}
}
