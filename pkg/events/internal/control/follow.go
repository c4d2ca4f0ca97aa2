package control

import (
	"fmt"
	"iter"

	"github.com/annals-io/annals/pkg/events"
)

// Decoded reads what is stored behind a sequence as decisions, without gaps. A
// message that is none is yielded as its place and its error and is passed; an
// error of the messages, or a gap between them, ends it.
func Decoded(after uint64, messages iter.Seq2[events.Message, error]) iter.Seq2[events.StoredDecision, error] {
	return func(yield func(events.StoredDecision, error) bool) {
		for m, err := range messages {
			if err == nil && m.Position.Sequence != after+1 {
				err = &events.WrongLogError{
					What: "control stream", Want: fmt.Sprintf("to have sequence %d behind %d", after+1, after), Got: fmt.Sprintf("%d: what was between is gone", m.Position.Sequence),
				}
			}
			if err != nil {
				yield(events.StoredDecision{}, err)
				return
			}
			after = m.Position.Sequence
			if !yield(events.DecodeDecision(m)) {
				return
			}
		}
	}
}

// Beyond is the error of who follows from a sequence that the stream, which ends at
// last, does not have.
func Beyond(after, last uint64) error {
	return &events.WrongLogError{
		What: "control stream", Want: fmt.Sprintf("to reach sequence %d that was followed", after), Got: fmt.Sprintf("an end at %d: it was cut short, made anew or restored", last),
	}
}
