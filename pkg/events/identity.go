package events

import "fmt"

// Format is the version of the wire format that this package reads and writes.
const Format = 1

// Identity says which log this is. Everything that keeps a position keeps the
// log id and the epoch beside it: a position means nothing in another log, nor
// after a restore.
type Identity struct {
	LogID  string // a UUID, minted when the log is created
	Epoch  uint32 // from 1; a restore mints a greater one
	Format int
	Map    SlotMap
}

// SlotRange is the slots [First, End) of one stream.
type SlotRange struct{ First, End Slot }

// SlotMap says which partition owns which slots: the ranges of partition 0, 1, …
// in order. Its version rises when slots move.
type SlotMap struct {
	Version int
	Ranges  []SlotRange
}

// EvenSlotMap spreads all slots over n partitions, 1 to Slots of them.
func EvenSlotMap(n int) (SlotMap, error) {
	if n < 1 || n > Slots {
		return SlotMap{}, &InvalidError{Field: "streams", Reason: fmt.Sprintf("is %d, a log has 1 to %d", n, Slots)}
	}
	m := SlotMap{Version: 1, Ranges: make([]SlotRange, n)}
	for i := range n {
		m.Ranges[i] = SlotRange{First: Slot(i * Slots / n), End: Slot((i + 1) * Slots / n)}
	}
	return m, nil
}

// Validate refuses a map that leaves a slot without a partition, or gives it to two.
func (m SlotMap) Validate() error {
	var owned [Slots]int
	for p, r := range m.Ranges {
		if r.First >= r.End || r.End > Slots {
			return fmt.Errorf("partition %d owns slots [%d, %d), which is no range within [0, %d)", p, r.First, r.End, Slots)
		}
		for s := r.First; s < r.End; s++ {
			owned[s]++
		}
	}
	for s, n := range owned {
		if n != 1 {
			return fmt.Errorf("slot %d has %d partitions, not one", s, n)
		}
	}
	return nil
}

// Partitions is the number of partitions.
func (m SlotMap) Partitions() int { return len(m.Ranges) }

// Partition is the one that owns slot s. The map must be valid.
func (m SlotMap) Partition(s Slot) Partition {
	for p, r := range m.Ranges {
		if r.First <= s && s < r.End {
			return Partition(p)
		}
	}
	panic(fmt.Sprintf("slot %d is in no partition of an invalid map", s))
}
