package natslog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/internal/subjectlog"
)

const (
	// restoreMessages and restoreBytes bound what is in flight to one stream.
	restoreMessages = 4096
	restoreBytes    = 16 << 20
	// ackPatience is how long a server may say nothing.
	ackPatience = 20 * time.Second
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
		return nil, errors.New("the server is silent")
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

// fillPartition publishes what the backup has of a partition after a sequence.
// What is missing there is missing afterwards: messages of another subject take
// the place of gaps until they are purged.
func (r *restoring) fillPartition(ctx context.Context, s *restoredStream, pub *publishing, after uint64) error {
	next := max(after+1, s.start)
	gapTo := func(end uint64) error {
		for ; next < end; next++ {
			subject := s.fillerSubject()
			if stub, ok := s.stubs[next]; ok {
				subject = s.restoreSubject() + stub
			}
			if err := pub.send(ctx, subject, nil, nil, next); err != nil {
				return err
			}
		}
		return nil
	}
	for m, err := range r.folder.Follow(ctx, s.partition, events.FollowOptions{After: next - 1}) {
		if err != nil {
			return err
		}
		if err := gapTo(m.Position.Sequence); err != nil {
			return err
		}
		subject, ok := strings.CutPrefix(m.Subject, s.prefix())
		if !ok {
			return fmt.Errorf("%w: message %s has the subject %s, which is none of this stream", errRefused, m.Position, m.Subject)
		}
		send := pub.send
		if len(m.Header[nats.MsgIdHdr]) > 0 {
			send = pub.alone
		}
		if err := send(ctx, s.restoreSubject()+subject, m.Header, m.Body, next); err != nil {
			return err
		}
		next++
	}
	if err := gapTo(s.content.Last + 1); err != nil {
		return err
	}
	return pub.drain(ctx)
}

// restoredUpTo is how far a stream is restored already, which it checks at the end.
func (r *restoring) restoredUpTo(ctx context.Context, s *restoredStream) (uint64, error) {
	stream, err := r.js.Stream(ctx, s.content.Name)
	if err != nil {
		return 0, unavailable(s.content.Name, err)
	}
	state := stream.CachedInfo().State
	last := state.LastSeq
	if state.Msgs == 0 || last < s.start {
		return max(last, s.start-1), nil
	}
	if last > s.content.Last {
		return 0, fmt.Errorf("%w: it ends at %d, the backup at %d", ErrSpoiled, last, s.content.Last)
	}
	at := events.Position{Partition: s.partition, Sequence: last}
	want, err := r.folder.Message(ctx, at)
	gap := errors.Is(err, events.ErrNotFound)
	if err != nil && !gap {
		return 0, err
	}
	reader := &store{js: r.js, nc: r.js.Conn(), config: Config{}.withDefaults()}
	reader.checked.Store(reader.nc.Stats().Reconnects)
	got, err := reader.Get(ctx, at)
	switch {
	case gap && (errors.Is(err, subjectlog.ErrNone) || err == nil && (got.Subject == s.fillerSubject() || got.Subject == s.prefix()+s.stubs[last])):
	case err != nil && !errors.Is(err, subjectlog.ErrNone):
		return 0, err
	case err != nil || gap || got.Subject != want.Subject || !bytes.Equal(got.Body, want.Body) || !sameHeader(got.Header, want.Header):
		return 0, fmt.Errorf("%w: message %d is another one", ErrSpoiled, last)
	}
	return last, nil
}

func sameHeader(a, b events.Header) bool {
	return maps.EqualFunc(a, b, func(x, y []string) bool { return slices.Equal(x, y) })
}

// expectedHeader is the compare-and-set of a stored message.
const expectedHeader = "Nats-Expected-Last-Subject-Sequence"

// fillHeartbeats publishes the newest heartbeat of each activity, as the first of
// its subject. Those that the log would have forgotten already are left out: the
// others begin their age anew. What is no heartbeat is left out too.
func (r *restoring) fillHeartbeats(ctx context.Context, s *restoredStream, pub *publishing) error {
	stream, err := r.js.Stream(ctx, s.content.Name)
	if err != nil {
		return unavailable(s.content.Name, err)
	}
	if err := stream.Purge(ctx); err != nil { // an attempt before
		return err
	}
	newest := map[[16]byte]uint64{} // by the hash of the subject
	key := func(subject string) [16]byte {
		sum := sha256.Sum256([]byte(subject))
		return [16]byte(sum[:16])
	}
	p := s.inBackup()
	for m, err := range r.folder.Follow(ctx, p, events.FollowOptions{}) {
		if err != nil {
			return err
		}
		newest[key(m.Subject)] = m.Position.Sequence
	}
	var kept, forgotten int64
	for m, err := range r.folder.Follow(ctx, p, events.FollowOptions{}) {
		if err != nil {
			return err
		}
		if newest[key(m.Subject)] != m.Position.Sequence {
			continue
		}
		if _, err := events.DecodeHeartbeat(m); err != nil || time.Since(m.Time) > s.final.MaxAge {
			forgotten++
			continue
		}
		m.Header[expectedHeader] = []string{"0"}
		if err := pub.send(ctx, s.restoreSubject()+strings.TrimPrefix(m.Subject, s.prefix()), m.Header, m.Body, 0); err != nil {
			return err
		}
		kept++
	}
	r.heartbeats.Store(kept)
	r.forgotten.Store(forgotten)
	return pub.drain(ctx)
}
