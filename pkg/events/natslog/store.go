package natslog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/internal/subjectlog"
)

// store is subjectlog.Store on JetStream's wire protocol.
type store struct {
	js       jetstream.JetStream
	nc       *nats.Conn
	config   Config
	identity events.Identity

	// checked is the number of reconnects at which the log was last found to
	// be the one that was opened.
	checked atomic.Uint64
	// checking has room for the one caller that checks after a reconnect; the
	// others wait for it, each as long as its own context lasts.
	checking chan struct{}
	// many is how many messages of a subject are read by a consumer.
	many int
}

var _ subjectlog.Store = (*store)(nil)

// doubted stands for no number of reconnects: the log is checked before it is
// used again.
const doubted = math.MaxUint64

// doubt has the log checked again although the connection is the same: what
// followed it came to an end, and it may have been deleted and restored meanwhile.
func (s *store) doubt() { s.checked.Store(doubted) }

// sameLog checks, once after each reconnect, that the log is still the one that
// was opened: a server may have come back with a restored one.
func (s *store) sameLog(ctx context.Context) error {
	if s.nc.Stats().Reconnects == s.checked.Load() {
		return nil
	}
	select {
	case s.checking <- struct{}{}:
	case <-ctx.Done():
		return unavailable(StreamName(0), context.Cause(ctx))
	}
	defer func() { <-s.checking }()
	generation := s.nc.Stats().Reconnects
	if generation == s.checked.Load() {
		return nil
	}
	id, err := identify(ctx, s.patient())
	if err != nil {
		return err
	}
	if id.LogID != s.identity.LogID {
		return &events.WrongLogError{What: "log id", Want: s.identity.LogID, Got: id.LogID}
	}
	if id.Epoch != s.identity.Epoch {
		return &events.WrongLogError{What: "epoch", Want: fmt.Sprint(s.identity.Epoch), Got: fmt.Sprint(id.Epoch)}
	}
	if id.Map.Version != s.identity.Map.Version {
		return &events.WrongLogError{What: "map version", Want: strconv.Itoa(s.identity.Map.Version), Got: strconv.Itoa(id.Map.Version) + ": open the log again"}
	}
	s.checked.Store(generation)
	return nil
}

// sameLogUntil is sameLog that ends at a time too, if that is not zero.
func (s *store) sameLogUntil(ctx context.Context, until time.Time) error {
	if s.nc.Stats().Reconnects == s.checked.Load() {
		return nil
	}
	if !until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, until)
		defer cancel()
	}
	return s.sameLog(ctx)
}

// connected waits while there is no connection. The client would keep a message
// and send it once there is one, to whatever log lies behind that, before
// anybody has looked and perhaps long after the append has ended.
func (s *store) connected(ctx context.Context) error {
	if s.nc.IsConnected() {
		return nil
	}
	changed := s.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer s.nc.RemoveStatusListener(changed)
	for !s.nc.IsConnected() && !s.nc.IsClosed() {
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("there is no connection to NATS: %w", context.Cause(ctx))
		}
	}
	return nil
}

// The server's error codes that decide what became of an append
// (nats-server 2.15.2, jetstream_errors_generated.go).
const (
	codeWrongLastSequence         = 10071
	codeWrongLastSequenceInFlight = 10164
	codeDuplicateInFlight         = 10158
	codeMessageTooLarge           = 10054
	codeStoreFailed               = 10077
	codeNoMessage                 = 10037
)

// apiError is the error of an answer of the server.
type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string {
	return fmt.Sprintf("%s (%d, %d)", e.Description, e.Code, e.ErrCode)
}

// Generation counts reconnects: behind a new connection there may be a server
// with an older copy of the log.
func (s *store) Generation() uint64 { return s.nc.Stats().Reconnects }

// OldLeader asks for the stream as it is: the number of its replicas may have been
// changed since the log was opened.
func (s *store) OldLeader(ctx context.Context, p events.Partition) (time.Duration, error) {
	if s.config.OldLeader < 0 {
		return 0, nil
	}
	stream, err := s.patient()(ctx, StreamName(p))
	if err != nil {
		return 0, unavailable(StreamName(p), err)
	}
	if stream.CachedInfo().Config.Replicas < 2 {
		return 0, nil
	}
	return s.config.OldLeader, nil
}

