package bench

import (
	"errors"
	"regexp"
	"slices"
	"testing"
	"time"
)

// Every case is measured, in as little time as there is, and reads what is there.
func TestReadMeasuresEveryCase(t *testing.T) {
	o := ReadOptions{Others: LeastOthers, Long: 600, Huge: 2000, Histories: 20, Duration: 8 * time.Millisecond}
	var names []string
	err := Read(t.Context(), o, func(r Result) error {
		names = append(names, r.Name)
		switch {
		case r.Unit != "ms" && r.Unit != "events/s" || r.N <= 0 || r.Value <= 0 || r.Raw <= 0 || r.Ratio <= 0:
			t.Errorf("%+v", r)
		case r.P50 <= 0 || r.P99 < r.P50 || r.RawP50 <= 0 || r.RawP99 < r.RawP50:
			t.Errorf("quantiles of %+v", r)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, c := range readCases(o) {
		want = append(want, c.String())
	}
	if !slices.Equal(names, want) {
		t.Errorf("measured %q, want %q", names, want)
	}
}

func TestReadsThatCannotBeMeasured(t *testing.T) {
	for name, o := range map[string]ReadOptions{
		"a filter that leaves no case":  {Others: LeastOthers, Long: 600, Huge: 1000, Histories: 1, Filter: regexp.MustCompile("none")},
		"too few others":                {Others: LeastOthers - 1, Long: 600, Huge: 1000, Histories: 1},
		"no histories":                  {Others: LeastOthers, Long: 600, Huge: 1000},
		"more histories than there are": {Others: LeastOthers, Long: 600, Huge: 1000, Histories: LeastOthers},
	} {
		if err := Read(t.Context(), o, nil); !errors.Is(err, ErrNoCase) {
			t.Errorf("%s: %v, want ErrNoCase", name, err)
		}
	}
}
