package natslog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/internal/subjectlog"
)

const (
	// restoreMessages and restoreBytes bound what is in flight to one stream.
	restoreMessages = 4096
	restoreBytes    = 16 << 20
	// ackPatience is how long a server may say nothing, which costs nothing where a
	// connection breaks: a disk that syncs every message may stall for long.
	ackPatience = time.Minute
)

// errRefused: the server does not take a message of the backup.
var errRefused = errors.New("the server refuses a message of the backup")

// publishing sends messages to a stream of one replica, many in flight at a time,
// and takes the acknowledgements, which come in the same order.
type publishing struct {
	nc       *nats.Conn
	stream   string
	in       *inbox
	closed   chan nats.Status
	progress func(int)

	flight       []sent // ring
	oldest, size int    // in flight: from oldest, so many
	bytes        int
	acknowledged uint64 // the number of acknowledgements
	untold       int
}

// sent is a message in flight.
type sent struct {
	sequence uint64 // that it must get; 0: any
	subject  string
	bytes    int
}

func newPublishing(nc *nats.Conn, stream string) (*publishing, error) {
	s := &store{nc: nc}
	in, err := s.subscribe(restoreMessages + 1)
	if err != nil {
		return nil, err
	}
	return &publishing{nc: nc, stream: stream, in: in, closed: nc.StatusChanged(nats.CLOSED, nats.DISCONNECTED), flight: make([]sent, restoreMessages)}, nil
}

func (p *publishing) close() {
	p.nc.RemoveStatusListener(p.closed)
	p.in.close()
}

// send publishes a message to the subject, as soon as there is room for it.
func (p *publishing) send(ctx context.Context, subject string, h events.Header, body []byte, sequence uint64) error {
	for p.size == len(p.flight) || p.size > 0 && p.bytes+len(body) > restoreBytes {
		if err := p.await(ctx); err != nil {
			return err
		}
	}
	m := &nats.Msg{Subject: subject, Reply: p.in.subject, Header: nats.Header(h), Data: body}
	if err := p.nc.PublishMsg(m); err != nil {
		if errors.Is(err, nats.ErrMaxPayload) {
			return fmt.Errorf("%w: message %d, subject %s: %w: set max_payload as high as it was", errRefused, sequence, subject, err)
		}
		return err
	}
	p.flight[(p.oldest+p.size)%len(p.flight)] = sent{sequence: sequence, subject: subject, bytes: len(body)}
	p.size++
	p.bytes += len(body)
	return nil
}

// drain waits until nothing is in flight.
func (p *publishing) drain(ctx context.Context) error {
	for p.size > 0 {
		if err := p.await(ctx); err != nil {
			return err
		}
	}
	if p.progress != nil {
		p.progress(p.untold)
		p.untold = 0
	}
	return nil
}

// await takes the acknowledgement of the oldest message in flight.
func (p *publishing) await(ctx context.Context) error {
	answer, err := p.answer(ctx)
	if err != nil {
		return err
	}
	s := p.flight[p.oldest]
	seq, err := parseAck(answer, p.stream)
	var api *apiError
	switch {
	case errors.Is(err, subjectlog.ErrMoved), errors.Is(err, subjectlog.ErrBusy), errors.As(err, &api) && api.Code == 503:
		// What an earlier connection sent has come after all, or the server is not
		// ready: from where the stream ends then it goes on.
		return fmt.Errorf("message %d, subject %s: %w", s.sequence, s.subject, err)
	case err != nil:
		return fmt.Errorf("%w: message %d, subject %s: %w", errRefused, s.sequence, s.subject, err)
	case s.sequence != 0 && seq != s.sequence:
		return fmt.Errorf("%w: message %d, subject %s, was stored as %d: %.200s", ErrSpoiled, s.sequence, s.subject, seq, answer)
	}
	p.took(s)
	return nil
}

func (p *publishing) took(s sent) {
	p.oldest = (p.oldest + 1) % len(p.flight)
	p.size--
	p.bytes -= s.bytes
	p.acknowledged++
	if p.untold++; p.untold == 1000 && p.progress != nil {
		p.progress(p.untold)
		p.untold = 0
	}
}

// answer is the next thing that the server says.
func (p *publishing) answer(ctx context.Context) ([]byte, error) {
	select { // what is there needs no timer
	case msg := <-p.in.messages:
		return msg.Data, nil
	default:
	}
	silence := time.NewTimer(ackPatience)
	defer silence.Stop()
	select {
	case msg := <-p.in.messages:
		if len(msg.Data) == 0 {
			return nil, errors.New("nobody listens to the stream's subjects")
		}
		return msg.Data, nil
	case <-p.closed:
		return nil, errors.New("the connection was lost")
	case <-silence.C:
		return nil, errSilent
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// alone publishes a message that the server may take for another that it has:
// one with a message id. It waits until the server has forgotten that one.
func (p *publishing) alone(ctx context.Context, subject string, h events.Header, body []byte, sequence uint64) error {
	for {
		if err := p.drain(ctx); err != nil {
			return err
		}
		if err := p.send(ctx, subject, h, body, sequence); err != nil {
			return err
		}
		answer, err := p.answer(ctx)
		if err != nil {
			return err
		}
		var ack struct {
			Duplicate bool `json:"duplicate"`
		}
		if err := json.Unmarshal(answer, &ack); err != nil || !ack.Duplicate {
			p.in.messages <- &nats.Msg{Data: answer} // there is room: nothing else is in flight
			return p.await(ctx)
		}
		p.oldest, p.size, p.bytes = 0, 0, 0
		pause := time.NewTimer(2 * duplicates)
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
		pause.Stop()
	}
}
