package natslog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/pkg/events"
)

// A page of direct gets holds the stream against its writers while it is made, so
// pages are kept small.
const (
	pageMessages = 128
	pageBytes    = 1 << 20
)

// manyMessages are read by a consumer. Making one takes some tenths of a millisecond, in a
// cluster some whole ones, since the servers must agree on it, and a message then half of
// what one of a page takes, into which the server writes six headers, each by a copy of all
// of them (nats-server 2.15.2, stream.go, genHeader).
const manyMessages = 512

// pageRequest asks for the next messages of a subject (ADR-31 of NATS).
type pageRequest struct {
	Seq      uint64 `json:"seq"`
	NextFor  string `json:"next_by_subj"`
	Batch    int    `json:"batch"`
	MaxBytes int    `json:"max_bytes"`
}

// Scan yields the messages of a subject in [from, to]: many of them by a consumer,
// else by pages of direct gets (docs/adr/0021). Either may be answered by a replica
// that is behind. It is given up where it brings nothing, and the leader is asked:
// for one message, then for twice as many each time.
func (s *store) Scan(ctx context.Context, p events.Partition, subject string, from, to uint64, about int) iter.Seq2[events.Message, error] {
	return s.scan(ctx, s, p, subject, from, to, about)
}

// leader gives what the leader of a partition has.
type leader interface {
	Next(ctx context.Context, p events.Partition, subject string, from uint64) (events.Message, error)
}

func (s *store) scan(ctx context.Context, l leader, p events.Partition, subject string, from, to uint64, about int) iter.Seq2[events.Message, error] {
	return func(yield func(events.Message, error) bool) {
		sc := scan{store: s, leader: l, partition: p, subject: subject, next: from, to: to, yield: yield}
		if err := sc.run(ctx, about); err != nil {
			yield(events.Message{}, err)
		}
	}
}

// scan is one Scan under way.
type scan struct {
	store     *store
	leader    leader
	partition events.Partition
	subject   string
	next, to  uint64 // what is still to be read
	yield     func(events.Message, error) bool
	stopped   bool // nothing more is wanted
}

func (sc *scan) done() bool { return sc.stopped || sc.next > sc.to }

// give yields a message, or ends the scan with it if it lies beyond.
func (sc *scan) give(m events.Message) {
	if m.Position.Sequence > sc.to || !sc.yield(m, nil) {
		sc.stopped = true
		return
	}
	sc.next = m.Position.Sequence + 1
}

