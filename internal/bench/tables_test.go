package bench

import (
	"context"
	"errors"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// Each case makes all rows, ours and raw the same; cases that the filter leaves out
// are not measured.
func TestTablesMeasuresEveryCase(t *testing.T) {
	var got []string
	var bytes []*TableBytes
	o := TablesOptions{
		Cases: []TablesCase{
			{Rebuild: true, Events: 200, Commit: 3},
			{Events: 200, Commit: 3, Mode: pgstore.EventsFull},
			{Rebuild: true, Events: 200, Commit: 3, Mode: pgstore.EventsNone},
			{Events: 200, Commit: 3},
			{Events: 200, Commit: 1},
		},
		Filter: regexp.MustCompile("commit=3"), Rounds: 2,
	}
	err := Tables(t.Context(), o, func(r Result) error {
		got, bytes = append(got, r.Name), append(bytes, r.Bytes)
		switch {
		case r.Value <= 0 || r.Raw <= 0 || r.Ratio <= 0 || r.N != 200 || r.Unit != "events/s":
			t.Errorf("%+v", r)
		case r.P50 <= 0 || r.P99 < r.P50 || r.RawP50 <= 0 || r.RawP99 < r.RawP50:
			t.Errorf("%s: quantiles of %+v", r.Name, r)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"rebuild/events=200/commit=3/workflows=20/mode=index", "project/events=200/commit=3/workflows=20/mode=full",
		"rebuild/events=200/commit=3/workflows=20/mode=none", "project/events=200/commit=3/workflows=20/mode=index",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("cases (-want +got):\n%s", d)
	}
	index, full, none := bytes[0], bytes[1], bytes[2]
	if index.Execution <= 0 || index.ExecutionIndexes <= 0 || none.Event >= index.Event || full.Event <= index.Event || full.EventIndexes <= index.EventIndexes {
		t.Errorf("bytes: %+v, full %+v, none %+v", index, full, none)
	}
}

func TestTablesThatCannotBeMeasured(t *testing.T) {
	for name, o := range map[string]TablesOptions{
		"less than a history":             {Cases: []TablesCase{{Events: 9, Commit: 1}}},
		"no events in a commit":           {Cases: []TablesCase{{Events: 100}}},
		"a filter that leaves no case":    {Cases: []TablesCase{{Events: 100, Commit: 1}}, Filter: regexp.MustCompile("rebuild")},
		"no cases":                        {},
		"a case that is wrong among good": {Cases: []TablesCase{{Events: 100, Commit: 1}, {Events: 100, Commit: -1}}},
	} {
		if err := Tables(t.Context(), o, func(Result) error { return nil }); !errors.Is(err, ErrNoCase) {
			t.Errorf("%s: %v, want ErrNoCase", name, err)
		}
	}
}

func TestTablesInterruptedSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	time.AfterFunc(500*time.Millisecond, func() { cancel(enough) })
	o := TablesOptions{Cases: []TablesCase{{Rebuild: true, Events: 100_000_000, Commit: 1}}}
	if err := Tables(ctx, o, func(Result) error { return nil }); !errors.Is(err, enough) {
		t.Errorf("interrupted: %v", err)
	}
}
