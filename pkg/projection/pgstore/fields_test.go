package pgstore_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	someIDs      = []string{"a", "A", "b", "a b", "ä", "it's", `back\slash`, `"`, "a%", "→", ";--", "1", "U+\uFFFD"}
	someTypes    = []string{"", "Order", "order", "Invoice", "O'Brien", "日本"}
	someStatuses = []string{"Running", "Paused", "Completed", "Failed", "Canceled", "Terminated", "ContinuedAsNew", "TimedOut"}
	statusNumber = map[string]int{"Running": 1, "Completed": 2, "Failed": 3, "Canceled": 4, "Terminated": 5, "ContinuedAsNew": 6, "TimedOut": 7, "Paused": 8}
	someNotes    = []string{"Payment failed", "payment re-tried, twice", "PAYMENT_OK", "Zürich → Köln", "", "a.b.c", "100% sure", "twice re tried"}
	someMessages = []string{"activity error", "connect: timeout after 5s", "100% wrong", "card_declined", `C:\temp`, ""}
	someNumbers  = []any{int64(0), int64(1), int64(-7), int64(2), int64(1 << 60)}
	someDoubles  = []any{0.5, float64(1), -7.25, 1e21, 0.1}
	someEvents   = []string{"WorkflowExecutionStarted", "WorkflowTaskFailed", "MarkerRecorded", "TimerFired"}
	// Times are few, so that runs and filters meet, and microseconds apart.
	someTimes = func() (list []any) {
		for _, seconds := range []int{-4e9, 0, 1, 86400} {
			for micros := range 2 {
				list = append(list, at(seconds).Add(time.Duration(micros)*time.Microsecond))
			}
		}
		return list
	}()
)

// anyOf is a slice of one type as one of any.
func anyOf[T any](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}

