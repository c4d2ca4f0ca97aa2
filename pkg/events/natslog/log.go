package natslog

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/internal/control"
	"github.com/annals-io/annals/pkg/events/internal/heartbeat"
	"github.com/annals-io/annals/pkg/events/internal/subjectlog"
)

// Config is how a log is used. Zero fields mean the default.
type Config struct {
	// LogID, if set, is the log that must be found.
	LogID string
	// Limits bound commits and histories.
	Limits events.Limits
	// AppendTimeout ends an append, the record of a heartbeat, or a decision, whose
	// context has no deadline; 30 s.
	AppendTimeout time.Duration
	// AttemptTimeout is how long one request waits for its answer before it is
	// sent again; 2 s. Each time that none comes the next one waits for twice as
	// long, up to eight times: a server that is slow is not sent ever more copies
	// of what it has not come to yet.
	AttemptTimeout time.Duration
	// ReadTimeout ends a request of a read that gets no answer, however often
	// it is sent; 30 s.
	ReadTimeout time.Duration
	// OldLeader is how long a server of a cluster may take itself for the leader of a
	// stream that it was cut off from, and answer with the past. An answer that lacks
	// what is known to be stored is asked for again for as long, before an append says
	// that the log was cut back; an append that ends earlier is unknown, or unavailable if
	// nothing of it can be stored. 25 s: nats-server 2.15.2 looks every 10 s whether it
	// has heard of a majority in the last 10 s (raft.go, lostQuorumCheck). Less than
	// 0: the first answer is believed, as it is of a stream of one replica.
	OldLeader time.Duration
	// LookBack is how many earlier commits are compared with a commit id that
	// is no UUIDv7; 1,000.
	LookBack int
	// CachedCursors and CachedBytes bound the ends of workflows that are kept, so
	// that an append without a cursor (AtEnd, AfterEvent, NewRun) to one that this
	// handle appended to in the last seconds needs no look-up; 16,384 and 32 MiB.
	// Less than 0: none are kept.
	CachedCursors int
	CachedBytes   int64
	// MaxInFlightCommits and MaxInFlightBytes (of events) bound the appends that
	// are under way at a time: one more is refused with events.ErrOverloaded.
	// 16,384 and 256 MiB; less than 0: no bound.
	MaxInFlightCommits int
	MaxInFlightBytes   int64
	// Logger gets what no error says; slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	c.Limits = c.Limits.WithDefaults()
	if c.AppendTimeout == 0 {
		c.AppendTimeout = 30 * time.Second
	}
	if c.AttemptTimeout == 0 {
		c.AttemptTimeout = 2 * time.Second
	}
	if c.ReadTimeout == 0 {
		c.ReadTimeout = 30 * time.Second
	}
	if c.OldLeader == 0 {
		c.OldLeader = 25 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Log is an events.Log on JetStream. It is safe for concurrent use and keeps no
// goroutine; it does not own the connection.
type Log struct {
	*subjectlog.Log
	*heartbeat.Keeper
	*control.Decider
	store *store
}

var _ events.Log = (*Log)(nil)

// headroom is what a message may need beside its events: subject, envelope,
// protocol.
const headroom = 64 << 10

// NeedPayload is the least max_payload, in bytes, of a server on which a log
// with these limits can be opened. Zero fields of the limits mean their defaults.
func NeedPayload(l events.Limits) int64 { return int64(l.WithDefaults().CommitBytes + headroom) }

// Open checks the log that the connection reaches and opens it. It fails with
// events.ErrWrongLog if there is none, or not one that this version may write
// to: see the error for what is wrong and what to do.
func Open(ctx context.Context, js jetstream.JetStream, c Config) (*Log, error) {
	c = c.withDefaults()
	nc := js.Conn()
	if need := NeedPayload(c.Limits); nc.MaxPayload() < need {
		return nil, &events.WrongLogError{
			What: "max_payload of the server", Want: fmt.Sprintf("at least %d bytes: set max_payload: 4MB in its configuration, or lower Limits.CommitBytes", need),
			Got: strconv.FormatInt(nc.MaxPayload(), 10),
		}
	}
	generation := nc.Stats().Reconnects
	id, err := identify(ctx, patient(js, c.AttemptTimeout, c.ReadTimeout))
	if err != nil {
		return nil, err
	}
	if c.LogID != "" && c.LogID != id.LogID {
		return nil, &events.WrongLogError{What: "log id", Want: c.LogID, Got: id.LogID}
	}
	s := &store{js: js, nc: nc, config: c, identity: id, checking: make(chan struct{}, 1), many: manyMessages}
	s.checked.Store(generation)
	return s.log(s), nil
}

// log is the algorithms over a store that is s or something around it.
func (s *store) log(over subjectlog.Store) *Log {
	c := s.config
	return &Log{
		Log: subjectlog.New(over, s.identity, subjectlog.Config{
			Limits: c.Limits, AppendTimeout: c.AppendTimeout, LookBack: c.LookBack, Logger: c.Logger,
			CachedCursors: c.CachedCursors, CachedBytes: c.CachedBytes,
			MaxInFlightCommits: c.MaxInFlightCommits, MaxInFlightBytes: c.MaxInFlightBytes,
		}),
		Keeper: heartbeat.New(over, heartbeat.Config{
			Partition: heartbeats, CommitBytes: c.Limits.CommitBytes, Timeout: c.AppendTimeout, Now: time.Now,
		}),
		Decider: control.New(over, control.Config{Partition: decisions, Timeout: c.AppendTimeout, Now: time.Now}),
		store:   s,
	}
}

// Bounds gives the sequences that a partition holds, as its leader knows them.
func (l *Log) Bounds(ctx context.Context, p events.Partition) (events.Bounds, error) {
	if err := l.CheckPartition(p); err != nil {
		return events.Bounds{}, err
	}
	return l.store.bounds(ctx, p)
}

func (s *store) bounds(ctx context.Context, p events.Partition) (events.Bounds, error) {
	if err := s.sameLog(ctx); err != nil {
		return events.Bounds{}, err
	}
	stream, err := s.patient()(ctx, StreamName(p))
	if err != nil {
		return events.Bounds{}, unavailable(StreamName(p), err)
	}
	info := stream.CachedInfo()
	b := boundsOf(info.State)
	b.Time = info.TimeStamp
	return b, nil
}

// boundsOf are those of a stream in this state.
func boundsOf(state jetstream.StreamState) events.Bounds {
	if state.FirstSeq == 0 {
		return events.Bounds{First: 1, Last: 0}
	}
	return events.Bounds{First: state.FirstSeq, Last: state.LastSeq}
}

// Conn is the connection that the log uses.
func (l *Log) Conn() *nats.Conn { return l.store.nc }