// Publish relies on the envelope, which holds the expectation for the server.
func (s *store) Publish(ctx context.Context, m subjectlog.Outgoing) (uint64, error) {
	until := time.Now().Add(longer(s.config.AttemptTimeout, m.Unanswered))
	if !m.Until.IsZero() && m.Until.Before(until) {
		until = m.Until
	}
	attempt, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	if attempt.Err() != nil {
		return 0, fmt.Errorf("%w: %w", subjectlog.ErrNotSent, context.Cause(attempt))
	}
	if err := s.connected(attempt); err != nil {
		return 0, fmt.Errorf("%w: %w", subjectlog.ErrNotSent, err)
	}
	if s.nc.IsClosed() {
		return 0, fmt.Errorf("%w: %w", subjectlog.ErrClosed, nats.ErrConnectionClosed)
	}
	if err := s.sameLogUntil(ctx, m.Until); err != nil {
		if errors.Is(err, events.ErrWrongLog) {
			return 0, err
		}
		return 0, fmt.Errorf("%w: %w", subjectlog.ErrNotSent, err)
	}
	generation := s.checked.Load()
	msg := &nats.Msg{Subject: m.Subject, Header: nats.Header(m.Header), Data: m.Body}

	answer, err := s.nc.RequestMsgWithContext(attempt, msg)
	if err != nil {
		switch {
		case errors.Is(err, nats.ErrMaxPayload):
			return 0, &subjectlog.RejectedError{Reason: err.Error()}
		case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionReconnecting):
			return 0, fmt.Errorf("%w: %w", subjectlog.ErrNotSent, err)
		}
		return 0, fmt.Errorf("no answer: %w", err)
	}
	seq, err := parseAck(answer.Data, StreamName(m.Partition))
	if err != nil {
		return 0, err
	}
	if s.nc.Stats().Reconnects != generation {
		// The answer may come from another log than the one that was checked,
		// and then nothing is known of this one.
		if err := s.sameLogUntil(ctx, m.Until); err != nil {
			return 0, fmt.Errorf("acknowledged before or after a reconnect: %v", err) //nolint:errorlint // it must not read as ErrWrongLog, which says that nothing was stored
		}
	}
	return seq, nil
}

// parseAck reads what a stream answered to an append.
func parseAck(data []byte, stream string) (uint64, error) {
	if seq, ok := plainAck(data, stream); ok {
		return seq, nil
	}
	var ack struct {
		Stream string    `json:"stream"`
		Seq    uint64    `json:"seq"`
		Error  *apiError `json:"error"`
	}
	if err := json.Unmarshal(data, &ack); err != nil {
		return 0, fmt.Errorf("answer is no acknowledgement: %w", err)
	}
	if ack.Error == nil {
		if ack.Seq == 0 || ack.Stream != stream {
			return 0, fmt.Errorf("answer is no acknowledgement of %s: %.200q", stream, data)
		}
		return ack.Seq, nil
	}
	switch ack.Error.ErrCode {
	case codeWrongLastSequence:
		return 0, subjectlog.ErrMoved
	case codeWrongLastSequenceInFlight, codeDuplicateInFlight:
		return 0, subjectlog.ErrBusy
	case codeMessageTooLarge:
		return 0, &subjectlog.RejectedError{Reason: ack.Error.Error()}
	case codeStoreFailed:
		if strings.HasPrefix(ack.Error.Description, "maximum ") { // a limit, checked before anything is written
			return 0, &subjectlog.RejectedError{Reason: ack.Error.Error()}
		}
	}
	return 0, ack.Error
}

