package memlog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/internal/subjectlog"
)

// store is subjectlog.Store in memory.
type store struct {
	now        func() time.Time
	hook       func(Op) (bool, error)
	parts      []*partition
	heartbeats *kept
	decisions  *partition
}

// heartbeats is what the stream of heartbeats is called among partitions.
const heartbeats events.Partition = -1

// decisions is what the control stream is called among partitions.
const decisions events.Partition = -2

// part is a partition, or the control stream.
func (s *store) part(p events.Partition) *partition {
	if p == decisions {
		return s.decisions
	}
	return s.parts[p]
}

type partition struct {
	// mu guards the rest. Messages themselves are never changed.
	mu       sync.Mutex
	messages []events.Message    // sequence i+1 at i
	subjects map[string][]uint64 // sequences of each subject, rising
	grown    chan struct{}       // closed and replaced when a message comes
}

func newStore(c Config) *store {
	s := &store{now: c.Now, hook: c.Hook, parts: make([]*partition, c.Streams), heartbeats: newKept(c.Now, c.HeartbeatAge), decisions: newPartition()}
	for i := range s.parts {
		s.parts[i] = newPartition()
	}
	return s
}

func newPartition() *partition {
	return &partition{subjects: map[string][]uint64{}, grown: make(chan struct{})}
}

// OldLeader is subjectlog.Store's: there is nobody else to ask.
func (s *store) OldLeader(context.Context, events.Partition) (time.Duration, error) { return 0, nil }

// Generation is always the same: nothing is lost but on purpose, by Truncate.
func (s *store) Generation() uint64 { return 0 }

func (s *store) Publish(ctx context.Context, m subjectlog.Outgoing) (uint64, error) {
	if ctx.Err() != nil {
		return 0, fmt.Errorf("%w: %w", subjectlog.ErrNotSent, context.Cause(ctx))
	}
	apply, hookErr := true, error(nil)
	if s.hook != nil {
		if !m.Until.IsZero() {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, m.Until)
			defer cancel()
		}
		apply, hookErr = s.hook(Op{Subject: m.Subject, CommitID: m.CommitID, Expected: m.Expected, GivenUp: ctx.Done()})
	}
	if !apply {
		if hookErr == nil {
			hookErr = subjectlog.ErrNotSent
		}
		return 0, hookErr
	}
	var seq uint64
	var err error
	if m.Partition == heartbeats {
		seq, err = s.heartbeats.publish(m)
	} else {
		seq, err = s.part(m.Partition).publish(m, s.now())
	}
	if hookErr != nil {
		return 0, hookErr
	}
	return seq, err
}

func (p *partition) publish(m subjectlog.Outgoing, at time.Time) (uint64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var last uint64
	if seqs := p.subjects[m.Subject]; len(seqs) > 0 {
		last = seqs[len(seqs)-1]
	}
	if last != m.Expected {
		return 0, subjectlog.ErrMoved
	}
	return p.append(m.Partition, m.Subject, maps.Clone(m.Header), slices.Clone(m.Body), at), nil
}

// append stores a message; mu must be held.
func (p *partition) append(n events.Partition, subject string, h events.Header, body []byte, at time.Time) uint64 {
	seq := uint64(len(p.messages)) + 1
	p.messages = append(p.messages, events.Message{
		Position: events.Position{Partition: n, Sequence: seq}, Subject: subject, Time: at.UTC(), Header: h, Body: body,
	})
	p.subjects[subject] = append(p.subjects[subject], seq)
	close(p.grown)
	p.grown = make(chan struct{})
	return seq
}

func (s *store) put(n events.Partition, subject string, h events.Header, body []byte) uint64 {
	p := s.part(n)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.append(n, subject, maps.Clone(h), slices.Clone(body), s.now())
}

func (s *store) alter(at events.Position, change func(*events.Message)) {
	p := s.part(at.Partition)
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.messages[at.Sequence-1]
	m.Header, m.Body = maps.Clone(m.Header), slices.Clone(m.Body)
	change(&m)
	p.messages[at.Sequence-1] = m
}

func (s *store) truncate(n events.Partition, last uint64) {
	p := s.part(n)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.messages[last:] {
		seqs := p.subjects[m.Subject]
		p.subjects[m.Subject] = seqs[:sort.Search(len(seqs), func(i int) bool { return seqs[i] > last })]
	}
	p.messages = slices.Clone(p.messages[:last])
}

func (s *store) last(n events.Partition) uint64 {
	p := s.part(n)
	p.mu.Lock()
	defer p.mu.Unlock()
	return uint64(len(p.messages))
}

func (s *store) Last(ctx context.Context, n events.Partition, subject string) (events.Message, error) {
	if ctx.Err() != nil {
		return events.Message{}, context.Cause(ctx)
	}
	if n == heartbeats {
		return s.heartbeats.last(subject)
	}
	p := s.part(n)
	p.mu.Lock()
	defer p.mu.Unlock()
	seqs := p.subjects[subject]
	if len(seqs) == 0 {
		return events.Message{}, subjectlog.ErrNone
	}
	return p.messages[seqs[len(seqs)-1]-1], nil
}

func (s *store) Next(ctx context.Context, n events.Partition, subject string, from uint64) (events.Message, error) {
	if ctx.Err() != nil {
		return events.Message{}, context.Cause(ctx)
	}
	p := s.part(n)
	p.mu.Lock()
	defer p.mu.Unlock()
	seqs := p.subjects[subject]
	i := sort.Search(len(seqs), func(i int) bool { return seqs[i] >= from })
	if i == len(seqs) {
		return events.Message{}, subjectlog.ErrNone
	}
	return p.messages[seqs[i]-1], nil
}

func (s *store) Get(ctx context.Context, at events.Position) (events.Message, error) {
	if ctx.Err() != nil {
		return events.Message{}, context.Cause(ctx)
	}
	p := s.part(at.Partition)
	p.mu.Lock()
	defer p.mu.Unlock()
	if at.Sequence == 0 || at.Sequence > uint64(len(p.messages)) {
		return events.Message{}, subjectlog.ErrNone
	}
	return p.messages[at.Sequence-1], nil
}

func (s *store) Fetch(ctx context.Context, n events.Partition, seqs []uint64, take func(events.Message) []uint64) error {
	for len(seqs) > 0 {
		m, err := s.Get(ctx, events.Position{Partition: n, Sequence: seqs[0]})
		if err != nil && !errors.Is(err, subjectlog.ErrNone) {
			return err
		}
		seqs = seqs[1:]
		if err == nil {
			seqs = append(seqs[:len(seqs):len(seqs)], take(m)...)
		}
	}
	return nil
}

func (s *store) Scan(ctx context.Context, n events.Partition, subject string, from, to uint64, _ int) iter.Seq2[events.Message, error] {
	return func(yield func(events.Message, error) bool) {
		for from <= to {
			m, err := s.Next(ctx, n, subject, from)
			if err == nil && m.Position.Sequence > to {
				return
			}
			if !yield(m, err) || err != nil {
				return
			}
			from = m.Position.Sequence + 1
		}
	}
}

// await is the first message after a sequence, once there is one.
func (s *store) await(ctx context.Context, n events.Partition, after uint64) (events.Message, error) {
	p := s.part(n)
	for {
		p.mu.Lock()
		if after < uint64(len(p.messages)) {
			m := p.messages[after]
			p.mu.Unlock()
			return m, context.Cause(ctx)
		}
		grown := p.grown
		p.mu.Unlock()
		select {
		case <-grown:
		case <-ctx.Done():
			return events.Message{}, context.Cause(ctx)
		}
	}
}
