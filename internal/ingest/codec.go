package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connectproto"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	annalsv1 "github.com/annals-io/annals/pkg/api/annals/v1"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventjson"
)

// ownPackage is that of the messages which are this API's own.
var ownPackage = annalsv1.File_annals_v1_log_proto.Package()

func isOwn(d protoreflect.MessageDescriptor) bool { return d.ParentFile().Package() == ownPackage }

// jsonCodec is JSON as the package's doc says.
type jsonCodec struct{ maxBytes int }

var _ connect.StableCodec = jsonCodec{}

// Name is connect.Codec's.
func (jsonCodec) Name() string { return connect.CodecNameJSON }

// IsBinary is connect.StableCodec's.
func (jsonCodec) IsBinary() bool { return false }

// UnmarshalRead is connect.Codec's. Nothing that it does not know is dropped.
func (c jsonCodec) UnmarshalRead(_ context.Context, src io.Reader, msg any) error {
	m, ok := msg.(proto.Message)
	if !ok {
		return fmt.Errorf("%w: %T", connectproto.ErrNotProtoMessage, msg)
	}
	text, err := io.ReadAll(src)
	if err != nil {
		return err
	}
	_, err = eventjson.DecodeMessage(text, m, eventjson.Options{MaxBytes: c.maxBytes})
	return err
}

// MarshalWrite is connect.Codec's.
func (c jsonCodec) MarshalWrite(_ context.Context, dst io.Writer, msg any) error {
	m, ok := msg.(proto.Message)
	if !ok {
		return fmt.Errorf("%w: %T", connectproto.ErrNotProtoMessage, msg)
	}
	text, err := appendMessage(nil, m.ProtoReflect())
	if err != nil {
		return err
	}
	_, err = dst.Write(text)
	return err
}

// MarshalWriteStable is connect.StableCodec's: keys of maps are always sorted.
func (c jsonCodec) MarshalWriteStable(ctx context.Context, dst io.Writer, msg any) error {
	return c.MarshalWrite(ctx, dst, msg)
}

// appendMessage writes this API's messages with all their fields, and others as
// those who made them write them.
func appendMessage(b []byte, m protoreflect.Message) ([]byte, error) {
	d := m.Descriptor()
	if !isOwn(d) {
		write := eventjson.EncodeMessage
		if strings.HasPrefix(string(d.FullName()), "google.protobuf.") {
			write = protojson.Marshal
		}
		text, err := write(m.Interface())
		return append(b, text...), err
	}
	b = append(b, '{')
	first := true
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		if f.ContainingOneof() != nil && !m.Has(f) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(strconv.AppendQuote(b, f.JSONName()), ':')
		var err error
		if b, err = appendField(b, m, f); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func appendField(b []byte, m protoreflect.Message, f protoreflect.FieldDescriptor) ([]byte, error) {
	var err error
	switch {
	case f.IsMap():
		values := m.Get(f).Map()
		keys := make([]string, 0, values.Len())
		values.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
			keys = append(keys, k.String())
			return true
		})
		slices.Sort(keys)
		b = append(b, '{')
		for i, k := range keys {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendText(b, k); err != nil {
				return nil, err
			}
			b = append(b, ':')
			if b, err = appendValue(b, f.MapValue(), values.Get(protoreflect.ValueOfString(k).MapKey())); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	case f.IsList():
		list := m.Get(f).List()
		b = append(b, '[')
		for i := range list.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendValue(b, f, list.Get(i)); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case f.Message() != nil && !m.Has(f):
		return append(b, "null"...), nil
	}
	return appendValue(b, f, m.Get(f))
}

// appendValue writes the kinds of values that this API has. 64-bit numbers are
// texts, as protobuf's JSON has them: JavaScript would round them.
func appendValue(b []byte, f protoreflect.FieldDescriptor, v protoreflect.Value) ([]byte, error) {
	switch f.Kind() {
	case protoreflect.MessageKind:
		return appendMessage(b, v.Message())
	case protoreflect.StringKind:
		return appendText(b, v.String())
	case protoreflect.BoolKind:
		return strconv.AppendBool(b, v.Bool()), nil
	case protoreflect.Int32Kind:
		return strconv.AppendInt(b, v.Int(), 10), nil
	case protoreflect.Int64Kind:
		return append(strconv.AppendInt(append(b, '"'), v.Int(), 10), '"'), nil
	}
	return nil, fmt.Errorf("%s is of kind %s, which this API's JSON does not know yet", f.FullName(), f.Kind())
}

func appendText(b []byte, s string) ([]byte, error) {
	text, err := json.Marshal(s)
	return append(b, text...), err
}

// binaryCodec is protobuf's binary form, in which requests have no fields that
// are not known, and no times that JSON could not say.
type binaryCodec struct{ *connectproto.BinaryCodec }

func newBinaryCodec() binaryCodec { return binaryCodec{connectproto.NewBinaryCodec()} }

// UnmarshalRead is connect.Codec's.
func (c binaryCodec) UnmarshalRead(ctx context.Context, src io.Reader, msg any) error {
	if err := c.BinaryCodec.UnmarshalRead(ctx, src, msg); err != nil {
		return err
	}
	m, ok := msg.(proto.Message)
	if !ok {
		return nil
	}
	if err := refuseUnknown(m.ProtoReflect(), ""); err != nil {
		return err
	}
	return events.CheckTimes(m)
}

// refuseUnknown fails, as *events.InvalidError, if one of this API's messages
// within m has fields that this version does not know.
func refuseUnknown(m protoreflect.Message, at string) (err error) {
	if !isOwn(m.Descriptor()) {
		return nil
	}
	if unknown := m.GetUnknown(); len(unknown) > 0 {
		number, _, _ := protowire.ConsumeTag(unknown)
		return invalidf(strings.TrimPrefix(at+".", ".")+strconv.Itoa(int(number)), "is the number of a field that is not known here")
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.Message() != nil && !f.IsList() && !f.IsMap() {
			err = refuseUnknown(v.Message(), strings.TrimPrefix(at+"."+f.JSONName(), "."))
		}
		return err == nil
	})
	return err
}
