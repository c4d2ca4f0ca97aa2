package pgstore

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
)

// comparison is the verification of one partition.
type comparison struct {
	*verifying
	checkpoint projection.Checkpoint
	slots      events.SlotRange
	unfolded   map[events.Workflow]bool
	doubts     map[events.Workflow]doubt // of those
	// expected are the rows that the log says there are, but for events, by
	// table and key.
	expected map[*table]map[string][]string
}

func newComparison(v *verifying, c projection.Checkpoint) *comparison {
	w := &comparison{
		verifying: v, checkpoint: c, slots: v.log.Identity().Map.Ranges[c.Partition],
		unfolded: map[events.Workflow]bool{}, doubts: map[events.Workflow]doubt{}, expected: map[*table]map[string][]string{},
	}
	for _, t := range tables {
		w.expected[t] = map[string][]string{}
	}
	return w
}

// stored reads a table's rows of the partition's slots, or of one workflow.
func (w *comparison) stored(ctx context.Context, t *table, order string) (pgx.Rows, error) {
	sql := "SELECT " + t.selected() + " FROM " + t.shown() + " WHERE "
	if one := w.o.Workflow; one != nil {
		return w.tx.Query(ctx, sql+"slot = $1 AND namespace = $2 AND workflow_id = $3"+order, int16(one.Slot()), one.Namespace, one.ID)
	}
	return w.tx.Query(ctx, sql+"slot >= $1 AND slot < $2"+order, int16(w.slots.First), int16(w.slots.End))
}

// selected is all columns in a form that canonical reads.
func (t *table) selected() string {
	list := make([]string, 0, 64)
	for _, c := range t.all() {
		switch c.pgType {
		case "jsonb":
			list = append(list, c.name+"::text")
		case "text[]":
			list = append(list, "array_to_json("+c.name+")::text")
		default:
			list = append(list, c.name)
		}
	}
	return strings.Join(list, ", ")
}

// compareTable holds a table's rows against those that are expected.
func (w *comparison) compareTable(ctx context.Context, t *table) error {
	rows, err := w.stored(ctx, t, "")
	if err != nil {
		return err
	}
	defer rows.Close()
	expected := w.expected[t]
	for rows.Next() {
		got, err := readCanonical(t, rows)
		if err != nil {
			return err
		}
		w.report.Rows[t.name]++
		k := t.keyOf(got)
		want, ok := expected[k]
		delete(expected, k)
		w.judge(t, want, got, ok)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, k := range slices.Sorted(maps.Keys(expected)) {
		w.judge(t, expected[k], nil, true)
	}
	return nil
}

// judge reports how a row differs. got is nil where the table lacks the row,
// expected is false where the log does.
func (w *comparison) judge(t *table, want, got []string, expected bool) {
	at := got
	if at == nil {
		at = want
	}
	workflow, run := t.place(at)
	if w.unfolded[workflow] || len(w.waits) > 0 && w.waits[workflow.Subject()] {
		return
	}
	d := Difference{Workflow: workflow, Run: run, Where: t.where(at)}
	switch {
	case !expected:
		d.Kind = KindExtra
	case got == nil:
		d.Kind = KindMissing
	default:
		for i := range got {
			if want[i] != got[i] {
				c, d := t.column(i), d
				d.Kind = KindColumn
				d.Where += fmt.Sprintf(" column %s: the table has %s, the log says %s", c.name, shown(got[i]), shown(want[i]))
				w.differs(d)
			}
		}
		return
	}
	w.differs(d)
}

func shown(s string) string {
	if s == null {
		return "null"
	}
	if len(s) > 100 {
		s = s[:100] + "…"
	}
	return strconv.Quote(s)
}

// shown is the view that readers see the table by.
func (t *table) shown() string { return schema + "." + t.name }

// keyOf joins a canonical row's key.
func (t *table) keyOf(values []string) string { return strings.Join(values[:len(t.key)], "\x00") }

// place is whose row it is.
func (t *table) place(values []string) (events.Workflow, events.RunID) {
	w := events.Workflow{Namespace: values[1], ID: values[2]}
	if len(t.key) > 3 {
		return w, events.RunID(values[3])
	}
	return w, ""
}

// where names the table, and the row within its run.
func (t *table) where(values []string) string {
	s := t.shown()
	for i := 4; i < len(t.key); i++ {
		s += " " + t.key[i].name + " " + values[i]
	}
	return s
}

// null is a canonical null: no text column holds a NUL.
const null = "\x00"

// canonicalRow is a row of the fold as comparable texts.
func canonicalRow(t *table, r row) ([]string, error) {
	out := make([]string, len(r))
	for i := range r { // a row has all columns
		c := t.column(i)
		s, err := canonical(c.pgType, r[i])
		if err != nil {
			return nil, fmt.Errorf("%s of %s: %w", c.name, t.name, err)
		}
		out[i] = s
	}
	return out, nil
}

func readCanonical(t *table, rows pgx.Rows) ([]string, error) {
	values, err := rows.Values()
	if err != nil {
		return nil, err
	}
	return canonicalRow(t, values)
}

// canonical is a value as a text that is the same for what the fold made and
// for what Postgres gives back.
func canonical(pgType string, v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return null, nil
	case string:
		switch pgType {
		case "jsonb":
			return canonicalJSON(v)
		case "text[]": // a JSON list
			var list []string
			if err := json.Unmarshal([]byte(v), &list); err != nil {
				return "", err
			}
			return canonicalList(list), nil
		}
		return v, nil
	case textList:
		return canonicalList(v), nil
	case int16:
		return strconv.FormatInt(int64(v), 10), nil
	case int32:
		return strconv.FormatInt(int64(v), 10), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case bool:
		return strconv.FormatBool(v), nil
	case []byte:
		return fmt.Sprintf("%x", v), nil
	case time.Time:
		return v.UTC().Format("2006-01-02T15:04:05.000000Z"), nil
	case time.Duration:
		return canonicalInterval(pgtype.Interval{Microseconds: v.Microseconds()}), nil
	case pgtype.Interval:
		return canonicalInterval(v), nil
	case pgtype.InfinityModifier: // never written by the fold
		return v.String(), nil
	}
	return "", fmt.Errorf("a %T cannot be compared", v)
}

