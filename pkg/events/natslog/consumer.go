package natslog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/pkg/events"
)

const (
	// pullMessages and pullBytes bound one request for messages of who follows; two
	// are outstanding at most.
	pullMessages = 2048
	pullBytes    = 8 << 20
	// pullExpires ends a request that brings nothing; the next one follows.
	pullExpires = 30 * time.Second
	// pullHeartbeat is how often an idle server shows that it is there; it is
	// given up after three.
	pullHeartbeat = time.Second
	// consumerPatience is how long a server may take to make a consumer: without a
	// leader a stream says nothing, however long the caller can wait.
	consumerPatience = 5 * time.Second
	// consumerInactive is when the server drops a consumer whose client is gone.
	consumerInactive = 30 * time.Second
)

// consumer pulls the messages of a partition, in order and without a gap.
//
// It is not the client library's: that one takes a stored message without a
// body for a status of the server's if it has a header "Status" (nats.go
// 1.55.0, jetstream/message.go, checkMsg), so that anybody who may publish could
// stop whoever follows the stream. A stored message is known by its reply
// subject, which the server sets.
type consumer struct {
	store *store
	consuming
	name       string
	requests   string // the subject of requests
	generation uint64 // reconnects at which the log was checked
	inbox      *inbox
	status     chan nats.Status
	silence    *time.Timer

	delivered   uint64 // the consumer's own sequence of the last message
	outstanding int    // messages requested and not delivered
}

// consuming says what a consumer brings.
type consuming struct {
	partition events.Partition
	subject   string // empty: of all
	after     uint64
	patience  time.Duration // for the server to make it
	// messages and bytes bound one request; two are outstanding at most. A request
	// must have room for the largest message.
	messages, bytes int
	// finite says that what is asked for is there: a server that has nothing for a
	// moment is behind, which ends the consumer.
	finite bool
}

// consume makes a consumer.
func (s *store) consume(ctx context.Context, o consuming) (*consumer, error) {
	if s.nc.IsClosed() {
		return nil, nats.ErrConnectionClosed
	}
	if err := s.sameLog(ctx); err != nil {
		return nil, err
	}
	c := &consumer{store: s, consuming: o, generation: s.checked.Load()}
	config := jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: o.after + 1,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: consumerInactive,
	}
	config.FilterSubject = o.subject
	making, cancel := context.WithTimeout(ctx, o.patience)
	defer cancel()
	// Room for all that may be outstanding, and for what the server says beside it.
	var err error
	if c.inbox, err = s.subscribe(3 * o.messages); err != nil {
		return nil, err
	}
	made, err := s.js.CreateConsumer(making, StreamName(o.partition), config)
	if err != nil {
		c.inbox.close()
		return nil, err
	}
	c.name = made.CachedInfo().Name
	c.requests = "$JS.API.CONSUMER.MSG.NEXT." + StreamName(o.partition) + "." + c.name
	c.status = s.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	c.silence = time.NewTimer(3 * pullHeartbeat)
	return c, nil
}

// close ends the consumer; one that cannot be deleted now is dropped by the
// server when it has been idle.
func (c *consumer) close(ctx context.Context) {
	c.silence.Stop()
	c.store.nc.RemoveStatusListener(c.status)
	c.inbox.close()
	if !c.store.nc.IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = c.store.js.DeleteConsumer(ctx, StreamName(c.partition), c.name)
}

// next is the next message. Any error ends the consumer.
func (c *consumer) next(ctx context.Context) (events.Message, error) {
	for {
		if c.outstanding <= c.messages/2 {
			if err := c.pull(); err != nil {
				return events.Message{}, err
			}
		}
		var msg *nats.Msg
		select { // what is there needs no timer
		case msg = <-c.inbox.messages:
		default:
			c.silence.Reset(3 * pullHeartbeat)
			select {
			case msg = <-c.inbox.messages:
			case <-c.silence.C:
				return events.Message{}, errSilent
			case status := <-c.status:
				if status == nats.CLOSED {
					return events.Message{}, nats.ErrConnectionClosed
				}
				return events.Message{}, errors.New("the connection was made again")
			case <-ctx.Done():
				return events.Message{}, context.Cause(ctx)
			}
		}
		if ctx.Err() != nil {
			return events.Message{}, context.Cause(ctx)
		}
		if !strings.HasPrefix(msg.Reply, "$JS.ACK.") {
			if err := c.told(msg); err != nil {
				return events.Message{}, err
			}
			continue
		}
		meta, err := msg.Metadata()
		if err != nil {
			return events.Message{}, err
		}
		if c.delivered++; meta.Sequence.Consumer != c.delivered {
			return events.Message{}, fmt.Errorf("message %d of the consumer came, %d was due", meta.Sequence.Consumer, c.delivered)
		}
		c.outstanding--
		return events.Message{
			Position: events.Position{Partition: c.partition, Sequence: meta.Sequence.Stream}, Subject: msg.Subject,
			Time: meta.Timestamp.UTC(), Header: events.Header(msg.Header), Body: msg.Data,
		}, nil
	}
}

// pull requests messages.
func (c *consumer) pull() error {
	if c.store.nc.Stats().Reconnects != c.generation {
		return errors.New("the connection was made again")
	}
	body, err := json.Marshal(map[string]any{
		"batch": c.messages, "max_bytes": c.bytes, "expires": pullExpires.Nanoseconds(), "idle_heartbeat": pullHeartbeat.Nanoseconds(),
	})
	if err != nil {
		return err
	}
	if err := c.store.nc.PublishRequest(c.requests, c.inbox.subject, body); err != nil {
		return err
	}
	c.outstanding += c.messages
	return nil
}

// told takes what the server says: that it is there, that a request has ended
// with so much undelivered, or that the consumer has.
func (c *consumer) told(msg *nats.Msg) error {
	status, description := msg.Header.Get("Status"), msg.Header.Get("Description")
	pending := msg.Header.Get("Nats-Pending-Messages")
	switch {
	case status == "100" && c.finite:
		return errors.New("the consumer has nothing where something is")
	case status == "100":
		return nil
	case pending == "":
		return fmt.Errorf("consumer: %s %s", status, description)
	}
	n, err := strconv.Atoi(pending)
	if err != nil {
		return fmt.Errorf("consumer: %s %s with %q pending", status, description, pending)
	}
	if c.finite && n >= c.messages { // nothing of what was requested: a message larger than what the server says that it takes
		return fmt.Errorf("consumer: %s %s, nothing was delivered", status, description)
	}
	c.outstanding -= n
	return nil
}
