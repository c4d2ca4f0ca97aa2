package projection

import (
	"cmp"
	"slices"
)

// share is what a member has to do so that leases are shared out fairly.
type share struct {
	claim   []string // free ones that it shall take
	release []string // its own that it shall give up
}

// shares says what each member has to do. Whoever calculates it for the same
// sharing gets the same, so that no two take the same lease.
//
// With l leases and m members each gets l/m, and those l%m that hold the most one
// more: as few as possible change hands, and once the numbers are right none does.
func shares(sharing Sharing, names []string) map[string]share {
	held := map[string][]string{}
	for _, m := range sharing.Members {
		if m.Left > 0 && slices.Contains(m.Kinds, kindOf(names[0])) {
			held[m.ID] = nil
		}
	}
	leases := map[string]Lease{}
	for _, l := range sharing.Leases {
		leases[l.Name] = l
	}
	var free []string
	for _, name := range names {
		l := leases[name]
		if l.Left <= 0 {
			free = append(free, name)
			continue
		}
		// One that is held by somebody who wants no share any more is not free yet.
		if _, ok := held[l.Holder.ID]; ok {
			held[l.Holder.ID] = append(held[l.Holder.ID], name)
		}
	}
	ids := make([]string, 0, len(held))
	for id := range held {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(held[b]), len(held[a])), cmp.Compare(a, b))
	})
	out := make(map[string]share, len(ids))
	for i, id := range ids {
		fair := len(names) / len(ids)
		if i < len(names)%len(ids) {
			fair++
		}
		var s share
		if n := len(held[id]); n > fair {
			s.release = held[id][fair:]
		} else {
			take := min(fair-n, len(free))
			s.claim, free = free[:take:take], free[take:]
		}
		out[id] = s
	}
	return out
}
