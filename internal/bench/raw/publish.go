package raw

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Publisher publishes to one subject, each time on the condition that nobody
// else has since. It is for one goroutine.
type Publisher struct {
	js      jetstream.JetStream
	subject string
	header  nats.Header
	body    []byte
	last    uint64 // the sequence of the subject's last message
}

// NewPublisher publishes messages with this header and body to a subject that
// has none yet.
func NewPublisher(js jetstream.JetStream, subject string, header nats.Header, body []byte) *Publisher {
	return &Publisher{js: js, subject: subject, header: header, body: body}
}

// Publish publishes one message and returns when it is acknowledged. Replicas may
// refuse it for a moment after they have acknowledged the one before, while that is
// still on its way through them: then it is published again.
func (p *Publisher) Publish(ctx context.Context) error {
	for {
		m := nats.NewMsg(p.subject)
		for name, values := range p.header {
			m.Header[name] = values
		}
		m.Data = p.body
		ack, err := p.js.PublishMsg(ctx, m, jetstream.WithExpectLastSequencePerSubject(p.last))
		var refused *jetstream.APIError
		switch {
		case err == nil:
			p.last = ack.Sequence
			return nil
		case !errors.As(err, &refused) || refused.ErrorCode != jetstream.JSErrCodeStreamWrongLastSequenceConstant:
			return err
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
