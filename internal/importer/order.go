package importer

import (
	"cmp"
	"slices"
	"strings"

	"github.com/annals-io/annals/pkg/events"
)

// order sorts the histories of one workflow into the order in which they can go
// in: by start time, a reset after its base, a shorter export of a run before a
// longer one, and what continues a run after all that begin one.
func order(hs []*history) []*history {
	sorted := slices.Clone(hs)
	slices.SortStableFunc(sorted, func(a, b *history) int {
		if a.starts() != b.starts() {
			if a.starts() {
				return -1
			}
			return 1
		}
		if !a.starts() {
			return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.count, b.count), strings.Compare(a.file, b.file))
		}
		return cmp.Or(a.start.Compare(b.start), strings.Compare(string(a.run), string(b.run)), cmp.Compare(a.count, b.count), strings.Compare(a.file, b.file))
	})
	byRun := map[events.RunID][]*history{}
	for _, h := range sorted {
		if h.starts() {
			byRun[h.run] = append(byRun[h.run], h)
		}
	}
	out := make([]*history, 0, len(sorted))
	done := map[*history]bool{}
	var add func(h *history)
	add = func(h *history) {
		if done[h] {
			return
		}
		done[h] = true // before its base: resets that name each other are no cycle
		for _, b := range byRun[h.base] {
			add(b)
		}
		out = append(out, h)
	}
	for _, h := range sorted {
		add(h)
	}
	return out
}
