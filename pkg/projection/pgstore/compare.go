package pgstore

import (
	"context"
	"encoding/json"
	"errors"
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
	// runs are those of the log's events by number, as a canonical row has it.
	runs map[string]numberedRun
	// commits are those that have rows, in the order of their sequences, with
	// EventsFull.
	commits []expectedCommit
}

// numberedRun is whose events a number stands for.
type numberedRun struct {
	workflow events.Workflow
	run      events.RunID
}

func newComparison(v *verifying, c projection.Checkpoint) *comparison {
	w := &comparison{
		verifying: v, checkpoint: c, slots: v.log.Identity().Map.Ranges[c.Partition],
		unfolded: map[events.Workflow]bool{}, doubts: map[events.Workflow]doubt{}, expected: map[*table]map[string][]string{},
		runs: map[string]numberedRun{},
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
		return w.tx.Query(ctx, sql+"slot = $1 AND "+ofWorkflow+order, int16(one.Slot()), one.Namespace, one.ID)
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
		w.report.Rows[t.face()]++
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
	at := want // both have one key, if there are both
	if at == nil {
		at = got
	}
	workflow, run := w.place(t, at)
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
			if want[i] != got[i] && !w.isLate(t, i, workflow.Namespace, want[i], got[i]) {
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

// face is the view that people know the rows by.
func (t *table) face() string {
	if t == runEventsTable {
		return eventsView
	}
	return t.name
}

// keyOf joins a canonical row's key.
func (t *table) keyOf(values []string) string { return strings.Join(values[:len(t.key)], "\x00") }

// nameRuns finds whose events the rows are that are of runs of which the fold has
// seen none: executions says it, or else the commit that the number names.
func (w *comparison) nameRuns(ctx context.Context, rows map[string][]string) error {
	var unknown []int64
	for _, r := range rows {
		if _, ok := w.runs[r[runNumberColumn]]; ok {
			continue
		}
		n, err := strconv.ParseInt(r[runNumberColumn], 10, 64)
		if err != nil {
			return err
		}
		unknown = append(unknown, n)
	}
	if len(unknown) == 0 {
		return nil
	}
	found, err := w.tx.Query(ctx, "SELECT run_no::text, namespace, workflow_id, run_id FROM "+executionsTable.shown()+
		" WHERE slot >= $1 AND slot < $2 AND run_no = ANY($3)", int16(w.slots.First), int16(w.slots.End), unknown)
	if err != nil {
		return err
	}
	var number string
	var of numberedRun
	_, err = pgx.ForEachRow(found, []any{&number, &of.workflow.Namespace, &of.workflow.ID, (*string)(&of.run)}, func() error {
		w.runs[number] = of
		return nil
	})
	if err != nil {
		return err
	}
	for _, n := range unknown {
		number := strconv.FormatInt(n, 10)
		if _, ok := w.runs[number]; ok {
			continue
		}
		var of numberedRun
		m, err := w.log.Message(ctx, events.Position{Partition: w.checkpoint.Partition, Sequence: uint64(n) / 2})
		if err != nil && !errors.Is(err, events.ErrNotFound) {
			return err
		}
		if workflow, nobodys := events.ParseSubject(m.Subject); err == nil && nobodys == nil {
			of.workflow = workflow
		}
		w.runs[number] = of
	}
	return nil
}

// place is whose row it is; nobody's if it is of an event whose run is nowhere.
func (w *comparison) place(t *table, values []string) (events.Workflow, events.RunID) {
	switch t {
	case runEventsTable:
		of := w.runs[values[runNumberColumn]]
		return of.workflow, of.run
	case commitsTable:
		return events.Workflow{Namespace: values[commitNamespaceColumn], ID: values[commitNamespaceColumn+1]}, ""
	}
	workflow := events.Workflow{Namespace: values[1], ID: values[2]}
	if len(t.key) > 3 {
		return workflow, events.RunID(values[3])
	}
	return workflow, ""
}

// where names the table, and the row within its run.
func (t *table) where(values []string) string {
	s := schema + "." + t.face()
	switch t {
	case runEventsTable:
		return s + " event_id " + values[1]
	case commitsTable:
		return s + " sequence " + values[1]
	}
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
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return "", err
	}
	b, err := json.Marshal(oneForm(v))
	return string(b), err
}

// oneForm writes what is a whole number of 64 bits exactly, and others as the nearest
// float64.
func oneForm(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n
		}
		f, err := strconv.ParseFloat(string(v), 64)
		switch {
		case err != nil:
			return v
		case f == math.Trunc(f) && math.Abs(f) < 1<<53:
			return int64(f) // 1.0, 1e3, -0.0
		default:
			return f
		}
	case map[string]any:
		for k, x := range v {
			v[k] = oneForm(x)
		}
	case []any:
		for i, x := range v {
			v[i] = oneForm(x)
		}
	}
	return v
}

