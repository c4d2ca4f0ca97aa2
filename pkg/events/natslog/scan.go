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
// A replica that is behind and does not reach to is asked again.
func (s *store) Scan(ctx context.Context, p events.Partition, subject string, from, to uint64) iter.Seq2[events.Message, error] {
	return func(yield func(events.Message, error) bool) {
		next := from
		for next <= to {
			page, err := s.pageAgain(ctx, p, subject, next, to)
			if err != nil {
				yield(events.Message{}, err)
				return
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

// pageAgain reads a page until it holds something: to is known to be there.
func (s *store) pageAgain(ctx context.Context, p events.Partition, subject string, from, to uint64) ([]events.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.ReadTimeout)
	defer cancel()
	delays := retry(ctx)
	for {
		if s.nc.IsClosed() {
			return nil, nats.ErrConnectionClosed
		}
		err := s.sameLog(ctx)
		if errors.Is(err, events.ErrWrongLog) {
			return nil, err
		}
		var page []events.Message
		if err == nil {
			if page, err = s.page(ctx, p, subject, from); len(page) > 0 {
				return page, nil // what came before a lost answer is whole and in order
			}
		}
		if err == nil {
			err = fmt.Errorf("a replica has nothing of %s from %d on, though it holds %d", subject, from, to)
		}
		t := time.NewTimer(delays.NextBackOff())
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, errors.Join(context.Cause(ctx), err)
		}
	}
}

// page reads one page. Without an error it is what the server had; with one it
// may be cut short, but has no gap.
func (s *store) page(ctx context.Context, p events.Partition, subject string, from uint64) ([]events.Message, error) {
	body, err := json.Marshal(pageRequest{Seq: from, NextFor: subject, Batch: pageMessages, MaxBytes: pageBytes})
	if err != nil {
		return nil, err
	}
	inbox := s.nc.NewInbox()
	sub, err := s.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, err
	}
	if err := s.nc.PublishRequest("$JS.API.DIRECT.GET."+StreamName(p), inbox, body); err != nil {
		return nil, err
	}
	var page []events.Message
	last := from - 1
	for {
		attempt, cancel := context.WithTimeout(ctx, s.config.AttemptTimeout)
		msg, err := sub.NextMsgWithContext(attempt)
		cancel()
		if err != nil {
			return page, err
		}
		switch status := msg.Header.Get("Status"); status {
		case "":
		case "204", "404": // end of the page; nothing there
			return page, nil
		default:
			return page, fmt.Errorf("direct get: %s %s", status, msg.Header.Get("Description"))
		}
		m, err := directMessage(p, msg)
		if err != nil {
			return page, err
		}
		if before, err := strconv.ParseUint(msg.Header.Get("Nats-Last-Sequence"), 10, 64); err == nil && len(page) > 0 && before != last {
			return page, fmt.Errorf("direct get: message %d follows %d, the one before it is %d", m.Position.Sequence, last, before)
		}
		page = append(page, m)
		last = m.Position.Sequence
	}
}

func directMessage(p events.Partition, msg *nats.Msg) (events.Message, error) {
	seq, err := strconv.ParseUint(msg.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return events.Message{}, fmt.Errorf("direct get: no sequence: %w", err)
	}
	t, err := time.Parse(time.RFC3339Nano, msg.Header.Get(jetstream.TimeStampHeaer))
	if err != nil {
		return events.Message{}, fmt.Errorf("direct get: no time: %w", err)
	}
	return events.Message{
		Position: events.Position{Partition: p, Sequence: seq}, Subject: msg.Header.Get(jetstream.SubjectHeader),
		Time: t, Header: events.Header(msg.Header), Body: msg.Data,
	}, nil
}
