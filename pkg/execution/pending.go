package execution

import (
	"slices"

	"github.com/annals-io/annals/pkg/events"
)

// entity is something that one event opens and another closes. Lists of
// entities are sorted by key, strictly ascending: events come in order, so
// opening appends, and what is pending stays few enough for moves to be cheap.
type entity[T any] interface {
	*T
	key() events.EventID
}

// search finds id in list, or the place where it would go.
func search[T any, P entity[T]](list []P, id events.EventID) (int, bool) {
	n := len(list)
	if n == 0 || list[n-1].key() < id {
		return n, false
	}
	lo, hi := 0, n
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if list[mid].key() < id {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < n && list[lo].key() == id
}

// put adds p to list, in the place of one with the same key if there is one.
func put[T any, P entity[T]](list []P, p P) []P {
	i, found := search[T](list, p.key())
	if found {
		list[i] = p
		return list
	}
	return slices.Insert(list, i, p)
}

// open adds a new entity to what is pending and, unless nil, to what has
// changed.
func open[T any, P entity[T]](pending, changed *[]P, p P) {
	*pending = put[T](*pending, p)
	if changed != nil {
		*changed = put[T](*changed, p)
	}
}

// change returns the pending entity at index i for changing. Where changes are
// collected it is a copy, once per collection, so that what an earlier
// collection holds stays as it was.
func change[T any, P entity[T]](pending []P, changed *[]P, i int) P {
	p := pending[i]
	if changed == nil {
		return p
	}
	j, found := search[T](*changed, p.key())
	if found && (*changed)[j] == p {
		return p
	}
	copied := P(new(T))
	*copied = *p
	pending[i] = copied
	*changed = put[T](*changed, copied)
	return copied
}

// take removes the entity at index i from what is pending and returns it for
// its last change, or nil if nobody collects changes.
func take[T any, P entity[T]](pending, changed *[]P, i int) P {
	var last P
	if changed != nil {
		last = change[T](*pending, changed, i)
	}
	*pending = slices.Delete(*pending, i, i+1)
	return last
}

// cloneAll copies the list and each entity in it.
func cloneAll[T any](list []*T) []*T {
	if list == nil {
		return nil
	}
	copies := make([]*T, len(list))
	for i, p := range list {
		c := *p
		copies[i] = &c
	}
	return copies
}
