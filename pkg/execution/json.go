package execution

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.temporal.io/api/temporalproto"
	"google.golang.org/protobuf/proto"
)

// MarshalJSON is the state as `annals state -o json` prints it; see [State].
// The same events give the same bytes. It fails only on messages with text that
// is not UTF-8, which no log holds.
func (s *State) MarshalJSON() ([]byte, error) {
	if s == nil {
		return []byte("null"), nil
	}
	w := jsonWriter{}
	w.WriteByte('{')
	w.member("namespace", s.Workflow.Namespace)
	w.member("workflowId", s.Workflow.ID)
	w.fields(reflect.ValueOf(s).Elem())
	w.member("open", s.IsOpen())
	w.member("lastFailureMessages", FailureMessages(s.LastFailure))
	w.member("changeVersions", s.ChangeVersions())
	w.WriteByte('}')
	return w.Bytes(), w.err
}

// jsonWriter writes what a State is made of. encoding/json alone knows neither
// Temporal's JSON of messages nor that of durations, nor how to print an empty
// list that is nil.
type jsonWriter struct {
	bytes.Buffer
	err error
}

func (w *jsonWriter) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *jsonWriter) member(name string, v any) {
	w.name(name)
	w.value(reflect.ValueOf(v))
}

func (w *jsonWriter) name(name string) {
	if last := w.Bytes()[w.Len()-1]; last != '{' {
		w.WriteByte(',')
	}
	w.text(name)
	w.WriteByte(':')
}

func (w *jsonWriter) text(s string) {
	b, err := json.Marshal(s)
	if err != nil {
		w.fail(err)
	}
	w.Write(b)
}

// fields writes the members of a struct, by their tags.
func (w *jsonWriter) fields(v reflect.Value) {
	for i := range v.NumField() {
		if name := v.Type().Field(i).Tag.Get("json"); name != "-" {
			w.name(name)
			w.value(v.Field(i))
		}
	}
}

func (w *jsonWriter) value(v reflect.Value) {
	switch x := v.Interface().(type) {
	case time.Time:
		if x.IsZero() {
			w.WriteString("null")
			return
		}
		w.text(x.Format(time.RFC3339Nano))
		return
	case time.Duration:
		w.text(seconds(x))
		return
	case proto.Message:
		w.message(v, x)
		return
	case fmt.Stringer: // an enum
		w.text(x.String())
		return
	}
	switch v.Kind() {
	case reflect.String:
		w.text(v.String())
	case reflect.Bool:
		w.WriteString(strconv.FormatBool(v.Bool()))
	case reflect.Int32, reflect.Int64:
		w.WriteString(strconv.FormatInt(v.Int(), 10))
	case reflect.Struct:
		w.WriteByte('{')
		w.fields(v)
		w.WriteByte('}')
	case reflect.Pointer:
		if v.IsNil() {
			w.WriteString("null")
			return
		}
		w.value(v.Elem())
	case reflect.Slice:
		w.WriteByte('[')
		for i := range v.Len() {
			if i > 0 {
				w.WriteByte(',')
			}
			w.value(v.Index(i))
		}
		w.WriteByte(']')
	case reflect.Map:
		w.mapped(v)
	default:
		w.fail(fmt.Errorf("no JSON for %s", v.Type()))
	}
}

func (w *jsonWriter) message(v reflect.Value, m proto.Message) {
	if v.IsNil() {
		w.WriteString("null")
		return
	}
	b, err := temporalproto.CustomJSONMarshalOptions{}.Marshal(m)
	if err != nil {
		w.fail(fmt.Errorf("encode %s: %w", m.ProtoReflect().Descriptor().FullName(), err))
		return
	}
	if err := json.Compact(&w.Buffer, b); err != nil {
		w.fail(err)
	}
}

func (w *jsonWriter) mapped(v reflect.Value) {
	byName := make(map[string]reflect.Value, v.Len())
	for _, k := range v.MapKeys() {
		byName[k.String()] = v.MapIndex(k)
	}
	w.WriteByte('{')
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		w.name(name)
		w.value(byName[name])
	}
	w.WriteByte('}')
}

// seconds is d as Temporal's JSON writes durations: "10s", "-0.25s".
func seconds(d time.Duration) string {
	sign := ""
	n := uint64(d)
	if d < 0 {
		sign, n = "-", -n
	}
	whole, nanos := n/nanosPerSecond, n%nanosPerSecond
	if nanos == 0 {
		return sign + strconv.FormatUint(whole, 10) + "s"
	}
	return sign + strconv.FormatUint(whole, 10) + "." + strings.TrimRight(fmt.Sprintf("%09d", nanos), "0") + "s"
}
