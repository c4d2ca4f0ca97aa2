package raw

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Consume reads the messages of a subject up to a sequence by an ordered consumer,
// and hands on their bodies.
func Consume(ctx context.Context, js jetstream.JetStream, stream, subject string, last uint64, take func([]byte) error) error {
	c, err := js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{subject}, DeliverPolicy: jetstream.DeliverAllPolicy, InactiveThreshold: 10 * time.Second,
	})
	if err != nil {
		return err
	}
	messages, err := c.Messages(jetstream.PullMaxMessages(1000))
	if err != nil {
		return err
	}
	defer func() {
		messages.Stop()
		_ = js.DeleteConsumer(context.WithoutCancel(ctx), stream, c.CachedInfo().Name)
	}()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		if err := take(m.Data()); err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if meta.Sequence.Stream >= last {
			return nil
		}
	}
}

// Pages reads the messages of a subject by direct gets of 256 each, as many as
// whoever answers has, and hands on their bodies.
func Pages(ctx context.Context, nc *nats.Conn, stream, subject string, take func([]byte) error) error {
	sub, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }()
	seq := uint64(1)
	for {
		body, err := json.Marshal(map[string]any{"seq": seq, "next_by_subj": subject, "batch": 256})
		if err != nil {
			return err
		}
		if err := nc.PublishRequest("$JS.API.DIRECT.GET."+stream, sub.Subject, body); err != nil {
			return err
		}
		for {
			m, err := sub.NextMsgWithContext(ctx)
			if err != nil {
				return err
			}
			status := m.Header.Get("Status")
			if status == "404" || status == "204" && m.Header.Get("Nats-Num-Pending") == "0" {
				return nil
			}
			if status == "204" {
				break
			}
			if status != "" {
				return fmt.Errorf("direct get: %s", status)
			}
			if seq, err = strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64); err != nil {
				return err
			}
			seq++
			if err := take(m.Data); err != nil {
				return err
			}
		}
	}
}

// Last reads the last message of a subject from the stream's leader.
func Last(ctx context.Context, nc *nats.Conn, stream, subject string, take func([]byte) error) error {
	body, err := json.Marshal(map[string]any{"last_by_subj": subject})
	if err != nil {
		return err
	}
	m, err := nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, body)
	if err != nil {
		return err
	}
	var answer struct {
		Message *struct{ Data []byte }
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return err
	}
	if answer.Message == nil {
		return errors.New("there is no message")
	}
	return take(answer.Message.Data)
}

// SelectBodies sends a statement of one column of bytes and hands on its values.
func SelectBodies(ctx context.Context, conn *pgx.Conn, sql string, args []any, take func([]byte) error) error {
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := take(rows.RawValues()[0]); err != nil {
			return err
		}
	}
	return rows.Err()
}
