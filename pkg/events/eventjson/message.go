package eventjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"go.temporal.io/api/temporalproto"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// DecodeMessage reads one message of any type by the rules that [Decode] has
// for events: both spellings of enums, payloads in full or in shorthand, and
// with [Options] of zero nothing dropped in silence. Paths begin at the message:
// events[0].eventTyp. Fields that data does not have are cleared in m.
//
// Dropped and the errors are those of Decode, less ErrNotHistory and ErrPartial.
// With an error m is not to be used.
func DecodeMessage(data []byte, m proto.Message, opts Options) (dropped []string, err error) {
	opts = opts.withDefaults()
	t, err := onlyValue(data, opts)
	if err != nil {
		return nil, err
	}
	d := decoder{opts: opts}
	desc := m.ProtoReflect().Descriptor()
	w := walk{text: t, report: d.report}
	w.message(0, desc)
	if len(d.problems) > 0 {
		return nil, &FieldError{Problems: d.problems, More: d.full}
	}
	// As in Decode: the two readers have to agree on what is dropped.
	options := temporalproto.CustomJSONUnmarshalOptions{DiscardUnknown: w.dropped > 0}
	if err := options.Unmarshal(w.edits.apply(t), m); err != nil {
		d.locate(t, nil, desc, err)
		return nil, &FieldError{Problems: d.problems, More: d.full}
	}
	return d.dropped, nil
}

// EncodeMessage writes one message as [EncodeEvent] writes events: in one line,
// fields without a value left out, payloads in full.
func EncodeMessage(m proto.Message) ([]byte, error) { return marshal(m, "") }

// onlyValue is the one JSON value that data holds.
func onlyValue(data []byte, opts Options) (text, error) {
	if len(data) > opts.MaxBytes {
		return nil, tooLarge(data, opts)
	}
	if !utf8.Valid(data) {
		return nil, notUTF8(data)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	values := json.NewDecoder(bytes.NewReader(data))
	var raw json.RawMessage
	switch err := values.Decode(&raw); {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%w: there is nothing", ErrSyntax)
	case err != nil:
		return nil, syntaxError(data, 0, err)
	}
	if _, err := values.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: %s: more than one value", ErrSyntax, place(data, int(values.InputOffset())))
	}
	t := text(raw)
	if err := checkDepth(t, opts); err != nil {
		return nil, err
	}
	return t, nil
}

func tooLarge(data []byte, opts Options) error {
	return fmt.Errorf("%w: %d bytes, at most %d are taken", ErrTooLarge, len(data), opts.MaxBytes)
}

func notUTF8(data []byte) error {
	return fmt.Errorf("%w: %s: not UTF-8", ErrSyntax, place(data, invalidUTF8(data)))
}

func checkDepth(t text, opts Options) error {
	if depth := t.depth(); depth > opts.MaxDepth {
		return fmt.Errorf("%w: %d levels, at most %d are taken", ErrTooDeep, depth, opts.MaxDepth)
	}
	return nil
}

// locate reports which values of a message the decoder does not take, by
// offering it each one alone.
func (d *decoder) locate(t text, at path, desc protoreflect.MessageDescriptor, cause error) {
	found := false
	w := walk{text: t, at: at, report: func(Problem) {}}
	w.leaf = func(field protoreflect.FieldDescriptor, i int) {
		if decodes(field, t[i:t.endOfValue(i)]) {
			return
		}
		found = true
		d.report(Problem{
			Path:   string(w.at),
			Reason: ErrInvalidValue,
			Detail: fmt.Sprintf("want %s, have %s", typeName(field), t.excerpt(i)),
		})
	}
	w.message(0, desc)
	if !found {
		d.report(Problem{Path: string(at), Reason: ErrInvalidValue, Detail: cause.Error()})
	}
}
