package natslog

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

// inbox receives what the server sends to a subject of our own. It hands out
// messages as they are: the client's own ways to wait for one take a stored
// message without a body for a refusal if its headers say so.
type inbox struct {
	subject  string
	sub      *nats.Subscription
	messages chan *nats.Msg
}

// subscribe makes an inbox with room for so many messages; whoever asks for
// more at a time loses some.
func (s *store) subscribe(room int) (*inbox, error) {
	b := &inbox{subject: s.nc.NewInbox(), messages: make(chan *nats.Msg, room)}
	var err error
	b.sub, err = s.nc.ChanSubscribe(b.subject, b.messages)
	return b, err
}

// next gives the next message, or errSilent if none has come after patience, which
// silence is set to.
func (b *inbox) next(ctx context.Context, silence *time.Timer, patience time.Duration) (msg *nats.Msg, err error) {
	select { // what is there needs no timer
	case msg = <-b.messages:
	default:
		silence.Reset(patience)
		select {
		case msg = <-b.messages:
		case <-silence.C:
			return nil, errSilent
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return msg, nil
}

func (b *inbox) close() { _ = b.sub.Unsubscribe() }
