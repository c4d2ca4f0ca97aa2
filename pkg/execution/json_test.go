package execution

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// TestJSONIsStable holds the printed form; scripts read it. If this fails on
// purpose, note the change in the changelog, then write the file anew with
// ANNALS_UPDATE_GOLDEN=1.
func TestJSONIsStable(t *testing.T) {
	b, err := fold(order()[:11]...).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, append(b, '\n'), "", "  "); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/order.json", indented.Bytes())
}

// TestJSONHoldsEveryField fails when a field has no name in JSON, or two have
// the same.
func TestJSONHoldsEveryField(t *testing.T) {
	var printed map[string]any
	b, err := full().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &printed); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	// namespace and workflowId for Workflow, and what is derived.
	if got, want := len(printed), reflect.TypeFor[State]().NumField()-1+2+3; got != want {
		t.Errorf("%d members, want %d", got, want)
	}
	checkNames(t, reflect.TypeFor[State](), map[reflect.Type]bool{})
	walkPrinted(t, "", printed)
}

// checkNames wants each field of our own types named, once, lowerCamel.
func checkNames(t *testing.T, typ reflect.Type, seen map[reflect.Type]bool) {
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct || typ.PkgPath() != reflect.TypeFor[State]().PkgPath() || seen[typ] {
		return
	}
	seen[typ] = true
	names := map[string]bool{}
	for i := range typ.NumField() {
		f := typ.Field(i)
		name := f.Tag.Get("json")
		if name == "" || names[name] || name != "-" && (name[0] < 'a' || name[0] > 'z') {
			t.Errorf("%s.%s is named %q", typ.Name(), f.Name, name)
		}
		names[name] = true
		checkNames(t, f.Type, seen)
	}
}

// walkPrinted wants no null anywhere in a state in which nothing is absent, but
// in the one value that is derived from what cannot be read.
func walkPrinted(t *testing.T, path string, v any) {
	switch v := v.(type) {
	case nil:
		t.Errorf("%s is null", path)
	case map[string]any:
		for k, x := range v {
			walkPrinted(t, path+"."+k, x)
		}
	case []any:
		if len(v) == 0 && path != ".changeVersions" {
			t.Errorf("%s is empty", path)
		}
		for _, x := range v {
			walkPrinted(t, path, x)
		}
	}
}

func TestJSONOfNil(t *testing.T) {
	b, err := json.Marshal((*State)(nil))
	if err != nil || string(b) != "null" {
		t.Errorf("%s, %v", b, err)
	}
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                       "0s",
		10 * time.Second:        "10s",
		1500 * time.Millisecond: "1.5s",
		-250 * time.Millisecond: "-0.25s",
		1:                       "0.000000001s",
		1<<63 - 1:               "9223372036.854775807s",
		-1 << 63:                "-9223372036.854775808s",
	} {
		if got := seconds(d); got != want {
			t.Errorf("%d ns: %q, want %q", d, got, want)
		}
	}
}
