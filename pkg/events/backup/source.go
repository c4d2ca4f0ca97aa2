package backup

import (
	"context"
	"encoding/json"
	"iter"

	"github.com/annals-io/annals/pkg/events"
)

// Source is a log as a backup reads it. A partition may be Heartbeats or Control.
type Source interface {
	// Identity says which log it is.
	Identity() events.Identity
	// Describe says what a stream is and holds now, as its leader knows it.
	Describe(ctx context.Context, p events.Partition) (Description, error)
	// Messages yields everything that a stream holds in (after, until], in
	// order, and then ends, even where what is at until was deleted. An error
	// ends it.
	Messages(ctx context.Context, p events.Partition, after, until uint64) iter.Seq2[events.Message, error]
}

// Description is a stream as it is.
type Description struct {
	Name     string
	Bounds   events.Bounds
	Messages int64           // within the bounds
	Settings json.RawMessage // as the server writes them; nil if there are none
}
