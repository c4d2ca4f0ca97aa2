package pgstore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	commonpb "go.temporal.io/api/common/v1"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/searchattribute"
)

// raw is a payload as a program writes it that says no type, or the one given.
func raw(data, typeName string) *commonpb.Payload {
	p := &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte("json/plain")}, Data: []byte(data)}
	if typeName != "" {
		p.Metadata["type"] = []byte(typeName)
	}
	return p
}

// attributed appends a run with these search attributes.
func attributed(t testing.TB, log events.Appender, id string, fields map[string]*commonpb.Payload, more ...*events.Event) {
	t.Helper()
	start := events.WorkflowStarted("Order", "orders")
	start.GetWorkflowExecutionStartedEventAttributes().SearchAttributes = &commonpb.SearchAttributes{IndexedFields: fields}
	_, err := log.Append(t.Context(), events.Request{Workflow: events.Workflow{Namespace: "shop", ID: id}, Events: append([]*events.Event{start}, more...)})
	if err != nil {
		t.Fatal(err)
	}
}

// typed are the search values and the untyped attributes of a run, by its workflow.
func typed(t testing.TB, pool *pgxpool.Pool, id string) (values map[string]any, untyped []string) {
	t.Helper()
	var b []byte
	err := pool.QueryRow(t.Context(), `SELECT search_values, untyped_attributes FROM annals.executions WHERE namespace = 'shop' AND workflow_id = $1`, id).Scan(&b, &untyped)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &values); err != nil {
		t.Fatal(err)
	}
	return values, untyped
}

// registered registers attributes of the namespace shop.
func registered(t testing.TB, log events.Control, types map[string]searchattribute.Type) {
	t.Helper()
	r := registrar(log, "test")
	for name, typ := range types {
		if _, _, err := r.Register(t.Context(), "shop", name, typ); err != nil {
			t.Fatal(err)
		}
	}
}

// Every type has one form, and what is none of its type is left out.
func TestSearchValuesAreTyped(t *testing.T) {
	t.Parallel()
	pool, log := newTables(t), newLog(t, 2)
	store := storeOn(t, pool, pgstore.Config{})
	registered(t, log, map[string]searchattribute.Type{
		"Customer": searchattribute.Keyword, "Note": searchattribute.Text, "Amount": searchattribute.Int, "Weight": searchattribute.Double,
		"Paid": searchattribute.Bool, "Due": searchattribute.Datetime, "Tags": searchattribute.KeywordList, "Wrong": searchattribute.Int, "Other": searchattribute.Keyword,
	})
	attributed(t, log, "w", map[string]*commonpb.Payload{
		"Customer": raw(`"a\u0000b"`, "Keyword"), "Note": raw(`"größer <b>"`, "Text"), "Amount": raw(`9007199254740993`, "Int"), "Weight": raw(`1.50`, "Double"),
		"Paid": raw(`true`, "Bool"), "Due": raw(`"2026-03-01T12:00:00.1234567+01:00"`, "Datetime"), "Tags": raw(`"one"`, "KeywordList"),
		"Wrong": raw(`"seven"`, ""), "Other": raw(`1`, "Int"), "TemporalScheduledById": raw(`"nightly"`, ""), "Unheard": raw(`1`, ""),
	}, events.WorkflowPaused("audit"))
	p := start(t, log, store, projection.Config{Attributes: registrar(log, "projector")})
	waitFor(t, store, ends(t, log))
	stop := keepRegistry(t, log, pool)
	verified(t, store, log)
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	values, untyped := typed(t, pool, "w")
	var amount string
	if err := pool.QueryRow(t.Context(), `SELECT search_values ->> 'Amount' FROM annals.executions`).Scan(&amount); err != nil || amount != "9007199254740993" {
		t.Errorf("an Int is not exact: %s, %v", amount, err)
	}
	delete(values, "Amount")
	want := map[string]any{
		"Customer": "a\uFFFDb", "Note": "größer <b>", "Weight": 1.5, "Paid": true, "Due": "2026-03-01T11:00:00.123456Z", "Tags": []any{"one"},
		"TemporalScheduledById": "nightly", "TemporalPauseInfo": []any{"Workflow:w", "Reason:audit"},
	}
	if diff := cmp.Diff(want, values); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"Unheard"}, untyped); diff != "" {
		t.Errorf("untyped (-want +got):\n%s", diff)
	}
}