// plainAck reads an acknowledgement of the form that a server writes nearly
// always.
func plainAck(data []byte, stream string) (uint64, bool) {
	rest, ok := bytes.CutPrefix(data, []byte(`{"stream":"`))
	if !ok {
		return 0, false
	}
	if rest, ok = bytes.CutPrefix(rest, []byte(stream)); !ok {
		return 0, false
	}
	if rest, ok = bytes.CutPrefix(rest, []byte(`","seq":`)); !ok {
		return 0, false
	}
	if rest, ok = bytes.CutSuffix(rest, []byte(`}`)); !ok || bytes.HasPrefix(rest, []byte("0")) {
		return 0, false
	}
	seq, err := strconv.ParseUint(string(rest), 10, 64)
	return seq, err == nil && seq > 0
}

// getRequest asks a stream for one message.
type getRequest struct {
	Seq     uint64 `json:"seq,omitempty"`
	LastFor string `json:"last_by_subj,omitempty"`
	NextFor string `json:"next_by_subj,omitempty"`
}

func (s *store) Last(ctx context.Context, p events.Partition, subject string) (events.Message, error) {
	return s.get(ctx, p, getRequest{LastFor: subject})
}

func (s *store) Next(ctx context.Context, p events.Partition, subject string, from uint64) (events.Message, error) {
	return s.get(ctx, p, getRequest{Seq: from, NextFor: subject})
}

func (s *store) Get(ctx context.Context, p events.Position) (events.Message, error) {
	return s.get(ctx, p.Partition, getRequest{Seq: p.Sequence})
}

// get asks the stream's leader, again and again until it answers.
func (s *store) get(ctx context.Context, p events.Partition, r getRequest) (events.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.ReadTimeout)
	defer cancel()
	body, err := json.Marshal(r)
	if err != nil {
		return events.Message{}, err
	}
	var last error // of an attempt that ended by itself: that the time is up says less
	unanswered := 0
	m, err := backoff.RetryWithData(func() (m events.Message, err error) {
		defer func() {
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				last = err
			}
		}()
		if s.nc.IsClosed() {
			return events.Message{}, backoff.Permanent(nats.ErrConnectionClosed)
		}
		if err := s.sameLog(ctx); err != nil {
			if errors.Is(err, events.ErrWrongLog) {
				return events.Message{}, backoff.Permanent(err)
			}
			return events.Message{}, err
		}
		attempt, cancel := context.WithTimeout(ctx, longer(s.config.AttemptTimeout, unanswered))
		defer cancel()
		answer, err := s.nc.RequestWithContext(attempt, "$JS.API.STREAM.MSG.GET."+StreamName(p), body)
		if err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				unanswered++
			}
			return events.Message{}, err
		}
		m, err = parseStored(p, answer.Data)
		var refused *apiError
		if errors.Is(err, subjectlog.ErrNone) || errors.As(err, &refused) && refused.Code == 400 {
			return events.Message{}, backoff.Permanent(err)
		}
		return m, err
	}, retry(ctx))
	if last != nil && errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w; before that: %v", err, last) //nolint:errorlint // why it ended is that the time is up
	}
	return m, err
}

// parseStored reads the answer to a getRequest.
func parseStored(p events.Partition, data []byte) (events.Message, error) {
	var answer struct {
		Error   *apiError `json:"error"`
		Message *struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return events.Message{}, fmt.Errorf("answer is no stored message: %w", err)
	}
	if answer.Error != nil {
		if answer.Error.ErrCode == codeNoMessage {
			return events.Message{}, subjectlog.ErrNone
		}
		return events.Message{}, answer.Error
	}
	if answer.Message == nil {
		return events.Message{}, errors.New("answer holds no message")
	}
	m := answer.Message
	h, err := parseHeader(m.Header)
	if err != nil {
		h = nil // a foreign message: events.Decode says so
	}
	return events.Message{
		Position: events.Position{Partition: p, Sequence: m.Seq}, Subject: m.Subject, Time: m.Time, Header: h, Body: m.Data,
	}, nil
}

func parseHeader(b []byte) (events.Header, error) {
	if len(b) == 0 {
		return nil, nil
	}
	h, err := nats.DecodeHeadersMsg(b)
	return events.Header(h), err
}
