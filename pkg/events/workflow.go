package events

import "strconv"

// Workflow names a workflow: all its runs lie on one subject of the log.
type Workflow struct {
	Namespace string // 1 to 255 bytes of UTF-8 without NUL
	ID        string // 1 to 1,000 bytes of UTF-8 without NUL
}

// String is namespace and id, as messages and errors show them.
func (w Workflow) String() string { return w.Namespace + "/" + w.ID }

// Slots is how many slots workflows hash into. It is part of the format of a
// log and never changes: streams own ranges of slots, so that streams can be
// added by moving slots.
const Slots = 1024

// Slot is a workflow's place in [0, Slots): a token of its subject and the
// first column of every table's key.
type Slot uint16

// String is the slot as its subject token writes it.
func (s Slot) String() string { return strconv.Itoa(int(s)) }

// Slot hashes the workflow: FNV-1a 32 of namespace, NUL and id.
func (w Workflow) Slot() Slot {
	h := fnv1a(offset32, w.Namespace)
	h *= prime32 // NUL changes no bit before it is multiplied
	h = fnv1a(h, w.ID)
	return Slot(h % Slots)
}

// FNV-1a's parameters for 32 bits.
const (
	offset32 uint32 = 2166136261
	prime32  uint32 = 16777619
)

func fnv1a(h uint32, s string) uint32 {
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * prime32
	}
	return h
}

// Partition is the index of one of the log's streams, from 0.
type Partition int

// Position is a commit's place in the log: a partition and the sequence in its
// stream. Sequences rise along a stream, with gaps allowed; 0 is before the
// first. Positions of different partitions have no order.
type Position struct {
	Partition Partition
	Sequence  uint64
}

// String is partition and sequence, e.g. "3:1042".
func (p Position) String() string {
	return strconv.Itoa(int(p.Partition)) + ":" + strconv.FormatUint(p.Sequence, 10)
}
