package eventjson

import (
	"fmt"

	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"google.golang.org/protobuf/proto"

	"github.com/annals-io/annals/pkg/events"
)

// Encode writes the events as one history, {"events": […]}, indented by two
// spaces and without a final newline: byte for byte what
// `temporal workflow show --output json` prints, but for payloads without an
// encoding, whose empty metadata is written out.
//
// It fails if JSON cannot hold an event: text that is not UTF-8, a time outside
// of the years 1 to 9999, or one with an [events.ValueError].
func Encode(evs []*events.Event) ([]byte, error) {
	if len(evs) == 0 {
		return []byte(`{"events": []}`), nil
	}
	for i, e := range evs {
		if err := events.ValueError(e); err != nil {
			return nil, fmt.Errorf("event %d: %w", i, err)
		}
	}
	return marshal(&historypb.History{Events: evs}, "  ")
}

// EncodeEvent writes the event as one line, without the newline. It fails as
// [Encode] does.
func EncodeEvent(e *events.Event) ([]byte, error) {
	if err := events.ValueError(e); err != nil {
		return nil, err
	}
	return marshal(e, "")
}

func marshal(m proto.Message, indent string) ([]byte, error) {
	desc := m.ProtoReflect().Descriptor()
	raw, err := temporalproto.CustomJSONMarshalOptions{Indent: indent}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("write %s as JSON: %w", desc.Name(), err)
	}
	w := walk{text: raw, spell: true, report: func(Problem) {}}
	w.message(0, desc)
	return w.edits.apply(raw), nil
}