func (sc *scan) run(ctx context.Context, about int) error {
	many := about > 0 && about >= sc.store.many
	singly := 1 // messages that the leader is asked for where a page brings nothing
	for !sc.done() {
		if many {
			if err := sc.consume(ctx); errors.Is(err, events.ErrWrongLog) || ctx.Err() != nil {
				return err
			}
			many = false // what is left, if it failed, is read by pages
			continue
		}
		before := sc.next
		pending, err := sc.store.page(ctx, sc.partition, sc.subject, sc.next, func(m events.Message) (more bool) {
			sc.give(m)
			return !sc.done()
		})
		switch {
		case sc.done():
			return nil
		case errors.Is(err, events.ErrWrongLog):
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		switch {
		case sc.next == before:
			if err := sc.ask(ctx, singly); err != nil {
				return err
			}
			singly = min(2*singly, pageMessages)
		case err == nil:
			singly = 1
			many = about == 0 && pending >= sc.store.many
		}
	}
	return nil
}

// ask asks the leader for up to n messages, one after the other.
func (sc *scan) ask(ctx context.Context, n int) error {
	for range n {
		m, err := sc.leader.Next(ctx, sc.partition, sc.subject, sc.next)
		if err != nil {
			return err
		}
		if sc.give(m); sc.done() {
			break
		}
	}
	return nil
}

// consume reads by a consumer. It ends with an error where that one brings nothing
// for a moment: what is read is there already, so it is behind, or gone.
func (sc *scan) consume(ctx context.Context) error {
	c, err := sc.store.consume(ctx, consuming{
		partition: sc.partition, subject: sc.subject, after: sc.next - 1, patience: sc.store.config.AttemptTimeout,
		messages: readMessages, bytes: int(max(readBytes, sc.store.nc.MaxPayload()+framing)), finite: true,
	})
	if err != nil {
		return err
	}
	defer c.close(ctx)
	for !sc.done() {
		m, err := c.next(ctx)
		if err != nil {
			return err
		}
		sc.give(m)
	}
	return nil
}

// readMessages and readBytes bound one request of a consumer that reads what is
// there; a larger message comes all the same, up to what the server takes. What was
// requested stands in one queue of the stream with the acknowledgements of its writers:
// with eight times as many they wait six times as long (docs/performance.md).
const (
	readMessages = 64
	readBytes    = 1 << 20
	// framing is what the server counts of a message that it delivers beside its headers
	// and body: the subject and the one for acknowledgements.
	framing = 8 << 10
)

// fetchWindow is how many direct gets are under way at a time.
const fetchWindow = 64

// Fetch sends a direct get for each, and does not wait for the answers before the next.
func (s *store) Fetch(ctx context.Context, p events.Partition, seqs []uint64, take func(events.Message) []uint64) error {
	if len(seqs) == 0 {
		return nil
	}
	if err := s.sameLog(ctx); err != nil {
		return err
	}
	in, err := s.subscribe(fetchWindow)
	if err != nil {
		return err
	}
	defer in.close()
	silence := time.NewTimer(s.config.AttemptTimeout)
	defer silence.Stop()
	requests := "$JS.API.DIRECT.GET." + StreamName(p)
	var body [32]byte
	for underWay := 0; underWay > 0 || len(seqs) > 0; underWay-- {
		for ; underWay < fetchWindow && len(seqs) > 0; underWay++ {
			b := append(strconv.AppendUint(append(body[:0], `{"seq":`...), seqs[0], 10), '}')
			if err := s.nc.PublishRequest(requests, in.subject, b); err != nil {
				return err
			}
			seqs = seqs[1:]
		}
		msg, err := in.next(ctx, silence, s.config.AttemptTimeout)
		if errors.Is(err, errSilent) {
			return nil
		}
		if err != nil {
			return err
		}
		// What is no message of the stream says that there is none.
		if m, err := directMessage(p, msg); err == nil {
			seqs = append(seqs[:len(seqs):len(seqs)], take(m)...)
		}
	}
	return nil
}

// page reads one page, hands on each message as it comes, until give has enough, and
// says how many messages the server has after it. Without an error that was what the
// server had; with one it may be cut short, but has no gap.
//
// The server writes into every message of a page, and into its end, the
// sequence of the message that it sent before in that page, 0 in the first
// (nats-server 2.15.2, stream.go, getDirectRequest): a message lost on the way
// is noticed.
func (s *store) page(ctx context.Context, p events.Partition, subject string, from uint64, give func(events.Message) (more bool)) (pending int, err error) {
	body, err := json.Marshal(pageRequest{Seq: from, NextFor: subject, Batch: pageMessages, MaxBytes: pageBytes})
	if err != nil {
		return 0, err
	}
	if err := s.sameLog(ctx); err != nil {
		return 0, err
	}
	in, err := s.subscribe(pageMessages + 1)
	if err != nil {
		return 0, err
	}
	defer in.close()
	if err := s.nc.PublishRequest("$JS.API.DIRECT.GET."+StreamName(p), in.subject, body); err != nil {
		return 0, err
	}
	silence := time.NewTimer(s.config.AttemptTimeout)
	defer silence.Stop()
	var last uint64
	for {
		msg, err := in.next(ctx, silence, s.config.AttemptTimeout)
		if errors.Is(err, errSilent) {
			err = fmt.Errorf("direct get: %w", err)
		}
		if err != nil {
			return 0, err
		}
		// What is no message of the stream is a status of the server's.
		if _, ok := msg.Header[jetstream.SequenceHeader]; !ok {
			switch status := msg.Header.Get("Status"); status {
			case "404": // nothing there
				return 0, nil
			case "204": // the page's end
				pending, _ = strconv.Atoi(msg.Header.Get("Nats-Num-Pending"))
				return pending, sentBefore(msg, last)
			default:
				return 0, fmt.Errorf("direct get: %s %s", status, msg.Header.Get("Description"))
			}
		}
		if err := sentBefore(msg, last); err != nil {
			return 0, err
		}
		m, err := directMessage(p, msg)
		if err != nil {
			return 0, err
		}
		last = m.Position.Sequence
		if !give(m) {
			return 0, nil
		}
	}
}

// sentBefore checks that the server sent the message with this sequence before
// msg, in the same page.
func sentBefore(msg *nats.Msg, last uint64) error {
	before, err := strconv.ParseUint(added(msg, "Nats-Last-Sequence"), 10, 64)
	if err != nil {
		return fmt.Errorf("direct get: no sequence of the message before: %w", err)
	}
	if before != last {
		return fmt.Errorf("direct get: a message was lost: the server sent %d before, %d came", before, last)
	}
	return nil
}

// added is the value of a header that the server adds to a stored message: the
// last one, since a publisher may have stored others of the name.
func added(msg *nats.Msg, name string) string {
	v := msg.Header[name]
	if len(v) == 0 {
		return ""
	}
	return v[len(v)-1]
}

// addedHeaders are those that a server adds to a message that it gives directly,
// behind those that the message has.
var addedHeaders = [...]string{
	jetstream.StreamHeader, jetstream.SubjectHeader, jetstream.SequenceHeader, jetstream.TimeStampHeaer, jetstream.LastSequenceHeader, "Nats-Num-Pending",
}

func dropAdded(h nats.Header) {
	for _, name := range addedHeaders {
		if v := h[name]; len(v) > 1 {
			h[name] = v[:len(v)-1]
		} else {
			delete(h, name)
		}
	}
}

// directMessage is a message as it is stored.
func directMessage(p events.Partition, msg *nats.Msg) (events.Message, error) {
	seq, err := strconv.ParseUint(added(msg, jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return events.Message{}, fmt.Errorf("direct get: no sequence: %w", err)
	}
	t, err := time.Parse(time.RFC3339Nano, added(msg, jetstream.TimeStampHeaer))
	if err != nil {
		return events.Message{}, fmt.Errorf("direct get: no time: %w", err)
	}
	subject := added(msg, jetstream.SubjectHeader)
	dropAdded(msg.Header)
	return events.Message{
		Position: events.Position{Partition: p, Sequence: seq}, Subject: subject,
		Time: t, Header: events.Header(msg.Header), Body: msg.Data,
	}, nil
}
