package pgstore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventjson"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// wholeEvent is an event as event_json shows it.
type wholeEvent struct {
	Namespace, Workflow, Run string
	ID                       int64
	Partition                int16
	Sequence                 int64
	JSON                     string
}

// mustBeWhole fails unless annals.commits has, byte for byte, what the log has, and annals.event_json every event as
// package eventjson writes it. rows is how many commits there are to be.
func mustBeWhole(t failer, log events.Log, pool *pgxpool.Pool, rows int64) {
	t.Helper()
	ctx := context.Background()
	list, err := pool.Query(ctx, "SELECT partition, sequence, namespace, workflow_id, stored_at, headers::text, body FROM annals.commits")
	if err != nil {
		t.Fatal(err)
	}
	commits := int64(0)
	want := map[wholeEvent]bool{}
	var (
		partition                    int16
		sequence                     int64
		namespace, workflow, headers string
		stored                       time.Time
		body                         []byte
	)
	_, err = pgx.ForEachRow(list, []any{&partition, &sequence, &namespace, &workflow, &stored, &headers, &body}, func() error {
		commits++
		at := events.Position{Partition: events.Partition(partition), Sequence: uint64(sequence)}
		m, err := log.Message(ctx, at)
		if err != nil {
			return err
		}
		var got events.Header
		if err := json.Unmarshal([]byte(headers), &got); err != nil {
			return err
		}
		if string(body) != string(m.Body) || !cmp.Equal(map[string][]string(m.Header), map[string][]string(got)) {
			t.Errorf("%s: the log has %q with %q, the tables %q with %q", at, m.Body, m.Header, body, got)
		}
		if want := m.Time.Truncate(time.Microsecond); !stored.Equal(want) {
			t.Errorf("%s: it was stored at %s, the row says %s", at, want, stored)
		}
		c, err := events.Decode(m)
		if err != nil {
			return err
		}
		if c.Workflow != (events.Workflow{Namespace: namespace, ID: workflow}) {
			t.Errorf("%s: it is of %s, the row says %q %q", at, c.Workflow, namespace, workflow)
		}
		segments, err := c.Segments()
		if err != nil {
			return err
		}
		for _, part := range segments {
			for _, e := range part.Events {
				want[wholeEvent{namespace, workflow, string(part.Run), e.EventId, partition, sequence, jsonOf(t, e)}] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if commits != rows {
		t.Errorf("%d rows of commits, and Verify compared %d", commits, rows)
	}
	list, err = pool.Query(ctx, "SELECT namespace, workflow_id, run_id, event_id, partition, sequence, event::text FROM annals.event_json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(list, pgx.RowToStructByPos[wholeEvent])
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Errorf("%d events as JSON, and the commits have %d", len(got), len(want))
	}
	for _, e := range got {
		if e.JSON = sameJSON(t, e.JSON); !want[e] {
			t.Fatalf("not in the log: %+v", e)
		}
	}
}

// jsonOf is an event as the API writes it, but for what the tables cannot hold.
func jsonOf(t failer, e *events.Event) string {
	t.Helper()
	text, err := eventjson.EncodeEvent(e)
	if err != nil {
		return "null"
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	if text, err = json.Marshal(withoutNULs(v)); err != nil {
		t.Fatal(err)
	}
	return sameJSON(t, string(text))
}

// withoutNULs has U+FFFD for each NUL in a text. Of two keys that are the same then, the greater stays.
func withoutNULs(v any) any {
	clean := func(s string) string { return strings.ReplaceAll(s, "\x00", "\uFFFD") }
	switch v := v.(type) {
	case string:
		return clean(v)
	case []any:
		for i := range v {
			v[i] = withoutNULs(v[i])
		}
	case map[string]any:
		out := map[string]any{}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			out[clean(k)] = withoutNULs(v[k])
		}
		return out
	}
	return v
}

// sameJSON writes a document in one way: keys in order, numbers as Verify compares them.
func sameJSON(t failer, text string) string {
	t.Helper()
	s, err := pgstore.CanonicalJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
