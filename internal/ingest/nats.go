package ingest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connectproto"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"google.golang.org/protobuf/proto"
)

// The service as `nats micro ls` shows it.
const (
	natsService = "annals-ingest"
	natsVersion = "1.0.0" // of the API
	// natsPrefix begins the subjects of calls: annals-api.v1.LogService.Append.
	// It is none of the log's own, which begin with "annals.".
	natsPrefix = "annals-api"
)

// Headers of a request beside Traceparent, and of an answer.
const (
	contentType = "Content-Type" // application/json, which is the default, or application/proto
	timeoutMS   = "Connect-Timeout-Ms"
)

// maxNATSCalls is how many calls are served at the same time.
const maxNATSCalls = 256

// RunNATS serves the same calls by NATS request/reply until the context ends,
// then finishes those that came before and returns nil. Instances share the
// requests. It closes nc, which MUST be for this alone.
//
// A request is a message of the call's input to annals-api.v1.SERVICE.CALL; the
// headers Content-Type, Connect-Timeout-Ms and traceparent mean what they mean
// by HTTP. An error has the headers of the NATS services' protocol, with the code
// in Nats-Service-Error-Code, and the body that it has by HTTP in the Connect
// protocol.
func (s *Server) RunNATS(ctx context.Context, nc *nats.Conn) error {
	defer nc.Close()
	n := &natsServer{Server: s, nc: nc, free: make(chan struct{}, maxNATSCalls), stats: map[string]*natsStats{}}
	for spec := range s.calls.Specs() {
		n.stats[endpointOf(spec)] = &natsStats{}
	}
	service, err := micro.AddService(nc, micro.Config{
		Name: natsService, Version: natsVersion, Description: "Annals: appends, histories and queries",
		StatsHandler: func(e *micro.Endpoint) any { return n.stats[e.Name] },
	})
	if err != nil {
		return fmt.Errorf("serve by NATS: %w", err)
	}
	for spec := range s.calls.Specs() {
		subject := natsPrefix + "." + procedureOf(spec)
		if err := service.AddEndpoint(endpointOf(spec), n.handler(spec), micro.WithEndpointSubject(subject)); err != nil {
			return errors.Join(fmt.Errorf("serve %s by NATS: %w", subject, err), service.Stop())
		}
	}
	if err := nc.FlushTimeout(10 * time.Second); err != nil { // from here on requests arrive
		return errors.Join(fmt.Errorf("serve by NATS: %w", err), service.Stop())
	}
	s.config.Logger.Info("serving by NATS", slog.String("subjects", natsPrefix+".v1.*.*"))
	<-ctx.Done()
	return n.drain(service)
}

// natsServer is a server on one connection.
type natsServer struct {
	*Server
	nc    *nats.Conn
	free  chan struct{}
	calls sync.WaitGroup
	stats map[string]*natsStats // by endpoint
}

// procedureOf is a procedure as subjects name it: v1.LogService.Append.
func procedureOf(spec connect.Spec) string {
	return strings.ReplaceAll(strings.TrimPrefix(spec.Procedure, "/annals."), "/", ".")
}

// endpointOf is a procedure as `nats micro stats` names it: LogService-Append.
func endpointOf(spec connect.Spec) string {
	return strings.ReplaceAll(strings.TrimPrefix(procedureOf(spec), "v1."), ".", "-")
}

// handler serves one procedure. Calls run beside each other: a subscription hands
// over its messages one by one, and is to go on at once. So the answer is sent
// past micro.Request, which MUST NOT be answered once its handler has returned:
// the service looks then at what became of it.
func (n *natsServer) handler(spec connect.Spec) micro.Handler {
	stats := n.stats[endpointOf(spec)]
	return micro.HandlerFunc(func(r micro.Request) {
		n.free <- struct{}{}
		n.calls.Go(func() {
			defer func() { <-n.free }()
			began := time.Now()
			answer := n.serve(spec, r)
			stats.count(time.Since(began), answer.Header.Get(micro.ErrorHeader))
			if r.Reply() == "" {
				return // nobody waits for it
			}
			if err := n.nc.PublishMsg(answer); err != nil {
				n.config.Logger.Warn("an answer could not be sent", slog.String("procedure", spec.Procedure), slog.Any("error", err))
			}
		})
	})
}

// serve is the answer to a request.
func (n *natsServer) serve(spec connect.Spec, r micro.Request) *nats.Msg {
	info, ctx := &connect.CallInfo{Spec: spec, Protocol: "nats"}, context.Background()
	for name, values := range r.Headers() {
		for _, v := range values {
			info.RequestHeader().Add(name, v)
		}
	}
	x, err := n.exchange(r)
	if err == nil && info.RequestHeader().Has(timeoutMS) {
		var cancel context.CancelFunc
		if ctx, cancel, err = within(ctx, info.RequestHeader().Get(timeoutMS)); err == nil {
			defer cancel()
		}
	}
	if err == nil {
		info.Codec = x.codec.Name()
		err = n.Server.calls.Call(ctx, spec.Procedure, info, x)
	}
	if limit := int(n.nc.MaxPayload()) - 4096; err == nil && len(x.out) > limit {
		err = connect.Errorf(connect.CodeResourceExhausted, "the answer has %d bytes, the NATS server takes %d: ask for fewer at a time", len(x.out), limit)
	}
	if err != nil {
		return refusal(r.Reply(), err)
	}
	return &nats.Msg{Subject: r.Reply(), Header: nats.Header{contentType: {"application/" + x.codec.Name()}}, Data: x.out}
}

