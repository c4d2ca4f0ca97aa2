package pgstore_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/pgstore/filter"
	"github.com/annals-io/annals/pkg/searchattribute"
)

// ids are those of a page.
func ids(p pgstore.ExecutionPage) []string {
	out := []string{}
	for _, e := range p.Executions {
		out = append(out, e.WorkflowID+"/"+e.RunID)
	}
	return out
}

// chosen are the ids of the runs that a condition is true of, in the default
// order. It sees runs in a namespace division only if it mentions one.
func chosen(runs []*knownRun, c condition) []string {
	out := []string{}
	for _, s := range inOrder(chosenRuns(runs, c), nil) {
		out = append(out, s.id())
	}
	return out
}

const divisionField = "TemporalNamespaceDivision"

func chosenRuns(runs []*knownRun, c condition, mentioned ...string) []*knownRun {
	var out []*knownRun
	for _, s := range runs {
		_, inDivision := s.attributes[divisionField]
		seen := !inDivision || c.mentions(divisionField) || slices.Contains(mentioned, divisionField)
		if seen && c.eval(s) == isTrue {
			out = append(out, s)
		}
	}
	return out
}

// Every field takes the operators of its sort, and lists what an evaluation in Go
// chooses, bare and negated; it refuses the others.
func TestEveryFieldAndOperator(t *testing.T) {
	t.Parallel()
	s, pool := newQueries(t)
	stage := newStage(t, pool)
	stage.register(t, "default")
	c := seeded()
	runs := knownRuns(c, 60)
	stage.play(t, "default", runs...)
	for _, f := range askable {
		t.Run(f.name, func(t *testing.T) {
			found := 0
			for _, operator := range allOperators {
				if !slices.Contains(operatorsOf[f.sort], operator) {
					refused := comparison{field: f, operator: operator, written: []string{"'a'", "'a'"}}
					_, err := s.List(t.Context(), pgstore.ListQuery{Namespace: "default", Query: refused.text(0)})
					if !errors.Is(err, events.ErrInvalid) || !strings.Contains(err.Error(), "is not supported for "+f.name) {
						t.Errorf("%s: got %v, want it refused", refused.text(0), err)
					}
					continue
				}
				for range 2 {
					bare := comparisonOf(c, f, operator)
					for _, q := range []condition{bare, negation{bare}, negation{grouped{negation{bare}}}} {
						page, err := s.List(t.Context(), pgstore.ListQuery{Namespace: "default", Query: q.text(0), Limit: pgstore.MaxLimit})
						if err != nil {
							t.Fatalf("%s: %v", q.text(0), err)
						}
						if diff := cmp.Diff(chosen(runs, q), ids(page)); diff != "" {
							t.Errorf("%s (-want +got):\n%s", q.text(0), diff)
						}
						found += len(page.Executions)
					}
				}
			}
			if found == 0 {
				t.Error("none of the conditions is true of any run: the test shows nothing")
			}
		})
	}
}

func conditionOf(c chooser, depth int) condition {
	if depth == 0 {
		f := pick(c, askable)
		return comparisonOf(c, f, pick(c, operatorsOf[f.sort]))
	}
	switch c.IntN(5) {
	case 0:
		return conditionOf(c, 0)
	case 1:
		return both{conditionOf(c, depth-1), conditionOf(c, depth-1)}
	case 2:
		return either{conditionOf(c, depth-1), conditionOf(c, depth-1)}
	case 3:
		return negation{conditionOf(c, depth-1)}
	default:
		return grouped{conditionOf(c, depth-1)}
	}
}

// orderOf makes up an order by up to three fields; none is the default order.
func orderOf(c chooser) (text string, by []before, fields []string) {
	var parts []string
	for range c.IntN(4) {
		f := pick(c, askable)
		switch f.sort {
		case lists, words, sets, failures, names, types, dues:
			continue
		}
		if slices.Contains(fields, f.name) {
			continue
		}
		b := before{f, c.IntN(2) == 0}
		part := "`" + f.name + "`"
		if b.descending {
			part += " DESC"
		}
		parts, by, fields = append(parts, part), append(by, b), append(fields, f.name)
	}
	return strings.Join(parts, ", "), by, fields
}

