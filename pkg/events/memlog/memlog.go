// Package memlog is a log in memory: for tests, examples and programs that need
// no durability. It stores the same messages as the log on JetStream and runs
// the same algorithm over them, so it answers the same.
package memlog

import (
	"context"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/internal/control"
	"github.com/annals-io/annals/pkg/events/internal/heartbeat"
	"github.com/annals-io/annals/pkg/events/internal/subjectlog"
)

// Config is how a log behaves. Zero fields mean the default.
type Config struct {
	Streams       int           // partitions, 1 to 1,024; 16
	Limits        events.Limits // see events.Limits
	AppendTimeout time.Duration // ends an append, or the record of a heartbeat, whose context has no deadline; 30 s
	HeartbeatAge  time.Duration // how long the last heartbeat of an activity is kept, by Now; 24 h
	LookBack      int           // see events.Request.CommitID; 1,000
	// CachedCursors and CachedBytes bound the ends of workflows that are kept to
	// append to without a look-up, MaxInFlightCommits and MaxInFlightBytes the
	// appends under way, as natslog.Config says.
	CachedCursors      int
	CachedBytes        int64
	MaxInFlightCommits int
	MaxInFlightBytes   int64
	Now                func() time.Time // time.Now
	// Hook, if set, is asked before each message is stored: whether it is, and
	// what the appender is told. An error that comes with apply true is a lost
	// acknowledgement; with apply false, a lost message. The appender cannot
	// tell which. It is called from many goroutines.
	Hook func(Op) (apply bool, err error)
}

// Op is a message that is about to be stored.
type Op struct {
	Subject  string
	CommitID events.CommitID // empty for a heartbeat
	Expected uint64
	// GivenUp is closed when the appender waits for this attempt no longer: a
	// hook that plays a silent server returns then.
	GivenUp <-chan struct{}
}

// Log is an events.Log in memory, safe for concurrent use.
type Log struct {
	*subjectlog.Log
	*heartbeat.Keeper
	*control.Decider
	store *store
}

var _ events.Log = (*Log)(nil)

// New is an empty log. It fails if the number of streams is out of range.
func New(c Config) (*Log, error) {
	if c.Streams == 0 {
		c.Streams = 16
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.HeartbeatAge == 0 {
		c.HeartbeatAge = 24 * time.Hour
	}
	if c.HeartbeatAge < 0 {
		return nil, &events.InvalidError{Field: "heartbeatAge", Reason: "is negative"}
	}
	m, err := events.EvenSlotMap(c.Streams)
	if err != nil {
		return nil, err
	}
	id := events.Identity{LogID: uuid.Must(uuid.NewV7()).String(), Epoch: 1, Format: events.Format, Map: m}
	s := newStore(c)
	return s.log(s, id, c), nil
}

// log is the algorithms over a store that is s or something around it, as configured.
func (s *store) log(over subjectlog.Store, id events.Identity, c Config) *Log {
	common := subjectlog.Config{
		Limits: c.Limits, AppendTimeout: c.AppendTimeout, LookBack: c.LookBack, Now: s.now,
		CachedCursors: c.CachedCursors, CachedBytes: c.CachedBytes, MaxInFlightCommits: c.MaxInFlightCommits, MaxInFlightBytes: c.MaxInFlightBytes,
	}.WithDefaults()
	return &Log{
		Log: subjectlog.New(over, id, common),
		Keeper: heartbeat.New(over, heartbeat.Config{
			Partition: heartbeats, CommitBytes: common.Limits.CommitBytes, Timeout: common.AppendTimeout, Now: s.now,
		}),
		Decider: control.New(over, control.Config{Partition: decisions, Timeout: common.AppendTimeout, Now: s.now}),
		store:   s,
	}
}

// Open is another handle on what l holds, configured anew but for its streams
// its clock and the age of its heartbeats, as a program that is started again has it.
func (l *Log) Open(c Config) *Log {
	s := &store{now: l.store.now, hook: c.Hook, parts: l.store.parts, heartbeats: l.store.heartbeats, decisions: l.store.decisions}
	return s.log(s, l.Identity(), c)
}

// Put stores a message past the library, as anybody with a client could: for
// tests of what a reader makes of it. It returns its sequence.
func (l *Log) Put(p events.Partition, subject string, h events.Header, body []byte) uint64 {
	return l.store.put(p, subject, h, body)
}

// PutHeartbeat is Put for the stream of heartbeats, where a message replaces the
// one of its subject.
func (l *Log) PutHeartbeat(subject string, h events.Header, body []byte) uint64 {
	k := l.store.heartbeats
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.put(subject, maps.Clone(h), slices.Clone(body))
}

// PutDecision is Put for the control stream.
func (l *Log) PutDecision(subject string, h events.Header, body []byte) uint64 {
	return l.store.put(decisions, subject, h, body)
}

// TruncateDecisions is Truncate for the control stream.
func (l *Log) TruncateDecisions(last uint64) { l.store.truncate(decisions, last) }

// Alter replaces a stored message in place, as a damaged disk could: for tests
// of what a reader makes of it. The position must hold one.
func (l *Log) Alter(p events.Position, change func(*events.Message)) {
	l.store.alter(p, change)
}

// Truncate forgets a partition's messages after a sequence, as a server does that
// comes back with an older copy of its disk: for tests of what a handle makes of it.
func (l *Log) Truncate(p events.Partition, last uint64) { l.store.truncate(p, last) }

// Bounds gives the sequences that a partition holds.
func (l *Log) Bounds(_ context.Context, p events.Partition) (events.Bounds, error) {
	if err := l.CheckPartition(p); err != nil {
		return events.Bounds{}, err
	}
	return events.Bounds{First: 1, Last: l.store.last(p), Time: l.store.now().UTC()}, nil
}

// Follow yields a partition's messages, and waits for more.
func (l *Log) Follow(ctx context.Context, p events.Partition, o events.FollowOptions) iter.Seq2[events.Message, error] {
	return func(yield func(events.Message, error) bool) {
		if err := l.CheckPartition(p); err != nil {
			yield(events.Message{}, err)
			return
		}
		after := o.After
		for o.Until == 0 || after < o.Until {
			m, err := l.store.await(ctx, p, after)
			if err != nil {
				yield(events.Message{}, err)
				return
			}
			after = m.Position.Sequence
			if o.Until != 0 && after > o.Until {
				return
			}
			if o.Workflow == nil || m.Subject == o.Workflow.Subject() {
				if !yield(m, nil) {
					return
				}
			}
		}
	}
}
