package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// target is a history that is read.
type target struct {
	workflow events.Workflow
	events   int
	commit   int // events of a commit
	mu       sync.Mutex
	at       events.Cursor
}

// The histories that are read, and the others among which they lie.
const (
	shortHistory = 30
	hugeCommit   = 10
	// otherEvents and otherCommit are those of each other history.
	otherEvents = 30
	otherCommit = 3
	openAtOnce  = 16  // others, of each writer, whose commits alternate
	behind      = 256 // others, that are last: some in every stream
	readWriters = 64
)

// readLog is a log that is read.
type readLog struct {
	log    *natslog.Log
	others int // workflows
	// spread lie among the others from their first to their last, together do not: they
	// are behind those, and before a few that are last in each stream.
	spread, together map[string]*target
	huge             *target
}

func newTarget(name string, events, commit int) *target {
	return &target{workflow: workflowOf(name), events: events, commit: commit}
}

func workflowOf(name string) events.Workflow {
	return events.Workflow{Namespace: "default", ID: name}
}

// other is the i-th of the others.
func other(i int) events.Workflow { return workflowOf(fmt.Sprintf("other-%07d", i)) }

// write fills the log: others events of others, all histories spread over them, then
// those that lie together, and a few others behind them. A server drops a block from its
// memory as soon as somebody has read on to its last message: a history that ends there
// would be read from the disk each time.
func (l *readLog) write(ctx context.Context, amongst, long, huge int) error {
	l.others = max(amongst/otherEvents, readWriters*openAtOnce)
	l.spread = map[string]*target{
		spreadName(shortHistory, 1): newTarget("spread-short", shortHistory, 1),
		spreadName(long, 1):         newTarget("spread-long", long, 1),
		spreadName(long, 3):         newTarget("spread-long-3", long, 3),
	}
	l.together = map[string]*target{
		spreadName(shortHistory, 1): newTarget("together-short", shortHistory, 1),
		spreadName(long, 1):         newTarget("together-long", long, 1),
	}
	l.huge = newTarget("huge", huge, hugeCommit)
	total := int64(l.others * otherEvents / otherCommit)
	var done atomic.Int64
	if err := l.writeOthers(ctx, 0, l.others, func(ctx context.Context) error { return l.drip(ctx, done.Add(1), total) }); err != nil {
		return err
	}
	for _, t := range l.together {
		if err := t.appendTo(ctx, l.log, t.events); err != nil {
			return err
		}
	}
	return l.writeOthers(ctx, l.others, l.others+behind, func(context.Context) error { return nil })
}

// writeOthers writes those from one to another (exclusive), and calls wrote after each
// commit, from several writers.
func (l *readLog) writeOthers(ctx context.Context, from, to int, wrote func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for n := range readWriters {
		g.Go(func() error {
			for i := from + n*openAtOnce; i < to; i += readWriters * openAtOnce {
				open := make([]*target, min(openAtOnce, to-i))
				for k := range open {
					open[k] = &target{workflow: other(i + k), events: otherEvents, commit: otherCommit}
				}
				for range otherEvents / otherCommit {
					for _, t := range open {
						if err := t.append(ctx, l.log); err != nil {
							return err
						}
						if err := wrote(ctx); err != nil {
							return err
						}
					}
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func spreadName(events, commit int) string { return fmt.Sprintf("events=%d/commit=%d", events, commit) }

// drip brings each history to the share of it that is due when so many commits of others
// are there.
func (l *readLog) drip(ctx context.Context, done, total int64) error {
	for _, t := range l.spread {
		if err := t.appendTo(ctx, l.log, int(int64(t.events)*done/total)); err != nil {
			return err
		}
	}
	return l.huge.appendTo(ctx, l.log, int(int64(l.huge.events)*done/total))
}

// appendTo appends commits until the history has so many events, or nearly.
func (t *target) appendTo(ctx context.Context, log events.Appender, n int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.events-int(t.at.LastEventID()) > 0 && int(t.at.LastEventID())+min(t.commit, t.events-int(t.at.LastEventID())) <= n {
		if err := t.append(ctx, log); err != nil {
			return err
		}
	}
	return nil
}

// append appends one commit; mu is held, or nobody else has the target.
func (t *target) append(ctx context.Context, log events.Appender) error {
	r := events.Request{Workflow: t.workflow, Expect: events.After(t.at)}
	if t.at.IsZero() {
		r.Expect = events.NewRun()
		r.Events = append(r.Events, events.WorkflowStarted("Order", "orders"))
	}
	now := timestamppb.Now()
	for n := min(t.commit, t.events-int(t.at.LastEventID())); len(r.Events) < n; {
		id := int64(t.at.LastEventID()) + int64(len(r.Events)) + 1
		r.Events = append(r.Events, &events.Event{EventId: id, EventTime: now, EventType: template.EventType, Attributes: template.Attributes})
	}
	res, err := log.Append(ctx, r)
	t.at = res.Cursor
	return err
}
