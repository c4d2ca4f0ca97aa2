package snapshot

import (
	"container/list"
	"context"
	"sync"

	"github.com/annals-io/annals/pkg/replay"
)

// Memory keeps snapshots in memory, those that were used last.
type Memory struct {
	limit int64

	mu    sync.Mutex // guards the rest
	bytes int64
	runs  map[replay.Run]*list.Element // of kept
	order list.List                    // the one that was used last at the front
}

var _ replay.Snapshots = (*Memory)(nil)

type kept struct {
	run      replay.Run
	snapshot []byte
}

// size is about what a snapshot takes, with what it is found by.
func (k kept) size() int64 {
	return int64(len(k.snapshot)+len(k.run.Workflow.Namespace)+len(k.run.Workflow.ID)+len(k.run.RunID)) + overhead
}

const overhead = 256 // bytes of the map's and the list's entry

// NewMemory keeps about so many bytes at most.
func NewMemory(limit int64) *Memory {
	return &Memory{limit: limit, runs: map[replay.Run]*list.Element{}}
}

// Get is replay.Snapshots'.
func (m *Memory) Get(_ context.Context, run replay.Run) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.runs[run]
	if e == nil {
		return nil, nil
	}
	m.order.MoveToFront(e)
	return e.Value.(kept).snapshot, nil
}

// Put is replay.Snapshots'. What is larger than all that may be kept is not kept.
func (m *Memory) Put(_ context.Context, run replay.Run, snapshot []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.runs[run]; e != nil {
		m.drop(e)
	}
	k := kept{run, snapshot}
	if k.size() > m.limit {
		return nil
	}
	m.runs[run] = m.order.PushFront(k)
	m.bytes += k.size()
	for m.bytes > m.limit {
		m.drop(m.order.Back())
	}
	return nil
}

// Bytes are about what is kept now.
func (m *Memory) Bytes() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bytes
}

// drop forgets one; mu is held.
func (m *Memory) drop(e *list.Element) {
	k := m.order.Remove(e).(kept)
	delete(m.runs, k.run)
	m.bytes -= k.size()
}
