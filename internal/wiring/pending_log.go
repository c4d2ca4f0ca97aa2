package wiring

import (
	"context"
	"iter"
	"sync/atomic"

	"github.com/annals-io/annals/pkg/events"
)

// PendingLog is a log that may be used before it is open: until then each of its
// calls fails at once, with *NotOpenError, and its Identity is zero. It is safe for
// concurrent use. Make it with NewPendingLog.
type PendingLog struct {
	opened chan struct{} // closed once log is set
	log    events.Log
	cause  atomic.Pointer[error]
}

var _ events.Log = (*PendingLog)(nil)

// NewPendingLog is a log that is not open yet.
func NewPendingLog() *PendingLog { return &PendingLog{opened: make(chan struct{})} }

// Open has all calls go to log from now on. It MUST be called once at most.
func (l *PendingLog) Open(log events.Log) {
	l.log = log
	close(l.opened)
}

// Opened is closed once the log is open.
func (l *PendingLog) Opened() <-chan struct{} { return l.opened }

// Failed keeps why the last attempt to open the log failed, for those who ask for
// the log meanwhile.
func (l *PendingLog) Failed(err error) { l.cause.Store(&err) }

// get is the log; it fails with *NotOpenError.
func (l *PendingLog) get() (events.Log, error) {
	select {
	case <-l.opened:
		return l.log, nil
	default:
	}
	if cause := l.cause.Load(); cause != nil {
		return nil, &NotOpenError{Cause: *cause}
	}
	return nil, &NotOpenError{}
}

// pendingRead is a read of l, which need be open only when the read begins.
func pendingRead[T any](l *PendingLog, read func(events.Log) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		log, err := l.get()
		if err != nil {
			var none T
			yield(none, err)
			return
		}
		read(log)(yield)
	}
}

// Append is events.Appender's.
func (l *PendingLog) Append(ctx context.Context, r events.Request) (events.Result, error) {
	log, err := l.get()
	if err != nil {
		return events.Result{}, err
	}
	return log.Append(ctx, r)
}

// Tail is events.Reader's.
func (l *PendingLog) Tail(ctx context.Context, w events.Workflow) (events.Cursor, error) {
	log, err := l.get()
	if err != nil {
		return events.Cursor{}, err
	}
	return log.Tail(ctx, w)
}

// Read is events.Reader's.
func (l *PendingLog) Read(ctx context.Context, w events.Workflow, o events.ReadOptions) iter.Seq2[*events.Event, error] {
	return pendingRead(l, func(log events.Log) iter.Seq2[*events.Event, error] { return log.Read(ctx, w, o) })
}

// Commits is events.Reader's.
func (l *PendingLog) Commits(ctx context.Context, w events.Workflow) iter.Seq2[*events.Commit, error] {
	return pendingRead(l, func(log events.Log) iter.Seq2[*events.Commit, error] { return log.Commits(ctx, w) })
}

// Identity is events.Source's. It is zero, without any partition, until the log is
// open.
func (l *PendingLog) Identity() events.Identity {
	log, err := l.get()
	if err != nil {
		return events.Identity{}
	}
	return log.Identity()
}

// Bounds is events.Source's.
func (l *PendingLog) Bounds(ctx context.Context, p events.Partition) (events.Bounds, error) {
	log, err := l.get()
	if err != nil {
		return events.Bounds{}, err
	}
	return log.Bounds(ctx, p)
}

// Message is events.Source's.
func (l *PendingLog) Message(ctx context.Context, p events.Position) (events.Message, error) {
	log, err := l.get()
	if err != nil {
		return events.Message{}, err
	}
	return log.Message(ctx, p)
}

// Follow is events.Source's.
func (l *PendingLog) Follow(ctx context.Context, p events.Partition, o events.FollowOptions) iter.Seq2[events.Message, error] {
	return pendingRead(l, func(log events.Log) iter.Seq2[events.Message, error] { return log.Follow(ctx, p, o) })
}

// BaseEvents is events.Source's.
func (l *PendingLog) BaseEvents(ctx context.Context, c *events.Commit) iter.Seq2[*events.Event, error] {
	return pendingRead(l, func(log events.Log) iter.Seq2[*events.Event, error] { return log.BaseEvents(ctx, c) })
}

// Covering is events.Source's.
func (l *PendingLog) Covering(ctx context.Context, w events.Workflow, p events.Position) (*events.Commit, error) {
	log, err := l.get()
	if err != nil {
		return nil, err
	}
	return log.Covering(ctx, w, p)
}

// Void is events.Voider's.
func (l *PendingLog) Void(ctx context.Context, r events.VoidRequest) (events.VoidResult, error) {
	log, err := l.get()
	if err != nil {
		return events.VoidResult{}, err
	}
	return log.Void(ctx, r)
}

// RecordHeartbeat is events.Heartbeats'.
func (l *PendingLog) RecordHeartbeat(ctx context.Context, h events.Heartbeat) (newest bool, err error) {
	log, err := l.get()
	if err != nil {
		return false, err
	}
	return log.RecordHeartbeat(ctx, h)
}

// LastHeartbeat is events.Heartbeats'.
func (l *PendingLog) LastHeartbeat(ctx context.Context, a events.Activity) (events.Heartbeat, error) {
	log, err := l.get()
	if err != nil {
		return events.Heartbeat{}, err
	}
	return log.LastHeartbeat(ctx, a)
}

// FollowHeartbeats is events.Heartbeats'.
func (l *PendingLog) FollowHeartbeats(ctx context.Context, after uint64) iter.Seq2[events.StoredHeartbeat, error] {
	return pendingRead(l, func(log events.Log) iter.Seq2[events.StoredHeartbeat, error] { return log.FollowHeartbeats(ctx, after) })
}

// HeartbeatBounds is events.Heartbeats'.
func (l *PendingLog) HeartbeatBounds(ctx context.Context) (events.Bounds, error) {
	log, err := l.get()
	if err != nil {
		return events.Bounds{}, err
	}
	return log.HeartbeatBounds(ctx)
}

// Decide is events.Control's.
func (l *PendingLog) Decide(ctx context.Context, d events.Decision, after uint64) (events.StoredDecision, bool, error) {
	log, err := l.get()
	if err != nil {
		return events.StoredDecision{}, false, err
	}
	return log.Decide(ctx, d, after)
}

// Decisions is events.Control's.
func (l *PendingLog) Decisions(ctx context.Context, after uint64) iter.Seq2[events.StoredDecision, error] {
	return pendingRead(l, func(log events.Log) iter.Seq2[events.StoredDecision, error] { return log.Decisions(ctx, after) })
}

// FollowDecisions is events.Control's.
func (l *PendingLog) FollowDecisions(ctx context.Context, after uint64) iter.Seq2[events.StoredDecision, error] {
	return pendingRead(l, func(log events.Log) iter.Seq2[events.StoredDecision, error] { return log.FollowDecisions(ctx, after) })
}

// DecisionBounds is events.Control's.
func (l *PendingLog) DecisionBounds(ctx context.Context) (events.Bounds, error) {
	log, err := l.get()
	if err != nil {
		return events.Bounds{}, err
	}
	return log.DecisionBounds(ctx)
}
