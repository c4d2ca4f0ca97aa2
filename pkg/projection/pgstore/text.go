package pgstore

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/temporalproto"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
)

// replacement stands for a NUL, which Postgres has in no text.
const replacement = "\uFFFD"

// text is s as a column can hold it.
func text[T ~string](s T) string {
	if strings.IndexByte(string(s), 0) < 0 {
		return string(s)
	}
	return strings.ReplaceAll(string(s), "\x00", replacement)
}

// optional is s, or null where it is empty.
func optional[T ~string](s T) any {
	if s == "" {
		return nil
	}
	return text(s)
}

// texts are a text array, or null where there are none.
func texts(list []string) any {
	if len(list) == 0 {
		return nil
	}
	clean := make(textList, len(list))
	for i, s := range list {
		clean[i] = text(s)
	}
	return clean
}

// textList is sent as Postgres writes an array of texts: see statements.go.
type textList []string

// TextValue is pgtype.TextValuer's.
func (l textList) TextValue() (pgtype.Text, error) {
	var b strings.Builder
	b.WriteByte('{')
	for i, s := range l {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		for _, r := range s {
			if r == '"' || r == '\\' {
				b.WriteByte('\\')
			}
			b.WriteRune(r)
		}
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return pgtype.Text{String: b.String(), Valid: true}, nil
}

// moment is t to the microsecond, or null where it is absent.
func moment(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Truncate(time.Microsecond)
}

// span is d to the microsecond, or null where it is zero.
func span(d time.Duration) any {
	if d == 0 {
		return nil
	}
	return d.Truncate(time.Microsecond)
}

// id is an event id or a sequence, or null where it is zero.
func id[T ~int64](n T) any {
	if n == 0 {
		return nil
	}
	return int64(n)
}

// message is a protobuf message as Temporal's JSON, or null where there is none.
// A duration that JSON has no form for is cut to the nearest that Go holds: the
// log takes any, and none may keep a run out of the tables.
func message(m proto.Message) (any, error) {
	if m == nil || !m.ProtoReflect().IsValid() {
		return nil, nil
	}
	b, err := temporalproto.CustomJSONMarshalOptions{}.Marshal(m)
	if err != nil {
		if b, err = (temporalproto.CustomJSONMarshalOptions{}).Marshal(withDurationsCut(m)); err != nil {
			return nil, err
		}
	}
	return withoutNUL(b), nil
}

// withDurationsCut is a copy of m with the durations among its fields cut to
// what Go holds.
func withDurationsCut(m proto.Message) proto.Message {
	m = proto.Clone(m)
	m.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.Message() != nil && !f.IsList() && !f.IsMap() {
			if d, ok := v.Message().Interface().(*durationpb.Duration); ok {
				cut := durationpb.New(d.AsDuration())
				d.Seconds, d.Nanos = cut.Seconds, cut.Nanos
			}
		}
		return true
	})
	return m
}

// payloads are a map of payloads as JSON, or null where it is empty.
func payloads(m map[string]*commonpb.Payload) (any, error) {
	if len(m) == 0 {
		return nil, nil
	}
	out := make(map[string]json.RawMessage, len(m))
	// In order, since two keys may be the same once a NUL in them is replaced.
	for _, k := range slices.Sorted(maps.Keys(m)) {
		b, err := temporalproto.CustomJSONMarshalOptions{}.Marshal(m[k])
		if err != nil {
			return nil, err
		}
		out[text(k)] = b
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, err
	}
	return withoutNUL(b), nil
}

// withoutNUL writes the escapes of a NUL in a JSON text as U+FFFD: jsonb takes
// none.
func withoutNUL(b []byte) string {
	if !bytes.Contains(b, []byte(`\u0000`)) {
		return string(b)
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+1 < len(b) {
			if bytes.HasPrefix(b[i:], []byte(`\u0000`)) {
				out = append(out, `\ufffd`...)
				i += 5
				continue
			}
			out = append(out, b[i], b[i+1])
			i++
			continue
		}
		out = append(out, b[i])
	}
	return string(out)
}