// storedEvents are the partition's rows of events in the order of their
// sequences, beside the log's in the same order. What does not match is kept
// until the end, by key: a row whose sequence is wrong is one difference.
type storedEvents struct {
	w    *comparison
	rows pgx.Rows
	// later are the log's events if those of one workflow are compared: its rows
	// are read when the numbers of its runs are known.
	later   []commitEvents
	next    []string // read and not yet compared
	seq     uint64   // of next
	ended   bool
	missing map[string][]string
	extra   map[string][]string
}

// Places in a row of run_events.
const (
	runNumberColumn = 2
	sequenceColumn  = 3
)

// commitEvents are the rows of events of one commit.
type commitEvents struct {
	sequence uint64
	rows     []eventRow
}

func (w *comparison) openEvents(ctx context.Context) (*storedEvents, error) {
	s := &storedEvents{w: w, missing: map[string][]string{}, extra: map[string][]string{}}
	if w.o.Workflow != nil {
		return s, nil
	}
	return s, s.open(ctx)
}

// open begins to read. The events are read to the end before anything else is
// asked of this transaction's connection.
func (s *storedEvents) open(ctx context.Context) (err error) {
	const order = " ORDER BY sequence"
	if one := s.w.o.Workflow; one != nil {
		var numbers []int64
		for _, c := range s.later {
			for i := range c.rows {
				numbers = append(numbers, c.rows[i].of.number)
			}
		}
		s.rows, err = s.w.tx.Query(ctx, "SELECT "+runEventsTable.selected()+" FROM "+runEventsTable.shown()+" WHERE slot = $1 AND "+eventsOfWorkflow(schema)+order,
			int16(one.Slot()), one.Namespace, one.ID, slices.Compact(numbers))
	} else {
		s.rows, err = s.w.stored(ctx, runEventsTable, order)
	}
	if err != nil {
		return err
	}
	return s.advance()
}

func (s *storedEvents) close() {
	if s.rows != nil {
		s.rows.Close()
	}
}

func (s *storedEvents) advance() error {
	if !s.rows.Next() {
		s.ended = true
		return s.rows.Err()
	}
	values, err := readCanonical(runEventsTable, s.rows)
	if err != nil {
		return err
	}
	s.w.report.Rows[runEventsTable.face()]++
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
	if s.rows == nil {
		s.later = append(s.later, commitEvents{seq, want})
		return nil
	}
	here := map[string][]string{}
	for !s.ended && s.seq <= seq {
		k := runEventsTable.keyOf(s.next)
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
		values, err := canonicalRow(runEventsTable, want[i].values())
		if err != nil {
			return err
		}
		if i == 0 || want[i].of != want[i-1].of {
			s.w.runs[values[runNumberColumn]] = numberedRun{want[i].of.workflow, want[i].of.run}
		}
		k := runEventsTable.keyOf(values)
		got, ok := here[k]
		if !ok {
			s.missing[k] = values
			continue
		}
		delete(here, k)
		s.w.judge(runEventsTable, values, got, true)
	}
	maps.Copy(s.extra, here)
	return nil
}

// finish reads what is left and reports what had no match.
func (s *storedEvents) finish(ctx context.Context) error {
	defer s.close()
	if s.rows == nil {
		if err := s.open(ctx); err != nil {
			return err
		}
		for _, c := range s.later {
			if err := s.compare(c.sequence, c.rows); err != nil {
				return err
			}
		}
	}
	for !s.ended {
		s.extra[runEventsTable.keyOf(s.next)] = s.next
		if err := s.advance(); err != nil {
			return err
		}
	}
	if err := s.w.nameRuns(ctx, s.extra); err != nil {
		return err
	}
	for _, k := range slices.Sorted(maps.Keys(s.missing)) {
		got, ok := s.extra[k]
		delete(s.extra, k)
		if !ok {
			got = nil
		}
		s.w.judge(runEventsTable, s.missing[k], got, true)
	}
	for _, k := range slices.Sorted(maps.Keys(s.extra)) {
		s.w.judge(runEventsTable, nil, s.extra[k], false)
	}
	return nil
}
