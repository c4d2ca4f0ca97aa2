package execution

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/annals-io/annals/pkg/events"
)

// FieldChange is a place at which the JSON of two states differs.
type FieldChange struct {
	// Path leads there from the state, by the names of its JSON: status,
	// parent.runId, memo["colour"]. What is pending is named by its event and
	// not by its place in the list: activities[5].attempt is of the activity
	// that event 5 scheduled.
	Path string `json:"path"`
	// Before and After are the JSON on both sides. Nil: there is no such entry
	// of a map or of what is pending.
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// Diff lists the fields by which the JSON of two states differs, in the order
// of that JSON; none if they are equal. Structures are compared field by field,
// maps entry by entry, what is pending one by one; a message (a payload, a
// failure, a policy), a list of anything else and what only one side has are
// one value. It fails as [State.MarshalJSON] does, and changes neither state.
func Diff(a, b *State) ([]FieldChange, error) {
	var d differ
	d.value("namespace", reflect.ValueOf(a.Workflow.Namespace), reflect.ValueOf(b.Workflow.Namespace))
	d.value("workflowId", reflect.ValueOf(a.Workflow.ID), reflect.ValueOf(b.Workflow.ID))
	d.fields("", reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem())
	d.value("open", reflect.ValueOf(a.IsOpen()), reflect.ValueOf(b.IsOpen()))
	d.value("lastFailureMessages", reflect.ValueOf(FailureMessages(a.LastFailure)), reflect.ValueOf(FailureMessages(b.LastFailure)))
	d.value("changeVersions", reflect.ValueOf(a.ChangeVersions()), reflect.ValueOf(b.ChangeVersions()))
	return d.changes, d.err
}

// differ walks two states side by side, as jsonWriter walks one.
type differ struct {
	changes []FieldChange
	err     error
}

// keyed is an element of what is pending.
type keyed interface{ key() events.EventID }

var keyedType = reflect.TypeFor[keyed]()

func (d *differ) fields(path string, a, b reflect.Value) {
	for i := range a.NumField() {
		if name := a.Type().Field(i).Tag.Get("json"); name != "-" {
			if path != "" {
				name = path + "." + name
			}
			d.value(name, a.Field(i), b.Field(i))
		}
	}
}

func (d *differ) value(path string, a, b reflect.Value) {
	t := a.Type()
	switch {
	case t.Kind() == reflect.Struct && t != reflect.TypeFor[time.Time]():
		d.fields(path, a, b)
	case t.Kind() == reflect.Pointer && !t.Implements(reflect.TypeFor[proto.Message]()) && !a.IsNil() && !b.IsNil():
		d.value(path, a.Elem(), b.Elem())
	case t.Kind() == reflect.Map:
		d.entries(path, a, b)
	case t.Kind() == reflect.Slice && t.Elem().Implements(keyedType):
		d.pending(path, a, b)
	default:
		d.differs(path, d.json(a), d.json(b))
	}
}

func (d *differ) entries(path string, a, b reflect.Value) {
	names := map[string]bool{}
	for _, m := range []reflect.Value{a, b} {
		for _, k := range m.MapKeys() {
			names[k.String()] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		k := reflect.ValueOf(name)
		d.differs(path+"["+strconv.Quote(name)+"]", d.json(a.MapIndex(k)), d.json(b.MapIndex(k)))
	}
}

// pending pairs the elements of two lists by their keys, by which both are
// sorted.
func (d *differ) pending(path string, a, b reflect.Value) {
	key := func(v reflect.Value, i int) events.EventID { return v.Index(i).Interface().(keyed).key() }
	i, j := 0, 0
	for i < a.Len() || j < b.Len() {
		switch {
		case j == b.Len() || i < a.Len() && key(a, i) < key(b, j):
			d.differs(fmt.Sprintf("%s[%d]", path, key(a, i)), d.json(a.Index(i)), nil)
			i++
		case i == a.Len() || key(b, j) < key(a, i):
			d.differs(fmt.Sprintf("%s[%d]", path, key(b, j)), nil, d.json(b.Index(j)))
			j++
		default:
			d.value(fmt.Sprintf("%s[%d]", path, key(a, i)), a.Index(i), b.Index(j))
			i++
			j++
		}
	}
}

func (d *differ) differs(path string, before, after []byte) {
	if (before == nil) != (after == nil) || !bytes.Equal(before, after) {
		d.changes = append(d.changes, FieldChange{Path: path, Before: before, After: after})
	}
}

// json is a value's JSON; nil if there is none.
func (d *differ) json(v reflect.Value) []byte {
	if !v.IsValid() {
		return nil
	}
	w := jsonWriter{}
	w.value(v)
	if w.err != nil && d.err == nil {
		d.err = w.err
	}
	return w.Bytes()
}
