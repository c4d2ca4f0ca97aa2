package heartbeat

import (
	"iter"

	"github.com/annals-io/annals/pkg/events"
)

// Decoded reads what is stored as heartbeats. A message that is none is yielded
// as its sequence and its error and is passed; an error of the messages ends it.
func Decoded(messages iter.Seq2[events.Message, error]) iter.Seq2[events.StoredHeartbeat, error] {
	return func(yield func(events.StoredHeartbeat, error) bool) {
		for m, err := range messages {
			if err != nil {
				yield(events.StoredHeartbeat{}, err)
				return
			}
			if !yield(events.DecodeHeartbeat(m)) {
				return
			}
		}
	}
}
