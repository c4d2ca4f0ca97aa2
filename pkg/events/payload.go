package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/api/temporalproto"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Failure is an error as events record it: an application failure of the
// error's type with its message, and the errors that it wraps as its causes.
// Failure(nil) is nil.
func Failure(err error) *failurepb.Failure {
	if err == nil {
		return nil
	}
	t := reflect.TypeOf(err)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return &failurepb.Failure{
		Message: strings.ToValidUTF8(err.Error(), "\ufffd"),
		Source:  "Annals",
		Cause:   Failure(errors.Unwrap(err)),
		FailureInfo: &failurepb.Failure_ApplicationFailureInfo{
			ApplicationFailureInfo: &failurepb.ApplicationFailureInfo{Type: t.Name()},
		},
	}
}

// How a payload says what it holds, in its metadata; the values are those of
// Temporal's default data converter.
const (
	metadataEncoding    = "encoding"
	metadataMessageType = "messageType"

	encodingNil       = "binary/null"
	encodingBytes     = "binary/plain"
	encodingJSON      = "json/plain"
	encodingProtoJSON = "json/protobuf"
	encodingProto     = "binary/protobuf"
)

// Payload encodes a value as Temporal's default data converter does: nil and
// nil pointers as binary/null, []byte as binary/plain, protobuf messages as
// json/protobuf, and all else as json/plain by encoding/json. A
// *commonpb.Payload is returned as it is, so that a converter or codec of one's
// own can come first. It fails with ErrInvalid if v cannot be encoded.
func Payload(v any) (*commonpb.Payload, error) {
	if p, ok := v.(*commonpb.Payload); ok && p != nil {
		return p, nil
	}
	if r := reflect.ValueOf(v); v == nil || r.Kind() == reflect.Pointer && r.IsNil() {
		return encoded(encodingNil, nil), nil
	}
	switch v := v.(type) {
	case []byte:
		return encoded(encodingBytes, v), nil
	case proto.Message:
		data, err := temporalproto.CustomJSONMarshalOptions{}.Marshal(v)
		if err != nil {
			return nil, &InvalidError{Field: "value", Reason: err.Error()}
		}
		p := encoded(encodingProtoJSON, data)
		p.Metadata[metadataMessageType] = []byte(v.ProtoReflect().Descriptor().FullName())
		return p, nil
	}
	data, err := json.Marshal(v)
	if err != nil {
		return nil, &InvalidError{Field: "value", Reason: err.Error()}
	}
	return encoded(encodingJSON, data), nil
}

func encoded(encoding string, data []byte) *commonpb.Payload {
	return &commonpb.Payload{Metadata: map[string][]byte{metadataEncoding: []byte(encoding)}, Data: data}
}

// Payloads encodes each value by [Payload]. No values are nil.
func Payloads(vs ...any) (*commonpb.Payloads, error) {
	var v values
	payloads := v.payloads("value", vs)
	if v.err != nil {
		return nil, v.err
	}
	return payloads, nil
}

// Value decodes a payload that [Payload] or Temporal's default data converter
// has made into what the pointer points to. A payload of nil sets that to its
// zero value, and an any becomes []byte or what encoding/json makes of it. It
// fails with ErrInvalid if the payload has another encoding or does not fit.
func Value(p *commonpb.Payload, into any) error {
	invalid := func(err error) error { return &InvalidError{Field: "payload", Reason: err.Error()} }
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return invalid(fmt.Errorf("is to be decoded into a %T, which is no pointer to anything", into))
	}
	encoding := string(p.GetMetadata()[metadataEncoding])
	switch encoding {
	case encodingNil:
		if m, ok := into.(proto.Message); ok {
			proto.Reset(m)
		} else {
			target.Elem().SetZero()
		}
		return nil
	case encodingBytes:
		switch into := into.(type) {
		case *[]byte:
			*into = slices.Clone(p.GetData())
		case *any:
			*into = slices.Clone(p.GetData())
		default:
			return invalid(fmt.Errorf("holds bytes, which do not fit into a %T", into))
		}
		return nil
	case encodingJSON:
		if err := json.Unmarshal(p.GetData(), into); err != nil {
			return invalid(err)
		}
		return nil
	case encodingProtoJSON, encodingProto:
		m, ok := into.(proto.Message)
		if !ok {
			return invalid(fmt.Errorf("holds a %s, which does not fit into a %T", p.GetMetadata()[metadataMessageType], into))
		}
		unmarshal := proto.Unmarshal
		if encoding == encodingProtoJSON {
			unmarshal = temporalproto.CustomJSONUnmarshalOptions{DiscardUnknown: true}.Unmarshal
		}
		if err := unmarshal(p.GetData(), m); err != nil {
			return invalid(err)
		}
		return nil
	}
	return invalid(fmt.Errorf("has the encoding %q, which is not of the default data converter", encoding))
}

// values encodes the values of one event and keeps the first error.
type values struct{ err *InvalidError }

func (v *values) payload(field string, value any) *commonpb.Payload {
	p, err := Payload(value)
	var invalid *InvalidError
	if !errors.As(err, &invalid) {
		return p
	}
	if v.err == nil {
		v.err = &InvalidError{Field: field, Reason: invalid.Reason}
	}
	return encoded("", nil)
}

func (v *values) payloads(field string, vs []any) *commonpb.Payloads {
	if len(vs) == 0 {
		return nil
	}
	payloads := make([]*commonpb.Payload, len(vs))
	for i, value := range vs {
		payloads[i] = v.payload(fmt.Sprintf("%s[%d]", field, i), value)
	}
	return &commonpb.Payloads{Payloads: payloads}
}

func (v *values) fields(field string, vs map[string]any) map[string]*commonpb.Payload {
	payloads := make(map[string]*commonpb.Payload, len(vs))
	for _, name := range slices.Sorted(maps.Keys(vs)) {
		payloads[name] = v.payload(fmt.Sprintf("%s[%q]", field, name), vs[name])
	}
	return payloads
}

// valueErrorNumber is the number of the field in which an event that could not
// be made carries the reason. It is the highest there is, of no message that
// Temporal has, and so travels along wherever the event goes.
const valueErrorNumber = 1<<29 - 1

// event is e. If a value could not be encoded, e becomes one that no log takes:
// it carries the reason, and, for a log that does not ask for the reason, an
// event id that is never the next.
func (v *values) event(e *Event) *Event {
	if v.err != nil {
		e.EventId = -1
		b := protowire.AppendTag(nil, valueErrorNumber, protowire.BytesType)
		b = protowire.AppendString(b, v.err.Field+"\x00"+v.err.Reason)
		e.ProtoReflect().SetUnknown(b)
	}
	return e
}

// ValueError is why a constructor could not make the event: an *InvalidError
// that names the value, or nil for all other events. Logs call it before they
// take an event; it costs next to nothing.
func ValueError(e *Event) error {
	b := []byte(e.ProtoReflect().GetUnknown())
	for len(b) > 0 {
		number, kind, tag := protowire.ConsumeTag(b)
		n := protowire.ConsumeFieldValue(number, kind, b[max(tag, 0):])
		if tag < 0 || n < 0 {
			return nil // not valid, and so none of ours
		}
		n += tag
		if number == valueErrorNumber && kind == protowire.BytesType {
			text, _ := protowire.ConsumeString(b[tag:n])
			field, reason, _ := strings.Cut(text, "\x00")
			return &InvalidError{Field: field, Reason: reason}
		}
		b = b[n:]
	}
	return nil
}
