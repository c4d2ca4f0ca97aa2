package pgstore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/pkg/events"
)

// knownRun is a run as tests of filters see it: all that can be asked about it.
type knownRun struct {
	workflow, run, kind, status, queue string
	start, execution, closed           *time.Time
	duration                           *int64
	length, size                       int64
	parent, parentRun                  *string
	root, rootRun                      string
	// attributes are what search_values has: string, int64, float64, bool,
	// time.Time or []string.
	attributes map[string]any
	failures   []string // the last one's message and those of its causes
	activities []thing
	children   []thing
	timers     []timer
	events     []event
}

type thing struct {
	name    string
	pending bool
}

type timer struct {
	due     *time.Time
	pending bool
}

type event struct{ typ, name string }

func (s *knownRun) id() string { return s.workflow + "/" + s.run }

func (s *knownRun) isOpen() bool { return s.status == "Running" || s.status == "Paused" }

// ifOpen is what an open run has pending; what a closed one never ended waits for
// nothing.
func (s *knownRun) ifOpen(names []string) []string {
	if s.isOpen() {
		return names
	}
	return nil
}

// pending are the names of what is.
func pending(things []thing) []string {
	var names []string
	for _, t := range things {
		if t.pending {
			names = append(names, t.name)
		}
	}
	return names
}

// attributeTypes are what runs' attributes are registered as.
var attributeTypes = map[string]string{
	"Customer": "Keyword", "Labels": "KeywordList", "Note": "Text", "Flag": "Bool", "Amount": "Int", "Ratio": "Double", "Due": "Datetime", "an odd.Name": "Keyword",
}

// stage writes runs into tables past the projector. What it does not know of a
// table's columns it leaves empty, or zero where they may not be.
type stage struct {
	pool   *pgxpool.Pool
	zeroes map[string]map[string]string // of columns by table
	runs   int64                        // that were written
}

func newStage(t testing.TB, pool *pgxpool.Pool) *stage {
	t.Helper()
	rows, err := pool.Query(t.Context(), `
		SELECT table_name, column_name, data_type FROM information_schema.columns
		WHERE table_schema = 'annals_executions_1' AND is_nullable = 'NO' AND column_default IS NULL`)
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{pool: pool, zeroes: map[string]map[string]string{}}
	var table, column, typ string
	_, err = pgx.ForEachRow(rows, []any{&table, &column, &typ}, func() error {
		zero, ok := map[string]string{
			"text": "''", "boolean": "false", "smallint": "1", "integer": "1", "bigint": "1", "jsonb": "'{}'", "bytea": "'\\x00'", "ARRAY": "'{}'", "timestamp with time zone": "'2026-01-31Z'",
		}[typ]
		if !ok {
			return fmt.Errorf("no zero for %s", typ)
		}
		if s.zeroes[table] == nil {
			s.zeroes[table] = map[string]string{}
		}
		s.zeroes[table][column] = zero
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// queue has a row inserted.
func (s *stage) queue(b *pgx.Batch, table string, values map[string]any) {
	var columns, sql []string
	var args []any
	for _, c := range slices.Sorted(maps.Keys(values)) {
		args = append(args, values[c])
		columns, sql = append(columns, c), append(sql, fmt.Sprintf("$%d", len(args)))
	}
	for _, c := range slices.Sorted(maps.Keys(s.zeroes[table])) {
		if _, given := values[c]; !given {
			columns, sql = append(columns, c), append(sql, s.zeroes[table][c])
		}
	}
	b.Queue("INSERT INTO annals_executions_1."+table+" ("+strings.Join(columns, ", ")+") VALUES ("+strings.Join(sql, ", ")+")", args...)
}

// register registers the attributes of such runs.
func (s *stage) register(t failer, namespace string) {
	t.Helper()
	var b pgx.Batch
	for name, typ := range attributeTypes {
		b.Queue("INSERT INTO annals.search_attributes VALUES ($1, $2, $3, 1, now(), '', NULL, NULL)", namespace, name, typ)
	}
	s.send(t, &b)
}

func (s *stage) send(t failer, b *pgx.Batch) {
	t.Helper()
	if b.Len() == 0 {
		return
	}
	if err := s.pool.SendBatch(context.Background(), b).Close(); err != nil {
		t.Fatal(err)
	}
}

func (s *stage) exec(t failer, sql string, args ...any) {
	t.Helper()
	if _, err := s.pool.Exec(context.Background(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func (s *stage) play(t failer, namespace string, runs ...*knownRun) {
	t.Helper()
	var b pgx.Batch
	for _, r := range runs {
		w := events.Workflow{Namespace: namespace, ID: r.workflow}
		of := func(more map[string]any) map[string]any {
			more["slot"], more["namespace"], more["workflow_id"], more["run_id"] = int16(w.Slot()), namespace, r.workflow, r.run
			return more
		}
		row := of(map[string]any{
			"status": r.status, "workflow_type": r.kind, "task_queue": r.queue, "start_time": r.start, "execution_time": r.execution, "close_time": r.closed,
			"execution_duration": r.duration, "history_length": r.length, "history_size_bytes": r.size, "parent_workflow_id": r.parent, "parent_run_id": r.parentRun,
			"root_workflow_id": r.root, "root_run_id": r.rootRun, "search_values": searchValues(r.attributes),
			"pending_activities": len(pending(r.activities)), "pending_children": len(pending(r.children)), "pending_timers": 0,
		})
		s.runs++
		row["run_no"] = s.runs
		if r.isOpen() {
			row["state"] = []byte{0}
		}
		if len(r.failures) > 0 {
			row["last_failure"] = r.failures[0]
			if len(r.failures) > 1 {
				row["last_failure_causes"] = r.failures[1:]
			}
		}
		closedBy := func(pending bool) *int64 {
			if pending {
				return nil
			}
			id := int64(99)
			return &id
		}
		for i, a := range r.activities {
			status := map[bool]string{true: "Started", false: "Completed"}[a.pending]
			s.queue(&b, "activities", of(map[string]any{"scheduled_event_id": i + 1, "activity_type": a.name, "status": status, "closed_event_id": closedBy(a.pending)}))
		}
		for i, c := range r.children {
			status := map[bool]string{true: "Started", false: "Completed"}[c.pending]
			s.queue(&b, "children", of(map[string]any{"initiated_event_id": i + 1, "child_type": c.name, "status": status, "closed_event_id": closedBy(c.pending)}))
		}
		timers := 0
		for i, c := range r.timers {
			status := map[bool]string{true: "Started", false: "Fired"}[c.pending]
			if c.pending {
				timers++
			}
			s.queue(&b, "timers", of(map[string]any{"started_event_id": i + 1, "fire_time": c.due, "status": status, "closed_event_id": closedBy(c.pending)}))
		}
		row["pending_timers"] = timers
		for i, e := range r.events {
			s.queue(&b, "run_events", map[string]any{"slot": row["slot"], "run_no": s.runs, "event_id": i + 1, "type": e.typ, "name": e.name})
		}
		s.queue(&b, "executions", row)
	}
	s.send(t, &b)
}

// searchValues are attributes as the column has them.
func searchValues(attributes map[string]any) string {
	stored := map[string]any{}
	for name, v := range attributes {
		if at, ok := v.(time.Time); ok {
			v = at.UTC().Format("2006-01-02T15:04:05.000000Z")
		}
		stored[name] = v
	}
	b, err := json.Marshal(stored)
	if err != nil {
		panic(err) // of values that are made here
	}
	return string(b)
}