func orNil[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

func dayOf(t *time.Time) any {
	if t == nil {
		return nil
	}
	return t.UTC().Format(time.DateOnly)
}

func attribute(name string, s sort, values []any) *askedField {
	return &askedField{name: name, sort: s, values: values, attribute: true, get: func(r *knownRun) any { return r.attributes[name] }}
}

// askable is every field that can be asked about.
var askable = []*askedField{
	{name: "WorkflowId", sort: texts, values: anyOf(someIDs), get: func(s *knownRun) any { return s.workflow }},
	{name: "RunId", sort: texts, values: anyOf(someIDs), get: func(s *knownRun) any { return s.run }},
	{name: "WorkflowType", sort: texts, values: anyOf(someTypes), get: func(s *knownRun) any { return s.kind }},
	{name: "ExecutionStatus", sort: statuses, values: anyOf(someStatuses), get: func(s *knownRun) any { return statusNumber[s.status] }},
	{name: "TaskQueue", sort: texts, values: anyOf(someTypes), get: func(s *knownRun) any { return s.queue }},
	{name: "StartTime", sort: times, values: someTimes, get: func(s *knownRun) any { return orNil(s.start) }},
	{name: "ExecutionTime", sort: times, values: someTimes, get: func(s *knownRun) any { return orNil(s.execution) }},
	{name: "CloseTime", sort: times, values: someTimes, open: true, get: func(s *knownRun) any { return orNil(s.closed) }},
	{name: "ExecutionDuration", sort: durations, values: someNumbers, open: true, get: func(s *knownRun) any { return orNil(s.duration) }},
	{name: "HistoryLength", sort: numbers, values: append(slices.Clone(someNumbers), 1.5), get: func(s *knownRun) any { return s.length }},
	{name: "HistorySizeBytes", sort: numbers, values: append(slices.Clone(someNumbers), 1.5), get: func(s *knownRun) any { return s.size }},
	{name: "ParentWorkflowId", sort: texts, values: anyOf(someIDs), get: func(s *knownRun) any { return orNil(s.parent) }},
	{name: "ParentRunId", sort: texts, values: anyOf(someIDs), get: func(s *knownRun) any { return orNil(s.parentRun) }},
	{name: "RootWorkflowId", sort: texts, values: anyOf(someIDs), get: func(s *knownRun) any { return s.root }},
	{name: "RootRunId", sort: texts, values: anyOf(someIDs), get: func(s *knownRun) any { return s.rootRun }},
	{name: "StartDay", sort: days, values: anyOf([]string{"2026-01-31", "2026-02-01", "1899-05-06"}), get: func(s *knownRun) any { return dayOf(s.start) }},
	{name: "CloseDay", sort: days, values: anyOf([]string{"2026-01-31", "2026-02-01", "1899-05-06"}), open: true, get: func(s *knownRun) any { return dayOf(s.closed) }},
	attribute("Customer", texts, anyOf(someIDs)),
	attribute("an odd.Name", texts, anyOf(someIDs)),
	attribute("Labels", lists, anyOf(someIDs)),
	attribute("Note", words, anyOf([]string{"payment", "PAYMENT twice", "re-tried", "tried-twice", "zürich", "sure?", "b.c", "!", "ok"})),
	attribute("Flag", booleans, []any{true, false}),
	attribute("Amount", numbers, append(slices.Clone(someNumbers), 1.5)),
	attribute("Ratio", numbers, append(slices.Clone(someDoubles), int64(1))),
	attribute("Due", times, someTimes),
	attribute("TemporalChangeVersion", lists, anyOf(someIDs)),
	attribute("BuildIds", lists, anyOf(someIDs)),
	attribute("BinaryChecksums", lists, anyOf(someIDs)),
	attribute("TemporalPauseInfo", lists, anyOf(someIDs)),
	attribute("TemporalReportedProblems", lists, anyOf(someIDs)),
	attribute("TemporalUsedWorkerDeploymentVersions", lists, anyOf(someIDs)),
	attribute("TemporalScheduledById", texts, anyOf(someIDs)),
	attribute("TemporalScheduledStartTime", times, someTimes),
	attribute("TemporalSchedulePaused", booleans, []any{true, false}),
	attribute("TemporalWorkerDeployment", texts, anyOf(someIDs)),
	attribute("TemporalWorkerDeploymentVersion", texts, anyOf(someIDs)),
	attribute("TemporalWorkflowVersioningBehavior", texts, anyOf(someIDs)),
	attribute("TemporalNamespaceDivision", texts, anyOf(someIDs)),
	attribute("TemporalExternalPayloadCount", numbers, someNumbers),
	attribute("BatcherUser", texts, anyOf(someIDs)),
	{name: "LastFailure", sort: failures, values: anyOf(someMessages), get: func(s *knownRun) any { return s.failures }},
	{name: "HasPendingActivity", sort: sets, values: anyOf(someTypes), get: func(s *knownRun) any { return s.ifOpen(pending(s.activities)) }},
	{name: "HasPendingChild", sort: sets, values: anyOf(someTypes), get: func(s *knownRun) any { return s.ifOpen(pending(s.children)) }},
	{name: "PendingTimerBefore", sort: dues, values: someTimes, get: func(s *knownRun) any {
		var list []time.Time
		for _, t := range s.timers {
			if s.isOpen() && t.pending && t.due != nil {
				list = append(list, *t.due)
			}
		}
		return list
	}},
	{name: "EventType", sort: types, values: anyOf(someEvents), get: func(s *knownRun) any {
		var list []string
		for _, e := range s.events {
			list = append(list, e.typ)
		}
		return list
	}},
	{name: "EventName", sort: names, values: anyOf(someTypes), get: func(s *knownRun) any {
		var list []string
		for _, e := range s.events {
			list = append(list, e.name)
		}
		return list
	}},
}

func fieldNamed(name string) *askedField {
	return askable[slices.IndexFunc(askable, func(f *askedField) bool { return f.name == name })]
}

// chooser makes choices: at random, or as rapid would have them.
type chooser interface{ IntN(n int) int }

func pick[T any](c chooser, list []T) T { return list[c.IntN(len(list))] }

// knownRunOf makes up a run.
func knownRunOf(c chooser, workflow, run string) *knownRun {
	when := func(of int) *time.Time { // one of so many times has none
		if c.IntN(of) == 0 {
			return nil
		}
		t := pick(c, someTimes).(time.Time)
		return &t
	}
	s := &knownRun{
		workflow: workflow, run: run, kind: pick(c, someTypes), status: pick(c, someStatuses), queue: pick(c, someTypes),
		start: when(5), execution: when(5), length: 1 + pick(c, []int64{0, 1, 6, 1 << 59}), size: 1 + pick(c, []int64{0, 1, 6, 1 << 59}),
		root: pick(c, someIDs), rootRun: pick(c, someIDs), attributes: map[string]any{},
	}
	if !s.isOpen() {
		if s.closed = when(9); s.closed != nil && c.IntN(5) > 0 {
			d := pick(c, someNumbers).(int64)
			s.duration = &d
		}
	}
	if c.IntN(3) == 0 {
		parent, run := pick(c, someIDs), pick(c, someIDs)
		s.parent, s.parentRun = &parent, &run
	}
	for _, f := range askable {
		if !f.attribute || c.IntN(3) == 0 {
			continue
		}
		if f.name == "TemporalNamespaceDivision" && c.IntN(4) > 0 {
			continue
		}
		switch f.sort {
		case lists:
			list := []string{pick(c, someIDs)}
			for c.IntN(2) == 0 {
				list = append(list, pick(c, someIDs))
			}
			s.attributes[f.name] = list
		case words:
			s.attributes[f.name] = pick(c, someNotes)
		default:
			v := pick(c, f.values)
			if f.name == "Amount" && v == 1.5 {
				v = int64(1)
			}
			s.attributes[f.name] = v
		}
	}
	for c.IntN(2) == 0 {
		s.failures = append(s.failures, pick(c, someMessages))
	}
	for c.IntN(2) == 0 {
		s.activities = append(s.activities, thing{pick(c, someTypes), c.IntN(2) == 0})
	}
	for c.IntN(2) == 0 {
		s.children = append(s.children, thing{pick(c, someTypes), c.IntN(2) == 0})
	}
	for c.IntN(2) == 0 {
		due := pick(c, someTimes).(time.Time)
		s.timers = append(s.timers, timer{&due, c.IntN(2) == 0})
	}
	for len(s.events) == 0 || c.IntN(2) == 0 {
		s.events = append(s.events, event{pick(c, someEvents), pick(c, someTypes)})
	}
	return s
}

// knownRuns makes up n runs of different ids, fewer if there are not as many.
func knownRuns(c chooser, n int) []*knownRun {
	var list []*knownRun
	seen := map[string]bool{}
	for range n {
		s := knownRunOf(c, pick(c, someIDs), pick(c, someIDs))
		if !seen[s.id()] {
			seen[s.id()] = true
			list = append(list, s)
		}
	}
	return list
}

// seeded makes the same choices each time.
func seeded() chooser { return rand.New(rand.NewPCG(1, 2)) }

// condition is a filter that can be written as text and evaluated in Go.
type condition interface {
	// text writes it for a place that binds as tightly as given: 0 where OR may
	// stand bare, 1 where AND may, 2 where NOT may.
	text(binding int) string
	eval(s *knownRun) truth
	mentions(field string) bool
}

func parenthesized(s string, yes bool) string {
	if yes {
		return "(" + s + ")"
	}
	return s
}

type both struct{ left, right condition }

func (c both) text(binding int) string {
	return parenthesized(c.left.text(1)+" and "+c.right.text(1), binding > 1)
}
func (c both) eval(s *knownRun) truth     { return min(c.left.eval(s), c.right.eval(s)) }
func (c both) mentions(field string) bool { return c.left.mentions(field) || c.right.mentions(field) }

type either struct{ left, right condition }

func (c either) text(binding int) string {
	return parenthesized(c.left.text(0)+" OR "+c.right.text(0), binding > 0)
}
func (c either) eval(s *knownRun) truth     { return max(c.left.eval(s), c.right.eval(s)) }
func (c either) mentions(field string) bool { return c.left.mentions(field) || c.right.mentions(field) }

type negation struct{ of condition }

func (c negation) text(int) string            { return "NOT " + c.of.text(2) }
func (c negation) eval(s *knownRun) truth     { return isTrue - c.of.eval(s) }
func (c negation) mentions(field string) bool { return c.of.mentions(field) }

type grouped struct{ condition }

func (c grouped) text(int) string { return "(" + c.condition.text(0) + ")" }

// comparison compares a field; values are kept as they are compared, beside how
// they are written.
type comparison struct {
	field    *askedField
	operator string
	values   []any
	written  []string
}

func (c comparison) text(int) string {
	name := c.field.name
	if strings.ContainsAny(name, " .") {
		name = "`" + name + "`"
	}
	switch c.operator {
	case "IN", "NOT IN":
		return name + " " + c.operator + " (" + strings.Join(c.written, ", ") + ")"
	case "BETWEEN", "NOT BETWEEN":
		return name + " " + c.operator + " " + c.written[0] + " AND " + c.written[1]
	case "IS NULL", "IS NOT NULL":
		return name + " " + c.operator
	default:
		return name + " " + c.operator + " " + c.written[0]
	}
}

func (c comparison) eval(s *knownRun) truth     { return c.field.holds(c.operator, c.values, s) }
func (c comparison) mentions(field string) bool { return c.field.name == field }

// comparisonOf makes up a condition on a field by an operator.
func comparisonOf(c chooser, f *askedField, operator string) comparison {
	n := 1
	switch operator {
	case "IN", "NOT IN":
		n = 1 + c.IntN(4)
	case "BETWEEN", "NOT BETWEEN":
		n = 2
	case "IS NULL", "IS NOT NULL":
		n = 0
	}
	made := comparison{field: f, operator: operator}
	for range n {
		v := pick(c, f.values)
		switch text, isText := v.(string); {
		case f.sort == statuses:
			made.written = append(made.written, writtenStatus(c, text))
			v = statusNumber[text]
		case strings.HasSuffix(operator, "STARTS_WITH"):
			runes := []rune(text)
			v = string(runes[:c.IntN(len(runes)+1)])
			made.written = append(made.written, quote(c, v.(string)))
		case strings.HasSuffix(operator, "LIKE"):
			v = patternOf(c, text)
			made.written = append(made.written, quote(c, v.(string)))
		case f.sort == types && c.IntN(2) == 0:
			made.written = append(made.written, map[string]string{
				"WorkflowExecutionStarted": "1", "WorkflowTaskFailed": `"EVENT_TYPE_WORKFLOW_TASK_FAILED"`, "MarkerRecorded": "'MarkerRecorded'", "TimerFired": "18",
			}[text])
		case isText:
			made.written = append(made.written, quote(c, text))
		default:
			made.written = append(made.written, inWriting(c, f.sort, v))
		}
		made.values = append(made.values, v)
	}
	return made
}

// patternOf makes a pattern that a text may match.
func patternOf(c chooser, text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case c.IntN(4) == 0:
			b.WriteByte('_')
		case r == '%' || r == '_' || r == '\\':
			b.WriteString(`\` + string(r))
		default:
			b.WriteRune(r)
		}
	}
	s := []rune(b.String())
	if c.IntN(2) == 0 && len(s) > 0 && s[0] != '\\' {
		s[0] = '%'
	}
	return string(s) + pick(c, []string{"", "%"})
}

// quote writes a text as a filter does, one way or the other.
func quote(c chooser, s string) string {
	s = strings.ReplaceAll(s, `\`, `\\`)
	if c.IntN(2) == 0 {
		return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	return `'` + strings.ReplaceAll(s, `'`, `\'`) + `'`
}

func writtenStatus(c chooser, s string) string {
	full := map[string]string{"ContinuedAsNew": "CONTINUED_AS_NEW", "TimedOut": "TIMED_OUT"}[s]
	if full == "" {
		full = strings.ToUpper(s)
	}
	return pick(c, []string{quote(c, s), strconv.Itoa(statusNumber[s]), quote(c, "WORKFLOW_EXECUTION_STATUS_"+full)})
}

// inWriting writes a value that is no text.
func inWriting(c chooser, s sort, v any) string {
	switch v := v.(type) {
	case time.Time:
		finer := v.Add(time.Duration(c.IntN(1000))) // nanoseconds below the microsecond are cut
		if c.IntN(2) == 0 {
			return strconv.FormatInt(finer.UnixNano(), 10)
		}
		return quote(c, finer.In(time.FixedZone("", 5400)).Format(time.RFC3339Nano))
	case int64:
		if s == durations {
			return pick(c, []string{strconv.FormatInt(v, 10), quote(c, strconv.FormatInt(v, 10)), quote(c, time.Duration(v).String())})
		}
		return strconv.FormatInt(v, 10)
	case float64:
		return pick(c, []string{strconv.FormatFloat(v, 'e', -1, 64), strconv.FormatFloat(v, 'f', -1, 64)})
	case bool:
		return map[bool]string{true: "true", false: "FALSE"}[v]
	default:
		panic(fmt.Sprintf("no way to write %T", v))
	}
}
