package importer

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventjson"
)

// binaryExtensions are those of files that hold the protobuf message
// temporal.api.history.v1.History.
var binaryExtensions = []string{".pb", ".binpb"}

// decode reads a history as JSON or, if the file's name or its bytes say so, as
// protobuf. What this version of the API does not know stays in the events of
// the latter, and is stored.
func (c *Config) decode(file string, data []byte) (evs []*events.Event, dropped []string, err error) {
	if !slices.Contains(binaryExtensions, strings.ToLower(filepath.Ext(file))) && !isBinary(data) {
		return eventjson.Decode(data, eventjson.Options{Lenient: !c.Strict})
	}
	if len(data) > eventjson.DefaultMaxBytes {
		return nil, nil, fmt.Errorf("a history has at most %d bytes", eventjson.DefaultMaxBytes)
	}
	var h historypb.History
	if err := proto.Unmarshal(data, &h); err != nil {
		return nil, nil, fmt.Errorf("not a History in protobuf: %w", err)
	}
	if len(h.ProtoReflect().GetUnknown()) > 0 {
		return nil, nil, fmt.Errorf("not a History in protobuf: it has fields that a History has not")
	}
	return h.GetEvents(), nil, nil
}

// isBinary reports whether data is what a History is in protobuf: records of the
// field events, up to the end. No JSON is.
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
	return len(data) > 0
}
