package searchattribute_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	commonpb "go.temporal.io/api/common/v1"

	"github.com/annals-io/annals/pkg/searchattribute"
)

func TestValuesOfEachType(t *testing.T) {
	noon := time.Date(2026, 11, 27, 12, 0, 0, 5, time.UTC)
	for _, v := range []struct {
		t    searchattribute.Type
		data string
		want any // nil: none of the type
	}{
		{searchattribute.Keyword, `"a b"`, "a b"},
		{searchattribute.Keyword, `["a"]`, "a"},
		{searchattribute.Keyword, `["a","b"]`, nil},
		{searchattribute.Keyword, `7`, nil},
		{searchattribute.Text, ` "größer" `, "größer"},
		{searchattribute.Text, `null`, nil},
		{searchattribute.KeywordList, `["a","b"]`, []string{"a", "b"}},
		{searchattribute.KeywordList, `"a"`, []string{"a"}},
		{searchattribute.KeywordList, `["a",null]`, nil},
		{searchattribute.KeywordList, `["a",7]`, nil},
		{searchattribute.KeywordList, `[]`, nil},
		{searchattribute.Int, `-9223372036854775808`, int64(-9223372036854775808)},
		{searchattribute.Int, `9223372036854775808`, nil},
		{searchattribute.Int, `1e3`, int64(1000)},
		{searchattribute.Int, `1.5`, nil},
		{searchattribute.Int, `"1"`, nil},
		{searchattribute.Int, `[1]`, int64(1)},
		{searchattribute.Double, `1`, 1.0},
		{searchattribute.Double, `-1.5e-3`, -0.0015},
		{searchattribute.Double, `1e999`, nil},
		{searchattribute.Double, `NaN`, nil},
		{searchattribute.Bool, `true`, true},
		{searchattribute.Bool, `"true"`, nil},
		{searchattribute.Datetime, `"2026-11-27T13:00:00.000000005+01:00"`, noon},
		{searchattribute.Datetime, `"yesterday"`, nil},
		{searchattribute.Datetime, `1764244800`, nil},
		{searchattribute.Int, ``, nil},
		{searchattribute.Int, `{`, nil},
		{0, `1`, nil},
	} {
		got, err := searchattribute.Value(v.t, typed("", v.data))
		if diff := cmp.Diff(v.want, got); diff != "" || (err != nil) != (v.want == nil) {
			t.Errorf("%s as %s: %v, %v (-want +got):\n%s", v.data, v.t, got, err, diff)
		}
	}
	if _, err := searchattribute.Value(searchattribute.Keyword, &commonpb.Payload{
		Metadata: map[string][]byte{"encoding": []byte("binary/encrypted")}, Data: []byte(`"a"`),
	}); err == nil {
		t.Error("an encrypted value is a keyword")
	}
}

func TestDeletes(t *testing.T) {
	for data, want := range map[string]bool{"": true, "null": true, "[]": true, " [ ] ": true, `""`: false, "0": false, "[1]": false, "[x": false, "[": false, "[null]": false, "false": false} {
		if got := searchattribute.Deletes(typed("Int", data)); got != want {
			t.Errorf("%q deletes: %t", data, got)
		}
	}
	if !searchattribute.Deletes(nil) || !searchattribute.Deletes(&commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte("binary/null")}}) {
		t.Error("nil does not delete")
	}
}

func TestTypesByName(t *testing.T) {
	for _, typ := range searchattribute.Types {
		got, err := searchattribute.ParseType(typ.String())
		if err != nil || got != typ || searchattribute.TypeNamed(typ.String()) != typ {
			t.Errorf("%s: %v, %v", typ, got, err)
		}
	}
	if got, err := searchattribute.ParseType("keywordlist"); err != nil || got != searchattribute.KeywordList {
		t.Errorf("keywordlist: %v, %v", got, err)
	}
	if searchattribute.TypeNamed("keywordlist") != 0 {
		t.Error("what is stored has one form")
	}
	if _, err := searchattribute.ParseType("Geo"); err == nil {
		t.Error("Geo is a type")
	}
}

// FuzzValue: whatever the data is, judging it does not panic, and what is a value of
// a type does not delete.
func FuzzValue(f *testing.F) {
	for _, data := range []string{`"a"`, `[1]`, `{`, `[`, ` [ ]`, `1e9`, `"2026-01-01T00:00:00Z"`} {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data string) {
		p := typed("", data)
		for _, typ := range searchattribute.Types {
			if v, err := searchattribute.Value(typ, p); err == nil && searchattribute.Deletes(p) {
				t.Errorf("%q is %v, and deletes", data, v)
			}
		}
	})
}