// What any filter lists in any order, and counts, is what evaluating it in Go over
// the same rows gives, however it is cut into pages.
func TestFilterProperty(t *testing.T) {
	t.Parallel()
	s, pool := newQueries(t)
	stage := newStage(t, pool)
	namespaces := 0
	rapid.Check(t, func(rt *rapid.T) {
		namespaces++
		namespace := fmt.Sprintf("n%d", namespaces) // other rounds' rows must not be seen
		c := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "choices"), 0))
		runs := knownRuns(c, rapid.IntRange(0, 30).Draw(rt, "runs"))
		stage.register(rt, namespace)
		stage.play(rt, namespace, runs...)
		for range 4 {
			q := conditionOf(c, 3)
			query := q.text(0)
			text, by, fields := orderOf(c)
			var want []string
			for _, s := range inOrder(chosenRuns(runs, q, fields...), by) {
				want = append(want, s.id())
			}
			list := pgstore.ListQuery{Namespace: namespace, Query: query, OrderBy: text, Limit: rapid.IntRange(1, 15).Draw(rt, "limit")}
			if text != "" && c.IntN(2) == 0 {
				list.Query, list.OrderBy = query+" ORDER BY "+text, ""
			}
			var got []string
			pages(rt, s, list, func(p pgstore.ExecutionPage) { got = append(got, ids(p)...) })
			if diff := cmp.Diff(want, got); diff != "" {
				rt.Errorf("%s\n%s (-want +got):\n%s", query, text, diff)
			}

			groups := map[string]int64{}
			counted := chosenRuns(runs, q)
			for _, r := range counted {
				customer, _ := r.attributes["Customer"].(string)
				closed, _ := dayOf(r.closed).(string)
				groups[strings.Join([]string{r.status, r.queue, customer, closed}, "|")]++
			}
			count, err := s.Count(t.Context(), pgstore.CountQuery{Namespace: namespace, Query: query, GroupBy: []string{"ExecutionStatus", "TaskQueue", "Customer", "CloseDay"}})
			if err != nil {
				rt.Fatal(err)
			}
			found := map[string]int64{}
			for _, g := range count.Groups {
				found[strings.Join(g.Values, "|")] += g.Count
			}
			if diff := cmp.Diff(groups, found); diff != "" || count.Count != int64(len(counted)) {
				rt.Errorf("%s: counted %d, want %d (-want +got):\n%s", query, count.Count, len(counted), diff)
			}
		}
	})
}

// fuzzed are the attributes that the fuzz test's queries know.
var fuzzed = func() map[string]searchattribute.Type {
	m := map[string]searchattribute.Type{}
	for name, typ := range attributeTypes {
		m[name] = searchattribute.TypeNamed(typ)
	}
	return m
}()

