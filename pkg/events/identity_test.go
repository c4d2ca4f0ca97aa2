package events_test

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/annals-io/annals/pkg/events"
)

func TestEvenMapsOwnEverySlotOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, events.Slots).Draw(t, "streams")
		m, err := events.EvenSlotMap(n)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Validate(); err != nil {
			t.Fatal(err)
		}
		if m.Partitions() != n || m.Version != 1 {
			t.Fatalf("map has %d partitions and version %d", m.Partitions(), m.Version)
		}
		owned := make([]int, n)
		for s := range events.Slot(events.Slots) {
			p := m.Partition(s)
			if r := m.Ranges[p]; s < r.First || s >= r.End {
				t.Fatalf("slot %d is said to be of partition %d, which owns %+v", s, p, r)
			}
			owned[p]++
		}
		for p, k := range owned {
			if k < events.Slots/n || k > events.Slots/n+1 {
				t.Fatalf("partition %d of %d owns %d slots", p, n, k)
			}
		}
	})
	for _, n := range []int{-1, 0, events.Slots + 1} {
		if _, err := events.EvenSlotMap(n); !errors.Is(err, events.ErrInvalid) {
			t.Errorf("%d streams gave %v", n, err)
		}
	}
}

func TestMapsThatAreNone(t *testing.T) {
	type r = events.SlotRange
	for why, ranges := range map[string][]r{
		"none": nil, "a hole": {{0, 10}, {11, 1024}}, "an overlap": {{0, 11}, {10, 1024}}, "an empty one": {{0, 1024}, {5, 5}},
		"backwards": {{1024, 0}}, "beyond the last": {{0, 1025}}, "without the last": {{0, 1023}}, "without the first": {{1, 1024}},
	} {
		if err := (events.SlotMap{Version: 1, Ranges: ranges}).Validate(); err == nil {
			t.Errorf("%s: %v is taken for a map", why, ranges)
		}
	}
	// Any order will do.
	if err := (events.SlotMap{Version: 2, Ranges: []r{{512, 1024}, {0, 512}}}).Validate(); err != nil {
		t.Error(err)
	}
}
