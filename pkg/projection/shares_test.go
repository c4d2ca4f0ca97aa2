package projection

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever the members have, doing what shares says leaves every lease held, and
// shares that differ by one at most; as few leases change hands as can be; and
// then there is nothing left to do.
func TestSharesAreFairAndMoveAsLittleAsCanBe(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		names := leaseNames(rapid.IntRange(1, 20).Draw(t, "leases"))
		sharing := Sharing{}
		for i := range rapid.IntRange(1, 5).Draw(t, "members") {
			sharing.Members = append(sharing.Members, Member{ID: fmt.Sprintf("m%d", i), Kinds: []string{partitionLeases}, Left: time.Second})
		}
		for _, name := range names {
			holder := rapid.IntRange(-2, len(sharing.Members)-1).Draw(t, "holder of "+name)
			switch holder {
			case -2: // never taken
			case -1:
				sharing.Leases = append(sharing.Leases, Lease{Name: name, Holder: Member{ID: "dead"}, Left: -time.Second})
			default:
				sharing.Leases = append(sharing.Leases, Lease{Name: name, Holder: Member{ID: sharing.Members[holder].ID}, Left: time.Second})
			}
		}
		before := holders(sharing)
		moved := 0
		for _, s := range shares(sharing, names) {
			moved += len(s.release)
		}
		after := apply(t, sharing, names)
		after = apply(t, after, names) // what was released is claimed
		counts := map[string]int{}
		for _, name := range names {
			h := holders(after)[name]
			if h == "" {
				t.Fatalf("nobody has %s", name)
			}
			counts[h]++
		}
		low, high := len(names), 0
		for _, m := range sharing.Members {
			low, high = min(low, counts[m.ID]), max(high, counts[m.ID])
		}
		if high-low > 1 {
			t.Fatalf("shares are %v", counts)
		}
		if least := leastMoves(before, sharing.Members, len(names)); moved != least {
			t.Fatalf("%d leases changed hands; %d would do", moved, least)
		}
		for id, s := range shares(after, names) {
			if len(s.claim)+len(s.release) > 0 {
				t.Fatalf("%s is not content: %+v", id, s)
			}
		}
	})
}

func leaseNames(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("partition/%d", i))
	}
	return names
}

func holders(s Sharing) map[string]string {
	out := map[string]string{}
	for _, l := range s.Leases {
		if l.Left > 0 {
			out[l.Name] = l.Holder.ID
		}
	}
	return out
}

// apply does what everybody shall do.
func apply(t *rapid.T, s Sharing, names []string) Sharing {
	all := shares(s, names)
	now := holders(s)
	for id, do := range all {
		for _, name := range do.release {
			if now[name] != id {
				t.Fatalf("%s shall release %s, which %q has", id, name, now[name])
			}
			delete(now, name)
		}
	}
	before := holders(s)
	for id, do := range all {
		for _, name := range do.claim {
			if before[name] != "" || now[name] != "" {
				t.Fatalf("%s shall claim %s, which is %q's", id, name, before[name]+now[name])
			}
			now[name] = id
		}
	}
	out := Sharing{Members: s.Members}
	for _, name := range names {
		if now[name] != "" {
			out.Leases = append(out.Leases, Lease{Name: name, Holder: Member{ID: now[name]}, Left: time.Second})
		}
	}
	return out
}

// leastMoves is how many leases must change hands, found by trying who gets the
// larger shares.
func leastMoves(before map[string]string, members []Member, leases int) int {
	var counts []int
	for _, m := range members {
		n := 0
		for _, h := range before {
			if h == m.ID {
				n++
			}
		}
		counts = append(counts, n)
	}
	least := leases
	for larger := range 1 << len(members) {
		moves, extra := 0, 0
		for i, n := range counts {
			fair := leases / len(members)
			if larger>>i&1 == 1 {
				fair++
				extra++
			}
			moves += max(0, n-fair)
		}
		if extra == leases%len(members) {
			least = min(least, moves)
		}
	}
	return least
}

// A member that wants no share, and one that is not heard of, get none.
func TestSharesGoToThoseThatWantOne(t *testing.T) {
	t.Parallel()
	s := Sharing{Members: []Member{
		{ID: "gone", Kinds: []string{"partition"}, Left: -1},
		{ID: "keeper", Kinds: []string{"heartbeats"}, Left: 1},
		{ID: "projector", Kinds: []string{"heartbeats", "partition"}, Left: 1},
	}}
	got := shares(s, leaseNames(3))
	if len(got) != 1 || !slices.Equal(got["projector"].claim, leaseNames(3)) {
		t.Errorf("shares: %+v", got)
	}
}