func canonicalInterval(i pgtype.Interval) string {
	return fmt.Sprintf("%d months %d days %d µs", i.Months, i.Days, i.Microseconds)
}

func canonicalList(list []string) string {
	var b strings.Builder
	for _, s := range list {
		b.WriteString(strconv.Quote(s))
	}
	return b.String()
}

// canonicalJSON sorts keys and writes numbers in one way. Postgres has no
// negative zero.
func canonicalJSON(s string) (string, error) {
	var v any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		return "", err
	}
	b, err := json.Marshal(withoutNegativeZero(v))
	return string(b), err
}

func withoutNegativeZero(v any) any {
	switch v := v.(type) {
	case float64:
		return v + 0 // -0 + 0 is 0
	case map[string]any:
		for k, x := range v {
			v[k] = withoutNegativeZero(x)
		}
	case []any:
		for i, x := range v {
			v[i] = withoutNegativeZero(x)
		}
	}
	return v
}

// storedEvents are the partition's rows of events in the order of their
// sequences, beside the log's in the same order. What does not match is kept
// until the end, by key: a row whose sequence is wrong is one difference.
type storedEvents struct {
	w       *comparison
	rows    pgx.Rows
	next    []string // read and not yet compared
	seq     uint64   // of next
	ended   bool
	missing map[string][]string
	extra   map[string][]string
}

// sequenceColumn is the place of events.sequence in a row.
var sequenceColumn = len(eventsTable.key) + len(eventsTable.columns) - 1

func (w *comparison) openEvents(ctx context.Context) (*storedEvents, error) {
	// The events are read to the end before anything else is asked of this
	// transaction's connection.
	rows, err := w.stored(ctx, eventsTable, " ORDER BY sequence")
	if err != nil {
		return nil, err
	}
	s := &storedEvents{w: w, rows: rows, missing: map[string][]string{}, extra: map[string][]string{}}
	return s, s.advance()
}

func (s *storedEvents) advance() error {
	if !s.rows.Next() {
		s.ended = true
		return s.rows.Err()
	}
	values, err := readCanonical(eventsTable, s.rows)
	if err != nil {
		return err
	}
	s.w.report.Rows[eventsTable.name]++
	s.next = values
	if values[sequenceColumn] == null { // which no row may have; sorted behind all others
		s.seq = math.MaxUint64
		return nil
	}
	s.seq, err = strconv.ParseUint(values[sequenceColumn], 10, 64)
	return err
}

// compare takes the rows of the commit at seq.
func (s *storedEvents) compare(seq uint64, want []eventRow) error {
	here := map[string][]string{}
	for !s.ended && s.seq <= seq {
		k := eventsTable.keyOf(s.next)
		if s.seq < seq {
			s.extra[k] = s.next
		} else {
			here[k] = s.next
		}
		if err := s.advance(); err != nil {
			return err
		}
	}
	for i := range want {
		values, err := canonicalRow(eventsTable, want[i].values())
		if err != nil {
			return err
		}
		k := eventsTable.keyOf(values)
		got, ok := here[k]
		if !ok {
			s.missing[k] = values
			continue
		}
		delete(here, k)
		s.w.judge(eventsTable, values, got, true)
	}
	maps.Copy(s.extra, here)
	return nil
}

// finish reads what is left and reports what had no match.
func (s *storedEvents) finish() error {
	defer s.rows.Close()
	for !s.ended {
		s.extra[eventsTable.keyOf(s.next)] = s.next
		if err := s.advance(); err != nil {
			return err
		}
	}
	for _, k := range slices.Sorted(maps.Keys(s.missing)) {
		got, ok := s.extra[k]
		delete(s.extra, k)
		if !ok {
			got = nil
		}
		s.w.judge(eventsTable, s.missing[k], got, true)
	}
	for _, k := range slices.Sorted(maps.Keys(s.extra)) {
		s.w.judge(eventsTable, nil, s.extra[k], false)
	}
	return nil
}
