package events

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// StoredSize is the bytes that e, with its id and time, takes in a commit's
// body: what a run's size counts.
func StoredSize(e *Event) int64 {
	return int64(protowire.SizeTag(1) + protowire.SizeBytes(proto.Size(e)))
}
