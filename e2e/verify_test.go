package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// A check that finds nothing must be able to find something: whatever is changed
// behind the programs' back, verify exits 1 and names the workflow and the place.
func TestVerifyFindsWhatWasChanged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeHistories(t, dir) // which have something for each table: there are twenty checks of them all
	e, _ := newEnvironment(t)
	p := e.startProjector()
	e.annals(0, "import", "--ids", "file", dir)
	e.annals(0, "verify")
	p.kill()
	conn, err := pgx.Connect(t.Context(), e.database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()

	changed := map[string]string{
		"executions": "task_queue = task_queue || 'x'", "workflows": "runs = runs + 1", "activities": "worker_identity = worker_identity || 'x'",
		"timers": "timer_id = timer_id || 'x'", "children": "child_type = child_type || 'x'",
	}
	for table, set := range changed {
		var rows int
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM annals_executions_1."+table).Scan(&rows); err != nil {
			t.Fatal(err)
		}
		if rows == 0 {
			t.Fatalf("annals.%s is empty: nothing to change", table)
		}
		pick := "(SELECT ctid FROM annals_executions_1." + table + " ORDER BY namespace, workflow_id LIMIT 1)"
		rename := ", workflow_id || ' copy' AS workflow_id"
		for _, tc := range []struct{ name, kind, sql string }{
			{"one cell changed", "wrong column", "UPDATE annals_executions_1." + table + " SET " + set + " WHERE ctid = " + pick + " RETURNING workflow_id"},
			{"one row dropped", "missing row", "DELETE FROM annals_executions_1." + table + " WHERE ctid = " + pick + " RETURNING workflow_id"},
			{"one row added", "extra row", fmt.Sprintf("INSERT INTO annals_executions_1.%s SELECT %s FROM (SELECT t.* %s FROM annals_executions_1.%s AS t WHERE ctid = %s) AS r RETURNING workflow_id",
				table, e.columns(t, conn, table), strings.Replace(rename, "AS workflow_id", "AS added", 1), table, pick)},
		} {
			t.Run(table+"/"+tc.name, func(t *testing.T) {
				e.vandalise(t, conn, table, table, tc.sql, tc.kind)
			})
		}
	}
	const (
		anEvent = "v.ctid = (SELECT ctid FROM annals_executions_1.run_events ORDER BY slot, run_no, event_id LIMIT 1)"
		itsRun  = "annals_executions_1.executions AS x WHERE (x.slot, x.run_no) = (v.slot, v.run_no) AND " + anEvent + " RETURNING workflow_id"
	)
	for _, tc := range []struct{ name, kind, sql string }{
		{"one cell changed", "wrong column", "UPDATE annals_executions_1.run_events AS v SET name = name || 'x' FROM " + itsRun},
		{"one row dropped", "missing row", "DELETE FROM annals_executions_1.run_events AS v USING " + itsRun},
		{"one row added", "extra row", `WITH added AS (
			INSERT INTO annals_executions_1.run_events SELECT slot, event_id + 1000000, run_no, sequence, time, type, name FROM annals_executions_1.run_events AS v WHERE ` + anEvent + ` RETURNING slot, run_no)
			SELECT workflow_id FROM added JOIN annals_executions_1.executions USING (slot, run_no)`},
	} {
		t.Run("events/"+tc.name, func(t *testing.T) {
			e.vandalise(t, conn, "run_events", "annals.events", tc.sql, tc.kind)
		})
	}
	t.Run("one message altered", func(t *testing.T) {
		e.alterMessage(t)
	})
	t.Run("tables that were thrown away are made again", func(t *testing.T) {
		if _, err := conn.Exec(t.Context(), "DROP SCHEMA annals CASCADE"); err != nil {
			t.Fatal(err)
		}
		if r := e.run("projector", "migrate"); r.code != 0 {
			t.Fatalf("projector migrate: exit code %d\n%s", r.code, r.stderr)
		}
		p.start()
		e.annals(0, "verify")
	})
}

// columns lists a table's columns, with the workflow id replaced by "added".
func (e environment) columns(t *testing.T, conn *pgx.Conn, table string) string {
	t.Helper()
	var list string
	err := conn.QueryRow(t.Context(), `SELECT string_agg(CASE attname WHEN 'workflow_id' THEN 'added' ELSE attname END, ', ' ORDER BY attnum)
		FROM pg_attribute WHERE attrelid = ('annals_executions_1.' || $1)::regclass AND attnum > 0 AND NOT attisdropped`, table).Scan(&list)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// vandalise changes a table, has verify find it where it says, and puts the table
// back.
func (e environment) vandalise(t *testing.T, conn *pgx.Conn, table, where, sql, kind string) {
	t.Helper()
	exec := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	exec("CREATE TABLE public.kept AS TABLE annals_executions_1." + table)
	defer func() {
		exec("TRUNCATE annals_executions_1." + table)
		exec("INSERT INTO annals_executions_1." + table + " TABLE public.kept")
		exec("DROP TABLE public.kept")
	}()
	var workflow string
	if err := conn.QueryRow(t.Context(), sql).Scan(&workflow); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	v := parse[verified](t, e.annals(1, "verify", "-o", "json"))
	for _, d := range v.Differences {
		if d.Kind == kind && d.Workflow == workflow && strings.Contains(d.Where, where) {
			return
		}
	}
	t.Errorf("no difference of kind %q names %s and %s: %+v", kind, workflow, where, v.Differences)
}

// alterMessage puts a log on a server of its own that is this one but for one
// byte of one message, and has verify find it.
func (e environment) alterMessage(t *testing.T) {
	t.Helper()
	from := e.log(t)
	other := e
	other.nats = testenv.NATSURL(t)
	nc := testenv.Connect(t, other.nats)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	source, err := jetstream.New(from.Conn())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{natslog.HeartbeatStream, natslog.ControlStream} {
		beside, err := source.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.CreateStream(t.Context(), beside.CachedInfo().Config); err != nil {
			t.Fatal(err)
		}
	}
	var altered events.Workflow
	var position events.Position
	for p := range events.Partition(from.Identity().Map.Partitions()) {
		s, err := source.Stream(t.Context(), natslog.StreamName(p))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.CreateStream(t.Context(), s.CachedInfo().Config); err != nil {
			t.Fatal(err)
		}
		b, err := from.Bounds(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if b.Last < b.First {
			continue
		}
		for m, err := range from.Follow(t.Context(), p, events.FollowOptions{Until: b.Last}) {
			if err != nil {
				t.Fatal(err)
			}
			body := append([]byte(nil), m.Body...)
			if altered == (events.Workflow{}) && m.Position.Sequence == b.Last {
				body[len(body)-1] ^= 1
				position = m.Position
				if altered, err = events.ParseSubject(m.Subject); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: m.Subject, Header: nats.Header(m.Header), Data: body}); err != nil {
				t.Fatal(err)
			}
		}
	}
	v := parse[verified](t, other.annals(1, "verify", "-o", "json"))
	for _, d := range v.Differences {
		if d.Workflow == altered.ID && strings.Contains(d.Where, position.String()) {
			return
		}
	}
	t.Errorf("no difference names %s and %s: %+v", altered, position, v.Differences)
}
