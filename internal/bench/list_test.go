package bench

import (
	"errors"
	"regexp"
	"slices"
	"testing"
	"time"
)

// Every case is measured, in as little time as there is, and none reads a table from
// end to end.
func TestListMeasuresEveryCase(t *testing.T) {
	var names []string
	err := List(t.Context(), ListOptions{Executions: LeastExecutions, Rate: 100, Duration: 8 * time.Millisecond}, func(r Result) error {
		names = append(names, r.Name)
		switch {
		case r.Unit != "ms" || r.N <= 0 || r.Value != r.P50 || r.Raw != r.RawP50 || r.Ratio != r.Raw/r.Value:
			t.Errorf("%+v", r)
		case r.P50 <= 0 || r.P99 < r.P50 || r.RawP50 <= 0 || r.RawP99 < r.RawP50:
			t.Errorf("quantiles of %+v", r)
		case !slices.ContainsFunc(r.Indexes, regexp.MustCompile("^(executions|activities|run_events)_").MatchString):
			t.Errorf("%s: indexes %q", r.Name, r.Indexes)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, c := range ListCases(LeastExecutions) {
		want = append(want, c.String())
	}
	if !slices.Equal(names, want) {
		t.Errorf("measured %q, want %q", names, want)
	}
}

func TestListsThatCannotBeMeasured(t *testing.T) {
	for name, o := range map[string]ListOptions{
		"a filter that leaves no case": {Executions: LeastExecutions, Rate: 1, Filter: regexp.MustCompile("none")},
		"too few for a hundredth page": {Executions: LeastExecutions - 1, Rate: 1},
		"nothing appended":             {Executions: LeastExecutions},
	} {
		if err := List(t.Context(), o, nil); !errors.Is(err, ErrNoCase) {
			t.Errorf("%s: %v, want ErrNoCase", name, err)
		}
	}
}