// FuzzFilterOnPostgres: what the compiler makes, Postgres takes.
func FuzzFilterOnPostgres(f *testing.F) {
	for _, seed := range []string{
		"", `WorkflowType = 'Order'`, `WorkflowId = '\0'`, `RunId IN ('a', "b\\") AND NOT StartTime < 1`,
		`ExecutionStatus NOT IN (1, 'Paused') OR StartTime BETWEEN '0000-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999999999Z'`,
		`StartTime > -9223372036854775808`, `StartTime = 9223372036854775807`, `StartTime IN ('2026-01-31T24:00:00Z')`, `ExecutionStatus = 0`,
		`WorkflowId >= '' && WorkflowId < "\Z\b\n" || RunId <> 'ü'`, `StartTime != '0000-01-01T00:00:00+23:59'`,
		strings.Repeat("NOT ", 100) + `RunId = 'a'`, strings.TrimSuffix(strings.Repeat("RunId = 'a' AND ", 900), " AND "),
		strings.Repeat("(", 150) + `RunId = 'a'` + strings.Repeat(")", 150), `RunId IN (` + strings.TrimSuffix(strings.Repeat("'a',", 10000), ",") + `)`,
		`Amount > 1.7976931348623157e308 OR Ratio = -1.7976931348623157e308 OR HistoryLength < 1e308`, `Due = '0000-01-01T00:00:00+23:59' OR Due IN (5, -5)`,
		`Note = '100% _sure_ \\ "quoted"' AND NOT Note != '...'`, `Customer LIKE 'a'`, `LastFailure LIKE '\\%\\_\\a%' OR LastFailure LIKE ''`, "Customer STARTS_WITH '\U0010FFFF'",
		`Labels IN (` + strings.TrimSuffix(strings.Repeat("'a',", 40), ",") + `)`, `Customer = '\u0000{}"' AND Labels = '\0'`, `CloseDay BETWEEN '0001-01-01' AND '9999-12-31'`,
		`order by TemporalNamespaceDivision, Ratio desc, CloseDay, Due desc, ExecutionDuration`, `Flag = true group by Customer, StartDay, Flag, Amount`,
	} {
		f.Add(seed)
	}
	c := seeded()
	for _, field := range askable {
		for _, operator := range operatorsOf[field.sort] {
			f.Add(comparisonOf(c, field, operator).text(0))
		}
	}
	s, pool := newQueries(f)
	stage := newStage(f, pool)
	stage.register(f, "default")
	stage.play(f, "default", knownRuns(c, 3)...)
	f.Fuzz(func(t *testing.T, query string) {
		o := filter.Options{Attributes: fuzzed}
		if _, err := filter.CompileList(query, "", o); err == nil {
			pages(t, s, pgstore.ListQuery{Namespace: "default", Query: query, Limit: 1}, func(pgstore.ExecutionPage) {})
		}
		if _, err := filter.CompileList(query, "CloseTime, Customer DESC", o); err == nil {
			pages(t, s, pgstore.ListQuery{Namespace: "default", Query: query, OrderBy: "CloseTime, Customer DESC", Limit: 1}, func(pgstore.ExecutionPage) {})
		}
		if _, err := filter.CompileCount(query, nil, o); err == nil {
			if _, err := s.Count(t.Context(), pgstore.CountQuery{Namespace: "default", Query: query}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzOrderOnPostgres: whatever a list can be ordered by, Postgres takes.
func FuzzOrderOnPostgres(f *testing.F) {
	for _, field := range askable {
		f.Add("`"+field.name+"`", field.name)
		f.Add("`"+field.name+"` desc, StartTime", field.name+",WorkflowType")
	}
	s, pool := newQueries(f)
	stage := newStage(f, pool)
	stage.register(f, "default")
	stage.play(f, "default", knownRuns(seeded(), 3)...)
	f.Fuzz(func(t *testing.T, order, groups string) {
		o := filter.Options{Attributes: fuzzed}
		if _, err := filter.CompileList("", order, o); err == nil {
			pages(t, s, pgstore.ListQuery{Namespace: "default", OrderBy: order, Limit: 1}, func(pgstore.ExecutionPage) {})
		}
		by := strings.Split(groups, ",")
		if _, err := filter.CompileCount("", by, o); err == nil {
			if _, err := s.Count(t.Context(), pgstore.CountQuery{Namespace: "default", GroupBy: by}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzPageToken: no token makes a list fail but as an invalid one, nor gives
// rows of another namespace.
func FuzzPageToken(f *testing.F) {
	s, pool := newQueries(f)
	insertRuns(f, pool, "default", storedRun{"a", "1", "Order", "Running", at(0)}, storedRun{"b", "2", "Order", "Failed", nil})
	insertRuns(f, pool, "other", storedRun{"secret", "1", "Order", "Running", at(0)})
	page, err := s.List(f.Context(), pgstore.ListQuery{Namespace: "default", Limit: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(page.NextPageToken)
	f.Add("e30")
	f.Add("eyJ2IjoyfQ")
	f.Fuzz(func(t *testing.T, token string) {
		page, err := s.List(t.Context(), pgstore.ListQuery{Namespace: "default", PageToken: token})
		if err != nil {
			if !isInvalidToken(err) {
				t.Fatal(err)
			}
			return
		}
		for _, e := range page.Executions {
			if e.Namespace != "default" {
				t.Fatalf("%q lists %s", token, e.WorkflowID)
			}
		}
	})
}