// A type that comes after the values is given to them: whether the registry's keeper is
// there before the rows, or after them, or at the same time, and as if the tables were
// made anew.
func TestTypesThatComeLater(t *testing.T) {
	t.Parallel()
	pool, log := newTables(t), newLog(t, 2)
	store := storeOn(t, pool, pgstore.Config{})
	for i := range 20 {
		attributed(t, log, fmt.Sprint("w", i), map[string]*commonpb.Payload{"Amount": raw(fmt.Sprint(i), ""), "Tags": raw(`["x"]`, ""), "Wrong": raw(`"x"`, "")})
	}
	// No registrar: what is in the control stream is known from the tables alone.
	p := start(t, log, store, projection.Config{BatchCommits: 4})
	waitFor(t, store, ends(t, log))
	stop := keepRegistry(t, log, pool)
	if values, untyped := typed(t, pool, "w7"); len(values) != 0 || len(untyped) != 3 {
		t.Errorf("before there are types: %v, untyped %v", values, untyped)
	}
	verified(t, store, log)
	registered(t, log, map[string]searchattribute.Type{"Amount": searchattribute.Int, "Wrong": searchattribute.Bool})
	verified(t, store, log) // waits for the registry
	want := map[string]any{"Amount": 7.0}
	values, untyped := typed(t, pool, "w7")
	if diff := cmp.Diff(want, values); diff != "" || len(untyped) != 1 {
		t.Errorf("typed afterwards, untyped %v (-want +got):\n%s", untyped, diff)
	}
	// What comes now finds the types in the tables, and the rest comes while it does.
	done := make(chan error, 1)
	go func() {
		_, _, err := registrar(log, "late").Register(context.Background(), "shop", "Tags", searchattribute.KeywordList)
		done <- err
	}()
	for i := range 30 {
		attributed(t, log, fmt.Sprint("more", i), map[string]*commonpb.Payload{"Amount": raw(fmt.Sprint(i), ""), "Tags": raw(`["x"]`, "")})
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	waitFor(t, store, ends(t, log))
	verified(t, store, log)
	for _, id := range []string{"w7", "more7"} {
		want := map[string]any{"Amount": 7.0, "Tags": []any{"x"}}
		if values, untyped := typed(t, pool, id); !cmp.Equal(want, values) || untyped != nil {
			t.Errorf("%s has %v, untyped %v", id, values, untyped)
		}
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	again := dump(t, pool)
	empty(t, pool)
	projectAll(t, log, store, 0)
	if diff := cmp.Diff(withoutCheckpoints(again), withoutCheckpoints(dump(t, pool))); diff != "" {
		t.Errorf("made anew (-before +after):\n%s", diff)
	}
}

func withoutCheckpoints(lines []string) (out []string) {
	for _, l := range lines {
		if len(l) < 10 || l[:10] != "checkpoint" {
			out = append(out, l)
		}
	}
	return out
}

// A heal types with what the log has, as the projector does.
func TestHealTypes(t *testing.T) {
	t.Parallel()
	pool, log := newTables(t), newLog(t, 1)
	store := storeOn(t, pool, pgstore.Config{})
	attributed(t, log, "w", map[string]*commonpb.Payload{"Amount": raw("7", "")})
	projectAll(t, log, store, 0)
	registered(t, log, map[string]searchattribute.Type{"Amount": searchattribute.Int})
	if _, err := store.Heal(t.Context(), log, events.Workflow{Namespace: "shop", ID: "w"}); err != nil {
		t.Fatal(err)
	}
	if values, untyped := typed(t, pool, "w"); !cmp.Equal(values, map[string]any{"Amount": 7.0}) || untyped != nil {
		t.Errorf("%v, untyped %v", values, untyped)
	}
	// The registry's tables lack the type: the row is right either way.
	verifyTypes(t, store, log)
	exec(t, pool, `UPDATE annals.executions SET search_values = '{}', untyped_attributes = '{Amount}'`)
	verifyTypes(t, store, log)
	exec(t, pool, `UPDATE annals.executions SET search_values = '{"Other": 1}'`)
	if r := verify(t, log, store, noWait); len(r.Differences) != 2 { // and the registry's lag
		t.Errorf("%+v", r.Differences)
	}
}

// verifyTypes fails unless nothing but the registry's lag is found.
func verifyTypes(t *testing.T, store *pgstore.Store, log *memlog.Log) {
	t.Helper()
	r := verify(t, log, store, noWait)
	if len(r.Differences) != 1 || r.Differences[0].Kind != pgstore.KindLag {
		t.Errorf("%+v", r.Differences)
	}
}

// How long a run took is counted from its execution time.
func TestExecutionDuration(t *testing.T) {
	t.Parallel()
	pool, log := newTables(t), newLog(t, 1)
	store := storeOn(t, pool, pgstore.Config{})
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	attributed(t, log, "open", nil)
	done := events.WorkflowCompleted("ok")
	done.EventTime = timestamppb.New(began.Add(time.Hour + 5*time.Nanosecond))
	start := events.WorkflowStarted("Order", "orders")
	start.EventTime = timestamppb.New(began)
	start.GetWorkflowExecutionStartedEventAttributes().FirstWorkflowTaskBackoff = durationpb.New(time.Minute)
	if _, err := log.Append(t.Context(), events.Request{Workflow: events.Workflow{Namespace: "shop", ID: "closed"}, Events: []*events.Event{start, done}}); err != nil {
		t.Fatal(err)
	}
	projectAll(t, log, store, 0)
	got := map[string]*int64{}
	for _, id := range []string{"open", "closed"} {
		var d *int64
		if err := pool.QueryRow(t.Context(), `SELECT execution_duration FROM annals.executions WHERE workflow_id = $1`, id).Scan(&d); err != nil {
			t.Fatal(err)
		}
		got[id] = d
	}
	if got["open"] != nil || got["closed"] == nil || time.Duration(*got["closed"]) != 59*time.Minute+5 {
		t.Errorf("%v", got)
	}
}
