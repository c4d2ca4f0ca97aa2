package importer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventjson"
)

// binaryExtensions are those of files that hold the protobuf message
// temporal.api.history.v1.History.
var binaryExtensions = []string{".pb", ".binpb"}

// decode reads a history as JSON or, if the file's name or its bytes say so, as
// protobuf. What this version of the API does not know is dropped from the
// former. In the latter it is kept, and stored: it is in the event's bytes. With
// Strict both are refused.
func (c *Config) decode(file string, data []byte) (evs []*events.Event, dropped, kept []string, err error) {
	if !slices.Contains(binaryExtensions, strings.ToLower(filepath.Ext(file))) && !isBinary(data) {
		evs, dropped, err = eventjson.Decode(data, eventjson.Options{Lenient: !c.Strict})
		return evs, dropped, nil, err
	}
	if len(data) > eventjson.DefaultMaxBytes {
		return nil, nil, nil, fmt.Errorf("a history has at most %d bytes", eventjson.DefaultMaxBytes)
	}
	var h historypb.History
	if err := proto.Unmarshal(data, &h); err != nil {
		return nil, nil, nil, fmt.Errorf("not a History in protobuf: %w", err)
	}
	if len(h.ProtoReflect().GetUnknown()) > 0 {
		return nil, nil, nil, fmt.Errorf("not a History in protobuf: it has fields that a History has not")
	}
	kept = unknownIn("", h.ProtoReflect(), nil)
	if c.Strict && len(kept) > 0 {
		refused := &eventjson.FieldError{}
		for _, path := range kept {
			refused.Problems = append(refused.Problems, eventjson.Problem{Path: path, Reason: eventjson.ErrUnknownField})
		}
		return nil, nil, nil, refused
	}
	return h.GetEvents(), nil, kept, nil
}

// maxUnknown is how many unknown fields are listed.
const maxUnknown = 10_000

// unknownIn adds the paths of the fields that this version of the API does not
// know, in a message at a path: protobuf has their numbers only.
func unknownIn(path string, m protoreflect.Message, all []string) []string {
	for rest := m.GetUnknown(); len(rest) > 0 && len(all) < maxUnknown; {
		number, _, n := protowire.ConsumeField(rest)
		if n < 0 {
			break // Unmarshal has read it
		}
		if at := join(path, strconv.Itoa(int(number))); !slices.Contains(all[max(0, len(all)-1):], at) { // not each item of a list
			all = append(all, at)
		}
		rest = rest[n:]
	}
	// In the order of the declaration, so that the list is the same each time.
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if !m.Has(f) || f.Message() == nil {
			continue
		}
		at := join(path, f.JSONName())
		switch v := m.Get(f); {
		case f.IsMap() && f.MapValue().Message() != nil:
			var keys []protoreflect.MapKey
			v.Map().Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
				keys = append(keys, k)
				return true
			})
			slices.SortFunc(keys, func(a, b protoreflect.MapKey) int { return strings.Compare(a.String(), b.String()) })
			for _, k := range keys {
				all = unknownIn(fmt.Sprintf("%s[%q]", at, k.String()), v.Map().Get(k).Message(), all)
			}
		case f.IsMap():
		case f.IsList():
			for i := range v.List().Len() {
				all = unknownIn(fmt.Sprintf("%s[%d]", at, i), v.List().Get(i).Message(), all)
			}
		default:
			all = unknownIn(at, v.Message(), all)
		}
	}
	return all
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// isBinary reports whether data is what a History is in protobuf: records of the
// field events, up to the end. JSON can be that, too: a newline and an object of
// 124 bytes.
func isBinary(data []byte) bool {
	for rest := data; len(rest) > 0; {
		field, kind, n := protowire.ConsumeTag(rest)
		if n < 0 || field != 1 || kind != protowire.BytesType {
			return false
		}
		_, m := protowire.ConsumeBytes(rest[n:])
		if m < 0 {
			return false
		}
		rest = rest[n+m:]
	}
	text := bytes.TrimLeft(data, " \t\r\n")
	return len(data) > 0 && !(len(text) > 0 && (text[0] == '{' || text[0] == '[') && json.Valid(text))
}
