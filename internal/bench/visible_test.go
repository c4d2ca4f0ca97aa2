package bench

import (
	"errors"
	"regexp"
	"testing"
	"time"
)

// Every case is measured, in as little time as there is.
func TestVisibleMeasuresEveryCase(t *testing.T) {
	var names []string
	err := Visible(t.Context(), VisibleOptions{Within: time.Millisecond}, func(r Result) error {
		names = append(names, r.Name)
		switch {
		case r.Unit != "ms" || r.N <= 0 || r.Value != r.P50 || r.Raw != r.RawP50 || r.Ratio != r.Raw/r.Value:
			t.Errorf("%+v", r)
		case r.P50 <= 0 || r.P99 < r.P50 || r.RawP50 <= 0 || r.RawP99 < r.RawP50:
			t.Errorf("quantiles of %+v", r)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := VisibleCases(); len(names) != len(want) || names[0] != "visible/rate=500/events=1" || names[len(names)-1] != want[len(want)-1].String() {
		t.Errorf("measured %v", names)
	}
	if err := Visible(t.Context(), VisibleOptions{Filter: regexp.MustCompile("none")}, nil); !errors.Is(err, ErrNoCase) {
		t.Errorf("no case: %v", err)
	}
}

// A rate is the sum of what all writers do, and each waits for what it appended.
func TestSteadily(t *testing.T) {
	started := time.Now()
	err := Visible(t.Context(), VisibleOptions{Filter: regexp.MustCompile("rate=500/"), Duration: 800 * time.Millisecond}, func(r Result) error {
		// Four rounds of 200 ms at 500 a second.
		if r.N < 350 || r.N > 450 {
			t.Errorf("%d appends were measured in 800 ms at 500/s", r.N)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("took %s", time.Since(started))
}
