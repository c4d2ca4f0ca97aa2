package memlog

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/internal/heartbeat"
	"github.com/annals-io/annals/pkg/events/internal/subjectlog"
)

// FollowHeartbeats yields the heartbeats that are kept, and waits for more.
func (l *Log) FollowHeartbeats(ctx context.Context, after uint64) iter.Seq2[events.StoredHeartbeat, error] {
	return heartbeat.Decoded(func(yield func(events.Message, error) bool) {
		if b := l.store.heartbeats.bounds(); after > b.Last {
			yield(events.Message{}, &events.WrongLogError{
				What: "heartbeats", Want: fmt.Sprintf("to reach sequence %d that was followed", after), Got: fmt.Sprintf("an end at %d", b.Last),
			})
			return
		}
		for {
			m, err := l.store.heartbeats.await(ctx, after)
			after = m.Position.Sequence
			if !yield(m, err) || err != nil {
				return
			}
		}
	})
}

// HeartbeatBounds are the sequences of the heartbeats.
func (l *Log) HeartbeatBounds(ctx context.Context) (events.Bounds, error) {
	if ctx.Err() != nil {
		return events.Bounds{}, subjectlog.Unavailable(context.Cause(ctx))
	}
	return l.store.heartbeats.bounds(), nil
}

// kept is the last message of each subject, as long as it is not too old.
type kept struct {
	now func() time.Time
	age time.Duration
	// mu guards the rest. Messages themselves are never changed.
	mu       sync.Mutex
	end      uint64            // the last sequence, whether it is kept or not
	subjects map[string]uint64 // the sequence of each subject's last message
	// messages rise by sequence. One that was replaced is empty but for its
	// sequence, and is removed when it is the first or when there are many.
	messages []events.Message
	gone     int
	grown    chan struct{} // closed and replaced when a message comes
}

func newKept(now func() time.Time, age time.Duration) *kept {
	return &kept{now: now, age: age, subjects: map[string]uint64{}, grown: make(chan struct{})}
}

func (k *kept) publish(m subjectlog.Outgoing) (uint64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forget()
	if k.subjects[m.Subject] != m.Expected {
		return 0, subjectlog.ErrMoved
	}
	return k.put(m.Subject, maps.Clone(m.Header), slices.Clone(m.Body)), nil
}

// put stores a message in place of the one of its subject; mu must be held.
func (k *kept) put(subject string, h events.Header, body []byte) uint64 {
	if old, ok := k.subjects[subject]; ok {
		k.drop(k.index(old))
	}
	k.end++
	k.subjects[subject] = k.end
	k.messages = append(k.messages, events.Message{
		Position: events.Position{Partition: heartbeats, Sequence: k.end}, Subject: subject, Time: k.now().UTC(), Header: h, Body: body,
	})
	close(k.grown)
	k.grown = make(chan struct{})
	return k.end
}

// index is where the first message with at least this sequence stands; mu must
// be held.
func (k *kept) index(seq uint64) int {
	return sort.Search(len(k.messages), func(i int) bool { return k.messages[i].Position.Sequence >= seq })
}

// drop empties a message; mu must be held.
func (k *kept) drop(i int) {
	delete(k.subjects, k.messages[i].Subject)
	k.messages[i] = events.Message{Position: k.messages[i].Position}
	if k.gone++; k.gone > 16 && k.gone > len(k.messages)/2 {
		k.messages = slices.DeleteFunc(k.messages, func(m events.Message) bool { return m.Subject == "" })
		k.gone = 0
	}
	for len(k.messages) > 0 && k.messages[0].Subject == "" {
		k.messages = k.messages[1:]
		k.gone--
	}
}

// forget drops what is too old; mu must be held.
func (k *kept) forget() {
	oldest := k.now().Add(-k.age)
	for len(k.messages) > 0 && !k.messages[0].Time.After(oldest) {
		k.drop(0)
	}
}

func (k *kept) last(subject string) (events.Message, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forget()
	seq, ok := k.subjects[subject]
	if !ok {
		return events.Message{}, subjectlog.ErrNone
	}
	return k.messages[k.index(seq)], nil
}

func (k *kept) bounds() events.Bounds {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forget()
	if len(k.messages) > 0 {
		return events.Bounds{First: k.messages[0].Position.Sequence, Last: k.end}
	}
	return events.Bounds{First: k.end + 1, Last: k.end}
}

// await is the first message after a sequence, once there is one.
func (k *kept) await(ctx context.Context, after uint64) (events.Message, error) {
	for {
		k.mu.Lock()
		k.forget()
		grown := k.grown
		for _, m := range k.messages[k.index(after+1):] {
			if m.Subject != "" {
				k.mu.Unlock()
				return m, context.Cause(ctx)
			}
		}
		k.mu.Unlock()
		select {
		case <-grown:
		case <-ctx.Done():
			return events.Message{}, context.Cause(ctx)
		}
	}
}
