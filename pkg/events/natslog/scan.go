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

// A page of direct gets holds the stream's lock against its writers while it
// is made, so pages are kept small.
const (
	pageMessages = 256
	pageBytes    = 1 << 20
)

// pageRequest asks for the next messages of a subject (ADR-31 of NATS).
type pageRequest struct {
	Seq      uint64 `json:"seq"`
	NextFor  string `json:"next_by_subj"`
	Batch    int    `json:"batch"`
	MaxBytes int    `json:"max_bytes"`
}

// Scan yields the messages of a subject in [from, to] by pages of direct gets.
// Where a page gives nothing (a replica that is behind, an answer that was
// lost), the leader is asked for one message.
func (s *store) Scan(ctx context.Context, p events.Partition, subject string, from, to uint64) iter.Seq2[events.Message, error] {
	return func(yield func(events.Message, error) bool) {
		next := from
		for next <= to {
			page, err := s.page(ctx, p, subject, next)
			if len(page) == 0 { // else what came, before an error or without, is whole and in order
				if errors.Is(err, events.ErrWrongLog) {
					yield(events.Message{}, err)
					return
				}
				m, err := s.Next(ctx, p, subject, next)
				if err != nil {
					yield(events.Message{}, err)
					return
				}
				page = []events.Message{m}
			}
			for _, m := range page {
				if m.Position.Sequence > to {
					return
				}
				if !yield(m, nil) {
					return
				}
				next = m.Position.Sequence + 1
			}
		}
	}
}

// page reads one page. Without an error it is what the server had; with one it
// may be cut short, but has no gap.
//
// The server writes into every message of a page, and into its end, the
// sequence of the message that it sent before in that page, 0 in the first
// (nats-server 2.15.2, stream.go, getDirectRequest): a message lost on the way
// is noticed.
func (s *store) page(ctx context.Context, p events.Partition, subject string, from uint64) ([]events.Message, error) {
	body, err := json.Marshal(pageRequest{Seq: from, NextFor: subject, Batch: pageMessages, MaxBytes: pageBytes})
	if err != nil {
		return nil, err
	}
	if err := s.sameLog(ctx); err != nil {
		return nil, err
	}
	in, err := s.subscribe(pageMessages + 1)
	if err != nil {
		return nil, err
	}
	defer in.close()
	if err := s.nc.PublishRequest("$JS.API.DIRECT.GET."+StreamName(p), in.subject, body); err != nil {
		return nil, err
	}
	silence := time.NewTimer(s.config.AttemptTimeout)
	defer silence.Stop()
	var page []events.Message
	var last uint64
	for {
		var msg *nats.Msg
		select {
		case msg = <-in.messages:
		case <-silence.C:
			return page, errors.New("direct get: the server is silent")
		case <-ctx.Done():
			return page, context.Cause(ctx)
		}
		// What is no message of the stream is a status of the server's.
		if _, ok := msg.Header[jetstream.SequenceHeader]; !ok {
			switch status := msg.Header.Get("Status"); status {
			case "404": // nothing there
				return page, nil
			case "204": // the page's end
				return page, sentBefore(msg, last)
			default:
				return page, fmt.Errorf("direct get: %s %s", status, msg.Header.Get("Description"))
			}
		}
		if err := sentBefore(msg, last); err != nil {
			return page, err
		}
		m, err := directMessage(p, msg)
		if err != nil {
			return page, err
		}
		page = append(page, m)
		last = m.Position.Sequence
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