func within(ctx context.Context, ms string) (context.Context, context.CancelFunc, error) {
	n, err := strconv.ParseUint(ms, 10, 40)
	if err != nil {
		return ctx, nil, connect.Errorf(connect.CodeInvalidArgument, "%s is %.20q, no number of milliseconds", timeoutMS, ms)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(n)*time.Millisecond)
	return ctx, cancel, nil
}

// refusal is the answer with an error.
func refusal(reply string, err error) *nats.Msg {
	var e *connect.Error
	if !errors.As(err, &e) {
		e = answerOf(err)
	}
	// A header holds no line break.
	text := e.Code().String() + ": " + strings.Join(strings.Fields(e.Message()), " ")
	m := &nats.Msg{Subject: reply, Header: nats.Header{
		contentType:           {"application/json"},
		micro.ErrorHeader:     {text},
		micro.ErrorCodeHeader: {e.Code().String()},
	}}
	if m.Data, err = errorBody(e); err != nil {
		m.Header[micro.ErrorHeader] = []string{text + " (its details cannot be written: " + err.Error() + ")"}
	}
	return m
}

// errorBody is an error as the Connect protocol writes it.
func errorBody(e *connect.Error) ([]byte, error) {
	type detail struct {
		Type  string          `json:"type"`
		Value string          `json:"value"`
		Debug json.RawMessage `json:"debug,omitempty"`
	}
	body := struct {
		Code    string   `json:"code"`
		Message string   `json:"message,omitempty"`
		Details []detail `json:"details,omitempty"`
	}{Code: e.Code().String(), Message: e.Message()}
	for _, d := range e.Details() {
		m, err := connectproto.UnmarshalErrorDetail(d)
		if err != nil {
			return nil, err
		}
		debug, err := appendMessage(nil, m.ProtoReflect())
		if err != nil {
			return nil, err
		}
		body.Details = append(body.Details, detail{Type: d.Type, Value: base64.RawStdEncoding.EncodeToString(d.Value), Debug: debug})
	}
	return json.Marshal(body)
}

// exchange is one request and its answer.
type exchange struct {
	codec    connect.Codec
	in       []byte
	out      []byte
	received bool
}

var _ connect.ServerStream = (*exchange)(nil)

func (n *natsServer) exchange(r micro.Request) (*exchange, error) {
	x := &exchange{in: r.Data()}
	if len(x.in) > n.config.MaxRequestBytes {
		return nil, connect.Errorf(connect.CodeResourceExhausted, "the request has %d bytes, at most %d are taken", len(x.in), n.config.MaxRequestBytes)
	}
	kind, _, _ := strings.Cut(r.Headers().Get(contentType), ";")
	switch strings.TrimSpace(kind) {
	case "", "application/json":
		x.codec = jsonCodec{maxBytes: n.config.MaxRequestBytes}
	case "application/proto":
		x.codec = newBinaryCodec()
	default:
		return nil, connect.Errorf(connect.CodeInvalidArgument, "%s is %.40q, want application/json or application/proto", contentType, kind)
	}
	return x, nil
}

// Receive is connect.ServerStream's.
func (x *exchange) Receive(msg any) error {
	if x.received {
		return io.EOF
	}
	x.received = true
	if err := x.codec.UnmarshalRead(context.Background(), bytes.NewReader(x.in), msg); err != nil {
		return connect.Errorf(connect.CodeInvalidArgument, "unmarshal message: %s", err).WithCause(err)
	}
	return nil
}

// SendHeaders is connect.ServerStream's: an answer is one message.
func (x *exchange) SendHeaders() error { return nil }

// Send is connect.ServerStream's.
func (x *exchange) Send(msg any) error {
	var b bytes.Buffer
	if m, ok := msg.(proto.Message); ok {
		b.Grow(proto.Size(m))
	}
	err := x.codec.MarshalWrite(context.Background(), &b, msg)
	x.out = b.Bytes()
	return err
}

// drain takes no more requests and finishes those that are here.
func (n *natsServer) drain(service micro.Service) error {
	ctx, cancel := context.WithTimeout(context.Background(), n.config.DrainDelay+n.config.DrainTimeout)
	defer cancel()
	if err := service.Stop(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		return err
	}
	// Subscriptions end once what had arrived was handed over.
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n.nc.NumSubscriptions() > 0 && !n.nc.IsClosed() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ErrCutOff
		}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.calls.Wait()
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		return ErrCutOff
	}
	if err := n.nc.FlushWithContext(ctx); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		return err
	}
	return nil
}
